//! Each machine in much noise: it never panics, keeps its promises, and when all is over it holds nothing.
//!
//! The noise comes from a seed, or from a fuzzer's bytes: frames that are almost right, at any time, in any order.

pub mod gateway;
mod hosted;
pub mod hosting;
pub mod relay;
pub mod runner;
pub mod supervisor;

use std::time::Duration;

use bytes::Bytes;
use underpass_core::bus::PublishError;
use underpass_core::http::{Close, Message};
use underpass_core::protocol::tunnel::{to_client, to_server};

use crate::story::AtRest;
use crate::wire::{headers, request_start, response_start};

/// The same noise from the same source.
#[derive(Debug)]
pub struct Noise(Source);

#[derive(Debug)]
enum Source {
    /// Marsaglia's xorshift64.
    Seed(u64),
    /// What is left of them.
    Bytes(Bytes),
}

impl Noise {
    /// From a seed that is not zero.
    pub fn new(seed: u64) -> Self {
        assert_ne!(seed, 0);
        Noise(Source::Seed(seed))
    }

    /// From bytes that decide everything. When they are spent, all that is drawn is zero.
    pub fn of(bytes: Bytes) -> Self {
        Noise(Source::Bytes(bytes))
    }

    /// Whether it was made of bytes, and they are spent.
    pub fn is_spent(&self) -> bool {
        match &self.0 {
            Source::Seed(_) => false,
            Source::Bytes(bytes) => bytes.is_empty(),
        }
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                *state
            }
            Source::Bytes(bytes) => take(bytes, 8),
        }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        match &mut self.0 {
            Source::Seed(_) => (self.any() >> 16) as usize % end,
            // A byte a choice, where that is enough: so a fuzzer's small change is one here.
            Source::Bytes(bytes) => take(bytes, if end <= 256 { 1 } else { 4 }) as usize % end,
        }
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of some.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Any bytes, fewer than `end`.
    pub fn bytes(&mut self, end: usize) -> Bytes {
        (0..self.below(end)).map(|_| self.any() as u8).collect()
    }

    /// Zeros, fewer than `end`.
    pub fn zeros(&mut self, end: usize) -> Bytes {
        Bytes::from(vec![0; self.below(end)])
    }

    /// Sometimes the same bytes, sometimes a few of them changed, cut off, added, or all replaced.
    pub fn mutated(&mut self, bytes: Bytes) -> Bytes {
        if !self.once_in(8) {
            return bytes;
        }
        let mut bytes = bytes.to_vec();
        match self.below(4) {
            0 => return self.bytes(40),
            1 => bytes.truncate(self.below(bytes.len() + 1)),
            2 => bytes.extend(self.bytes(4)),
            _ => {
                for _ in 0..=self.below(3) {
                    if !bytes.is_empty() {
                        let place = self.below(bytes.len());
                        bytes[place] ^= 1 << self.below(8);
                    }
                }
            }
        }
        bytes.into()
    }

    /// A WebSocket message, mostly small.
    pub fn message(&mut self) -> Message {
        match self.below(20) {
            0 => Message::Binary(self.zeros(150)),
            1 => Message::Text("".into()),
            _ => Message::Binary(self.zeros(20)),
        }
    }

    fn wire_message(&mut self) -> to_client::WebSocketMessage {
        if self.once_in(20) {
            return to_client::WebSocketMessage { data: self.bytes(20), binary: false };
        }
        self.message().into_wire()
    }

    /// A close, as clients and handlers do it.
    pub fn close(&mut self) -> Close {
        self.pick(&[Close::new(1000, "bye"), Close::default(), Close::abnormal(), Close::new(4000, "")])
    }

    /// A piece of a request.
    pub fn piece(&mut self) -> to_client::Kind {
        use to_client::Kind;
        match self.below(8) {
            0 => request_start("GET", "/", None, false),
            1 => request_start("POST", "/", Some(b"body"), self.once_in(2)),
            2 => super::given::relay::websocket_open(),
            3 => Kind::RequestAbort,
            4 => Kind::WebSocketClose(self.close().into_wire()),
            5 => Kind::Credit(to_client::Credit { total: self.below(100) as u32 }),
            6 => Kind::WebSocketMessage(self.wire_message()),
            _ => {
                let finish = self.once_in(8);
                Kind::RequestChunk(to_client::RequestChunk { body: self.zeros(20), finish })
            }
        }
    }

    /// A piece of an answer.
    pub fn answer(&mut self) -> to_server::Kind {
        use to_server::Kind;
        match self.below(9) {
            0 => response_start(self.pick(&[200, 204, 500, 99]), Some(b"body"), false),
            1 | 2 => response_start(200, None, true),
            3 => {
                let bad = headers(&[("x", "a\nb")]);
                let headers = if self.once_in(4) { bad } else { headers(&[("set-cookie", "a\nb")]) };
                Kind::ResponseStart(to_server::ResponseStart {
                    status: 200,
                    headers,
                    body: None,
                    stream: self.once_in(2),
                })
            }
            4 => Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: self.once_in(2) }),
            5 => match self.below(4) {
                0 => Kind::ResponseAbort,
                1 => Kind::WebSocketMessageAck(to_server::WebSocketMessageAck { index: self.any() as u16 }),
                2 => Kind::Credit(to_client::Credit { total: self.below(100) as u32 }),
                _ => {
                    let Close { code, reason } = self.close();
                    Kind::WebSocketClose(to_server::WebSocketClose { code, reason, hibernate: self.once_in(2) })
                }
            },
            6 => Kind::WebSocketMessage(self.wire_message()),
            _ => {
                let finish = self.once_in(8);
                Kind::ResponseChunk(to_server::ResponseChunk { body: self.zeros(20), finish })
            }
        }
    }
}

/// So many bytes as a number.
fn take(bytes: &mut Bytes, count: usize) -> u64 {
    let taken = bytes.split_to(count.min(bytes.len()));
    taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

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

const REASONS: [PublishError; 5] = [
    PublishError::Full,
    PublishError::TooLarge,
    PublishError::NoResponders,
    PublishError::Disconnected,
    PublishError::Unsure,
];
