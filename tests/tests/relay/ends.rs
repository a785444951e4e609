//! Pieces that the bus refuses, and ends that it has yet to take.

use std::time::Duration;

use underpass_core::bus::PublishError;
use underpass_core::http::Close;
use underpass_core::protocol::to_gateway::RefusedReason;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::{MessageId, RequestId};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::{Machine, Relay};
use underpass_tests::given::gateway::credit;
use underpass_tests::given::relay::{
    answers_ping, calm, loses, names, of_another_gateway, of_request, publishes, refuses, relay, relay_with,
    sends_piece, start, tells_of_end, websocket_open,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{message, message_id, response_chunk, response_start};

const AGAIN: Duration = Duration::from_millis(250);
const GIVE_UP: Duration = Duration::from_secs(10);
const REFUSALS: [PublishError; 3] = [PublishError::Full, PublishError::TooLarge, PublishError::Disconnected];

fn patient() -> Config {
    let day = Duration::from_secs(86_400);
    Config { ping_interval: day, pong: 2 * day, ..calm() }
}

fn abort() -> Action {
    publishes(1, of_request(0), Answer::ResponseAbort)
}

/// What a gateway is told when the bus has refused a piece for it: that something is lost, or that it will never come.
fn told(reason: PublishError) -> Action {
    match reason {
        PublishError::TooLarge => abort(),
        PublishError::Full | PublishError::Disconnected | PublishError::Unsure | PublishError::NoResponders => {
            loses(1, of_request(0))
        }
    }
}

/// A relay with a route of which the bus refused a piece, and then the abort.
fn ending() -> Story<Relay> {
    let mut story = relay_with(patient());
    story.takes_in(1, "a");
    story.opens_route(of_request(0), start(None));
    let piece = response_start(200, None, true);
    story.answers(1, of_request(0), piece.clone()).actions();
    story.bus_refuses(publishes(1, of_request(0), piece), PublishError::TooLarge);
    story.expect([sends_piece(1, of_request(1), Piece::RequestAbort), abort()]);
    story.bus_refuses(abort(), PublishError::Full).expect([]);
    story
}

/// How many routes are open or ending, how many of them are ending, how often an end was told again, and how many were
/// given up.
fn counted(story: &Story<Relay>) -> (usize, usize, u64, u64) {
    let stats = story.machine.stats();
    (stats.routes, stats.ending, stats.aborts_retried, stats.aborts_given_up)
}

#[test]
fn a_piece_that_the_bus_refuses_ends_its_request_at_both_ends() {
    for reason in REFUSALS {
        let mut story = relay();
        story.opens_route(of_request(0), start(None));
        let piece = response_start(200, None, true);
        story.answers(1, of_request(0), piece.clone()).actions();
        story.bus_refuses(publishes(1, of_request(0), piece), reason);
        story.expect([sends_piece(1, of_request(1), Piece::RequestAbort), told(reason)]);
        let stats = story.machine.stats();
        assert_eq!((stats.publish_failed, stats.routes, stats.ends.bus_lost), (1, 0, 1));
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
    let credit = Piece::Credit(credit(1));
    story.asks(1, of_request(0), credit.clone()).expect([sends_piece(1, of_request(0), credit)]);
    let text = Answer::WebSocketMessage(message(b"y", false));
    story.answers(1, of_request(0), text.clone()).actions();
    story.bus_refuses(publishes(1, of_request(0), text), PublishError::TooLarge);
    let close = Piece::WebSocketClose(Close::new(1011, "bus_lost").into_wire());
    story.expect([sends_piece(1, of_request(3), close), abort()]);
    story.leaves_and_ends();
}

#[test]
fn an_end_that_the_bus_refuses_is_made_up_for_by_an_abort_at_the_gateway() {
    let closed = Answer::WebSocketClose(to_server::WebSocketClose { code: None, reason: None, hibernate: false });
    for (opening, end) in [
        (start(None), response_start(200, Some(b"body"), false)),
        (start(None), response_chunk(b"last", true)),
        (websocket_open(), closed),
    ] {
        let mut story = relay();
        story.opens_route(of_request(0), opening);
        story.answers(1, of_request(0), end.clone()).actions();
        story.bus_refuses(publishes(1, of_request(0), end), PublishError::TooLarge).expect([abort()]);
        story.leaves_and_ends();
    }
}

#[test]
fn an_abort_that_the_bus_refuses_is_told_again_every_quarter_of_a_second_for_ten_seconds() {
    let mut story = ending();
    for attempt in 0..39 {
        assert_eq!(counted(&story), (1, 1, attempt, 0));
        story.passes_in_silence_until(AGAIN).expect([abort()]);
        story.bus_refuses(abort(), REFUSALS[attempt as usize % 3]).expect([]);
    }
    story.passes_in_silence_until(AGAIN).expect([]);
    assert_eq!(counted(&story), (0, 0, 39, 1));
    story.leaves_and_ends();
}

#[test]
fn an_abort_that_does_not_come_back_until_the_next_would_be_due_is_out() {
    let mut story = ending();
    story.expect_timeout(Some(story.now() + AGAIN));
    story.passes_in_silence_until(AGAIN).expect([abort()]);
    assert_eq!(counted(&story), (1, 1, 1, 0));
    story.passes_in_silence_until(AGAIN).expect([]);
    assert_eq!(counted(&story), (0, 0, 1, 0));
    story.leaves_and_ends();
}

#[test]
fn an_abort_that_is_out_at_the_last_attempt_is_not_given_up() {
    let mut story = ending();
    for _ in 0..38 {
        story.passes(AGAIN).expect([abort()]);
        story.bus_refuses(abort(), PublishError::Full).expect([]);
    }
    story.passes(AGAIN).expect([abort()]);
    story.passes_in_silence_until(AGAIN).expect([]);
    assert_eq!(counted(&story), (0, 0, 39, 0));
    story.leaves_and_ends();
}

#[test]
fn a_clock_that_goes_an_hour_at_once_gives_an_end_up_once() {
    let mut story = ending();
    story.passes(Duration::from_secs(3_600)).expect([]);
    assert_eq!(counted(&story), (0, 0, 0, 1));
    story.leaves(1).ends();
}

#[test]
fn an_abort_of_the_runner_that_the_bus_refuses_is_told_again_too() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    story.answers(1, of_request(0), Answer::ResponseAbort).expect([abort()]);
    story.bus_refuses(abort(), PublishError::Disconnected).expect([]);
    assert_eq!(counted(&story), (1, 1, 0, 0));
    story.passes_in_silence_until(AGAIN).expect([abort()]);
    story.passes(AGAIN).expect([]);
    story.leaves_and_ends();
}

#[test]
fn a_route_that_is_ending_takes_nothing_and_carries_nothing() {
    let mut story = ending();
    for kind in [start(None), websocket_open(), Piece::RequestAbort, Piece::Credit(credit(1))] {
        story.asks(1, of_request(0), kind).expect([]);
    }
    story.answers(1, of_request(1), response_chunk(b"x", true)).expect([]);
    assert_eq!((counted(&story), story.machine.stats().late), ((1, 1, 0, 0), 5));
    // It is not named, and who asks for it hears of its end.
    story.gateway_pings(1, of_request(0), 1).expect([answers_ping(1, of_request(0), 1), abort()]);
    // More of it that the bus refuses is nothing new.
    let piece = publishes(1, of_request(1), response_chunk(b"x", false));
    story.bus_refuses(piece, PublishError::Full).expect([]);
    story.passes(GIVE_UP).expect([]);
    story.leaves_and_ends();
}

#[test]
fn an_end_is_told_also_when_its_connection_has_ended_meanwhile() {
    let mut story = ending();
    story.leaves(1);
    story.passes_in_silence_until(AGAIN).expect([abort()]);
    story.passes(AGAIN).expect([]);
    assert_eq!(counted(&story), (0, 0, 1, 0));
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn a_refused_piece_of_a_connection_that_has_ended_is_lost_to_the_gateway_alone() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let piece = response_start(200, None, true);
    story.answers(1, of_request(0), piece.clone()).actions();
    story.leaves(1);
    story.bus_refuses(publishes(1, of_request(0), piece), PublishError::Full);
    story.expect([told(PublishError::Full)]).ends();
}

#[test]
fn an_end_for_a_gateway_at_which_nobody_listens_is_forgotten() {
    let mut story = ending();
    story.passes(AGAIN).expect([abort()]);
    story.bus_refuses(abort(), PublishError::NoResponders).expect([]);
    assert_eq!((counted(&story), story.machine.stats().stale_gateway), ((0, 0, 1, 0), 1));
    story.leaves_and_ends();
}

#[test]
fn an_opening_that_comes_back_is_told_again_too() {
    let mut story = relay_with(Config { max_routes_per_connection: 1, ..patient() });
    story.takes_in(1, "a");
    story.opens_route(of_another_gateway(0), start(None));
    let refusal = || refuses(1, of_request(0), RefusedReason::Full);
    story.asks(1, of_request(0), start(None)).expect([refusal()]);
    story.bus_refuses(refusal(), PublishError::Full).expect([]);
    story.passes(AGAIN).expect([refusal()]);
    story.bus_refuses(refusal(), PublishError::Full).expect([]);
    // Once it was refused, it is: the runner does not get it, even if it could take it now.
    story.answers(1, of_another_gateway(0), Answer::ResponseAbort).actions();
    story.asks(1, of_request(0), start(None)).expect([]);
    story.passes(AGAIN).expect([refusal()]);
    // Where nobody listens it is not told again.
    story.bus_refuses(refusal(), PublishError::NoResponders).expect([]);
    assert_eq!(counted(&story), (0, 0, 2, 0));
    story.leaves_and_ends();
}

#[test]
fn ends_beyond_the_limit_are_given_up_at_once() {
    let mut story = relay_with(Config { max_ending: 1, ..patient() });
    story.takes_in(1, "a");
    let of = |request: u8| message_id(RequestId([request; 4]), 0);
    let aborts = |id: MessageId| publishes(1, id, Answer::ResponseAbort);
    for request in [1, 2] {
        story.opens_route(of(request), start(None));
        story.answers(1, of(request), Answer::ResponseAbort).expect([aborts(of(request))]);
        story.bus_refuses(aborts(of(request)), PublishError::Full).expect([]);
    }
    assert_eq!(counted(&story), (1, 1, 0, 1));
    story.passes(AGAIN).expect([aborts(of(1))]);
    story.leaves_and_ends();
}

#[test]
fn a_pong_a_route_or_a_connections_end_that_the_bus_refuses_only_counts() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let words = [answers_ping(1, of_request(0), 0), names(1, of_request(0)), tells_of_end(1, of_request(0))];
    for word in words {
        story.bus_refuses(word, PublishError::Full).expect([]);
    }
    assert_eq!((story.machine.stats().publish_failed, counted(&story)), (3, (1, 0, 0, 0)));
    story.leaves_and_ends();
}

#[test]
fn a_refused_piece_that_waits_behind_a_blocked_outbox_ends_there_in_order() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    story.input(Event::PeerBlocked { connection: 1 }).expect([]);
    let piece = publishes(1, of_request(0), response_start(200, None, true));
    story.bus_refuses(piece, PublishError::Disconnected).expect([told(PublishError::Disconnected)]);
    story.input(Event::PeerWritable { connection: 1 });
    story.expect([sends_piece(1, of_request(1), Piece::RequestAbort)]);
    story.leaves_and_ends();
}
