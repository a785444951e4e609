//! Counters and gauges of a runner.

use serde::Serialize;

/// What a runner holds and has counted. Gauges first; the others only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Whether the relay has taken it in.
    pub ready: bool,
    /// Whether it waits to dial again.
    pub dials_again: bool,
    /// Requests open.
    pub open: usize,
    /// Deadlines armed.
    pub deadlines: usize,
    /// Bytes held for handlers and for the relay.
    pub buffered: usize,
    /// Requests that came.
    pub opened: u64,
    /// Requests that the handler answered or closed.
    pub answered: u64,
    /// Requests that their client gave up.
    pub aborted: u64,
    /// Requests whose handler failed.
    pub failed: u64,
    /// Frames that were malformed.
    pub malformed: u64,
    /// Frames for requests that are not open.
    pub late: u64,
    /// Gaps in the numbers of messages.
    pub gaps: u64,
    /// How often it dialled.
    pub dials: u64,
}
