//! Tombstones: requests that have ended, or were refused, remembered for a while and in bounded number.

use core::time::Duration;
use std::collections::VecDeque;

use hashbrown::HashMap;

use super::ending::Word;
use super::routes::RouteId;
use crate::time::Time;

/// They fall due in the order in which they were laid, and none is taken away before: a queue is enough. One that is
/// laid again, after its route was restored, is in it twice.
#[derive(Debug)]
pub(super) struct Tombstones {
    stands: HashMap<RouteId, Tombstone>,
    laid: VecDeque<(RouteId, Time)>,
    stand: Duration,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Tombstone {
    until: Time,
    /// What its gateway was told of its end, if its runner did not say that.
    word: Option<Word>,
}

impl Tombstones {
    pub(super) fn new(stand: Duration, most: usize) -> Self {
        Tombstones { stands: HashMap::new(), laid: VecDeque::new(), stand, most }
    }

    /// Lays one.
    pub(super) fn lay(&mut self, id: RouteId, now: Time) {
        let due = now + self.stand;
        if self.most == 0 {
            return;
        }
        let before = self.stands.insert(id, Tombstone { until: due, word: None });
        if before.is_some_and(|before| before.until == due) {
            return;
        }
        self.laid.push_back((id, due));
        if self.laid.len() > self.most {
            self.take_oldest();
        }
    }

    /// Its gateway is told how it ended.
    pub(super) fn inscribe(&mut self, id: RouteId, word: Word) {
        if let Some(tombstone) = self.stands.get_mut(&id) {
            tombstone.word = Some(word);
        }
    }

    /// What its gateway was told.
    pub(super) fn word(&self, id: RouteId) -> Option<Word> {
        self.stands.get(&id)?.word
    }

    pub(super) fn contains(&self, id: RouteId) -> bool {
        self.stands.contains_key(&id)
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
        if let Some((id, due)) = self.laid.pop_front()
            && self.stands.get(&id).is_some_and(|tombstone| tombstone.until == due)
        {
            self.stands.remove(&id);
        }
    }
}
