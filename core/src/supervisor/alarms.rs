//! The alarms of actors that sleep. Each has a time of its own, so they are a tree, not a list.

use std::collections::BTreeSet;

use super::actors::ActorSlot;

/// Alarms, by the Unix time in milliseconds at which they ring.
#[derive(Debug, Default)]
pub(super) struct Alarms(BTreeSet<(i64, ActorSlot)>);

impl Alarms {
    pub(super) fn set(&mut self, unix_ms: i64, slot: ActorSlot) {
        self.0.insert((unix_ms, slot));
    }

    pub(super) fn clear(&mut self, unix_ms: i64, slot: ActorSlot) {
        self.0.remove(&(unix_ms, slot));
    }

    /// The next one that is due.
    pub(super) fn ring(&mut self, unix_ms: i64) -> Option<ActorSlot> {
        let (due, slot) = *self.0.first()?;
        if due > unix_ms {
            return None;
        }
        self.0.pop_first();
        Some(slot)
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<i64> {
        self.0.first().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
