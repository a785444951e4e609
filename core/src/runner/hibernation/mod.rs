//! WebSockets that can hibernate: they outlive their connection, and sleep with their actor.
//!
//! Such a WebSocket is *attached* to the connection over which its gateway speaks, or *detached*: its connection ended,
//! or is being left, or its actor has just been started. Then what its handler sends waits, until the first frame of
//! its gateway comes over a newer connection: there, numbers toward the gateway start at 0 again, and credit is full
//! both ways. Numbers toward the handler go on.

mod acks;

use bytestring::ByteString;

use super::actors::ActorSlot;
use super::due::{Deadline, Owner};
use super::link::Link;
use super::names::SocketId;
use super::request::{Place, Request, State, WireId};
use super::{Ended, Runner};
use crate::error::ApiMisuse;
use crate::failure::FailureCode;
use crate::http::Close;
use crate::machine::RequestKey;
use crate::machine::flow::{Inflow, Outflow};
use crate::observe::News;
use crate::protocol::tunnel::to_server::{self, Kind};
use crate::protocol::{Dialect, MessageIndex};
use crate::time::Time;

pub(super) use self::acks::Acks;

/// What is known of a WebSocket that can hibernate.
#[derive(Debug, Default)]
pub(super) struct Hibernation {
    /// The last message that the handler has handled.
    handled: MessageIndex,
    /// The last one that was acknowledged.
    acknowledged: MessageIndex,
    /// Bytes that came since then.
    came: usize,
    /// Whether there is something to acknowledge.
    owes: bool,
    /// Whether it is among those to be acknowledged together.
    is_listed: bool,
}

impl Runner {
    /// A WebSocket of an actor that starts: it slept, and its handler may go on with it.
    pub(super) fn insert_sleeping(
        &mut self,
        slot: ActorSlot,
        actor_id: &ByteString,
        socket: SocketId,
        connection: u64,
    ) -> Option<RequestKey> {
        if self.requests.len() >= self.config.max_requests || self.sleepers.contains_key(&socket) {
            return None;
        }
        let credit = Some(self.config.credit);
        let mut inward = Inflow::new(credit, true);
        // Its opening bore number 0.
        inward.expect(1);
        let key = self.requests.insert(Request {
            socket,
            place: Place::Detached { from: connection, silent: None },
            state: State::Restoring,
            out: Outflow::new(credit),
            inward,
            waits: false,
            was_granted: false,
            actor: Some(slot),
            hibernation: Some(Box::default()),
        });
        self.sleepers.insert(socket, key);
        if let Some(life) = self.actors.life_mut(slot) {
            life.requests.insert(key);
        }
        self.counted.opened += 1;
        self.news.push(News::Restored { request: socket.into(), actor_id: actor_id.clone() });
        Some(key)
    }

    /// The handler goes on with a WebSocket that slept.
    pub(super) fn websocket_restore(&mut self, key: RequestKey, last: MessageIndex) -> Result<(), ApiMisuse> {
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        match (&request.state, &mut request.hibernation) {
            (State::Restoring, Some(hibernation)) => {
                request.state = State::OpenWebSocket;
                request.inward.expect(last.wrapping_add(1));
                hibernation.handled = last;
                hibernation.acknowledged = last;
                self.counted.restored += 1;
                self.flush(key);
                Ok(())
            }
            (State::Restoring, None)
            | (
                State::AwaitingResponse
                | State::Collecting { .. }
                | State::Responding
                | State::AwaitingWebSocket
                | State::OpenWebSocket
                | State::ClosingWebSocket,
                _,
            ) => Err(ApiMisuse::OutOfTurn("a WebSocket restored that does not sleep")),
        }
    }

    /// The actor of a WebSocket runs. If its handler has not gone on with it, it is no more: its gateway hears so when
    /// it speaks.
    pub(super) fn restored_or_not(&mut self, key: RequestKey, now: Time) {
        let Some(request) = self.requests.get(key) else { return };
        match request.state {
            State::Restoring => {
                self.counted.not_restored += 1;
                self.end(key, Ended::Aborted);
            }
            State::AwaitingResponse
            | State::Collecting { .. }
            | State::Responding
            | State::AwaitingWebSocket
            | State::OpenWebSocket
            | State::ClosingWebSocket => self.await_gateway(key, now),
        }
    }

    /// The relay was told that the actor of a WebSocket is here: its gateway must speak in time.
    pub(super) fn await_gateway(&mut self, key: RequestKey, now: Time) {
        let Some(Request { place: Place::Detached { silent, .. }, .. }) = self.requests.get_mut(key) else { return };
        let armed = silent.replace(self.deadlines.arm(Deadline::GatewaySilent, Owner::Socket(key), now));
        if let Some(armed) = armed {
            self.deadlines.cancel(armed);
        }
    }

    /// It has not. While no relay has this runner, it can't: it has all its time again when one has.
    pub(super) fn gateway_is_silent(&mut self, key: RequestKey) {
        let Some(Request { place: Place::Detached { silent, .. }, .. }) = self.requests.get_mut(key) else { return };
        // It has just been taken.
        *silent = None;
        if self.home().is_some() {
            self.counted.timeouts.gateway_silent += 1;
            self.tell_handler(key, Close::new(1012, "gateway_lost"));
            self.end(key, Ended::Lost);
        }
    }

