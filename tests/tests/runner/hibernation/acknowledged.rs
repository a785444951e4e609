//! What was handled is acknowledged, and messages are told apart by their numbers.

use std::time::Duration;

use underpass_core::http::Close;
use underpass_core::protocol::to_server::ActorIntent;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::{Dialect, ToServer};
use underpass_core::runner::{Action, Config, Event, StopReason};
use underpass_core::{ApiMisuse, Machine};
use underpass_tests::given::hosted::{
    acknowledges, has_stopped, life, start_command, starts, stop_command, stops, takes_command, tells, text, wakes,
    wishes, with_state,
};
use underpass_tests::given::runner::{answers, answers_close, of, ready_with, runner, says};

use super::{WITHIN, closes_and_ends, comes, with_restored, with_socket, with_socket_of};

#[test]
fn it_can_hibernate_if_its_handler_says_so_and_its_runner_has_state() {
    let (story, key) = with_socket();
    closes_and_ends(story, key, 1, 1);

    let plain = Answer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false });
    let mut story = runner();
    let key = story.is_asked_for_websocket(1);
    story.input(Event::WebSocketAccept { key, can_hibernate: true }).expect([answers(of(1, 0), plain.clone())]);
    story.asks(of(1, 1), text(b"x")).expect([comes(key, 1, "x")]);
    story.input(Event::Handled { key, number: 1 }).expect([]);
    story.is_lost().expect([Action::WebSocketClose { key, close: Close::abnormal() }]);

    // Relays of the published protocol wake nothing here.
    let mut story = ready_with(with_state(), Dialect::Published);
    story.hears(start_command(&life(1), &[7])).expect([starts(&life(1))]);
    story.is_running(1);
    let key = story.is_asked_for_websocket(1);
    story.input(Event::WebSocketAccept { key, can_hibernate: true }).expect([answers(of(1, 0), plain)]);
    story.is_lost().expect([Action::WebSocketClose { key, close: Close::abnormal() }]);
}

#[test]
fn what_is_handled_is_acknowledged_a_little_later_and_together() {
    let (mut story, key) = with_socket();
    let other = story.opens_sleeper(2);
    for number in 1..=3 {
        story.asks(of(1, number), text(b"x")).expect([comes(key, number, "x")]);
    }
    story.asks(of(2, 1), text(b"x")).expect([comes(other, 1, "x")]);
    story.input(Event::Handled { key, number: 1 }).expect([]);
    story.passes(WITHIN / 2).expect([]);
    story.input(Event::Handled { key, number: 2 }).expect([]);
    story.input(Event::Handled { key: other, number: 1 }).expect([]);
    story.passes_in_silence_until(WITHIN / 2);
    story.expect([acknowledges(1, of(1, 1), 2), acknowledges(1, of(2, 1), 1)]);
    // It is said once.
    story.passes(WITHIN).expect([]);
    story.input(Event::Handled { key, number: 3 }).expect([]);
    story.passes_in_silence_until(WITHIN).expect([acknowledges(1, of(1, 2), 3)]);
    assert_eq!(story.machine.stats().acks, 3);
    story.asks(of(2, 9), Piece::WebSocketClose(Close::new(1000, "").into_wire()));
    story.expect([Action::WebSocketClose { key: other, close: Close::new(1000, "") }]);
    closes_and_ends(story, key, 1, 3);
}

