//! Deadlines, a bus that refuses, runners that go away, clients that do, and draining.

use std::time::Duration;

use underpass_core::bus::{PublishError, Rejected};
use underpass_core::directory::{Abilities, RunnerState};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::{Body, Close};
use underpass_core::protocol::tunnel::to_client;
use underpass_core::protocol::tunnel::to_server::{self, Kind};
use underpass_core::{FailureCode, Gateway, Machine, RequestKey, Time};
use underpass_tests::given::gateway::{
    Asked, aborts, chunk, closes, closing, credit, finds_nobody_ready, gateway, gateway_with, give_back, one_of_each,
    published_abilities, publishes, publishes_to, request_start_with, small_config, zeros,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{
    abilities, connection, gone, message, open, open_websocket, pool, record, response_chunk, response_start, seen,
};

const RESPONSE_START: Duration = Duration::from_secs(300);
const WEBSOCKET_OPEN: Duration = Duration::from_secs(15);
const WEBSOCKET_CLOSE: Duration = Duration::from_secs(10);

fn one_microsecond() -> Duration {
    Duration::from_micros(1)
}

/// The keys and codes of the requests that failed; nothing else happened.
#[track_caller]
fn failed(story: &mut Story<Gateway>) -> Vec<(RequestKey, FailureCode)> {
    let failed = |action| match action {
        Action::Failed { key, failure } => (key, failure.code),
        other => panic!("{other:?}"),
    };
    story.actions().into_iter().map(failed).collect()
}

#[test]
fn an_answer_must_begin_within_its_deadline() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.expect_timeout(Some(Time::ZERO + RESPONSE_START));
    story.passes_in_silence_until(RESPONSE_START);
    story.expect_failed(asked, FailureCode::ResponseStartTimeout, [aborts(asked, 1)]);
    story.hears(asked, 0, response_start(200, None, false)).expect([]).ends();
}

#[test]
fn an_answer_just_before_its_deadline_is_one_and_then_none_is_left() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.passes(RESPONSE_START - one_microsecond()).expect([]);
    story.hears(asked, 0, response_start(200, None, true));
    assert_eq!(story.actions().len(), 1);
    // What is open and streams has no deadline.
    story.expect_no_deadline().long_after().expect([]);
    story.hears(asked, 1, response_chunk(b"", true));
    assert_eq!(story.actions().len(), 1);
    story.ends();
}

#[test]
fn a_collected_body_has_its_answers_deadline_from_its_end() {
    let mut story = gateway_with(small_config(), published_abilities());
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.expect_no_deadline().long_after().input(chunk(asked.key, zeros(1), true));
    assert_eq!(story.actions().len(), 1);
    story.passes_in_silence_until(RESPONSE_START);
    story.expect_failed(asked, FailureCode::ResponseStartTimeout, [aborts(asked, 1)]).ends();
}

#[test]
fn a_websocket_must_be_taken_within_its_deadline() {
    let mut story = gateway();
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.passes_in_silence_until(WEBSOCKET_OPEN);
    let close = closes(asked, 1, FailureCode::WebSocketOpenTimeout);
    story.expect_failed(asked, FailureCode::WebSocketOpenTimeout, [close]).ends();
}

#[test]
fn a_websocket_taken_just_before_its_deadline_is_open() {
    let mut story = gateway();
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.passes(WEBSOCKET_OPEN - one_microsecond()).expect([]);
    story.hears(asked, 0, Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false }));
    story.expect([Action::WebSocketOpened { key: asked.key }]).expect_no_deadline().long_after().expect([]);
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}

#[test]
fn a_close_overtakes_the_messages_before_it_at_its_deadline() {
    let mut story = gateway_with(small_config(), abilities(10));
    let asked = closing(&mut story);
    story.passes_in_silence_until(WEBSOCKET_CLOSE);
    let close = to_client::Kind::WebSocketClose(Close::abnormal().into_wire());
    story.expect([publishes(asked, 2, close)]).ends();
}

