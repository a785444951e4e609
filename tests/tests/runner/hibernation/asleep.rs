//! A WebSocket falls asleep with its actor, and is restored with its next life.

use std::time::Duration;

use underpass_core::http::Close;
use underpass_core::protocol::{Dialect, ToServer};
use underpass_core::runner::{Action, Config, Event, StopReason};
use underpass_core::{ApiMisuse, Machine};
use underpass_tests::given::hosted::{
    acknowledges, has_stopped, hosting, life, start_command, stop_command, stops, takes_command, tells, text, wakes,
    with_state,
};
use underpass_tests::given::runner::{
    answers, answers_close, dials, greeting, hangs_up, leaves_on, of, ping, ready_with, says,
};

use super::{
    FIRST_WAIT, SILENT, WITHIN, closes_and_ends, comes, is_detached, not_restored, sends, sent, with_restored,
    with_socket, with_socket_of,
};

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
