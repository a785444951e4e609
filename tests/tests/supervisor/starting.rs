//! An actor is needed: it is claimed, started, and started again when it fails.

use std::time::Duration;

use underpass_core::directory::{ActorRecord, ActorState, ChangeOutcome, Revision, RunnerState, Versioned};
use underpass_core::protocol::to_server::StopCode;
use underpass_core::supervisor::{Action, Config, Event, Notice};
use underpass_core::{ConfigError, Machine, Supervisor, Time};
use underpass_tests::given::supervisor::{
    actor, actor_record, alarm, change, end_routes, finish_routes, runner_id, running, shows, shows_runner, sleeps,
    start, stop, stopped, supervisor, supervisor_with, took, with_actor,
};
use underpass_tests::story::Story;
use underpass_tests::wire::relay_id;

const START: Duration = Duration::from_secs(30);

fn starting(generation: u32) -> ActorRecord {
    actor_record(generation, ActorState::Starting(runner_id(1)))
}

fn crashed(generation: u32, crashes: u32) -> ActorRecord {
    ActorRecord { crashes, ..actor_record(generation, ActorState::Wanted) }
}

/// The actor `a` is claimed and told to start.
fn told_to_start() -> Story<Supervisor> {
    let mut story = supervisor();
    story.wants("a", 1).expect_stored("a", 1, &starting(1)).expect([start(1, "a", 1)]);
    story
}

/// It ends without having been told to, and is to be started again.
#[track_caller]
fn crashes(story: &mut Story<Supervisor>, generation: u32, index: i64, revision: u64, crashes: u32) {
    story.says("a", generation, index, stopped(StopCode::Error));
    let crash = Notice::Crashed { actor: actor("a"), message: None };
    story.expect([Action::Log(crash), end_routes(1, "a", generation)]);
    story.routes_end("a", generation).expect_stored("a", revision, &crashed(generation, crashes)).expect([]);
}

#[test]
fn an_actor_that_is_needed_is_claimed_then_started_and_runs_at_its_first_event() {
    let mut story = told_to_start();
    assert!(!story.machine.takes_requests(1, &"a".into()));
    assert_eq!(story.machine.generation(1, &"a".into()), Some(1));
    story.says("a", 1, 0, running());
    story.expect_stored("a", 2, &actor_record(1, ActorState::Running(runner_id(1)))).expect([]);
    assert!(story.machine.takes_requests(1, &"a".into()));
    let stats = story.machine.stats();
    assert_eq!((stats.claimed, stats.started, stats.hosted), (1, 1, 1));
    story.expect_timeout(None);
    story.sleeps_and_ends(3, 1);
}

#[test]
fn nothing_is_started_before_the_claim_was_made() {
    let mut story = supervisor();
    story.wants("a", 1).expect([change("a", 1, &starting(1))]);
    story.passes(Duration::from_secs(3_600)).expect([]);
    story.stores("a", 2).expect([start(1, "a", 1)]);
}

#[test]
fn any_event_acknowledges_the_start() {
    for (event, then) in [
        (alarm(None), vec![change("a", 2, &actor_record(1, ActorState::Running(runner_id(1))))]),
        (sleeps(), vec![change("a", 2, &actor_record(1, ActorState::Running(runner_id(1)))), finish_routes(1, "a", 1)]),
    ] {
        let mut story = told_to_start();
        story.says("a", 1, 0, event).expect(then);
        assert_eq!(story.machine.stats().started, 1);
        story.passes(START).expect([]);
    }
}

#[test]
fn an_actor_that_says_nothing_is_stopped_at_its_deadline_and_started_again_later() {
    let mut story = told_to_start();
    story.passes_in_silence_until(START);
    let stopping = actor_record(1, ActorState::Stopping(runner_id(1)));
    story.expect([Action::Log(Notice::StartTimeout(actor("a"))), stop(1, "a", 1), change("a", 2, &stopping)]);
    story.stores("a", 3).expect([]);
    // It still does not answer.
    story.passes_in_silence_until(START);
    story.expect([Action::Log(Notice::StopTimeout(actor("a"))), end_routes(1, "a", 1)]);
    story.routes_end("a", 1).expect_stored("a", 3, &crashed(1, 1)).expect([]);
    story.passes_in_silence_until(Duration::from_secs(1));
    story.expect_stored("a", 4, &ActorRecord { crashes: 1, ..starting(2) }).expect([start(1, "a", 2)]);
    let stats = story.machine.stats();
    assert_eq!((stats.start_timeouts, stats.stop_timeouts, stats.crashed), (1, 1, 0));
}

