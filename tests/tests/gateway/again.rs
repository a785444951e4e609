//! Requests that can't go on where they were sent, and go elsewhere.

use std::time::Duration;

use underpass_core::bus::PublishError;
use underpass_core::directory::RunnerState;
use underpass_core::gateway::{Action, Config, Event, Open};
use underpass_core::http::{Body, Message};
use underpass_core::protocol::to_gateway::{self as control, RefusedReason};
use underpass_core::protocol::tunnel::to_server::{self, Kind};
use underpass_core::protocol::{GatewayId, RequestId, ToGateway};
use underpass_core::{FailureCode, Gateway, Machine};
use underpass_tests::given::gateway::{
    Asked, aborts, chunk_sent, closes, config, gateway_with, give_back, publishes_to, request_start_with, small_config,
    zeros,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{
    GATEWAY, abilities, connection, gone, message, open, open_websocket, record, response_start, seen, status,
};

const GRACE: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(250);

fn again() -> Config {
    Config { max_tries: 3, ..config() }
}

/// A gateway that sends again, with one runner on connection 1.
fn given() -> Story<Gateway> {
    gateway_with(again(), abilities(1 << 20))
}

/// The directory shows that a runner is ready, on the connection of a number.
fn comes(story: &mut Story<Gateway>, key: &str, number: u64) -> Vec<Action> {
    story.input(Event::Directory(seen(key, record(number, abilities(1 << 20), RunnerState::Ready))));
    story.actions()
}

/// What a request is called now.
fn now_called(story: &Story<Gateway>, asked: Asked) -> Asked {
    let id = story.machine.request_name(asked.key).expect("the request is open").request_id;
    Asked { id, ..asked }
}

fn asks(story: &mut Story<Gateway>, wanted: Open) -> (Asked, Vec<Action>) {
    let asked = story.opens(wanted);
    let sent = story.actions();
    (asked, sent)
}

fn ended(number: u64) -> Event {
    Event::Received { from: None, frame: ToGateway::ConnectionEnded(connection(number).into()).encode_framed() }
}

fn refused(id: RequestId, reason: RefusedReason) -> Event {
    let refused = control::Refused { gateway_id: GATEWAY, request_id: id, reason };
    Event::Received { from: None, frame: ToGateway::Refused(refused).encode_framed() }
}

fn get_to(number: u64, asked: Asked) -> Action {
    publishes_to(number, asked, 0, request_start_with("GET", None, false))
}

/// The request is answered, and all is over.
#[track_caller]
fn is_answered(story: &mut Story<Gateway>, asked: Asked) {
    let asked = now_called(story, asked);
    story.hears(asked, 0, response_start(200, None, false));
    story.expect([Action::ResponseStart { key: asked.key, head: status(200), body: Body::None }]).ends();
}

#[test]
fn a_request_whose_runner_is_lost_goes_to_another_at_once_under_a_new_id() {
    for lost in [ended(1), Event::NoResponders { to: connection(1) }, Event::Directory(gone("a"))] {
        let mut story = given();
        let (first, _) = asks(&mut story, open("GET", "/", Body::None));
        comes(&mut story, "b", 2);
        story.input(lost);
        let second = now_called(&story, first);
        assert_ne!(first.id, second.id);
        story.expect([get_to(2, second)]);
        assert_eq!(story.machine.stats().sent_again, 1);
        // What the first still says is not for the second.
        story.hears(first, 0, response_start(500, None, false)).expect([]);
        assert_eq!(story.machine.stats().stale, 1);
        is_answered(&mut story, first);
    }
}

#[test]
fn only_what_does_no_harm_twice_goes_to_another_when_a_runner_may_have_it() {
    for (method, body, goes) in [
        ("GET", Body::None, true),
        ("HEAD", Body::None, true),
        ("OPTIONS", Body::None, true),
        ("TRACE", Body::None, true),
        ("PUT", Body::Whole(zeros(5)), true),
        ("DELETE", Body::None, true),
        ("POST", Body::None, false),
        ("PATCH", Body::Whole(zeros(5)), false),
        ("CONNECT", Body::None, false),
        ("get", Body::None, false),
        ("PUT", Body::Stream, false),
    ] {
        let mut story = given();
        let (asked, _) = asks(&mut story, open(method, "/", body));
        comes(&mut story, "b", 2);
        story.input(ended(1));
        if goes {
            assert_eq!(story.actions().len(), 1, "{method}");
            story.input(Event::ClientGone { key: asked.key }).actions();
        } else {
            story.expect_failed(asked, FailureCode::RunnerLost, []);
        }
        story.ends();
    }
}

#[test]
fn any_method_goes_to_another_when_no_runner_can_have_it() {
    for (reason, code) in [
        (RefusedReason::ConnectionEnded, FailureCode::RunnerLost),
        (RefusedReason::Draining, FailureCode::Draining),
        (RefusedReason::Full, FailureCode::Overloaded),
    ] {
        let mut story = given();
        let (asked, _) = asks(&mut story, open("POST", "/", Body::Whole(zeros(5))));
        comes(&mut story, "b", 2);
        story.input(refused(asked.id, reason));
        let second = now_called(&story, asked);
        story.expect([publishes_to(2, second, 0, request_start_with("POST", Some(zeros(5)), false))]);
        // There as well: it waits, and then the first reason stands.
        story.input(refused(second.id, RefusedReason::Draining)).expect([]);
        story.input(Event::Directory(gone("a"))).expect([]);
        story.passes_in_silence_until(GRACE).expect_failed(second, code, []).ends();
    }
}

#[test]
fn an_opening_that_the_bus_gives_back_goes_to_another() {
    use PublishError::{Disconnected, Full, NoResponders};
    for reason in [NoResponders, Full, Disconnected] {
        let mut story = given();
        let (asked, mut sent) = asks(&mut story, open("POST", "/", Body::None));
        story.input(give_back(sent.remove(0), reason)).expect([]);
        assert_eq!(story.machine.stats().waiting, 1);
        let sent = comes(&mut story, "b", 2);
        let second = now_called(&story, asked);
        assert_eq!(sent, [publishes_to(2, second, 0, request_start_with("POST", None, false))]);
        story.input(ended(2)).expect_failed(second, FailureCode::RunnerLost, []).ends();
    }
}

#[test]
fn an_opening_of_which_the_bus_does_not_know_whether_it_arrived_goes_to_another_if_that_does_no_harm_twice() {
    for (method, goes) in [("PUT", true), ("POST", false)] {
        let mut story = given();
        let (asked, sent) = asks(&mut story, open(method, "/", Body::Whole(zeros(5))));
        comes(&mut story, "b", 2);
        story.input(give_back(sent[0].clone(), PublishError::Unsure));
        // The runner hears in any case that nobody waits for it.
        if goes {
            let again = request_start_with(method, Some(zeros(5)), false);
            let second = now_called(&story, asked);
            story.expect([aborts(asked, 1), publishes_to(2, second, 0, again)]);
            is_answered(&mut story, asked);
        } else {
            story.expect_failed(asked, FailureCode::BusLost, [aborts(asked, 1)]).ends();
        }
    }
}

#[test]
fn an_opening_that_is_too_large_for_the_bus_fails_at_once() {
    let mut story = given();
    let (asked, mut sent) = asks(&mut story, open("POST", "/", Body::None));
    comes(&mut story, "b", 2);
    story.input(give_back(sent.remove(0), PublishError::TooLarge));
    story.expect_failed(asked, FailureCode::BusLost, []).ends();
}

#[test]
fn where_room_was_wanting_it_looks_again_in_a_moment() {
    for bus in [true, false] {
        let mut story = given();
        let (asked, mut sent) = asks(&mut story, open("POST", "/", Body::None));
        let event =
            if bus { give_back(sent.remove(0), PublishError::Full) } else { refused(asked.id, RefusedReason::Full) };
        story.input(event).expect([]);
        story.expect_timeout(Some(story.now() + TRY_AGAIN));
        story.passes_in_silence_until(TRY_AGAIN);
        let second = now_called(&story, asked);
        story.expect([publishes_to(1, second, 0, request_start_with("POST", None, false))]);
        story.input(ended(1)).expect_failed(second, FailureCode::RunnerLost, []).ends();
    }
}

#[test]
fn a_refused_opening_of_a_streamed_body_fails() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("POST", "/", Body::Stream));
    comes(&mut story, "b", 2);
    story.input(refused(asked.id, RefusedReason::Draining)).expect_failed(asked, FailureCode::Draining, []).ends();
}

