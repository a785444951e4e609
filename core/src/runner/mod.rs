//! The runner: dials out to a relay and hands what comes to the user's handlers.

mod config;
mod event;
mod handler;
mod link;
mod request;
mod stats;
mod tunnel;

use core::time::Duration;
use std::collections::VecDeque;

use bytestring::ByteString;
use hashbrown::HashMap;

pub use config::Config;
pub use event::{Action, Event, StopReason};
pub use stats::Stats;

use self::link::Link;
use self::request::{Request, State, WireId};
use crate::directory::Abilities;
use crate::error::{ApiMisuse, ConfigError};
use crate::failure::FailureCode;
use crate::frame::Frame;
use crate::handshake::Hello;
use crate::http::Close;
use crate::machine::flow::{Piece, Turn};
use crate::machine::random::Random;
use crate::machine::table::Table;
use crate::machine::{Machine, RequestKey};
use crate::protocol::tunnel::ToServerTunnelMessage;
use crate::protocol::tunnel::to_server::{Credit, Kind, ResponseChunk, WebSocketClose};
use crate::protocol::{Dialect, MessageId, ToClient, ToServer};
use crate::time::Time;

/// The version of the protocol that this runner speaks.
const VERSION: u16 = 7;

/// The runner's machine.
#[derive(Debug)]
pub struct Runner {
    config: Config,
    key: ByteString,
    random: Random,
    link: Link,
    backoff: Duration,
    /// The id that the relay gave.
    runner_id: ByteString,
    was_ready: bool,
    draining: bool,
    /// Draining has come to the WebSockets.
    closing_sockets: bool,
    /// The outbox has no room.
    blocked: bool,
    requests: Table<Request>,
    by_id: HashMap<WireId, RequestKey>,
    /// How many of the requests are HTTP exchanges.
    exchanges: usize,
    /// Requests that have something for the outbox when it has room again.
    waiting: VecDeque<RequestKey>,
    actions: VecDeque<Action>,
    /// The gauges in it are filled in when it is asked for.
    counted: Stats,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Answered,
    Aborted,
    Failed,
}

