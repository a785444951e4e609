//! What a gateway can be told.

use core::time::Duration;

use crate::error::ConfigError;
use crate::frame::FRAME_OVERHEAD;

/// Limits and deadlines of a gateway. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Requests open at once; more are refused as `overloaded`.
    pub max_requests: usize,
    /// Requests open at once to one runner; more go to others, or are refused as `overloaded`.
    pub max_requests_per_runner: usize,
    /// The largest body that travels whole, in either direction.
    pub max_whole_body: usize,
    /// The largest streamed request body; none for any.
    pub max_streamed_body: Option<u64>,
    /// The largest piece of a streamed body; larger ones are cut.
    pub max_chunk: usize,
    /// The largest WebSocket message, in either direction.
    pub max_message: usize,
    /// The most bytes that the names and values of an answer's header fields may have.
    pub max_header_bytes: usize,
    /// Bytes held for one request and direction; past them the request fails.
    pub max_buffered: usize,
    /// The largest frame that the bus carries.
    pub bus_largest_message: usize,
    /// From a request's opening to the beginning of its answer, then `response_start_timeout`.
    pub response_start: Duration,
    /// From a WebSocket's opening to its being taken, then `websocket_open_timeout`.
    pub websocket_open: Duration,
    /// How long messages that a client sent before its close may wait for the handler; then the close overtakes them.
    pub websocket_close: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_requests: 100_000,
            max_requests_per_runner: 20_000,
            max_whole_body: 20 * 1024 * 1024,
            max_streamed_body: None,
            max_chunk: 64 * 1024,
            max_message: 32 * 1024 * 1024,
            max_header_bytes: 64 * 1024,
            max_buffered: 33 * 1024 * 1024,
            bus_largest_message: 33 * 1024 * 1024,
            response_start: Duration::from_secs(300),
            websocket_open: Duration::from_secs(15),
            websocket_close: Duration::from_secs(10),
        }
    }
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("max_requests", self.max_requests),
            ("max_requests_per_runner", self.max_requests_per_runner),
            ("max_chunk", self.max_chunk),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        let framed = |payload: usize| payload.saturating_add(self.max_header_bytes).saturating_add(FRAME_OVERHEAD);
        for (bound, bound_bytes) in
            [("max_buffered", self.max_buffered), ("bus_largest_message", self.bus_largest_message)]
        {
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
