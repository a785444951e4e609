//! How it falls asleep: with its actor, or as its connection is lost.

use std::time::Duration;

use underpass_core::bus::PublishError;
use underpass_core::directory::{ActorState, RunnerState};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::Close;
use underpass_core::protocol::ToGateway;
use underpass_core::protocol::tunnel::to_client;
use underpass_core::protocol::tunnel::to_server::Kind;
use underpass_core::{FailureCode, Gateway, Machine};
use underpass_tests::given::actors::{
    conflict, runner, running, says, shows, shows_runner, stored, wants, wants_first,
};
use underpass_tests::given::gateway::{Asked, credit, give_back, publishes, zeros};
use underpass_tests::given::hibernation::{
    ack, asleep, awake, awake_with, closed_by_handler, ends, is_here, is_here_at, leaves, left, restored, says_text,
    sleeps, text_to, usual,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{connection, gone};

/// It sleeps, and its client has heard nothing of that.
#[track_caller]
fn sleeps_quietly(story: &mut Story<Gateway>, asked: Asked) {
    story.expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.open, stats.hibernating, stats.registered, stats.slept), (1, 1, 1, 1));
    assert_eq!(story.machine.request_name(asked.key).expect("it is open").request_id, asked.id);
}

/// The actor lives again, the handler closes, and that is all.
fn wakes_and_ends(story: Story<Gateway>, asked: Asked) {
    wakes_at_and_ends(story, asked, 1);
}

/// The same, and the client's next message has this number.
fn wakes_at_and_ends(mut story: Story<Gateway>, asked: Asked, next: u16) {
    story.input(shows_runner(2, runner(2, RunnerState::Ready))).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here_at(2, asked, next)]);
    ends(story, asked, 0);
}

#[test]
fn it_sleeps_when_its_actor_does() {
    let (mut story, asked) = awake();
    story.hears(asked, 1, sleeps());
    sleeps_quietly(&mut story, asked);
    wakes_and_ends(story, asked);
}

#[test]
fn a_code_beside_the_word_that_it_hibernates_does_not_close_it() {
    let (mut story, asked) = awake();
    let close = underpass_core::protocol::tunnel::to_server::WebSocketClose {
        code: Some(1001),
        reason: Some("actor.stopped".into()),
        hibernate: true,
    };
    story.hears(asked, 1, Kind::WebSocketClose(close));
    sleeps_quietly(&mut story, asked);
    wakes_and_ends(story, asked);
}

#[test]
fn it_sleeps_when_its_runners_connection_ends() {
    let (mut story, asked) = awake();
    let frame = ToGateway::ConnectionEnded(connection(1).into()).encode_framed();
    story.input(Event::Received { from: None, frame });
    sleeps_quietly(&mut story, asked);
    wakes_and_ends(story, asked);
}

#[test]
fn it_sleeps_when_the_directory_names_its_connection_no_more() {
    for event in [Event::Directory(gone("r1")), shows_runner(1, runner(3, RunnerState::Ready))] {
        let (mut story, asked) = awake();
        story.input(event);
        sleeps_quietly(&mut story, asked);
        wakes_and_ends(story, asked);
    }
}

#[test]
fn it_sleeps_when_nobody_holds_its_connection() {
    let (mut story, asked) = awake();
    story.input(Event::NoResponders { to: connection(1) });
    sleeps_quietly(&mut story, asked);
    wakes_and_ends(story, asked);
}

#[test]
fn it_sleeps_when_its_connection_is_silent() {
    let second = Duration::from_secs(1);
    let config = Config { ping_interval: 3 * second, pong: 30 * second, keep_alive: 80 * second, ..usual() };
    let (mut story, asked) = awake_with(config);
    story.passes(3 * second).actions();
    story.passes(30 * second - Duration::from_micros(1)).actions();
    assert_eq!(story.machine.stats().hibernating, 0);
    story.passes(Duration::from_micros(1));
    sleeps_quietly(&mut story, asked);
    wakes_and_ends(story, asked);
}

