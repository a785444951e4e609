//! Tombstones: requests that have ended, or were refused, remembered for a while and in bounded number.

use core::time::Duration;
use std::collections::VecDeque;

use hashbrown::HashSet;

use super::routes::RouteId;
use crate::time::Time;

/// They fall due in the order in which they were laid, and none is taken away before: a queue is enough.
#[derive(Debug)]
pub(super) struct Tombstones {
    stands: HashSet<RouteId>,
    laid: VecDeque<(RouteId, Time)>,
    stand: Duration,
    most: usize,
}

impl Tombstones {
    pub(super) fn new(stand: Duration, most: usize) -> Self {
        Tombstones { stands: HashSet::new(), laid: VecDeque::new(), stand, most }
    }

    /// Lays one where none is.
    pub(super) fn lay(&mut self, id: RouteId, now: Time) {
        if self.most == 0 || !self.stands.insert(id) {
            return;
        }
        self.laid.push_back((id, now + self.stand));
        if self.laid.len() > self.most {
            self.take_oldest();
        }
    }

    pub(super) fn contains(&self, id: RouteId) -> bool {
        self.stands.contains(&id)
    }

    pub(super) fn tick(&mut self, now: Time) {
        while self.next_due().is_some_and(|due| due <= now) {
            self.take_oldest();
        }
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.laid.front().map(|(_, due)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.laid.len()
    }

    fn take_oldest(&mut self) {
        if let Some((id, _)) = self.laid.pop_front() {
            self.stands.remove(&id);
        }
    }
}
