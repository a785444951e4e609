//! Timing what takes nanoseconds: many at once, the median of many times, the clock's own time taken off.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each figure is measured.
const FOR: Duration = Duration::from_millis(300);
/// How many times at least.
const AT_LEAST: usize = 15;

/// What something costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// How long it takes, nanoseconds: the median.
    pub(crate) nanoseconds: f64,
    /// How often it allocates.
    pub(crate) allocations: f64,
}

/// What each of `count` calls of `work` costs. What `prepare` makes for them is neither timed nor counted.
pub(crate) fn each<P>(count: usize, mut prepare: impl FnMut(usize) -> P, mut work: impl FnMut(P)) -> Cost {
    // The first ones find queues that have yet to grow.
    for _ in 0..3 {
        let prepared = prepare(count);
        work(prepared);
    }
    let prepared = prepare(count);
    let allocations = allocation_counter::measure(|| work(prepared)).count_total as f64 / count as f64;
    let clock = clock();
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < AT_LEAST || start.elapsed() < FOR {
        let prepared = prepare(count);
        let start = Instant::now();
        work(prepared);
        times.push(start.elapsed());
    }
    let time = median(times).saturating_sub(clock);
    Cost { nanoseconds: time.as_nanos() as f64 / count as f64, allocations }
}

/// What a call of `work` costs, of which many are made in a row.
pub(crate) fn one<R>(mut work: impl FnMut() -> R) -> Cost {
    const COUNT: usize = 256;
    let calls = |()| {
        for _ in 0..COUNT {
            black_box(work());
        }
    };
    each(COUNT, |_| (), calls)
}

/// How long reading the clock takes.
fn clock() -> Duration {
    median((0..1_000).map(|_| Instant::now().elapsed()).collect())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
