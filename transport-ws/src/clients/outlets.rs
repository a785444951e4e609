//! What is around a gateway: the bus, and a queue for each request.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use underpass_core::bus::{Bus, Delivery as BusDelivery, Subject};
use underpass_core::directory::{ActorChange, RegistryChange};
use underpass_core::gateway::{Action, Event};
use underpass_core::http::{Body, ResponseHead};
use underpass_core::{Failure, Gateway, RequestKey};

use crate::driver::{self, Effects};
use crate::gate::Gate;
use crate::listen::Progress;
use crate::queue::Sender;
use crate::socket::{Outgoing, OutgoingSender};

/// What is wanted of the directory.
pub(super) enum Change {
    /// A change of an actor's record.
    Actor(ActorChange),
    /// A change of the registry of WebSockets that can hibernate.
    Registry(RegistryChange),
}

/// What a request's client is to be told.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The answer begins.
    Start(ResponseHead, Body),
    /// The answer goes on; `finish` says whether these bytes are its last.
    Chunk { bytes: Bytes, finish: bool },
    /// The WebSocket was taken.
    Opened,
    /// The request failed.
    Failed(Failure),
}

/// Toward one request's client. What waits in its queues is bounded by the gateway's credit and limits.
pub(super) struct Outlet {
    /// To whoever answers.
    pub(super) deliveries: Sender<Delivery>,
    /// In front of what the client sends.
    pub(super) gate: Arc<Gate>,
    /// To the WebSocket, if it is one.
    pub(super) socket: Option<Socket>,
}

/// Toward a client's WebSocket.
pub(super) struct Socket {
    pub(super) outgoing: OutgoingSender,
    pub(super) opened: bool,
}

/// What is around a gateway.
pub(super) struct Outlets<B> {
    pub(super) bus: B,
    /// A request is in here until its last action, or until its client has gone.
    pub(super) requests: HashMap<RequestKey, Outlet>,
    /// To the directory. The gateway has one change per actor and per WebSocket under way.
    pub(super) changes: Sender<Change>,
    pub(super) progress: Arc<Progress>,
}

impl<B: Bus> driver::Outlets for Outlets<B> {
    type Machine = Gateway;

    fn carry_out(&mut self, action: Action, effects: &mut Effects<Event>) {
        match action {
            Action::Publish(publication) => {
                if let Err(rejected) = self.bus.publish(publication) {
                    effects.feed_back(Event::PublishFailed(rejected));
                }
            }
            Action::ResponseStart { key, head, body } => {
                let last = !matches!(body, Body::Stream);
                self.deliver(key, Delivery::Start(head, body), last, effects);
            }
            Action::ResponseChunk { key, bytes, finish } => {
                self.deliver(key, Delivery::Chunk { bytes, finish }, finish, effects);
            }
            Action::WebSocketOpened { key } => {
                if let Some(socket) = self.requests.get_mut(&key).and_then(|outlet| outlet.socket.as_mut()) {
                    socket.opened = true;
                }
                self.deliver(key, Delivery::Opened, false, effects);
            }
            Action::WebSocketMessage { key, message } => {
                if let Some(socket) = self.requests.get(&key).and_then(|outlet| outlet.socket.as_ref()) {
                    effects.wake(socket.outgoing.send(Outgoing::Message(message)));
                }
            }
            Action::WebSocketClose { key, close } => {
                if let Some(Outlet { gate, socket: Some(socket), .. }) = self.requests.remove(&key) {
                    // The client's own close is waited for.
                    effects.wake(gate.open());
                    socket.outgoing.close(close).into_iter().for_each(|waker| effects.wake(waker));
                }
            }
            Action::Failed { key, failure } => match self.requests.remove(&key) {
                Some(Outlet { gate, socket: Some(socket), .. }) if socket.opened => {
                    effects.wake(gate.open());
                    socket.outgoing.close(failure.close()).into_iter().for_each(|waker| effects.wake(waker));
                }
                Some(outlet) => {
                    if let Ok(waker) = outlet.deliveries.push(Delivery::Failed(failure)) {
                        effects.wake(waker);
                    }
                }
                None => {}
            },
            Action::PauseSource { key } => {
                if let Some(outlet) = self.requests.get(&key) {
                    outlet.gate.shut();
                }
            }
            Action::ResumeSource { key } => {
                if let Some(outlet) = self.requests.get(&key) {
                    effects.wake(outlet.gate.open());
                }
            }
            Action::Actor(change) => self.change(Change::Actor(change), effects),
            Action::Registry(change) => self.change(Change::Registry(change), effects),
            Action::Drained => self.progress.machine_drained(),
        }
    }

    fn tick() -> Event {
        Event::Tick
    }

    fn wall_clock(unix_ms: i64) -> Option<Event> {
        Some(Event::WallClock { unix_ms })
    }
}

impl<B> Outlets<B> {
    fn change(&self, change: Change, effects: &mut Effects<Event>) {
        if let Ok(waker) = self.changes.push(change) {
            effects.wake(waker);
        }
    }

    fn deliver(&mut self, key: RequestKey, delivery: Delivery, last: bool, effects: &mut Effects<Event>) {
        if let Some(outlet) = self.requests.get(&key)
            && let Ok(waker) = outlet.deliveries.push(delivery)
        {
            effects.wake(waker);
        }
        if last {
            self.requests.remove(&key);
        }
    }
}

/// What the gateway is to hear of what the bus delivers.
pub(super) fn from_bus(delivery: BusDelivery) -> Option<Event> {
    match delivery {
        BusDelivery::Frame { to: _, reply_to, frame } => {
            Some(Event::Received { from: reply_to.and_then(Subject::connection), frame })
        }
        BusDelivery::Rejected(rejected) => Some(Event::PublishFailed(rejected)),
        BusDelivery::NoResponders { to: Subject::Connection(to) } => Some(Event::NoResponders { to }),
        // A gateway publishes to connections only.
        BusDelivery::NoResponders { to: Subject::Gateway(_) } => None,
        BusDelivery::Lost { from } => Some(Event::Lost { from }),
    }
}