#[test]
fn deadlines_fall_due_in_the_order_of_their_openings() {
    let mut story = gateway();
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(story.opens(open("GET", "/", Body::None)));
        story.actions();
        story.passes(Duration::from_secs(1)).expect([]);
    }
    story.hears(asked[1], 0, response_start(200, None, false)).actions();
    story.expect_timeout(Some(Time::ZERO + RESPONSE_START));
    // A tick that comes late finds both.
    story.long_after();
    let keys: Vec<_> = story
        .actions()
        .into_iter()
        .filter_map(|action| if let Action::Failed { key, .. } = action { Some(key) } else { None })
        .collect();
    assert_eq!(keys, [asked[0].key, asked[2].key]);
    story.ends();
}

#[test]
fn actions_that_wait_are_due_at_once() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.expect_timeout(Some(Time::ZERO));
    story.actions();
    story.expect_timeout(Some(Time::ZERO + RESPONSE_START));
    story.input(Event::ClientGone { key: asked.key }).expect_timeout(Some(Time::ZERO)).actions();
    story.ends();
}

#[test]
fn a_start_that_finds_nobody_is_a_lost_runner() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    let start = story.actions().remove(0);
    story.input(give_back(start, PublishError::NoResponders)).expect_failed(asked, FailureCode::RunnerLost, []);
    assert_eq!(story.machine.stats().publish_failed, 1);
    story.ends();
}

#[test]
fn a_piece_that_the_bus_refuses_fails_its_request_and_tells_its_handler() {
    for reason in [PublishError::Full, PublishError::TooLarge, PublishError::Disconnected] {
        let mut story = gateway();
        let asked = story.opens(open("GET", "/", Body::None));
        let start = story.actions().remove(0);
        let neighbour = story.opens(open("GET", "/", Body::None));
        story.actions();
        // The runner never heard of it, and need not be told.
        story.input(give_back(start, reason)).expect_failed(asked, FailureCode::BusLost, []);
        story.hears(neighbour, 0, response_start(200, None, false));
        assert_eq!(story.actions().len(), 1);

        let socket = story.opens_websocket();
        let text = to_client::Kind::WebSocketMessage(message(b"lost", false));
        let close = closes(socket, 1, FailureCode::BusLost);
        story.input(give_back(publishes(socket, 1, text), reason)).expect_failed(socket, FailureCode::BusLost, [close]);
        story.ends();
    }
}

#[test]
fn a_refused_publication_that_is_no_piece_of_a_request_only_counts() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    let Some(Action::Publish(mut publication)) = story.actions().pop() else { unreachable!() };
    let start = publication.clone();
    publication.frame = publication.frame.skip(1);
    story.input(Event::PublishFailed(Rejected { publication, reason: PublishError::Full })).expect([]);
    assert_eq!((story.machine.stats().publish_failed, story.machine.stats().open), (1, 1));
    story.input(Event::PublishFailed(Rejected { publication: start, reason: PublishError::Full }));
    story.expect_failed(asked, FailureCode::BusLost, []).ends();
}

#[test]
fn where_nobody_listens_all_requests_are_lost_and_elsewhere_none() {
    let mut story = gateway();
    story.input(Event::Directory(seen("b", record(2, abilities(1_000), RunnerState::Full)))).expect([]);
    let asked = one_of_each(&mut story);
    story.input(Event::NoResponders { to: connection(2) }).expect([]);
    story.input(Event::NoResponders { to: connection(3) }).expect([]);
    story.input(Event::NoResponders { to: connection(1) });
    assert_eq!(failed(&mut story), asked.map(|asked| (asked.key, FailureCode::RunnerLost)));
    story.ends();
}

