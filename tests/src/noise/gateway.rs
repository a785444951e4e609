//! A gateway in noise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::given;
use crate::given::supervisor::{actor, actor_record, runner_id};
use crate::wire::{
    GATEWAY, abilities, connection, gone, message_id, open, open_websocket, record, relay_id, seen, to_gateway,
};
use bytes::Bytes;
use underpass_core::bus::{Address, ConnectionId, Publication, Rejected, Subject};
use underpass_core::directory::{
    Abilities, ActorChange, ActorRecord, ActorSeen, ActorState, ChangeOutcome, DirectoryUnavailable, RegistryChange,
    Revision, RunnerState, Versioned,
};
use underpass_core::http::Body;
use underpass_core::protocol::tunnel::to_client::Kind;
use underpass_core::protocol::tunnel::to_server;
use underpass_core::protocol::{Dialect, GatewayId, RequestId, ToGateway, ToRunner, to_gateway as control, to_runner};
use underpass_core::{Gateway, Machine, RequestKey, Time, gateway};

use super::{Noise, REASONS, holds_nothing, passes};

const MOST_TRIES: u32 = 3;

/// A gateway, and what its clients must believe.
#[derive(Debug)]
pub struct Clients {
    gateway: Gateway,
    now: Time,
    /// What happens.
    pub noise: Noise,
    /// Those that have had no end, with their ids on the wire and the numbers of their runners' next messages there.
    open: BTreeMap<RequestKey, (RequestId, u16)>,
    /// Whether something of the answer came, behind which a request is not sent again.
    answered: BTreeSet<RequestKey>,
    /// The openings of each key that went out.
    sent: BTreeMap<RequestKey, u32>,
    ended: VecDeque<RequestKey>,
    paused: BTreeSet<RequestKey>,
    /// WebSockets, and whether they were opened.
    sockets: BTreeMap<RequestKey, bool>,
    published: VecDeque<Publication>,
    pings: VecDeque<to_runner::Ping>,
    probes: VecDeque<(ConnectionId, to_runner::Probe)>,
    /// Changes of actors' records that have had no outcome.
    asked: VecDeque<ActorChange>,
    /// Changes of the registry that have had no outcome.
    registry: VecDeque<RegistryChange>,
    revision: u64,
    ends: [u64; 2],
}

