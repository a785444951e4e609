//! Named deadlines, O(1) to arm, to cancel and to ask for the next.

use core::num::NonZeroU32;
use core::time::Duration;

use slab::Slab;

use crate::time::Time;

/// Deadlines of a few kinds, each kind with a wait that is the same for all its entries.
///
/// As the entries of a kind all wait equally long, they fall due in the order in which they were armed: each kind is
/// a first-in first-out list, linked through one slab, and the next due time is the least of the few heads. That one is
/// kept, since each event asks for it. Nothing of a cancelled entry stays behind.
#[derive(Debug)]
pub(crate) struct Deadlines<Kind, Owner> {
    lists: Vec<List<Kind>>,
    entries: Slab<Entry<Owner>>,
    next: Option<Time>,
}

#[derive(Debug)]
struct List<Kind> {
    kind: Kind,
    wait: Duration,
    ends: Option<Ends>,
}

/// A list that is not empty.
#[derive(Clone, Copy, Debug)]
struct Ends {
    first: usize,
    last: usize,
    /// When the first is due.
    due: Time,
}

#[derive(Debug)]
struct Entry<Owner> {
    owner: Owner,
    due: Time,
    list: usize,
    before: Option<usize>,
    after: Option<usize>,
}

/// An armed deadline. Its owner keeps it and gives it back to cancel. One that may not be armed takes no more room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Armed(NonZeroU32);

impl Armed {
    fn new(entry: usize) -> Self {
        let number = u32::try_from(entry + 1).ok().and_then(NonZeroU32::new);
        Armed(number.expect("fewer than 2³² deadlines"))
    }

    fn entry(&self) -> usize {
        self.0.get() as usize - 1
    }
}

impl<Kind: Copy + PartialEq, Owner: Copy> Deadlines<Kind, Owner> {
    pub(crate) fn new(waits: impl IntoIterator<Item = (Kind, Duration)>) -> Self {
        let lists = waits.into_iter().map(|(kind, wait)| List { kind, wait, ends: None }).collect();
        Deadlines { lists, entries: Slab::new(), next: None }
    }

    /// Arms a deadline of a kind that [`new`](Self::new) was told of.
    pub(crate) fn arm(&mut self, kind: Kind, owner: Owner, now: Time) -> Armed {
        let list = self.lists.iter().position(|list| list.kind == kind).expect("every kind has a wait");
        let entry = self.entries.insert(Entry { owner, due: now, list, before: None, after: None });
        self.append(entry, list, now);
        Armed::new(entry)
    }

    pub(crate) fn cancel(&mut self, armed: Armed) {
        let entry = armed.entry();
        self.unlink(entry);
        self.entries.remove(entry);
    }

    /// An armed deadline begins anew.
    pub(crate) fn begin_anew(&mut self, armed: &Armed, now: Time) {
        let entry = armed.entry();
        let Entry { due, list, .. } = self.entries[entry];
        // Much can happen in one instant.
        if due != now + self.lists[list].wait {
            self.unlink(entry);
            self.append(entry, list, now);
        }
    }

    /// Takes the next deadline that is due. Its [`Armed`] must be dropped by its owner, not cancelled.
    #[inline]
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Kind, Owner)> {
        let next = self.next.filter(|next| *next <= now)?;
        self.pop_first(next)
    }

    fn pop_first(&mut self, next: Time) -> Option<(Kind, Owner)> {
        let of_list = |list: &List<Kind>| list.ends.filter(|ends| ends.due == next).map(|ends| (list.kind, ends.first));
        let (kind, first) = self.lists.iter().find_map(of_list)?;
        self.unlink(first);
        Some((kind, self.entries.remove(first).owner))
    }

    /// When the next one is due.
    #[inline]
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.next
    }

    /// How many are armed.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Puts an entry that is in no list at the end of one.
    fn append(&mut self, entry: usize, list: usize, now: Time) {
        let List { wait, ends, .. } = &mut self.lists[list];
        let due = now + *wait;
        let before = ends.map(|ends| ends.last);
        let Entry { due: of_entry, before: of_entry_before, after, .. } = &mut self.entries[entry];
        (*of_entry, *of_entry_before, *after) = (due, before, None);
        match ends {
            Some(ends) => ends.last = entry,
            None => {
                *ends = Some(Ends { first: entry, last: entry, due });
                self.next = Some(self.next.map_or(due, |next| next.min(due)));
            }
        }
        if let Some(before) = before {
            self.entries[before].after = Some(entry);
        }
    }

    /// Takes an entry out of its list; which that was.
    fn unlink(&mut self, entry: usize) -> usize {
        let Entry { list, before, after, .. } = self.entries[entry];
        if let Some(before) = before {
            self.entries[before].after = after;
        }
        let due = after.map(|after| {
            self.entries[after].before = before;
            self.entries[after].due
        });
        let of_list = &mut self.lists[list].ends;
        match (before, after, due, of_list.as_mut()) {
            (Some(before), None, _, Some(ends)) => ends.last = before,
            (Some(_), Some(_), _, _) | (_, _, _, None) => {}
            (None, after, due, Some(ends)) => {
                *of_list = after.zip(due).map(|(first, due)| Ends { first, due, ..*ends });
                self.next = self.lists.iter().filter_map(|list| list.ends).map(|ends| ends.due).min();
            }
        }
        list
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
    fn one_that_begins_anew_is_the_last_of_its_list() {
        for again in 0..3 {
            let mut deadlines = deadlines();
            let armed: Vec<_> = (0..3).map(|owner| deadlines.arm(Kind::Short, owner, Time::ZERO)).collect();
            deadlines.begin_anew(&armed[again], Time::from_millis(5));
            let at_ten: Vec<_> = core::iter::from_fn(|| deadlines.pop_due(Time::from_millis(10))).collect();
            let others: Vec<_> =
                (0..3).filter(|owner| *owner != again as u32).map(|owner| (Kind::Short, owner)).collect();
            assert_eq!((at_ten, deadlines.next_due()), (others, Some(Time::from_millis(15))));
            assert_eq!(deadlines.pop_due(Time::from_micros(14_999)), None);
            assert_eq!(deadlines.pop_due(Time::from_millis(15)), Some((Kind::Short, again as u32)));
            assert_eq!((deadlines.next_due(), deadlines.len()), (None, 0));
        }
    }

    #[test]
    fn the_only_one_of_its_list_begins_anew() {
        let mut deadlines = deadlines();
        let armed = deadlines.arm(Kind::Long, 1, Time::ZERO);
        deadlines.begin_anew(&armed, Time::from_millis(7));
        assert_eq!(deadlines.next_due(), Some(Time::from_millis(107)));
        deadlines.cancel(armed);
        assert_eq!((deadlines.next_due(), deadlines.len()), (None, 0));
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
