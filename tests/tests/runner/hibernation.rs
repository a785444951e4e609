//! WebSockets that can hibernate: acknowledged, detached, woken over another connection, asleep, restored.

use std::time::Duration;

use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::to_server::ActorIntent;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::{Dialect, ToClient, ToServer};
use underpass_core::runner::{Action, Config, Event, StopReason};
use underpass_core::{ApiMisuse, Machine, RequestKey, Runner};
use underpass_tests::given::gateway::{credit, zeros};
use underpass_tests::given::hosted::{
    acknowledges, has_stopped, hosting, lets_sleep, life, runs, start_command, starts, stop_command, stops,
    takes_command, tells, text, wakes, wishes, with_state,
};
use underpass_tests::given::relay::websocket_open;
use underpass_tests::given::runner::{
    answers, answers_close, answers_on, dials, greeting, hangs_up, leaves_on, of, ping, ready_with, runner, says,
    small_config,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{message, status};

const FIRST_WAIT: Duration = Duration::from_millis(125);
const WITHIN: Duration = Duration::from_millis(100);
const SILENT: Duration = Duration::from_secs(30);
const LEAVE_IDLE: Duration = Duration::from_secs(1);

/// A runner whose actor has one WebSocket, which can hibernate.
fn with_socket() -> (Story<Runner>, RequestKey) {
    with_socket_of(with_state())
}

fn with_socket_of(config: Config) -> (Story<Runner>, RequestKey) {
    let mut story = ready_with(config, Dialect::Underpass);
    story.runs_actor(1);
    let key = story.opens_sleeper(1);
    (story, key)
}

/// The actor was started with one WebSocket that slept, and whose last message that was handled had a number.
fn with_restored(last: u16) -> (Story<Runner>, RequestKey) {
    let mut story = hosting();
    let key = story.starts_with(2, &[1])[0];
    story.input(Event::WebSocketRestore { key, last }).expect([Action::PauseSource { key }]);
    story.is_running(2);
    (story, key)
}

fn small() -> Config {
    Config { stateless: false, ..small_config(1_000) }
}

fn comes(key: RequestKey, number: u16, text: &'static str) -> Action {
    Action::WebSocketMessage { key, number, message: Message::Text(text.into()) }
}

fn sends(key: RequestKey, text: &'static str) -> Event {
    Event::WebSocketMessage { key, message: Message::Text(text.into()) }
}

fn sent(data: &'static [u8]) -> Answer {
    Answer::WebSocketMessage(message(data, false))
}

fn not_restored(number: u16) -> Action {
    answers_close(of(1, number), Close::new(1011, "ws.not_restored"))
}

/// The connection is lost, and another is there; the actor is announced.
fn comes_back(story: &mut Story<Runner>, generation: u32) -> u64 {
    let next = story.connection() + 1;
    story.passes(FIRST_WAIT).expect([dials(next)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(next, [runs(&life(generation))])]);
    story.is_told_ready();
    next
}

/// The WebSocket is lost with its connection, and waits.
fn is_detached(story: &mut Story<Runner>, key: RequestKey) {
    story.is_lost().expect([Action::PauseSource { key }]);
    assert_eq!(story.machine.stats().detached_sockets, 1);
}

/// The handler closes; the actor stops; the story ends.
fn closes_and_ends(mut story: Story<Runner>, key: RequestKey, generation: u32, id: u16) {
    let connection = story.connection();
    story.input(Event::WebSocketClose { key, close: Close::new(1000, "") });
    let close = to_server::WebSocketClose { code: Some(1000), reason: Some("".into()), hibernate: false };
    story.expect([answers_on(connection, of(1, id), Answer::WebSocketClose(close))]);
    story.stops_and_ends(&life(generation));
}

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

#[test]
fn when_its_actor_stops_it_sleeps_and_nothing_is_said() {
    let (mut story, key) = with_socket();
    story.asks(of(1, 1), text(b"x")).expect([comes(key, 1, "x")]);
    story.input(Event::Handled { key, number: 1 }).expect([]);
    story.hears(stop_command(&life(1)));
    story.expect([Action::WebSocketAsleep { key }, stops(&life(1)), takes_command(1, &life(1), 1)]);
    story.passes(WITHIN).expect([]);
    // What is said of it now is of the past.
    story.input(Event::Handled { key, number: 1 }).expect([]);
    story.input(sends(key, "x")).expect([]);
    story.is_stopped(&life(1)).expect([tells(1, [has_stopped(&life(1), 1, None)])]);
    assert_eq!((story.machine.stats().asleep, story.machine.stats().open), (1, 0));
    // Its actor wakes, here: it goes on where it was.
    let key = story.starts_with(2, &[1])[0];
    story.input(Event::WebSocketRestore { key, last: 1 }).expect([Action::PauseSource { key }]);
    story.is_running(2);
    story.asks(of(1, 0), wakes()).expect([Action::ResumeSource { key }]);
    story.asks(of(1, 1), text(b"x")).expect([]);
    story.asks(of(1, 2), text(b"y")).expect([comes(key, 2, "y")]);
    story.passes(WITHIN).expect([acknowledges(1, of(1, 0), 1)]);
    closes_and_ends(story, key, 2, 1);
}

#[test]
fn one_that_waits_sleeps_too_when_its_actor_stops() {
    let (mut story, key) = with_socket();
    is_detached(&mut story, key);
    story.input(Event::ActorStopped { actor: life(1), error: None }).expect([Action::WebSocketAsleep { key }]);
    story.passes(FIRST_WAIT).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(2, [has_stopped(&life(1), 1, None)])]);
    story.is_told_ready().drains_and_ends();
}

