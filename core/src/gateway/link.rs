//! What a gateway knows of one connection of a runner.

use super::pings::Pinging;
use super::probes::Probing;
use crate::bus::ConnectionId;
use crate::directory::{Abilities, RunnerId, RunnerKey, RunnerRecord, RunnerState};
use crate::machine::RequestKey;
use crate::time::Time;

/// The place of a [`Link`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkKey(pub(super) usize);

/// A runner's connection, as long as its record names it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) runner: RunnerKey,
    pub(super) id: RunnerId,
    pub(super) connection: ConnectionId,
    pub(super) abilities: Abilities,
    /// The pings to it, while it has requests.
    pub(super) pinging: Option<Pinging>,
    /// What is asked about its requests, since frames are lost.
    pub(super) probing: Option<Probing>,
    pub(super) standing: Standing,
    /// When the directory last told of it.
    pub(super) seen: Time,
    /// Where this link stands in the order of its pool: grows with each request, so that runners with equally many
    /// take turns.
    pub(super) turn: u64,
    pub(super) requests: Vec<RequestKey>,
}

/// What a link may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// New requests; of one that has actors with state, those for actors that run there.
    Ready,
    /// What is open there, as its record says.
    Busy,
    /// Nothing new until the directory tells of it: the relay, the bus, or its silence says that it is gone.
    Lost,
}

impl Link {
    pub(super) fn new(runner: RunnerKey, connection: ConnectionId, record: &RunnerRecord, now: Time) -> Self {
        Link {
            runner,
            id: record.id,
            connection,
            abilities: record.abilities,
            pinging: None,
            probing: None,
            standing: Standing::Busy,
            seen: now,
            turn: 0,
            requests: Vec::new(),
        }
    }

    /// The record of its runner names it as where the runner is.
    pub(super) fn is_current(&mut self, record: &RunnerRecord, now: Time) {
        self.abilities = record.abilities;
        self.standing = match record.state {
            RunnerState::Ready => Standing::Ready,
            RunnerState::Full | RunnerState::Draining | RunnerState::Moving => Standing::Busy,
        };
        self.seen = now;
    }

    /// The record of its runner names it as where the runner was, and finishes what is open there.
    pub(super) fn is_left(&mut self, now: Time) {
        self.standing = Standing::Busy;
        self.seen = now;
    }

    /// The requests that are open there.
    pub(super) fn requests(&self) -> &[RequestKey] {
        &self.requests
    }

    /// Whether what was sent there may not have arrived.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.probing.is_some() || self.pinging.as_ref().is_some_and(Pinging::is_silent)
    }

    /// The request whose turn it is in pings.
    pub(super) fn named_in_ping(&self) -> Option<RequestKey> {
        let turn = self.pinging.as_ref()?.turn();
        let count = self.requests.len();
        (count > 0).then(|| self.requests[turn % count])
    }
}
