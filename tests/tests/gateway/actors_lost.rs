//! Requests that did not come to their actor, or lost it; and bodies that are collected for it.

use std::time::Duration;

use underpass_core::bus::PublishError;
use underpass_core::directory::{Abilities, ActorState, RunnerRecord, RunnerState};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::{Body, Close};
use underpass_core::protocol::ToGateway;
use underpass_core::protocol::to_gateway::{self as control, RefusedReason};
use underpass_core::protocol::tunnel::to_server;
use underpass_core::{FailureCode, Gateway, Machine, Time};
use underpass_tests::given::actors::{
    answer, conflict, get, get_to, given, now_called, runner, running, says, shows, shows_runner, stored, wants,
    wants_first,
};
use underpass_tests::given::gateway::{
    Asked, aborts, chunk, give_back, lonely_gateway, published_abilities, publishes_to, request_start_with,
    small_config, zeros,
};
use underpass_tests::given::supervisor::runner_id;
use underpass_tests::story::Story;
use underpass_tests::wire::{GATEWAY, connection, open, open_websocket, record};

const ACTOR_START: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(250);

fn almost(wait: Duration) -> Duration {
    wait - Duration::from_micros(1)
}

fn refused(asked: Asked, reason: RefusedReason) -> Event {
    let refused = control::Refused { gateway_id: GATEWAY, request_id: asked.id, reason };
    Event::Received { from: None, frame: ToGateway::Refused(refused).encode_framed() }
}

fn ended(number: u64) -> Event {
    Event::Received { from: None, frame: ToGateway::ConnectionEnded(connection(number).into()).encode_framed() }
}

/// The actor goes to sleep.
fn hibernate() -> to_server::Kind {
    to_server::Kind::WebSocketClose(to_server::WebSocketClose { code: None, reason: None, hibernate: true })
}

/// Each life had a handler see it (seed 991 of the simulator, of its time).
#[test]
fn a_websocket_that_no_life_of_its_actor_takes_is_handed_to_so_many_only() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open_websocket("/"));
    story.actions();
    for (life, revision) in [(2, 2), (3, 6)] {
        let last = now_called(&story, asked);
        story.input(shows(revision, ActorState::Stopping(runner_id(1)))).expect([]);
        story.hears(last, 0, hibernate()).expect([wants_first(0)]);
        story.input(conflict(Some(says(revision + 1, ActorState::Sleeping)))).expect([wants(revision + 1)]);
        story.input(stored(revision + 2)).expect([]);
        story.input(shows(revision + 3, running(1)));
        assert_eq!(story.actions().len(), 1, "life {life} is asked");
    }
    let last = now_called(&story, asked);
    story.hears(last, 0, hibernate());
    assert!(matches!(&story.actions()[..], [Action::Failed { failure, .. }] if failure.code == FailureCode::Draining));
    story.ends();
}

#[test]
fn a_websocket_whose_actor_slept_before_it_took_it_goes_to_its_next_life() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open_websocket("/"));
    let first = story.actions();
    story.input(shows(2, ActorState::Stopping(runner_id(1)))).expect([]);
    story.hears(asked, 0, hibernate()).expect([wants_first(0)]);
    story.input(conflict(Some(says(3, ActorState::Sleeping)))).expect([wants(3)]);
    story.input(stored(4)).expect([]);
    story.input(shows(5, running(1)));
    let second = now_called(&story, asked);
    assert_eq!((story.actions().len(), first.len()), (1, 1));
    let taken = to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false });
    story.hears(second, 0, taken).expect([Action::WebSocketOpened { key: asked.key }]);
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}

#[test]
fn an_open_websocket_whose_actor_goes_to_sleep_is_sent_away() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens_websocket();
    let close = Close { code: Some(1001), reason: None };
    story.hears(asked, 1, hibernate()).expect([Action::WebSocketClose { key: asked.key, close }]).ends();
}