#[test]
fn one_that_slept_is_restored_with_the_last_number_that_was_handled() {
    let (mut story, key) = with_restored(7);
    story.input(sends(key, "first")).expect([]);
    story.asks(of(1, 0), wakes());
    story.expect([answers(of(1, 0), sent(b"first")), Action::ResumeSource { key }]);
    story.asks(of(1, 6), text(b"x")).expect([]);
    story.asks(of(1, 8), text(b"y")).expect([comes(key, 8, "y")]);
    story.input(Event::Handled { key, number: 8 }).expect([]);
    story.passes(WITHIN).expect([acknowledges(1, of(1, 1), 8)]);
    let stats = story.machine.stats();
    assert_eq!((stats.restored, stats.opened, stats.repeats), (1, 1, 1));
    closes_and_ends(story, key, 2, 2);
}

#[test]
fn one_with_which_no_handler_goes_on_is_closed_when_its_gateway_speaks() {
    let mut story = hosting();
    let keys = story.starts_with(1, &[1, 2]);
    story.input(Event::WebSocketRestore { key: keys[1], last: 0 });
    story.expect([Action::PauseSource { key: keys[1] }]);
    story.is_running(1);
    assert_eq!(story.machine.stats().not_restored, 1);
    story.input(Event::WebSocketRestore { key: keys[0], last: 0 }).expect([]);
    story.asks(of(1, 0), wakes()).expect([not_restored(0)]);
    story.asks(of(2, 0), wakes()).expect([Action::ResumeSource { key: keys[1] }]);
    story.input(Event::HandlerFailed { key: keys[1] }).actions();
    story.stops_and_ends(&life(1));
}

#[test]
fn one_that_slept_can_be_closed_by_its_handler_before_it_goes_on() {
    let mut story = hosting();
    let key = story.starts_with(1, &[1])[0];
    story.input(Event::WebSocketClose { key, close: Close::new(4_000, "no") }).expect([]);
    story.is_running(1);
    story.asks(of(1, 0), wakes()).expect([answers_close(of(1, 0), Close::new(4_000, "no"))]);
    story.stops_and_ends(&life(1));
}

#[test]
fn before_its_actor_runs_nothing_wakes_one_that_slept() {
    let mut story = hosting();
    let key = story.starts_with(1, &[1])[0];
    story.asks(of(1, 1), text(b"x")).expect([]);
    story.asks(of(1, 0), wakes()).expect([]);
    assert_eq!(story.machine.stats().late, 2);
    story.misuse(sends(key, "x"), ApiMisuse::OutOfTurn("a message before its WebSocket was taken"));
    let taken = Event::WebSocketAccept { key, can_hibernate: true };
    story.misuse(taken, ApiMisuse::OutOfTurn("a WebSocket taken that slept"));
    story.input(Event::WebSocketRestore { key, last: 0 }).expect([Action::PauseSource { key }]);
    let again = Event::WebSocketRestore { key, last: 0 };
    story.misuse(again, ApiMisuse::OutOfTurn("a WebSocket restored that does not sleep"));
    // It does not come to run.
    story.is_stopped(&life(1));
    story.expect([Action::WebSocketAsleep { key }, tells(1, [has_stopped(&life(1), 0, None)])]);
    story.drains_and_ends();
}

#[test]
fn more_that_slept_than_there_is_room_for_are_not_handed_over() {
    let mut story = ready_with(Config { max_requests: 2, ..with_state() }, Dialect::Underpass);
    let start = |requests: &[u8]| start_command(&life(1), requests);
    story.hears(start(&[1, 1, 2, 3]));
    let actions = story.actions();
    let [Action::StartActor { sockets, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(sockets.len(), 2);
    story.is_running(1);
    story.asks(of(3, 0), wakes());
    story.expect([answers_close(of(3, 0), Close::new(1011, "ws.not_restored"))]);
    story.stops_and_ends(&life(1));
}

#[test]
fn one_that_was_restored_and_whose_gateway_says_nothing_is_closed() {
    let (mut story, key) = with_restored(0);
    let step = SILENT / 6;
    for _ in 0..5 {
        story.passes(step).expect([]);
        story.hears(ping(1)).actions();
    }
    story.passes_in_silence_until(step);
    story.expect([Action::WebSocketClose { key, close: Close::new(1012, "gateway_lost") }]);
    story.stops_and_ends(&life(2));
}

#[test]
fn at_the_limit_of_a_drain_it_sleeps() {
    let config = Config { drain_limit: Some(Duration::from_secs(9)), ..with_state() };
    let (mut story, key) = with_socket_of(config);
    let plain = story.opens_websocket(2);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    story.passes_in_silence_until(Duration::from_secs(9));
    let close = Close::new(1001, "draining");
    story.expect([
        answers_close(of(2, 1), close.clone()),
        Action::WebSocketClose { key: plain, close },
        Action::WebSocketAsleep { key },
        stops(&life(1)),
        hangs_up(),
    ]);
    story.is_lost().expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn away_for_too_long_it_sleeps_with_its_actor() {
    let (mut story, key) = with_socket();
    is_detached(&mut story, key);
    story.passes(FIRST_WAIT).expect([dials(2)]);
    story.passes(Duration::from_secs(10)).expect([leaves_on(2, 1002, "runner.dial_timeout")]);
    story.is_lost().expect([]);
    story.passes(Duration::from_secs(1)).expect([dials(3)]);
    let away = Duration::from_secs(11) + FIRST_WAIT;
    story.passes_in_silence_until(Duration::from_secs(15) - away);
    story.expect([Action::WebSocketAsleep { key }, stops(&life(1))]);
    story.is_stopped(&life(1)).expect([]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([]).is_told_ready().drains_and_ends();
}
