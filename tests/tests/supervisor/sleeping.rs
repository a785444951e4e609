//! An actor sleeps: its requests end first, then it is stopped; and it is woken by a need, or by its alarm.

use std::time::Duration;

use underpass_core::directory::{ActorRecord, ActorState};
use underpass_core::protocol::to_server::StopCode;
use underpass_core::supervisor::{Action, Config, Event, Notice};
use underpass_core::{Machine, Supervisor, Time};
use underpass_tests::given::supervisor::{
    NOON, acknowledges, actor, actor_record, alarm, change, end_routes, event, finish_routes, greeted, runner_id,
    running, shows, sleeps, start, stop, stopped, stops, supervisor, supervisor_with, took, with_actor,
};
use underpass_tests::story::Story;

fn stopping(alarm: Option<i64>) -> ActorRecord {
    ActorRecord { alarm, ..actor_record(1, ActorState::Stopping(runner_id(1))) }
}

fn asleep(alarm: Option<i64>) -> ActorRecord {
    ActorRecord { alarm, ..actor_record(1, ActorState::Sleeping) }
}

/// The actor `a` wished to sleep, and its requests end: event 1, revision 4. What it said is acknowledged.
fn finishing() -> Story<Supervisor> {
    let mut story = with_actor();
    story.says("a", 1, 1, sleeps());
    story.expect([finish_routes(1, "a", 1), change("a", 3, &stopping(None))]).stores("a", 4).expect([]);
    story.passes(Duration::from_secs(1)).expect([acknowledges(1, &[("a", 1, 0)])]);
    story
}

#[test]
fn an_actor_that_wishes_to_sleep_ends_its_requests_first_and_is_then_stopped() {
    let mut story = finishing();
    assert!(!story.machine.takes_requests(1, &"a".into()));
    story.passes(Duration::from_secs(3_600)).expect([]);
    story.routes_end("a", 1).expect([stop(1, "a", 1)]);
    // The published runner says ERROR, but it was told to stop.
    story.says("a", 1, 2, stopped(StopCode::Error)).expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1).falls_asleep("a", 4, 1);
    assert_eq!(story.machine.stats().crashed, 0);
    story.leaves(1).ends();
}

#[test]
fn an_actor_that_sleeps_is_woken_by_the_next_need() {
    let mut story = finishing();
    story.routes_end("a", 1).expect([stop(1, "a", 1)]);
    story.says("a", 1, 2, stopped(StopCode::Ok)).expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1).falls_asleep("a", 4, 1);
    let needed = ActorRecord::wanted(Some(&asleep(None)), NOON).expect("it sleeps");
    story.input(shows("a", 6, needed));
    story.expect_stored("a", 6, &actor_record(2, ActorState::Starting(runner_id(1)))).expect([start(1, "a", 2)]);
}

#[test]
fn a_need_is_not_told_twice() {
    for state in [
        ActorState::Wanted,
        ActorState::Starting(runner_id(1)),
        ActorState::Running(runner_id(1)),
        ActorState::Stopping(runner_id(1)),
    ] {
        assert_eq!(ActorRecord::wanted(Some(&actor_record(1, state)), NOON), None);
    }
    assert_eq!(ActorRecord::wanted(None, NOON), Some(actor_record(0, ActorState::Wanted)));
}

#[test]
fn an_actor_that_ends_while_its_requests_do_is_not_told_to_stop() {
    for code in [StopCode::Ok, StopCode::Error] {
        let mut story = finishing();
        story.says("a", 1, 2, stopped(code)).expect([end_routes(1, "a", 1)]);
        story.routes_end("a", 1).falls_asleep("a", 4, 1);
        story.leaves(1).ends();
    }
}

