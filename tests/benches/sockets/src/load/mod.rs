//! The load generator: as little work a message as can be, so that what is measured is the server and what is before
//! it. It runs on one thread.

pub(crate) mod http;
pub(crate) mod websocket;

use std::time::{Duration, Instant};

/// For how long a cell is measured, after it has run for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    from: Instant,
    to: Instant,
}

impl Span {
    /// From soon on, for this long.
    pub(crate) fn of(duration: Duration) -> Self {
        const WARM_UP: Duration = Duration::from_millis(200);
        let from = Instant::now() + WARM_UP;
        Span { from, to: from + duration }
    }

    fn has_begun(self, now: Instant) -> bool {
        now >= self.from
    }

    fn has_ended(self, now: Instant) -> bool {
        now >= self.to
    }

    fn seconds(self) -> f64 {
        (self.to - self.from).as_secs_f64()
    }
}

/// What was measured in one span.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell {
    /// Answers, or messages that came back, a second.
    pub(crate) rate: f64,
    /// Half of them took no longer.
    pub(crate) half: Duration,
    /// 99 of a hundred took no longer.
    pub(crate) most: Duration,
}

impl Cell {
    fn new(mut nanoseconds: Vec<u32>, span: Span) -> Self {
        nanoseconds.sort_unstable();
        let at = |share: f64| {
            let place = (nanoseconds.len() as f64 * share) as usize;
            Duration::from_nanos(nanoseconds.get(place).copied().unwrap_or_default().into())
        };
        Cell { rate: nanoseconds.len() as f64 / span.seconds(), half: at(0.5), most: at(0.99) }
    }
}
