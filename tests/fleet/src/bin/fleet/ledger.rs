//! What the clients write down.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longer than anything takes while nothing is wrong.
pub(crate) const SLOW: Duration = Duration::from_secs(10);

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// HTTP whose bodies travel whole.
    Whole,
    /// HTTP whose bodies are streamed, both at the same time.
    Streamed,
    /// HTTP to actors that count.
    Calls,
    /// WebSockets that end with their connection.
    Plain,
    /// WebSockets that can hibernate.
    Sleeper,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] = [Kind::Whole, Kind::Streamed, Kind::Calls, Kind::Plain, Kind::Sleeper];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Whole => "whole",
            Kind::Streamed => "streamed",
            Kind::Calls => "actors",
            Kind::Plain => "websocket",
            Kind::Sleeper => "sleeper",
        }
    }
}

/// How a request failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// The gateway that had it.
    pub(crate) gateway: usize,
    /// When it was handed to that one.
    pub(crate) begun: Instant,
    /// The code, or what else was seen of it.
    pub(crate) what: String,
}

/// Something that calls for an explanation.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) round: usize,
    pub(crate) kind: Kind,
    pub(crate) request: u64,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// It failed, at that gateway.
    Failed { gateway: usize, what: String },
    /// It was right, but it took long.
    Slow,
    /// Answers to so many messages did not come, though a later one did.
    Unanswered(u64),
}

/// What was right, in one round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) name: String,
    /// What came of it besides.
    pub(crate) remark: String,
    pub(crate) right: [u64; Kind::ALL.len()],
    /// Tried at another gateway, as one refused the connection, or was draining.
    pub(crate) elsewhere: u64,
    /// Sleepers that went on in their actor's next life.
    pub(crate) restored: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) rounds: Vec<Tally>,
    pub(crate) events: Vec<Event>,
    /// What must never be, whatever happened.
    pub(crate) wrong: Vec<String>,
}

/// Clients write into it side by side.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

impl Ledger {
    pub(crate) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What ends from now on belongs to this round.
    pub(crate) fn begin_round(&self, name: impl Into<String>) {
        self.entries().rounds.push(Tally { name: name.into(), ..Tally::default() });
    }

    /// Says something of the round.
    pub(crate) fn remark(&self, remark: String) {
        self.tally(|tally| tally.remark = remark);
    }

    /// A request, or a message, was answered as it must be.
    pub(crate) fn right(&self, kind: Kind, request: u64, begun: Instant) {
        self.tally(|tally| tally.right[kind as usize] += 1);
        if begun.elapsed() > SLOW {
            self.event(kind, request, begun, What::Slow);
        }
    }

    pub(crate) fn failed(&self, kind: Kind, request: u64, Failed { gateway, begun, what }: Failed) {
        self.event(kind, request, begun, What::Failed { gateway, what });
    }

    pub(crate) fn unanswered(&self, request: u64, since: Instant, messages: u64) {
        self.event(Kind::Sleeper, request, since, What::Unanswered(messages));
    }

    pub(crate) fn elsewhere(&self) {
        self.tally(|tally| tally.elsewhere += 1);
    }

    pub(crate) fn restored(&self) {
        self.tally(|tally| tally.restored += 1);
    }

    pub(crate) fn wrong(&self, what: String) {
        self.entries().wrong.push(what);
    }

    fn tally(&self, change: impl FnOnce(&mut Tally)) {
        if let Some(tally) = self.entries().rounds.last_mut() {
            change(tally);
        }
    }

    fn event(&self, kind: Kind, request: u64, begun: Instant, what: What) {
        let mut entries = self.entries();
        let round = entries.rounds.len().saturating_sub(1);
        entries.events.push(Event { round, kind, request, begun, ended: Instant::now(), what });
    }
}