impl Clients {
    /// With noise of any source.
    pub fn new(noise: Noise) -> Self {
        let second = Duration::from_secs(1);
        let config = gateway::Config {
            max_requests: 60,
            max_requests_per_runner: 25,
            max_waiting: 10,
            max_kept_body: 30,
            max_kept_bodies: 500,
            max_tries: MOST_TRIES,
            ping_interval: second / 2,
            pong: 2 * second,
            runner_unseen: 60 * second,
            idle_request_body: Some(2 * second),
            idle_response_body: Some(second),
            actor_start: second,
            grace: second,
            ..given::gateway::small_config()
        };
        Clients {
            gateway: Gateway::new(config, GATEWAY, 1, Time::ZERO).expect("a configuration"),
            now: Time::ZERO,
            noise,
            open: BTreeMap::new(),
            answered: BTreeSet::new(),
            sent: BTreeMap::new(),
            ended: VecDeque::new(),
            paused: BTreeSet::new(),
            sockets: BTreeMap::new(),
            published: VecDeque::new(),
            pings: VecDeque::new(),
            probes: VecDeque::new(),
            asked: VecDeque::new(),
            registry: VecDeque::new(),
            revision: 0,
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
        self.sockets.remove(&key);
        self.answered.remove(&key);
        self.sent.remove(&key);
        self.ended.push_front(key);
        self.ended.truncate(20);
        self.ends[0] += 1;
    }

    /// What the directory says of an actor.
    fn actor(&mut self) -> Option<Versioned<ActorRecord>> {
        use ActorState::{Running, Sleeping, Starting, Stopping, Wanted};
        self.revision += 1;
        let runner = runner_id(self.noise.below(4) as u64);
        let states = [Running(runner), Running(runner), Starting(runner), Stopping(runner), Wanted, Sleeping];
        let record = actor_record(1, self.noise.pick(&states));
        let revision = Revision(self.revision);
        (!self.noise.once_in(6)).then_some(Versioned { revision, record })
    }

    fn actor_event(&mut self) -> Option<gateway::Event> {
        let key = actor(self.noise.pick(&["default", "other"]));
        let record = self.actor();
        Some(match self.noise.below(10) {
            0 => gateway::Event::Actors(vec![ActorSeen { key, record }]),
            1..4 => gateway::Event::Actor(ActorSeen { key, record }),
            _ => {
                let key = self.asked.pop_front()?.key;
                let outcomes = [
                    ChangeOutcome::Stored(Revision(self.revision)),
                    ChangeOutcome::Conflict(record),
                    ChangeOutcome::Unavailable,
                ];
                gateway::Event::ActorChanged { actor: key, outcome: self.noise.pick(&outcomes) }
            }
        })
    }

    /// What makes sense of a WebSocket.
    fn word_of_socket(&mut self, is_open: bool) -> to_server::Kind {
        use to_server::Kind::{Credit, WebSocketClose, WebSocketMessage, WebSocketMessageAck, WebSocketOpen};
        let noise = &mut self.noise;
        if !is_open {
            return WebSocketOpen(to_server::WebSocketOpen { can_hibernate: !noise.once_in(4) });
        }
        match noise.below(6) {
            0 => WebSocketClose(to_server::WebSocketClose { code: None, reason: None, hibernate: true }),
            1 => WebSocketMessage(noise.message().into_wire()),
            2 => Credit(to_server::Credit { total: noise.below(1_000) as u32 }),
            _ => WebSocketMessageAck(to_server::WebSocketMessageAck { index: noise.below(6) as u16 }),
        }
    }

    /// A relay says that it has a route, over which the numbers begin anew.
    fn restored(&mut self) -> Option<gateway::Event> {
        let key = self.key()?;
        let request_id = self.open.get_mut(&key).map_or(RequestId([9; 4]), |(id, next)| {
            *next = 0;
            *id
        });
        let generation = (self.now.as_micros() / 1_000_000) as u32 + self.noise.below(3) as u32;
        let connection = connection(self.noise.pick(&[1, 2, 3, 1, 2, 3, 11, 12, 13, 14])).into();
        let restored = control::Restored { gateway_id: GATEWAY, request_id, connection, generation };
        Some(gateway::Event::Received { from: None, frame: ToGateway::Restored(restored).encode_framed() })
    }

    /// What a relay says when it was asked, or has lost frames.
    fn probed(&mut self) -> Option<gateway::Event> {
        use control::Came::{All, Nothing, Until};
        let id = self.key().and_then(|key| self.open.get(&key)).map_or(RequestId([9; 4]), |(id, _)| *id);
        let noise = &mut self.noise;
        let (gateway_id, request_id) = (GATEWAY, id);
        let said = match noise.below(6) {
            0 => {
                let connection = connection(noise.below(4) as u64).into();
                ToGateway::Lost(control::Lost { gateway_id, request_id, connection })
            }
            1 => {
                let connection = connection(noise.below(4) as u64).into();
                ToGateway::Doubted(control::Doubted { gateway_id, connection, requests: vec![request_id] })
            }
            _ => {
                let (connection, probe) = self.probes.pop_front()?;
                let mut counted = |sent: &to_runner::Sent| control::Counted {
                    request_id: sent.request_id,
                    came: noise.pick(&[All, All, All, Nothing, Until(sent.next.wrapping_sub(1)), Until(sent.next)]),
                    carried: noise.below(3) as u32,
                    granted: noise.below(100) as u32,
                };
                let requests = probe.requests.iter().map(&mut counted).collect();
                let (number, connection) = (probe.number, connection.into());
                ToGateway::Probed(control::Probed { gateway_id, number, connection, requests })
            }
        };
        Some(gateway::Event::Received { from: None, frame: said.encode_framed() })
    }

    fn event(&mut self) -> Option<gateway::Event> {
        if self.noise.once_in(30) {
            return self.actor_event();
        }
        if self.noise.once_in(8)
            && let Some(change) = self.registry.pop_front()
        {
            let outcome = if self.noise.once_in(4) { Err(DirectoryUnavailable) } else { Ok(()) };
            return Some(gateway::Event::RegistryChanged { change, outcome });
        }
        if self.noise.once_in(10) {
            return self.restored();
        }
        use gateway::Event;
        let noise = &mut self.noise;
        Some(match noise.below(26) {
            0 | 1 => {
                use RunnerState::{Draining, Full, Moving, Ready};
                let state = noise.pick(&[Ready, Ready, Ready, Full, Draining, Moving]);
                let (key, number) = noise.pick(&[("a", 1), ("b", 2), ("c", 3)]);
                let move_to = if noise.once_in(8) { 10 } else { 0 };
                let published = given::gateway::published_abilities();
                let mut abilities: Abilities = noise.pick(&[abilities(100), abilities(400), published]);
                // For a while the pool has actors with state.
                abilities.stateless = self.now.as_micros() / 100_000_000 % 8 >= 3;
                let mut record = record(number + move_to, abilities, state);
                record.id = runner_id(number);
                if noise.once_in(3) {
                    record.moving = Some(connection(number + 10 - move_to));
                }
                let seen = if noise.once_in(12) { gone(key) } else { seen(key, record) };
                if !noise.once_in(6) {
                    return Some(Event::Tick);
                }
                Event::Directory(seen)
            }
            2 if noise.once_in(6) => {
                let from = noise.pick(&[None, Some(Address::Relay(relay_id())), Some(Address::Gateway(GATEWAY))]);
                Event::Lost { from }
            }
            2 if noise.once_in(2) => return self.probed(),
            2 if noise.once_in(10) => Event::NoResponders { to: connection(noise.below(15) as u64) },
            24 if noise.once_in(20) => noise.pick(&[Event::DirectoryAway, Event::DirectoryBack]),
            24 => {
                let pinged = self.pings.pop_front()?;
                let pong = control::Pong { request_id: pinged.request_id, ts: pinged.ts };
                Event::Received { from: None, frame: ToGateway::Pong(pong).encode_framed() }
            }
            25 => {
                let id = self.key().and_then(|key| self.open.get(&key)).map_or(RequestId([9; 4]), |(id, _)| *id);
                let noise = &mut self.noise;
                let connection: control::Connection = connection(noise.below(15) as u64).into();
                use control::RefusedReason::{ConnectionEnded, Draining, Full};
                let reason = noise.pick(&[ConnectionEnded, Draining, Full]);
                let said = match noise.below(8) {
                    0 => ToGateway::ConnectionEnded(connection),
                    1..4 => ToGateway::Refused(control::Refused { gateway_id: GATEWAY, request_id: id, reason }),
                    _ => ToGateway::RouteOpen(control::RouteOpen { gateway_id: GATEWAY, request_id: id, connection }),
                };
                Event::Received { from: None, frame: said.encode_framed() }
            }
            2 | 3 => {
                let publication = self.published.pop_front()?;
                if !noise.once_in(10) {
                    return Some(Event::Tick);
                }
                Event::PublishFailed(Rejected { publication, reason: noise.pick(&REASONS) })
            }
            4..7 => Event::Consumed { key: self.key()?, bytes: self.noise.below(40) },
            7 if noise.once_in(3) => match (self.key()?, self.now.as_micros() % 4) {
                (key, 0) => Event::EndRequest { key },
                (key, _) => Event::ClientGone { key },
            },
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
                let socket = key.and_then(|key| self.sockets.get(&key)).copied();
                let kind = match socket.filter(|_| !self.noise.once_in(12)) {
                    Some(is_open) => self.word_of_socket(is_open),
                    None => self.noise.answer(),
                };
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
                Event::Received { from: None, frame: self.noise.mutated(frame).into() }
            }
        })
    }