#[test]
fn when_a_runner_is_gone_its_requests_are_lost_and_new_ones_wait_for_one_that_comes_back() {
    let away = {
        let mut away = record(1, abilities(1_000), RunnerState::Ready);
        away.connection = None;
        away
    };
    for (change, comes_back) in [(gone("a"), false), (seen("a", away), true)] {
        let mut story = gateway();
        let asked = one_of_each(&mut story);
        story.input(Event::Directory(change));
        assert_eq!(failed(&mut story), asked.map(|asked| (asked.key, FailureCode::RunnerLost)));
        assert_eq!(story.machine.ready_runners(&pool()), 0);
        if comes_back {
            finds_nobody_ready(&mut story);
        } else {
            assert_eq!(story.refuses(open("GET", "/", Body::None)).code, FailureCode::NoRunner);
        }
        story.ends();
    }
}

#[test]
fn when_a_record_names_another_connection_the_requests_of_the_old_one_are_lost_and_new_ones_go_to_the_new() {
    let mut story = gateway();
    let asked = one_of_each(&mut story);
    story.input(Event::Directory(seen("a", record(2, abilities(1_000), RunnerState::Ready))));
    assert_eq!(failed(&mut story), asked.map(|asked| (asked.key, FailureCode::RunnerLost)));
    let next = story.opens(open("GET", "/", Body::None));
    story.expect([publishes_to(2, next, 0, request_start_with("GET", None, false))]);
    // Nobody listens at the old one: that is no news.
    story.input(Event::NoResponders { to: connection(1) }).expect([]);
    story.hears(next, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn a_runner_that_is_full_or_drains_keeps_its_requests_and_gets_no_more_until_it_is_ready() {
    for state in [RunnerState::Full, RunnerState::Draining] {
        let mut story = gateway();
        let asked = story.opens(open("GET", "/", Body::None));
        story.actions();
        story.input(Event::Directory(seen("a", record(1, abilities(1_000), state)))).expect([]);
        finds_nobody_ready(&mut story);
        story.hears(asked, 0, response_start(200, None, false));
        assert_eq!(story.actions().len(), 1);
        story.input(Event::Directory(seen("a", record(1, abilities(1_000), RunnerState::Ready)))).expect([]);
        let next = story.opens(open("GET", "/", Body::None));
        story.actions();
        story.hears(next, 0, response_start(200, None, false)).actions();
        story.ends();
    }
}

#[test]
fn a_record_that_says_the_same_again_changes_nothing() {
    let mut story = gateway();
    let asked = one_of_each(&mut story);
    story.input(Event::Directory(seen("a", record(1, abilities(1 << 20), RunnerState::Ready)))).expect([]);
    story.input(Event::Directory(gone("b"))).expect([]);
    assert_eq!(story.machine.stats().open, asked.len());
    story.input(Event::Directory(gone("a"))).actions();
    story.ends();
}

#[test]
fn what_a_runner_can_do_is_settled_when_a_request_opens() {
    let mut story = gateway();
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    let none = Abilities { streams: false, ..abilities(1 << 20) };
    story.input(Event::Directory(seen("a", record(1, none, RunnerState::Ready)))).expect([]);
    story.input(chunk(asked.key, zeros(1), true));
    assert_eq!(story.actions().len(), 1, "the body still streams");
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn a_client_that_goes_away_is_told_of_at_the_handler_and_hears_nothing_more() {
    let mut story = gateway();
    let [waiting, responding, asking, socket] = one_of_each(&mut story);
    let abnormal = || to_client::Kind::WebSocketClose(Close::abnormal().into_wire());
    for (asked, told) in [
        (waiting, aborts(waiting, 1)),
        (responding, aborts(responding, 1)),
        (asking, publishes(asking, 1, abnormal())),
        (socket, publishes(socket, 1, abnormal())),
    ] {
        story.input(Event::ClientGone { key: asked.key }).expect([told]);
        story.input(Event::ClientGone { key: asked.key }).expect([]);
    }
    assert_eq!(story.machine.stats().client_gone, 4);
    story.ends();
}

#[test]
fn a_client_that_closed_and_then_goes_away_still_has_its_messages_delivered() {
    let mut story = gateway_with(small_config(), abilities(10));
    let asked = closing(&mut story);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    let second = to_client::Kind::WebSocketMessage(to_client::WebSocketMessage { data: zeros(10), binary: true });
    let close = to_client::Kind::WebSocketClose(Close::new(1000, "").into_wire());
    story.hears(asked, 0, Kind::Credit(credit(64))).expect([publishes(asked, 2, second), publishes(asked, 3, close)]);
    story.ends();
}

/// What ends a request, and what is expected of it.
type Ending = fn(&mut Story<Gateway>, Asked);

/// A client that has closed its WebSocket has its end: nothing may come behind it.
#[test]
fn a_client_that_closed_hears_nothing_more_whatever_ends_its_request() {
    let ends: [(&str, Ending); 8] = [
        ("the handler closes", |story, asked| {
            let close = to_server::WebSocketClose { code: Some(1000), reason: None, hibernate: false };
            story.hears(asked, 1, Kind::WebSocketClose(close)).expect([]);
        }),
        ("the handler aborts", |story, asked| {
            story.hears(asked, 1, Kind::ResponseAbort).expect([]);
        }),
        ("the runner is gone", |story, _| {
            story.input(Event::Directory(gone("a"))).expect([]);
        }),
        ("nobody listens", |story, _| {
            story.input(Event::NoResponders { to: connection(1) }).expect([]);
        }),
        ("the bus gives the last message back, for nobody listens", |story, asked| {
            let sent = to_client::Kind::WebSocketMessage(to_client::WebSocketMessage { data: zeros(10), binary: true });
            story.input(give_back(publishes(asked, 1, sent), PublishError::NoResponders)).expect([]);
        }),
        ("the bus gives the last message back, for it is full", |story, asked| {
            let sent = to_client::Kind::WebSocketMessage(to_client::WebSocketMessage { data: zeros(10), binary: true });
            story.input(give_back(publishes(asked, 1, sent), PublishError::Full));
            story.expect([closes(asked, 2, FailureCode::BusLost)]);
        }),
        ("a message is lost", |story, asked| {
            story.hears(asked, 2, Kind::WebSocketMessage(message(b"x", false)));
            story.expect([closes(asked, 2, FailureCode::MessageLost)]);
        }),
        ("the runner speaks out of turn", |story, asked| {
            story.hears(asked, 1, response_start(200, None, false));
            story.expect([closes(asked, 2, FailureCode::RunnerFailed)]);
        }),
    ];
    for (what, end) in ends {
        let mut story = gateway_with(small_config(), abilities(10));
        let asked = closing(&mut story);
        end(&mut story, asked);
        let stats = story.machine.stats();
        assert_eq!((stats.open, stats.client_gone, stats.failed), (0, 1, 0), "{what}");
        story.ends();
    }
}

#[test]
fn what_the_handler_sends_to_a_client_that_closed_is_dropped() {
    let mut story = gateway_with(small_config(), abilities(10));
    let asked = closing(&mut story);
    story.hears(asked, 1, Kind::WebSocketMessage(message(b"late", false))).expect([]);
    story.hears(asked, 2, Kind::WebSocketMessageAck(to_server::WebSocketMessageAck { index: 1 })).expect([]);
    assert_eq!(story.machine.stats().out_of_turn, 0);
    story.hears(asked, 3, Kind::ResponseAbort).expect([]).ends();
}

#[test]
fn the_deadlines_are_those_of_the_configuration() {
    let second = Duration::from_secs(1);
    let config = Config { response_start: second, websocket_open: second, websocket_close: second, ..small_config() };
    let mut story = gateway_with(config, abilities(10));
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.passes_in_silence_until(second);
    story.expect_failed(asked, FailureCode::ResponseStartTimeout, [aborts(asked, 1)]);
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.passes_in_silence_until(second);
    let close = closes(asked, 1, FailureCode::WebSocketOpenTimeout);
    story.expect_failed(asked, FailureCode::WebSocketOpenTimeout, [close]);
    closing(&mut story);
    story.passes_in_silence_until(second);
    assert_eq!(story.actions().len(), 1);
    story.ends();
}
