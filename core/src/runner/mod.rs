//! The runner: dials out to a relay and hands what comes to the user's handlers.

mod actors;
mod calls;
mod config;
mod drain;
mod due;
mod event;
mod handler;
mod hibernation;
mod link;
mod names;
mod request;
mod stats;
mod tunnel;

use core::time::Duration;
use std::collections::VecDeque;

use bytestring::ByteString;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

pub use config::Config;
pub use event::{Action, Event, StopReason};
pub use names::{ActorLife, Sleeping, SocketId};
pub use stats::{Failures, Stats, Timeouts};

use self::actors::{Absence, Actors};
use self::calls::Calls;
use self::due::{Deadline, Owner};
use self::hibernation::Acks;
use self::link::Link;
use self::request::{Request, WireId};
use crate::directory::Abilities;
use crate::error::{ApiMisuse, ConfigError};
use crate::failure::FailureCode;
use crate::frame::Frame;
use crate::handshake::Hello;
use crate::http::Close;
use crate::machine::deadline::Deadlines;
use crate::machine::flow::{Piece, Turn};
use crate::machine::random::Random;
use crate::machine::table::Table;
use crate::machine::{Machine, RequestKey};
use crate::observe::{End, Latest, News};
use crate::protocol::to_server::{ActorIntent, Event as ActorEvent};
use crate::protocol::tunnel::ToServerTunnelMessage;
use crate::protocol::tunnel::to_server::{Credit, Kind, ResponseChunk, WebSocketClose};
use crate::protocol::{Dialect, ToClient, ToServer};
use crate::time::Time;

/// The version of the protocol that this runner speaks.
const VERSION: u16 = 7;

/// The runner's machine.
#[derive(Debug)]
pub struct Runner {
    config: Config,
    key: ByteString,
    random: Random,
    purpose: Purpose,
    /// Its connections, the older one first.
    links: Vec<Link>,
    /// The number of the last connection on which it said who it is.
    last_greeted: u64,
    /// Whether it left a relay that had not answered its Init, and that may enter it in the directory yet.
    may_evict_itself: bool,
    /// Whether a relay ever took it in.
    was_taken_in: bool,
    /// Not before this is a relay dialled.
    dial_at: Time,
    backoff: Duration,
    requests: Table<Request>,
    /// Those that are on a connection.
    by_id: HashMap<WireId, RequestKey>,
    /// The WebSockets that can hibernate.
    sleepers: HashMap<SocketId, RequestKey>,
    actors: Actors,
    absence: Absence,
    calls: Calls,
    acks: Acks,
    deadlines: Deadlines<Deadline, Owner>,
    /// How many of the requests are HTTP exchanges.
    exchanges: usize,
    actions: VecDeque<Action>,
    news: Latest,
    /// The gauges in it are filled in when it is asked for.
    counted: Stats,
}

/// What a runner is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    /// It takes requests, and dials whenever it needs a connection.
    Serving,
    /// It finishes what is open, at the latest until a time.
    Draining {
        /// It has come to the WebSockets.
        closing_sockets: bool,
        until: Option<Time>,
        /// When it goes, unless something opens.
        leave_at: Option<Time>,
    },
    /// It stops as soon as its connections have ended.
    Stopping(StopReason),
    /// It is over for good.
    Stopped,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Answered,
    Aborted,
    Lost,
    Asleep,
    Failed(FailureCode),
}

impl Ended {
    /// As those who look on are told. Either side may close a WebSocket.
    fn told(self, is_websocket: bool) -> End {
        match self {
            Ended::Answered | Ended::Asleep => End::Done,
            Ended::Aborted if is_websocket => End::Done,
            Ended::Aborted | Ended::Lost => End::Aborted,
            Ended::Failed(code) => End::Failed(code),
        }
    }
}

