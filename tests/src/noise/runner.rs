//! A runner in noise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::given;
use crate::wire::{status, to_client};
use bytes::Bytes;
use underpass_core::http::Body;
use underpass_core::protocol::tunnel::to_client;
use underpass_core::protocol::{Dialect, ToServer};
use underpass_core::{Machine, RequestKey, Runner, Time, runner};

use super::{Noise, holds_nothing, passes};

/// A runner, its adapter, and what its handlers must believe.
#[derive(Debug)]
pub struct Handlers {
    runner: Runner,
    now: Time,
    /// What happens.
    pub noise: Noise,
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
    /// With noise of any source.
    pub fn new(noise: Noise) -> Self {
        let config = runner::Config { max_requests: 20, ..given::runner::small_config(30) };
        let mut handlers = Handlers {
            runner: Runner::new(config, "key".into(), 1, Time::ZERO).expect("a configuration"),
            now: Time::ZERO,
            noise,
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
                    assert!(matches!(self.socket, Socket::Open | Socket::Dialling), "no socket to close");
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

    /// All is over, and nothing is held.
    ///
    /// # Panics
    /// If something is.
    pub fn over(mut self) -> runner::Stats {
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
        stats
    }
}
