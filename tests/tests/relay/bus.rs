//! What the bus brings besides pieces of requests, what it refuses, and what the relay answers in a runner's place.

use underpass_core::bus::{Publication, PublishError, Rejected};
use underpass_core::directory::{ChangeOutcome, Revision, RunnerState};
use underpass_core::failure::{Failure, RequestName};
use underpass_core::http::Close;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::{GatewayId, ToGateway, ToRunner, ToServer, to_gateway, to_runner};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::{FailureCode, Frame, Machine, Relay};
use underpass_tests::given::relay::{
    of_request, publishes, publishes_control, relay, relay_with, sends_piece, start, websocket_open,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{GATEWAY, message, request_chunk, response_chunk, response_start};

const REQUEST: underpass_core::protocol::RequestId = underpass_tests::given::relay::REQUEST;

fn failure(code: FailureCode, message: &'static str) -> Failure {
    let request = Some(RequestName { gateway_id: GATEWAY, request_id: REQUEST });
    Failure { code, message: message.into(), request }
}

/// What the relay answers instead of the runner.
fn refusals(code: FailureCode, message: &'static str) -> [(Piece, Answer); 2] {
    let failure = failure(code, message);
    let (head, body) = failure.http_answer();
    let (status, headers) = (head.status, head.headers);
    let start_refused =
        Answer::ResponseStart(to_server::ResponseStart { status, headers, body: Some(body), stream: false });
    let Close { code, reason } = failure.close();
    let websocket_refused = Answer::WebSocketClose(to_server::WebSocketClose { code, reason, hibernate: false });
    [(start(None), start_refused), (websocket_open(), websocket_refused)]
}

fn draining() -> [(Piece, Answer); 2] {
    refusals(FailureCode::Draining, "the runner takes nothing new")
}

#[test]
fn openings_are_refused_in_the_runners_place_until_it_is_ready() {
    let mut story = relay_with(Config::default());
    let refuses = |story: &mut Story<Relay>| {
        for (opening, refusal) in draining() {
            story.asks(1, of_request(0), opening).expect([publishes(1, of_request(0), refusal)]);
        }
    };
    story.registers(1, "a");
    refuses(&mut story);
    story.directory(1, ChangeOutcome::Stored(Revision(1))).actions();
    refuses(&mut story);
    assert_eq!((story.machine.stats().refused, story.machine.stats().routes), (4, 0));
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 1, None);
    story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]).ends();
}

#[test]
fn openings_are_refused_after_the_runners_goodbye_while_what_is_open_goes_on() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    story.says(1, ToServer::Stopping).expect_state(1, 2, Some(RunnerState::Draining));
    story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]);
    // One that is open comes twice: that is no opening.
    story.asks(1, of_request(0), start(None)).expect([]);
    let other = |number| underpass_tests::given::relay::of_another_gateway(number);
    story.asks(1, other(5), start(None));
    let actions = story.actions();
    assert!(matches!(&actions[..], [Action::Publish(_)]), "{actions:?}");
    let answer = response_start(200, None, false);
    story.answers(1, of_request(0), answer.clone()).expect([publishes(1, of_request(0), answer)]);
    // What was refused is no request: more of it has no route.
    story.asks(1, other(6), request_chunk(b"x", true)).expect([]);
    assert_eq!(story.machine.stats().unrouted, 1);
    story.leaves_and_ends();
}

#[test]
fn openings_are_refused_for_a_connection_that_is_being_closed() {
    let mut story = relay_with(Config::default());
    story.connects(1, "a").expect([]);
    story.bus_brings(1, ToRunner::Close).actions();
    for (opening, refusal) in draining() {
        story.asks(1, of_request(0), opening).expect([publishes(1, of_request(0), refusal)]);
    }
    story.asks(1, of_request(1), request_chunk(b"x", true)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
}

#[test]
fn openings_beyond_the_limit_of_a_connection_are_refused_as_overloaded() {
    let mut story = relay_with(Config { max_routes_per_connection: 1, ..Config::default() });
    story.takes_in(1, "a");
    let open = underpass_tests::given::relay::of_another_gateway(0);
    story.opens_route(open, start(None));
    for (opening, refusal) in refusals(FailureCode::Overloaded, "the runner has as many requests as it may") {
        story.asks(1, of_request(0), opening).expect([publishes(1, of_request(0), refusal)]);
    }
    // One that is open comes twice: that is no opening.
    story.asks(1, open, start(None)).expect([]);
    story.answers(1, open, Answer::ResponseAbort).expect([publishes(1, open, Answer::ResponseAbort)]);
    story.opens_route(of_request(0), start(None));
    assert_eq!(story.machine.stats().refused, 2);
    story.leaves_and_ends();
}

#[test]
fn a_ping_is_answered_and_for_a_request_without_a_route_an_abort_follows() {
    let mut story = relay();
    let ping = |ts| ToRunner::Ping(to_runner::Ping { gateway_id: GATEWAY, request_id: REQUEST, ts });
    let pong = |ts| {
        let pong = ToGateway::Pong(to_gateway::Pong { request_id: REQUEST, ts });
        publishes_control(1, of_request(0), pong)
    };
    let abort = || publishes(1, of_request(0), Answer::ResponseAbort);
    story.bus_brings(1, ping(-5)).expect([pong(-5), abort()]);
    story.opens_route(of_request(0), start(None));
    story.bus_brings(1, ping(7)).expect([pong(7)]);
    story.answers(1, of_request(0), Answer::ResponseAbort).actions();
    story.bus_brings(1, ping(8)).expect([pong(8), abort()]);
    story.leaves_and_ends();
}

#[test]
fn a_ping_of_a_gateway_without_an_id_is_not_answered() {
    let mut story = relay();
    let ping = to_runner::Ping { gateway_id: GatewayId::ZERO, request_id: REQUEST, ts: 0 };
    story.bus_brings(1, ToRunner::Ping(ping)).expect([]);
    assert_eq!(story.machine.stats().malformed, 1);
    story.leaves_and_ends();
}

#[test]
fn malformed_frames_of_the_bus_are_counted_and_cost_nobody_anything() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let Action::Publish(Publication { frame: for_a_gateway, .. }) =
        publishes(1, of_request(0), response_chunk(b"x", true))
    else {
        unreachable!()
    };
    let good = underpass_tests::wire::to_runner(1, of_request(1), request_chunk(b"x", true)).frame.into_bytes();
    let mut bad: Vec<Vec<u8>> = (0..good.len()).map(|length| good[..length].to_vec()).collect();
    bad.push([&good[..], &[0]].concat());
    bad.push([&[6, 0], &good[2..]].concat());
    bad.push([&[8, 0], &good[2..]].concat());
    bad.push([&good[..2], &[5], &good[3..]].concat());
    bad.push([&good[..good.len() - 1], &[2]].concat());
    bad.push(for_a_gateway.into_bytes().to_vec());
    let count = bad.len() as u64;
    for bytes in bad {
        story.input(Event::FromBus { connection: 1, frame: Frame::from(bytes::Bytes::from(bytes)) }).expect([]);
    }
    assert_eq!((story.machine.stats().malformed, story.machine.stats().routes), (count, 1));
    story.leaves_and_ends();
}