#[test]
fn an_actor_that_does_not_stop_counts_as_stopped_at_its_deadline() {
    let mut story = finishing();
    story.routes_end("a", 1).expect([stop(1, "a", 1)]);
    story.passes_in_silence_until(Duration::from_secs(1_800));
    story.expect([Action::Log(Notice::StopTimeout(actor("a"))), end_routes(1, "a", 1)]);
    story.routes_end("a", 1).falls_asleep("a", 4, 1);
    // It stops after all: that is late.
    story.says("a", 1, 2, stopped(StopCode::Ok)).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.stop_timeouts, stats.foreign_events), (1, 1));
    story.leaves(1).ends();
}

#[test]
fn requests_that_go_on_for_too_long_are_aborted_if_that_is_set() {
    let finish = Some(Duration::from_secs(10));
    let mut story = supervisor_with(Config { finish, ..Config::default() });
    story.runner_comes(1, 1).actor_runs("a");
    story.says("a", 1, 1, sleeps());
    story.expect([finish_routes(1, "a", 1), change("a", 3, &stopping(None))]).stores("a", 4).expect([]);
    story.passes(Duration::from_secs(1)).expect([acknowledges(1, &[("a", 1, 0)])]);
    story.passes_in_silence_until(Duration::from_secs(9)).expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1).expect([stop(1, "a", 1)]);
    assert_eq!(story.machine.stats().finish_timeouts, 1);
    story.says("a", 1, 2, stopped(StopCode::Ok)).expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1).falls_asleep("a", 4, 1);
    story.leaves(1).ends();
}

#[test]
fn an_actor_that_wishes_to_stop_forgets_its_alarm() {
    for wishes_before in [false, true] {
        let mut story = with_actor();
        story.says("a", 1, 1, alarm(Some(NOON + 5_000)));
        let runs = actor_record(1, ActorState::Running(runner_id(1)));
        story.expect_stored("a", 3, &ActorRecord { alarm: Some(NOON + 5_000), ..runs }).expect([]);
        if wishes_before {
            story.says("a", 1, 2, sleeps()).actions();
            story.says("a", 1, 3, stops()).expect([]);
            // The wish to sleep does not go before that to stop.
            story.says("a", 1, 4, sleeps()).expect([]);
        } else {
            story.says("a", 1, 2, stops()).actions();
        }
        story.stores("a", 5).expect([]);
        story.routes_end("a", 1).expect([stop(1, "a", 1)]);
        story.says("a", 1, 5, stopped(StopCode::Ok)).actions();
        story.routes_end("a", 1).falls_asleep("a", 5, 1);
        story.leaves(1).ends();
    }
}

#[test]
fn an_alarm_wakes_an_actor_at_its_time_and_not_before() {
    let mut story = with_actor();
    let rings = Some(NOON + 60_000);
    story.says("a", 1, 1, alarm(rings));
    let runs = actor_record(1, ActorState::Running(runner_id(1)));
    story.expect_stored("a", 3, &ActorRecord { alarm: rings, ..runs }).expect([]);
    story.says("a", 1, 2, sleeps());
    story.expect([finish_routes(1, "a", 1), change("a", 4, &stopping(rings))]).stores("a", 5).expect([]);
    story.routes_end("a", 1).expect([stop(1, "a", 1)]);
    story.says("a", 1, 3, stopped(StopCode::Error)).expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1).expect_stored("a", 5, &asleep(rings)).expect([]);
    // The acknowledgement of what its life said has nothing to say any more.
    story.passes(Duration::from_secs(1)).expect([]);
    assert_eq!((story.machine.stats().alarms, story.machine.stats().hosted), (1, 0));
    story.expect_timeout(Some(Time::from_millis(60_000)));
    story.passes_in_silence_until(Duration::from_secs(59));
    // It does not ring again.
    story.expect_stored("a", 6, &actor_record(2, ActorState::Starting(runner_id(1)))).expect([start(1, "a", 2)]);
    assert_eq!(story.machine.stats().woken, 1);
}