    /// Something happens.
    pub fn step(&mut self) {
        self.now += passes(&mut self.noise);
        if self.noise.once_in(8) {
            let body =
                self.noise.pick(&[Body::None, Body::Stream, Body::Stream, Body::Whole(Bytes::from_static(&[0; 35]))]);
            let is_socket = self.noise.once_in(2);
            let wanted = if is_socket { open_websocket("/") } else { open("POST", "/", body) };
            if let Ok(key) = self.gateway.open(wanted, self.now) {
                let id = self.gateway.request_name(key).expect("it is open").request_id;
                self.open.insert(key, (id, 0));
                if is_socket {
                    self.sockets.insert(key, false);
                }
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

    /// An opening goes out as often as it may, each time under a new id, and never behind the answer's beginning.
    fn published(&mut self, publication: &Publication) {
        let message = match ToRunner::decode_framed(&publication.frame, Dialect::Underpass).expect("a frame") {
            ToRunner::TunnelMessage(message) => message,
            ToRunner::Ping(ping) => return self.pings.push_back(ping),
            ToRunner::Probe(probe) => {
                let Subject::Connection(connection) = publication.to else { panic!("a probe for {}", publication.to) };
                return self.probes.push_back((connection, probe));
            }
            ToRunner::LeftBehind(_) => return,
            other => panic!("{other:?}"),
        };
        let opens = matches!(message.message_kind, Kind::RequestStart(_) | Kind::WebSocketOpen(_));
        let id = message.message_id.request_id;
        let of =
            |(key, _): &(&RequestKey, _)| self.gateway.request_name(**key).is_some_and(|name| name.request_id == id);
        let Some(key) = self.open.iter().find(of).map(|(key, _)| *key).filter(|_| opens) else { return };
        assert!(!self.answered.contains(&key), "an opening behind an answer");
        let sent = self.sent.entry(key).or_default();
        *sent += 1;
        assert!(*sent <= MOST_TRIES, "one opening too many");
        self.open.insert(key, (id, 0));
    }

    /// Takes what the gateway wants, and believes it only if it makes sense.
    fn take(&mut self) {
        use gateway::Action;
        while let Some(action) = self.gateway.poll_action() {
            let (key, is_end) = match action {
                Action::Publish(publication) => {
                    self.published(&publication);
                    self.published.push_back(publication);
                    if self.published.len() > 10 {
                        self.published.pop_front();
                    }
                    continue;
                }
                Action::Actor(change) => {
                    assert!(self.asked.iter().all(|asked| asked.key != change.key), "two changes of {:?}", change.key);
                    self.asked.push_back(change);
                    continue;
                }
                Action::Registry(change) => {
                    assert!(!self.registry.contains(&change), "{change:?} twice at a time");
                    self.registry.push_back(change);
                    continue;
                }
                Action::Drained => continue,
                Action::ResponseStart { key, body, .. } => (key, body != Body::Stream),
                Action::ResponseChunk { key, finish, .. } => (key, finish),
                Action::WebSocketOpened { key } => {
                    self.sockets.insert(key, true);
                    (key, false)
                }
                Action::WebSocketMessage { key, .. } => (key, false),
                Action::WebSocketClose { key, .. } | Action::Failed { key, .. } => (key, true),
                Action::PauseSource { key } => {
                    assert!(self.open.contains_key(&key), "a pause behind the end of {key:?}");
                    assert!(self.paused.insert(key), "paused twice");
                    continue;
                }
                Action::ResumeSource { key } => {
                    assert!(self.open.contains_key(&key), "on behind the end of {key:?}");
                    assert!(self.paused.remove(&key), "resumed without a pause");
                    continue;
                }
            };
            assert!(self.open.contains_key(&key), "something behind the end of {key:?}");
            self.answered.insert(key);
            if is_end {
                self.end(key);
                self.ends[1] += 1;
            }
        }
    }

    /// What it holds and has counted.
    pub fn stats(&self) -> gateway::Stats {
        self.gateway.stats()
    }

    /// All is over, and nothing is held.
    ///
    /// # Panics
    /// If something is.
    pub fn over(mut self) -> gateway::Stats {
        let keys: Vec<_> = self.open.keys().copied().collect();
        for key in keys {
            // What was due has ended others on the way.
            if !self.open.contains_key(&key) {
                continue;
            }
            self.gateway.handle(gateway::Event::ClientGone { key }, self.now).expect("no misuse");
            self.end(key);
            self.take();
        }
        for ActorChange { key: actor, .. } in std::mem::take(&mut self.asked) {
            let outcome = ChangeOutcome::Unavailable;
            self.gateway.handle(gateway::Event::ActorChanged { actor, outcome }, self.now).expect("no misuse");
        }
        // One whose connection is silent sleeps first, and then its actor does not start.
        for _ in 0..3 {
            self.now += Duration::from_secs(3_600);
            self.gateway.handle(gateway::Event::Tick, self.now).expect("a tick is no misuse");
            self.take();
        }
        while let Some(change) = self.registry.pop_front() {
            let outcome = Ok(());
            self.gateway.handle(gateway::Event::RegistryChanged { change, outcome }, self.now).expect("no misuse");
            self.take();
        }
        for ActorChange { key: actor, .. } in std::mem::take(&mut self.asked) {
            let outcome = ChangeOutcome::Unavailable;
            self.gateway.handle(gateway::Event::ActorChanged { actor, outcome }, self.now).expect("no misuse");
        }
        holds_nothing(&self.gateway);
        let stats = self.gateway.stats();
        assert_eq!(stats.opened, stats.answered + stats.client_gone + stats.failed, "{stats:?}");
        assert_eq!(stats.opened, self.ends[0]);
        stats
    }
}
