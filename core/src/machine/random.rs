//! Numbers that look random, from a seed that the embedder gives.

use core::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and good enough for jitter and starting points. Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// `base` and up to a quarter more.
    pub(crate) fn jittered(&mut self, base: Duration) -> Duration {
        let quarter = u64::try_from(base.as_micros() / 4).unwrap_or(u64::MAX);
        base + Duration::from_micros(if quarter == 0 { 0 } else { self.next_u64() % quarter })
    }
}