impl Runner {
    /// A runner with the key by which it is known when it comes again, and a seed for the jitter of its dialling. Its
    /// first action is to dial.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn new(config: Config, key: ByteString, seed: u64, now: Time) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut runner = Runner {
            backoff: config.backoff_first,
            deadlines: due::deadlines(&config),
            config,
            key,
            random: Random::new(seed),
            purpose: Purpose::Serving,
            links: Vec::new(),
            last_greeted: 0,
            may_evict_itself: false,
            was_taken_in: false,
            dial_at: now,
            requests: Table::new(),
            by_id: HashMap::new(),
            sleepers: HashMap::new(),
            actors: Actors::default(),
            absence: Absence::default(),
            calls: Calls::default(),
            acks: Acks::default(),
            exchanges: 0,
            actions: VecDeque::new(),
            news: Latest::default(),
            counted: Stats::default(),
        };
        runner.dial(now);
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

    fn received(&mut self, connection: u64, frame: &Frame, now: Time) {
        let Some(dialect) = self.link(connection).and_then(Link::dialect) else { return };
        self.heard(connection, now);
        match ToClient::decode(frame, dialect) {
            Ok(ToClient::TunnelMessage(message)) => self.tunnel_message(connection, message, dialect, now),
            Ok(message) => self.control(connection, message, now),
            Err(error) => {
                self.counted.malformed += 1;
                self.fail(connection, Close::new(1002, format!("runner.malformed: {error}")), now);
            }
        }
    }

    /// Sends a message of a request, on the connection that the request is on.
    fn send(&mut self, key: RequestKey, message_kind: Kind) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(connection) = request.connection() else { return };
        let message_index = match &message_kind {
            Kind::Credit(_) => 0,
            Kind::ResponseStart(_)
            | Kind::ResponseChunk(_)
            | Kind::ResponseAbort
            | Kind::WebSocketOpen(_)
            | Kind::WebSocketMessage(_)
            | Kind::WebSocketMessageAck(_)
            | Kind::WebSocketClose(_) => request.out.number(),
        };
        let message = ToServerTunnelMessage { message_id: request.socket.message(message_index), message_kind };
        self.tell_relay(connection, &ToServer::TunnelMessage(message));
    }

    /// Sends what may be sent of what waits toward the gateway, and tells the handler's pace.
    fn flush(&mut self, key: RequestKey) {
        let Some(connection) = self.requests.get(key).map(Request::connection) else { return };
        // What is attached to no connection waits.
        let blocked = connection.is_none_or(|connection| self.link(connection).is_some_and(|link| link.blocked));
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
        if let Some(connection) = connection.filter(|_| blocked && !request.waits) {
            request.waits = true;
            if let Some(link) = self.link_mut(connection) {
                link.waiting.push_back(key);
            }
        }
    }

    /// The outbox of a connection has no room.
    fn blocked(&mut self, connection: u64) {
        if let Some(link) = self.link_mut(connection) {
            link.blocked = true;
        }
    }

    /// It has room again.
    fn writable(&mut self, connection: u64) {
        let Some(link) = self.link_mut(connection) else { return };
        link.blocked = false;
        while let Some(key) = self.link_mut(connection).and_then(|link| link.waiting.pop_front()) {
            if let Some(request) = self.requests.get_mut(key).filter(|request| request.connection() == Some(connection))
            {
                request.waits = false;
                self.flush(key);
            }
        }
        self.send_calls();
    }

    fn consumed(&mut self, key: RequestKey, bytes: usize) {
        let Some(request) = self.requests.get_mut(key) else { return };
        if let Some(total) = request.inward.consumed(bytes) {
            self.grant(key, total);
        }
    }

    /// Tells a gateway what its client may send in all.
    fn grant(&mut self, key: RequestKey, total: u32) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(connection) = request.connection() else { return };
        let is_first = !core::mem::replace(&mut request.was_granted, true);
        self.send(key, Kind::Credit(Credit { total }));
        if is_first {
            self.list_granted(connection, key);
        }
    }

    /// Puts a request among those of which a credit total was told. Those that have ended are thrown out when they may
    /// be half of the list, so that it stays as long as what is open, for a constant cost a request.
    fn list_granted(&mut self, connection: u64, key: RequestKey) {
        let Some(link) = self.links.iter_mut().find(|link| link.connection == connection) else { return };
        if link.granted.len() > 2 * link.open {
            let is_here = |request: &Request| request.connection() == Some(connection);
            link.granted.retain(|key| self.requests.get(*key).is_some_and(is_here));
        }
        link.granted.push_back(key);
    }

    /// Tells again the credit total of one request of a connection, in turn: a grant can get lost.
    fn grant_again(&mut self, connection: u64) {
        while let Some(key) = self.link_mut(connection).and_then(|link| link.granted.pop_front()) {
            let request = self.requests.get(key).filter(|request| request.connection() == Some(connection));
            let Some(total) = request.and_then(|request| request.inward.told()) else { continue };
            if let Some(link) = self.link_mut(connection) {
                link.granted.push_back(key);
            }
            return self.send(key, Kind::Credit(Credit { total }));
        }
    }

    fn end(&mut self, key: RequestKey, ended: Ended) {
        self.leave_place(key);
        let Some(request) = self.requests.remove(key) else { return };
        if !request.state.is_websocket() {
            self.exchanges -= 1;
        }
        if request.hibernation.is_some() {
            self.sleepers.remove(&request.socket);
        }
        if let Some(life) = request.actor.and_then(|actor| self.actors.life_mut(actor)) {
            life.requests.remove(&key);
        }
        let is_websocket = request.state.is_websocket();
        self.news.push(News::Ended { request: request.socket.into(), end: ended.told(is_websocket) });
        match ended {
            Ended::Answered => self.counted.answered += 1,
            Ended::Aborted => self.counted.aborted += 1,
            Ended::Lost => self.counted.lost += 1,
            Ended::Asleep => self.counted.asleep += 1,
            Ended::Failed(code) => {
                self.counted.failed += 1;
                self.counted.failures.count(code);
            }
        }
        // The answer is out, but the handler may still be reading a body that nobody sends any more.
        if ended == Ended::Answered && !request.state.is_websocket() && !request.inward.has_ended() {
            self.actions.push_back(Action::Aborted { key });
        }
    }

    /// A connection is gone, and its requests with it, but for the WebSockets that can hibernate.
    fn abort_all(&mut self, connection: u64, now: Time) {
        for key in self.keys_on(connection) {
            if self.requests.get(key).is_some_and(|request| request.hibernation.is_some()) {
                self.detach(key, now);
            } else {
                self.tell_handler(key, Close::abnormal());
                self.end(key, Ended::Lost);
            }
        }
    }

    /// Does what has become due, or possible, with what happened.
    fn settle(&mut self, now: Time) {
        self.leave_draining_relay(now);
        self.look_at_links(now);
        self.look_at_deadlines(now);
        self.go_on_draining(now);
        self.look_at_absence(now);
        self.finish_stopping();
    }

    /// All that is waited for once at a time.
    fn waits(&self) -> impl Iterator<Item = Time> {
        let drain = match self.purpose {
            Purpose::Draining { until, leave_at, .. } => [until, leave_at],
            Purpose::Serving | Purpose::Stopping(_) | Purpose::Stopped => [None, None],
        };
        let actors = [self.acks.due, self.absence.lost_at];
        let waits = drain.into_iter().chain(actors).flatten();
        self.links.iter().filter_map(Link::next_due).chain(self.next_dial()).chain(waits)
    }
}

