//! What an idle minute of many that sleep costs: one word, and nothing for each. For the room that they take, see
//! `tests/hibernating.rs`.

use std::time::Duration;

use underpass_core::Machine;
use underpass_tests::given::hibernation::keeps_alive;
use underpass_tests::sleepers::Sleepers;

#[test]
fn an_idle_minute_of_many_costs_one_word_and_no_deadline_for_each() {
    let mut sleepers = Sleepers::asleep(1_000, 10);
    let gateway = &mut sleepers.gateway;
    let stats = gateway.stats();
    assert_eq!((stats.hibernating, stats.registered, stats.hibernating_actors), (1_000, 1_000, 100));
    assert_eq!((stats.deadlines, stats.actors, stats.buffered), (1, 0, 0));
    let mut now = sleepers.now;
    let minute = now + Duration::from_secs(60);
    let mut wakes = 0;
    let mut actions = Vec::new();
    while let Some(due) = gateway.poll_timeout().filter(|due| *due <= minute) {
        now = now.max(due);
        wakes += 1;
        gateway.handle(underpass_core::gateway::Event::Tick, now).expect("a tick is no misuse");
        actions.extend(std::iter::from_fn(|| gateway.poll_action()));
    }
    assert_eq!((wakes, actions), (1, vec![keeps_alive()]));
}
