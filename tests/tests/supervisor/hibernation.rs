//! WebSockets that slept: the registry is asked for them before a start, and when a life goes on.

use std::time::Duration;

use underpass_core::Supervisor;
use underpass_core::directory::{
    ActorRecord, ActorState, ChangeOutcome, DirectoryUnavailable, Revision, RunnerState, Versioned,
};
use underpass_core::protocol::to_server::StopCode;
use underpass_core::supervisor::{Action, Config, Event, Notice};
use underpass_core::{Machine, Time};
use underpass_tests::given::supervisor::{
    actor, actor_record, asks_registry, change, end_routes, event, finish_routes, greeted_hibernating, registered,
    restores, restores_but, runner_id, running, shows, shows_runner, sleeps, start, start_with, stop, stopped,
    supervisor, supervisor_with,
};
use underpass_tests::story::Story;

const SECOND: Duration = Duration::from_secs(1);

fn hibernating_with(config: Config) -> Story<Supervisor> {
    let mut story = supervisor_with(config);
    story.input(greeted_hibernating(1, 1)).expect([]);
    story.input(Event::Answered { connection: 1 }).expect([]);
    story
}

/// The runner `r1`, whose WebSockets can hibernate, is on connection 1. The actor `a` was claimed for it, revision 2
/// says so, and the registry is asked.
fn asking() -> Story<Supervisor> {
    asking_with(Config::default())
}

fn asking_with(config: Config) -> Story<Supervisor> {
    let mut story = hibernating_with(config);
    story.wants("a", 1).expect_stored("a", 1, &starting(1)).expect([asks_registry("a")]);
    story
}

/// It runs, revision 3 says so. Nothing slept.
fn runs() -> Story<Supervisor> {
    let mut story = asking();
    story.input(registered("a", &[])).expect([start(1, "a", 1)]);
    story.says("a", 1, 0, running()).expect_stored("a", 2, &runs_here()).expect([]);
    story
}

/// Its runner has come back on connection 2 and has announced it; the registry is asked.
fn goes_on() -> Story<Supervisor> {
    let mut story = runs();
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(greeted_hibernating(2, 1)).expect([]);
    assert!(story.machine.is_restoring(2), "it is not known what it has");
    story.says_on(2, vec![event("a", 1, 0, running())]).expect([]);
    story.input(Event::Answered { connection: 2 }).expect([asks_registry("a")]);
    story
}

fn starting(generation: u32) -> ActorRecord {
    actor_record(generation, ActorState::Starting(runner_id(1)))
}

fn runs_here() -> ActorRecord {
    actor_record(1, ActorState::Running(runner_id(1)))
}

fn unavailable() -> Event {
    Event::Registered { actor: actor("a"), sockets: Err(DirectoryUnavailable) }
}

fn registry_is_away() -> Action {
    Action::Log(Notice::RegistryUnavailable(actor("a")))
}

/// The connection ends, others end the actor, and the registry answers what it was still asked. Nothing is left.
fn is_over(mut story: Story<Supervisor>, connection: u64) {
    story.nothing_left();
    let asleep = actor_record(9, ActorState::Sleeping);
    let current = Some(Versioned { revision: Revision(99), record: asleep.clone() });
    story.input(Event::Disconnected { connection }).actions();
    story.outcome("a", ChangeOutcome::Conflict(current)).actions();
    story.input(shows("a", 99, asleep)).actions();
    story.passes(Duration::from_secs(60)).actions();
    story.input(registered("a", &[])).expect([]);
    story.ends();
}

#[test]
fn before_a_start_the_registry_is_asked_and_the_start_names_the_sockets_that_slept() {
    let mut story = asking();
    assert_eq!(story.machine.stats().asking, 1);
    assert!(!story.machine.is_restoring(1), "its runner has not heard of it");
    story.input(registered("a", &[1, 2])).expect([start_with(1, "a", 1, &[1, 2])]);
    assert!(story.machine.is_restoring(1), "from now on it may speak on them");
    is_over(story, 1);
}

#[test]
fn the_sockets_are_restored_at_the_first_event_and_only_then() {
    let mut story = asking();
    story.input(registered("a", &[1, 2])).expect([start_with(1, "a", 1, &[1, 2])]);
    story.says("a", 1, 0, running());
    story.expect([restores(1, "a", &[1, 2]), change("a", 2, &runs_here())]).stores("a", 3).expect([]);
    assert!(!story.machine.is_restoring(1));
    story.says("a", 1, 1, running()).expect([]);
    is_over(story, 1);
}

#[test]
fn an_actor_of_which_nothing_slept_is_started_and_nothing_is_restored() {
    is_over(runs(), 1);
}