impl Runner {
    /// A runner with the key by which it is known when it comes again, and a seed for the jitter of its dialling. Its
    /// first action is to dial.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn new(config: Config, key: ByteString, seed: u64, _now: Time) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut runner = Runner {
            backoff: config.backoff_first,
            config,
            key,
            random: Random::new(seed),
            link: Link::Dialling,
            runner_id: ByteString::new(),
            was_ready: false,
            draining: false,
            closing_sockets: false,
            blocked: false,
            requests: Table::new(),
            by_id: HashMap::new(),
            exchanges: 0,
            waiting: VecDeque::new(),
            actions: VecDeque::new(),
            counted: Stats::default(),
        };
        runner.dial();
        Ok(runner)
    }

    /// What the opening of its WebSocket says.
    pub fn hello(&self) -> Hello {
        Hello {
            protocol_version: VERSION,
            namespace: self.config.namespace.clone(),
            runner_key: self.key.clone(),
            dialect: Dialect::Underpass,
        }
    }

    /// What it can do on a connection: nothing beyond the published protocol, unless the relay chose to.
    fn abilities(&self, dialect: Dialect) -> Abilities {
        match dialect {
            Dialect::Published => Abilities::default(),
            Dialect::Underpass => Abilities {
                dialect,
                streams: true,
                numbers: true,
                credit: Some(self.config.credit),
                stateless: self.config.stateless,
            },
        }
    }

    fn received(&mut self, frame: &Frame, now: Time) {
        let Some(dialect) = self.link.dialect() else { return };
        self.heard(now);
        match ToClient::decode(frame, dialect) {
            Ok(ToClient::TunnelMessage(message)) => self.tunnel_message(message, dialect),
            Ok(message) => self.control(message, now),
            Err(error) => {
                self.counted.malformed += 1;
                self.hang_up(Close::new(1002, format!("runner.malformed: {error}")));
            }
        }
    }

    /// Sends a message of a request.
    fn send(&mut self, key: RequestKey, kind: Kind) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let message_index = match &kind {
            Kind::Credit(_) => 0,
            Kind::ResponseStart(_)
            | Kind::ResponseChunk(_)
            | Kind::ResponseAbort
            | Kind::WebSocketOpen(_)
            | Kind::WebSocketMessage(_)
            | Kind::WebSocketMessageAck(_)
            | Kind::WebSocketClose(_) => request.out.number(),
        };
        let (gateway_id, request_id) = request.id;
        let message_id = MessageId { gateway_id, request_id, message_index };
        let message = ToServer::TunnelMessage(ToServerTunnelMessage { message_id, message_kind: kind });
        self.actions.push_back(Action::Send(message.encode()));
    }

    /// Sends what may be sent of what waits toward the gateway, and tells the handler's pace.
    fn flush(&mut self, key: RequestKey) {
        let blocked = self.blocked;
        while let Some(piece) = self.requests.get_mut(key).and_then(|request| request.out.pop(blocked)) {
            let kind = match piece {
                Piece::Chunk { bytes, finish } => Kind::ResponseChunk(ResponseChunk { body: bytes, finish }),
                Piece::Message(message) => Kind::WebSocketMessage(message.into_wire()),
                Piece::Close(Close { code, reason }) => {
                    Kind::WebSocketClose(WebSocketClose { code, reason, hibernate: false })
                }
            };
            self.send(key, kind);
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        if request.out.is_done() {
            return self.end(key, Ended::Answered);
        }
        match request.out.turn(blocked) {
            Some(Turn::Pause) => self.actions.push_back(Action::PauseSource { key }),
            Some(Turn::Resume) => self.actions.push_back(Action::ResumeSource { key }),
            None => {}
        }
        if blocked && !request.waits {
            request.waits = true;
            self.waiting.push_back(key);
        }
    }

    /// The outbox has room again.
    fn writable(&mut self) {
        self.blocked = false;
        while let Some(key) = self.waiting.pop_front() {
            if let Some(request) = self.requests.get_mut(key) {
                request.waits = false;
                self.flush(key);
            }
        }
    }

    fn consumed(&mut self, key: RequestKey, bytes: usize) {
        let Some(request) = self.requests.get_mut(key) else { return };
        if let Some(total) = request.inward.consumed(bytes) {
            self.send(key, Kind::Credit(Credit { total }));
        }
    }

    fn end(&mut self, key: RequestKey, ended: Ended) {
        let Some(request) = self.requests.remove(key) else { return };
        self.by_id.remove(&request.id);
        if !request.state.is_websocket() {
            self.exchanges -= 1;
        }
        match ended {
            Ended::Answered => self.counted.answered += 1,
            Ended::Aborted => self.counted.aborted += 1,
            Ended::Failed => self.counted.failed += 1,
        }
        // The answer is out, but the handler may still be reading a body that nobody sends any more.
        if ended == Ended::Answered && !request.state.is_websocket() && !request.inward.has_ended() {
            self.actions.push_back(Action::Aborted { key });
        }
        self.go_on_draining();
    }

    /// The connection is gone, and its requests with it.
    fn abort_all(&mut self) {
        let keys: Vec<RequestKey> = self.requests.keys().collect();
        for key in keys {
            self.tell_handler(key, Close::abnormal());
            if let Some(request) = self.requests.remove(key) {
                self.by_id.remove(&request.id);
                self.counted.aborted += 1;
            }
        }
        self.exchanges = 0;
        self.waiting.clear();
    }

    /// Closes all WebSockets behind what their handlers have sent, since this runner goes away.
    fn close_sockets(&mut self) {
        let keys: Vec<RequestKey> = self.requests.keys().collect();
        for key in keys {
            let Some(request) = self.requests.get_mut(key) else { continue };
            let close = Close::new(1001, FailureCode::Draining.as_str());
            match request.state {
                State::OpenWebSocket => {
                    self.actions.push_back(Action::WebSocketClose { key, close: close.clone() });
                    request.out.offer(Piece::Close(close));
                    request.state = State::ClosingWebSocket;
                    self.flush(key);
                }
                State::AwaitingWebSocket => {
                    self.send_close(key, close.clone());
                    self.tell_handler(key, close);
                    self.end(key, Ended::Aborted);
                }
                // It closes as soon as it can.
                State::ClosingWebSocket => {}
                // There are none of those any more.
                State::AwaitingResponse | State::Collecting { .. } | State::Responding => {}
            }
        }
    }
}

impl Machine for Runner {
    type Event = Event;
    type Action = Action;
    type Stats = Stats;

    fn handle(&mut self, event: Event, now: Time) -> Result<(), ApiMisuse> {
        match event {
            Event::Tick => {}
            Event::Connected { dialect } => self.connected(dialect, now)?,
            Event::Received { frame } => self.received(&frame, now),
            Event::DialRefused { status, message } => self.dial_refused(status, message, now)?,
            Event::Disconnected { close } => self.disconnected(close, now),
            Event::PeerBlocked => self.blocked = true,
            Event::PeerWritable => self.writable(),
            Event::ResponseStart { key, head, body } => self.response_start(key, head, body)?,
            Event::ResponseChunk { key, bytes, finish } => self.response_chunk(key, bytes, finish)?,
            Event::HandlerFailed { key } => self.handler_failed(key),
            Event::WebSocketAccept { key } => self.websocket_accept(key)?,
            Event::WebSocketMessage { key, message } => self.websocket_message(key, message)?,
            Event::WebSocketClose { key, close } => self.websocket_close(key, close)?,
            Event::Consumed { key, bytes } => self.consumed(key, bytes),
            Event::Drain => self.drain(),
        }
        self.tick(now);
        Ok(())
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        if self.actions.is_empty() { self.link.next_due() } else { Some(Time::ZERO) }
    }

    fn stats(&self) -> Stats {
        let held = |key| self.requests.get(key).map_or(0, |request| request.out.held() + request.inward.held());
        Stats {
            ready: matches!(self.link, Link::Ready { .. }),
            dials_again: matches!(self.link, Link::Waiting { .. }),
            open: self.requests.len(),
            deadlines: usize::from(self.link.next_due().is_some()),
            buffered: self.requests.keys().map(held).sum(),
            ..self.counted.clone()
        }
    }
}