    /// The WebSocket that a frame is for, if it is attached to an older connection, or to none: now it is to this one.
    pub(super) fn wake(&mut self, id: WireId, dialect: Dialect) -> Option<RequestKey> {
        let key = *self.sleepers.get(&id.socket())?;
        let request = self.requests.get(key)?;
        let is_late = match request.place {
            Place::On(connection) => connection >= id.connection,
            Place::Detached { from, .. } => from > id.connection,
        };
        // Before its actor runs, nobody knows whether its handler goes on with it.
        if is_late || dialect == Dialect::Published || matches!(request.state, State::Restoring) {
            return None;
        }
        self.leave_place(key);
        let credit = Some(self.config.credit);
        let request = self.requests.get_mut(key)?;
        request.place = Place::On(id.connection);
        request.out.begin(credit);
        request.inward.begin();
        self.by_id.insert(id, key);
        if let Some(link) = self.link_mut(id.connection) {
            link.open += 1;
        }
        self.counted.attached += 1;
        self.flush(key);
        Some(key)
    }

    /// Whether a WebSocket that its gateway wakes is not here: no handler went on with it, or it has ended.
    pub(super) fn is_not_restored(&self, id: WireId) -> bool {
        !self.config.stateless && !self.sleepers.contains_key(&id.socket())
    }

    /// The connection of a WebSocket that can hibernate has ended, or is being left.
    pub(super) fn detach(&mut self, key: RequestKey, now: Time) {
        let Some(from) = self.requests.get(key).and_then(Request::connection).map(|connection| connection + 1) else {
            return;
        };
        self.leave_place(key);
        let Some(request) = self.requests.get_mut(key) else { return };
        request.place = Place::Detached { from, silent: None };
        self.counted.detached += 1;
        // What was not acknowledged comes again.
        if let Some(hibernation) = &mut request.hibernation {
            hibernation.owes = false;
        }
        self.flush(key);
        if self.home().is_some_and(|home| home >= from) {
            self.await_gateway(key, now);
        }
    }

    /// A request is no longer where it was.
    pub(super) fn leave_place(&mut self, key: RequestKey) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.waits = false;
        request.was_granted = false;
        match &mut request.place {
            Place::On(connection) => {
                let connection = *connection;
                let id = request.socket.on(connection);
                self.by_id.remove(&id);
                if let Some(link) = self.link_mut(connection) {
                    link.open -= 1;
                }
            }
            Place::Detached { silent, .. } => {
                if let Some(armed) = silent.take() {
                    self.deadlines.cancel(armed);
                }
            }
        }
    }

    /// Whether WebSockets of a connection are to go on over a newer one: its relay drains, and another is ready.
    pub(super) fn is_being_left(&self, connection: u64) -> bool {
        self.link(connection).is_some_and(|link| link.relay_drains)
            && self.links.iter().any(|link| link.connection > connection && link.is_ready())
    }

    /// A newer connection is ready: the WebSockets that can hibernate leave the one whose relay drains.
    pub(super) fn move_sockets(&mut self, now: Time) {
        let Some(connection) = self.links.first().map(|link| link.connection) else { return };
        if self.is_being_left(connection) {
            for key in self.keys_on(connection) {
                self.move_socket(key, now);
            }
        }
    }

    /// Has a WebSocket sleep at its gateway, behind what was sent, until it is woken over a newer connection.
    pub(super) fn move_socket(&mut self, key: RequestKey, now: Time) {
        let Some(request) = self.requests.get(key) else { return };
        match request.state {
            State::OpenWebSocket if request.hibernation.is_some() => {}
            // A handler that has closed is not to be waited for for long.
            State::ClosingWebSocket
            | State::OpenWebSocket
            | State::Restoring
            | State::AwaitingWebSocket
            | State::AwaitingResponse
            | State::Collecting { .. }
            | State::Responding => return,
        }
        self.send_ack(key);
        let reason = Some("runner.moved".into());
        self.send(key, Kind::WebSocketClose(to_server::WebSocketClose { code: Some(1001), reason, hibernate: true }));
        self.detach(key, now);
    }

    /// The same for one that has just been taken.
    pub(super) fn move_socket_if_left(&mut self, key: RequestKey, now: Time) {
        let connection = self.requests.get(key).and_then(Request::connection);
        if connection.is_some_and(|connection| self.is_being_left(connection)) {
            self.move_socket(key, now);
        }
    }

    /// Something before a message is missing, and can't come again.
    pub(super) fn skipped(&mut self, key: RequestKey) {
        let close = Close::new(1008, "ws.message_index_skip");
        self.send_close(key, close.clone());
        self.tell_handler(key, close);
        self.end(key, Ended::Failed(FailureCode::MessageLost));
    }

    /// The requests of a connection.
    pub(super) fn keys_on(&self, connection: u64) -> Vec<RequestKey> {
        let is_on = |key: &RequestKey| self.requests.get(*key).and_then(Request::connection) == Some(connection);
        self.requests.keys().filter(is_on).collect()
    }

    /// Whether a WebSocket that its handler takes can hibernate.
    pub(super) fn may_hibernate(&self, key: RequestKey) -> bool {
        let Some(request) = self.requests.get(key) else { return false };
        let link = request.connection().and_then(|connection| self.link(connection));
        link.and_then(Link::dialect) == Some(Dialect::Underpass) && request.actor.is_some()
    }
}
