//! A WebSocket whose connection is lost waits, and goes on over another.

use std::time::Duration;

use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::{Dialect, ToClient};
use underpass_core::runner::{Action, Config, Event};
use underpass_core::{Machine, RequestKey, Runner};
use underpass_tests::given::gateway::{credit, zeros};
use underpass_tests::given::hosted::{acknowledges, lets_sleep, life, runs, tells, text, wakes, with_state};
use underpass_tests::given::relay::websocket_open;
use underpass_tests::given::runner::{answers, answers_on, dials, greeting, leaves_on, of, ping};
use underpass_tests::story::Story;
use underpass_tests::wire::{message, status};

use super::{
    FIRST_WAIT, LEAVE_IDLE, SILENT, WITHIN, closes_and_ends, comes, comes_back, is_detached, sends, sent, small,
    with_socket, with_socket_of,
};

#[test]
fn when_its_connection_ends_it_waits_and_its_handler_pauses() {
    let (mut story, key) = with_socket();
    let exchange = story.is_asked(2);
    is_detached_with(&mut story, key, exchange);
    // What the handler sends in spite of that waits.
    story.input(sends(key, "later")).expect([]);
    let second = comes_back(&mut story, 1);
    story.asks(of(1, 0), wakes());
    story.expect([answers_on(second, of(1, 0), sent(b"later")), Action::ResumeSource { key }]);
    let stats = story.machine.stats();
    assert_eq!((stats.detached, stats.attached, stats.detached_sockets, stats.lost), (1, 1, 0, 1));
    closes_and_ends(story, key, 1, 1);
}

fn is_detached_with(story: &mut Story<Runner>, key: RequestKey, exchange: RequestKey) {
    story.is_lost().expect([Action::PauseSource { key }, Action::Aborted { key: exchange }]);
}

#[test]
fn a_handler_that_was_paused_already_is_not_told_again() {
    let (mut story, key) = with_socket_of(small());
    story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(100)) }).actions();
    for _ in 0..9 {
        story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(100)) }).actions();
    }
    story.is_lost().expect([]);
    let second = comes_back(&mut story, 1);
    // Credit is full again, and numbers start anew.
    story.asks(of(1, 0), wakes()).expect([Action::ResumeSource { key }]);
    story.input(sends(key, "x")).expect([answers_on(second, of(1, 0), sent(b"x"))]);
    closes_and_ends(story, key, 1, 1);
}

#[test]
fn what_comes_again_over_another_connection_is_dropped_and_what_follows_is_handed_over() {
    let (mut story, key) = with_socket();
    for number in 1..=3 {
        story.asks(of(1, number), text(b"x")).expect([comes(key, number, "x")]);
    }
    story.input(Event::Handled { key, number: 2 }).expect([]);
    is_detached(&mut story, key);
    // What was to be acknowledged comes again.
    story.passes(WITHIN).expect([]);
    story.input(Event::Handled { key, number: 3 }).expect([]);
    story.passes(Duration::from_millis(50)).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(2, [runs(&life(1))])]);
    story.asks(of(1, 1), text(b"x")).expect([Action::ResumeSource { key }]);
    story.asks(of(1, 2), text(b"x")).expect([]);
    story.asks(of(1, 3), text(b"x")).expect([]);
    story.asks(of(1, 4), text(b"new")).expect([comes(key, 4, "new")]);
    story.passes_in_silence_until(WITHIN).expect([acknowledges(2, of(1, 0), 3)]);
    assert_eq!(story.machine.stats().repeats, 3);
    closes_and_ends(story, key, 1, 1);
}

