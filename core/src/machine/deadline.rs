//! Named deadlines, O(1) to arm, to cancel and to ask for the next.

use core::time::Duration;

use slab::Slab;

use crate::time::Time;

/// Deadlines of a few kinds, each kind with a wait that is the same for all its entries.
///
/// As the entries of a kind all wait equally long, they fall due in the order in which they were armed: each kind is
/// a first-in first-out list, linked through one slab, and the next due time is the least of the few heads. Nothing
/// of a cancelled entry stays behind.
#[derive(Debug)]
pub(crate) struct Deadlines<Kind, Owner> {
    lists: Vec<List<Kind>>,
    entries: Slab<Entry<Owner>>,
}

#[derive(Debug)]
struct List<Kind> {
    kind: Kind,
    wait: Duration,
    first: Option<usize>,
    last: Option<usize>,
}

#[derive(Debug)]
struct Entry<Owner> {
    owner: Owner,
    due: Time,
    list: usize,
    before: Option<usize>,
    after: Option<usize>,
}

/// An armed deadline. Its owner keeps it and gives it back to cancel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Armed(usize);

impl<Kind: Copy + PartialEq, Owner: Copy> Deadlines<Kind, Owner> {
    pub(crate) fn new(waits: impl IntoIterator<Item = (Kind, Duration)>) -> Self {
        let lists = waits.into_iter().map(|(kind, wait)| List { kind, wait, first: None, last: None }).collect();
        Deadlines { lists, entries: Slab::new() }
    }

    /// Arms a deadline of a kind that [`new`](Self::new) was told of.
    pub(crate) fn arm(&mut self, kind: Kind, owner: Owner, now: Time) -> Armed {
        let list = self.lists.iter().position(|list| list.kind == kind).expect("every kind has a wait");
        let before = self.lists[list].last;
        let due = now + self.lists[list].wait;
        let entry = self.entries.insert(Entry { owner, due, list, before, after: None });
        match before {
            Some(before) => self.entries[before].after = Some(entry),
            None => self.lists[list].first = Some(entry),
        }
        self.lists[list].last = Some(entry);
        Armed(entry)
    }

    pub(crate) fn cancel(&mut self, armed: Armed) {
        self.unlink(armed.0);
    }

    /// Takes the next deadline that is due. Its [`Armed`] must be dropped by its owner, not cancelled.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Kind, Owner)> {
        let (list, first) = self
            .lists
            .iter()
            .enumerate()
            .filter_map(|(index, list)| list.first.map(|first| (index, first)))
            .min_by_key(|(_, first)| self.entries[*first].due)?;
        if self.entries[first].due > now {
            return None;
        }
        Some((self.lists[list].kind, self.unlink(first)))
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.lists.iter().filter_map(|list| list.first).map(|first| self.entries[first].due).min()
    }

    /// How many are armed.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn unlink(&mut self, entry: usize) -> Owner {
        let Entry { owner, list, before, after, .. } = self.entries.remove(entry);
        match before {
            Some(before) => self.entries[before].after = after,
            None => self.lists[list].first = after,
        }
        match after {
            Some(after) => self.entries[after].before = before,
            None => self.lists[list].last = before,
        }
        owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        Short,
        Long,
    }

    fn deadlines() -> Deadlines<Kind, u32> {
        Deadlines::new([(Kind::Short, Duration::from_millis(10)), (Kind::Long, Duration::from_millis(100))])
    }

    #[test]
    fn they_fall_due_in_order_at_their_instant_and_not_before() {
        let mut deadlines = deadlines();
        let _long = deadlines.arm(Kind::Long, 1, Time::ZERO);
        let _short = deadlines.arm(Kind::Short, 2, Time::from_millis(95));
        assert_eq!(deadlines.next_due(), Some(Time::from_millis(100)));
        assert_eq!(deadlines.pop_due(Time::from_micros(99_999)), None);
        assert_eq!(deadlines.pop_due(Time::from_millis(200)), Some((Kind::Long, 1)));
        assert_eq!(deadlines.pop_due(Time::from_millis(200)), Some((Kind::Short, 2)));
        assert_eq!(deadlines.pop_due(Time::from_millis(200)), None);
        assert_eq!((deadlines.next_due(), deadlines.len()), (None, 0));
    }

    #[test]
    fn cancelling_any_of_a_list_leaves_the_others_in_order() {
        for cancelled in 0..3 {
            let mut deadlines = deadlines();
            let mut armed: Vec<_> = (0..3).map(|owner| deadlines.arm(Kind::Short, owner, Time::ZERO)).collect();
            deadlines.cancel(armed.remove(cancelled as usize));
            let due: Vec<_> = core::iter::from_fn(|| deadlines.pop_due(Time::from_millis(10))).collect();
            let left: Vec<_> = (0..3).filter(|owner| *owner != cancelled).map(|owner| (Kind::Short, owner)).collect();
            assert_eq!(due, left);
            assert_eq!(deadlines.len(), 0);
        }
    }

    #[test]
    fn a_slot_is_used_again_and_nothing_heaps_up() {
        let mut deadlines = deadlines();
        for round in 0..1_000 {
            let armed = deadlines.arm(Kind::Long, round, Time::from_millis(u64::from(round)));
            deadlines.cancel(armed);
        }
        assert_eq!((deadlines.len(), deadlines.entries.capacity() < 8), (0, true));
    }
}
