//! Each machine in much noise: it never panics, keeps its promises, and when all is over it holds nothing.

mod gateway;
mod relay;
mod runner;

use std::time::Duration;

use underpass_core::bus::PublishError;
use underpass_tests::noise::Noise;
use underpass_tests::story::AtRest;

const SEEDS: [u64; 4] = [1, 2, 3, 0xdead_beef];

/// How many events each machine lives through with each seed: few, unless `NOISE_EVENTS` says how many. With 2500000, in
/// release, they are ten million for each machine.
fn events() -> usize {
    std::env::var("NOISE_EVENTS").map_or(40_000, |events| events.parse().expect("NOISE_EVENTS is a number"))
}

/// How long things take.
fn passes(noise: &mut Noise) -> Duration {
    match noise.below(400) {
        0 => Duration::from_secs(noise.below(30) as u64),
        1..40 => Duration::from_millis(noise.below(500) as u64),
        _ => Duration::ZERO,
    }
}

#[track_caller]
fn holds_nothing<M: AtRest>(machine: &M) {
    let left: Vec<_> = machine.holds().into_iter().filter(|(_, count)| *count > 0).collect();
    assert!(left.is_empty(), "held at the end: {left:?}");
    assert_eq!(machine.poll_timeout(), None);
}

const REASONS: [PublishError; 4] =
    [PublishError::Full, PublishError::TooLarge, PublishError::NoResponders, PublishError::Disconnected];