#[test]
fn a_runner_whose_sockets_cannot_hibernate_is_not_asked_for() {
    let mut story = supervisor();
    story.wants("a", 1).expect_stored("a", 1, &starting(1)).expect([start(1, "a", 1)]);
    assert!(!story.machine.is_restoring(1));
    is_over(story, 1);
}

#[test]
fn the_time_for_a_start_begins_with_its_command_not_with_the_question() {
    let mut story = asking();
    story.passes(Duration::from_secs(3_600)).expect([]);
    story.input(registered("a", &[1])).expect([start_with(1, "a", 1, &[1])]);
    story.passes_in_silence_until(Duration::from_secs(30));
    let timeout = Action::Log(Notice::StartTimeout(actor("a")));
    let stopping = actor_record(1, ActorState::Stopping(runner_id(1)));
    story.expect([timeout, stop(1, "a", 1), change("a", 2, &stopping)]);
    assert!(!story.machine.is_restoring(1), "it will not run");
    is_over(story, 1);
}

#[test]
fn a_registry_that_is_away_is_asked_again_after_a_second() {
    let mut story = asking();
    for _ in 0..2 {
        story.input(unavailable()).expect([registry_is_away()]);
        assert_eq!(story.machine.stats().asking, 0);
        story.passes_in_silence_until(SECOND).expect([asks_registry("a")]);
    }
    assert_eq!(story.machine.stats().registry_unavailable, 2);
    story.input(registered("a", &[])).expect([start(1, "a", 1)]);
    is_over(story, 1);
}

#[test]
fn a_clock_that_jumps_asks_a_registry_that_was_away_once() {
    let mut story = asking();
    story.input(unavailable()).expect([registry_is_away()]);
    story.passes(Duration::from_secs(3_600)).expect([asks_registry("a")]);
    is_over(story, 1);
}

#[test]
fn a_directory_that_goes_and_comes_back_does_not_ask_the_registry_twice() {
    let mut story = asking();
    story.input(Event::DirectoryAway).expect([]);
    story.input(unavailable()).expect([registry_is_away()]);
    story.input(Event::DirectoryBack).expect([]);
    story.passes_in_silence_until(SECOND).expect([asks_registry("a")]);
    is_over(story, 1);
}

#[test]
fn a_start_that_is_superseded_while_the_registry_is_asked_is_nothing_to_its_runner() {
    let mut story = asking();
    let elsewhere = actor_record(2, ActorState::Starting(runner_id(7)));
    story.input(shows("a", 9, elsewhere)).expect([Action::Log(Notice::Superseded(actor("a")))]);
    story.input(registered("a", &[1])).expect([]);
    is_over(story, 1);
}

#[test]
fn a_start_whose_runner_says_goodbye_while_the_registry_is_asked_is_given_up() {
    let mut story = asking();
    story.input(Event::Stopping { connection: 1 });
    story.expect_stored("a", 2, &actor_record(1, ActorState::Wanted)).expect([]);
    story.input(registered("a", &[1])).expect([]);
    is_over(story, 1);
}

#[test]
fn a_start_whose_runner_is_elsewhere_when_the_registry_answers_is_that_relays() {
    let mut story = asking();
    story.input(shows_runner(1, 9, Some(7), RunnerState::Ready)).expect([]);
    story.input(registered("a", &[1])).expect([]);
    is_over(story, 1);
}

#[test]
fn a_registry_that_was_away_is_not_asked_for_a_start_that_was_given_up() {
    let mut story = asking();
    story.input(unavailable()).expect([registry_is_away()]);
    story.input(Event::Stopping { connection: 1 });
    story.expect_stored("a", 2, &actor_record(1, ActorState::Wanted)).expect([]);
    story.passes(Duration::from_secs(3_600)).expect([]);
    is_over(story, 1);
}

#[test]
fn what_was_asked_on_a_connection_that_ended_is_asked_again_behind_its_answer() {
    let mut story = asking();
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(greeted_hibernating(2, 1)).expect([]);
    story.input(Event::Answered { connection: 2 }).expect([]);
    story.input(registered("a", &[1])).expect([asks_registry("a")]);
    story.input(registered("a", &[1, 2])).expect([start_with(2, "a", 1, &[1, 2])]);
    is_over(story, 2);
}