/// What a runner is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its limits and deadlines.
    pub config: Config,
    /// By what it is known when it comes again.
    pub key: ByteString,
    /// From which its random numbers come.
    pub seed: u64,
}

impl Machine for Runner {
    type Origin = Origin;
    type Event = Event;
    type Action = Action;
    type Stats = Stats;

    fn made_of(Origin { config, key, seed }: Origin, now: Time) -> Result<Self, ConfigError> {
        Runner::new(config, key, seed, now)
    }

    fn handle(&mut self, event: Event, now: Time) -> Result<(), ApiMisuse> {
        self.news.begin();
        match event {
            Event::Tick => {}
            Event::Connected { connection, dialect } => self.connected(connection, dialect, now)?,
            Event::Received { connection, frame } => self.received(connection, &frame, now),
            Event::DialRefused { connection, status, message } => {
                self.dial_refused(connection, status, message, now)?;
            }
            Event::Disconnected { connection, close } => self.disconnected(connection, close, now),
            Event::PeerBlocked { connection } => self.blocked(connection),
            Event::PeerWritable { connection } => self.writable(connection),
            Event::ResponseStart { key, head, body } => self.response_start(key, head, body)?,
            Event::ResponseChunk { key, bytes, finish } => self.response_chunk(key, bytes, finish)?,
            Event::HandlerFailed { key } => self.handler_failed(key),
            Event::WebSocketAccept { key, can_hibernate } => self.websocket_accept(key, can_hibernate, now)?,
            Event::WebSocketRestore { key, last } => self.websocket_restore(key, last)?,
            Event::Handled { key, number } => self.handled(key, number, now)?,
            Event::ActorRunning { actor } => self.actor_running(&actor, now)?,
            Event::ActorStopped { actor, error } => self.actor_stopped(&actor, error, now),
            Event::ActorSleep { actor } => self.actor_wishes(&actor, ActorIntent::Sleep),
            Event::ActorDestroy { actor } => self.actor_wishes(&actor, ActorIntent::Stop),
            Event::ActorAlarm { actor, at } => self.actor_says(&actor, ActorEvent::ActorSetAlarm { alarm_ts: at }),
            Event::Kv { actor, number, call } => self.kv(&actor, number, call, now),
            Event::WebSocketMessage { key, message } => self.websocket_message(key, message)?,
            Event::WebSocketClose { key, close } => self.websocket_close(key, close)?,
            Event::Consumed { key, bytes } => self.consumed(key, bytes),
            Event::Drain => self.drain(now),
        }
        self.settle(now);
        Ok(())
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        if self.actions.is_empty() { self.waits().chain(self.deadlines.next_due()).min() } else { Some(Time::ZERO) }
    }

