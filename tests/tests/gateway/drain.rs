//! A gateway that goes away.

use std::time::Duration;

use underpass_core::failure::RequestName;
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::{Body, Close};
use underpass_core::protocol::tunnel::to_client;
use underpass_core::protocol::tunnel::to_server::{self, Kind};
use underpass_core::{Failure, FailureCode, Machine};
use underpass_tests::given::gateway::{
    Asked, aborts, closes, closing, config, credit, gateway, gateway_with, one_of_each, publishes, small_config, zeros,
};
use underpass_tests::wire::{GATEWAY, abilities, open, response_chunk, response_start};

const RESPONSE_START: Duration = Duration::from_secs(300);
const WINDOW: Duration = Duration::from_secs(5);

#[test]
fn a_gateway_that_drains_finishes_its_exchanges_and_closes_its_websockets() {
    let mut story = gateway();
    let [waiting, responding, asking, socket] = one_of_each(&mut story);
    let failed = |asked: Asked| {
        let failure = Failure {
            code: FailureCode::Draining,
            message: "this gateway is going away".into(),
            request: Some(RequestName { gateway_id: GATEWAY, request_id: asked.id }),
        };
        [closes(asked, 1, FailureCode::Draining), Action::Failed { key: asked.key, failure }]
    };
    // Two WebSockets, each half of the window.
    story.input(Event::Drain).expect(failed(asking));
    story.passes_in_silence_until(WINDOW / 2).expect(failed(socket));
    assert_eq!(story.refuses(open("GET", "/", Body::None)).code, FailureCode::Draining);
    story.hears(waiting, 0, response_start(200, None, false));
    assert_eq!(story.actions().len(), 1);
    story.hears(responding, 1, response_chunk(b"", true));
    let finished = Action::ResponseChunk { key: responding.key, bytes: zeros(0), finish: true };
    story.expect([finished, Action::Drained]);
    story.input(Event::Drain).expect([]).ends();
}

#[test]
fn a_drain_lets_a_close_that_waits_go_behind_its_messages() {
    let mut story = gateway_with(small_config(), abilities(10));
    let asked = closing(&mut story);
    story.input(Event::Drain).expect([]);
    let second = to_client::Kind::WebSocketMessage(to_client::WebSocketMessage { data: zeros(10), binary: true });
    let close = to_client::Kind::WebSocketClose(Close::new(1000, "").into_wire());
    story.hears(asked, 0, Kind::Credit(credit(64)));
    story.expect([publishes(asked, 2, second), publishes(asked, 3, close), Action::Drained]).ends();
}

#[test]
fn a_drain_ends_when_the_last_request_fails_or_is_given_up() {
    for give_up in [true, false] {
        let mut story = gateway();
        let asked = story.opens(open("GET", "/", Body::None));
        story.actions();
        story.input(Event::Drain).expect([]);
        if give_up {
            story.input(Event::ClientGone { key: asked.key }).expect([aborts(asked, 1), Action::Drained]);
        } else {
            story.passes(RESPONSE_START);
            let mut actions = story.actions();
            assert_eq!(actions.pop(), Some(Action::Drained));
            assert!(matches!(actions[..], [_, Action::Failed { .. }]), "{actions:?}");
        }
        story.ends();
    }
}

#[test]
fn websockets_are_closed_spread_evenly_over_the_window() {
    let mut story = gateway();
    let sockets: Vec<Asked> = (0..5).map(|_| story.opens_websocket()).collect();
    story.input(Event::Drain).expect_failed(sockets[0], FailureCode::Draining, [closing_at(sockets[0])]);
    // One of them ends by itself: its turn passes.
    let close = to_server::WebSocketClose { code: Some(1000), reason: None, hibernate: false };
    story.hears(sockets[2], 1, Kind::WebSocketClose(close));
    story.expect([Action::WebSocketClose { key: sockets[2].key, close: Close { code: Some(1000), reason: None } }]);
    for (turn, asked) in [(1, sockets[1]), (2, sockets[3]), (1, sockets[4])] {
        story.passes_in_silence_until(WINDOW / 5 * turn);
        if asked.key == sockets[4].key {
            let mut actions = story.actions();
            assert_eq!(actions.pop(), Some(Action::Drained));
            assert!(matches!(actions[..], [_, Action::Failed { .. }]), "{actions:?}");
        } else {
            story.expect_failed(asked, FailureCode::Draining, [closing_at(asked)]);
        }
    }
    story.ends();
}

fn closing_at(asked: Asked) -> Action {
    closes(asked, 1, FailureCode::Draining)
}

#[test]
fn a_late_tick_closes_all_whose_turn_has_come_once() {
    let mut story = gateway();
    for _ in 0..4 {
        story.opens_websocket();
    }
    story.input(Event::Drain).actions();
    story.long_after();
    let failed = story.actions().iter().filter(|action| matches!(action, Action::Failed { .. })).count();
    assert_eq!((failed, story.machine.stats().failed), (3, 4));
    story.ends();
}

#[test]
fn a_window_of_nothing_closes_all_at_once() {
    let mut story = gateway_with(Config { drain_window: Duration::ZERO, ..config() }, abilities(1 << 20));
    for _ in 0..3 {
        story.opens_websocket();
    }
    story.input(Event::Drain).actions();
    assert_eq!(story.machine.stats().failed, 3);
    story.ends();
}

#[test]
fn what_is_open_at_the_limit_fails_if_there_is_one() {
    let limit = Duration::from_secs(60);
    let mut story = gateway_with(Config { drain_limit: Some(limit), ..config() }, abilities(1 << 20));
    let waiting = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.input(Event::Drain).expect([]);
    story.passes_in_silence_until(limit);
    let mut actions = story.actions();
    assert_eq!(actions.pop(), Some(Action::Drained));
    assert_eq!(actions.first(), Some(&aborts(waiting, 1)));
    assert!(matches!(&actions[1..], [Action::Failed { failure, .. }] if failure.code == FailureCode::Draining));
    assert_eq!(story.machine.stats().timeouts.drain_limit, 1);
    story.ends();
}

#[test]
fn without_a_limit_a_drain_waits_as_long_as_it_takes() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    story.input(Event::Drain).expect([]).expect_no_deadline().long_after().expect([]);
    story.hears(asked, 1, response_chunk(b"", true)).actions();
    story.ends();
}
