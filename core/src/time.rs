//! The core's own clock reading.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Microseconds since a start that the embedder chooses.
///
/// The core has no clock: whoever drives a machine says what time it is, so a runtime, a simulator and a replay of
/// a trace all make a `Time` in the way that suits them. It never goes backwards within one machine; wall time comes
/// in as an event of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(u64);

impl Time {
    /// The embedder's start.
    pub const ZERO: Time = Time(0);

    /// A time this many microseconds after the embedder's start.
    pub const fn from_micros(micros: u64) -> Self {
        Time(micros)
    }

    /// A time this many milliseconds after the embedder's start.
    pub const fn from_millis(millis: u64) -> Self {
        Time(millis.saturating_mul(1_000))
    }

    /// Microseconds since the embedder's start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(micros(duration)))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What Unix time it is at a [`Time`], as the embedder last said; it goes on from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WallClock {
    at: Time,
    unix_ms: i64,
}

impl WallClock {
    pub(crate) fn set(&mut self, at: Time, unix_ms: i64) {
        *self = WallClock { at, unix_ms };
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn unix_ms(&self, now: Time) -> i64 {
        let since = i64::try_from(now.since(self.at).as_millis()).unwrap_or(i64::MAX);
        self.unix_ms.saturating_add(since)
    }

    /// When it is this Unix time, milliseconds; long ago if it was before the embedder last said.
    pub(crate) fn when(&self, unix_ms: i64) -> Time {
        let until = u64::try_from(unix_ms.saturating_sub(self.unix_ms)).unwrap_or_default();
        self.at + Duration::from_millis(until)
    }
}
