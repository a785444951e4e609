//! The gateway: owns its clients' requests, from their opening to their one end.
//!
//! [`Gateway::open`] takes a request in; what its client does then comes in as [`Event`]s, what its handler does comes
//! in as frames from the bus, and what to do about both comes out as [`Action`]s.

mod client;
mod config;
mod event;
mod request;
mod runners;
mod stats;
mod tunnel;

use std::collections::VecDeque;

use hashbrown::HashMap;
use thiserror::Error;

pub use config::Config;
pub use event::{Action, Event, Open, OpenKind};
pub use stats::Stats;

use self::request::{Deadline, Request, State};
use self::runners::Runners;
use crate::bus::{ConnectionId, Publication, Subject};
use crate::directory::Pool;
use crate::error::{ApiMisuse, ConfigError};
use crate::failure::{Failure, FailureCode, RequestName};
use crate::http::Close;
use crate::machine::deadline::Deadlines;
use crate::machine::flow::{Piece, Turn};
use crate::machine::random::Random;
use crate::machine::table::Table;
use crate::machine::{Machine, RequestKey};
use crate::protocol::tunnel::ToClientTunnelMessage;
use crate::protocol::tunnel::to_client::{self, Credit, RequestChunk};
use crate::protocol::{GatewayId, MessageId, RequestId, ToRunner};
use crate::time::{Time, WallClock};

/// A request that a gateway did not take in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refused(pub Failure);

/// The gateway's machine.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    id: GatewayId,
    wall: WallClock,
    requests: Table<Request>,
    by_id: HashMap<RequestId, RequestKey>,
    next_id: u32,
    runners: Runners,
    deadlines: Deadlines<Deadline, RequestKey>,
    actions: VecDeque<Action>,
    draining: Draining,
    /// The gauges in it are filled in when it is asked for.
    counted: Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draining {
    No,
    Yes,
    Done,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    ClientGone,
    Failed,
}

impl Gateway {
    /// A gateway with an id that it alone has, and a seed from which its request ids start.
    ///
    /// # Errors
    /// The configuration could not work, or the id is zero.
    pub fn new(config: Config, id: GatewayId, seed: u64, now: Time) -> Result<Self, ConfigError> {
        config.validate()?;
        if id == GatewayId::ZERO {
            return Err(ConfigError::ZeroGatewayId);
        }
        let mut wall = WallClock::default();
        wall.set(now, 0);
        let deadlines = Deadlines::new([
            (Deadline::ResponseStart, config.response_start),
            (Deadline::WebSocketOpen, config.websocket_open),
            (Deadline::WebSocketClose, config.websocket_close),
        ]);
        Ok(Gateway {
            config,
            id,
            wall,
            requests: Table::new(),
            by_id: HashMap::new(),
            next_id: Random::new(seed).next_u32(),
            runners: Runners::default(),
            deadlines,
            actions: VecDeque::new(),
            draining: Draining::No,
            counted: Stats::default(),
        })
    }

    /// The id that it was made with.
    pub fn id(&self) -> GatewayId {
        self.id
    }

    /// How many runners of a pool would take a request now.
    pub fn ready_runners(&self, pool: &Pool) -> usize {
        self.runners.ready(pool)
    }

    /// What people call a request, as long as it is open.
    pub fn request_name(&self, key: RequestKey) -> Option<RequestName> {
        self.requests.get(key).map(|request| self.name(request.id))
    }

    fn name(&self, request_id: RequestId) -> RequestName {
        RequestName { gateway_id: self.id, request_id }
    }

    fn tick(&mut self, now: Time) {
        while let Some((deadline, key)) = self.deadlines.pop_due(now) {
            if let Some(request) = self.requests.get_mut(key) {
                request.deadline = None;
            }
            match deadline {
                Deadline::ResponseStart => {
                    self.fail(key, FailureCode::ResponseStartTimeout, "no answer began in time");
                }
                Deadline::WebSocketOpen => {
                    self.fail(key, FailureCode::WebSocketOpenTimeout, "the handler did not take the WebSocket in time");
                }
                Deadline::WebSocketClose => {
                    self.send(key, to_client::Kind::WebSocketClose(Close::abnormal().into_wire()));
                    self.end(key, End::ClientGone);
                }
            }
        }
    }