#[test]
fn what_was_read_before_is_not_granted_to_the_gateway_that_has_all_its_credit_again() {
    let (mut story, key) = with_socket_of(small());
    for number in 1..=3 {
        let big = Piece::WebSocketMessage(message(&[0; 100], true));
        story.asks(of(1, number), big).actions();
    }
    is_detached(&mut story, key);
    let second = comes_back(&mut story, 1);
    story.asks(of(1, 0), wakes()).expect([Action::ResumeSource { key }]);
    // Three of 100 bytes are unread from before.
    story.input(Event::Consumed { key, bytes: 200 }).expect([]);
    // They come again, and count as consumed at once: a grant at each quarter of the credit.
    for number in 1..=3 {
        let big = Piece::WebSocketMessage(message(&[0; 100], true));
        story.asks(of(1, number), big);
        let granted = Answer::Credit(credit(300));
        story.expect((number == 3).then(|| answers_on(second, of(1, 0), granted)));
    }
    story.input(Event::Consumed { key, bytes: 100 }).expect([]);
    // It is told again, over the connection where it is now.
    story.hears(ping(1));
    assert_eq!(story.actions().last(), Some(&answers_on(second, of(1, 0), Answer::Credit(credit(300)))));
    let four = Piece::WebSocketMessage(message(&[0; 100], true));
    story.asks(of(1, 4), four).actions();
    story.input(Event::Consumed { key, bytes: 100 }).expect([]);
    closes_and_ends(story, key, 1, 0);
}

#[test]
fn what_comes_late_on_an_older_connection_does_not_wake_it() {
    let (mut story, key) = with_socket();
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(2, [runs(&life(1))])]);
    story.is_told_ready();
    story.expect([lets_sleep(1, of(1, 1)), Action::PauseSource { key }]);
    story.asks_on(1, of(1, 1), text(b"late")).expect([]);
    assert_eq!(story.machine.stats().late, 1);
    story.asks_on(2, of(1, 1), text(b"late")).expect([Action::ResumeSource { key }, comes(key, 1, "late")]);
    story.asks_on(1, of(1, 2), text(b"later")).expect([]);
    assert_eq!(story.machine.stats().late, 2);
    story.passes_in_silence_until(LEAVE_IDLE).expect([leaves_on(1, 1000, "runner.moved")]);
    story.loses(1).expect([]);
    closes_and_ends(story, key, 1, 0);
}

#[test]
fn when_its_relay_drains_it_sleeps_there_behind_what_was_sent_once_another_is_ready() {
    let (mut story, key) = with_socket_of(small());
    let exchange = story.is_asked(2);
    story.asks(of(1, 1), text(b"x")).expect([comes(key, 1, "x")]);
    for _ in 0..11 {
        story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(100)) }).actions();
    }
    story.input(Event::Handled { key, number: 1 }).expect([]);
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(2, [runs(&life(1))])]);
    story.is_told_ready();
    // Ten went out; the eleventh waits for credit, and goes over the other connection.
    story.expect([acknowledges(1, of(1, 11), 1), lets_sleep(1, of(1, 12))]);
    // One that is taken only now leaves at once.
    let late = story.is_handed_on(1, 3, websocket_open());
    story.input(Event::WebSocketAccept { key: late, can_hibernate: true });
    let taken = Answer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: true });
    story.expect([answers(of(3, 0), taken), lets_sleep(1, of(3, 1)), Action::PauseSource { key: late }]);
    story.asks(of(1, 0), wakes());
    let waited = Answer::WebSocketMessage(underpass_core::protocol::tunnel::to_client::WebSocketMessage {
        data: zeros(100),
        binary: true,
    });
    story.expect([answers_on(2, of(1, 0), waited), Action::ResumeSource { key }]);
    story.asks(of(3, 0), wakes()).expect([Action::ResumeSource { key: late }]);
    story.input(Event::ResponseStart { key: exchange, head: status(200), body: Body::None }).actions();
    story.passes_in_silence_until(LEAVE_IDLE).expect([leaves_on(1, 1000, "runner.moved")]);
    story.loses(1).expect([]);
    story.input(Event::HandlerFailed { key: late }).actions();
    closes_and_ends(story, key, 1, 1);
}

