//! The actors that a supervisor keeps in mind.

use hashbrown::HashMap;
use slab::Slab;

use super::life::Life;
use crate::directory::{ActorKey, ActorRecord, Revision, RunnerId, Versioned};
use crate::machine::deadline::Armed;

/// An actor's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ActorSlot(usize);

/// An actor that is needed, that a runner has, or whose alarm is set.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) key: ActorKey,
    /// What the directory said last.
    pub(super) known: Option<Versioned<ActorRecord>>,
    /// What it showed while a change was being made.
    pub(super) shown: Option<Versioned<ActorRecord>>,
    pub(super) change: Change,
    pub(super) place: Place,
    /// The runner among whose actors it is.
    pub(super) at: Option<RunnerId>,
    /// Whether the directory has shown its record since it was away last.
    pub(super) is_shown: bool,
}

/// How far the change of a record has come.
#[derive(Debug)]
pub(super) enum Change {
    Idle,
    InFlight(ActorRecord),
    /// The directory was away; it is asked again.
    Again,
}

/// What this relay has to do with an actor.
#[derive(Debug)]
pub(super) enum Place {
    /// It sleeps until its alarm rings, at this Unix time in milliseconds.
    Asleep(i64),
    /// It crashed, and is started again after a while.
    BackingOff(Armed),
    /// It is needed, and waits for a runner with room that it belongs to.
    Waiting,
    /// A runner has it that is not here, or of which it is not known yet what it has.
    Elsewhere,
    /// The directory is asked to give it to a runner of this relay.
    Claiming(Claim),
    /// A runner of this relay has it.
    Hosted(Box<Life>),
    /// Its life is over; the directory is asked to say so.
    Releasing(ActorRecord),
}

/// What the directory is asked to say of an actor for a runner of this relay.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) runner: RunnerId,
    pub(super) record: ActorRecord,
    /// What it said before, and may have said already: only a later word is an answer.
    pub(super) after: Revision,
}

impl Actor {
    pub(super) fn life(&self) -> Option<&Life> {
        match &self.place {
            Place::Hosted(life) => Some(life),
            Place::Asleep(_)
            | Place::BackingOff(_)
            | Place::Waiting
            | Place::Elsewhere
            | Place::Claiming(_)
            | Place::Releasing(_) => None,
        }
    }

    pub(super) fn life_mut(&mut self) -> Option<&mut Life> {
        match &mut self.place {
            Place::Hosted(life) => Some(life),
            Place::Asleep(_)
            | Place::BackingOff(_)
            | Place::Waiting
            | Place::Elsewhere
            | Place::Claiming(_)
            | Place::Releasing(_) => None,
        }
    }

    /// What the directory should say, if this relay has a say in it.
    pub(super) fn meant(&self) -> Option<ActorRecord> {
        match &self.place {
            Place::Hosted(life) => life.record(),
            Place::Claiming(claim) => Some(claim.record.clone()),
            Place::Releasing(record) => Some(record.clone()),
            Place::Asleep(_) | Place::BackingOff(_) | Place::Waiting | Place::Elsewhere => None,
        }
    }

    /// Whether it waits for a runner.
    pub(super) fn waits(&self) -> bool {
        matches!(self.place, Place::Waiting)
    }

    /// Whether a runner has it that is not known to be here.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self.place, Place::Elsewhere)
    }

    /// Whether no change of its record is under way.
    pub(super) fn is_idle(&self) -> bool {
        match self.change {
            Change::Idle => true,
            Change::InFlight(_) | Change::Again => false,
        }
    }
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Actors {
    slots: HashMap<ActorKey, ActorSlot>,
    actors: Slab<Actor>,
}

impl Actors {
    pub(super) fn len(&self) -> usize {
        self.actors.len()
    }

    pub(super) fn slot(&self, key: &ActorKey) -> Option<ActorSlot> {
        self.slots.get(key).copied()
    }

    pub(super) fn get(&self, slot: ActorSlot) -> Option<&Actor> {
        self.actors.get(slot.0)
    }

    pub(super) fn get_mut(&mut self, slot: ActorSlot) -> Option<&mut Actor> {
        self.actors.get_mut(slot.0)
    }

    pub(super) fn insert(&mut self, key: ActorKey) -> ActorSlot {
        let slot = ActorSlot(self.actors.insert(Actor {
            key: key.clone(),
            known: None,
            shown: None,
            change: Change::Idle,
            place: Place::Elsewhere,
            at: None,
            is_shown: false,
        }));
        self.slots.insert(key, slot);
        slot
    }

    /// The directory shows nothing for now.
    pub(super) fn hide(&mut self) {
        self.actors.iter_mut().for_each(|(_, actor)| actor.is_shown = false);
    }

    /// Those that the directory has not shown since.
    pub(super) fn hidden(&self) -> Vec<ActorSlot> {
        let hidden = self.actors.iter().filter(|(_, actor)| !actor.is_shown);
        hidden.map(|(slot, _)| ActorSlot(slot)).collect()
    }

    pub(super) fn remove(&mut self, slot: ActorSlot) {
        if let Some(actor) = self.actors.try_remove(slot.0) {
            self.slots.remove(&actor.key);
        }
    }

    /// How many are on runners of this relay.
    pub(super) fn hosted(&self) -> usize {
        self.actors.iter().filter(|(_, actor)| actor.life().is_some()).count()
    }
}