#[test]
fn a_refusal_of_what_is_not_open_or_not_of_this_gateway_is_counted() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("POST", "/", Body::None));
    story.input(refused(RequestId([9; 4]), RefusedReason::Full)).expect([]);
    let foreign = control::Refused { gateway_id: GatewayId([1; 4]), request_id: asked.id, reason: RefusedReason::Full };
    story.input(Event::Received { from: None, frame: ToGateway::Refused(foreign).encode_framed() }).expect([]);
    assert_eq!((story.machine.stats().stale, story.machine.stats().foreign), (1, 1));
    is_answered(&mut story, asked);
}

#[test]
fn without_another_runner_it_waits_for_the_grace_and_then_its_first_failure_stands() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    story.input(ended(1)).expect([]);
    assert_eq!((story.machine.stats().open, story.machine.stats().waiting), (1, 1));
    story.passes_in_silence_until(GRACE).expect_failed(asked, FailureCode::RunnerLost, []);
    assert_eq!(story.machine.stats().timeouts.grace, 1);
    story.ends();
}

#[test]
fn a_runner_that_comes_at_the_last_instant_of_the_grace_gets_it() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    story.input(ended(1)).expect([]);
    story.passes(GRACE - Duration::from_micros(1)).expect([]);
    let sent = comes(&mut story, "b", 2);
    assert_eq!(sent, [get_to(2, now_called(&story, asked))]);
    // The grace is over with it.
    story.expect_no_deadline_but(Duration::from_secs(300));
    is_answered(&mut story, asked);
}

