//! How it wakes: where a relay says that its actor runs, and nowhere else.

use std::time::Duration;

use underpass_core::bus::ConnectionId;
use underpass_core::directory::{Abilities, RunnerRecord, RunnerState};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::Message;
use underpass_core::protocol::tunnel::to_server::Kind;
use underpass_core::protocol::{RequestId, ToGateway};
use underpass_core::{Gateway, Machine};
use underpass_tests::given::actors::{runner, running, shows, shows_runner};
use underpass_tests::given::gateway::{Asked, credit, published_abilities};
use underpass_tests::given::hibernation::{
    FIRST_LIFE, ack, asleep, asleep_with, awake, awake_with, ends, is_here, is_here_at, is_wanted, restored, says_text,
    sleeps, text_to, usual,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{connection, gone, message, message_id, to_gateway};

#[test]
fn it_wakes_where_its_actor_runs_and_goes_on() {
    let (mut story, asked) = asleep();
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked)]);
    let stats = story.machine.stats();
    assert_eq!((stats.hibernating, stats.woken, stats.resent), (0, 1, 0));
    story.input(says_text(asked, "a")).expect([text_to(2, asked, 1, "a")]);
    let hello = Action::WebSocketMessage { key: asked.key, message: Message::Text("hello".into()) };
    story.hears(asked, 0, Kind::WebSocketMessage(message(b"hello", false))).expect([hello]);
    story.hears(asked, 1, ack(1)).expect([]);
    ends(story, asked, 2);
}

