//! The clock of a process: it began at its own zero, runs a little fast or slow, and may jump ahead.

use core::time::Duration;

use underpass_core::Time;

/// The rate of a clock that is right.
const TRUE_RATE: u64 = 1_000_000;

/// A clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Time,
    /// Its microseconds in a second of the network's time.
    rate: u64,
    jumped: Duration,
}

impl Clock {
    /// One that shows zero at `started` and gains so many microseconds a second.
    pub(super) fn new(started: Time, gains_ppm: i32) -> Self {
        Clock { started, rate: TRUE_RATE.saturating_add_signed(i64::from(gains_ppm)).max(1), jumped: Duration::ZERO }
    }

    pub(super) fn jump(&mut self, ahead: Duration) {
        self.jumped += ahead;
    }

    /// What it shows.
    pub(super) fn local(&self, now: Time) -> Time {
        let elapsed = u128::from(now.as_micros().saturating_sub(self.started.as_micros()));
        Time::from_micros((elapsed * u128::from(self.rate) / u128::from(TRUE_RATE)) as u64) + self.jumped
    }

    /// The first instant of the network at which it shows at least this.
    pub(super) fn when(&self, local: Time) -> Time {
        let elapsed = u128::from(local.since(Time::ZERO + self.jumped).as_micros() as u64);
        let elapsed = (elapsed * u128::from(TRUE_RATE)).div_ceil(u128::from(self.rate));
        self.started + Duration::from_micros(elapsed as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_time_is_reached_at_its_instant_and_not_before() {
        for gains in [-30_000, -1, 0, 1, 7, 30_000] {
            let mut clock = Clock::new(Time::from_millis(123), gains);
            for local in [0, 1, 999_999, 1_000_000, 12_345_678] {
                let (local, earlier) = (Time::from_micros(local), Duration::from_micros(1));
                let when = clock.when(local);
                assert!(clock.local(when) >= local, "{gains} {local}");
                let before = Time::from_micros(when.as_micros() - earlier.as_micros() as u64);
                assert!(when == clock.started || clock.local(before) < local, "{gains} {local}");
            }
            clock.jump(Duration::from_secs(3_600));
            assert_eq!(clock.when(Time::from_millis(1_000)), clock.started, "it is past already");
        }
    }
}