#[test]
fn the_same_runner_on_another_connection_is_another() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    story.input(ended(1)).expect([]);
    // Its record, seen late, names the connection that ended: that is no place to go.
    assert_eq!(comes(&mut story, "a", 1), []);
    let sent = comes(&mut story, "a", 2);
    assert_eq!(sent, [get_to(2, now_called(&story, asked))]);
    is_answered(&mut story, asked);
}

#[test]
fn it_is_sent_to_so_many_runners_and_to_no_more() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    comes(&mut story, "b", 2);
    comes(&mut story, "c", 3);
    comes(&mut story, "d", 4);
    story.input(ended(1));
    let second = now_called(&story, asked);
    story.expect([get_to(2, second)]);
    // The second time it waits for a moment.
    story.input(ended(2)).expect([]);
    story.passes_in_silence_until(TRY_AGAIN);
    let third = now_called(&story, asked);
    story.expect([get_to(3, third)]);
    story.input(ended(3)).expect_failed(third, FailureCode::RunnerLost, []);
    assert_eq!((story.machine.stats().sent_again, story.machine.stats().failed), (2, 1));
    story.ends();
}

#[test]
fn the_first_failure_stands_whatever_comes_behind_it() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    comes(&mut story, "b", 2);
    story.input(ended(1));
    let second = now_called(&story, asked);
    let sent = get_to(2, second);
    story.expect([sent.clone()]);
    story.input(give_back(sent, PublishError::NoResponders)).expect([]);
    story.passes_in_silence_until(GRACE).expect_failed(second, FailureCode::RunnerLost, []).ends();
}

#[test]
fn once_a_runner_may_have_heard_of_it_no_failure_says_that_none_did() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("POST", "/", Body::None));
    comes(&mut story, "b", 2);
    story.input(refused(asked.id, RefusedReason::Draining));
    let second = now_called(&story, asked);
    story.expect([publishes_to(2, second, 0, request_start_with("POST", None, false))]);
    // A client that heard `draining`, 503, would ask again, and be served twice.
    story.input(ended(2)).expect_failed(second, FailureCode::RunnerLost, []).ends();
}

