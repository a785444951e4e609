//! The load generator: hyper's and tungstenite's clients, all on one thread.

pub(crate) mod http;
pub(crate) mod websocket;

use std::time::{Duration, Instant};

use bytes::Bytes;

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
    /// Half of them took no longer; zero if that was not measured.
    pub(crate) half: Duration,
    /// 99 of a hundred took no longer.
    pub(crate) most: Duration,
}

impl Cell {
    fn of_count(count: u64, span: Span) -> Self {
        Cell { rate: count as f64 / span.seconds(), ..Cell::default() }
    }

    /// Of how many nanoseconds each took.
    fn of_times(mut nanoseconds: Vec<u32>, span: Span) -> Self {
        nanoseconds.sort_unstable();
        let at = |share: f64| {
            let place = (nanoseconds.len() as f64 * share) as usize;
            Duration::from_nanos(nanoseconds.get(place).copied().unwrap_or_default().into())
        };
        Cell { half: at(0.5), most: at(0.99), ..Cell::of_count(nanoseconds.len() as u64, span) }
    }

    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    pub(crate) fn half_seconds(&self) -> f64 {
        self.half.as_secs_f64()
    }

    pub(crate) fn most_seconds(&self) -> f64 {
        self.most.as_secs_f64()
    }
}

/// Bytes of which none is like its neighbours.
fn body(size: usize) -> Bytes {
    (0..size).map(|at| (at * 167 + at / 256) as u8).collect()
}
