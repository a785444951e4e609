//! What is told of a seed that fails, and of those that do not.

use core::fmt::Write;

use super::hibernation::checks::Wakes;
use super::schedule::Schedule;
use super::shrink::shrink;
use super::world::{self, Outcome};

/// How many events of the request concerned are shown.
const SHOWN: usize = 100;

/// What is told of one run, in one line: the same for the same seed.
pub fn line(seed: u64, outcome: &Outcome) -> String {
    let Outcome { trace, whole, clients, lives, wakes, seen, lasted, violation, .. } = outcome;
    let events = trace.inputs + trace.actions;
    let digest = trace.digest();
    let end = violation.as_ref().map_or("ok".into(), |violation| format!("FAILED: {violation}"));
    let seen: Vec<_> = seen.iter().map(|kind| format!("{kind:?}")).collect();
    let seen = if seen.is_empty() { "no faults".into() } else { seen.join(" ") };
    let Wakes { restored, unknown, messages, repeats } = wakes;
    let slept = if *wakes == Wakes::default() {
        String::new()
    } else {
        format!(" {restored} wakes ({unknown} in vain), {messages} messages to sleepers ({repeats} again),")
    };
    format!(
        "seed {seed}: {end}; {whole} of {clients} whole, {lives} lives,{slept} {events} events in {lasted}, digest {digest:016x} ({seen})"
    )
}

/// All that helps to find out why a seed fails.
pub fn failure(schedule: &Schedule) -> String {
    let seed = schedule.seed;
    let smallest = shrink(schedule);
    let outcome = world::run(&smallest, true);
    let mut text = format!("{}\n\n", line(seed, &outcome));
    let only = if *schedule == Schedule::of(seed) { "" } else { " --hibernation" };
    let _ = writeln!(text, "again: cargo run --release -p underpass-tests --bin sim -- --seed {seed}{only}");
    let _ = writeln!(text, "\na smaller schedule that still fails:");
    let fleet = &smallest.fleet;
    let _ = writeln!(text, "  {:?}, elders {:?}, {:?}", fleet.hosts, fleet.elders, fleet.published);
    for fault in &smallest.faults {
        let _ = writeln!(text, "  {:?} {:?} for {:?}", fault.at, fault.what, fault.lasts);
    }
    for client in smallest.clients.iter().chain(&smallest.probes) {
        let _ = writeln!(text, "  {client:?}");
    }
    let touched: Vec<_> = outcome
        .trace
        .lines()
        .iter()
        .filter(|line| line.client.is_none_or(|client| outcome.touched.is_none_or(|touched| touched == client)))
        .collect();
    let of = outcome.touched.map_or("the last events".into(), |client| format!("the last events of client {client}"));
    let _ = writeln!(text, "\n{of}:");
    for line in touched.iter().skip(touched.len().saturating_sub(SHOWN)) {
        let mut shown = line.to_string();
        if let Some((place, _)) = shown.char_indices().nth(400) {
            shown.truncate(place);
        }
        let _ = writeln!(text, "  {shown}");
    }
    text
}
