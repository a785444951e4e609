//! Counters and gauges of a gateway.

use serde::Serialize;

/// What a gateway holds and has counted. Gauges first; the others only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests open.
    pub open: usize,
    /// Deadlines armed.
    pub deadlines: usize,
    /// Bytes held for clients and runners.
    pub buffered: usize,
    /// Runners known that take requests.
    pub runners: usize,
    /// Requests taken in.
    pub opened: u64,
    /// Requests refused at their opening.
    pub refused: u64,
    /// Requests that ended with the handler's answer or close.
    pub answered: u64,
    /// Requests whose client closed or went away first.
    pub client_gone: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Frames that were malformed or of another version.
    pub malformed: u64,
    /// Frames that bear another gateway's id.
    pub foreign: u64,
    /// Frames for requests that are not open.
    pub stale: u64,
    /// Frames that make no sense in their request's state.
    pub out_of_turn: u64,
    /// Gaps in the numbers of a runner's messages.
    pub gaps: u64,
    /// Publications that the bus gave back.
    pub publish_failed: u64,
}
