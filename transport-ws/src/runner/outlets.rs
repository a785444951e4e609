//! What is around a runner: its link to the relay, and a queue for each request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use bytestring::ByteString;
use tokio::sync::watch;
use underpass_core::http::{Body as WireBody, Close, Message, RequestHead};
use underpass_core::runner::{Action, Event, StopReason};
use underpass_core::{RequestKey, Runner};

use super::body::Body;
use super::request::Answering;
use super::websocket::Pending;
use crate::driver::{self, Driver, Effects, Task};
use crate::gate::Gate;
use crate::outbox::Outbox;
use crate::queue::{Receiver, Sender, queue};

/// What a handler is to be told.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The request's body goes on; `finish` says whether these bytes are its last.
    Chunk { bytes: Bytes, finish: bool },
    /// A message came.
    Message(Message),
    /// The client closed the WebSocket.
    Close(Close),
}

impl Delivery {
    /// How much it takes of its client's credit, bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Delivery::Chunk { bytes, .. } => bytes.len(),
            Delivery::Message(message) => message.len(),
            Delivery::Close(_) => 0,
        }
    }
}

/// Between the machine and one request's handler.
#[derive(Debug)]
pub(super) struct Handler {
    /// In front of what it sends.
    pub(super) gate: Gate,
    /// Opens when the handler is to stop.
    pub(super) stop: Gate,
    /// Whether its WebSocket was closed, by either side.
    pub(super) closed: AtomicBool,
    /// Whether it has taken its WebSocket.
    pub(super) accepted: AtomicBool,
}

/// Toward one request's handler. What waits in its queue is bounded by the credit that the runner gave the gateway.
/// Dropping it stops the handler.
pub(super) struct Outlet {
    deliveries: Sender<Delivery>,
    handler: Arc<Handler>,
}

impl Outlet {
    fn new(deliveries: Sender<Delivery>) -> (Self, Arc<Handler>) {
        let handler = Arc::new(Handler {
            gate: Gate::default(),
            stop: Gate::default(),
            closed: AtomicBool::new(false),
            accepted: AtomicBool::new(false),
        });
        handler.stop.shut();
        (Outlet { deliveries, handler: handler.clone() }, handler)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.handler.closed.store(true, Ordering::Release);
        [self.handler.stop.open(), self.handler.gate.open()].into_iter().flatten().for_each(|waker| waker.wake());
    }
}

/// The user's handlers.
pub(super) trait Handlers: Send + 'static {
    /// A task that answers a request.
    fn request(&mut self, arrival: Arrival, body: Body, answering: Answering) -> Task;

    /// A task that takes a WebSocket or refuses it.
    fn websocket(&mut self, arrival: Arrival, socket: Pending) -> Task;
}

/// A request, less its body.
pub(super) struct Arrival {
    pub(super) actor_id: ByteString,
    pub(super) head: RequestHead,
}

/// To the task that keeps the links: open one.
pub(super) struct Dial {
    pub(super) connection: u64,
    /// Whether not to open it after all.
    pub(super) given_up: Receiver<()>,
}

/// Toward a connection.
pub(super) enum Line {
    /// It is being dialled, which can be given up.
    Dialling(Sender<()>),
    /// It is open.
    Open(Outbox),
}

/// How the runner is.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub(super) ready: bool,
    pub(super) stopped: Option<StopReason>,
}

/// What is around a runner.
pub(super) struct Outlets {
    /// The driver that this is in: handlers tell it things.
    pub(super) driver: Weak<Driver<Outlets>>,
    pub(super) handlers: Box<dyn Handlers>,
    /// The connections that there are.
    pub(super) lines: HashMap<u64, Line>,
    pub(super) dials: Sender<Dial>,
    /// A request is in here until it is aborted, or its handler is done.
    pub(super) requests: HashMap<RequestKey, Outlet>,
    pub(super) status: watch::Sender<Status>,
    /// Whether this runner is over, so that no handler is started any more.
    pub(super) over: bool,
}

impl driver::Outlets for Outlets {
    type Machine = Runner;

