//! Which frames of which publisher did not come.

use core::mem;

use hashbrown::HashMap;

use super::label::Count;

/// What is expected next of each publisher. Those not heard of for long make room for others.
#[derive(Debug)]
pub(crate) struct Strands {
    /// At most half of those that are known at most.
    recent: HashMap<u64, u64>,
    /// Those that were recent before.
    before: HashMap<u64, u64>,
    most: usize,
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Nothing is missing.
    Next,
    /// Frames before it are.
    Gap,
    /// It was taken for lost before, and that was told. Or it is one a second time.
    Late,
}

impl Strands {
    pub(crate) fn new(most: usize) -> Self {
        Strands { recent: HashMap::new(), before: HashMap::new(), most }
    }

    /// So many frames came, of which this is the place of the first. A strand that is new begins with 0; one that was
    /// forgotten looks as if it had a gap, which does little harm.
    pub(crate) fn judge(&mut self, Count { strand, number }: Count, frames: u64) -> Judged {
        let next = match self.recent.get_mut(&strand) {
            Some(next) => next,
            None => {
                if self.recent.len() >= self.most.div_ceil(2) {
                    self.before = mem::take(&mut self.recent);
                }
                let next = self.before.remove(&strand).unwrap_or(0);
                self.recent.entry(strand).or_insert(next)
            }
        };
        if number < *next {
            return Judged::Late;
        }
        let judged = if number == *next { Judged::Next } else { Judged::Gap };
        *next = number.saturating_add(frames);
        judged
    }

    /// How many are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.recent.len() + self.before.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(strands: &mut Strands, strand: u64, number: u64) -> Judged {
        strands.judge(Count { strand, number }, 1)
    }

    #[test]
    fn numbers_that_follow_each_other_miss_nothing() {
        let mut strands = Strands::new(10);
        for number in 0..100 {
            assert_eq!(judge(&mut strands, 1, number), Judged::Next);
            assert_eq!(judge(&mut strands, 2, number), Judged::Next);
        }
    }

    #[test]
    fn a_gap_is_told_once_and_what_comes_out_of_it_is_late() {
        let mut strands = Strands::new(10);
        let told: Vec<_> = [0, 3, 4, 2, 5, 5, 7].map(|number| judge(&mut strands, 1, number)).into();
        let (next, gap, late) = (Judged::Next, Judged::Gap, Judged::Late);
        assert_eq!(told, [next, gap, next, late, next, late, gap]);
    }

    #[test]
    fn frames_that_came_together_are_followed_by_what_comes_behind_the_last() {
        let mut strands = Strands::new(10);
        let mut judge = |number, frames| strands.judge(Count { strand: 1, number }, frames);
        assert_eq!([judge(0, 3), judge(3, 1), judge(5, 2), judge(6, 1)], {
            [Judged::Next, Judged::Next, Judged::Gap, Judged::Late]
        });
        assert_eq!(judge(u64::MAX, 7), Judged::Gap, "a stranger's number is no trouble");
    }

    #[test]
    fn a_publisher_whose_first_frame_is_missing_has_a_gap() {
        assert_eq!(judge(&mut Strands::new(10), 1, 1), Judged::Gap);
    }

    #[test]
    fn those_not_heard_of_for_long_are_forgotten() {
        let mut strands = Strands::new(10);
        for number in 0..50 {
            judge(&mut strands, 1, number);
            judge(&mut strands, 100 + number, 0);
            assert!(strands.len() <= 10);
        }
        assert_eq!(judge(&mut strands, 1, 50), Judged::Next);
        assert_eq!(judge(&mut strands, 149, 1), Judged::Next);
        assert_eq!(judge(&mut strands, 100, 1), Judged::Gap);
    }
}