fn give_back(story: &mut Story<Relay>, publication: Action, reason: PublishError) {
    let Action::Publish(publication) = publication else { panic!("{publication:?} is no publication") };
    story.input(Event::PublishFailed(Rejected { publication, reason }));
}

#[test]
fn a_piece_that_the_bus_refuses_aborts_its_request_at_both_ends() {
    for reason in [PublishError::Full, PublishError::TooLarge] {
        let mut story = relay();
        story.opens_route(of_request(0), start(None));
        let piece = response_start(200, None, true);
        story.answers(1, of_request(0), piece.clone()).actions();
        give_back(&mut story, publishes(1, of_request(0), piece), reason);
        let abort = publishes(1, of_request(0), Answer::ResponseAbort);
        story.expect([sends_piece(1, of_request(1), Piece::RequestAbort), abort.clone()]);
        assert_eq!((story.machine.stats().publish_failed, story.machine.stats().routes), (1, 0));
        // The abort is refused, too: that was all that could be done.
        give_back(&mut story, abort, reason);
        story.expect([]);
        story.leaves_and_ends();
    }
}

#[test]
fn a_gateway_that_is_gone_or_out_of_reach_is_not_told() {
    for reason in [PublishError::NoResponders, PublishError::Disconnected] {
        let mut story = relay();
        story.opens_route(of_request(0), start(None));
        let piece = response_start(200, None, true);
        story.answers(1, of_request(0), piece.clone()).actions();
        give_back(&mut story, publishes(1, of_request(0), piece), reason);
        story.expect([sends_piece(1, of_request(1), Piece::RequestAbort)]);
        story.leaves_and_ends();
    }
}

#[test]
fn an_abort_in_a_gateways_place_bears_the_next_number_and_closes_a_websocket_1011() {
    let mut story = relay();
    story.opens_route(of_request(0), websocket_open());
    for number in [1, 2] {
        let text = Piece::WebSocketMessage(message(b"x", false));
        story.asks(1, of_request(number), text.clone()).expect([sends_piece(1, of_request(number), text)]);
    }
    // Credit takes no number.
    let credit = Piece::Credit(underpass_tests::given::gateway::credit(1));
    story.asks(1, of_request(0), credit.clone()).expect([sends_piece(1, of_request(0), credit)]);
    let text = Answer::WebSocketMessage(message(b"y", false));
    story.answers(1, of_request(0), text.clone()).actions();
    give_back(&mut story, publishes(1, of_request(0), text), PublishError::NoResponders);
    let close = Piece::WebSocketClose(Close::new(1011, "bus_lost").into_wire());
    story.expect([sends_piece(1, of_request(3), close)]);
    story.leaves_and_ends();
}

#[test]
fn an_end_that_the_bus_refuses_is_made_up_for_by_an_abort_at_the_gateway() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let end = response_start(200, Some(b"body"), false);
    story.answers(1, of_request(0), end.clone()).actions();
    give_back(&mut story, publishes(1, of_request(0), end), PublishError::TooLarge);
    story.expect([publishes(1, of_request(0), Answer::ResponseAbort)]);
    story.leaves_and_ends();
}

#[test]
fn a_pong_or_a_word_to_a_relay_that_the_bus_refuses_only_counts() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let pong = ToGateway::Pong(to_gateway::Pong { request_id: REQUEST, ts: 0 });
    give_back(&mut story, publishes_control(1, of_request(0), pong), PublishError::Full);
    story.expect([]);
    assert_eq!((story.machine.stats().publish_failed, story.machine.stats().routes), (1, 1));
    story.leaves_and_ends();
}

#[test]
fn a_refused_piece_of_a_connection_that_has_ended_aborts_at_the_gateway_alone() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let piece = response_start(200, None, true);
    story.answers(1, of_request(0), piece.clone()).actions();
    story.leaves(1);
    give_back(&mut story, publishes(1, of_request(0), piece), PublishError::Full);
    story.expect([publishes(1, of_request(0), Answer::ResponseAbort)]).ends();
}
