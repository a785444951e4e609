//! Each machine in much noise: it never panics, keeps its promises, and when all is over it holds nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use underpass_core::bus::{PublishError, Rejected, Subject};
use underpass_core::directory::{Abilities, ChangeOutcome, Revision, RunnerState, Versioned};
use underpass_core::http::Body;
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::protocol::{
    Dialect, GatewayId, MessageId, RequestId, ToClient, ToGateway, ToRunner, ToServer, to_runner,
};
use underpass_core::{Frame, Gateway, Machine, Relay, RequestKey, Runner, Time, gateway, relay, runner};
use underpass_tests::given;
use underpass_tests::noise::Noise;
use underpass_tests::story::AtRest;
use underpass_tests::wire::{
    GATEWAY, abilities, connection, gone, message_id, open, open_websocket, record, relay_id, seen, status, to_client,
    to_gateway, to_server,
};

const SEEDS: [u64; 4] = [1, 2, 3, 0xdead_beef];
const EVENTS: usize = 40_000;

/// How long things take.
fn passes(noise: &mut Noise) -> Duration {
    match noise.below(400) {
        0 => Duration::from_secs(noise.below(30) as u64),
        1..40 => Duration::from_millis(noise.below(500) as u64),
        _ => Duration::ZERO,
    }
}

#[track_caller]
fn holds_nothing<M: AtRest>(machine: &M) {
    let left: Vec<_> = machine.holds().into_iter().filter(|(_, count)| *count > 0).collect();
    assert!(left.is_empty(), "held at the end: {left:?}");
    assert_eq!(machine.poll_timeout(), None);
}

const REASONS: [PublishError; 4] =
    [PublishError::Full, PublishError::TooLarge, PublishError::NoResponders, PublishError::Disconnected];

/// A gateway, and what its clients must believe.
struct Clients {
    gateway: Gateway,
    now: Time,
    noise: Noise,
    /// Those that have had no end, with their wire ids and the numbers of their runners' next messages.
    open: BTreeMap<RequestKey, (RequestId, u16)>,
    ended: VecDeque<RequestKey>,
    paused: BTreeSet<RequestKey>,
    published: VecDeque<underpass_core::bus::Publication>,
    ends: [u64; 2],
}

impl Clients {
    fn new(seed: u64) -> Self {
        let config =
            gateway::Config { max_requests: 60, max_requests_per_runner: 25, ..given::gateway::small_config() };
        Clients {
            gateway: Gateway::new(config, GATEWAY, seed, Time::ZERO).expect("a configuration"),
            now: Time::ZERO,
            noise: Noise::new(seed),
            open: BTreeMap::new(),
            ended: VecDeque::new(),
            paused: BTreeSet::new(),
            published: VecDeque::new(),
            ends: [0; 2],
        }
    }

    fn key(&mut self) -> Option<RequestKey> {
        if self.noise.once_in(20) {
            return self.ended.front().copied();
        }
        let keys: Vec<_> = self.open.keys().copied().collect();
        (!keys.is_empty()).then(|| self.noise.pick(&keys))
    }

    fn end(&mut self, key: RequestKey) {
        assert!(self.open.remove(&key).is_some(), "a second end of {key:?}");
        self.paused.remove(&key);
        self.ended.push_front(key);
        self.ended.truncate(20);
        self.ends[0] += 1;
    }

