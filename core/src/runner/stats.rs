//! Counters and gauges of a runner.

use serde::Serialize;

use crate::failure::FailureCode;

/// What a runner holds and has counted. Gauges first; the others only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Whether a relay has taken it in.
    pub ready: bool,
    /// Whether it waits to dial again.
    pub dials_again: bool,
    /// Connections that are dialled, open or closing; at most two.
    pub connections: usize,
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
    /// Requests whose connection ended.
    pub lost: u64,
    /// Requests that failed, at the handler or on the way.
    pub failed: u64,
    /// Requests that were refused before a handler heard of them.
    pub refused: u64,
    /// Those that failed or were refused, by code.
    pub failures: Failures,
    /// Deadlines that passed.
    pub timeouts: Timeouts,
    /// Frames that were malformed.
    pub malformed: u64,
    /// Frames for requests that are not open.
    pub late: u64,
    /// Gaps in the numbers of messages.
    pub gaps: u64,
    /// How often it dialled.
    pub dials: u64,
    /// How often it became ready at another relay while it was connected to one that drains.
    pub moves: u64,
}

/// Requests that failed or were refused, by code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// A whole body was over the limit.
    pub body_too_large: u64,
    /// A message was over the limit.
    pub message_too_large: u64,
    /// Too many were open, or too much of one was held.
    pub overloaded: u64,
    /// The runner was going away.
    pub draining: u64,
    /// The handler failed, or the gateway sent what makes no sense.
    pub runner_failed: u64,
    /// A message got lost on the way.
    pub message_lost: u64,
}

impl Failures {
    pub(super) fn count(&mut self, code: FailureCode) {
        *match code {
            FailureCode::BodyTooLarge => &mut self.body_too_large,
            FailureCode::MessageTooLarge => &mut self.message_too_large,
            FailureCode::Overloaded => &mut self.overloaded,
            FailureCode::Draining => &mut self.draining,
            FailureCode::RunnerFailed => &mut self.runner_failed,
            FailureCode::MessageLost => &mut self.message_lost,
            // Gateways fail requests with those.
            FailureCode::BadTarget
            | FailureCode::NoRunner
            | FailureCode::ActorStartTimeout
            | FailureCode::RunnerLost
            | FailureCode::BusLost
            | FailureCode::ResponseStartTimeout
            | FailureCode::WebSocketOpenTimeout
            | FailureCode::WebSocketAckTimeout
            | FailureCode::IdleTimeout
            | FailureCode::PingTimeout
            | FailureCode::Refused => return,
        } += 1;
    }
}

/// Deadlines that passed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeouts {
    /// A relay did not answer the dialling.
    pub dial: u64,
    /// A relay did not greet.
    pub init: u64,
    /// A relay said nothing any more.
    pub relay_silent: u64,
    /// What was open when the runner drained took too long.
    pub drain_limit: u64,
}
