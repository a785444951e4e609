//! Counters and gauges of a relay.

use serde::Serialize;

use crate::supervisor;

/// What a relay holds and has counted. Gauges first; the others only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Connections open.
    pub connections: usize,
    /// Connections whose runner takes requests.
    pub ready: usize,
    /// Runners that are in the directory from here, or are still to be entered there or taken out.
    pub registrations: usize,
    /// Routes open, those that are ending among them.
    pub routes: usize,
    /// Routes that have ended but for the bus, which has yet to take the word of it to their gateway.
    pub ending: usize,
    /// Records of runners that are away or elsewhere, and are removed when nobody writes them any more.
    pub ageing: usize,
    /// Closed routes remembered.
    pub tombstones: usize,
    /// Deadlines armed.
    pub deadlines: usize,
    /// Bytes held for runners whose outbox is blocked, and of what runners said before they were greeted.
    pub buffered: usize,
    /// Calls on stores that are to be answered.
    pub kv_open: usize,
    /// Bytes of calls that wait until others are answered.
    pub kv_waiting: usize,
    /// What the supervisor of the actors holds and has counted.
    pub supervisor: supervisor::Stats,
    /// Routes ever opened.
    pub opened: u64,
    /// How they ended.
    pub ends: Ends,
    /// WebSockets that slept and were opened again, since their actors ran. They are not among those opened.
    pub restored: u64,
    /// WebSockets that slept and were closed instead: their runner has as many requests open as it may, or its frames
    /// have no room to name more.
    pub not_restored: u64,
    /// How often a gateway was told again of a WebSocket that is awake, since the bus had refused to.
    pub restored_retried: u64,
    /// Times that a gateway told of a WebSocket that sleeps while its actor runs on without it.
    pub left_behind: u64,
    /// Frames carried to runners.
    pub to_runners: u64,
    /// Frames carried to gateways.
    pub to_gateways: u64,
    /// Frames for a route that was closed.
    pub late: u64,
    /// Frames for what never was a route.
    pub unrouted: u64,
    /// How often the bus told that it had lost frames.
    pub losses_told: u64,
    /// Messages of gateways that came behind one that did not. They were not carried.
    pub gaps: u64,
    /// Openings refused: the runner had as many as it may, or takes nothing new.
    pub refused: u64,
    /// Frames that were malformed or of another version.
    pub malformed: u64,
    /// Deadlines that passed.
    pub timeouts: Timeouts,
    /// Publications that the bus gave back.
    pub publish_failed: u64,
    /// Frames for a gateway at which nobody listens.
    pub stale_gateway: u64,
    /// How often a gateway was lost that had routes on a connection: it was silent, or nobody listens there.
    pub gateways_lost: u64,
    /// How often a gateway was told again of an end, since the bus had refused to.
    pub aborts_retried: u64,
    /// Ends of which a gateway could not be told in time.
    pub aborts_given_up: u64,
    /// Acknowledgements of runners of versions 1 to 3, for which nobody waits.
    pub tunnel_ack_ignored: u64,
    /// Calls on stores.
    pub kv_calls: u64,
    /// Calls on stores that were over a limit, or of an actor that their runner does not host.
    pub kv_refused: u64,
    /// Answers of stores for which nobody waited any more: they came too late, or their connection had ended.
    pub kv_late: u64,
    /// Runners refused because their pool is of the other kind.
    pub other_kind: u64,
    /// Records of runners written anew, so that they do not age.
    pub refreshed: u64,
    /// How often a runner's record was to be removed since nobody had written it anew.
    pub forgotten: u64,
}

/// How routes ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// By the runner: its answer's last piece, a close, an abort.
    pub by_runner: u64,
    /// By the gateway: an abort or a close.
    pub by_gateway: u64,
    /// With the runner's connection.
    pub connection_ended: u64,
    /// Aborted: the gateway was silent, or nobody listens there.
    pub gateway_lost: u64,
    /// Aborted: more waited for the runner than may.
    pub overloaded: u64,
    /// Aborted: the bus refused a piece.
    pub bus_lost: u64,
    /// Aborted: the bus lost a piece.
    pub message_lost: u64,
    /// Aborted: this relay drains, and could not wait longer.
    pub draining: u64,
    /// Ended: their actor has stopped, or was to.
    pub actor_stopped: u64,
}

/// Deadlines that passed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeouts {
    /// No Init came: connections dropped.
    pub init: u64,
    /// A runner was silent: connections dropped.
    pub pong: u64,
    /// Records that said of a runner whose connection ended that it moves, and were left so.
    pub moving: u64,
    /// A gateway was silent that had routes on a connection.
    pub gateway_silent: u64,
    /// A store did not answer: calls that are errors for their runners.
    pub kv_answer: u64,
    /// Published runners that were still here so long after the drain's beginning.
    pub drain_published: u64,
    /// Connections that the drain did not wait for any longer.
    pub drain_limit: u64,
}
