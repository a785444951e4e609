//! A relay in noise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::given;
use crate::wire::{GATEWAY, abilities, connection, message_id, record, relay_id, to_server};
use bytes::Bytes;
use underpass_core::bus::{Address, ConnectionId, PublishError, Rejected, RelayId, Subject};
use underpass_core::directory::{ChangeOutcome, Revision, RunnerState, Versioned};
use underpass_core::protocol::tunnel::to_server;
use underpass_core::protocol::{
    Dialect, GatewayId, MessageId, RequestId, ToClient, ToGateway, ToRunner, ToServer, to_runner,
};
use underpass_core::{Frame, Machine, Relay, Time, relay};

use super::{Noise, holds_nothing, passes};

/// A gateway of which less is heard.
const OTHER: GatewayId = GatewayId(*b"tawo");

/// A relay, its adapter, and what was ever asked of whom.
#[derive(Debug)]
pub struct Connections {
    relay: Relay,
    now: Time,
    /// What happens.
    pub noise: Noise,
    last: u64,
    /// Whether each was told to close.
    open: BTreeMap<u64, bool>,
    /// Those that have said who they are, and whether they were greeted.
    introduced: BTreeMap<u64, bool>,
    changes: BTreeMap<u64, usize>,
    revision: u64,
    asked: BTreeSet<(u64, RequestId)>,
    published: VecDeque<underpass_core::bus::Publication>,
    drained: bool,
}

