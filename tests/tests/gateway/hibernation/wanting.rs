//! How its actor is wanted: once, for as long as it may take, and no longer than it is needed.

use std::time::Duration;

use underpass_core::bus::{Publication, Subject};
use underpass_core::directory::{ActorState, ChangeOutcome};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::Body;
use underpass_core::protocol::ToRunner;
use underpass_core::protocol::to_gateway::Pong;
use underpass_core::protocol::tunnel::to_server;
use underpass_core::protocol::{ToGateway, to_runner};
use underpass_core::{FailureCode, Machine};
use underpass_tests::given::actors::{changed, get, running, says, shows, stored, takes_back, wants, wants_first};
use underpass_tests::given::hibernation::{
    ack, asleep, asleep_with, client_closes, ends, entered, is_here, is_wanted, leaves, left, opens, restored,
    says_text, sleeps, text_to, usual,
};
use underpass_tests::wire::{GATEWAY, connection, message_id, open, to_gateway};

const ACTOR_START: Duration = Duration::from_secs(30);

#[test]
fn the_first_message_has_it_wanted_and_the_next_do_not() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    for _ in 0..100 {
        story.input(says_text(asked, "a")).expect([]);
    }
    story.input(shows(4, running(2))).expect([]);
    assert_eq!(story.machine.stats().actors_wanted, 1);
    story.input(restored(asked, 2, 4));
    assert_eq!(story.actions().len(), 102);
    story.hears(asked, 0, ack(101)).expect([]);
    ends(story, asked, 1);
}

/// A published runner drops what it had before, and acknowledges nothing for it.
#[test]
fn what_a_second_life_leaves_unacknowledged_calls_for_no_third_at_once_but_is_sent_again_to_it() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(shows(4, running(2))).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    // The end of that life may have come between: one more is wanted.
    story.hears(asked, 0, sleeps()).expect([]);
    story.input(shows(5, ActorState::Sleeping)).expect([wants(5)]);
    story.input(stored(6)).input(shows(7, running(2))).expect([]);
    story.input(restored(asked, 2, 5)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, sleeps()).expect([]);
    story.input(shows(8, ActorState::Sleeping)).expect([]);
    // Not at once: it may have crashed each time, so after a while once more.
    story.passes(usual().wake_again - Duration::from_micros(1)).expect([]);
    story.input(says_text(asked, "b"));
    is_wanted(&mut story);
    story.input(shows(10, running(2))).expect([]);
    let all = [is_here(2, asked), text_to(2, asked, 1, "a"), text_to(2, asked, 2, "b")];
    story.input(restored(asked, 2, 6)).expect(all);
    story.hears(asked, 0, ack(2)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn it_is_wanted_once_for_all_of_its_sockets() {
    let (mut story, first) = underpass_tests::given::hibernation::awake();
    let second = opens(&mut story);
    story.input(entered(second)).expect([]);
    for asked in [first, second] {
        story.hears(asked, 1, sleeps()).expect([]);
    }
    story.input(shows(2, ActorState::Sleeping)).expect([]);
    story.input(says_text(first, "a"));
    is_wanted(&mut story);
    story.input(says_text(second, "b")).expect([]);
    story.input(restored(first, 2, 4)).expect([is_here(2, first), text_to(2, first, 1, "a")]);
    story.input(restored(second, 2, 4)).expect([is_here(2, second), text_to(2, second, 1, "b")]);
    for asked in [first, second] {
        story.hears(asked, 0, ack(1)).expect([]);
    }
    story.input(shows(4, running(2))).expect([]);
    story.hears(first, 1, underpass_tests::given::hibernation::closed_by_handler()).actions();
    story.input(left(first)).expect([]);
    ends(story, second, 1);
}

#[test]
fn it_is_asked_for_again_when_the_directory_was_away() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a")).expect([wants_first(0)]);
    story.input(changed(ChangeOutcome::Unavailable)).expect([]);
    story.passes_in_silence_until(Duration::from_millis(250)).expect([wants_first(250)]);
    story.input(stored(1)).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.input(shows(2, running(2))).expect([]);
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn an_actor_that_does_not_start_in_time_fails_those_that_have_something_for_it() {
    let config = Config { keep_alive: Duration::from_secs(80), ..usual() };
    let (mut story, speaks) = underpass_tests::given::hibernation::awake_with(config);
    let [closes, silent] = [(); 2].map(|()| {
        let asked = opens(&mut story);
        story.input(entered(asked)).expect([]);
        asked
    });
    for asked in [speaks, closes, silent] {
        story.hears(asked, 1, sleeps()).expect([]);
    }
    story.input(shows(2, ActorState::Sleeping)).expect([]);
    story.input(says_text(speaks, "a"));
    is_wanted(&mut story);
    story.passes(Duration::from_secs(10)).expect([]);
    story.input(client_closes(closes)).expect([]);
    story.passes(Duration::from_secs(20) - Duration::from_micros(1)).expect([]);
    story.passes(Duration::from_micros(1));
    let actions = story.actions();
    assert!(matches!(&actions[0], Action::Failed { key, failure }
        if (*key, failure.code) == (speaks.key, FailureCode::ActorStartTimeout)));
    assert_eq!(actions[1..], [leaves(speaks)]);
    // Each has as long as the first.
    story.passes_in_silence_until(Duration::from_secs(10));
    let back = takes_back(3, Some(says(2, ActorState::Sleeping).record));
    story.expect([back, leaves(closes)]);
    story.input(left(speaks)).input(left(closes)).input(stored(4)).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.hibernating, stats.timeouts.actor_start, stats.client_gone), (1, 2, 1));
    story.input(restored(silent, 2, 4)).expect([is_here(2, silent)]);
    ends(story, silent, 0);
}

