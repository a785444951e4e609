//! Counters and gauges of a gateway.

use serde::{Serialize, Serializer};

use crate::failure::FailureCode;

/// What a gateway holds and has counted. Gauges first; the others only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests open.
    pub open: usize,
    /// Of these, those that wait for a runner.
    pub waiting: usize,
    /// Of those open, WebSockets that sleep.
    pub hibernating: usize,
    /// WebSockets that can hibernate and are in the directory's registry.
    pub registered: usize,
    /// WebSockets that have ended, and may be in the directory's registry yet.
    pub leaving: usize,
    /// Actors that have WebSockets which can hibernate.
    pub hibernating_actors: usize,
    /// WebSockets that a relay has told to wake on a connection where they can't be yet.
    pub untold: usize,
    /// Requests that have ended, and whose end the bus has not taken yet.
    pub ending: usize,
    /// Deadlines armed.
    pub deadlines: usize,
    /// Bytes held for clients and runners, and of bodies that are kept to be sent again.
    pub buffered: usize,
    /// Of these, bytes of whole bodies that are collected or kept.
    pub kept_bodies: usize,
    /// Runners known that take requests. One of which nothing was heard for too long is among them until a request
    /// would go to it.
    pub runners: usize,
    /// Actors known: those that run, and those that requests wait for.
    pub actors: usize,
    /// Changes of actors' records under way.
    pub asking: usize,
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
    /// Requests refused and failed, by code.
    pub failures: Failures,
    /// Deadlines that passed, by name.
    pub timeouts: Timeouts,
    /// Requests that were sent again, to another runner.
    pub sent_again: u64,
    /// Actors that were set wanted.
    pub actors_wanted: u64,
    /// Actors of which that was taken back: nobody answered it before their requests had gone.
    pub actors_unwanted: u64,
    /// Times that a WebSocket fell asleep.
    pub slept: u64,
    /// Times that a relay was told that an actor runs on without a WebSocket that sleeps.
    pub left_behind: u64,
    /// Times that one woke.
    pub woken: u64,
    /// Messages of clients that were sent again, on another connection.
    pub resent: u64,
    /// Acknowledgements of messages that were never sent, or were acknowledged before.
    pub acks_ignored: u64,
    /// Frames that were malformed or of another version.
    pub malformed: u64,
    /// Frames that bear another gateway's id.
    pub foreign: u64,
    /// Frames for requests that are not open, and messages that were there before.
    pub stale: u64,
    /// Frames that make no sense in their request's state.
    pub out_of_turn: u64,
    /// Gaps in the numbers of a runner's messages; each failed its request.
    pub gaps: u64,
    /// Messages of runners that do not number without gaps whose number was not the next. They are only counted.
    pub gaps_unjudged: u64,
    /// How often the bus, or a relay, told that it had lost frames.
    pub losses_told: u64,
    /// Probes that asked what came of requests.
    pub probes: u64,
    /// Requests of which something was found to be lost. WebSockets of which it could be sent again go on.
    pub found_lost: u64,
    /// Publications that the bus gave back.
    pub publish_failed: u64,
    /// Ends of requests that were published again after the bus had given them back.
    pub aborts_tried_again: u64,
    /// Ends of requests that the bus never took.
    pub aborts_given_up: u64,
}

/// How often the deadlines of a gateway's [`Config`](super::Config) passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the configuration's")]
pub struct Timeouts {
    pub response_start: u64,
    pub websocket_open: u64,
    pub websocket_close: u64,
    pub websocket_ack: u64,
    pub idle_request_body: u64,
    pub idle_response_body: u64,
    pub actor_start: u64,
    pub grace: u64,
    pub pong: u64,
    pub drain_limit: u64,
}

/// How often requests failed with each code.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Failures([u64; FailureCode::ALL.len()]);

impl Failures {
    /// How often with this one.
    pub fn with(&self, code: FailureCode) -> u64 {
        self.0[code as usize]
    }

    pub(super) fn count(&mut self, code: FailureCode) {
        self.0[code as usize] += 1;
    }
}

impl core::fmt::Debug for Failures {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("Failures");
        for code in FailureCode::ALL {
            shown.field(code.as_str(), &self.with(code));
        }
        shown.finish()
    }
}

/// A map of all codes.
impl Serialize for Failures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(FailureCode::ALL.into_iter().map(|code| (code.as_str(), self.with(code))))
    }
}