#[test]
fn an_answer_of_the_second_that_fails_has_its_own_code() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    comes(&mut story, "b", 2);
    story.input(ended(1)).actions();
    let second = now_called(&story, asked);
    story.hears(second, 0, Kind::ResponseAbort).expect_failed(second, FailureCode::RunnerFailed, []).ends();
}

#[test]
fn what_was_answered_is_not_sent_again() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    story.hears(asked, 0, response_start(200, None, true)).actions();
    comes(&mut story, "b", 2);
    story.input(ended(1)).expect_failed(asked, FailureCode::RunnerLost, []).ends();
}

#[test]
fn the_deadline_of_the_answer_goes_on_from_the_first_opening() {
    let config = Config { response_start: Duration::from_secs(10), ..again() };
    let mut story = gateway_with(config, abilities(1 << 20));
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    story.passes(Duration::from_secs(4)).expect([]);
    story.input(ended(1)).expect([]);
    story.passes(Duration::from_secs(4)).expect([]);
    comes(&mut story, "b", 2);
    let second = now_called(&story, asked);
    story.passes_in_silence_until(Duration::from_secs(2));
    let abort = publishes_to(2, second, 1, underpass_core::protocol::tunnel::to_client::Kind::RequestAbort);
    story.expect_failed(second, FailureCode::ResponseStartTimeout, [abort]).ends();
}

#[test]
fn the_deadline_of_the_answer_may_be_there_while_it_waits() {
    let config = Config { response_start: Duration::from_secs(2), ..again() };
    let mut story = gateway_with(config, abilities(1 << 20));
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    story.input(ended(1)).expect([]);
    story.passes_in_silence_until(Duration::from_secs(2));
    story.expect_failed(asked, FailureCode::ResponseStartTimeout, []).ends();
}

#[test]
fn a_websocket_that_was_not_taken_goes_to_another_and_one_that_was_does_not() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open_websocket("/"));
    comes(&mut story, "b", 2);
    story.input(ended(1));
    assert_eq!(story.actions().len(), 1);
    let second = now_called(&story, asked);
    let taken = Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false });
    story.hears(second, 0, taken).expect([Action::WebSocketOpened { key: asked.key }]);
    // Its numbers begin anew.
    story.input(Event::WebSocketMessage { key: asked.key, message: Message::Text("x".into()) });
    let sent = underpass_core::protocol::tunnel::to_client::Kind::WebSocketMessage(message(b"x", false));
    story.expect([publishes_to(2, second, 1, sent)]);
    story.input(ended(2)).expect_failed(second, FailureCode::RunnerLost, []).ends();
}

#[test]
fn a_websocket_whose_handler_has_sent_something_is_not_sent_again() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open_websocket("/"));
    comes(&mut story, "b", 2);
    story.hears(asked, 0, Kind::WebSocketMessage(message(b"early", false))).expect([]);
    story.input(ended(1)).expect_failed(asked, FailureCode::RunnerLost, []).ends();
}

#[test]
fn a_silent_runner_is_told_to_stop_and_another_gets_the_request() {
    let pings = Config { ping_interval: Duration::from_secs(3), pong: Duration::from_secs(30), ..again() };
    for wanted in [open("GET", "/", Body::None), open_websocket("/")] {
        let mut story =
            gateway_with(Config { websocket_open: Duration::from_secs(100), ..pings.clone() }, abilities(1 << 20));
        let (asked, _) = asks(&mut story, wanted.clone());
        comes(&mut story, "b", 2);
        story.passes(Duration::from_secs(3)).actions();
        story.passes(Duration::from_secs(30));
        let stop = match wanted.kind {
            underpass_core::gateway::OpenKind::Http(_) => aborts(asked, 1),
            underpass_core::gateway::OpenKind::WebSocket => closes(asked, 1, FailureCode::PingTimeout),
        };
        // A last ping, the end, and the opening elsewhere.
        let actions = story.actions();
        assert_eq!((&actions[1], actions.len()), (&stop, 3));
        story.input(Event::ClientGone { key: asked.key }).actions();
        assert_eq!(story.machine.stats().sent_again, 1);
        story.ends();
    }
}

