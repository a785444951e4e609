//! Records of runners that nobody writes any more: of one that went away and did not come back, and of one whose relay
//! has died.
//!
//! A relay writes the records of its own runners anew every few seconds. Each relay ages those that name none of its
//! connections, and the first that finds one too old removes it, if it still is what was seen: compare-and-set settles
//! who. What runners leave who moved stays with their relays, which know when it has ended.

use core::time::Duration;

use hashbrown::HashMap;
use slab::Slab;

use super::{Action, Relay};
use crate::bus::RelayId;
use crate::directory::{Revision, RunnerChange, RunnerId, RunnerKey, RunnerRecord, RunnerSeen};
use crate::machine::deadline::{Armed, Deadlines};
use crate::time::Time;

/// The named deadline of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    /// It must have been written anew, or it is removed.
    Forgotten,
}

/// A record that another relay is to write, or none.
#[derive(Debug)]
struct Aged {
    key: RunnerKey,
    id: RunnerId,
    revision: Revision,
    forgotten: Armed,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Ageing {
    records: Slab<Aged>,
    places: HashMap<RunnerKey, usize>,
    deadlines: Deadlines<Deadline, usize>,
    most: usize,
}

impl Ageing {
    /// At most so many are kept in mind; more are left to other relays, or until the directory shows them again.
    pub(super) fn new(forgotten: Duration, most: usize) -> Self {
        Ageing {
            records: Slab::new(),
            places: HashMap::new(),
            deadlines: Deadlines::new([(Deadline::Forgotten, forgotten)]),
            most,
        }
    }

    /// Records kept in mind.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Deadlines armed.
    pub(super) fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.deadlines.next_due()
    }

    /// The directory shows a runner.
    pub(super) fn seen(&mut self, seen: &RunnerSeen, relay: RelayId, now: Time) {
        let ages = |record: &RunnerRecord| {
            record.moving.is_none() && record.connection.is_none_or(|connection| connection.relay != relay)
        };
        let Some(shown) = seen.record.as_ref().filter(|shown| ages(&shown.record)) else {
            return self.forget(&seen.key);
        };
        match self.places.get(&seen.key) {
            Some(place) => {
                let aged = &mut self.records[*place];
                if shown.revision <= aged.revision {
                    return;
                }
                let armed = self.deadlines.arm(Deadline::Forgotten, *place, now);
                self.deadlines.cancel(core::mem::replace(&mut aged.forgotten, armed));
                (aged.id, aged.revision) = (shown.record.id, shown.revision);
            }
            None if self.records.len() < self.most => {
                let entry = self.records.vacant_entry();
                let forgotten = self.deadlines.arm(Deadline::Forgotten, entry.key(), now);
                self.places.insert(seen.key.clone(), entry.key());
                entry.insert(Aged { key: seen.key.clone(), id: shown.record.id, revision: shown.revision, forgotten });
            }
            None => {}
        }
    }

    /// The directory shows nothing for now: all begin anew when it does.
    pub(super) fn begin_anew(&mut self) {
        for aged in self.records.drain() {
            self.deadlines.cancel(aged.forgotten);
        }
        self.places.clear();
    }

    fn forget(&mut self, key: &RunnerKey) {
        let aged = self.places.remove(key).and_then(|place| self.records.try_remove(place));
        if let Some(aged) = aged {
            self.deadlines.cancel(aged.forgotten);
        }
    }

    /// One that is too old. Unless the directory says otherwise it is so again after the same time.
    fn pop_due(&mut self, now: Time) -> Option<(RunnerId, RunnerChange)> {
        let (Deadline::Forgotten, place) = self.deadlines.pop_due(now)?;
        let aged = &mut self.records[place];
        aged.forgotten = self.deadlines.arm(Deadline::Forgotten, place, now);
        Some((aged.id, RunnerChange { key: aged.key.clone(), expected: Some(aged.revision), record: None }))
    }
}

impl Relay {
    /// Removes what is too old, but not while actors' records name the runner: it may come back to them.
    pub(super) fn forget_runners(&mut self, now: Time) {
        while let Some((runner, change)) = self.ageing.pop_due(now) {
            if self.supervisor.may_have_actors(runner) {
                continue;
            }
            self.counted.forgotten += 1;
            self.actions.push_back(Action::Forget(change));
        }
    }
}