    fn event(&mut self) -> Option<gateway::Event> {
        use gateway::Event;
        let noise = &mut self.noise;
        Some(match noise.below(24) {
            0 | 1 => {
                let state =
                    noise.pick(&[RunnerState::Ready, RunnerState::Ready, RunnerState::Full, RunnerState::Draining]);
                let (key, number) = noise.pick(&[("a", 1), ("b", 2), ("c", 3)]);
                let move_to = if noise.once_in(8) { 10 } else { 0 };
                let published = given::gateway::published_abilities();
                let abilities: Abilities = noise.pick(&[abilities(15), abilities(40), published]);
                let seen =
                    if noise.once_in(12) { gone(key) } else { seen(key, record(number + move_to, abilities, state)) };
                if !noise.once_in(6) {
                    return Some(Event::Tick);
                }
                Event::Directory(seen)
            }
            2 if noise.once_in(10) => Event::NoResponders { to: connection(noise.below(5) as u64) },
            2 | 3 => {
                let publication = self.published.pop_front()?;
                if !noise.once_in(10) {
                    return Some(Event::Tick);
                }
                Event::PublishFailed(Rejected { publication, reason: noise.pick(&REASONS) })
            }
            4..7 => Event::Consumed { key: self.key()?, bytes: self.noise.below(40) },
            7 if noise.once_in(3) => Event::ClientGone { key: self.key()? },
            7..10 => {
                let (bytes, finish) = (noise.zeros(30), noise.once_in(8));
                Event::RequestChunk { key: self.key()?, bytes, finish }
            }
            10..13 => Event::WebSocketMessage { message: noise.message(), key: self.key()? },
            13 if noise.once_in(3) => Event::WebSocketClose { close: noise.close(), key: self.key()? },
            13 => Event::WallClock { unix_ms: noise.any() as i64 },
            _ => {
                let key = self.key();
                let (id, number) = match key.and_then(|key| self.open.get_mut(&key)) {
                    Some((id, next)) => {
                        let number = *next;
                        (*id, number)
                    }
                    None => (RequestId([9; 4]), 0),
                };
                let kind = self.noise.answer();
                let stray = self.noise.once_in(40);
                let mut message_id = message_id(id, if stray { self.noise.any() as u16 } else { number });
                if self.noise.once_in(40) {
                    message_id.gateway_id = GatewayId::ZERO;
                } else if !stray
                    && !matches!(kind, to_server::Kind::Credit(_))
                    && let Some((_, next)) = key.and_then(|key| self.open.get_mut(&key))
                {
                    *next = number.wrapping_add(1);
                }
                let frame = to_gateway(message_id, kind).into_bytes();
                Event::Received { frame: self.noise.mutated(frame).into() }
            }
        })
    }

    fn step(&mut self) {
        self.now += passes(&mut self.noise);
        if self.noise.once_in(8) {
            let body =
                self.noise.pick(&[Body::None, Body::Stream, Body::Stream, Body::Whole(Bytes::from_static(&[0; 35]))]);
            let wanted = if self.noise.once_in(2) { open_websocket("/") } else { open("POST", "/", body) };
            if let Ok(key) = self.gateway.open(wanted, self.now) {
                let id = self.gateway.request_name(key).expect("it is open").request_id;
                self.open.insert(key, (id, 0));
            }
            self.take();
        }
        let Some(event) = self.event() else { return };
        let ends = match &event {
            gateway::Event::ClientGone { key } | gateway::Event::WebSocketClose { key, .. } => Some(*key),
            _ => None,
        };
        let outcome = self.gateway.handle(event, self.now);
        if outcome.is_err() {
            assert_eq!(self.gateway.poll_action(), None, "a misuse wants nothing");
        } else if let Some(key) = ends
            && self.open.contains_key(&key)
        {
            self.end(key);
        }
        self.take();
    }

    /// Takes what the gateway wants, and believes it only if it makes sense.
    fn take(&mut self) {
        use gateway::Action;
        while let Some(action) = self.gateway.poll_action() {
            let (key, is_end) = match action {
                Action::Publish(publication) => {
                    self.published.push_back(publication);
                    if self.published.len() > 10 {
                        self.published.pop_front();
                    }
                    continue;
                }
                Action::Drained => continue,
                Action::ResponseStart { key, body, .. } => (key, body != Body::Stream),
                Action::ResponseChunk { key, finish, .. } => (key, finish),
                Action::WebSocketOpened { key } | Action::WebSocketMessage { key, .. } => (key, false),
                Action::WebSocketClose { key, .. } | Action::Failed { key, .. } => (key, true),
                Action::PauseSource { key } => {
                    assert!(self.paused.insert(key), "paused twice");
                    (key, false)
                }
                Action::ResumeSource { key } => {
                    assert!(self.paused.remove(&key), "resumed without a pause");
                    (key, false)
                }
            };
            assert!(self.open.contains_key(&key), "something behind the end of {key:?}");
            if is_end {
                self.end(key);
                self.ends[1] += 1;
            }
        }
    }