#[test]
fn an_actor_that_says_something_just_in_time_runs() {
    let mut story = told_to_start();
    story.passes(START - Duration::from_micros(1)).expect([]);
    story.says("a", 1, 0, running());
    story.expect_stored("a", 2, &actor_record(1, ActorState::Running(runner_id(1)))).expect([]);
    story.passes(START).expect([]).sleeps_and_ends(3, 1);
}

#[test]
fn one_that_ends_after_its_start_timed_out_did_as_it_was_told() {
    let mut story = told_to_start();
    story.passes(START).actions();
    story.stores("a", 3).expect([]);
    story.says("a", 1, 0, stopped(StopCode::Error)).expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1).expect_stored("a", 3, &crashed(1, 1)).expect([]);
    assert_eq!(story.machine.stats().crashed, 0);
}

#[test]
fn an_actor_that_crashes_is_started_again_after_a_while_that_doubles() {
    let mut story = told_to_start();
    let mut revision = 2;
    for (generation, wait) in (1..).zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        crashes(&mut story, generation, 0, revision, generation);
        story.passes_in_silence_until(Duration::from_secs(wait));
        story.expect_stored("a", revision + 1, &ActorRecord { crashes: generation, ..starting(generation + 1) });
        story.expect([start(1, "a", generation + 1)]);
        revision += 2;
    }
    assert_eq!(story.machine.stats().crashed, 9);
}

#[test]
fn an_actor_that_ran_for_long_begins_to_crash_anew() {
    for (ran, crashes_in_a_row) in [(Duration::from_secs(60), 1), (Duration::from_micros(59_999_999), 2)] {
        let mut story = told_to_start();
        crashes(&mut story, 1, 0, 2, 1);
        story.passes(Duration::from_secs(1));
        story.expect_stored("a", 3, &ActorRecord { crashes: 1, ..starting(2) }).expect([start(1, "a", 2)]);
        story.says("a", 2, 0, running());
        let runs = ActorRecord { crashes: 1, ..actor_record(2, ActorState::Running(runner_id(1))) };
        story.expect_stored("a", 4, &runs).expect([]);
        story.passes(ran).expect([]);
        crashes(&mut story, 2, 1, 5, crashes_in_a_row);
    }
}

#[test]
fn an_actor_that_ends_well_by_itself_rests_and_its_alarm_is_forgotten() {
    let mut story = with_actor();
    story.says("a", 1, 1, alarm(Some(i64::MAX)));
    let runs = actor_record(1, ActorState::Running(runner_id(1)));
    story.expect_stored("a", 3, &ActorRecord { alarm: Some(i64::MAX), ..runs }).expect([]);
    story.says("a", 1, 2, stopped(StopCode::Ok)).expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1).falls_asleep("a", 4, 1);
    assert_eq!((story.machine.stats().crashed, story.machine.stats().stopped), (0, 1));
    story.leaves(1).ends();
}

#[test]
fn the_record_does_not_change_before_the_routes_are_closed() {
    let mut story = with_actor();
    story.says("a", 1, 1, stopped(StopCode::Ok)).expect([end_routes(1, "a", 1)]);
    story.passes(Duration::from_secs(3_600)).expect([]);
    assert_eq!(story.machine.generation(1, &"a".into()), None);
    // An answer about another life is none.
    story.routes_end("a", 2).expect([]);
    story.routes_end("b", 1).expect([]);
    story.routes_end("a", 1).falls_asleep("a", 3, 1);
    story.routes_end("a", 1).expect([]);
    story.leaves(1).ends();
}