#[test]
fn one_that_falls_asleep_again_has_as_long_again() {
    let (mut story, asked) = asleep_with(Config { keep_alive: Duration::from_secs(80), ..usual() });
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.passes(ACTOR_START - Duration::from_micros(1)).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.input(shows(4, running(2))).expect([]);
    story.hears(asked, 0, sleeps()).expect([]);
    story.passes(ACTOR_START - Duration::from_micros(1)).actions();
    assert_eq!(story.machine.stats().hibernating, 1);
    story.input(restored(asked, 2, 5)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn it_is_wanted_no_longer_when_its_socket_has_gone() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    let back = takes_back(3, Some(says(2, ActorState::Sleeping).record));
    story.hears(asked, 0, underpass_tests::given::hibernation::closed_by_handler());
    let close = underpass_core::http::Close::new(1000, "done");
    story.expect([Action::WebSocketClose { key: asked.key, close }, back, leaves(asked)]);
    story.input(stored(4)).input(left(asked)).ends();
}

#[test]
fn it_stays_wanted_while_a_request_waits_for_it() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    let waits = story.opens(get());
    story.expect([]);
    story.hears(asked, 0, underpass_tests::given::hibernation::closed_by_handler());
    assert_eq!(story.actions().len(), 2);
    story.input(left(asked)).expect([]);
    let back = takes_back(3, Some(says(2, ActorState::Sleeping).record));
    story.input(Event::ClientGone { key: waits.key }).expect([back]);
    story.input(stored(4)).ends();
}

#[test]
fn it_stays_wanted_for_its_socket_when_no_request_waits_any_more() {
    let (mut story, asked) = asleep();
    let waits = story.opens(open("GET", "/", Body::None));
    is_wanted(&mut story);
    story.input(says_text(asked, "a")).expect([]);
    story.input(Event::ClientGone { key: waits.key }).expect([]);
    // All that the directory tells of is that it sleeps.
    let sleeping = underpass_core::directory::ActorSeen {
        key: underpass_tests::given::supervisor::actor("default"),
        record: Some(says(5, ActorState::Sleeping)),
    };
    story.input(Event::Actors(vec![sleeping])).expect([wants(5)]);
    story.input(stored(6)).expect([]);
    // The directory may tell of that later.
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn while_it_runs_and_no_relay_has_said_so_the_relay_is_asked_again_and_again() {
    let second = Duration::from_secs(1);
    let config = Config { ping_interval: 3 * second, pong: 30 * second, ..usual() };
    let (mut story, asked) = asleep_with(config);
    story.input(Event::WallClock { unix_ms: 0 });
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(shows(4, running(2))).expect([]);
    for at in [3, 6, 9] {
        for _ in 1..12 {
            story.passes(second / 4).expect([]);
        }
        story.passes(second / 4 - Duration::from_micros(1)).expect([]);
        let ping = to_runner::Ping { gateway_id: GATEWAY, request_id: asked.id, ts: at * 1_000 };
        story.passes(Duration::from_micros(1)).expect([Action::Publish(Publication {
            to: Subject::Connection(connection(2)),
            reply_to: Some(Subject::Gateway(GATEWAY)),
            frame: ToRunner::Ping(ping).encode_framed(),
        })]);
        let pong = ToGateway::Pong(Pong { request_id: asked.id, ts: at * 1_000 }).encode_framed();
        story.input(Event::Received { from: None, frame: pong }).expect([]);
    }
    assert_eq!(story.machine.stats().stale, 0);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn a_relay_without_a_route_for_it_is_told_that_its_actor_runs_on_without_it() {
    let (mut story, asked) = asleep();
    let abort = to_server::Kind::ResponseAbort;
    story.hears(asked, 0, abort.clone()).expect([]);
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(shows(4, running(2))).expect([]);
    let left_behind = to_runner::LeftBehind {
        gateway_id: GATEWAY,
        request_id: asked.id,
        actor_id: "default".into(),
        generation: says(4, running(2)).record.generation,
    };
    let elsewhere = message_id(asked.id, 0);
    story.input(Event::Received { from: Some(connection(1)), frame: to_gateway(elsewhere, abort.clone()) }).expect([]);
    for _ in 0..2 {
        story.hears(asked, 0, abort.clone()).expect([Action::Publish(Publication {
            to: Subject::Connection(connection(2)),
            reply_to: None,
            frame: ToRunner::LeftBehind(left_behind.clone()).encode_framed(),
        })]);
    }
    assert_eq!((story.machine.stats().left_behind, story.machine.stats().stale), (2, 4));
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn it_has_its_time_anew_when_the_directory_was_away() {
    let (mut story, asked) = asleep();
    let second = Duration::from_secs(1);
    let fails = |action: &Action| matches!(action, Action::Failed { .. });
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.passes(ACTOR_START - second).input(Event::DirectoryAway).expect([]);
    for back in [false, true] {
        story.passes(ACTOR_START - second);
        assert!(!story.actions().iter().any(fails));
        if !back {
            story.input(Event::DirectoryBack);
        }
    }
    story.passes(ACTOR_START);
    assert!(story.actions().iter().any(fails));
    assert_eq!(story.machine.stats().timeouts.actor_start, 1);
}
