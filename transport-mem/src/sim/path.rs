//! One way of a link: how long a message takes, in order.

use core::time::Duration;

use underpass_core::Time;

use super::Random;

/// How messages travel on a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// What every message takes.
    pub latency: Duration,
    /// What a message may take besides, at random.
    pub jitter: Duration,
    /// Bytes a second; none for no limit.
    pub bandwidth: Option<u64>,
}

/// Where the traffic of one way stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    /// When the last byte that was given is sent.
    sent: Time,
    /// When the last message arrives: none overtakes it.
    arrived: Time,
}

impl Way {
    /// When a message of so many bytes arrives.
    pub(super) fn carry(&mut self, now: Time, bytes: usize, path: &Path, random: &mut Random) -> Time {
        let sending = path.bandwidth.map_or(0, |rate| bytes as u64 * 1_000_000 / rate.max(1));
        self.sent = self.sent.max(now) + Duration::from_micros(sending);
        self.arrived = self.arrived.max(self.sent + path.latency + random.up_to(path.jitter));
        self.arrived
    }

    /// No message arrives before this.
    pub(super) fn not_before(&mut self, at: Time) {
        self.arrived = self.arrived.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_in_order_and_share_the_bandwidth() {
        let millis = Duration::from_millis;
        let path = Path { latency: millis(10), jitter: millis(5), bandwidth: Some(1_000_000) };
        let (mut way, mut random) = (Way::default(), Random::new(1));
        let mut last = Time::ZERO;
        for _ in 0..100 {
            let at = way.carry(Time::ZERO, 1_000, &path, &mut random);
            assert!(at >= last);
            last = at;
        }
        let least = Time::ZERO + millis(100 + 10);
        assert!(last >= least && last <= least + millis(5), "100 kB at 1 MB/s: {last}");
    }
}
