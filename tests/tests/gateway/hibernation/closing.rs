//! How its client's close comes to the actor: behind all that it said, awake and asleep.

use std::time::Duration;

use underpass_core::directory::ActorState;
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::protocol::tunnel::to_client;
use underpass_core::protocol::tunnel::to_server::Kind;
use underpass_core::{FailureCode, Gateway, Machine};
use underpass_tests::given::actors::{running, says, shows, takes_back, wants_first};
use underpass_tests::given::gateway::{Asked, publishes};
use underpass_tests::given::hibernation::{
    ack, asleep, awake, awake_with, client_closes, close_to, closed_by_handler, cut_to, is_here, is_wanted, leaves,
    left, restored, says_text, sleeps, text_to, usual,
};
use underpass_tests::story::Story;
use underpass_tests::wire::connection;

const CLOSE: Duration = Duration::from_secs(10);

/// It has ended, and leaves the registry.
fn has_ended(mut story: Story<Gateway>, asked: Asked) {
    let stats = story.machine.stats();
    assert_eq!((stats.open, stats.client_gone, stats.failed, stats.leaving), (0, 1, 0, 1));
    story.input(left(asked)).ends();
}

#[test]
fn awake_with_all_acknowledged_the_close_goes_out_at_once() {
    let (mut story, asked) = awake();
    story.input(client_closes(asked)).expect([close_to(1, asked, 1), leaves(asked)]);
    has_ended(story, asked);
}

#[test]
fn awake_it_waits_for_the_acknowledgements() {
    let (mut story, asked) = awake();
    for (number, text) in [(1, "a"), (2, "b")] {
        story.input(says_text(asked, text)).expect([text_to(1, asked, number, text)]);
    }
    story.input(client_closes(asked)).expect([]);
    story.hears(asked, 1, ack(1)).expect([]);
    story.hears(asked, 2, ack(2)).expect([close_to(1, asked, 3), leaves(asked)]);
    has_ended(story, asked);
}

#[test]
fn a_client_that_vanishes_is_as_one_that_closes() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    story.hears(asked, 1, ack(1)).expect([cut_to(1, asked, 2), leaves(asked)]);
    has_ended(story, asked);
}

#[test]
fn acknowledgements_that_do_not_come_in_time_are_overtaken() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.input(client_closes(asked)).expect([]);
    story.passes_in_silence_until(CLOSE).expect([cut_to(1, asked, 2), leaves(asked)]);
    assert_eq!(story.machine.stats().timeouts.websocket_close, 1);
    has_ended(story, asked);
}

#[test]
fn a_connection_lost_meanwhile_does_not_lose_it() {
    for loses in [Event::NoResponders { to: connection(1) }, Event::Directory(underpass_tests::wire::gone("r1"))] {
        let (mut story, asked) = awake();
        story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
        story.input(client_closes(asked)).expect([]);
        story.input(loses).expect([]);
        let again = [is_here(2, asked), text_to(2, asked, 1, "a")];
        story.input(restored(asked, 2, 4)).expect(again);
        story.hears(asked, 0, ack(1)).expect([close_to(2, asked, 2), leaves(asked)]);
        has_ended(story, asked);
    }
}

#[test]
fn an_actor_that_falls_asleep_meanwhile_is_woken_for_it() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.input(client_closes(asked)).expect([]);
    story.hears(asked, 1, ack(0)).hears(asked, 2, sleeps()).expect([]);
    story.input(shows(2, ActorState::Sleeping)).expect([underpass_tests::given::actors::wants(2)]);
    story.input(underpass_tests::given::actors::stored(3)).input(shows(4, running(1))).expect([]);
    story.input(restored(asked, 1, 4)).expect([is_here(1, asked), text_to(1, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([close_to(1, asked, 2), leaves(asked)]);
    has_ended(story, asked);
}

#[test]
fn asleep_it_wakes_its_actor() {
    let (mut story, asked) = asleep();
    story.input(client_closes(asked));
    is_wanted(&mut story);
    assert_eq!((story.machine.stats().open, story.machine.stats().client_gone), (1, 0));
    story.input(shows(4, running(2))).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), close_to(2, asked, 1), leaves(asked)]);
    has_ended(story, asked);
}

#[test]
fn asleep_it_stands_behind_what_its_client_said() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    story.input(shows(4, running(2))).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([cut_to(2, asked, 2), leaves(asked)]);
    has_ended(story, asked);
}

