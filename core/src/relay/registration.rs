//! A connection's runner in the directory: one change in flight at a time, until the record says what it should.

use super::pools::PoolKind;
use crate::bus::{ConnectionId, RelayId};
use crate::directory::{
    ChangeOutcome, Revision, RunnerChange, RunnerId, RunnerKey, RunnerRecord, RunnerState, Versioned,
};

/// What a relay wants the directory to say of the runner of one connection.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) key: RunnerKey,
    record: RunnerRecord,
    revision: Option<Revision>,
    place: Place,
    /// What the change that is in flight says, if one is.
    in_flight: Option<Wanted>,
    wanted: Wanted,
    /// Whether a change is to be made again, since the directory was away.
    waits: bool,
    /// Whether it ever was.
    waited: bool,
    /// The connection that the record named before.
    displaced: Option<ConnectionId>,
    /// Whether the runner said goodbye.
    goodbye: bool,
}

/// What the record says of the connection, as far as is known.
#[derive(Debug)]
enum Place {
    /// It was never stored for it.
    Entering,
    /// It names the connection.
    Here {
        /// The state that it says.
        state: RunnerState,
    },
    /// It names the runner's next connection, at another relay, and this one as the one that the runner moves from.
    Moved { theirs: RunnerRecord },
    /// It names none, but one that the runner was moving from when the connection ended.
    Left,
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
    Entered { revision: Revision, displaced: Option<ConnectionId>, change: Option<RunnerChange> },
    /// The record says the state that it should, and said another before.
    Settled(RunnerState),
    /// The record says what it said before.
    Refreshed,
    /// The runner has another connection now, at another relay, and finishes here what is open.
    Moved,
    /// No change was in flight.
    Unasked,
    /// The record says `away`, and where the runner moves from. If the relay there does not take that out, nor the
    /// runner comes again, this one is to.
    LeftMoving,
    /// The record is gone, or says `away`, and nothing more is to be done.
    Done,
    /// Another connection has taken the runner over.
    TakenOver,
    /// The directory was away when the runner came, and it says now that another relay has it. Which of the two came
    /// later nobody can tell; the runner, if it is still here, may come again.
    GaveWay,
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
            place: Place::Entering,
            in_flight: None,
            wanted,
            waits: false,
            waited: false,
            displaced: None,
            goodbye: false,
        };
        let change = registration.change();
        (registration, change)
    }

    /// The id that the runner has.
    pub(super) fn runner_id(&self) -> RunnerId {
        self.record.id
    }

    /// How many actors it has room for.
    pub(super) fn slots(&self) -> u32 {
        self.record.slots
    }

    /// The revision with which it was entered, if it was.
    pub(super) fn entered(&self) -> Option<Revision> {
        self.record.entered
    }

    /// Whether its actors have state.
    pub(super) fn kind(&self) -> PoolKind {
        PoolKind::of(self.record.abilities)
    }

    /// The runner said goodbye: it has no actors when its connection has ended, and comes back as another.
    pub(super) fn said_goodbye(&mut self) {
        self.goodbye = true;
    }

    /// The record shall say this state. A change to make, unless one is in flight.
    pub(super) fn set_state(&mut self, state: RunnerState) -> Option<RunnerChange> {
        self.want(Wanted::State(state))
    }

    /// The connection ended. A change to make, unless one is in flight.
    pub(super) fn leave(&mut self) -> Option<RunnerChange> {
        self.want(Wanted::Gone)
    }

    /// The record shall say once more what it says. A change to make, unless one is in flight or another relay's turn
    /// it is.
    pub(super) fn refresh(&mut self) -> Option<RunnerChange> {
        match (&self.place, self.wanted) {
            (Place::Here { .. }, Wanted::State(_)) => self.is_idle().then(|| self.change()),
            (Place::Entering | Place::Moved { .. } | Place::Left, Wanted::State(_)) => None,
            (Place::Entering | Place::Here { .. } | Place::Moved { .. } | Place::Left, Wanted::Gone) => None,
        }
    }

    /// Whether the runner is known to have another connection.
    pub(super) fn has_moved(&self) -> bool {
        match self.place {
            Place::Moved { .. } => true,
            Place::Entering | Place::Here { .. } | Place::Left => false,
        }
    }

    /// Whether nothing more is to be done for a connection that has ended.
    pub(super) fn is_idle(&self) -> bool {
        match self.place {
            Place::Entering | Place::Here { .. } | Place::Moved { .. } => self.in_flight.is_none() && !self.waits,
            // What the runner moves from may still have to be taken out.
            Place::Left => false,
        }
    }

    /// The connection that the runner was moving from is to be taken out of the record. The change to make.
    pub(super) fn take_moving_out(&mut self) -> RunnerChange {
        self.record.moving = None;
        self.change()
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
            ChangeOutcome::Stored(revision) => self.stored(revision, written),
            // It was to be gone, and is; or it never was entered.
            ChangeOutcome::Conflict(None) if written == Wanted::Gone || self.never_entered() => Step::Done,
            ChangeOutcome::Conflict(None) => {
                self.revision = None;
                match self.place {
                    // Whom it was to follow has gone.
                    Place::Entering => self.record.entered = None,
                    Place::Here { .. } | Place::Moved { .. } | Place::Left => {}
                }
                Step::Change(self.change())
            }
            ChangeOutcome::Conflict(Some(current)) => self.conflict(current, relay),
            ChangeOutcome::Unavailable => {
                self.waits = true;
                self.waited = true;
                Step::Unavailable
            }
        }
    }

    /// Whether the connection ended before its record was stored.
    fn never_entered(&self) -> bool {
        match (&self.place, self.wanted) {
            (Place::Entering, Wanted::Gone) => true,
            (Place::Entering, Wanted::State(_)) => false,
            (Place::Here { .. } | Place::Moved { .. } | Place::Left, Wanted::State(_) | Wanted::Gone) => false,
        }
    }

    fn stored(&mut self, revision: Revision, written: Wanted) -> Step {
        self.revision = Some(revision);
        let Wanted::State(state) = written else { return self.left() };
        self.record.entered.get_or_insert(revision);
        let before = core::mem::replace(&mut self.place, Place::Here { state });
        let change = (self.wanted != written).then(|| self.change());
        match (before, change) {
            (Place::Entering, change) => Step::Entered { revision, displaced: self.displaced, change },
            (Place::Here { .. } | Place::Moved { .. } | Place::Left, Some(change)) => Step::Change(change),
            (Place::Here { state: before }, None) if before == state => Step::Refreshed,
            (Place::Here { .. } | Place::Moved { .. } | Place::Left, None) => Step::Settled(state),
        }
    }

    /// The record does not name the connection any more.
    fn left(&mut self) -> Step {
        match self.place {
            Place::Entering | Place::Here { .. } if self.record.moving.is_some() => {
                self.place = Place::Left;
                Step::LeftMoving
            }
            Place::Entering | Place::Here { .. } | Place::Moved { .. } | Place::Left => Step::Done,
        }
    }

    /// The record is another than expected.
    fn conflict(&mut self, current: Versioned<RunnerRecord>, relay: RelayId) -> Step {
        let entered = current.entered();
        let Versioned { revision, record: current } = current;
        if self.never_entered() {
            // Whatever the record says is another connection's.
            return Step::Done;
        }
        let mine = current.connection == self.record.connection;
        let moved = current.moving == self.record.connection;
        self.revision = Some(revision);
        match (&self.place, self.wanted) {
            (Place::Entering, Wanted::State(_)) if !mine => {
                self.record.id = current.id;
                // One that is there goes on; one that was away, or another by the same name, comes anew.
                let goes_on = current.connection.is_some() && PoolKind::of(current.abilities) == self.kind();
                self.record.entered = goes_on.then_some(entered);
                // Its relay drains, and the runner comes from there: what is open there goes on.
                let moves = current.state == RunnerState::Moving && current.connection.is_some();
                let before = if moves { current.connection } else { current.moving };
                self.record.moving = before.filter(|before| Some(*before) != self.record.connection);
                self.displaced = current.connection.filter(|connection| {
                    // A higher number at the same relay came later: it is the one that stays.
                    !moves && (connection.relay != relay || Some(*connection) < self.record.connection)
                });
                if !moves && current.connection.is_some() && self.displaced.is_none() {
                    return Step::TakenOver;
                }
                if self.waited && self.displaced.is_some_and(|displaced| displaced.relay != relay) {
                    return Step::GaveWay;
                }
            }
            // Somebody has seen to it.
            (Place::Left, Wanted::State(_) | Wanted::Gone) => return Step::Done,
            (Place::Entering | Place::Here { .. } | Place::Moved { .. }, Wanted::State(_) | Wanted::Gone) if mine => {
                self.record.moving = current.moving;
                self.record.entered = Some(entered);
            }
            (Place::Here { .. } | Place::Moved { .. }, wanted) if moved => {
                self.place = Place::Moved { theirs: current };
                match wanted {
                    Wanted::State(_) => return Step::Moved,
                    Wanted::Gone => {}
                }
            }
            (Place::Entering | Place::Here { .. } | Place::Moved { .. }, Wanted::Gone) => return Step::Done,
            // One that says `away` is nobody's: this runner is here, and is entered again.
            (Place::Here { .. }, Wanted::State(_)) if current.connection.is_none() => {
                self.record.id = current.id;
                self.record.moving = current.moving;
            }
            (Place::Entering | Place::Here { .. } | Place::Moved { .. }, Wanted::State(_)) => return Step::TakenOver,
        }
        Step::Change(self.change())
    }

    fn want(&mut self, wanted: Wanted) -> Option<RunnerChange> {
        // Once it has gone it does not come back on this connection.
        if self.wanted == wanted || self.wanted == Wanted::Gone {
            return None;
        }
        self.wanted = wanted;
        match (&self.place, wanted) {
            // What state a runner has that has moved is for its new relay to say.
            (Place::Moved { .. }, Wanted::State(_)) => None,
            // There it is only left to be gone.
            (Place::Left, Wanted::State(_) | Wanted::Gone) => None,
            (Place::Moved { .. }, Wanted::Gone)
            | (Place::Entering | Place::Here { .. }, Wanted::State(_) | Wanted::Gone) => {
                self.is_idle().then(|| self.change())
            }
        }
    }

    fn change(&mut self) -> RunnerChange {
        self.in_flight = Some(self.wanted);
        let leaves_nothing = self.kind() == PoolKind::Stateless || self.goodbye;
        let record = match (&self.place, self.wanted) {
            (Place::Moved { theirs }, Wanted::State(_) | Wanted::Gone) => {
                let left = RunnerRecord { moving: None, ..theirs.clone() };
                // If the next connection has ended, too, nothing of a runner without state is left.
                (left.connection.is_some() || !leaves_nothing).then_some(left)
            }
            (Place::Entering | Place::Here { .. }, Wanted::State(state)) => {
                self.record.state = state;
                Some(self.record.clone())
            }
            // A runner without state leaves nothing behind, unless it still moves, nor does one that said goodbye; of
            // others the id stays.
            (Place::Entering | Place::Here { .. }, Wanted::Gone) | (Place::Left, Wanted::State(_) | Wanted::Gone) => {
                (!leaves_nothing || self.record.moving.is_some())
                    .then(|| RunnerRecord { connection: None, ..self.record.clone() })
            }
        };
        RunnerChange { key: self.key.clone(), expected: self.revision, record }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Abilities, Pool};

    #[test]
    fn a_record_that_says_it_is_not_changed_and_one_that_is_to_go_does_not_come_back() {
        let (mut registration, relay) = entered();
        registration.outcome(ChangeOutcome::Stored(Revision(1)), relay);
        assert_eq!(registration.set_state(RunnerState::Full), None);
        assert!(registration.set_state(RunnerState::Ready).is_some());
        registration.outcome(ChangeOutcome::Stored(Revision(2)), relay);
        assert!(registration.leave().is_some());
        assert_eq!((registration.set_state(RunnerState::Draining), registration.leave()), (None, None));
        assert_eq!(registration.outcome(ChangeOutcome::Stored(Revision(3)), relay), Step::Done);
    }

    #[test]
    fn a_connection_that_ended_before_its_record_was_stored_leaves_the_directory_alone() {
        let (mut registration, relay) = entered();
        assert_eq!(registration.leave(), None);
        assert_eq!(registration.outcome(ChangeOutcome::Conflict(None), relay), Step::Done);
    }

    /// A registration whose first change is in flight.
    fn entered() -> (Registration, RelayId) {
        let relay = RelayId(uuid::Uuid::nil());
        let key = RunnerKey { pool: Pool { namespace: "n".into(), name: "p".into() }, key: "k".into() };
        let record = RunnerRecord {
            id: RunnerId(uuid::Uuid::nil()),
            slots: 1,
            protocol_version: 7,
            abilities: Abilities { stateless: true, ..Abilities::default() },
            connection: Some(ConnectionId { relay, number: 1 }),
            moving: None,
            entered: None,
            state: RunnerState::Full,
        };
        (Registration::enter(key, record).0, relay)
    }
}
