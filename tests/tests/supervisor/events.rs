//! What runners say: handled once, acknowledged later, and dropped if it is nobody's.

use std::time::Duration;

use underpass_core::ApiMisuse::{ConnectionInUse, NoSuchConnection};
use underpass_core::Machine;
use underpass_core::directory::{ActorRecord, ActorState};
use underpass_core::protocol::to_server::{self, StopCode, Stopped};
use underpass_core::supervisor::{Config, Event};
use underpass_tests::given::supervisor::{
    NOON, acknowledges, actor_record, alarm, change, end_routes, event, finish_routes, greeted, runner_id, running,
    shows, sleeps, start, stop, stop_all, stopped, supervisor, supervisor_with, took, with_actor,
};

const BATCH: Duration = Duration::from_secs(1);

#[test]
fn events_are_acknowledged_together_but_never_an_actors_newest() {
    let mut story = with_actor();
    story.actor_runs("b");
    story.passes(BATCH).expect([]).expect_timeout(None);
    story.says("a", 1, 1, alarm(None)).expect([]);
    story.says_on(1, vec![event("b", 1, 1, alarm(None)), event("b", 1, 2, alarm(None))]).expect([]);
    story.passes_in_silence_until(BATCH).expect([acknowledges(1, &[("a", 1, 0), ("b", 1, 1)])]);
    story.passes(BATCH).expect([]).expect_timeout(None);
    story.says("a", 1, 7, alarm(None)).expect([]);
    story.says("a", 1, 9, alarm(None)).expect([]);
    story.passes_in_silence_until(BATCH).expect([acknowledges(1, &[("a", 1, 7)])]);
}

#[test]
fn events_are_handled_once() {
    let mut story = with_actor();
    story.says("a", 1, 1, sleeps());
    let stopping = actor_record(1, ActorState::Stopping(runner_id(1)));
    story.expect([finish_routes(1, "a", 1), change("a", 3, &stopping)]).stores("a", 4).expect([]);
    for _ in 0..3 {
        story.says("a", 1, 1, sleeps()).expect([]);
        story.says("a", 1, 0, running()).expect([]);
    }
    assert_eq!((story.machine.stats().duplicate_events, story.machine.stats().events), (6, 2));
}

#[test]
fn nothing_of_an_ended_life_is_acknowledged() {
    let mut story = with_actor();
    story.says("a", 1, 1, alarm(None)).expect([]);
    story.says("a", 1, 2, stopped(StopCode::Ok)).expect([end_routes(1, "a", 1)]);
    story.passes(BATCH).expect([]);
    story.routes_end("a", 1).falls_asleep("a", 3, 1);
    story.leaves(1).ends();
    // Nor when it is over, and its place is another's.
    let mut story = with_actor();
    story.says("a", 1, 1, alarm(None)).expect([]);
    story.says("a", 1, 2, stopped(StopCode::Ok)).expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1).falls_asleep("a", 3, 1);
    story.actor_runs("b").passes(BATCH).expect([]);
}

#[test]
fn an_event_is_acknowledged_when_the_directory_has_been_told_what_it_changed() {
    let mut story = with_actor();
    let later = ActorRecord { alarm: Some(NOON + 60_000), ..actor_record(1, ActorState::Running(runner_id(1))) };
    story.says("a", 1, 1, alarm(later.alarm)).expect([change("a", 3, &later)]);
    story.says("a", 1, 2, running()).expect([]);
    for _ in 0..3 {
        story.passes(BATCH).expect([]);
    }
    story.stores("a", 4).expect([]);
    story.passes(BATCH).expect([acknowledges(1, &[("a", 1, 1)])]);
}