    /// Publishes a message of a request.
    fn send(&mut self, key: RequestKey, kind: to_client::Kind) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let message_index = match &kind {
            to_client::Kind::Credit(_) => 0,
            to_client::Kind::RequestStart(_)
            | to_client::Kind::RequestChunk(_)
            | to_client::Kind::RequestAbort
            | to_client::Kind::WebSocketOpen(_)
            | to_client::Kind::WebSocketMessage(_)
            | to_client::Kind::WebSocketClose(_) => request.up.number(),
        };
        let message_id = MessageId { gateway_id: self.id, request_id: request.id, message_index };
        let message = ToRunner::TunnelMessage(ToClientTunnelMessage { message_id, message_kind: kind });
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Connection(request.connection),
            reply_to: Some(Subject::Gateway(self.id)),
            frame: message.encode_framed(),
        }));
    }

    /// Sends what may be sent of what waits toward the runner, and tells the client's pace.
    fn flush(&mut self, key: RequestKey, now: Time) {
        while let Some(piece) = self.requests.get_mut(key).and_then(|request| request.up.pop(false)) {
            let kind = match piece {
                Piece::Chunk { bytes, finish } => to_client::Kind::RequestChunk(RequestChunk { body: bytes, finish }),
                Piece::Message(message) => to_client::Kind::WebSocketMessage(message.into_wire()),
                Piece::Close(close) => to_client::Kind::WebSocketClose(close.into_wire()),
            };
            self.send(key, kind);
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        if request.state.is_websocket() && request.up.is_done() {
            return self.end(key, End::ClientGone);
        }
        match request.up.turn(false) {
            Some(Turn::Pause) => self.actions.push_back(Action::PauseSource { key }),
            Some(Turn::Resume) => self.actions.push_back(Action::ResumeSource { key }),
            None => {}
        }
        self.await_response(key, now);
    }

    /// The client took so many bytes.
    fn consumed(&mut self, key: RequestKey, bytes: usize) {
        let Some(request) = self.requests.get_mut(key) else { return };
        if let Some(total) = request.down.consumed(bytes) {
            self.send(key, to_client::Kind::Credit(Credit { total }));
        }
    }

    /// Ends a request with a failure, at both ends.
    fn fail(&mut self, key: RequestKey, code: FailureCode, message: &'static str) {
        let Some(request) = self.requests.get(key) else { return };
        let failure = Failure { code, message: message.into(), request: Some(self.name(request.id)) };
        if request.state.is_known_to_runner() {
            let kind = if request.state.is_websocket() {
                to_client::Kind::WebSocketClose(failure.close().into_wire())
            } else {
                to_client::Kind::RequestAbort
            };
            self.send(key, kind);
        }
        self.end_with(key, failure);
    }

    /// Ends a request whose runner can't be told.
    fn lose(&mut self, key: RequestKey, code: FailureCode, message: &'static str) {
        let Some(request) = self.requests.get(key) else { return };
        let failure = Failure { code, message: message.into(), request: Some(self.name(request.id)) };
        self.end_with(key, failure);
    }

    fn end_with(&mut self, key: RequestKey, failure: Failure) {
        // A client that has closed has had its end.
        if self.requests.get(key).is_some_and(|request| matches!(request.state, State::ClosingWebSocket)) {
            return self.end(key, End::ClientGone);
        }
        self.actions.push_back(Action::Failed { key, failure });
        self.end(key, End::Failed);
    }

    fn end(&mut self, key: RequestKey, end: End) {
        let Some(request) = self.requests.remove(key) else { return };
        self.by_id.remove(&request.id);
        if let Some(armed) = request.deadline {
            self.deadlines.cancel(armed);
        }
        self.leave(request.connection, request.link, request.place);
        match end {
            End::Answered => self.counted.answered += 1,
            End::ClientGone => self.counted.client_gone += 1,
            End::Failed => self.counted.failed += 1,
        }
        self.note_drained();
    }

    /// Takes a request off its link, unless the link is gone.
    fn leave(&mut self, connection: ConnectionId, link: runners::LinkKey, place: usize) {
        if !self.runners.names(link, connection) {
            return;
        }
        if let Some(moved) = self.runners.detach(link, place)
            && let Some(request) = self.requests.get_mut(moved)
        {
            request.place = place;
        }
    }

    fn drain(&mut self) {
        if self.draining != Draining::No {
            return;
        }
        self.draining = Draining::Yes;
        let sockets: Vec<RequestKey> = self.requests.keys().collect();
        for key in sockets {
            let Some(request) = self.requests.get(key) else { continue };
            // One that its client has closed goes on to its end, which has a deadline.
            if request.state.is_websocket() && !matches!(request.state, State::ClosingWebSocket) {
                self.fail(key, FailureCode::Draining, "this gateway is going away");
            }
        }
        self.note_drained();
    }

    fn note_drained(&mut self) {
        if self.draining == Draining::Yes && self.requests.len() == 0 {
            self.draining = Draining::Done;
            self.actions.push_back(Action::Drained);
        }
    }

    /// An id that no request in flight has.
    fn next_request_id(&mut self) -> RequestId {
        loop {
            let id = RequestId(self.next_id.to_be_bytes());
            self.next_id = self.next_id.wrapping_add(1);
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Machine for Gateway {
    type Event = Event;
    type Action = Action;
    type Stats = Stats;

    fn handle(&mut self, event: Event, now: Time) -> Result<(), ApiMisuse> {
        match event {
            Event::Tick => {}
            Event::WallClock { unix_ms } => self.wall.set(now, unix_ms),
            Event::Received { frame } => self.received(&frame, now),
            Event::PublishFailed(rejected) => self.publish_failed(&rejected),
            Event::NoResponders { to } => {
                for key in self.runners.requests_of(to) {
                    self.lose(key, FailureCode::RunnerLost, "nobody holds the runner's connection");
                }
            }
            Event::Directory(seen) => {
                for key in self.runners.seen(seen) {
                    self.lose(key, FailureCode::RunnerLost, "the runner's connection ended");
                }
            }
            Event::RequestChunk { key, bytes, finish } => self.request_chunk(key, bytes, finish, now)?,
            Event::WebSocketMessage { key, message } => self.websocket_message(key, message, now)?,
            Event::WebSocketClose { key, close } => self.websocket_close(key, close, now)?,
            Event::Consumed { key, bytes } => self.consumed(key, bytes),
            Event::ClientGone { key } => self.client_gone(key),
            Event::Drain => self.drain(),
        }
        self.tick(now);
        Ok(())
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        if self.actions.is_empty() { self.deadlines.next_due() } else { Some(Time::ZERO) }
    }

    fn stats(&self) -> Stats {
        let held = |key| self.requests.get(key).map_or(0, |request| request.up.held() + request.down.held());
        Stats {
            open: self.requests.len(),
            deadlines: self.deadlines.len(),
            buffered: self.requests.keys().map(held).sum(),
            runners: self.runners.ready_in_all(),
            ..self.counted.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_flight_is_skipped() {
        let mut gateway = Gateway::new(Config::default(), GatewayId([1; 4]), 1, Time::ZERO).unwrap();
        gateway.next_id = u32::MAX - 1;
        let key = Table::new().insert(());
        for id in [[255; 4], [0; 4]] {
            gateway.by_id.insert(RequestId(id), key);
        }
        let ids: Vec<_> = (0..3).map(|_| gateway.next_request_id().0).collect();
        assert_eq!(ids, [[255, 255, 255, 254], [0, 0, 0, 1], [0, 0, 0, 2]]);
    }
}
