//! A runner in noise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::given;
use crate::wire::{status, to_client};
use bytes::Bytes;
use underpass_core::http::Body;
use underpass_core::protocol::tunnel::to_client::Kind;
use underpass_core::protocol::{Dialect, ToClient, ToServer};
use underpass_core::{Machine, RequestKey, Runner, Time, runner};

use super::hosted::Lives;
use super::{Noise, holds_nothing, passes};

/// A runner, its adapter, and what its handlers must believe.
#[derive(Debug)]
pub struct Handlers {
    runner: Runner,
    now: Time,
    /// What happens.
    pub noise: Noise,
    /// The connections that there are.
    sockets: BTreeMap<u64, Socket>,
    /// The number of the last one.
    dialled: u64,
    /// Those whose relay drains, and sends no new requests.
    draining: BTreeSet<u64>,
    /// How often one was dialled beside another.
    beside: u64,
    stopped: bool,
    /// What handlers have, and what they were told is over.
    open: BTreeMap<RequestKey, bool>,
    next: BTreeMap<(u64, u8), u16>,
    paused: BTreeSet<RequestKey>,
    sent: u64,
    /// Its actors, if they have state.
    lives: Option<Lives>,
}

/// How far a connection has come: whether frames can be sent on it, whether it is to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Socket {
    Dialling,
    Open,
    GivenUp,
    Closing,
}

impl Handlers {
    /// With noise of any source.
    pub fn new(noise: Noise) -> Self {
        Handlers::with(noise, None)
    }

    /// The same, of a runner whose actors have state.
    pub fn hosting(noise: Noise) -> Self {
        Handlers::with(noise, Some(Lives::default()))
    }

    fn with(noise: Noise, lives: Option<Lives>) -> Self {
        let config = runner::Config {
            stateless: lives.is_none(),
            max_requests: 20,
            ack_every: 4,
            max_kv_calls: 5,
            kv_answer: Duration::from_secs(1),
            gateway_silent: Duration::from_secs(1),
            forget: Duration::from_secs(1),
            actor_stop: Duration::from_secs(2),
            ..given::runner::small_config(300)
        };
        let mut handlers = Handlers {
            runner: Runner::new(config, "key".into(), 1, Time::ZERO).expect("a configuration"),
            now: Time::ZERO,
            noise,
            sockets: BTreeMap::new(),
            dialled: 0,
            draining: BTreeSet::new(),
            beside: 0,
            stopped: false,
            open: BTreeMap::new(),
            next: BTreeMap::new(),
            paused: BTreeSet::new(),
            sent: 0,
            lives,
        };
        handlers.take();
        handlers
    }

    fn event(&mut self) -> runner::Event {
        use runner::Event;
        let sockets: Vec<_> = self.sockets.keys().copied().collect();
        let connection = if sockets.is_empty() { self.dialled } else { self.noise.pick(&sockets) };
        match self.sockets.get(&connection) {
            Some(Socket::Dialling | Socket::GivenUp) if self.noise.once_in(4) => {
                let dialect = if self.noise.once_in(5) { Dialect::Published } else { Dialect::Underpass };
                return match self.noise.below(6) {
                    0 => Event::Disconnected { connection, close: None },
                    1 => Event::DialRefused { connection, status: 503, message: "".into() },
                    _ => Event::Connected { connection, dialect },
                };
            }
            Some(Socket::GivenUp | Socket::Closing) if self.noise.once_in(20) => {
                return Event::Disconnected { connection, close: Some(self.noise.close()) };
            }
            Some(Socket::Open) if self.noise.once_in(2_000) => return Event::Disconnected { connection, close: None },
            Some(Socket::Open) if self.noise.once_in(600) => {
                self.draining.insert(connection);
                return Event::Received { connection, frame: ToClient::Draining.encode() };
            }
            Some(Socket::Dialling | Socket::Open | Socket::GivenUp | Socket::Closing) | None => {}
        }
        let key = {
            let keys: Vec<_> = self.open.keys().copied().collect();
            (!keys.is_empty()).then(|| self.noise.pick(&keys))
        };
        let noise = &mut self.noise;
        if let Some(lives) = &mut self.lives
            && noise.once_in(3)
        {
            return lives.event(connection, key, noise);
        }
        match (noise.below(24), key) {
            (0, _) => Event::PeerBlocked { connection },
            (1..4, _) => Event::PeerWritable { connection },
            (4, _) => Event::Received { connection, frame: given::runner::greeting().encode() },
            (5, _) => Event::Received { connection, frame: given::runner::ping(0).encode() },
            (6..9, Some(key)) => Event::Consumed { key, bytes: noise.below(40) },
            (9, Some(key)) => {
                let body =
                    noise.pick(&[Body::None, Body::Stream, Body::Stream, Body::Whole(Bytes::from_static(&[0; 35]))]);
                Event::ResponseStart { key, head: status(200), body }
            }
            (10..12, Some(key)) => Event::ResponseChunk { key, bytes: noise.zeros(30), finish: noise.once_in(8) },
            (12, Some(key)) if noise.once_in(8) => Event::HandlerFailed { key },
            (12 | 13, Some(key)) => Event::WebSocketAccept { key, can_hibernate: noise.once_in(2) },
            (14, Some(key)) => Event::WebSocketMessage { key, message: noise.message() },
            (15, Some(key)) if noise.once_in(4) => Event::WebSocketClose { key, close: noise.close() },
            _ => {
                let request = noise.below(30) as u8;
                let kind = if self.draining.contains(&connection) { Kind::RequestAbort } else { noise.piece() };
                let next = self.next.entry((connection, request)).or_default();
                let opens = matches!(kind, Kind::RequestStart(_) | Kind::WebSocketOpen(_));
                if opens && noise.once_in(2) {
                    *next = 0;
                }
                let number = if noise.once_in(40) { noise.any() as u16 } else { *next };
                if !matches!(kind, Kind::Credit(_)) {
                    *next = number.wrapping_add(1);
                }
                let frame = to_client(given::runner::of(request, number), kind).into_bytes();
                let frame = if noise.once_in(300) { noise.mutated(frame) } else { frame };
                Event::Received { connection, frame: frame.into() }
            }
        }
    }

