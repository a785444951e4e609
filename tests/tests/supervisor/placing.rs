//! Who takes an actor: rendezvous among the runners that take actors and have room.

use std::time::Duration;

use underpass_core::Machine;
use underpass_core::directory::{
    Abilities, ActorSeen, ActorState, Revision, RunnerRecord, RunnerSeen, RunnerState, Versioned,
};
use underpass_core::protocol::to_server::StopCode;
use underpass_core::supervisor::rendezvous::choose;
use underpass_core::supervisor::{Action, Config, Event, Notice};
use underpass_tests::given::supervisor::{
    actor, actor_record, change, end_routes, greeted, runner_id, runner_record, shows, shows_runner, start, stopped,
    supervisor, supervisor_with,
};
use underpass_tests::wire::runner_key;

/// An actor that belongs to the first of these runners.
fn belongs_to(runners: &[u64]) -> String {
    let belongs = |actor_id: &String| {
        choose(&actor(actor_id), runners.iter().map(|number| runner_id(*number))) == Some(runner_id(runners[0]))
    };
    (0..).map(|number: u32| format!("a{number}")).find(belongs).expect("one of many")
}

#[test]
fn an_actor_is_claimed_by_the_relay_of_the_runner_that_it_belongs_to() {
    for (mine, claims) in [([1, 2], true), ([2, 1], false)] {
        let actor_id = belongs_to(&mine);
        let mut story = supervisor();
        story.input(shows_runner(2, 1, Some(1), RunnerState::Ready)).expect([]);
        story.wants(&actor_id, 1);
        assert_eq!(!story.actions().is_empty(), claims);
        assert_eq!(story.machine.stats().waiting, usize::from(!claims));
    }
}

#[test]
fn the_first_generation_is_newer_than_all_of_before() {
    let mut story = supervisor_with(Config { first_generation: 8, ..Config::default() });
    story.runner_comes(1, 1);
    story.wants("a", 1).expect([change("a", 1, &actor_record(8, ActorState::Starting(runner_id(1))))]);
    let asleep = shows("b", 5, actor_record(9, ActorState::Wanted));
    story.input(asleep).expect([change("b", 5, &actor_record(10, ActorState::Starting(runner_id(1))))]);
}

#[test]
fn runners_that_take_nothing_are_not_counted_on() {
    let actor_id = belongs_to(&[2, 1]);
    let claim = || [change(&actor_id, 1, &actor_record(1, ActorState::Starting(runner_id(1))))];
    for state in [RunnerState::Full, RunnerState::Draining, RunnerState::Moving] {
        let mut story = supervisor();
        story.input(shows_runner(2, 1, Some(1), state)).expect([]);
        story.wants(&actor_id, 1).expect(claim());
        // It was counted on, and is no more.
        let mut story = supervisor();
        story.input(shows_runner(2, 1, Some(1), RunnerState::Ready)).expect([]);
        story.wants(&actor_id, 1).expect([]);
        story.input(shows_runner(2, 2, Some(1), state)).expect(claim());
    }
    let mut story = supervisor();
    story.input(shows_runner(2, 1, Some(1), RunnerState::Ready)).expect([]);
    story.wants(&actor_id, 1).expect([]);
    story.input(Event::Runner(RunnerSeen { key: runner_key("r2"), record: None })).expect(claim());
}

#[test]
fn a_runner_whose_connection_drains_is_given_nothing_until_it_comes_again() {
    // Or until another comes.
    for number in [1, 2] {
        let mut story = supervisor();
        story.input(Event::Draining { connection: 1 }).expect([]);
        story.input(Event::Draining { connection: 1 }).expect([]);
        story.wants("a", 1).expect([]);
        assert_eq!(story.machine.stats().waiting, 1);
        let claim = actor_record(1, ActorState::Starting(runner_id(number)));
        story.runner_comes(2, number).expect([change("a", 1, &claim)]);
    }
}

#[test]
fn a_claim_that_is_made_as_its_runners_connection_begins_to_drain_is_given_back() {
    let mut story = supervisor();
    story.wants("a", 1).expect([change("a", 1, &actor_record(1, ActorState::Starting(runner_id(1))))]);
    story.input(Event::Draining { connection: 1 }).expect([]);
    story.stores("a", 2).expect_stored("a", 2, &actor_record(1, ActorState::Wanted)).expect([]);
    assert_eq!(story.machine.stats().waiting, 1);
}

#[test]
fn a_runner_takes_no_more_actors_than_it_has_slots() {
    let mut story = supervisor();
    story.actor_runs("a").actor_runs("b");
    story.wants("c", 1).expect([]);
    assert_eq!(story.machine.stats().waiting, 1);
    // One that stops makes room when its end is told.
    story.says("a", 1, 1, stopped(StopCode::Ok));
    story.expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1);
    let asleep = actor_record(1, ActorState::Sleeping);
    let claim = actor_record(1, ActorState::Starting(runner_id(1)));
    story.expect([change("a", 3, &asleep), change("c", 1, &claim)]);
    story.stores("a", 4).expect([]).stores("c", 2).expect([start(1, "c", 1)]);
}