#[test]
fn what_the_relay_of_an_actor_does_not_take_waits_until_it_does() {
    for reason in [RefusedReason::Draining, RefusedReason::ConnectionEnded] {
        let mut story = given();
        story.input(shows(1, running(1))).expect([]);
        let first = story.opens(open("POST", "/", Body::Whole(zeros(5))));
        let sent = |asked| publishes_to(1, asked, 0, request_start_with("POST", Some(zeros(5)), false));
        story.expect([sent(first)]);
        story.input(refused(first, reason)).expect([]);
        assert_eq!(story.machine.stats().waiting, 1);
        if reason == RefusedReason::ConnectionEnded {
            // What the directory says of that connection now counts again.
            story.input(shows_runner(1, runner(1, RunnerState::Full))).expect([]);
            story.input(shows_runner(1, runner(1, RunnerState::Ready)));
        } else {
            story.passes_in_silence_until(TRY_AGAIN);
        }
        let second = now_called(&story, first);
        assert_ne!(first.id, second.id);
        story.expect([sent(second)]);
        answer(&mut story, second);
        assert_eq!(story.machine.stats().sent_again, 1);
        story.ends();
    }
}

#[test]
fn a_large_body_that_was_not_taken_waits_as_a_small_one_does() {
    for length in [5, 20, 21, 100] {
        let config = Config { max_tries: 3, max_kept_body: 20, max_whole_body: 100, ..small_config() };
        for wanted in [Body::Whole(zeros(length)), Body::Stream] {
            let mut story = published_with(config.clone());
            story.input(shows(1, running(1))).expect([]);
            let asked = story.opens(open("POST", "/", wanted.clone()));
            if wanted == Body::Stream {
                story.input(chunk(asked.key, zeros(length), true));
            }
            let sent = |asked| publishes_to(1, asked, 0, request_start_with("POST", Some(zeros(length)), false));
            story.expect([sent(asked)]);
            story.input(refused(asked, RefusedReason::Draining)).expect([]);
            story.input(shows(2, ActorState::Sleeping)).expect([wants(2)]);
            story.input(stored(3)).expect([]);
            story.input(shows(4, running(1)));
            let second = now_called(&story, asked);
            story.expect([sent(second)]);
            answer(&mut story, second);
            story.ends();
        }
    }
}

#[test]
fn what_is_not_taken_waits_as_often_as_need_be_but_no_longer_than_for_a_start() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let mut asked = story.opens(open("POST", "/", Body::None));
    let mut openings = 0;
    while story.machine.stats().failed == 0 {
        story.actions();
        openings += 1;
        asked = now_called(&story, asked);
        story.input(refused(asked, RefusedReason::Draining));
        if story.machine.stats().failed == 0 {
            story.passes_in_silence_until(TRY_AGAIN);
        }
    }
    story.expect_failed(asked, FailureCode::ActorStartTimeout, []);
    assert_eq!((openings, story.now()), (121, Time::ZERO + ACTOR_START));
    story.ends();
}

#[test]
fn what_is_refused_for_lack_of_room_is_tried_again_there_but_not_for_ever() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let mut asked = story.opens(get());
    story.expect([get_to(1, asked)]);
    for _ in 0..2 {
        story.input(refused(asked, RefusedReason::Full)).expect([]);
        story.passes_in_silence_until(TRY_AGAIN);
        asked = now_called(&story, asked);
        story.expect([get_to(1, asked)]);
    }
    story.input(refused(asked, RefusedReason::Full)).expect_failed(asked, FailureCode::Overloaded, []).ends();
}

#[test]
fn an_opening_to_a_connection_that_nobody_holds_waits_for_the_actor() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open("POST", "/", Body::None));
    let mut sent = story.actions();
    story.input(give_back(sent.remove(0), PublishError::NoResponders)).expect([]);
    story.passes(2 * GRACE).expect([]);
    story.input(shows(2, running(2)));
    let second = now_called(&story, asked);
    story.expect([publishes_to(2, second, 0, request_start_with("POST", None, false))]);
    answer(&mut story, second);
    story.ends();
}

