//! A smaller schedule that still fails: faults and clients are left out, many at once first, then one by one.

use super::schedule::Schedule;
use super::world;

/// How often a schedule is tried, at most.
const MOST_TRIES: usize = 400;

/// Leaves out what is not needed for the schedule to fail.
pub fn shrink(schedule: &Schedule) -> Schedule {
    let mut tries = 0;
    let mut fails = |smaller: &Schedule| {
        tries += 1;
        tries <= MOST_TRIES && world::run(smaller, false).violation.is_some()
    };
    let mut smallest = schedule.clone();
    loop {
        let before = parts(&smallest);
        without(&mut smallest, |schedule| &mut schedule.faults, &mut fails);
        without(&mut smallest, |schedule| &mut schedule.clients, &mut fails);
        without(&mut smallest, |schedule| &mut schedule.probes, &mut fails);
        if parts(&smallest) == before {
            return smallest;
        }
    }
}

fn parts(schedule: &Schedule) -> usize {
    schedule.faults.len() + schedule.clients.len() + schedule.probes.len()
}

/// Tries to do without some of a schedule's parts: a half, a quarter, …, one.
fn without<T>(
    smallest: &mut Schedule,
    list: impl Fn(&mut Schedule) -> &mut Vec<T>,
    fails: &mut impl FnMut(&Schedule) -> bool,
) {
    let mut length = list(smallest).len();
    while length > 0 {
        let mut start = 0;
        while start < list(smallest).len() {
            let mut smaller = smallest.clone();
            let parts = list(&mut smaller);
            let end = (start + length).min(parts.len());
            parts.drain(start..end);
            if fails(&smaller) {
                *smallest = smaller;
            } else {
                start += length;
            }
        }
        length /= 2;
    }
}