#[test]
fn a_claim_that_another_made_first_is_given_up() {
    let mut story = supervisor();
    story.wants("a", 1).expect([change("a", 1, &starting(1))]);
    let theirs = actor_record(1, ActorState::Starting(runner_id(9)));
    let current = Versioned { revision: Revision(2), record: theirs };
    story.outcome("a", ChangeOutcome::Conflict(Some(current))).expect([]);
    assert_eq!((story.machine.stats().conflicts, story.machine.stats().hosted), (1, 0));
    // It was removed altogether; nobody needs it then.
    story.wants("b", 1).expect([change("b", 1, &starting(1))]);
    story.outcome("b", ChangeOutcome::Conflict(None)).expect([]);
    assert_eq!(story.machine.stats().actors, 1);
}

#[test]
fn an_acknowledged_start_is_not_sent_again_and_its_actor_is_gone_if_it_is_not_announced() {
    let mut story = told_to_start();
    story.input(took(1, "a", 1, 0)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.runner_comes(2, 1);
    story.expect_stored("a", 2, &actor_record(1, ActorState::Wanted)).expect([change("a", 3, &starting(2))]);
}

#[test]
fn what_is_wanted_again_after_a_crash_elsewhere_waits_as_long_here() {
    let mut story = supervisor();
    story.input(shows("a", 7, crashed(3, 2))).expect([]);
    story.passes_in_silence_until(Duration::from_secs(2));
    story.expect([change("a", 7, &ActorRecord { crashes: 2, ..starting(4) })]);
}

#[test]
fn a_clock_that_goes_an_hour_at_once_ends_each_thing_once() {
    let mut story = told_to_start();
    story.wants("b", 10).expect_stored("b", 10, &starting(1)).expect([start(1, "b", 1)]);
    story.input(shows_runner(2, 1, Some(1), RunnerState::Full)).expect([]);
    story.passes(Duration::from_secs(3_600));
    let actions = story.actions();
    let stops = actions.iter().filter(|action| matches!(action, Action::Commands { .. })).count();
    assert_eq!((stops, story.machine.stats().start_timeouts), (2, 2), "{actions:?}");
    assert_eq!(story.machine.stats().runners_unseen, 1);
    story.passes(Duration::from_secs(3_600));
    let ends = story.actions().iter().filter(|action| matches!(action, Action::EndRoutes { .. })).count();
    assert_eq!((ends, story.machine.stats().stop_timeouts), (2, 2));
    story.passes(Duration::from_secs(3_600)).expect([]);
}

#[test]
fn a_configuration_that_could_not_work_is_refused() {
    let refused = |config| Supervisor::new(config, relay_id(), Time::ZERO).expect_err("a wrong configuration");
    let given = Config::default;
    for (name, config) in [
        ("max_actors", Config { max_actors: 0, ..given() }),
        ("max_runners", Config { max_runners: 0, ..given() }),
        ("max_actors_per_runner", Config { max_actors_per_runner: 0, ..given() }),
        ("max_held_events", Config { max_held_events: 0, ..given() }),
        ("max_held_bytes", Config { max_held_bytes: 0, ..given() }),
        ("back_off", Config { back_off: Duration::ZERO, ..given() }),
    ] {
        assert_eq!(refused(config), ConfigError::Zero(name));
    }
    let config = Config { back_off: Duration::from_secs(61), ..given() };
    assert_eq!(refused(config), ConfigError::Order { smaller: "back_off", larger: "max_back_off" });
    // Back-offs that do not double to the most are cut there; one alone is enough.
    for (back_off, max_back_off) in [(7, 7), (7, 8), (1, u64::from(u32::MAX))] {
        let [back_off, max_back_off] = [back_off, max_back_off].map(Duration::from_secs);
        supervisor_with(Config { back_off, max_back_off, ..given() }).ends();
    }
    // What is as long as can be said is as good as never.
    supervisor_with(Config { max_back_off: Duration::MAX, runner_lost_threshold: Duration::MAX, ..given() }).ends();
}
