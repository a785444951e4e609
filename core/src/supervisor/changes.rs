//! Actors' records: what the directory shows, and what this relay has changed.

use super::actors::{ActorSlot, Change, Place};
use super::{Action, Deadline, Notice, Owner, Supervisor};
use crate::directory::{ActorChange, ActorKey, ActorRecord, ActorSeen, ActorState, ChangeOutcome, Versioned};
use crate::time::Time;

impl Supervisor {
    /// The directory shows an actor.
    pub(super) fn actor_seen(&mut self, seen: ActorSeen, now: Time) {
        let slot = self.actors.slot(&seen.key);
        let Some(record) = seen.record else {
            return self.actor_vanished(slot, now);
        };
        let slot = match slot {
            Some(slot) => slot,
            None if record.record.state == ActorState::Sleeping && record.record.alarm.is_none() => return,
            None if seen.key.actor_id.len() > self.config.max_actor_id => {
                self.counted.untracked += 1;
                return;
            }
            None if self.actors.len() >= self.config.max_actors => return self.leave_out(),
            None => self.actors.insert(seen.key),
        };
        let Some(actor) = self.actors.get_mut(slot) else { return };
        actor.is_shown = true;
        if actor.known.as_ref().is_some_and(|known| record.revision <= known.revision) {
            return;
        }
        if !actor.is_idle() {
            // What becomes of the change may be older, or newer.
            actor.shown = Some(record);
            return;
        }
        actor.known = Some(record);
        self.follow(slot, now);
    }

    /// The directory has shown all that is there: what it has not is gone.
    pub(super) fn all_actors_shown(&mut self, now: Time) {
        for slot in self.actors.hidden() {
            self.actor_vanished(Some(slot), now);
        }
    }

    fn actor_vanished(&mut self, slot: Option<ActorSlot>, now: Time) {
        let Some((slot, actor)) = slot.and_then(|slot| Some((slot, self.actors.get_mut(slot)?))) else { return };
        match actor.place {
            Place::Asleep(_) | Place::BackingOff(_) | Place::Waiting | Place::Elsewhere if actor.is_idle() => {
                actor.known = None;
                self.classify(slot, now);
            }
            // The change that is made, or the next, will find out.
            Place::Asleep(_)
            | Place::BackingOff(_)
            | Place::Waiting
            | Place::Elsewhere
            | Place::Claiming(_)
            | Place::Hosted(_)
            | Place::Releasing(_) => {}
        }
    }

    /// Has the directory say what it should, unless it is being asked already.
    pub(super) fn sync(&mut self, slot: ActorSlot) {
        let Some(actor) = self.actors.get_mut(slot).filter(|actor| actor.is_idle()) else { return };
        let Some(meant) = actor.meant() else { return };
        if actor.known.as_ref().is_some_and(|known| known.record == meant) {
            return;
        }
        self.write(slot);
    }

    /// Asks the directory to say what it should.
    pub(super) fn write(&mut self, slot: ActorSlot) {
        let Some(actor) = self.actors.get_mut(slot).filter(|actor| actor.is_idle()) else { return };
        let Some(meant) = actor.meant() else { return };
        let expected = actor.known.as_ref().map(|known| known.revision);
        actor.change = Change::InFlight(meant.clone());
        self.actions.push_back(Action::Change(ActorChange { key: actor.key.clone(), expected, record: Some(meant) }));
    }

    /// A change was made, or not.
    pub(super) fn changed(&mut self, key: &ActorKey, outcome: ChangeOutcome<ActorRecord>, now: Time) {
        let Some(slot) = self.actors.slot(key) else { return };
        let Some(actor) = self.actors.get_mut(slot) else { return };
        let written = match core::mem::replace(&mut actor.change, Change::Idle) {
            Change::InFlight(written) => written,
            // An outcome of what was not asked, or was answered before.
            other @ (Change::Idle | Change::Again) => {
                actor.change = other;
                return;
            }
        };
        match outcome {
            ChangeOutcome::Stored(revision) => actor.known = Some(Versioned { revision, record: written }),
            ChangeOutcome::Conflict(current) => {
                actor.known = current;
                self.counted.conflicts += 1;
            }
            ChangeOutcome::Unavailable => {
                let notice = Notice::DirectoryUnavailable(actor.key.clone());
                actor.change = Change::Again;
                self.deadlines.arm(Deadline::Directory, Owner::Actor(slot), now);
                self.counted.unavailable += 1;
                return self.log(notice);
            }
        }
        self.catch_up(slot, now);
    }

    /// The directory was away; it is asked again.
    pub(super) fn change_again(&mut self, slot: ActorSlot, now: Time) {
        if let Some(actor) = self.actors.get_mut(slot) {
            actor.change = Change::Idle;
            self.catch_up(slot, now);
        }
    }

    /// What was shown while the change was made may be newer.
    fn catch_up(&mut self, slot: ActorSlot, now: Time) {
        let Some(actor) = self.actors.get_mut(slot) else { return };
        let shown = actor.shown.take();
        let newer =
            |shown: &Versioned<ActorRecord>| actor.known.as_ref().is_none_or(|known| known.revision < shown.revision);
        if let Some(shown) = shown.filter(newer) {
            actor.known = Some(shown);
        }
        self.follow(slot, now);
    }

    /// What is known of an actor changed: so may what this relay has to do with it.
    fn follow(&mut self, slot: ActorSlot, now: Time) {
        let Some(actor) = self.actors.get(slot) else { return };
        let known = actor.known.as_ref().map(|known| &known.record);
        match &actor.place {
            Place::Asleep(_) | Place::BackingOff(_) | Place::Waiting | Place::Elsewhere => self.classify(slot, now),
            Place::Claiming(claim) => {
                let runner = claim.runner;
                match &actor.known {
                    // The directory was away, and has not answered.
                    Some(known) if known.revision == claim.after => self.write(slot),
                    Some(known) if known.record == claim.record => self.begin(slot, runner, now),
                    Some(_) | None => self.classify(slot, now),
                }
            }
            Place::Hosted(life) => {
                if known.is_none_or(|known| life.is_of(known)) {
                    self.sync(slot);
                } else {
                    self.superseded(slot, now);
                }
            }
            Place::Releasing(record) => {
                let same_life =
                    |known: &ActorRecord| known.generation == record.generation && known.state.runner().is_some();
                if known != Some(record) && known.is_none_or(same_life) {
                    self.sync(slot);
                } else {
                    self.classify(slot, now);
                }
            }
        }
    }
}
