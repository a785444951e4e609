//! Tables of requests whose keys are never mistaken for a later entry's.

use core::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use slab::Slab;

/// Names a request between a machine and its embedder.
///
/// A key outlives its request without harm: what is said of a request that has ended is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestKey {
    slot: u32,
    serial: NonZeroU32,
}

/// A slab with keys that tell an entry from the next in its slot.
#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: Slab<(NonZeroU32, T)>,
    serial: NonZeroU32,
}

impl<T> Table<T> {
    pub(crate) fn new() -> Self {
        Table { entries: Slab::new(), serial: NonZeroU32::MAX }
    }

    pub(crate) fn insert(&mut self, entry: T) -> RequestKey {
        self.serial = self.serial.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let slot = self.entries.insert((self.serial, entry));
        RequestKey { slot: u32::try_from(slot).expect("fewer than 2³² requests"), serial: self.serial }
    }

    pub(crate) fn get_mut(&mut self, key: RequestKey) -> Option<&mut T> {
        match self.entries.get_mut(key.slot as usize) {
            Some((serial, entry)) if *serial == key.serial => Some(entry),
            Some(_) | None => None,
        }
    }

    pub(crate) fn get(&self, key: RequestKey) -> Option<&T> {
        match self.entries.get(key.slot as usize) {
            Some((serial, entry)) if *serial == key.serial => Some(entry),
            Some(_) | None => None,
        }
    }

    pub(crate) fn remove(&mut self, key: RequestKey) -> Option<T> {
        self.get(key)?;
        Some(self.entries.remove(key.slot as usize).1)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, (_, entry))| entry)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = RequestKey> {
        self.entries.iter().map(|(slot, (serial, _))| RequestKey { slot: slot as u32, serial: *serial })
    }
}
