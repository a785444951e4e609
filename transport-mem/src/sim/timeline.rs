//! What is to happen, in the order of time; of what falls on the same microsecond, first said, first done.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use underpass_core::Time;

/// The queue of what is to happen.
#[derive(Debug)]
pub(super) struct Timeline<T> {
    /// When, in which order it was said, and where it lies.
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    said: u64,
}

impl<T> Timeline<T> {
    pub(super) fn new() -> Self {
        Timeline { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), said: 0 }
    }

    pub(super) fn push(&mut self, at: Time, thing: T) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(thing);
                slot
            }
            None => {
                self.slots.push(Some(thing));
                self.slots.len() - 1
            }
        };
        self.said += 1;
        self.heap.push(Reverse((at, self.said, slot)));
    }

    pub(super) fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(Time, T)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot].take().map(|thing| (at, thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_comes_first_and_then_the_order_of_saying() {
        let mut timeline = Timeline::new();
        for (at, thing) in [(2, 'c'), (1, 'a'), (2, 'd'), (1, 'b')] {
            timeline.push(Time::from_millis(at), thing);
        }
        let order: String = core::iter::from_fn(|| timeline.pop().map(|(_, thing)| thing)).collect();
        assert_eq!(order, "abcd");
        assert_eq!((timeline.slots.len(), timeline.next_at()), (4, None));
    }
}