#[test]
fn what_was_kept_goes_out_under_its_numbers_and_then_what_is_new() {
    let (mut story, asked) = awake();
    for (number, text) in [(1, "a"), (2, "b"), (3, "c")] {
        story.input(says_text(asked, text)).expect([text_to(1, asked, number, text)]);
    }
    story.hears(asked, 1, ack(1)).hears(asked, 2, sleeps()).expect([]);
    story.input(says_text(asked, "d")).expect([]);
    story.input(restored(asked, 2, 4)).expect([
        is_here_at(2, asked, 2),
        text_to(2, asked, 2, "b"),
        text_to(2, asked, 3, "c"),
        text_to(2, asked, 4, "d"),
    ]);
    story.input(says_text(asked, "e")).expect([text_to(2, asked, 5, "e")]);
    assert_eq!(story.machine.stats().resent, 2);
    story.hears(asked, 0, ack(5)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn what_the_actor_had_handled_before_is_not_sent_again_once_it_says_so() {
    let (mut story, asked) = awake();
    story.input(shows_runner(2, RunnerRecord { abilities: narrow(), ..runner(2, RunnerState::Ready) })).expect([]);
    for (number, text) in [(1, "a"), (2, "b"), (3, "c")] {
        story.input(says_text(asked, text)).expect([text_to(1, asked, number, text)]);
    }
    story.hears(asked, 1, sleeps()).expect([]);
    let pause = Action::PauseSource { key: asked.key };
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a"), pause]);
    // Its relay need not wait for what is left out.
    story.hears(asked, 0, ack(2)).expect([is_here_at(2, asked, 3)]);
    story.hears(asked, 0, Kind::Credit(credit(64))).expect([text_to(2, asked, 3, "c")]);
    story.hears(asked, 1, ack(3)).hears(asked, 0, Kind::Credit(credit(128)));
    story.expect([Action::ResumeSource { key: asked.key }]);
    ends(story, asked, 2);
}

/// Credit for one message.
fn narrow() -> Abilities {
    Abilities { credit: Some(1), ..runner(2, RunnerState::Ready).abilities }
}

#[test]
fn a_runner_without_credit_hears_what_was_kept() {
    let (mut story, asked) = asleep();
    let abilities = Abilities { stateless: false, ..published_abilities() };
    story.input(shows_runner(2, RunnerRecord { abilities, ..runner(2, RunnerState::Ready) })).expect([]);
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(shows(4, running(2))).expect([]);
    // The first word is for its relay.
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 7, ack(1)).expect([]);
    ends(story, asked, 9);
}

#[test]
fn it_wakes_when_the_directory_shows_where() {
    let (mut story, asked) = asleep();
    story.input(restored(asked, 3, 4)).expect([]);
    assert_eq!((story.machine.stats().hibernating, story.machine.stats().untold), (1, 1));
    story.input(shows_runner(3, runner(3, RunnerState::Ready))).expect([is_here(3, asked)]);
    ends(story, asked, 0);
}

#[test]
fn a_later_word_counts_for_more_than_one_that_waits() {
    let (mut story, asked) = asleep();
    story.input(restored(asked, 3, 4)).input(restored(asked, 2, 5)).expect([is_here(2, asked)]);
    story.input(shows_runner(3, runner(3, RunnerState::Ready))).expect([]);
    ends(story, asked, 0);
}

#[test]
fn a_word_of_a_connection_that_ended_wakes_nobody() {
    let (mut story, asked) = asleep();
    story.input(restored(asked, 3, 4)).expect([]);
    let frame = ToGateway::ConnectionEnded(connection(3).into()).encode_framed();
    story.input(Event::Received { from: None, frame }).expect([]);
    story.input(shows_runner(3, runner(3, RunnerState::Ready))).expect([]);
    assert_eq!((story.machine.stats().hibernating, story.machine.stats().untold), (1, 0));
    story.input(restored(asked, 2, 5)).expect([is_here(2, asked)]);
    ends(story, asked, 0);
}

/// A route that nobody here needs is aborted.
fn aborts_route(story: &mut Story<Gateway>, number: u64) {
    match &story.actions()[..] {
        [Action::Publish(publication)] => assert_eq!(publication.to.connection(), Some(connection(number))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_word_of_an_earlier_life_wakes_nobody_and_its_route_is_aborted() {
    let (mut story, asked) = asleep();
    story.input(restored(asked, 2, FIRST_LIFE - 1));
    aborts_route(&mut story, 2);
    assert_eq!((story.machine.stats().hibernating, story.machine.stats().stale), (1, 1));
    story.input(restored(asked, 2, FIRST_LIFE)).expect([is_here(2, asked)]);
    story.input(restored(asked, 2, FIRST_LIFE - 1)).expect([]);
    story.input(restored(asked, 1, FIRST_LIFE - 1));
    aborts_route(&mut story, 1);
    ends(story, asked, 0);
}

#[test]
fn a_word_for_nobody_has_its_route_aborted() {
    let (mut story, asked) = awake();
    story.input(restored(Asked { id: RequestId([9; 4]), ..asked }, 2, 4));
    aborts_route(&mut story, 2);
    ends(story, asked, 1);
}

#[test]
fn the_same_word_again_changes_nothing_as_it_may_cross_the_first_answer() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(shows(4, running(2))).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.input(restored(asked, 2, 4)).expect([]);
    assert_eq!(story.machine.stats().woken, 1);
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn a_relay_that_says_so_long_after_did_not_hear_and_is_told_all_again() {
    let config = Config { ping_interval: Duration::from_secs(3), pong: Duration::from_secs(30), ..usual() };
    let (mut story, asked) = asleep_with(config.clone());
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(shows(4, running(2))).expect([]);
    let all = [is_here(2, asked), text_to(2, asked, 1, "a")];
    story.input(restored(asked, 2, 4)).expect(all.clone());
    // Pings go to the connection meanwhile.
    story.passes(config.ping_interval);
    story.actions();
    story.input(restored(asked, 2, 4)).expect([]);
    story.passes(Duration::from_micros(1));
    story.actions();
    story.input(restored(asked, 2, 4)).expect(all);
    assert_eq!((story.machine.stats().woken, story.machine.stats().resent), (2, 1));
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn what_a_runner_says_before_the_directory_shows_where_it_is_waits_for_that() {
    let (mut story, asked) = asleep();
    let says = |text: &'static [u8]| Kind::WebSocketMessage(message(text, false));
    let tells = |text: &str| Action::WebSocketMessage { key: asked.key, message: Message::Text(text.into()) };
    story.input(restored(asked, 3, 4)).expect([]);
    story.hears(asked, 0, says(b"a")).hears(asked, 1, says(b"b")).expect([]);
    assert!(story.machine.stats().buffered > 0);
    story.input(shows_runner(3, runner(3, RunnerState::Ready)));
    story.expect([is_here(3, asked), tells("a"), tells("b")]);
    story.hears(asked, 2, says(b"c")).expect([tells("c")]);
    ends(story, asked, 3);
}

#[test]
fn awake_it_moves_at_once_to_a_newer_life() {
    for number in [1, 2] {
        let (mut story, asked) = awake();
        story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
        let again = [is_here(number, asked), text_to(number, asked, 1, "a")];
        story.input(restored(asked, number, FIRST_LIFE + 1)).expect(again);
        let stats = story.machine.stats();
        assert_eq!((stats.slept, stats.woken, stats.hibernating, stats.resent), (1, 1, 0, 1));
        story.hears(asked, 0, ack(1)).expect([]);
        ends(story, asked, 1);
    }
}

#[test]
fn awake_it_goes_on_with_the_same_life_elsewhere_when_its_connection_is_lost() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.input(restored(asked, 2, FIRST_LIFE)).expect([]);
    assert_eq!((story.machine.stats().slept, story.machine.stats().untold), (0, 1));
    story.input(Event::Directory(gone("r1"))).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn awake_it_ends_and_what_a_relay_said_is_forgotten() {
    let (mut story, asked) = awake();
    story.input(restored(asked, 2, FIRST_LIFE)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn late_frames_of_the_lost_connection_are_stale() {
    let (mut story, asked) = asleep();
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked)]);
    let late = to_gateway(message_id(asked.id, 0), Kind::WebSocketMessage(message(b"late", false)));
    let from = |number| -> Option<ConnectionId> { Some(connection(number)) };
    story.input(Event::Received { from: from(1), frame: late.clone() }).expect([]);
    assert_eq!(story.machine.stats().stale, 1);
    let hello = Action::WebSocketMessage { key: asked.key, message: Message::Text("late".into()) };
    story.input(Event::Received { from: from(2), frame: late }).expect([hello]);
    ends(story, asked, 1);
}

#[test]
fn its_client_that_was_told_to_pause_goes_on_when_there_is_room_again() {
    let (mut story, asked) = asleep_with(Config { max_pending_messages: 4, ..usual() });
    let key = asked.key;
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(says_text(asked, "b")).expect([]);
    story.input(says_text(asked, "c")).expect([Action::PauseSource { key }]);
    story.input(restored(asked, 2, 4)).actions();
    story.hears(asked, 0, ack(1)).expect([Action::ResumeSource { key }]);
    story.input(shows(4, running(2))).expect([]);
    story.hears(asked, 1, ack(3)).expect([]);
    ends(story, asked, 2);
}

#[test]
fn across_the_wrap_it_goes_on_under_its_numbers() {
    let (mut story, asked) = awake();
    let mut heard = 1;
    for number in 1..=65_534_u16 {
        story.input(says_text(asked, "a")).actions();
        if number % 1_000 == 0 || number == 65_534 {
            let total = Kind::Credit(credit(u32::from(number) * 64));
            story.hears(asked, heard, ack(number)).hears(asked, 0, total).expect([]);
            heard += 1;
        }
    }
    for number in [65_535, 0, 1] {
        story.input(says_text(asked, "b")).expect([text_to(1, asked, number, "b")]);
    }
    story.hears(asked, heard, sleeps()).expect([]);
    story.input(says_text(asked, "c")).expect([]);
    story.input(restored(asked, 2, 4)).expect([
        is_here_at(2, asked, 65_535),
        text_to(2, asked, 65_535, "b"),
        text_to(2, asked, 0, "b"),
        text_to(2, asked, 1, "b"),
        text_to(2, asked, 2, "c"),
    ]);
    story.hears(asked, 0, ack(65_534)).hears(asked, 1, ack(3)).expect([]);
    assert_eq!(story.machine.stats().acks_ignored, 2);
    story.hears(asked, 2, ack(2)).expect([]);
    ends(story, asked, 3);
}

#[test]
fn awake_again_it_is_pinged_as_any_other() {
    let second = Duration::from_secs(1);
    let (mut story, asked) = awake_with(Config { ping_interval: 3 * second, pong: 30 * second, ..usual() });
    story.hears(asked, 1, sleeps()).expect([]);
    story.passes(6 * second).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked)]);
    story.passes_in_silence_until(3 * second);
    assert_eq!(story.actions().len(), 1);
    ends(story, asked, 0);
}
