//! Numbers that look random, from a seed.

use core::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From any seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// A stream of its own for one part of a whole: what one part draws does not change what another draws.
    #[must_use]
    pub fn stream(seed: u64, part: u64) -> Self {
        let mut random = Random(seed ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Random(random.any())
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        (u128::from(self.any()) * u128::from(end)).wrapping_shr(64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number from `low` to `high`, small ones as likely as large ones: each doubling has the same chance.
    pub fn spread(&mut self, low: u64, high: u64) -> u64 {
        let doublings = u64::from((high / low.max(1)).max(1).ilog2());
        let reach = (low.max(1) << self.between(0, doublings + 1)).min(high);
        self.between(low, reach.max(low))
    }

    /// True in so many of a million cases.
    pub fn per_million(&mut self, cases: u32) -> bool {
        cases > 0 && self.below(1_000_000) < u64::from(cases)
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of some, of which there is at least one.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    /// A time up to `most`, in microseconds.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.between(0, u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut random = Random::new(1);
        let drawn: Vec<_> = (0..1_000).map(|_| random.between(3, 6)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&6)));
        let spread: Vec<_> = (0..1_000).map(|_| random.spread(1, 1_000)).collect();
        assert!(spread.iter().all(|number| (1..=1_000).contains(number)));
        assert!(spread.iter().filter(|number| **number <= 32).count() > 300, "small ones are common");
        assert!((0..10).all(|_| random.spread(7, 7) == 7));
    }

    #[test]
    fn streams_of_a_seed_are_their_own() {
        let first: Vec<_> = (0..8).map(|part| Random::stream(5, part).any()).collect();
        let mut sorted = first.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), first.len());
    }
}