#[test]
fn events_of_older_lives_are_dropped_and_such_lives_are_stopped() {
    let mut story = supervisor();
    let r1 = runner_id(1);
    story.input(shows("a", 5, actor_record(3, ActorState::Running(runner_id(9))))).expect([]);
    story.input(shows("b", 6, actor_record(4, ActorState::Wanted)));
    story.expect_stored("b", 6, &actor_record(5, ActorState::Starting(r1)));
    story.actions();
    let events = vec![
        event("a", 2, 0, running()),
        event("a", 2, 1, alarm(None)),
        event("a", 3, 0, running()),
        event("b", 4, 9, sleeps()),
    ];
    // Of each actor the newest that is over.
    story.says_on(1, events).expect([stop_all(1, &[("a", 3), ("b", 4)])]);
    assert_eq!(story.machine.stats().stale_events, 4);
    // One that has ended needs no stop.
    story.says_on(1, vec![event("a", 2, 2, alarm(None)), event("a", 2, 3, stopped(StopCode::Error))]).expect([]);
    assert_eq!((story.machine.stats().stale_events, story.machine.stats().events), (6, 0));
}

#[test]
fn an_actor_that_nobody_knows_is_stopped_if_the_directory_does_not_tell_of_it_in_time() {
    let stray = Duration::from_secs(5);
    let mut story = supervisor();
    story.says("x", 4, 0, running()).expect([]);
    story.says("y", 1, 0, running()).expect([]);
    story.says("y", 1, 1, stopped(StopCode::Ok)).expect([]);
    story.passes(stray / 2).expect([]);
    // A record that comes late is in time.
    story.says("z", 2, 0, running()).expect([]);
    story.input(shows("z", 9, actor_record(2, ActorState::Running(runner_id(1))))).expect([]);
    assert_eq!(story.machine.stats().hosted, 1);
    story.passes_in_silence_until(stray - stray / 2).expect([stop(1, "x", 4)]);
    let stats = story.machine.stats();
    assert_eq!((stats.foreign_events, stats.strays_stopped), (4, 1));
    story.says("x", 4, 1, stopped(StopCode::Ok)).expect([]).expect_timeout(None);
}

#[test]
fn strays_are_as_many_as_actors_may_be() {
    let mut story = supervisor_with(Config { max_actors_per_runner: 1, ..Config::default() });
    story.runner_comes(1, 1).expect([]);
    for actor_id in ["x", "y", "z"] {
        story.says(actor_id, 1, 0, running()).expect([]);
    }
    story.passes(Duration::from_secs(5)).expect([stop(1, "x", 1)]);
    story.leaves(1).ends();
}

#[test]
fn a_start_waits_for_the_stop_of_a_stray_whose_generation_is_older_than_it() {
    let mut story = supervisor_with(Config { first_generation: 8, ..Config::default() });
    story.input(greeted(1, 1)).expect([]);
    story.says_on(1, vec![event("a", 3, 0, running())]).expect([]);
    story.input(Event::Answered { connection: 1 }).expect([]);
    story.wants("a", 1).expect([change("a", 1, &actor_record(8, ActorState::Starting(runner_id(1))))]);
    story.stores("a", 2).expect([stop(1, "a", 3)]);
    // That it is still there is no reason to tell it again.
    story.says("a", 3, 1, running()).expect([]);
    story.says("a", 3, 2, stopped(StopCode::Ok)).expect([start(1, "a", 8)]);
    assert_eq!(story.machine.stats().strays_stopped, 1);
}

#[test]
fn a_life_has_a_number_of_its_own_where_one_of_before_the_directory_goes_on() {
    let mut story = supervisor_with(Config::default());
    story.input(greeted(1, 1)).expect([]);
    story.says_on(1, vec![event("a", 1, 0, running())]).expect([]);
    story.input(Event::Answered { connection: 1 }).expect([]);
    story.wants("a", 1).expect([change("a", 1, &actor_record(2, ActorState::Starting(runner_id(1))))]);
    story.stores("a", 2).expect([stop(1, "a", 1)]);
    story.says("a", 1, 1, stopped(StopCode::Error)).expect([start(1, "a", 2)]);
    assert_eq!(story.machine.stats().crashed, 0);
}