    /// Something happens.
    pub fn step(&mut self) {
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
            runner::Event::Connected { connection, .. } => {
                let socket = self.sockets.get_mut(connection).expect("it is being dialled");
                *socket = if *socket == Socket::Dialling { Socket::Open } else { Socket::Closing };
            }
            runner::Event::Disconnected { connection, .. } | runner::Event::DialRefused { connection, .. } => {
                self.sockets.remove(connection);
            }
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
                Action::Dial { connection } => {
                    assert!(connection > self.dialled, "a number that was there before");
                    self.dialled = connection;
                    let open = self.sockets.values().filter(|socket| **socket == Socket::Open).count();
                    self.beside += u64::from(open > 0);
                    self.sockets.insert(connection, Socket::Dialling);
                    assert!(self.sockets.len() <= 2, "a third connection");
                    continue;
                }
                Action::Send { connection, frame } => {
                    assert_eq!(self.sockets.get(&connection), Some(&Socket::Open), "a frame without a socket");
                    ToServer::decode(&frame, Dialect::Underpass).expect("what a runner sends can be read");
                    self.sent += 1;
                    continue;
                }
                Action::Disconnect { connection, .. } => {
                    let socket = self.sockets.get_mut(&connection).expect("a socket to close");
                    *socket = match socket {
                        Socket::Dialling => Socket::GivenUp,
                        Socket::Open => Socket::Closing,
                        Socket::GivenUp | Socket::Closing => panic!("closed twice"),
                    };
                    continue;
                }
                Action::Ready { .. } => continue,
                Action::StartActor { .. } | Action::StopActor { .. } | Action::KvAnswered { .. } => {
                    if let Action::StartActor { sockets, .. } = &action {
                        for socket in sockets {
                            assert_eq!(self.open.insert(socket.key, false), None, "a key that is in use");
                        }
                    }
                    self.lives.as_mut().expect("a runner with state").hears(&action);
                    continue;
                }
                Action::Stopped(_) => {
                    self.stopped = true;
                    continue;
                }
                Action::Request { key, .. } | Action::WebSocketOpen { key, .. } => {
                    assert_eq!(self.open.insert(key, false), None, "a key that is in use");
                    continue;
                }
                Action::Aborted { key } | Action::WebSocketClose { key, .. } | Action::WebSocketAsleep { key } => {
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

    /// All is over, and nothing is held.
    ///
    /// # Panics
    /// If something is.
    pub fn over(mut self) -> runner::Stats {
        self.handle(runner::Event::Drain);
        while let Some(connection) = self.sockets.keys().next().copied() {
            self.handle(runner::Event::Disconnected { connection, close: None });
        }
        for end in self.lives.as_mut().map(Lives::ends).unwrap_or_default() {
            self.handle(end);
        }
        assert!(self.stopped);
        self.lives.iter().for_each(Lives::are_over);
        self.now += Duration::from_secs(3_600);
        self.handle(runner::Event::Tick);
        holds_nothing(&self.runner);
        let stats = self.runner.stats();
        assert_eq!(
            stats.opened,
            stats.answered + stats.aborted + stats.lost + stats.failed + stats.asleep,
            "{stats:?}"
        );
        stats
    }
}