    fn over(mut self) {
        let keys: Vec<_> = self.open.keys().copied().collect();
        for key in keys {
            self.gateway.handle(gateway::Event::ClientGone { key }, self.now).expect("no misuse");
            self.end(key);
            self.take();
        }
        self.now += Duration::from_secs(3_600);
        self.gateway.handle(gateway::Event::Tick, self.now).expect("a tick is no misuse");
        self.take();
        holds_nothing(&self.gateway);
        let stats = self.gateway.stats();
        assert_eq!(stats.opened, stats.answered + stats.client_gone + stats.failed, "{stats:?}");
        assert_eq!(stats.opened, self.ends[0]);
        assert!(stats.answered > 50 && stats.failed > 50 && self.ends[1] > 100, "too quiet: {stats:?}");
        assert!(stats.malformed > 100 && stats.stale > 50 && stats.foreign > 50, "too quiet: {stats:?}");
    }
}

#[test]
fn a_gateway_in_noise_ends_each_request_once_and_holds_nothing_when_all_is_over() {
    for seed in SEEDS {
        let mut clients = Clients::new(seed);
        for _ in 0..EVENTS {
            clients.step();
        }
        clients.over();
    }
}

/// A relay, its adapter, and what was ever asked of whom.
struct Connections {
    relay: Relay,
    now: Time,
    noise: Noise,
    last: u64,
    /// Whether each was told to close.
    open: BTreeMap<u64, bool>,
    /// Those that have said who they are, and whether they were greeted.
    introduced: BTreeMap<u64, bool>,
    changes: BTreeMap<u64, usize>,
    revision: u64,
    asked: BTreeSet<(u64, RequestId)>,
    published: VecDeque<underpass_core::bus::Publication>,
}

impl Connections {
    fn new(seed: u64) -> Self {
        let config = relay::Config {
            max_connections: 6,
            max_routes_per_connection: 12,
            max_tombstones: 20,
            ..given::relay::small_config()
        };
        Connections {
            relay: Relay::new(config, relay_id(), seed, Time::ZERO).expect("a configuration"),
            now: Time::ZERO,
            noise: Noise::new(seed),
            last: 0,
            open: BTreeMap::new(),
            introduced: BTreeMap::new(),
            changes: BTreeMap::new(),
            revision: 0,
            asked: BTreeSet::new(),
            published: VecDeque::new(),
        }
    }

    fn connection(&mut self) -> u64 {
        let numbers: Vec<_> = self.open.keys().copied().collect();
        if numbers.is_empty() || self.noise.once_in(50) { self.last + 1 } else { self.noise.pick(&numbers) }
    }

    fn id(&mut self) -> MessageId {
        let request = RequestId([self.noise.below(30) as u8; 4]);
        let mut id = message_id(request, self.noise.below(4) as u16);
        if self.noise.once_in(60) {
            id.gateway_id = GatewayId::ZERO;
        }
        id
    }

    fn outcome(&mut self, number: u64) -> ChangeOutcome {
        self.revision += 1;
        let revision = Revision(self.revision);
        if !self.noise.once_in(15) {
            return ChangeOutcome::Stored(revision);
        }
        let record = |number| record(number, abilities(15), RunnerState::Ready);
        match self.noise.below(5) {
            0 => ChangeOutcome::Unavailable,
            1 => ChangeOutcome::Conflict(None),
            2 => ChangeOutcome::Conflict(Some(Versioned { revision, record: record(number) })),
            3 => {
                let mut away = record(number);
                away.connection = None;
                ChangeOutcome::Conflict(Some(Versioned { revision, record: away }))
            }
            _ => {
                let other = self.noise.below(self.last as usize + 2) as u64;
                ChangeOutcome::Conflict(Some(Versioned { revision, record: record(other) }))
            }
        }
    }