#[test]
fn what_is_held_before_the_pong_takes_so_many_bytes_and_no_frame() {
    let mut story = supervisor_with(Config { max_held_bytes: 4_000, ..Config::default() });
    story.input(greeted(1, 1)).expect([]);
    for index in 0..10 {
        let inner = to_server::Event::ActorStateUpdate {
            state: to_server::ActorState::Stopped(Stopped {
                code: StopCode::Error,
                message: Some("\u{e9}".repeat(1 << 20).into()),
            }),
        };
        story.says_on(1, vec![event("a", 1, index, inner)]).expect([]);
    }
    let stats = story.machine.stats();
    assert_eq!((stats.held_events, stats.dropped_events), (3, 7));
    assert!((3_000..4_000).contains(&stats.held_bytes), "{}", stats.held_bytes);
    story.leaves(1).ends();
}

#[test]
fn what_is_said_before_the_pong_is_held_and_as_much_of_it_as_may_be() {
    let mut story = supervisor_with(Config { max_held_events: 2, ..Config::default() });
    let runs = actor_record(1, ActorState::Running(runner_id(1)));
    story.input(greeted(1, 1)).expect([]);
    story.input(shows("a", 1, runs.clone())).expect([]);
    story.input(shows("b", 2, runs.clone())).expect([]);
    let events = vec![event("a", 1, 4, running()), event("a", 1, 5, sleeps()), event("b", 1, 0, sleeps())];
    story.says_on(1, events).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.held_events, stats.dropped_events, stats.events), (2, 1, 0));
    story.input(Event::Answered { connection: 1 });
    // The third was dropped, but its actor was announced.
    story.expect([finish_routes(1, "a", 1), change("a", 1, &actor_record(1, ActorState::Stopping(runner_id(1))))]);
    assert!(story.machine.takes_requests(1, &"b".into()));
    assert_eq!(story.machine.stats().held_events, 0);
    story.input(Event::Answered { connection: 1 }).expect([]);
}

#[test]
fn an_acknowledgement_of_what_was_not_asked_changes_nothing() {
    let mut story = with_actor();
    story.input(took(1, "a", 2, 1)).expect([]);
    story.input(took(1, "b", 1, 1)).expect([]);
    story.sleeps_and_ends(3, 1);
}

#[test]
fn a_connection_is_greeted_once_and_ends_once() {
    let mut story = supervisor_with(Config::default());
    let of = |connection| {
        [
            Event::Answered { connection },
            Event::Stopping { connection },
            Event::Disconnected { connection },
            Event::Events { connection, events: Vec::new() },
            took(connection, "a", 1, 0),
        ]
    };
    for event in of(1) {
        story.misuse(event, NoSuchConnection(1));
    }
    story.runner_comes(1, 1).expect([]);
    story.misuse(greeted(1, 2), ConnectionInUse(1));
    story.leaves(1);
    for event in of(1) {
        story.misuse(event, NoSuchConnection(1));
    }
    story.ends();
}

#[test]
fn of_a_connection_whose_place_another_took_nothing_counts() {
    let mut story = with_actor();
    story.input(greeted(2, 1)).expect([]);
    assert_eq!(story.machine.generation(1, &"a".into()), None);
    assert_eq!(story.machine.generation(2, &"a".into()), Some(1));
    story.says("a", 1, 1, stopped(StopCode::Error)).expect([]);
    story.input(Event::Answered { connection: 1 }).expect([]);
    story.input(Event::Stopping { connection: 1 }).expect([]);
    story.input(took(1, "a", 1, 1)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.says_on(2, vec![event("a", 1, 0, running())]).expect([]);
    story.input(Event::Answered { connection: 2 }).expect([]);
    assert!(story.machine.takes_requests(2, &"a".into()));
}