#[test]
fn a_message_that_finds_nobody_is_kept_and_its_actor_wanted() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    // The record says that it runs there, until a relay knows better.
    story.input(give_back(text_to(1, asked, 1, "a"), PublishError::NoResponders)).expect([]);
    story.input(shows(2, ActorState::Sleeping)).expect([wants(2)]);
    story.input(stored(3)).expect([]);
    story.input(shows(4, running(2))).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([]);
    assert_eq!((story.machine.stats().resent, story.machine.stats().buffered), (1, 0));
    ends(story, asked, 1);
}

#[test]
fn what_is_not_acknowledged_then_is_kept_and_wakes_it() {
    let (mut story, asked) = awake();
    for (number, text) in [(1, "a"), (2, "b")] {
        story.input(says_text(asked, text)).expect([text_to(1, asked, number, text)]);
    }
    story.hears(asked, 1, ack(1)).hears(asked, 2, sleeps()).expect([]);
    assert_eq!((story.machine.stats().hibernating, story.machine.stats().buffered), (1, 64));
    story.input(shows(2, ActorState::Stopping(underpass_tests::given::supervisor::runner_id(1)))).expect([]);
    story.input(shows(3, ActorState::Sleeping)).expect([wants(3)]);
    story.input(conflict(Some(says(4, ActorState::Wanted)))).expect([]);
    story.input(restored(asked, 1, 4)).expect([is_here_at(1, asked, 2), text_to(1, asked, 2, "b")]);
    story.hears(asked, 0, ack(2)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn an_actor_that_is_not_needed_is_not_wanted() {
    let (mut story, asked) = asleep();
    assert_eq!((story.machine.stats().actors, story.machine.stats().asking), (0, 0));
    story.input(Event::Actors(Vec::new())).expect([]);
    story.input(says_text(asked, "a")).expect([wants_first(0)]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.input(underpass_tests::given::actors::conflict(None)).expect([]);
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn its_client_goes_on_when_credit_held_it_up_before() {
    let (mut story, asked) = awake();
    let key = asked.key;
    let message = underpass_core::http::Message::Binary(zeros(1 << 20));
    let sent = to_client::WebSocketMessage { data: zeros(1 << 20), binary: true };
    let sent = publishes(asked, 1, to_client::Kind::WebSocketMessage(sent));
    story.input(Event::WebSocketMessage { key, message }).expect([sent, Action::PauseSource { key }]);
    story.hears(asked, 1, ack(1)).hears(asked, 2, sleeps()).expect([Action::ResumeSource { key }]);
    wakes_at_and_ends(story, asked, 2);
}

#[test]
fn an_abort_of_one_that_is_awake_fails_it() {
    let (mut story, asked) = awake();
    story.hears(asked, 9, Kind::ResponseAbort);
    let mut actions = story.actions();
    assert_eq!((actions.pop(), actions.len()), (Some(leaves(asked)), 1));
    assert!(matches!(&actions[0], Action::Failed { failure, .. } if failure.code == FailureCode::RunnerFailed));
    story.input(left(asked)).ends();
}

#[test]
fn a_close_that_says_nothing_of_hibernation_ends_it_awake_and_asleep() {
    for (mut story, asked, number) in [awake(), asleep()].into_iter().zip([1, 9]).map(|((a, b), c)| (a, b, c)) {
        let close = Action::WebSocketClose { key: asked.key, close: Close::new(1000, "done") };
        story.hears(asked, number, closed_by_handler()).expect([close, leaves(asked)]);
        story.input(left(asked)).ends();
    }
}

#[test]
fn credit_that_it_had_is_not_known_on_the_next_connection() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.hears(asked, 0, Kind::Credit(credit(64))).hears(asked, 1, ack(1)).hears(asked, 2, sleeps()).expect([]);
    wakes_at_and_ends(story, asked, 2);
}