    fn carry_out(&mut self, action: Action, effects: &mut Effects<Event>) {
        match action {
            Action::Dial { connection } => {
                let (give_up, given_up) = queue();
                self.lines.insert(connection, Line::Dialling(give_up));
                if let Ok(waker) = self.dials.push(Dial { connection, given_up }) {
                    effects.wake(waker);
                }
            }
            Action::Send { connection, frame } => {
                if let Some(Line::Open(outbox)) = self.lines.get_mut(&connection) {
                    let (waker, blocks) = outbox.send(frame);
                    effects.wake(waker);
                    if blocks {
                        effects.feed_back(Event::PeerBlocked { connection });
                    }
                }
            }
            Action::Disconnect { connection, close } => match self.lines.get(&connection) {
                Some(Line::Open(outbox)) => outbox.close(close).into_iter().for_each(|waker| effects.wake(waker)),
                Some(Line::Dialling(give_up)) => {
                    if let Ok(waker) = give_up.push(()) {
                        effects.wake(waker);
                    }
                }
                // It has ended just now.
                None => {}
            },
            Action::Ready { runner_id } => {
                tracing::info!(id = &*runner_id, "the relay has taken this runner in");
                self.status.send_modify(|status| status.ready = true);
            }
            Action::Request { key, actor_id, head, body } => {
                let Some(driver) = self.driver.upgrade().filter(|_| !self.over) else { return };
                let (sender, chunks) = queue();
                let body = match body {
                    WireBody::None => Body::whole(Bytes::new()),
                    WireBody::Whole(bytes) => Body::whole(bytes),
                    WireBody::Stream => Body::stream(key, driver.clone(), chunks),
                };
                let (outlet, handler) = Outlet::new(sender);
                self.requests.insert(key, outlet);
                let answering = Answering::new(key, driver, handler);
                effects.spawn(self.handlers.request(Arrival { actor_id, head }, body, answering));
            }
            Action::WebSocketOpen { key, actor_id, head, socket: _ } => {
                let Some(driver) = self.driver.upgrade().filter(|_| !self.over) else { return };
                let (sender, messages) = queue();
                let (outlet, handler) = Outlet::new(sender);
                self.requests.insert(key, outlet);
                let socket = Pending::new(key, driver, handler, messages);
                effects.spawn(self.handlers.websocket(Arrival { actor_id, head }, socket));
            }
            Action::RequestChunk { key, bytes, finish } => {
                self.deliver(key, Delivery::Chunk { bytes, finish }, effects);
            }
            Action::WebSocketMessage { key, number: _, message } => {
                self.deliver(key, Delivery::Message(message), effects)
            }
            Action::WebSocketClose { key, close } => match self.requests.get(&key) {
                Some(Outlet { handler, .. }) if handler.accepted.load(Ordering::Acquire) => {
                    handler.closed.store(true, Ordering::Release);
                    effects.wake(handler.gate.open());
                    // The handler is to read what came before, and then this.
                    self.deliver(key, Delivery::Close(close), effects);
                }
                // The handler has not taken it, and cannot learn from it that nobody waits any more.
                Some(_) => drop(self.requests.remove(&key)),
                None => {}
            },
            Action::Aborted { key } => drop(self.requests.remove(&key)),
            Action::PauseSource { key } => {
                if let Some(outlet) = self.requests.get(&key) {
                    outlet.handler.gate.shut();
                }
            }
            Action::ResumeSource { key } => {
                if let Some(outlet) = self.requests.get(&key) {
                    effects.wake(outlet.handler.gate.open());
                }
            }
            // They are for runners with state.
            Action::WebSocketAsleep { .. }
            | Action::StartActor { .. }
            | Action::StopActor { .. }
            | Action::KvAnswered { .. } => {}
            Action::Stopped(reason) => {
                tracing::info!(?reason, "this runner has stopped");
                self.status.send_modify(|status| *status = Status { ready: false, stopped: Some(reason) });
            }
        }
    }

    fn tick() -> Event {
        Event::Tick
    }

    fn wall_clock(_unix_ms: i64) -> Option<Event> {
        None
    }
}

impl Outlets {
    fn deliver(&self, key: RequestKey, delivery: Delivery, effects: &mut Effects<Event>) {
        let Some(outlet) = self.requests.get(&key) else { return };
        match outlet.deliveries.push(delivery) {
            Ok(waker) => effects.wake(waker),
            // The handler wants no more of it: it counts as consumed, so that its client is not held up.
            Err(left) => effects.feed_back(Event::Consumed { key, bytes: left.len() }),
        }
    }
}
