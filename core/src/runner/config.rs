//! What a runner can be told.

use core::time::Duration;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::frame::FRAME_OVERHEAD;
use crate::machine::flow::MOST_CREDIT;

/// The most messages that may wait for an acknowledgement: half of what a gateway may keep for one.
const MOST_ACK_EVERY: u16 = 16_384;

/// Who a runner is, what it can do, its limits and deadlines. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The namespace that it connects to.
    pub namespace: ByteString,
    /// The pool that it joins.
    pub name: ByteString,
    /// The version of the user's program.
    pub version: u32,
    /// How many actors it has room for.
    pub total_slots: u32,
    /// Whether its actors keep nothing, so that any runner of the pool may answer.
    pub stateless: bool,
    /// Bytes that each side may send per request and direction beyond what the other has granted; at most 2 MiB less
    /// 64 bytes. A chunk or a message counts for at least 64, so that the numbers of a direction, which wrap, tell
    /// apart all that can be on its way.
    pub credit: u32,
    /// Requests open at once; more are answered `overloaded`.
    pub max_requests: usize,
    /// The largest body that travels whole, in either direction.
    pub max_whole_body: usize,
    /// The largest piece of a streamed body; larger ones are cut.
    pub max_chunk: usize,
    /// The largest WebSocket message, in either direction.
    pub max_message: usize,
    /// The most bytes that the names and values of header fields may have.
    pub max_header_bytes: usize,
    /// Bytes held for one request and direction; past them the request fails.
    pub max_buffered: usize,
    /// What the adapter's outbox may hold. It says that it is blocked while another frame of any size would not fit.
    pub outbox: usize,
    /// The first wait before dialling again; it doubles, with up to a quarter more at random.
    pub backoff_first: Duration,
    /// The longest wait before dialling again.
    pub backoff_most: Duration,
    /// From dialling to the connection's opening; then it is given up and dialled anew.
    pub dial: Duration,
    /// From a connection's opening to the relay's `ToClientInit`; then it is dialled anew.
    pub init: Duration,
    /// A relay that said nothing for so long is gone.
    pub relay_silent: Duration,
    /// How long nothing must have been open on a connection to a relay that drains, beside a ready one, until it is
    /// left: so that requests still come through which gateways sent before they knew of the new one.
    pub leave_idle: Duration,
    /// How long a runner that drains stays when nothing is open any more: a request may be on its way.
    pub drain_idle: Duration,
    /// How long a runner that drains lets what is open go on; then it ends with `draining`. None: until its end.
    pub drain_limit: Option<Duration>,
    /// Actors at once, of a runner with state; more crash.
    pub max_actors: usize,
    /// How long an actor may take to stop; then it counts as crashed.
    pub actor_stop: Duration,
    /// How long the end of an actor's life is kept in mind, and told again on the next connection, after it was told.
    pub forget: Duration,
    /// How long the gateway of a WebSocket that can hibernate may say nothing, when the WebSocket's connection has
    /// ended, or its actor has started, and the relay knows of its actor here; then the WebSocket is closed 1012.
    pub gateway_silent: Duration,
    /// So many messages of a WebSocket that were handled are acknowledged at once; at most 16,384.
    pub ack_every: u16,
    /// When so many bytes of a WebSocket's messages have come, what was handled is acknowledged at once.
    pub ack_bytes: usize,
    /// The longest that an acknowledgement waits for others to be sent with.
    pub ack_within: Duration,
    /// Calls on stores that are open at once; more are answered with an error.
    pub max_kv_calls: usize,
    /// Bytes of the calls that are open; more are answered with an error.
    pub max_kv_bytes: usize,
    /// How long a store may take to answer; then the call is answered with an error.
    pub kv_answer: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            namespace: ByteString::from_static("default"),
            name: ByteString::from_static("default"),
            version: 1,
            total_slots: 1,
            stateless: true,
            credit: 256 * 1024,
            max_requests: 20_000,
            max_whole_body: 20 * 1024 * 1024,
            max_chunk: 64 * 1024,
            max_message: 32 * 1024 * 1024,
            max_header_bytes: 64 * 1024,
            max_buffered: 33 * 1024 * 1024,
            outbox: 34 * 1024 * 1024,
            backoff_first: Duration::from_millis(100),
            backoff_most: Duration::from_secs(5),
            dial: Duration::from_secs(10),
            init: Duration::from_secs(5),
            relay_silent: Duration::from_secs(15),
            leave_idle: Duration::from_secs(1),
            drain_idle: Duration::from_secs(1),
            drain_limit: None,
            max_actors: 20_000,
            actor_stop: Duration::from_secs(1_800),
            forget: Duration::from_secs(60),
            gateway_silent: Duration::from_secs(30),
            ack_every: 64,
            ack_bytes: 64 * 1024,
            ack_within: Duration::from_millis(100),
            max_kv_calls: 4_096,
            max_kv_bytes: 16 * 1024 * 1024,
            kv_answer: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// The largest frame that goes out or comes in, bytes.
    pub fn largest_frame(&self) -> usize {
        let largest = self.max_whole_body.max(self.max_message).max(self.max_chunk);
        largest.saturating_add(self.max_header_bytes).saturating_add(FRAME_OVERHEAD)
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("max_requests", self.max_requests),
            ("max_chunk", self.max_chunk),
            ("credit", self.credit as usize),
            ("backoff_first", self.backoff_first.as_micros() as usize),
            ("dial", self.dial.as_micros() as usize),
            ("init", self.init.as_micros() as usize),
            ("relay_silent", self.relay_silent.as_micros() as usize),
            ("max_actors", self.max_actors),
            ("ack_every", usize::from(self.ack_every)),
            ("max_kv_calls", self.max_kv_calls),
            ("max_kv_bytes", self.max_kv_bytes),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        if self.credit > MOST_CREDIT {
            return Err(ConfigError::TooLarge { setting: "credit", most: u64::from(MOST_CREDIT) });
        }
        if self.ack_every > MOST_ACK_EVERY {
            return Err(ConfigError::TooLarge { setting: "ack_every", most: u64::from(MOST_ACK_EVERY) });
        }
        if self.backoff_first > self.backoff_most {
            return Err(ConfigError::Order { smaller: "backoff_first", larger: "backoff_most" });
        }
        let framed = |payload: usize| payload.saturating_add(self.max_header_bytes).saturating_add(FRAME_OVERHEAD);
        for (bound, bound_bytes) in [("max_buffered", self.max_buffered), ("outbox", self.outbox)] {
            for (largest, needed) in [
                ("max_whole_body", framed(self.max_whole_body)),
                ("max_message", framed(self.max_message)),
                ("max_chunk", framed(self.max_chunk)),
            ] {
                if bound_bytes < needed {
                    return Err(ConfigError::BoundBelowLargest { bound, bound_bytes, largest, needed });
                }
            }
        }
        Ok(())
    }
}
