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
    /// Actors that go on.
    pub actors: usize,
    /// Actors whose end is kept in mind.
    pub ended_actors: usize,
    /// WebSockets that are attached to no connection.
    pub detached_sockets: usize,
    /// Calls on stores that are not answered.
    pub kv_open: usize,
    /// Requests that came, and WebSockets that slept and were handed to their actor's next life.
    pub opened: u64,
    /// Requests that the handler answered or closed.
    pub answered: u64,
    /// Requests that their client gave up.
    pub aborted: u64,
    /// Requests whose connection ended, and WebSockets whose gateway was silent.
    pub lost: u64,
    /// Requests that failed, at the handler or on the way.
    pub failed: u64,
    /// WebSockets that sleep, since their actor stopped.
    pub asleep: u64,
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
    /// Lives of actors that began.
    pub actors_started: u64,
    /// Lives that ended.
    pub actors_stopped: u64,
    /// Lives that did not begin, for want of room.
    pub refused_actors: u64,
    /// Commands that came again.
    pub repeated_commands: u64,
    /// Commands for lives that are over, or that are not known.
    pub stale_commands: u64,
    /// How often a relay gave it another id.
    pub renamed: u64,
    /// WebSockets that slept and that handlers went on with.
    pub restored: u64,
    /// Those with which they did not.
    pub not_restored: u64,
    /// How often a WebSocket that can hibernate was left without a connection.
    pub detached: u64,
    /// How often one was woken over a connection.
    pub attached: u64,
    /// Messages that came again, to WebSockets that can hibernate.
    pub repeats: u64,
    /// Acknowledgements of messages.
    pub acks: u64,
    /// Calls on stores.
    pub kv_calls: u64,
    /// Those that were refused here.
    pub kv_refused: u64,
    /// Answers of stores for which nobody waited.
    pub kv_late: u64,
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
    /// The actor was not there, or did not run.
    pub no_runner: u64,
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
            FailureCode::NoRunner => &mut self.no_runner,
            FailureCode::Draining => &mut self.draining,
            FailureCode::RunnerFailed => &mut self.runner_failed,
            FailureCode::MessageLost => &mut self.message_lost,
            // Gateways fail requests with those.
            FailureCode::BadTarget
            | FailureCode::ActorStartTimeout
            | FailureCode::RunnerLost
            | FailureCode::BusLost
            | FailureCode::ResponseStartTimeout
            | FailureCode::WebSocketOpenTimeout
            | FailureCode::WebSocketAckTimeout
            | FailureCode::IdleTimeout
            | FailureCode::PingTimeout
            | FailureCode::Refused
            | FailureCode::EndedByOperator => return,
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
    /// No relay had this runner for so long that its actors stopped.
    pub runner_lost: u64,
    /// An actor did not stop.
    pub actor_stop: u64,
    /// The gateway of a WebSocket that can hibernate said nothing.
    pub gateway_silent: u64,
    /// A store did not answer.
    pub kv_answer: u64,
}
