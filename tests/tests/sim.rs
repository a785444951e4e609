//! The simulator, as part of every test run; and the seeds that once found something.

use std::collections::BTreeSet;

use underpass_tests::sim::faults::Kind;
use underpass_tests::sim::seeds::{Options, Wanted};
use underpass_tests::sim::{Profile, Schedule, report, run};

const SEEDS: u64 = 2_000;

fn options(from: u64, count: u64) -> Options {
    Options {
        wanted: Wanted::Many { from, count },
        profile: Profile::Mending,
        threads: 2,
        traces: false,
        timing: false,
        keeps_going: false,
    }
}

#[track_caller]
fn passes(seed: u64) {
    if run(&Schedule::of(seed, Profile::Mending), false).violation.is_some() {
        panic!("{}", report::failure(seed, Profile::Mending));
    }
}

#[test]
fn two_thousand_seeds_pass() {
    let found = options(0, SEEDS).find();
    if let Some(seed) = found.failed.first() {
        panic!("{}", report::failure(*seed, Profile::Mending));
    }
    assert_eq!(found.seeds, SEEDS);
}

#[test]
fn the_same_seed_gives_the_same_trace_event_for_event() {
    for seed in (0..40).chain([249]) {
        let schedule = Schedule::of(seed, Profile::All);
        assert_eq!(schedule, Schedule::of(seed, Profile::All));
        let keeps_lines = seed != 249;
        let (first, second) = (run(&schedule, keeps_lines), run(&schedule, keeps_lines));
        for (one, other) in first.trace.lines().iter().zip(second.trace.lines()) {
            assert_eq!(one, other, "seed {seed}");
        }
        assert_eq!(report::line(seed, &first), report::line(seed, &second));
        // Looking on changes nothing.
        assert_eq!(first.trace.digest(), run(&schedule, false).trace.digest());
    }
}

#[test]
fn the_seeds_turn_on_every_fault_and_most_clients_are_answered_all_the_same() {
    let (mut seen, mut whole, mut clients) = (BTreeSet::new(), 0, 0);
    for seed in 0..300 {
        let outcome = run(&Schedule::of(seed, Profile::Mending), false);
        seen.extend(outcome.seen);
        whole += outcome.whole;
        clients += outcome.clients;
    }
    let missed: Vec<_> = Kind::ALL.into_iter().filter(|kind| kind.mends() && !seen.contains(kind)).collect();
    assert!(missed.is_empty(), "never seen: {missed:?}");
    assert!(whole * 2 > clients, "{whole} of {clients} were answered");
}

#[test]
fn one_seed_in_eight_has_no_faults_and_there_each_client_gets_what_its_plan_says() {
    let calm = (0..400).map(|seed| Schedule::of(seed, Profile::Mending)).filter(|schedule| schedule.faults.is_empty());
    let calm: Vec<_> = calm.collect();
    assert!((30..=120).contains(&calm.len()), "{}", calm.len());
    for schedule in calm {
        assert_eq!(run(&schedule, false).violation, None, "seed {}", schedule.seed);
    }
}

/// Seeds that found something, by what they found.
mod found {
    use super::passes;

    /// A bus brought the opening of a POST again behind its answer: a second handler had it, and its route stayed.
    #[test]
    fn an_opening_that_came_again_was_delivered_again() {
        passes(4_468);
    }

    #[test]
    fn an_opening_that_came_again_left_a_request_open() {
        passes(18_399);
    }

    /// A half-open connection whose entry waited for the directory took its own successor over, and so stopped a runner
    /// that was well.
    #[test]
    #[ignore = "a connection that comes late to the directory still evicts the one that came after it"]
    fn a_connection_that_was_given_up_evicted_its_successor() {
        passes(26_295);
    }
}
