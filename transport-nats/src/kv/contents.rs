//! What is in a store, as its log says: which keys, and in which message of the log their values are.

use core::mem;
use core::ops::Bound;
use std::collections::BTreeMap;

use bytes::Bytes;
use underpass_core::kv::{Head, Stamp};

use super::log::Logged;
use super::record::{Key, What};

/// How much more of the log than is needed may be left, before some of it is written again: messages, and bytes.
const SLACK: (usize, u64) = (64, 1024 * 1024);

/// What is in a store.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) head: Head,
    /// The last message; 0 if there is none.
    pub(super) last: u64,
    /// How many records there ever were.
    pub(super) records: u64,
    entries: BTreeMap<Bytes, Place>,
    messages: BTreeMap<u64, Message>,
    /// The bytes of all messages' values.
    written: u64,
    /// Those of which a key has its value.
    needed: u64,
    /// How many messages have a value that is needed.
    live: usize,
    /// Messages of which perhaps nothing is needed any more.
    suspects: Vec<u64>,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) stamp: Stamp,
}

/// A message of the log.
#[derive(Debug)]
struct Message {
    size: u64,
    /// How many keys have their value in it.
    live: usize,
    /// Whether it says that keys are gone, which older messages have.
    removes: bool,
}

impl Contents {
    /// What follows in the log.
    pub(super) fn apply(&mut self, Logged { sequence, record, size }: Logged) {
        self.head = record.head();
        self.records = record.number + 1;
        // What was last stayed, needed or not.
        self.suspects.push(self.last);
        self.last = sequence;
        let removes = matches!(record.what, What::Deleted { .. } | What::DeletedRange { .. });
        self.messages.insert(sequence, Message { size, live: 0, removes });
        self.written += size;
        let puts = self.head.puts;
        let mut offset = 0;
        let mut put = |contents: &mut Self, Key(key): Key, length: u32, stamp: Stamp| {
            let length = length as usize;
            contents.enter(key, Place { sequence, offset, length, stamp });
            offset += length;
        };
        match record.what {
            What::Used => {}
            What::Put { update_ts, entries } => {
                for (key, length) in entries {
                    put(self, key, length, Stamp { version: puts, update_ts });
                }
            }
            What::Moved { entries } => {
                for (key, length, version, update_ts) in entries {
                    put(self, key, length, Stamp { version, update_ts });
                }
            }
            What::Deleted { keys } => keys.iter().for_each(|Key(key)| self.leave(key)),
            What::DeletedRange { start, end } => {
                let range = (start.map(|Key(key)| key), end.map(|Key(key)| key));
                let gone: Vec<_> = self.range(range.0.as_ref(), range.1.as_ref()).map(|(key, _)| key.clone()).collect();
                gone.iter().for_each(|key| self.leave(key));
            }
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Place> {
        self.entries.get(key).copied()
    }

    /// Those between two keys, which must be in order.
    pub(super) fn range(
        &self,
        start: Bound<&Bytes>,
        end: Bound<&Bytes>,
    ) -> impl DoubleEndedIterator<Item = (&Bytes, &Place)> {
        self.entries.range::<Bytes, _>((start, end))
    }

    /// The bytes that a key and its value have.
    pub(super) fn size(&self, key: &[u8]) -> u64 {
        self.entries.get(key).map_or(0, |place| (key.len() + place.length) as u64)
    }

    /// Forgets messages that nobody needs any more, in an order in which they can be taken away one by one: those of
    /// which no key has its value, and word of removals when nothing older is left. The last stays: it is what others
    /// are appended behind.
    pub(super) fn take_dead(&mut self) -> Vec<u64> {
        let mut dead = Vec::new();
        for sequence in mem::take(&mut self.suspects) {
            let is_dead = |message: &Message| message.live == 0 && !message.removes && sequence != self.last;
            if self.messages.get(&sequence).is_some_and(is_dead) {
                self.forget(sequence, &mut dead);
            }
        }
        while let Some((&sequence, message)) = self.messages.first_key_value()
            && message.live == 0
            && sequence != self.last
        {
            self.forget(sequence, &mut dead);
        }
        dead
    }

    fn forget(&mut self, sequence: u64, dead: &mut Vec<u64>) {
        if let Some(message) = self.messages.remove(&sequence) {
            self.written -= message.size;
            dead.push(sequence);
        }
    }

    /// The oldest message, if the log has much that is not needed and would be shorter without it; and what of it is
    /// needed.
    pub(super) fn to_move(&self) -> Option<(u64, Vec<(Bytes, Place)>)> {
        let (messages, bytes) = SLACK;
        if self.messages.len() <= 2 * self.live + messages && self.written <= 2 * self.needed + bytes {
            return None;
        }
        let (sequence, message) = self.messages.first_key_value().filter(|(sequence, _)| **sequence != self.last)?;
        let of = self.entries.iter().filter(|(_, place)| place.sequence == *sequence);
        let entries: Vec<_> = of.take(message.live).map(|(key, place)| (key.clone(), *place)).collect();
        Some((*sequence, entries))
    }

    fn enter(&mut self, key: Bytes, place: Place) {
        self.leave(&key);
        self.needed += place.length as u64;
        if let Some(message) = self.messages.get_mut(&place.sequence) {
            self.live += usize::from(message.live == 0);
            message.live += 1;
        }
        self.entries.insert(key, place);
    }

    fn leave(&mut self, key: &Bytes) {
        let Some(place) = self.entries.remove(key) else { return };
        self.needed -= place.length as u64;
        if let Some(message) = self.messages.get_mut(&place.sequence) {
            message.live -= 1;
            if message.live == 0 {
                self.live -= 1;
                self.suspects.push(place.sequence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;

    fn key(key: &'static str) -> Key {
        Key(Bytes::from_static(key.as_bytes()))
    }

    fn put(keys: &[&'static str]) -> What {
        What::Put { update_ts: 0, entries: keys.iter().map(|of| (key(of), 10)).collect() }
    }

    fn deleted(keys: &[&'static str]) -> What {
        What::Deleted { keys: keys.iter().map(|of| key(of)).collect() }
    }

    /// Applies these from 1 on. What is dead after each.
    fn dead(contents: &mut Contents, log: impl IntoIterator<Item = What>) -> Vec<Vec<u64>> {
        let mut told = Vec::new();
        for what in log {
            let size = if let What::Put { entries, .. } = &what { 10 * entries.len() as u64 } else { 0 };
            let record = Record::new(contents.records, Head::default(), what);
            contents.apply(Logged { sequence: contents.last + 1, record, size });
            told.push(contents.take_dead());
        }
        told
    }

    #[test]
    fn a_message_is_dead_when_all_its_keys_have_their_values_elsewhere() {
        let mut contents = Contents::default();
        let log = [put(&["a", "b"]), put(&["a"]), put(&["b", "c"]), put(&["a"]), put(&["c"])];
        assert_eq!(dead(&mut contents, log), [vec![], vec![], vec![1], vec![2], vec![]]);
        assert_eq!(contents.messages.len(), contents.live);
        assert_eq!((contents.written, contents.needed), (40, 30));
    }

    #[test]
    fn word_of_a_removal_stays_as_long_as_something_older_does_and_the_last_message_stays() {
        let mut contents = Contents::default();
        let log =
            [put(&["a", "b"]), deleted(&["a"]), put(&["c"]), deleted(&["c"]), What::Used, put(&["b"]), put(&["d"])];
        assert_eq!(dead(&mut contents, log), [vec![], vec![], vec![], vec![3], vec![], vec![5, 1, 2, 4], vec![]]);
        let log = [deleted(&["b", "d"]), put(&["a"])];
        assert_eq!(dead(&mut contents, log), [vec![7, 6], vec![8]]);
        assert_eq!(contents.entries.len(), 1);
    }

    #[test]
    fn a_log_that_is_mostly_not_needed_has_its_oldest_message_written_again() {
        let mut contents = Contents::default();
        dead(&mut contents, [put(&["old"])]);
        let mut rounds = 0;
        while contents.to_move().is_none() {
            dead(&mut contents, [put(&["new"]), deleted(&["new"])]);
            rounds += 1;
        }
        assert_eq!(rounds, SLACK.0 + 2);
        let (sequence, entries) = contents.to_move().unwrap();
        assert_eq!((sequence, entries.len()), (1, 1));
        let stamp = entries[0].1.stamp;
        let moved = What::Moved { entries: vec![(key("old"), 10, stamp.version, stamp.update_ts)] };
        assert_eq!(dead(&mut contents, [moved])[0].len(), rounds + 1);
        assert_eq!(contents.messages.len(), 1);
        assert_eq!(contents.get(b"old").unwrap().stamp, stamp);
    }
}