    fn news(&self) -> &[News] {
        self.news.as_slice()
    }

    fn stats(&self) -> Stats {
        let is_detached =
            |key: &RequestKey| self.requests.get(*key).is_some_and(|request| request.connection().is_none());
        let held = |key| self.requests.get(key).map_or(0, |request| request.out.held() + request.inward.held());
        Stats {
            ready: self.links.iter().any(Link::is_ready),
            dials_again: self.next_dial().is_some(),
            connections: self.links.len(),
            open: self.requests.len(),
            actors: self.actors.living(),
            ended_actors: self.actors.ended(),
            detached_sockets: self.requests.keys().filter(is_detached).count(),
            kv_open: self.calls.len(),
            deadlines: self.waits().count() + self.deadlines.len(),
            buffered: self.requests.keys().map(held).sum::<usize>() + self.calls.bytes(),
            ..self.counted.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::tunnel::ToClientTunnelMessage;
    use crate::protocol::tunnel::to_client::{Kind as Piece, RequestChunk, RequestStart};
    use crate::protocol::{GatewayId, Map, MessageId, RequestId, to_client};

    fn handle(runner: &mut Runner, event: Event) -> Vec<Action> {
        runner.handle(event, Time::ZERO).expect("no misuse");
        core::iter::from_fn(|| runner.poll_action()).collect()
    }

    fn hears(runner: &mut Runner, message: ToClient) -> Vec<Action> {
        handle(runner, Event::Received { connection: 1, frame: message.encode() })
    }

    fn hears_of(runner: &mut Runner, request: u8, message_index: u16, message_kind: Piece) -> Vec<Action> {
        let message_id =
            MessageId { gateway_id: GatewayId([1; 4]), request_id: RequestId([request; 4]), message_index };
        hears(runner, ToClient::TunnelMessage(ToClientTunnelMessage { message_id, message_kind }))
    }

    /// A request begins, and so much of its body is taken that more credit is granted.
    fn begins(runner: &mut Runner, request: u8) {
        let [actor_id, method, path] = ["a", "POST", "/"].map(ByteString::from_static);
        let start = RequestStart { actor_id, method, path, headers: Map::default(), body: None, stream: true };
        let key = match hears_of(runner, request, 0, Piece::RequestStart(start)).pop() {
            Some(Action::Request { key, .. }) => key,
            other => panic!("{other:?}"),
        };
        let body = Bytes::from_static(&[0; 64]);
        hears_of(runner, request, 1, Piece::RequestChunk(RequestChunk { body, finish: false }));
        handle(runner, Event::Consumed { key, bytes: 64 });
    }

    #[test]
    fn requests_that_have_ended_do_not_heap_up_among_those_that_were_granted_more() {
        let config = Config { credit: 64, ..Config::default() };
        let mut runner = Runner::new(config, "key".into(), 1, Time::ZERO).expect("a runner");
        handle(&mut runner, Event::Tick);
        handle(&mut runner, Event::Connected { connection: 1, dialect: Dialect::Underpass });
        let metadata = to_client::ProtocolMetadata {
            runner_lost_threshold: 1,
            actor_stop_threshold: 1,
            serverless_drain_grace_period: None,
        };
        hears(&mut runner, ToClient::Init(to_client::Init { runner_id: "r".into(), metadata }));
        for request in 0..10 {
            begins(&mut runner, request);
        }
        assert_eq!((runner.links[0].granted.len(), runner.links[0].open), (10, 10));
        for request in 0..10 {
            hears_of(&mut runner, request, 2, Piece::RequestAbort);
        }
        // One after the other: none but the last is open.
        for request in 10..100 {
            begins(&mut runner, request);
            assert!(runner.links[0].granted.len() <= 11);
            hears_of(&mut runner, request, 2, Piece::RequestAbort);
        }
        assert!(runner.links[0].granted.len() <= 3);
    }
}