    fn event(&mut self) -> relay::Event {
        use relay::Event;
        match self.noise.below(40) {
            0 if self.open.len() < 6 || self.noise.once_in(20) => {
                self.last += 1;
                let key = self.noise.pick(&["a", "b", "c", "d"]);
                let mut hello = given::relay::hello(key, Dialect::Underpass);
                if self.noise.once_in(6) {
                    hello.dialect = Dialect::Published;
                }
                if self.noise.once_in(40) {
                    hello.protocol_version = self.noise.any() as u16;
                }
                self.open.insert(self.last, false);
                Event::Connected { connection: self.last, hello }
            }
            0 => Event::Tick,
            1 => match self.open.iter().find(|(_, closed)| **closed).map(|(connection, _)| *connection) {
                Some(connection) => Event::Disconnected { connection },
                None if self.noise.once_in(40) => Event::Disconnected { connection: self.connection() },
                None => Event::Tick,
            },
            2 => Event::PeerBlocked { connection: self.connection() },
            3..7 => Event::PeerWritable { connection: self.connection() },
            7 => match self.published.pop_front() {
                Some(publication) if self.noise.once_in(5) => {
                    Event::PublishFailed(Rejected { publication, reason: self.noise.pick(&REASONS) })
                }
                Some(_) | None => Event::Tick,
            },
            8..12 => {
                let Some(connection) = self.changes.keys().next().copied() else { return Event::Tick };
                if let Some(count) = self.changes.get_mut(&connection) {
                    *count -= 1;
                    if *count == 0 {
                        self.changes.remove(&connection);
                    }
                }
                Event::Directory { connection, outcome: self.outcome(connection) }
            }
            12 if self.noise.once_in(30) => {
                let connection = self.connection();
                self.says(connection, &given::relay::init(Some(given::relay::METADATA)))
            }
            12..18 => self.runner_says(|_| given::relay::pong().encode().into_bytes()),
            18 if self.noise.once_in(30) => self.runner_says(|_| ToServer::Stopping.encode().into_bytes()),
            18 => {
                let id = self.id();
                let ping = to_runner::Ping { gateway_id: id.gateway_id, request_id: id.request_id, ts: 0 };
                self.brings(ToRunner::Ping(ping).encode_framed())
            }
            19 if self.noise.once_in(60) => self.brings(ToRunner::Close.encode_framed()),
            19..30 => {
                let (id, kind) = (self.id(), self.noise.piece());
                let connection = self.connection();
                self.asked.insert((connection, id.request_id));
                let frame = underpass_tests::wire::to_runner(connection, id, kind).frame.into_bytes();
                Event::FromBus { connection, frame: self.noise.mutated(frame).into() }
            }
            _ => self.runner_says(|connections| {
                let (id, kind) = (connections.id(), connections.noise.answer());
                let frame = to_server(id, kind).into_bytes();
                // What is malformed closes the connection: not too often.
                if connections.noise.once_in(20) { connections.noise.mutated(frame) } else { frame }
            }),
        }
    }

    /// A runner says something, mostly not before it may.
    fn runner_says(&mut self, what: impl FnOnce(&mut Self) -> Bytes) -> relay::Event {
        let connection = self.connection();
        match self.introduced.get(&connection) {
            None if !self.noise.once_in(20) => {
                self.introduced.insert(connection, false);
                self.says(connection, &given::relay::init(Some(given::relay::METADATA)))
            }
            Some(false) if !self.noise.once_in(200) => relay::Event::Tick,
            None | Some(_) => relay::Event::FromRunner { connection, frame: what(self) },
        }
    }

    fn says(&mut self, connection: u64, message: &ToServer) -> relay::Event {
        relay::Event::FromRunner { connection, frame: message.encode().into_bytes() }
    }