#[test]
fn what_was_asked_for_a_life_that_is_over_is_asked_again_for_the_next() {
    let mut story = goes_on();
    story.says_on(2, vec![event("a", 1, 1, stopped(StopCode::Ok))]).expect([end_routes(2, "a", 1)]);
    story.routes_end("a", 1).falls_asleep("a", 3, 1);
    story.input(shows("a", 5, actor_record(1, ActorState::Wanted)));
    story.expect_stored("a", 5, &starting(2)).expect([]);
    story.input(registered("a", &[1])).expect([asks_registry("a")]);
    story.input(registered("a", &[2])).expect([start_with(2, "a", 2, &[2])]);
    is_over(story, 2);
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let mut story = runs();
    for event in [registered("a", &[1]), registered("b", &[1]), unavailable()] {
        story.input(event).expect([]);
    }
    story.expect_timeout(None);
    is_over(story, 1);
}

#[test]
fn a_life_that_goes_on_at_a_connection_that_came_anew_has_its_sockets_restored_there() {
    let mut story = goes_on();
    assert!(story.machine.takes_requests(2, &"a".into()), "requests need not wait for that");
    assert!(story.machine.is_restoring(2));
    story.input(registered("a", &[1, 2])).expect([restores(2, "a", &[1, 2])]);
    assert!(!story.machine.is_restoring(2));
    is_over(story, 2);
}

#[test]
fn a_start_that_was_heard_only_on_the_next_connection_has_its_sockets_restored_there() {
    let mut story = asking();
    story.input(registered("a", &[1])).expect([start_with(1, "a", 1, &[1])]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(greeted_hibernating(2, 1)).expect([]);
    story.says_on(2, vec![event("a", 1, 0, running())]).expect([]);
    story.input(Event::Answered { connection: 2 }).expect([asks_registry("a"), change("a", 2, &runs_here())]);
    story.stores("a", 3).expect([]);
    // One that was opened meanwhile is among them, one that was closed is not.
    story.input(registered("a", &[2])).expect([restores(2, "a", &[2])]);
    is_over(story, 2);
}

#[test]
fn a_life_whose_start_is_heard_before_the_registry_answers_is_not_started_again_but_restored() {
    let mut story = asking();
    story.input(registered("a", &[1])).expect([start_with(1, "a", 1, &[1])]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(greeted_hibernating(2, 1)).expect([]);
    story.input(Event::Answered { connection: 2 }).expect([asks_registry("a")]);
    story.says_on(2, vec![event("a", 1, 0, running())]).expect([change("a", 2, &runs_here())]);
    story.stores("a", 3).expect([]);
    assert!(story.machine.is_restoring(2));
    story.input(registered("a", &[1])).expect([restores(2, "a", &[1])]);
    is_over(story, 2);
}

#[test]
fn a_life_that_goes_on_waits_for_a_registry_that_is_away() {
    let mut story = goes_on();
    story.input(unavailable()).expect([registry_is_away()]);
    story.passes_in_silence_until(SECOND).expect([asks_registry("a")]);
    assert!(story.machine.is_restoring(2));
    story.input(registered("a", &[1])).expect([restores(2, "a", &[1])]);
    is_over(story, 2);
}

#[test]
fn a_life_that_is_to_end_before_the_registry_answers_has_nothing_restored() {
    let mut story = goes_on();
    story.says_on(2, vec![event("a", 1, 1, sleeps())]);
    let stopping = actor_record(1, ActorState::Stopping(runner_id(1)));
    story.expect([finish_routes(2, "a", 1), change("a", 3, &stopping)]).stores("a", 4).expect([]);
    assert!(!story.machine.is_restoring(2));
    story.input(registered("a", &[1])).expect([]);
    is_over(story, 2);
}

#[test]
fn of_more_sockets_than_a_start_may_name_the_rest_is_left_out_and_counted() {
    let mut story = asking_with(Config { max_restored: 2, ..Config::default() });
    story.input(registered("a", &[1, 2, 3, 4])).expect([start_with(1, "a", 1, &[1, 2])]);
    assert_eq!(story.machine.stats().sockets_left_out, 0, "it has not started");
    story.says("a", 1, 0, running());
    story.expect([restores_but(1, "a", &[1, 2], &[3, 4]), change("a", 2, &runs_here())]).stores("a", 3).expect([]);
    assert_eq!(story.machine.stats().sockets_left_out, 2);
    is_over(story, 1);
}

#[test]
fn thousands_of_sockets_wake_with_one_command() {
    let sockets: Vec<u8> = (0..5_000_u16).map(|number| number as u8).collect();
    let mut story = asking();
    story.input(registered("a", &sockets)).expect([start_with(1, "a", 1, &sockets)]);
    assert_eq!(story.machine.poll_timeout(), Some(Time::ZERO + Duration::from_secs(30)));
    story.says("a", 1, 0, running()).expect([restores(1, "a", &sockets), change("a", 2, &runs_here())]);
    is_over(story, 1);
}