#[test]
fn a_streamed_body_that_was_not_taken_fails() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.input(refused(asked, RefusedReason::Draining)).expect_failed(asked, FailureCode::Draining, []).ends();
}

#[test]
fn what_a_lost_runner_may_have_goes_again_if_it_does_no_harm_and_the_actor_runs_within_the_grace() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let get = story.opens(get());
    story.actions();
    let post = story.opens(open("POST", "/", Body::None));
    story.actions();
    story.input(ended(1)).expect_failed(post, FailureCode::RunnerLost, []);
    story.input(shows(2, ActorState::Sleeping)).expect([wants(2)]);
    story.input(stored(3)).expect([]);
    story.input(shows(4, ActorState::Starting(runner_id(2)))).expect([]);
    story.passes(almost(GRACE)).expect([]);
    story.input(shows(5, running(2)));
    let second = now_called(&story, get);
    story.expect([get_to(2, second)]);
    answer(&mut story, second);
    story.ends();
}

#[test]
fn an_actor_that_does_not_run_within_the_grace_leaves_the_first_failure() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(get());
    story.expect([get_to(1, asked)]);
    story.input(ended(1)).expect([]);
    // Where it was lost it is not sent again.
    story.input(shows_runner(1, runner(1, RunnerState::Ready))).expect([]);
    story.passes_in_silence_until(GRACE).expect_failed(asked, FailureCode::RunnerLost, []);
    story.ends();
}

/// A runner of the published protocol, with small limits around it, and its actor runs.
fn published() -> Story<Gateway> {
    published_with(Config { max_tries: 3, ..small_config() })
}

fn published_with(config: Config) -> Story<Gateway> {
    let mut story = lonely_gateway(config);
    let abilities = Abilities { stateless: false, ..published_abilities() };
    let record = RunnerRecord { id: runner_id(1), ..record(1, abilities, RunnerState::Ready) };
    story.input(shows_runner(1, record)).expect([]);
    story
}

#[test]
fn a_published_runner_gets_whole_bodies_once_its_actor_runs() {
    let mut story = published();
    let asked = story.opens(open("POST", "/", Body::Stream));
    let key = asked.key;
    story.expect([Action::PauseSource { key }, wants_first(0)]);
    story.input(stored(1)).expect([]);
    // What was read already comes in.
    story.input(chunk(key, zeros(30), false)).expect([]);
    story.input(shows(2, running(1))).expect([Action::ResumeSource { key }]);
    story.input(chunk(key, zeros(70), false)).expect([]);
    story.input(chunk(key, zeros(0), true));
    let asked = now_called(&story, asked);
    story.expect([publishes_to(1, asked, 0, request_start_with("POST", Some(zeros(100)), false))]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn a_published_runner_gets_no_body_over_the_limit() {
    let mut story = published();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.input(chunk(asked.key, zeros(100), false)).expect([]);
    story.input(chunk(asked.key, zeros(1), false)).expect_failed(asked, FailureCode::BodyTooLarge, []).ends();
}

#[test]
fn an_actor_that_falls_asleep_while_a_body_is_collected_is_wanted_for_it() {
    let mut story = published();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.input(chunk(asked.key, zeros(5), false)).expect([]);
    story.input(shows(2, ActorState::Sleeping)).expect([]);
    story.input(chunk(asked.key, zeros(5), true)).expect([wants_first(0)]);
    story.input(conflict(Some(says(2, ActorState::Sleeping)))).expect([wants(2)]);
    story.input(stored(3)).expect([]);
    story.input(shows(4, running(1)));
    let asked = now_called(&story, asked);
    story.expect([publishes_to(1, asked, 0, request_start_with("POST", Some(zeros(10)), false))]);
    story.input(Event::ClientGone { key: asked.key }).expect([aborts(asked, 1)]).ends();
}