    fn brings(&mut self, frame: Frame) -> relay::Event {
        relay::Event::FromBus { connection: self.connection(), frame }
    }

    fn step(&mut self) {
        self.now += passes(&mut self.noise);
        let event = self.event();
        self.handle(event);
    }

    fn handle(&mut self, event: relay::Event) {
        let ended = match &event {
            relay::Event::Disconnected { connection } => Some(*connection),
            _ => None,
        };
        if self.relay.handle(event, self.now).is_err() {
            assert_eq!(self.relay.poll_action(), None, "a misuse wants nothing");
        }
        if let Some(ended) = ended {
            self.open.remove(&ended);
        }
        self.take();
        let stats = self.relay.stats();
        assert!(stats.tombstones <= 20 && stats.connections <= 7 + self.open.len(), "{stats:?}");
        // 200 bytes a connection, and what tells runners of ends and the relay's pings besides.
        assert!(stats.buffered <= self.open.len() * 2_000, "{stats:?}");
    }

    fn take(&mut self) {
        use relay::Action;
        while let Some(action) = self.relay.poll_action() {
            match action {
                Action::Send { connection, frame } => {
                    assert_eq!(self.open.get(&connection), Some(&false), "a frame for a connection that is closed");
                    if matches!(ToClient::decode(&frame, Dialect::Underpass), Ok(ToClient::Init(_))) {
                        self.introduced.insert(connection, true);
                    }
                }
                Action::Close { connection, .. } => {
                    assert_eq!(self.open.insert(connection, true), Some(false), "a second close");
                }
                Action::Publish(publication) => {
                    self.check(&publication);
                    self.published.push_back(publication);
                    if self.published.len() > 10 {
                        self.published.pop_front();
                    }
                }
                Action::Directory { connection, .. } => {
                    let count = self.changes.entry(connection).or_default();
                    *count += 1;
                    assert_eq!(*count, 1, "two changes at a time");
                }
                Action::Log { .. } | Action::Drained => {}
            }
        }
    }

    /// Nobody gets an answer who did not ask.
    fn check(&self, publication: &underpass_core::bus::Publication) {
        let (Subject::Gateway(gateway), Some(Subject::Connection(from))) = (publication.to, publication.reply_to)
        else {
            return;
        };
        assert_ne!(gateway, GatewayId::ZERO);
        let Ok(ToGateway::TunnelMessage(message)) = ToGateway::decode_framed(&publication.frame, Dialect::Underpass)
        else {
            return;
        };
        assert_eq!(message.message_id.gateway_id, gateway);
        let asked = self.asked.contains(&(from.number, message.message_id.request_id));
        let may_be_mutated =
            gateway != GATEWAY || !message.message_id.request_id.0.windows(2).all(|two| two[0] == two[1]);
        assert!(
            asked || may_be_mutated || message.message_kind == to_server::Kind::ResponseAbort,
            "a stranger's answer: {message:?}"
        );
    }

    fn over(mut self) {
        let numbers: Vec<_> = self.open.keys().copied().collect();
        for connection in numbers {
            self.handle(relay::Event::Disconnected { connection });
        }
        while let Some(connection) = self.changes.keys().next().copied() {
            self.changes.remove(&connection);
            let outcome = ChangeOutcome::Stored(Revision(0));
            self.handle(relay::Event::Directory { connection, outcome });
        }
        self.now += Duration::from_secs(60);
        self.handle(relay::Event::Tick);
        self.handle(relay::Event::Drain);
        holds_nothing(&self.relay);
        let stats = self.relay.stats();
        assert!(stats.opened > 500 && stats.to_gateways > 300 && stats.to_runners > 500, "too quiet: {stats:?}");
        assert!(stats.late > 100 && stats.unrouted > 100 && stats.malformed > 50, "too quiet: {stats:?}");
    }
}

#[test]
fn a_relay_in_noise_answers_no_stranger_and_holds_nothing_when_all_is_over() {
    for seed in SEEDS {
        let mut connections = Connections::new(seed);
        for _ in 0..EVENTS {
            connections.step();
        }
        connections.over();
    }
}