impl Connections {
    /// With noise of any source.
    pub fn new(noise: Noise) -> Self {
        let config = relay::Config {
            max_connections: 6,
            max_routes_per_connection: 12,
            max_tombstones: 20,
            max_ending: 10,
            refresh: Duration::from_secs(5),
            gateway_silent: Duration::from_secs(25),
            drain_limit: Some(Duration::from_secs(20)),
            ..given::relay::small_config()
        };
        Connections {
            relay: Relay::new(config, relay_id(), 1, Time::ZERO).expect("a configuration"),
            now: Time::ZERO,
            noise,
            last: 0,
            open: BTreeMap::new(),
            introduced: BTreeMap::new(),
            changes: BTreeMap::new(),
            revision: 0,
            asked: BTreeSet::new(),
            published: VecDeque::new(),
            drained: false,
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
        } else if self.noise.once_in(4) {
            id.gateway_id = OTHER;
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
        match self.noise.below(7) {
            5 => {
                let mut moved = record(number + 1);
                moved.moving = Some(connection(number));
                ChangeOutcome::Conflict(Some(Versioned { revision, record: moved }))
            }
            6 => {
                let mut moving = record(number);
                moving.connection = Some(ConnectionId { relay: RelayId(uuid::Uuid::from_u128(0xef)), number });
                moving.state = RunnerState::Moving;
                ChangeOutcome::Conflict(Some(Versioned { revision, record: moving }))
            }
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
                if self.noise.once_in(40) {
                    hello.dialect = Dialect::Published;
                }
                if self.noise.once_in(40) {
                    hello.protocol_version = self.noise.any() as u16;
                }
                self.open.insert(self.last, false);
                Event::Connected { connection: self.last, hello }
            }
            0 => Event::DrainRunner { connection: self.open.keys().next().copied().unwrap_or_default() },
            1 => match self.open.iter().find(|(_, closed)| **closed).map(|(connection, _)| *connection) {
                Some(connection) => Event::Disconnected { connection },
                None if self.noise.once_in(40) => Event::Disconnected { connection: self.connection() },
                None => Event::Tick,
            },
            2 => Event::PeerBlocked { connection: self.connection() },
            3..7 => Event::PeerWritable { connection: self.connection() },
            7 => match self.published.pop_front() {
                Some(publication) if self.noise.once_in(3) => {
                    let refused = [PublishError::Full, PublishError::TooLarge, PublishError::Disconnected];
                    let deaf = self.noise.once_in(20);
                    let reason = if deaf { PublishError::NoResponders } else { self.noise.pick(&refused) };
                    Event::PublishFailed(Rejected { publication, reason })
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
            18 if self.noise.once_in(8) => {
                let from = self.noise.pick(&[None, Some(Address::Gateway(GATEWAY)), Some(Address::Gateway(OTHER))]);
                Event::Lost { from }
            }
            18 if self.noise.once_in(4) => {
                let named = self.noise.below(4);
                let requests = (0..named)
                    .map(|_| self.id())
                    .map(|id| to_runner::Sent { request_id: id.request_id, next: id.message_index });
                let requests = requests.collect();
                let probe = to_runner::Probe { gateway_id: self.id().gateway_id, number: 1, requests };
                self.brings(ToRunner::Probe(probe).encode_framed())
            }
            18 if self.noise.once_in(4) => {
                let id = self.id();
                let (actor_id, generation) = (self.noise.pick(&["a".into(), "b".into()]), self.noise.below(4) as u32);
                let left_behind = to_runner::LeftBehind {
                    gateway_id: id.gateway_id,
                    request_id: id.request_id,
                    actor_id,
                    generation,
                };
                self.brings(ToRunner::LeftBehind(left_behind).encode_framed())
            }
            18 if self.noise.once_in(200) => Event::NoResponders { gateway: self.noise.pick(&[GATEWAY, OTHER]) },
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
                let frame = crate::wire::to_runner(connection, id, kind).frame.into_bytes();
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

    /// Something happens.
    pub fn step(&mut self) {
        self.now += passes(&mut self.noise);
        let event = self.event();
        self.handle(event);
    }

    /// This happens.
    pub fn handle(&mut self, event: relay::Event) {
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
        // Each route ends once.
        let relay::Ends {
            by_runner,
            by_gateway,
            connection_ended,
            gateway_lost,
            overloaded,
            bus_lost,
            message_lost,
            draining,
            actor_stopped,
        } = stats.ends;
        let aborted = overloaded + bus_lost + message_lost + draining + actor_stopped;
        let ended = by_runner + by_gateway + connection_ended + gateway_lost + aborted;
        assert_eq!(stats.opened, ended + (stats.routes - stats.ending) as u64, "{stats:?}");
        assert!(stats.ending <= 10, "{stats:?}");
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
                // Runners with state have noise of their own.
                Action::Ping { .. } | Action::Actor(_) | Action::Registered { .. } | Action::Kv { .. } => {}
                Action::Forget(_) | Action::ShowActors => {}
                Action::Log { .. } | Action::LogActors(_) => {}
                Action::Drained => assert!(!core::mem::replace(&mut self.drained, true), "drained twice"),
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
        let may_be_mutated = ![GATEWAY, OTHER].contains(&gateway)
            || !message.message_id.request_id.0.windows(2).all(|two| two[0] == two[1]);
        assert!(
            asked || may_be_mutated || message.message_kind == to_server::Kind::ResponseAbort,
            "a stranger's answer: {message:?}"
        );
    }

    /// The directory takes every change.
    fn store_all(&mut self) {
        while let Some(connection) = self.changes.keys().next().copied() {
            self.changes.remove(&connection);
            let outcome = ChangeOutcome::Stored(Revision(0));
            self.handle(relay::Event::Directory { connection, outcome });
        }
    }

    /// All is over, and nothing is held.
    ///
    /// # Panics
    /// If something is.
    pub fn over(mut self) -> relay::Stats {
        let numbers: Vec<_> = self.open.keys().copied().collect();
        for connection in numbers {
            self.handle(relay::Event::Disconnected { connection });
        }
        self.store_all();
        // What waited for the directory is asked again, and then what a runner moved from is taken out of its record.
        for _ in 0..2 {
            self.now += Duration::from_secs(60);
            self.handle(relay::Event::Tick);
            self.store_all();
        }
        self.handle(relay::Event::Drain);
        assert!(self.drained, "it has drained");
        holds_nothing(&self.relay);
        self.relay.stats()
    }
}