#[test]
fn one_that_its_handler_has_closed_is_not_moved() {
    let (mut story, key) = with_socket_of(small());
    for _ in 0..11 {
        story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(100)) }).actions();
    }
    story.input(Event::WebSocketClose { key, close: Close::new(1000, "") }).expect([]);
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(2, [runs(&life(1))])]);
    story.is_told_ready();
    story.expect([]);
    // If its connection ends, what it sent and its close go over the other.
    story.loses(1).expect([]);
    story.asks(of(1, 0), wakes());
    let actions = story.actions();
    assert!(matches!(&actions[..], [Action::Send { connection: 2, .. }, Action::Send { connection: 2, .. }]));
    story.stops_and_ends(&life(1));
}

#[test]
fn its_handler_can_close_while_it_waits() {
    let (mut story, key) = with_socket();
    is_detached(&mut story, key);
    story.input(sends(key, "bye")).expect([]);
    story.input(Event::WebSocketClose { key, close: Close::new(4_000, "done") }).expect([]);
    let second = comes_back(&mut story, 1);
    story.asks(of(1, 0), wakes());
    let close = to_server::WebSocketClose { code: Some(4_000), reason: Some("done".into()), hibernate: false };
    story.expect([
        answers_on(second, of(1, 0), sent(b"bye")),
        answers_on(second, of(1, 1), Answer::WebSocketClose(close)),
    ]);
    story.stops_and_ends(&life(1));
}

#[test]
fn one_whose_handler_failed_while_it_waited_is_there_no_more() {
    let (mut story, key) = with_socket();
    is_detached(&mut story, key);
    story.input(Event::HandlerFailed { key }).expect([]);
    comes_back(&mut story, 1);
    story.asks(of(1, 0), wakes());
    let close =
        to_server::WebSocketClose { code: Some(1011), reason: Some("ws.not_restored".into()), hibernate: false };
    story.expect([answers_on(2, of(1, 0), Answer::WebSocketClose(close))]);
    story.stops_and_ends(&life(1));
}

#[test]
fn a_handler_that_sends_too_much_while_it_waits_is_closed() {
    let (mut story, key) = with_socket_of(small());
    is_detached(&mut story, key);
    let mut actions = Vec::new();
    while actions.is_empty() {
        story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(100)) });
        actions = story.actions();
    }
    assert_eq!(actions, [Action::WebSocketClose { key, close: Close::new(1013, "overloaded") }]);
    comes_back(&mut story, 1);
    story.stops_and_ends(&life(1));
}

#[test]
fn a_gateway_that_says_nothing_after_the_return_is_gone() {
    let (mut story, key) = with_socket();
    is_detached(&mut story, key);
    let second = comes_back(&mut story, 1);
    let step = SILENT / 6;
    for _ in 0..5 {
        story.passes(step).expect([]);
        story.hears(ping(1)).actions();
    }
    story.passes_in_silence_until(step);
    story.expect([Action::WebSocketClose { key, close: Close::new(1012, "gateway_lost") }]);
    assert_eq!(story.machine.stats().timeouts.gateway_silent, 1);
    // It was slow.
    story.asks(of(1, 0), wakes());
    let close =
        to_server::WebSocketClose { code: Some(1011), reason: Some("ws.not_restored".into()), hibernate: false };
    story.expect([answers_on(second, of(1, 0), Answer::WebSocketClose(close))]);
    story.stops_and_ends(&life(1));
}

#[test]
fn the_time_of_a_silent_gateway_begins_anew_with_each_return() {
    let config = Config { gateway_silent: Duration::from_secs(3), ..with_state() };
    let (mut story, key) = with_socket_of(config);
    is_detached(&mut story, key);
    comes_back(&mut story, 1);
    story.passes(Duration::from_secs(2)).expect([]);
    story.is_lost().expect([]);
    story.passes(FIRST_WAIT).expect([dials(3)]);
    // It is over while no relay has this runner.
    story.passes(Duration::from_secs(2)).expect([]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(3, [runs(&life(1))])]);
    story.passes_in_silence_until(Duration::from_secs(3));
    story.expect([Action::WebSocketClose { key, close: Close::new(1012, "gateway_lost") }]);
    story.is_told_ready();
    story.stops_and_ends(&life(1));
}
