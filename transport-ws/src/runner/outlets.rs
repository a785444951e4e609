//! What is around a runner: its link to the relay, and a queue for each request.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use bytestring::ByteString;
use hashbrown::HashMap;
use tokio::sync::watch;
use underpass_core::http::Body as WireBody;
use underpass_core::runner::{Action, ActorLife, Event, Sleeping, StopReason};
use underpass_core::{RequestKey, Runner};

use super::actors::{ActorContext, Lives, Work};
use super::body::Body;
use super::handler::{Delivery, Outlet};
use super::hibernating::SleepingSocket;
use super::request::{Answering, Arrival};
use super::socket::Socket;
use super::websocket::Pending;
use crate::driver::{self, Driver, Effects, Task};
use crate::outbox::Outbox;
use crate::queue::{Receiver, Sender, queue};

/// The user's handlers.
pub(super) trait Handlers: Send + 'static {
    /// A task that does what came for no actor that lives here.
    fn work(&mut self, work: Work) -> Task;

    /// A task that leads an actor through its life.
    fn live(&mut self, actor: ActorContext, sockets: Vec<SleepingSocket>, work: Receiver<Work>) -> Task;
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
    /// The actors that live here.
    pub(super) lives: Lives,
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
                let arrival = Arrival { actor_id: actor_id.clone(), head };
                self.give(&actor_id, Work::Request { arrival, body, answering }, effects);
            }
            Action::WebSocketOpen { key, actor_id, head, socket: id } => {
                let Some(driver) = self.driver.upgrade().filter(|_| !self.over) else { return };
                let (socket, messages) = self.socket(key, driver, self.lives.current(&actor_id));
                let arrival = Arrival { actor_id: actor_id.clone(), head };
                let socket = Pending::new(socket, id, messages);
                self.give(&actor_id, Work::WebSocket { arrival, socket }, effects);
            }
            Action::RequestChunk { key, bytes, finish } => {
                self.deliver(key, Delivery::Chunk { bytes, finish }, effects);
            }
            Action::WebSocketMessage { key, number, message } => {
                self.deliver(key, Delivery::Message { number, message }, effects);
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
            Action::WebSocketAsleep { key } => match self.requests.get(&key) {
                Some(Outlet { handler, .. }) if handler.accepted.load(Ordering::Acquire) => {
                    handler.asleep.store(true, Ordering::Release);
                    handler.closed.store(true, Ordering::Release);
                    effects.wake(handler.gate.open());
                    self.deliver(key, Delivery::Asleep, effects);
                }
                // Its actor has not gone on with it.
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
            Action::StartActor { actor, config, sockets } => {
                let Some(driver) = self.driver.upgrade().filter(|_| !self.over) else { return };
                let sockets = sockets.into_iter().map(|sleeping| self.sleeping(sleeping, &driver, &actor)).collect();
                let (sender, work) = queue();
                self.lives.begin(actor.clone(), sender);
                effects.spawn(self.handlers.live(ActorContext::new(actor, config, driver), sockets, work));
            }
            Action::StopActor { actor } => {
                if let Ok(waker) = self.lives.give(&actor.actor_id, Some(actor.generation), Work::Stop) {
                    effects.wake(waker);
                }
            }
            Action::KvAnswered { number, answer } => self.lives.answered(number, answer),
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
    /// Has something done by the actor that it is for; where none has state, by whoever serves them all.
    fn give(&mut self, actor_id: &ByteString, work: Work, effects: &mut Effects<Event>) {
        match self.lives.give(actor_id, None, work) {
            Ok(waker) => effects.wake(waker),
            Err(work) => effects.spawn(self.handlers.work(work)),
        }
    }

    fn socket(
        &mut self,
        key: RequestKey,
        driver: Arc<Driver<Outlets>>,
        life: Option<ActorLife>,
    ) -> (Socket, Receiver<Delivery>) {
        let (sender, messages) = queue();
        let (outlet, handler) = Outlet::new(sender);
        self.requests.insert(key, outlet);
        (Socket { key, driver, handler, life }, messages)
    }

    fn sleeping(&mut self, sleeping: Sleeping, driver: &Arc<Driver<Outlets>>, life: &ActorLife) -> SleepingSocket {
        let Sleeping { key, socket: id } = sleeping;
        let (socket, messages) = self.socket(key, driver.clone(), Some(life.clone()));
        SleepingSocket::new(id, socket, messages)
    }

    fn deliver(&self, key: RequestKey, delivery: Delivery, effects: &mut Effects<Event>) {
        let Some(outlet) = self.requests.get(&key) else { return };
        match outlet.deliveries.push(delivery) {
            Ok(waker) => effects.wake(waker),
            // The handler wants no more of it: it counts as consumed, so that its client is not held up.
            Err(left) => effects.feed_back(Event::Consumed { key, bytes: left.len() }),
        }
    }
}