/// A runner, its adapter, and what its handlers must believe.
struct Handlers {
    runner: Runner,
    now: Time,
    noise: Noise,
    /// Whether frames can be sent, whether a socket is there, whether one is being opened.
    socket: Socket,
    stopped: bool,
    /// What handlers have, and what they were told is over.
    open: BTreeMap<RequestKey, bool>,
    next: BTreeMap<u8, u16>,
    paused: BTreeSet<RequestKey>,
    sent: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Socket {
    None,
    Dialling,
    Open,
    Closing,
}

impl Handlers {
    fn new(seed: u64) -> Self {
        let config = runner::Config { max_requests: 20, ..given::runner::small_config(30) };
        let mut handlers = Handlers {
            runner: Runner::new(config, "key".into(), seed, Time::ZERO).expect("a configuration"),
            now: Time::ZERO,
            noise: Noise::new(seed),
            socket: Socket::None,
            stopped: false,
            open: BTreeMap::new(),
            next: BTreeMap::new(),
            paused: BTreeSet::new(),
            sent: 0,
        };
        handlers.take();
        handlers
    }

    fn event(&mut self) -> runner::Event {
        use runner::Event;
        match self.socket {
            Socket::Dialling if self.noise.once_in(4) => {
                let dialect = if self.noise.once_in(5) { Dialect::Published } else { Dialect::Underpass };
                return match self.noise.below(6) {
                    0 => Event::Disconnected { close: None },
                    1 => Event::DialRefused { status: 503, message: "".into() },
                    _ => Event::Connected { dialect },
                };
            }
            Socket::Closing if self.noise.once_in(4) => return Event::Disconnected { close: Some(self.noise.close()) },
            Socket::Open if self.noise.once_in(2_000) => return Event::Disconnected { close: None },
            Socket::None | Socket::Dialling | Socket::Open | Socket::Closing => {}
        }
        let key = {
            let keys: Vec<_> = self.open.keys().copied().collect();
            (!keys.is_empty()).then(|| self.noise.pick(&keys))
        };
        let noise = &mut self.noise;
        match (noise.below(24), key) {
            (0, _) => Event::PeerBlocked,
            (1..4, _) => Event::PeerWritable,
            (4, _) => Event::Received { frame: given::runner::greeting().encode() },
            (5, _) => Event::Received { frame: given::runner::ping(0).encode() },
            (6..9, Some(key)) => Event::Consumed { key, bytes: noise.below(40) },
            (9, Some(key)) => {
                let body =
                    noise.pick(&[Body::None, Body::Stream, Body::Stream, Body::Whole(Bytes::from_static(&[0; 35]))]);
                Event::ResponseStart { key, head: status(200), body }
            }
            (10..12, Some(key)) => Event::ResponseChunk { key, bytes: noise.zeros(30), finish: noise.once_in(8) },
            (12, Some(key)) if noise.once_in(8) => Event::HandlerFailed { key },
            (12 | 13, Some(key)) => Event::WebSocketAccept { key },
            (14, Some(key)) => Event::WebSocketMessage { key, message: noise.message() },
            (15, Some(key)) if noise.once_in(4) => Event::WebSocketClose { key, close: noise.close() },
            _ => {
                let request = noise.below(30) as u8;
                let kind = noise.piece();
                let next = self.next.entry(request).or_default();
                let opens = matches!(kind, to_client::Kind::RequestStart(_) | to_client::Kind::WebSocketOpen(_));
                if opens && noise.once_in(2) {
                    *next = 0;
                }
                let number = if noise.once_in(40) { noise.any() as u16 } else { *next };
                if !matches!(kind, to_client::Kind::Credit(_)) {
                    *next = number.wrapping_add(1);
                }
                let frame = to_client(given::runner::of(request, number), kind).into_bytes();
                let frame = if noise.once_in(100) { noise.mutated(frame) } else { frame };
                Event::Received { frame: frame.into() }
            }
        }
    }

