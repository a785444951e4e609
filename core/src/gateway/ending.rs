//! Ends of requests that the bus did not take: they are published again for a while.

use hashbrown::HashMap;
use slab::Slab;

use super::{Action, Gateway};
use crate::bus::Publication;
use crate::machine::deadline::Armed;
use crate::protocol::RequestId;
use crate::time::Time;

/// The place of an [`Ending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndingKey(usize);

/// A request that its client knows to be over, and its runner does not.
#[derive(Debug)]
struct Ending {
    id: RequestId,
    publication: Publication,
    /// Whether the bus gave the last attempt back. If it does not until the next, it took it.
    given_back: bool,
    again: Armed,
    give_up: Armed,
}

/// Requests whose ends are not out.
#[derive(Debug, Default)]
pub(super) struct Endings {
    entries: Slab<Ending>,
    by_id: HashMap<RequestId, EndingKey>,
}

/// The named deadlines of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    GiveUp,
    Again,
}

impl Endings {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn remove(&mut self, key: EndingKey) -> Ending {
        let ending = self.entries.remove(key.0);
        self.by_id.remove(&ending.id);
        ending
    }
}

impl Gateway {
    /// The bus did not take the end of a request.
    pub(super) fn end_given_back(&mut self, id: RequestId, publication: Publication, now: Time) {
        if let Some(key) = self.endings.by_id.get(&id) {
            self.endings.entries[key.0].given_back = true;
            return;
        }
        if self.endings.len() >= self.config.max_requests {
            self.counted.aborts_given_up += 1;
            return;
        }
        let key = EndingKey(self.endings.entries.vacant_key());
        let again = self.ending_deadlines.arm(Deadline::Again, key, now);
        let give_up = self.ending_deadlines.arm(Deadline::GiveUp, key, now);
        self.endings.entries.insert(Ending { id, publication, given_back: true, again, give_up });
        self.endings.by_id.insert(id, key);
    }

    pub(super) fn ending_due(&mut self, deadline: Deadline, key: EndingKey, now: Time) {
        match deadline {
            Deadline::Again if self.endings.entries[key.0].given_back => {
                let ending = &mut self.endings.entries[key.0];
                ending.given_back = false;
                ending.again = self.ending_deadlines.arm(Deadline::Again, key, now);
                self.counted.aborts_tried_again += 1;
                self.actions.push_back(Action::Publish(ending.publication.clone()));
            }
            Deadline::Again => {
                let ending = self.endings.remove(key);
                self.ending_deadlines.cancel(ending.give_up);
                self.note_drained();
            }
            Deadline::GiveUp => {
                let ending = self.endings.remove(key);
                self.ending_deadlines.cancel(ending.again);
                if ending.given_back {
                    self.counted.aborts_given_up += 1;
                }
                self.note_drained();
            }
        }
    }
}