#[test]
fn a_clock_that_is_set_makes_an_alarm_due() {
    let mut story = supervisor();
    story.input(shows("a", 1, asleep(Some(NOON + 3_600_000)))).expect([]);
    story.expect_timeout(Some(Time::from_millis(3_600_000)));
    story.input(Event::WallClock { unix_ms: NOON + 3_599_999 }).expect([]);
    story.expect_timeout(Some(Time::from_millis(1)));
    story.input(Event::WallClock { unix_ms: NOON + 3_600_000 });
    story.expect([change("a", 1, &actor_record(2, ActorState::Starting(runner_id(1))))]);
}

#[test]
fn an_alarm_long_ago_or_far_away_is_one_like_any_other() {
    let mut story = supervisor();
    story.input(shows("a", 1, asleep(Some(i64::MIN))));
    story.expect([change("a", 1, &actor_record(2, ActorState::Starting(runner_id(1))))]);
    story.input(shows("b", 2, asleep(Some(i64::MAX)))).expect([]);
    assert_eq!(story.machine.stats().alarms, 1);
    story.input(shows("b", 3, asleep(None))).expect([]).expect_timeout(None);
    assert_eq!((story.machine.stats().alarms, story.machine.stats().actors), (0, 1));
}

#[test]
fn a_need_goes_before_an_alarm_which_stays_set() {
    let mut story = supervisor();
    let rings = Some(NOON + 60_000);
    story.input(shows("a", 1, asleep(rings))).expect([]);
    let needed = ActorRecord::wanted(Some(&asleep(rings)), NOON).expect("it sleeps");
    story.input(shows("a", 2, needed));
    let starting = ActorRecord { alarm: rings, ..actor_record(2, ActorState::Starting(runner_id(1))) };
    story.expect_stored("a", 2, &starting).expect([start(1, "a", 2)]);
    story.says("a", 2, 0, running()).actions();
    story.stores("a", 4).expect([]);
    // Who runs sees to its alarm by itself.
    story.passes(Duration::from_secs(60)).expect([]).expect_timeout(None);
}

#[test]
fn an_alarm_that_nobody_can_take_waits_for_a_runner() {
    let mut story = supervisor_with(Config::default());
    story.input(shows("a", 1, asleep(Some(NOON + 1_000)))).expect([]);
    story.passes(Duration::from_secs(1)).expect([]).expect_timeout(None);
    assert_eq!((story.machine.stats().woken, story.machine.stats().waiting), (1, 1));
    story.runner_comes(1, 1).expect([change("a", 1, &actor_record(2, ActorState::Starting(runner_id(1))))]);
}

#[test]
fn changes_of_an_alarm_go_one_at_a_time_and_only_the_last_counts() {
    let mut story = with_actor();
    let runs = |alarm| ActorRecord { alarm, ..actor_record(1, ActorState::Running(runner_id(1))) };
    story.says("a", 1, 1, alarm(Some(1))).expect([change("a", 3, &runs(Some(1)))]);
    story.says("a", 1, 2, alarm(Some(2))).expect([]);
    story.says("a", 1, 3, alarm(Some(3))).expect([]);
    story.stores("a", 4).expect([change("a", 4, &runs(Some(3)))]).stores("a", 5).expect([]);
    story.says("a", 1, 4, alarm(None)).expect_stored("a", 5, &runs(None));
    story.actions();
    // The same once more is nothing new.
    story.says("a", 1, 5, alarm(None)).expect([]);
}

#[test]
fn a_stop_that_was_taken_is_not_sent_again() {
    let mut story = finishing();
    story.routes_end("a", 1).expect([stop(1, "a", 1)]);
    story.input(took(1, "a", 1, 1)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(greeted(2, 1)).expect([]);
    story.says_on(2, vec![event("a", 1, 1, sleeps())]).expect([]);
    story.input(Event::Answered { connection: 2 }).expect([]);
    // It has the stop's time anew.
    story.passes(Duration::from_secs(1)).expect([acknowledges(2, &[("a", 1, 0)])]);
    story.passes_in_silence_until(Duration::from_secs(1_799));
    story.expect([Action::Log(Notice::StopTimeout(actor("a"))), end_routes(2, "a", 1)]);
}