#[test]
fn a_whole_body_that_goes_in_chunks_is_sent_again_from_its_beginning() {
    let config = Config { max_tries: 3, ..small_config() };
    let mut story = gateway_with(config, abilities(100));
    let asked = story.opens(open("PUT", "/", Body::Whole(zeros(30))));
    // Two of three chunks have gone; one waits for credit.
    assert_eq!(story.actions().len(), 3);
    story.input(ended(1)).expect([]);
    story.input(Event::Directory(seen("b", record(2, abilities(1 << 20), RunnerState::Ready))));
    let second = now_called(&story, asked);
    story.expect([
        publishes_to(2, second, 0, request_start_with("PUT", None, true)),
        publishes_to(2, second, 1, chunk_sent(zeros(10), false)),
        publishes_to(2, second, 2, chunk_sent(zeros(10), false)),
        publishes_to(2, second, 3, chunk_sent(zeros(10), true)),
    ]);
    is_answered(&mut story, asked);
}

#[test]
fn a_body_larger_than_what_is_kept_is_not_sent_again() {
    for (kept, goes) in [(30, true), (29, false)] {
        let config = Config { max_tries: 3, max_kept_body: kept, ..small_config() };
        let mut story = gateway_with(config, abilities(1_000));
        let (asked, _) = asks(&mut story, open("PUT", "/", Body::Whole(zeros(30))));
        assert_eq!(story.machine.stats().buffered, if goes { 30 } else { 0 });
        comes(&mut story, "b", 2);
        story.input(ended(1));
        if goes {
            assert_eq!(story.actions().len(), 4);
            is_answered(&mut story, asked);
        } else {
            story.expect_failed(asked, FailureCode::RunnerLost, []).ends();
        }
    }
}

#[test]
fn a_client_that_goes_away_while_its_request_waits_is_nobodys_business() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    story.input(ended(1)).expect([]);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    assert_eq!(comes(&mut story, "b", 2), []);
    story.ends();
}

#[test]
fn so_many_requests_wait_and_more_fail_at_once() {
    let mut story = gateway_with(Config { max_waiting: 2, ..again() }, abilities(1 << 20));
    let asked = [(); 3].map(|()| asks(&mut story, open("GET", "/", Body::None)).0);
    story.input(ended(1)).expect_failed(asked[2], FailureCode::RunnerLost, []);
    // In the order in which they came.
    let sent = comes(&mut story, "b", 2);
    assert_eq!(sent, [0, 1].map(|first| get_to(2, now_called(&story, asked[first]))));
    for asked in &asked[..2] {
        story.input(Event::ClientGone { key: asked.key }).actions();
    }
    story.ends();
}

#[test]
fn a_gateway_that_drains_lets_those_that_wait_go_on() {
    let mut story = given();
    let (asked, _) = asks(&mut story, open("GET", "/", Body::None));
    story.input(ended(1)).expect([]);
    story.input(Event::Drain).expect([]);
    assert_eq!(comes(&mut story, "b", 2).len(), 1);
    let second = now_called(&story, asked);
    story.hears(second, 0, response_start(200, None, false));
    assert_eq!(story.actions().pop(), Some(Action::Drained));
    story.ends();
}

#[test]
fn a_clock_that_jumps_an_hour_ends_what_waits_once() {
    let mut story = given();
    let asked = [(); 3].map(|()| asks(&mut story, open("GET", "/", Body::None)).0);
    story.input(ended(1)).expect([]);
    story.long_after();
    let failed: Vec<_> = story
        .actions()
        .into_iter()
        .map(|action| if let Action::Failed { key, .. } = action { key } else { panic!("{action:?}") })
        .collect();
    assert_eq!(failed, asked.map(|asked| asked.key));
    story.ends();
}
