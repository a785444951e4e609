//! Counters and gauges of a relay.

use serde::Serialize;

/// What a relay holds and has counted. Gauges first; the others only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Connections open.
    pub connections: usize,
    /// Connections whose runner takes requests.
    pub ready: usize,
    /// Routes open.
    pub routes: usize,
    /// Closed routes remembered.
    pub tombstones: usize,
    /// Deadlines armed.
    pub deadlines: usize,
    /// Bytes held for runners whose outbox is blocked.
    pub buffered: usize,
    /// Routes ever opened.
    pub opened: u64,
    /// Frames carried to runners.
    pub to_runners: u64,
    /// Frames carried to gateways.
    pub to_gateways: u64,
    /// Frames for a route that was closed.
    pub late: u64,
    /// Frames for what never was a route.
    pub unrouted: u64,
    /// Openings refused: the runner had as many as it may, or takes nothing new.
    pub refused: u64,
    /// Frames that were malformed or of another version.
    pub malformed: u64,
    /// Connections dropped because their runner was silent.
    pub pong_timeouts: u64,
    /// Connections dropped because no Init came.
    pub init_timeouts: u64,
    /// Publications that the bus gave back.
    pub publish_failed: u64,
}