    fn step(&mut self) {
        self.now += passes(&mut self.noise) / 4;
        let event = self.event();
        self.handle(event);
        assert!(!self.stopped, "nothing told it to stop");
        // Handlers forget what is over.
        if self.noise.once_in(20) {
            self.open.retain(|_, over| !*over);
        }
    }

    fn handle(&mut self, event: runner::Event) {
        match &event {
            runner::Event::Connected { .. } => self.socket = Socket::Open,
            runner::Event::Disconnected { .. } | runner::Event::DialRefused { .. } => self.socket = Socket::None,
            _ => {}
        }
        if self.runner.handle(event, self.now).is_err() {
            assert_eq!(self.runner.poll_action(), None, "a misuse wants nothing");
        }
        self.take();
    }

    fn take(&mut self) {
        use runner::Action;
        while let Some(action) = self.runner.poll_action() {
            let key = match action {
                Action::Dial => {
                    assert_eq!(self.socket, Socket::None, "a second socket");
                    self.socket = Socket::Dialling;
                    continue;
                }
                Action::Send(frame) => {
                    assert_eq!(self.socket, Socket::Open, "a frame without a socket");
                    ToServer::decode(&frame, Dialect::Underpass).expect("what a runner sends can be read");
                    self.sent += 1;
                    continue;
                }
                Action::Disconnect(_) => {
                    assert_eq!(self.socket, Socket::Open, "no socket to close");
                    self.socket = Socket::Closing;
                    continue;
                }
                Action::Ready { .. } => continue,
                Action::Stopped(_) => {
                    self.stopped = true;
                    continue;
                }
                Action::Request { key, .. } | Action::WebSocketOpen { key, .. } => {
                    assert_eq!(self.open.insert(key, false), None, "a key that is in use");
                    continue;
                }
                Action::Aborted { key } | Action::WebSocketClose { key, .. } => {
                    assert_eq!(self.open.insert(key, true), Some(false), "a second end of {key:?}");
                    self.paused.remove(&key);
                    continue;
                }
                Action::RequestChunk { key, .. } | Action::WebSocketMessage { key, .. } => key,
                Action::PauseSource { key } => {
                    assert!(self.paused.insert(key), "paused twice");
                    key
                }
                Action::ResumeSource { key } => {
                    assert!(self.paused.remove(&key), "resumed without a pause");
                    key
                }
            };
            assert_eq!(self.open.get(&key), Some(&false), "something behind the end of {key:?}");
        }
    }

    fn over(mut self) {
        if self.socket == Socket::Closing {
            self.handle(runner::Event::Disconnected { close: None });
        }
        self.handle(runner::Event::Drain);
        if !self.stopped {
            self.handle(runner::Event::Disconnected { close: None });
        }
        assert!(self.stopped);
        self.now += Duration::from_secs(3_600);
        self.handle(runner::Event::Tick);
        holds_nothing(&self.runner);
        let stats = self.runner.stats();
        assert_eq!(stats.opened, stats.answered + stats.aborted + stats.failed, "{stats:?}");
        assert!(stats.answered > 50 && stats.aborted > 50 && stats.failed > 50, "too quiet: {stats:?}");
        assert!(stats.gaps > 20 && stats.late > 100 && stats.dials > 10 && self.sent > 1_000, "too quiet: {stats:?}");
    }
}

#[test]
fn a_runner_in_noise_ends_each_request_once_and_holds_nothing_when_all_is_over() {
    for seed in SEEDS {
        let mut handlers = Handlers::new(seed);
        for _ in 0..EVENTS {
            handlers.step();
        }
        handlers.over();
    }
}

#[test]
fn the_same_seed_makes_the_same_noise() {
    let traces = || {
        let mut clients = Clients::new(5);
        let mut counted = Vec::new();
        for _ in 0..500 {
            clients.step();
            counted.push(format!("{:?}", clients.gateway.stats()));
        }
        counted
    };
    assert_eq!(traces(), traces());
}