#[test]
fn the_slots_of_runners_elsewhere_count_too() {
    let actor_id = belongs_to(&[2, 1]);
    let mut story = supervisor();
    story.input(shows_runner(2, 1, Some(1), RunnerState::Ready)).expect([]);
    for (number, at) in [("x", ActorState::Running(runner_id(2))), ("y", ActorState::Stopping(runner_id(2)))] {
        story.input(shows(number, 5, actor_record(1, at))).expect([]);
    }
    let claim = change(&actor_id, 1, &actor_record(1, ActorState::Starting(runner_id(1))));
    story.wants(&actor_id, 1).expect([claim]);
    // It gets more.
    let mut story = supervisor();
    let shows_slots = |revision, slots| {
        let record = RunnerRecord { slots, ..runner_record(2, Some(1), RunnerState::Ready) };
        let record = Some(Versioned { revision: Revision(revision), record });
        Event::Runner(RunnerSeen { key: runner_key("r2"), record })
    };
    story.input(shows_slots(1, 1)).expect([]);
    story.wants(&actor_id, 1).expect([]);
    story.input(shows_slots(2, 0));
    assert_eq!(story.actions().len(), 1);
}

#[test]
fn no_runner_takes_more_than_is_set() {
    let mut story = supervisor_with(Config { max_actors_per_runner: 1, ..Config::default() });
    story.runner_comes(1, 1).actor_runs("a");
    story.wants("b", 1).expect([]);
}

#[test]
fn what_waits_is_claimed_when_a_runner_has_settled_and_not_before() {
    let mut story = supervisor_with(Config::default());
    story.wants("a", 1).expect([]).expect_timeout(None);
    story.input(greeted(1, 1)).expect([]);
    story.input(Event::Answered { connection: 1 });
    story.expect([change("a", 1, &actor_record(1, ActorState::Starting(runner_id(1))))]);
}

#[test]
fn a_runner_of_another_pool_takes_nothing() {
    let mut story = supervisor();
    let mut key = actor("a");
    key.pool.name = "another".into();
    let record = Some(Versioned { revision: Revision(1), record: actor_record(0, ActorState::Wanted) });
    story.input(Event::Actor(ActorSeen { key, record })).expect([]);
    assert_eq!(story.machine.stats().waiting, 1);
}

#[test]
fn a_runner_without_state_is_none_of_its_business() {
    let mut story = supervisor_with(Config::default());
    let abilities = Abilities { stateless: true, ..Abilities::default() };
    let record = RunnerRecord { abilities, ..runner_record(2, Some(1), RunnerState::Ready) };
    let record = Some(Versioned { revision: Revision(1), record });
    story.input(Event::Runner(RunnerSeen { key: runner_key("r2"), record })).expect([]).ends();
}

#[test]
fn a_relay_that_drains_claims_nothing_and_sees_to_what_it_has() {
    let mut story = supervisor();
    story.actor_runs("a");
    story.input(Event::Drain).expect([]);
    story.wants("b", 1).expect([]);
    story.input(shows("b", 2, actor_record(1, ActorState::Sleeping))).expect([]);
    story.sleeps_and_ends(3, 1);
}

#[test]
fn a_need_that_is_met_elsewhere_waits_no_more() {
    let mut story = supervisor_with(Config::default());
    story.wants("a", 1).expect([]);
    story.input(shows("a", 2, actor_record(1, ActorState::Sleeping))).expect([]).ends();
    let mut story = supervisor_with(Config::default());
    story.wants("a", 1).expect([]);
    let vanished = ActorSeen { key: actor("a"), record: None };
    story.input(Event::Actor(vanished)).expect([]).ends();
}

#[test]
fn what_is_too_much_is_counted_and_told_once() {
    let mut story = supervisor_with(Config { max_actors: 1, max_runners: 1, ..Config::default() });
    story.wants("a", 1).expect([]);
    story.wants("b", 2).expect([Action::Log(Notice::TooManyActors)]);
    story.wants("c", 3).expect([]);
    story.input(shows_runner(2, 1, Some(1), RunnerState::Draining)).expect([]);
    story.input(shows_runner(3, 2, Some(2), RunnerState::Ready)).expect([Action::Log(Notice::TooManyRunners)]);
    story.input(shows_runner(4, 3, Some(3), RunnerState::Ready)).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.actors, stats.runners, stats.untracked), (1, 1, 4));
    story.input(shows("a", 4, actor_record(1, ActorState::Sleeping))).expect([]);
    story.input(shows_runner(2, 9, None, RunnerState::Draining)).expect([]);
    story.passes(Duration::from_secs(5)).expect([Action::ShowActors]).ends();
}

#[test]
fn a_runner_of_which_nothing_is_heard_for_too_long_is_not_counted_on() {
    let actor_id = belongs_to(&[2, 1]);
    let mut story = supervisor();
    story.input(shows_runner(2, 1, Some(1), RunnerState::Ready)).expect([]);
    story.wants(&actor_id, 1).expect([]);
    for revision in 2..5 {
        story.passes(Duration::from_micros(19_999_999)).expect([]);
        story.input(shows_runner(2, revision, Some(1), RunnerState::Ready)).expect([]);
    }
    // What is old is no news.
    story.passes(Duration::from_secs(10)).expect([]);
    story.input(shows_runner(2, 4, Some(1), RunnerState::Ready)).expect([]);
    story.passes_in_silence_until(Duration::from_secs(10));
    story.expect([change(&actor_id, 1, &actor_record(1, ActorState::Starting(runner_id(1))))]);
    assert_eq!(story.machine.stats().runners_unseen, 1);
}
