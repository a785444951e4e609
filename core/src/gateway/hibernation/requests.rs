//! The table of all requests, of which those that sleep take little room.

use super::sleeper::Sleeper;
use crate::gateway::request::Request;
use crate::machine::RequestKey;
use crate::machine::table::Table;
use crate::protocol::RequestId;

/// The requests of a gateway. The key of one stays the same when it falls asleep and wakes.
#[derive(Debug)]
pub(in crate::gateway) struct Requests {
    slots: Table<Slot>,
    asleep: usize,
}

/// A request, as large as what is known of it.
#[derive(Debug)]
pub(in crate::gateway) enum Slot {
    Awake(Box<Request>),
    Asleep(Sleeper),
}

impl Requests {
    pub(in crate::gateway) fn new() -> Self {
        Requests { slots: Table::new(), asleep: 0 }
    }

    pub(in crate::gateway) fn insert(&mut self, request: Request) -> RequestKey {
        self.slots.insert(Slot::Awake(Box::new(request)))
    }

    /// A request that is not asleep.
    pub(in crate::gateway) fn get(&self, key: RequestKey) -> Option<&Request> {
        match self.slots.get(key)? {
            Slot::Awake(request) => Some(request),
            Slot::Asleep(_) => None,
        }
    }

    pub(in crate::gateway) fn get_mut(&mut self, key: RequestKey) -> Option<&mut Request> {
        match self.slots.get_mut(key)? {
            Slot::Awake(request) => Some(request),
            Slot::Asleep(_) => None,
        }
    }

    /// A WebSocket that is asleep.
    pub(in crate::gateway) fn asleep(&self, key: RequestKey) -> Option<&Sleeper> {
        match self.slots.get(key)? {
            Slot::Awake(_) => None,
            Slot::Asleep(sleeper) => Some(sleeper),
        }
    }

    pub(in crate::gateway) fn asleep_mut(&mut self, key: RequestKey) -> Option<&mut Sleeper> {
        match self.slots.get_mut(key)? {
            Slot::Awake(_) => None,
            Slot::Asleep(sleeper) => Some(sleeper),
        }
    }

    /// What a request is called on the wire.
    pub(in crate::gateway) fn id(&self, key: RequestKey) -> Option<RequestId> {
        Some(match self.slots.get(key)? {
            Slot::Awake(request) => request.id,
            Slot::Asleep(sleeper) => sleeper.id,
        })
    }

    /// Bytes held for a request.
    pub(in crate::gateway) fn held(&self, key: RequestKey) -> usize {
        self.slots.get(key).map_or(0, |slot| match slot {
            Slot::Awake(request) => request.held(),
            Slot::Asleep(sleeper) => sleeper.held(),
        })
    }

    /// A request falls asleep, or wakes.
    pub(super) fn replace(&mut self, key: RequestKey, slot: Slot) {
        if let Some(there) = self.slots.get_mut(key) {
            self.asleep += usize::from(matches!(slot, Slot::Asleep(_)));
            self.asleep -= usize::from(matches!(there, Slot::Asleep(_)));
            *there = slot;
        }
    }

    pub(in crate::gateway) fn remove(&mut self, key: RequestKey) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        self.asleep -= usize::from(matches!(slot, Slot::Asleep(_)));
        Some(slot)
    }

    pub(in crate::gateway) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many are asleep.
    pub(in crate::gateway) fn asleep_in_all(&self) -> usize {
        self.asleep
    }

    pub(in crate::gateway) fn keys(&self) -> impl Iterator<Item = RequestKey> {
        self.slots.keys()
    }
}