#[test]
fn what_was_handled_is_acknowledged_before_its_actor_ends() {
    let handles_one = || {
        let (mut story, key) = with_socket();
        story.asks(of(1, 1), text(b"x")).expect([comes(key, 1, "x")]);
        story.input(Event::Handled { key, number: 1 }).expect([]);
        (story, key)
    };
    let acknowledged = || acknowledges(1, of(1, 1), 1);

    let (mut story, key) = handles_one();
    story.input(Event::ActorSleep { actor: life(1) });
    story.expect([acknowledged(), tells(1, [wishes(&life(1), 1, ActorIntent::Sleep)])]);
    closes_and_ends(story, key, 1, 2);

    let (mut story, key) = handles_one();
    story.input(Event::ActorStopped { actor: life(1), error: Some("crashed".into()) });
    let ends = tells(1, [has_stopped(&life(1), 1, Some("crashed"))]);
    story.expect([acknowledged(), Action::WebSocketAsleep { key }, ends]);
    story.drains_and_ends();

    let (mut story, key) = handles_one();
    story.input(Event::Drain).expect([acknowledged(), says(ToServer::Stopping)]);
    story.hears(stop_command(&life(1)));
    story.expect([Action::WebSocketAsleep { key }, stops(&life(1)), takes_command(1, &life(1), 1)]);
    story.is_stopped(&life(1)).actions();
    story.is_lost().expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn so_many_messages_are_acknowledged_at_once() {
    let (mut story, key) = with_socket_of(Config { ack_every: 3, ..with_state() });
    for number in 1..=4 {
        story.asks(of(1, number), text(b"x")).expect([comes(key, number, "x")]);
    }
    story.input(Event::Handled { key, number: 2 }).expect([]);
    story.input(Event::Handled { key, number: 3 }).expect([acknowledges(1, of(1, 1), 3)]);
    // What is over by then is not said again.
    story.passes(WITHIN).expect([]);
    story.input(Event::Handled { key, number: 4 }).expect([]);
    story.passes(WITHIN).expect([acknowledges(1, of(1, 2), 4)]);
    closes_and_ends(story, key, 1, 3);
}

#[test]
fn so_many_bytes_are_acknowledged_at_once() {
    let (mut story, key) = with_socket_of(Config { ack_bytes: 10, ..with_state() });
    story.asks(of(1, 1), text(b"123456789")).expect([comes(key, 1, "123456789")]);
    story.input(Event::Handled { key, number: 1 }).expect([]);
    story.asks(of(1, 2), text(b"0")).expect([comes(key, 2, "0")]);
    story.input(Event::Handled { key, number: 2 }).expect([acknowledges(1, of(1, 1), 2)]);
    story.passes(WITHIN).expect([]);
    closes_and_ends(story, key, 1, 2);
}

#[test]
fn nothing_is_acknowledged_that_was_not_handled() {
    let (mut story, key) = with_socket();
    story.asks(of(1, 1), text(b"x")).expect([comes(key, 1, "x")]);
    story.input(Event::Consumed { key, bytes: 1 }).expect([]);
    story.passes(Duration::from_secs(1)).expect([]);
    let misuse = ApiMisuse::OutOfTurn("a message handled that has not come");
    for number in [2, 3, 0x7fff] {
        story.misuse(Event::Handled { key, number }, misuse);
    }
    // What is of the past was said before.
    for number in [0, 0xffff, 0x8001] {
        story.input(Event::Handled { key, number }).expect([]);
    }
    story.passes(Duration::from_secs(1)).expect([]);
    closes_and_ends(story, key, 1, 1);
}

#[test]
fn a_message_that_comes_again_is_dropped_and_acknowledged_again_if_it_was_handled() {
    let (mut story, key) = with_socket();
    for number in 1..=2 {
        story.asks(of(1, number), text(b"x")).expect([comes(key, number, "x")]);
    }
    story.input(Event::Handled { key, number: 1 }).expect([]);
    story.passes(WITHIN).expect([acknowledges(1, of(1, 1), 1)]);
    // The handler has this one, and has not handled it.
    story.asks(of(1, 2), text(b"x")).expect([]);
    story.passes(WITHIN).expect([]);
    story.asks(of(1, 1), text(b"x")).expect([]);
    story.passes_in_silence_until(WITHIN).expect([acknowledges(1, of(1, 2), 1)]);
    assert_eq!((story.machine.stats().repeats, story.machine.stats().late), (2, 0));
    closes_and_ends(story, key, 1, 3);
}

#[test]
fn a_gap_closes_it_at_both_ends() {
    let (mut story, key) = with_socket();
    story.asks(of(1, 2), text(b"x"));
    let close = Close::new(1008, "ws.message_index_skip");
    story.expect([answers_close(of(1, 1), close.clone()), Action::WebSocketClose { key, close }]);
    let stats = story.machine.stats();
    assert_eq!((stats.gaps, stats.failures.message_lost), (1, 1));
    story.stops_and_ends(&life(1));
}

#[test]
fn a_close_ends_it_whatever_its_number() {
    for number in [0, 1, 77] {
        let (mut story, key) = with_socket();
        let close = Close::new(1012, "gateway_lost");
        story.asks(of(1, number), Piece::WebSocketClose(close.clone().into_wire()));
        story.expect([Action::WebSocketClose { key, close }]);
        story.stops_and_ends(&life(1));
    }
}

#[test]
fn across_the_wrap_repeats_gaps_and_acknowledgements_are_told_apart() {
    let (mut story, key) = with_restored(65_533);
    story.asks(of(1, 0), wakes()).expect([Action::ResumeSource { key }]);
    for number in [65_534, 65_535, 0, 1] {
        story.asks(of(1, number), text(b"x")).expect([comes(key, number, "x")]);
    }
    story.input(Event::Handled { key, number: 65_535 }).expect([]);
    story.passes(WITHIN).expect([acknowledges(1, of(1, 0), 65_535)]);
    story.input(Event::Handled { key, number: 0 }).expect([]);
    story.input(Event::Handled { key, number: 65_534 }).expect([]);
    story.passes(WITHIN).expect([acknowledges(1, of(1, 1), 0)]);
    for number in [65_533, 65_535, 0, 1] {
        story.asks(of(1, number), text(b"x")).expect([]);
    }
    story.passes(WITHIN).expect([acknowledges(1, of(1, 2), 0)]);
    let misuse = ApiMisuse::OutOfTurn("a message handled that has not come");
    story.misuse(Event::Handled { key, number: 2 }, misuse);
    story.asks(of(1, 3), text(b"x"));
    let close = Close::new(1008, "ws.message_index_skip");
    story.expect([answers_close(of(1, 3), close.clone()), Action::WebSocketClose { key, close }]);
    story.stops_and_ends(&life(2));
}

#[test]
fn numbers_go_on_past_their_range_as_long_as_messages_are_handled() {
    let (mut story, key) = with_socket();
    let mut acks = 0;
    for number in 1..=70_000_u32 {
        story.asks(of(1, number as u16), text(b"")).expect([comes(key, number as u16, "")]);
        story.input(Event::Consumed { key, bytes: 0 }).actions();
        story.input(Event::Handled { key, number: number as u16 });
        acks += story.actions().len();
    }
    assert_eq!((acks, story.machine.stats().acks), (1_093, 1_093));
    story.passes(WITHIN);
    assert_eq!(story.actions().len(), 1);
    story.input(Event::HandlerFailed { key }).actions();
    story.stops_and_ends(&life(1));
}

#[test]
fn a_handler_that_handles_nothing_is_given_half_of_the_numbers_and_no_more() {
    let (mut story, key) = with_socket_of(Config { credit: (1 << 21) - 64, ..with_state() });
    for number in 1..=32_767 {
        story.asks(of(1, number), text(b"")).expect([comes(key, number, "")]);
        story.input(Event::Consumed { key, bytes: 0 }).actions();
    }
    story.asks(of(1, 32_768), text(b""));
    let actions = story.actions();
    let close = Close::new(1013, "overloaded");
    assert_eq!(actions[1..], [Action::WebSocketClose { key, close }]);
    story.stops_and_ends(&life(1));
}
