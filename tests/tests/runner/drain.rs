//! Draining, in each state of the connection and with each kind of request.

use std::time::Duration;

use underpass_core::failure::{Failure, RequestName};
use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server;
use underpass_core::protocol::{Dialect, RequestId, ToServer};
use underpass_core::runner::{Action, Config, Event, StopReason};
use underpass_core::{FailureCode, Machine, RequestKey, Runner};
use underpass_tests::given::gateway::{credit, zeros};
use underpass_tests::given::relay::websocket_open;
use underpass_tests::given::runner::{
    answers, answers_close, calm, dialling, greeting, hangs_up, leaves, of, ping, ready_with, runner, says,
    small_config,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{GATEWAY, response_start, status};

fn drained() -> Action {
    Action::Stopped(StopReason::Drained)
}

#[test]
fn while_it_waits_to_dial_it_stops_at_once() {
    let mut story = dialling(calm());
    story.is_lost().expect([]);
    story.input(Event::Drain).expect([drained()]);
    story.input(Event::Drain).expect([]).ends();
}

#[test]
fn while_it_dials_it_gives_up_and_stops_when_that_has_come_about() {
    let comes_to_nothing: [fn(&mut Story<Runner>); 3] =
        [|story| _ = story.is_lost(), |story| _ = story.is_refused(503), |story| _ = story.is_refused(403)];
    for ends in comes_to_nothing {
        let mut story = dialling(calm());
        story.input(Event::Drain).expect([hangs_up()]);
        ends(&mut story);
        story.expect([drained()]).ends();
    }
    let mut story = dialling(calm());
    story.input(Event::Drain).expect([hangs_up()]);
    // It had come to something just then.
    story.is_connected(Dialect::Underpass).expect([]);
    story.hears(greeting()).expect([]);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn before_it_was_greeted_it_hangs_up() {
    let mut story = dialling(calm());
    story.is_connected(Dialect::Underpass).actions();
    story.input(Event::Drain).expect([hangs_up()]);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn with_nothing_open_it_says_goodbye_and_hangs_up() {
    let mut story = runner();
    story.input(Event::Drain).expect([says(ToServer::Stopping), hangs_up()]);
    story.input(Event::Drain).expect([]);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn while_it_hangs_up_it_stops_when_the_connection_has_ended() {
    let mut story = runner();
    story.passes(Duration::from_secs(15));
    story.expect([leaves(1011, "runner.relay_silent")]);
    story.input(Event::Drain).expect([]);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn once_stopped_there_is_nothing_to_drain() {
    let mut story = dialling(calm());
    story.is_refused(403);
    story.expect([Action::Stopped(StopReason::Refused { code: 403, message: "no".into() })]);
    story.input(Event::Drain).expect([]).ends();
}

#[test]
fn exchanges_come_to_their_end_and_then_websockets_are_closed_1001() {
    let mut story = runner();
    let first = story.is_asked(1);
    let second = story.is_asked(2);
    let asking = story.is_asked_for_websocket(3);
    let socket = story.opens_websocket(4);
    let close = || Close::new(1001, "draining");
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    story.input(Event::ResponseStart { key: first, head: status(200), body: Body::None });
    story.expect([answers(of(1, 0), response_start(200, None, false))]);
    story.asks(of(2, 0), Piece::RequestAbort).expect([
        Action::Aborted { key: second },
        answers_close(of(3, 0), close()),
        Action::WebSocketClose { key: asking, close: close() },
        Action::WebSocketClose { key: socket, close: close() },
        answers_close(of(4, 1), close()),
        hangs_up(),
    ]);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn websockets_alone_do_not_keep_it() {
    let mut story = runner();
    story.opens_websocket(1);
    story.input(Event::Drain);
    let actions = story.actions();
    assert_eq!((actions.len(), actions.last()), (4, Some(&hangs_up())));
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn what_a_websocket_sent_goes_before_its_close_and_its_handler_hears_no_more() {
    let mut story = ready_with(small_config(1), Dialect::Underpass);
    let key = story.opens_websocket(1);
    for _ in 0..2 {
        story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(1)) }).actions();
    }
    story.input(Event::WebSocketClose { key, close: Close::new(1000, "") }).expect([]);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    story.asks(of(1, 0), Piece::Credit(credit(64)));
    let last = to_server::WebSocketMessage { data: zeros(1), binary: true };
    let last = answers(of(1, 2), to_server::Kind::WebSocketMessage(last));
    story.expect([last, answers_close(of(1, 3), Close::new(1000, "")), hangs_up()]);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn an_exchange_that_was_on_its_way_is_still_served_and_a_websocket_is_refused() {
    let mut story = runner();
    let first = story.is_asked(1);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    let second = story.is_asked(2);
    let request = Some(RequestName { gateway_id: GATEWAY, request_id: RequestId([3; 4]) });
    let failure = Failure { code: FailureCode::Draining, message: "".into(), request };
    assert_eq!(failure.close().code, Some(1001));
    story.asks(of(3, 0), websocket_open()).expect([answers_close(of(3, 0), failure.close())]);
    for (request, key) in [(1, first), (2, second)] {
        story.input(Event::ResponseStart { key, head: status(200), body: Body::None });
        let answer = answers(of(request, 0), response_start(200, None, false));
        let leaves = (request == 2).then(hangs_up);
        story.expect([answer].into_iter().chain(leaves));
    }
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn a_connection_that_is_lost_while_it_drains_ends_what_is_open_and_it_stops() {
    let mut story = runner();
    let key = story.is_asked(1);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    story.is_lost().expect([Action::Aborted { key }, drained()]).ends();
}

#[test]
fn an_eviction_while_it_drains_is_the_end_that_was_wanted() {
    let mut story = runner();
    let key = story.is_asked(1);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    story.is_closed(1000, "ws.eviction#taken_over").expect([Action::Aborted { key }, drained()]);
    assert_eq!(story.machine.stats().lost, 1);
    story.ends();
}

const LIMIT: Duration = Duration::from_secs(30);

/// A runner that drains, with a limit, an exchange and a WebSocket.
fn draining_with_limit() -> (Story<Runner>, RequestKey, RequestKey) {
    let config = Config { drain_limit: Some(LIMIT), ..calm() };
    let mut story = ready_with(config, Dialect::Underpass);
    let (exchange, socket) = (story.is_asked(1), story.opens_websocket(2));
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    (story, exchange, socket)
}

/// Time passes while the relay lives.
fn passes_with_pings(story: &mut Story<Runner>, duration: Duration) {
    for _ in 0..10 {
        story.passes(duration / 10).expect([]);
        story.hears(ping(0));
        assert_eq!(story.actions().len(), 1);
    }
}

#[test]
fn what_is_open_when_the_limit_of_a_drain_is_over_ends_with_draining() {
    let (mut story, exchange, socket) = draining_with_limit();
    passes_with_pings(&mut story, LIMIT - Duration::from_secs(1));
    story.passes_in_silence_until(Duration::from_secs(1));
    let close = || Close::new(1001, "draining");
    story.expect([
        answers(of(1, 0), to_server::Kind::ResponseAbort),
        Action::Aborted { key: exchange },
        answers_close(of(2, 1), close()),
        Action::WebSocketClose { key: socket, close: close() },
        hangs_up(),
    ]);
    let stats = story.machine.stats();
    assert_eq!((stats.timeouts.drain_limit, stats.failed, stats.failures.draining), (1, 2, 2));
    story.passes(Duration::from_secs(3_600)).expect([]);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn a_drain_that_is_done_before_its_limit_ends_nothing() {
    let (mut story, exchange, socket) = draining_with_limit();
    passes_with_pings(&mut story, LIMIT - Duration::from_micros(10));
    story.input(Event::ResponseStart { key: exchange, head: status(200), body: Body::None });
    let close = || Close::new(1001, "draining");
    story.expect([
        answers(of(1, 0), response_start(200, None, false)),
        Action::WebSocketClose { key: socket, close: close() },
        answers_close(of(2, 1), close()),
        hangs_up(),
    ]);
    story.passes(Duration::from_secs(3_600)).expect([]);
    assert_eq!((story.machine.stats().timeouts.drain_limit, story.machine.stats().failed), (0, 0));
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn a_limit_of_nothing_ends_what_is_open_at_once() {
    let mut story = ready_with(Config { drain_limit: Some(Duration::ZERO), ..calm() }, Dialect::Underpass);
    let key = story.is_asked(1);
    story.input(Event::Drain);
    let abort = answers(of(1, 0), to_server::Kind::ResponseAbort);
    story.expect([says(ToServer::Stopping), abort, Action::Aborted { key }, hangs_up()]);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn a_limit_of_nothing_has_nothing_to_end_where_nothing_is_open() {
    let mut story = ready_with(Config { drain_limit: Some(Duration::ZERO), ..calm() }, Dialect::Underpass);
    story.input(Event::Drain).expect([says(ToServer::Stopping), hangs_up()]);
    assert_eq!(story.machine.stats().timeouts.drain_limit, 0);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn without_a_limit_a_drain_waits_as_long_as_its_exchanges_take() {
    let mut story = runner();
    let key = story.is_asked(1);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    for _ in 0..100 {
        passes_with_pings(&mut story, Duration::from_secs(100));
    }
    story.input(Event::ResponseStart { key, head: status(200), body: Body::None });
    story.expect([answers(of(1, 0), response_start(200, None, false)), hangs_up()]);
    story.is_lost().expect([drained()]).ends();
}

#[test]
fn a_runner_that_drains_stays_a_while_for_what_is_on_its_way() {
    let mut story = ready_with(Config::default(), Dialect::Underpass);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    story.passes_in_silence_until(Config::default().drain_idle / 2);
    // The relay sent it before it heard of the drain.
    let key = story.is_asked(1);
    story.passes(Config::default().drain_idle).expect([]);
    let answer = Event::ResponseStart { key, head: status(200), body: Body::None };
    story.input(answer).expect([answers(of(1, 0), response_start(200, None, false))]);
    story.passes_in_silence_until(Config::default().drain_idle).expect([leaves(1000, "pegboard.runner_shutdown")]);
    story.loses(1).expect([drained()]).ends();
}
