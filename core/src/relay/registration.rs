//! A connection's runner in the directory: one change in flight at a time, until the record says what it should.

use crate::bus::{ConnectionId, RelayId};
use crate::directory::{ChangeOutcome, Revision, RunnerChange, RunnerId, RunnerKey, RunnerRecord, RunnerState};

/// What a relay wants the directory to say of the runner of one connection.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) key: RunnerKey,
    record: RunnerRecord,
    revision: Option<Revision>,
    /// What the change that is in flight says, if one is.
    in_flight: Option<Wanted>,
    wanted: Wanted,
    /// Whether the record was ever stored for this connection.
    entered: bool,
    /// Whether a change is to be made again, since the directory was away.
    waits: bool,
    /// The connection that the record named before.
    displaced: Option<ConnectionId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    State(RunnerState),
    Gone,
}

/// What follows from an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Another change is to be made.
    Change(RunnerChange),
    /// The runner was entered: its connection can begin. Another connection may have to be told to close, and the
    /// record may be meant to say something else by now.
    Entered { displaced: Option<ConnectionId>, change: Option<RunnerChange> },
    /// The record says what it should.
    Settled,
    /// No change was in flight.
    Unasked,
    /// The record is gone, or says `away`, and nothing more is to be done.
    Done,
    /// Another connection has taken the runner over.
    TakenOver,
    /// The directory is away: the change is to be made again.
    Unavailable,
}

impl Registration {
    /// Enters a runner, not yet taking requests. With the first change to make.
    pub(super) fn enter(key: RunnerKey, record: RunnerRecord) -> (Self, RunnerChange) {
        let wanted = Wanted::State(record.state);
        let mut registration = Registration {
            key,
            record,
            revision: None,
            in_flight: None,
            wanted,
            entered: false,
            waits: false,
            displaced: None,
        };
        let change = registration.change();
        (registration, change)
    }

    /// The id that the runner has.
    pub(super) fn runner_id(&self) -> RunnerId {
        self.record.id
    }

    /// The record shall say this state. A change to make, unless one is in flight.
    pub(super) fn set_state(&mut self, state: RunnerState) -> Option<RunnerChange> {
        self.want(Wanted::State(state))
    }

    /// The connection ended. A change to make, unless one is in flight.
    pub(super) fn leave(&mut self) -> Option<RunnerChange> {
        self.want(Wanted::Gone)
    }

    /// Whether nothing more is to be done for a connection that has ended.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none() && !self.waits
    }

    /// The change that is to be made again.
    pub(super) fn again(&mut self) -> RunnerChange {
        self.waits = false;
        self.change()
    }

    /// A change was made, or not.
    pub(super) fn outcome(&mut self, outcome: ChangeOutcome, relay: RelayId) -> Step {
        let Some(written) = self.in_flight.take() else { return Step::Unasked };
        match outcome {
            ChangeOutcome::Stored(revision) => {
                self.revision = Some(revision);
                let first = !core::mem::replace(&mut self.entered, true);
                if written == Wanted::Gone {
                    return Step::Done;
                }
                let change = (self.wanted != written).then(|| self.change());
                match change {
                    change if first => Step::Entered { displaced: self.displaced, change },
                    Some(change) => Step::Change(change),
                    None => Step::Settled,
                }
            }
            // It never was entered and has gone: whatever the record says is another connection's.
            ChangeOutcome::Conflict(_) if self.wanted == Wanted::Gone && !self.entered => Step::Done,
            ChangeOutcome::Conflict(None) if written == Wanted::Gone => Step::Done,
            ChangeOutcome::Conflict(None) => {
                self.revision = None;
                Step::Change(self.change())
            }
            ChangeOutcome::Conflict(Some(current)) => {
                let mine = current.record.connection == self.record.connection;
                if self.entered && !mine {
                    if self.wanted == Wanted::Gone {
                        return Step::Done;
                    }
                    // One that says `away` is nobody's: this runner is here, and is entered again.
                    if current.record.connection.is_some() {
                        return Step::TakenOver;
                    }
                }
                if !mine {
                    self.record.id = current.record.id;
                    self.displaced = current.record.connection.filter(|connection| {
                        // A higher number at the same relay came later: it is the one that stays.
                        connection.relay != relay || Some(*connection) < self.record.connection
                    });
                    if current.record.connection.is_some() && self.displaced.is_none() {
                        return Step::TakenOver;
                    }
                }
                self.revision = Some(current.revision);
                Step::Change(self.change())
            }
            ChangeOutcome::Unavailable => {
                self.waits = true;
                Step::Unavailable
            }
        }
    }

    fn want(&mut self, wanted: Wanted) -> Option<RunnerChange> {
        // Once it has gone it does not come back on this connection.
        if self.wanted == wanted || self.wanted == Wanted::Gone {
            return None;
        }
        self.wanted = wanted;
        self.is_idle().then(|| self.change())
    }

    fn change(&mut self) -> RunnerChange {
        self.in_flight = Some(self.wanted);
        let record = match self.wanted {
            Wanted::State(state) => {
                self.record.state = state;
                Some(self.record.clone())
            }
            // A runner without state leaves nothing behind; of others the id stays.
            Wanted::Gone if self.record.abilities.stateless => None,
            Wanted::Gone => Some(RunnerRecord { connection: None, ..self.record.clone() }),
        };
        RunnerChange { key: self.key.clone(), expected: self.revision, record }
    }
}
