//! How long things took, and what processes hold.

use std::time::Duration;

/// Each power of two of microseconds has so many steps.
const STEPS: u64 = 32;

/// How often things took how long, to three in a hundred.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    counts: Vec<u64>,
    all: u64,
}

impl Times {
    pub(crate) fn new() -> Self {
        Times { counts: vec![0; 64 * STEPS as usize], all: 0 }
    }

    pub(crate) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[place(micros)] += 1;
        self.all += 1;
    }

    pub(crate) fn merge(&mut self, other: &Times) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.all += other.all;
    }

    /// The time that this share did not exceed.
    pub(crate) fn at(&self, share: f64) -> Duration {
        let mut left = (self.all as f64 * share) as u64;
        for (place, count) in self.counts.iter().enumerate() {
            if *count > left {
                return Duration::from_micros(least(place as u64));
            }
            left -= count;
        }
        Duration::from_micros(self.counts.iter().rposition(|count| *count > 0).map_or(0, |place| least(place as u64)))
    }
}

fn place(micros: u64) -> usize {
    let (micros, power) = (micros.max(STEPS), micros.max(STEPS).ilog2() - STEPS.ilog2());
    let place = if micros == STEPS { 0 } else { u64::from(power) * STEPS + (micros >> power) - STEPS };
    place as usize
}

/// The shortest time of a place.
fn least(place: u64) -> u64 {
    (STEPS + place % STEPS) << (place / STEPS)
}

/// The memory that a process holds, MiB; 0 if it is gone.
pub(crate) fn resident(process: u32) -> u64 {
    const PAGES_IN_MIB: u64 = 256;
    let pages = std::fs::read_to_string(format!("/proc/{process}/statm")).ok();
    let pages = pages.and_then(|pages| pages.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) / PAGES_IN_MIB
}

/// What a process has used of one processor, seconds.
pub(crate) fn used(process: u32) -> f64 {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(12) + ticks(13)) / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_right_to_three_in_a_hundred() {
        let mut times = Times::new();
        for micros in 1..=100_000 {
            times.add(Duration::from_micros(micros));
        }
        for share in [0.01, 0.5, 0.99] {
            let (told, right) = (times.at(share).as_secs_f64(), 0.1 * share);
            assert!((told / right - 1.0).abs() < 0.04, "{told} for {right}");
        }
    }
}
