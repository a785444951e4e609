//! Calls of actors on their stores: sent, sent again, answered once.

use std::time::Duration;

use underpass_core::protocol::kv::{KvRequestData, KvResponse, KvResponseData};
use underpass_core::protocol::{Dialect, ToClient};
use underpass_core::runner::{Action, Config, Event, StopReason};
use underpass_core::{Machine, Runner};
use underpass_tests::given::hosted::{
    asks_store, has_stopped, hosting, life, runs, start_command, starts, stop_command, tells, with_state,
};
use underpass_tests::given::runner::{dials, greeting, ping, ready_with};
use underpass_tests::story::Story;

const ANSWER: Duration = Duration::from_secs(30);
const FIRST_WAIT: Duration = Duration::from_millis(125);

fn calls(number: u64) -> Event {
    Event::Kv { actor: life(1), number, call: KvRequestData::Drop }
}

fn asks(connection: u64, request_id: u32) -> Action {
    asks_store(connection, request_id, KvRequestData::Drop)
}

fn stored(request_id: u32) -> ToClient {
    ToClient::KvResponse(KvResponse { request_id, data: KvResponseData::Drop })
}

fn answered(number: u64) -> Action {
    Action::KvAnswered { number, answer: KvResponseData::Drop }
}

fn refused(number: u64, message: &'static str) -> Action {
    Action::KvAnswered { number, answer: KvResponseData::Error { message: message.into() } }
}

fn with_actor() -> Story<Runner> {
    let mut story = hosting();
    story.runs_actor(1);
    story
}

#[test]
fn a_call_is_answered_from_an_actors_start_to_its_end() {
    let mut story = hosting();
    story.input(calls(5)).expect([refused(5, "the actor is not on this runner")]);
    story.hears(start_command(&life(1), &[])).expect([starts(&life(1))]);
    story.input(calls(6)).expect([asks(1, 1)]);
    story.hears(stored(1)).expect([answered(6)]);
    story.is_running(1);
    // Numbers are the embedder's: they can be used again.
    story.input(calls(6)).expect([asks(1, 2)]);
    story.input(calls(6)).expect([asks(1, 3)]);
    story.hears(stored(3)).expect([answered(6)]);
    story.hears(stored(2)).expect([answered(6)]);
    story.hears(stop_command(&life(1))).actions();
    story.input(calls(7)).expect([asks(1, 4)]);
    story.input(calls(8)).expect([asks(1, 5)]);
    story.hears(stored(4)).expect([answered(7)]);
    story.is_stopped(&life(1));
    story.expect([refused(8, "the actor has stopped"), tells(1, [has_stopped(&life(1), 1, None)])]);
    story.hears(stored(5)).expect([]);
    story.input(calls(9)).expect([refused(9, "the actor is not on this runner")]);
    let stats = story.machine.stats();
    assert_eq!((stats.kv_calls, stats.kv_refused, stats.kv_late, stats.kv_open), (7, 3, 1, 0));
    story.drains_and_ends();
}

#[test]
fn a_store_that_does_not_answer_in_time_is_waited_for_no_longer() {
    let mut story = with_actor();
    story.input(calls(1)).expect([asks(1, 1)]);
    for _ in 0..5 {
        story.passes(ANSWER / 6).expect([]);
        story.hears(ping(1)).actions();
    }
    story.passes_in_silence_until(ANSWER / 6).expect([refused(1, "the store did not answer in time")]);
    story.hears(stored(1)).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.timeouts.kv_answer, stats.kv_late), (1, 1));
    story.stops_and_ends(&life(1));
}

#[test]
fn what_was_not_answered_is_asked_again_when_the_next_relay_knows_what_is_here() {
    let mut story = with_actor();
    story.input(calls(1)).expect([asks(1, 1)]);
    story.input(calls(2)).expect([asks(1, 2)]);
    story.hears(stored(1)).expect([answered(1)]);
    story.is_lost().expect([]);
    story.input(calls(3)).expect([]);
    story.passes(FIRST_WAIT).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(2, [runs(&life(1))])]);
    story.input(calls(4)).expect([]);
    // With the pong it does.
    story.hears(ping(1));
    assert_eq!(story.actions()[1..], [asks(2, 2), asks(2, 3), asks(2, 4)]);
    story.hears(stored(3)).expect([answered(3)]);
    story.hears(ping(1)).actions();
    story.hears(stored(2)).expect([answered(2)]);
    story.hears(stored(4)).expect([answered(4)]);
    story.stops_and_ends(&life(1));
}

#[test]
fn what_an_older_relay_answers_of_what_was_asked_again_does_not_count() {
    let mut story = with_actor();
    story.input(calls(1)).expect([asks(1, 1)]);
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(2, [runs(&life(1))])]);
    // It is known to the old one no more, and to the new one not yet.
    story.input(calls(2)).expect([]);
    story.hears(ping(1));
    assert_eq!(story.actions()[1..], [asks(2, 1), asks(2, 2)]);
    story.hears_on(1, stored(1)).expect([]);
    story.hears(stored(1)).expect([answered(1)]);
    story.hears(stored(2)).expect([answered(2)]);
    story.loses(1).expect([]);
    story.hears(ping(1)).actions();
    story.stops_and_ends(&life(1));
}

#[test]
fn what_there_is_no_room_for_waits_or_is_refused() {
    let most = "too many calls of this runner are open";
    let mut story = ready_with(Config { max_kv_calls: 2, ..with_state() }, Dialect::Underpass);
    story.runs_actor(1);
    story.is_blocked().expect([]);
    story.input(calls(1)).expect([]);
    story.input(calls(2)).expect([]);
    story.input(calls(3)).expect([refused(3, most)]);
    story.is_writable().expect([asks(1, 1), asks(1, 2)]);
    story.hears(stored(1)).expect([answered(1)]);
    story.input(calls(3)).expect([asks(1, 3)]);
    story.hears(stored(2)).expect([answered(2)]);
    story.hears(stored(3)).expect([answered(3)]);
    story.stops_and_ends(&life(1));

    let mut story = ready_with(Config { max_kv_bytes: 20, ..with_state() }, Dialect::Underpass);
    story.runs_actor(1);
    story.input(calls(1)).expect([asks(1, 1)]);
    story.input(calls(2)).expect([refused(2, most)]);
    assert_eq!(story.machine.stats().buffered, 14);
    story.hears(stored(1)).expect([answered(1)]);
    story.stops_and_ends(&life(1));
}

#[test]
fn what_timed_out_while_nobody_was_there_is_not_asked() {
    let config = Config { kv_answer: Duration::from_millis(100), ..with_state() };
    let mut story = ready_with(config, Dialect::Underpass);
    story.runs_actor(1);
    story.is_lost().expect([]);
    story.input(calls(1)).expect([]);
    story.passes_in_silence_until(Duration::from_millis(100)).expect([refused(1, "the store did not answer in time")]);
    story.passes(Duration::from_millis(25)).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).actions();
    story.is_told_ready();
    story.stops_and_ends(&life(1));
}

#[test]
fn a_runner_that_goes_asks_nothing_more() {
    let mut story = with_actor();
    story.input(calls(1)).expect([asks(1, 1)]);
    story.is_closed(1000, "ws.eviction");
    let going = "the runner is going away";
    story.expect([Action::StopActor { actor: life(1) }, refused(1, going)]);
    story.input(calls(2)).expect([refused(2, going)]);
    story.is_stopped(&life(1));
    let actions = story.actions();
    assert!(matches!(&actions[..], [Action::Stopped(StopReason::Evicted(_))]), "{actions:?}");
    story.ends();
}
