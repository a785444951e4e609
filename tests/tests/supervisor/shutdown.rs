//! A runner says goodbye: open requests end first, then each actor is stopped, and goes on elsewhere.

use underpass_core::Machine;
use underpass_core::directory::ActorState;
use underpass_core::protocol::to_server::StopCode;
use underpass_core::supervisor::Event;
use underpass_tests::given::supervisor::{
    actor_record, change, end_routes, event, finish_routes, greeted, runner_id, running, sleeps, start, stop, stopped,
    stops, supervisor, with_actor,
};

#[test]
fn each_actor_is_stopped_when_its_requests_have_ended_and_goes_on_elsewhere() {
    let r1 = runner_id(1);
    let stopping = actor_record(1, ActorState::Stopping(r1));
    let mut story = with_actor();
    story.actor_runs("b");
    story.input(Event::Stopping { connection: 1 });
    story.expect([
        finish_routes(1, "a", 1),
        change("a", 3, &stopping),
        finish_routes(1, "b", 1),
        change("b", 3, &stopping),
    ]);
    story.stores("a", 4).expect([]).stores("b", 4).expect([]);
    story.input(Event::Stopping { connection: 1 }).expect([]);
    story.runner_comes(2, 2).expect([]);
    story.routes_end("b", 1).expect([stop(1, "b", 1)]);
    story.says("b", 1, 1, stopped(StopCode::Ok)).expect([end_routes(1, "b", 1)]);
    story.routes_end("b", 1).expect_stored("b", 4, &actor_record(1, ActorState::Wanted));
    story.expect_stored("b", 5, &actor_record(2, ActorState::Starting(runner_id(2)))).expect([start(2, "b", 2)]);
    // The other's request goes on for as long as it takes.
    story.routes_end("a", 1).expect([stop(1, "a", 1)]);
    assert_eq!(story.machine.stats().crashed, 0);
}

#[test]
fn an_actor_that_ends_by_itself_as_its_runner_stops_goes_on_elsewhere() {
    let mut story = with_actor();
    story.input(Event::Stopping { connection: 1 }).actions();
    story.stores("a", 4).expect([]);
    story.says("a", 1, 1, stopped(StopCode::Ok)).expect([end_routes(1, "a", 1)]);
    story.routes_end("a", 1).expect_stored("a", 4, &actor_record(1, ActorState::Wanted)).expect([]);
    assert_eq!(story.machine.stats().waiting, 1);
}

#[test]
fn one_that_wishes_to_sleep_or_to_stop_as_its_runner_stops_does_not_go_on() {
    for wish in [sleeps(), stops()] {
        let mut story = with_actor();
        story.input(Event::Stopping { connection: 1 }).actions();
        story.stores("a", 4).expect([]);
        story.says("a", 1, 1, wish).expect([]);
        story.input(Event::Disconnected { connection: 1 });
        story.falls_asleep("a", 4, 1).ends();
    }
}

#[test]
fn a_claim_that_is_made_as_its_runner_says_goodbye_is_given_back() {
    let starting = actor_record(1, ActorState::Starting(runner_id(1)));
    let mut story = supervisor();
    story.wants("a", 1).expect([change("a", 1, &starting)]);
    story.input(Event::Stopping { connection: 1 }).expect([]);
    story.stores("a", 2).expect_stored("a", 2, &actor_record(1, ActorState::Wanted)).expect([]);
    // Or when it has gone without one: then it may come back, and is told.
    let mut story = supervisor();
    story.wants("a", 1).expect([change("a", 1, &starting)]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.stores("a", 2).expect([]);
    story.runner_comes(2, 1).expect([start(2, "a", 1)]);
}

#[test]
fn a_runner_that_says_goodbye_before_its_pong_is_told_of_it_at_the_pong() {
    let mut story = with_actor();
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(greeted(2, 1)).expect([]);
    story.says_on(2, vec![event("a", 1, 0, running())]).expect([]);
    story.input(Event::Stopping { connection: 2 }).expect([]);
    story.input(Event::Answered { connection: 2 });
    story.expect([finish_routes(2, "a", 1), change("a", 3, &actor_record(1, ActorState::Stopping(runner_id(1))))]);
}

#[test]
fn an_actor_that_was_not_told_to_start_is_not_told_to_on_a_runner_that_stops() {
    let mut story = supervisor();
    story.wants("a", 1).expect_stored("a", 1, &actor_record(1, ActorState::Starting(runner_id(1))));
    story.expect([start(1, "a", 1)]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(greeted(2, 1)).expect([]);
    story.input(Event::Stopping { connection: 2 }).expect([]);
    story.input(Event::Answered { connection: 2 });
    story.expect_stored("a", 2, &actor_record(1, ActorState::Wanted)).expect([]);
}

#[test]
fn nothing_new_goes_to_a_runner_that_stops() {
    let mut story = supervisor();
    story.input(Event::Stopping { connection: 1 }).expect([]);
    story.wants("a", 1).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    assert_eq!(story.machine.stats().waiting, 1);
}