#[test]
fn asleep_it_is_given_up_when_the_actor_does_not_start() {
    let (mut story, asked) = asleep();
    story.input(client_closes(asked));
    is_wanted(&mut story);
    let back = takes_back(3, Some(says(2, ActorState::Sleeping).record));
    story.passes_in_silence_until(Duration::from_secs(30)).expect([back, leaves(asked)]);
    story.input(underpass_tests::given::actors::stored(4));
    has_ended(story, asked);
}

#[test]
fn what_the_handler_says_then_is_not_heard_and_its_close_or_abort_ends_it() {
    for last in [closed_by_handler(), Kind::ResponseAbort] {
        let (mut story, asked) = awake();
        story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
        story.input(client_closes(asked)).expect([]);
        story.hears(asked, 1, Kind::WebSocketMessage(underpass_tests::wire::message(b"late", false))).expect([]);
        story.hears(asked, 2, last).expect([leaves(asked)]);
        has_ended(story, asked);
    }
    let (mut story, asked) = asleep();
    story.input(client_closes(asked)).expect([wants_first(0)]);
    story.input(underpass_tests::given::actors::conflict(Some(says(2, running(1))))).expect([]);
    story.hears(asked, 2, closed_by_handler()).expect([leaves(asked)]);
    has_ended(story, asked);
}

#[test]
fn a_draining_gateway_closes_those_that_sleep_and_wakes_nobody_for_it() {
    let second = Duration::from_secs(1);
    let (mut story, first) = awake_with(Config { drain_window: 2 * second, ..usual() });
    let second_one = underpass_tests::given::hibernation::opens(&mut story);
    story.input(underpass_tests::given::hibernation::entered(second_one)).expect([]);
    story.hears(first, 1, sleeps()).expect([]);
    story.input(Event::Drain);
    let failed = |story: &mut Story<Gateway>| match &story.actions()[..] {
        [Action::Failed { failure, .. }, Action::Registry(_)] => assert_eq!(failure.code, FailureCode::Draining),
        other => panic!("{other:?}"),
    };
    failed(&mut story);
    // The other falls asleep before its turn.
    story.hears(second_one, 1, sleeps()).expect([]);
    story.passes(second - Duration::from_micros(1)).expect([]);
    story.passes(Duration::from_micros(1));
    match &story.actions()[..] {
        [Action::Failed { failure, .. }, Action::Registry(_), Action::Drained] => {
            assert_eq!(failure.code, FailureCode::Draining);
        }
        other => panic!("{other:?}"),
    }
    story.input(left(first)).input(left(second_one)).ends();
}

#[test]
fn a_draining_gateway_still_delivers_what_a_client_said_before_it_closed() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(client_closes(asked)).expect([]);
    story.input(Event::Drain).expect([]);
    story.input(shows(4, running(2))).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([close_to(2, asked, 2), leaves(asked), Action::Drained]);
    has_ended(story, asked);
}

#[test]
fn a_draining_gateway_waits_for_no_actor_only_to_tell_that_a_client_has_gone() {
    let (mut story, asked) = asleep();
    story.input(client_closes(asked));
    is_wanted(&mut story);
    story.input(Event::Drain);
    let actions = story.actions();
    assert!([leaves(asked), Action::Drained].iter().all(|action| actions.contains(action)), "{actions:?}");
}

#[test]
fn a_drain_that_has_its_limit_ends_those_that_sleep() {
    let second = Duration::from_secs(1);
    let config = Config { drain_window: 20 * second, drain_limit: Some(second), ..usual() };
    let (mut story, asked) = awake_with(config);
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.hears(asked, 1, sleeps()).expect([]);
    story.input(client_closes(asked)).expect([]);
    story.input(Event::Drain).expect([]);
    story.passes_in_silence_until(second).expect([leaves(asked), Action::Drained]);
    has_ended(story, asked);
}

#[test]
fn an_overtaking_close_bears_the_number_behind_what_was_sent() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.hears(asked, 1, sleeps()).expect([]);
    story.input(client_closes(asked)).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    let close = to_client::WebSocketClose { code: Some(1006), reason: None };
    let _ = publishes(asked, 2, to_client::Kind::WebSocketClose(close));
    story.passes_in_silence_until(CLOSE).expect([cut_to(2, asked, 2), leaves(asked)]);
    has_ended(story, asked);
}
