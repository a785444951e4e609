//! One life of an actor on a runner of this relay, and what follows it.

use bytestring::ByteString;

use super::registry::Sockets;
use crate::directory::{ActorRecord, ActorState, RunnerId};
use crate::machine::deadline::Armed;
use crate::protocol::to_server::{ActorIntent, StopCode};
use crate::time::Time;

/// The index of a life's first command, its start.
pub(super) const START: i64 = 0;
/// The index of its last one, its stop.
pub(super) const STOP: i64 = 1;

/// One life of an actor.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) runner: RunnerId,
    pub(super) generation: u32,
    created_at: i64,
    crashes: u32,
    pub(super) alarm: Option<i64>,
    pub(super) stage: Stage,
    /// Whether this relay has it from the directory's own answer, not only from what was shown.
    pub(super) confirmed: bool,
    /// When its first event came.
    pub(super) since: Option<Time>,
    /// Whether what its stage asks for was asked for on this connection of its runner.
    pub(super) asked: bool,
    /// Whether an event of it came on this connection.
    pub(super) announced: bool,
    /// The last command that the runner said it took.
    pub(super) acknowledged: Option<i64>,
    /// What is waited for at its stage.
    pub(super) deadline: Option<Armed>,
    pub(super) heard: Heard,
    /// The WebSockets that wake with it.
    pub(super) sockets: Sockets,
}

/// How far a life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its runner is to start it; no event came.
    Starting,
    /// It takes requests.
    Running,
    /// It is to stop as soon as its requests have ended.
    Finishing(Then),
    /// Its runner is to stop it.
    Stopping(Then),
    /// It has ended; its routes are being closed.
    Ending(Then),
}

impl Stage {
    /// How far the life has come of which a record tells, if it tells of one.
    pub(super) fn of(state: ActorState) -> Option<Stage> {
        match state {
            ActorState::Starting(_) => Some(Stage::Starting),
            ActorState::Running(_) => Some(Stage::Running),
            // What was to follow was not told. If somebody needs it, they will say so.
            ActorState::Stopping(_) => Some(Stage::Finishing(Then::Sleep)),
            ActorState::Wanted | ActorState::Sleeping => None,
        }
    }
}

/// What follows a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It sleeps until it is needed, or its alarm rings.
    Sleep,
    /// It sleeps until it is needed; its alarm is forgotten.
    Rest,
    /// It is needed somewhere else, at once.
    Move,
    /// It is needed again, after a while.
    Restart,
}

impl Then {
    /// What an actor wishes for itself goes before what its runner's end would bring, and its end before its sleep.
    pub(super) fn wishing(self, intent: ActorIntent) -> Then {
        match (self, intent) {
            (Then::Move | Then::Sleep, ActorIntent::Sleep) => Then::Sleep,
            (Then::Move | Then::Sleep | Then::Rest, ActorIntent::Stop) | (Then::Rest, ActorIntent::Sleep) => Then::Rest,
            (Then::Restart, ActorIntent::Sleep | ActorIntent::Stop) => Then::Restart,
        }
    }

    /// What follows an end that was not asked for.
    pub(super) fn unasked(code: StopCode, runner_stops: bool) -> Then {
        match (code, runner_stops) {
            (StopCode::Error, _) => Then::Restart,
            (StopCode::Ok, true) => Then::Move,
            (StopCode::Ok, false) => Then::Rest,
        }
    }
}

/// The events of a life, by their index.
#[derive(Debug, Default)]
pub(super) struct Heard {
    newest: Option<i64>,
    /// The one before the newest.
    previous: Option<i64>,
    acknowledged: Option<i64>,
    /// Whether it is among those to be acknowledged.
    pub(super) queued: bool,
}

impl Heard {
    /// Whether an event is new.
    pub(super) fn is_new(&mut self, index: i64) -> bool {
        if self.newest.is_some_and(|newest| index <= newest) {
            return false;
        }
        self.previous = self.newest.replace(index);
        true
    }

    /// What can be acknowledged: never the newest, so that a runner which comes back announces the actor.
    pub(super) fn to_acknowledge(&self) -> Option<i64> {
        self.previous.filter(|previous| self.acknowledged != Some(*previous))
    }

    /// Takes it.
    pub(super) fn acknowledge(&mut self) -> Option<i64> {
        self.queued = false;
        let index = self.to_acknowledge();
        self.acknowledged = index.or(self.acknowledged);
        index
    }
}

impl Life {
    /// The life that a record tells of.
    pub(super) fn new(runner: RunnerId, record: &ActorRecord, stage: Stage) -> Self {
        Life {
            runner,
            generation: record.generation,
            created_at: record.created_at,
            crashes: record.crashes,
            alarm: record.alarm,
            stage,
            confirmed: false,
            since: None,
            asked: false,
            announced: false,
            acknowledged: None,
            deadline: None,
            heard: Heard::default(),
            sockets: Sockets::Unasked,
        }
    }

    pub(super) fn created_at(&self) -> i64 {
        self.created_at
    }

    /// Whether a record tells of this life.
    pub(super) fn is_of(&self, record: &ActorRecord) -> bool {
        record.generation == self.generation && record.state.runner() == Some(self.runner)
    }

    /// What the directory should say; none: what it says until its routes are closed.
    pub(super) fn record(&self) -> Option<ActorRecord> {
        let state = match self.stage {
            Stage::Starting => ActorState::Starting(self.runner),
            Stage::Running => ActorState::Running(self.runner),
            Stage::Finishing(_) | Stage::Stopping(_) => ActorState::Stopping(self.runner),
            Stage::Ending(_) => return None,
        };
        Some(ActorRecord {
            created_at: self.created_at,
            generation: self.generation,
            crashes: self.crashes,
            alarm: self.alarm,
            state,
        })
    }

    /// What the directory should say when it is over. `steady`: it ran for so long that a crash is its first.
    pub(super) fn after(&self, then: Then, steady: bool) -> ActorRecord {
        let (state, alarm, crashes) = match then {
            Then::Sleep => (ActorState::Sleeping, self.alarm, 0),
            Then::Rest => (ActorState::Sleeping, None, 0),
            Then::Move => (ActorState::Wanted, self.alarm, 0),
            Then::Restart => (ActorState::Wanted, self.alarm, if steady { 1 } else { self.crashes.saturating_add(1) }),
        };
        ActorRecord { created_at: self.created_at, generation: self.generation, crashes, alarm, state }
    }

    /// Its runner's connection ended: what was asked and said on it counts no more.
    pub(super) fn interrupted(&mut self) -> Option<Armed> {
        self.asked = false;
        self.announced = false;
        self.heard.queued = false;
        self.heard.acknowledged = None;
        self.sockets = Sockets::Unasked;
        self.deadline.take()
    }
}

/// Why an actor ended, as its runner said.
#[derive(Debug)]
pub(super) struct End {
    pub(super) code: StopCode,
    pub(super) message: Option<ByteString>,
}
