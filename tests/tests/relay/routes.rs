//! Routes: what opens them, what closes them, and what is made of frames that have none.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::http::Close;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, to_client::Kind as Piece};
use underpass_core::protocol::{GatewayId, MessageId, RequestId};
use underpass_core::relay::{Action, Config, Event, Notice};
use underpass_core::{Machine, Relay, Time};
use underpass_tests::given::gateway::credit;
use underpass_tests::given::relay::{
    closes, of_another_gateway, of_request, publishes, relay, relay_with, sends_piece, start, tells, websocket_open,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{message, message_id, request_chunk, response_chunk, response_start};

const TOMBSTONE: Duration = Duration::from_secs(60);

fn closed() -> Answer {
    Answer::WebSocketClose(to_server::WebSocketClose { code: Some(1000), reason: None, hibernate: false })
}

fn hibernating() -> Answer {
    Answer::WebSocketClose(to_server::WebSocketClose { code: None, reason: Some("zzz".into()), hibernate: true })
}

fn taken(can_hibernate: bool) -> Answer {
    Answer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate })
}

fn ack() -> Answer {
    Answer::WebSocketMessageAck(to_server::WebSocketMessageAck { index: 0 })
}

fn text() -> Answer {
    Answer::WebSocketMessage(message(b"text", false))
}

fn closes_at_runner() -> Piece {
    Piece::WebSocketClose(Close::new(1000, "bye").into_wire())
}

/// How many routes are open, how many tombstones stand, how many frames were late, and how many unrouted.
fn standing(story: &Story<Relay>) -> (usize, usize, u64, u64) {
    let stats = story.machine.stats();
    (stats.routes, stats.tombstones, stats.late, stats.unrouted)
}

#[test]
fn a_start_opens_a_route_and_so_does_a_websocket() {
    for opening in [start(None), start(Some(b"body")), websocket_open()] {
        let mut story = relay();
        story.opens_route(of_request(0), opening);
        assert_eq!(standing(&story), (1, 0, 0, 0));
        assert_eq!(story.machine.stats().opened, 1);
        story.answers(1, of_request(0), text()).expect([publishes(1, of_request(0), text())]);
        story.leaves_and_ends();
    }
}

#[test]
fn nothing_else_opens_a_route() {
    let others = [
        request_chunk(b"x", false),
        request_chunk(b"x", true),
        Piece::RequestAbort,
        Piece::WebSocketMessage(message(b"x", true)),
        closes_at_runner(),
        Piece::Credit(credit(1)),
    ];
    for other in others {
        let mut story = relay();
        story.asks(1, of_request(0), other.clone()).expect([]);
        assert_eq!(standing(&story), (0, 0, 0, 1), "{other:?}");
        story.answers(1, of_request(0), response_start(200, None, false)).expect([]);
        assert_eq!(standing(&story), (0, 0, 0, 2), "{other:?}");
        story.leaves_and_ends();
    }
}

#[test]
fn each_end_from_a_runner_closes_its_route_and_is_carried() {
    for (opening, end) in [
        (start(None), response_start(200, None, false)),
        (start(None), response_start(200, Some(b"body"), false)),
        (start(None), response_chunk(b"", true)),
        (start(None), response_chunk(b"last", true)),
        (start(None), Answer::ResponseAbort),
        (websocket_open(), closed()),
        (websocket_open(), hibernating()),
        (websocket_open(), Answer::ResponseAbort),
    ] {
        let mut story = relay();
        story.opens_route(of_request(0), opening);
        story.answers(1, of_request(0), end.clone()).expect([publishes(1, of_request(0), end.clone())]);
        assert_eq!(standing(&story), (0, 1, 0, 0), "{end:?}");
        // Whatever comes behind it is late, in both directions.
        story.answers(1, of_request(1), end.clone()).expect([]);
        story.asks(1, of_request(1), request_chunk(b"x", true)).expect([]);
        story.asks(1, of_request(1), Piece::RequestAbort).expect([]);
        assert_eq!(standing(&story), (0, 1, 3, 0), "{end:?}");
        story.leaves_and_ends();
    }
}

#[test]
fn nothing_else_from_a_runner_closes_a_route() {
    for (opening, other) in [
        (start(None), response_start(200, None, true)),
        (start(None), response_start(200, Some(b"body"), true)),
        (start(None), response_chunk(b"", false)),
        (start(None), Answer::Credit(credit(1))),
        (websocket_open(), taken(true)),
        (websocket_open(), taken(false)),
        (websocket_open(), text()),
        (websocket_open(), ack()),
    ] {
        let mut story = relay();
        story.opens_route(of_request(0), opening);
        for number in 0..2 {
            story.answers(1, of_request(number), other.clone());
            story.expect([publishes(1, of_request(number), other.clone())]);
        }
        assert_eq!(standing(&story), (1, 0, 0, 0), "{other:?}");
        story.leaves_and_ends();
    }
}

#[test]
fn an_abort_and_a_close_from_a_gateway_close_a_route_and_are_carried() {
    for (opening, end) in [(start(None), Piece::RequestAbort), (websocket_open(), closes_at_runner())] {
        let mut story = relay();
        story.opens_route(of_request(0), opening);
        story.asks(1, of_request(1), end.clone()).expect([sends_piece(1, of_request(1), end.clone())]);
        assert_eq!(standing(&story), (0, 1, 0, 0));
        story.answers(1, of_request(0), response_start(200, None, false)).expect([]);
        story.asks(1, of_request(2), end).expect([]);
        assert_eq!(standing(&story), (0, 1, 2, 0));
        story.leaves_and_ends();
    }
}

#[test]
fn nothing_else_from_a_gateway_closes_a_route() {
    for (opening, other) in [
        (start(None), request_chunk(b"x", false)),
        (start(None), request_chunk(b"", true)),
        (start(None), Piece::Credit(credit(1))),
        (websocket_open(), Piece::WebSocketMessage(message(b"x", true))),
    ] {
        let mut story = relay();
        story.opens_route(of_request(0), opening);
        story.asks(1, of_request(1), other.clone()).expect([sends_piece(1, of_request(1), other)]);
        assert_eq!(standing(&story), (1, 0, 0, 0));
        story.leaves_and_ends();
    }
}

#[test]
fn a_start_that_the_bus_brings_twice_is_carried_once() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    story.asks(1, of_request(0), start(None)).expect([]);
    assert_eq!((standing(&story), story.machine.stats().opened), ((1, 0, 0, 0), 1));
    story.asks(1, of_request(1), Piece::RequestAbort).expect([sends_piece(1, of_request(1), Piece::RequestAbort)]);
    story.asks(1, of_request(0), start(None)).expect([]);
    assert_eq!((standing(&story), story.machine.stats().opened), ((0, 1, 1, 0), 1));
    story.leaves_and_ends();
}

#[test]
fn a_closed_route_is_remembered_for_a_minute_and_then_its_frames_are_unrouted() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    story.answers(1, of_request(0), Answer::ResponseAbort).actions();
    story.leaves(1).expect_timeout(Some(Time::ZERO + TOMBSTONE));
    // A new connection of that runner is another one: nothing of the old counts there.
    story.takes_in(2, "a");
    story.answers(2, of_request(1), Answer::ResponseAbort).expect([]);
    assert_eq!(standing(&story), (0, 1, 0, 1));
    story.input(Event::Disconnected { connection: 2 }).expect_change(2);
    story.directory(2, underpass_core::directory::ChangeOutcome::Stored(underpass_core::directory::Revision(3)));
    story.passes_in_silence_until(TOMBSTONE);
    assert_eq!(standing(&story), (0, 0, 0, 1));
    story.ends();
}

#[test]
fn a_late_frame_just_before_the_minute_is_late_and_at_the_minute_unrouted() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    story.answers(1, of_request(0), Answer::ResponseAbort).actions();
    let alive = |story: &mut Story<Relay>, duration| {
        story.passes(duration).actions();
        story.says(1, underpass_tests::given::relay::pong()).expect([]);
    };
    for _ in 0..5 {
        alive(&mut story, Duration::from_secs(10));
    }
    alive(&mut story, Duration::from_micros(9_999_999));
    story.answers(1, of_request(1), Answer::ResponseAbort).expect([]);
    assert_eq!(standing(&story), (0, 1, 1, 0));
    alive(&mut story, Duration::from_micros(1));
    story.answers(1, of_request(1), Answer::ResponseAbort).expect([]);
    assert_eq!(standing(&story), (0, 0, 1, 1));
    story.leaves(1).ends();
}

#[test]
fn closed_routes_are_remembered_in_bounded_number_the_oldest_forgotten_first() {
    let mut story = relay_with(Config { max_tombstones: 2, ..Config::default() });
    story.takes_in(1, "a");
    let id = |request: u8, number| message_id(RequestId([request; 4]), number);
    for request in 1..=3 {
        story.opens_route(id(request, 0), start(None));
        story.answers(1, id(request, 0), Answer::ResponseAbort).actions();
    }
    for (request, late, unrouted) in [(1, 0, 1), (2, 1, 1), (3, 2, 1)] {
        story.answers(1, id(request, 1), Answer::ResponseAbort).expect([]);
        assert_eq!(standing(&story), (0, 2, late, unrouted));
    }
    story.leaves_and_ends();
}

#[test]
fn without_room_for_tombstones_all_that_is_late_is_unrouted() {
    let mut story = relay_with(Config { max_tombstones: 0, ..Config::default() });
    story.takes_in(1, "a");
    story.opens_route(of_request(0), start(None));
    story.answers(1, of_request(0), Answer::ResponseAbort).actions();
    story.answers(1, of_request(1), Answer::ResponseAbort).expect([]);
    assert_eq!(standing(&story), (0, 0, 0, 1));
    story.leaves(1).ends();
}

#[test]
fn an_opening_that_the_bus_brings_again_after_its_answer_is_late() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let answer = response_start(200, None, false);
    story.answers(1, of_request(0), answer.clone()).expect([publishes(1, of_request(0), answer)]);
    story.asks(1, of_request(0), start(None)).expect([]);
    assert_eq!(standing(&story), (0, 1, 1, 0));
    story.leaves_and_ends();
}

#[test]
fn a_frame_without_a_route_goes_nowhere_and_closes_nothing() {
    for answer in [
        response_start(200, None, false),
        response_start(200, None, true),
        response_chunk(b"x", true),
        Answer::ResponseAbort,
        taken(true),
        text(),
        ack(),
        closed(),
        Answer::Credit(credit(1)),
    ] {
        let mut story = relay();
        story.opens_route(of_request(0), start(None));
        // Another gateway's request of that id, another request of that gateway, a gateway that is none.
        let other = MessageId { request_id: RequestId([9; 4]), ..of_request(0) };
        let none = MessageId { gateway_id: GatewayId::ZERO, ..of_request(0) };
        for id in [of_another_gateway(0), other, none] {
            story.answers(1, id, answer.clone()).expect([]);
        }
        assert_eq!(standing(&story), (1, 0, 0, 3), "{answer:?}");
        story.leaves_and_ends();
    }
}

#[test]
fn a_runner_cannot_answer_over_the_route_of_another_connection() {
    let mut story = relay();
    story.takes_in(2, "b");
    story.opens_route(of_request(0), start(None));
    for answer in [response_start(200, None, false), Answer::ResponseAbort, closed()] {
        story.answers(2, of_request(0), answer).expect([]);
    }
    assert_eq!(standing(&story), (1, 0, 0, 3));
    let answer = response_start(200, None, false);
    story.answers(1, of_request(0), answer.clone()).expect([publishes(1, of_request(0), answer)]);
    story.input(Event::Disconnected { connection: 2 }).expect_change(2);
    story.directory(2, underpass_core::directory::ChangeOutcome::Stored(underpass_core::directory::Revision(3)));
    story.leaves_and_ends();
}

#[test]
fn requests_of_two_gateways_with_one_id_are_two() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None)).opens_route(of_another_gateway(0), start(None));
    let answer = response_start(200, None, false);
    let id = of_another_gateway(0);
    story.answers(1, id, answer.clone()).expect([publishes(1, id, answer)]);
    assert_eq!(standing(&story), (1, 1, 0, 0));
    story.leaves_and_ends();
}

#[test]
fn a_gateway_without_an_id_opens_no_route() {
    let mut story = relay();
    for kind in [start(None), websocket_open(), Piece::RequestAbort] {
        let id = MessageId { gateway_id: GatewayId::ZERO, ..of_request(0) };
        story.asks(1, id, kind).expect([]);
    }
    assert_eq!((standing(&story), story.machine.stats().malformed), ((0, 0, 0, 0), 3));
    story.leaves_and_ends();
}

#[test]
fn a_connection_is_closed_over_an_unrouted_frame_if_so_configured_and_not_over_a_late_one() {
    let mut story = relay_with(Config { close_over_unrouted: true, ..Config::default() });
    story.takes_in(1, "a");
    story.opens_route(of_request(0), start(None));
    story.answers(1, of_request(0), Answer::ResponseAbort).actions();
    story.answers(1, of_request(1), Answer::ResponseAbort).expect([]);
    // What a gateway sends is never a runner's fault.
    story.asks(1, of_another_gateway(0), request_chunk(b"x", true)).expect([]);
    story.answers(1, of_another_gateway(0), text());
    let mut actions = story.actions();
    assert!(matches!(actions.pop(), Some(Action::Directory { .. })));
    assert_eq!(actions, [tells(1, Notice::Unrouted(Some(of_another_gateway(0)))), closes(1, 1008, "relay.unrouted")]);
    story.directory(1, underpass_core::directory::ChangeOutcome::Stored(underpass_core::directory::Revision(3)));
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.passes(TOMBSTONE).ends();
}

#[test]
fn the_routes_of_a_connection_end_with_it_and_leave_nothing() {
    let mut story = relay();
    for request in 1..=5 {
        story.opens_route(message_id(RequestId([request; 4]), 0), start(None));
    }
    assert_eq!(standing(&story), (5, 0, 0, 0));
    story.leaves(1).ends();
}

#[test]
fn what_is_carried_to_a_runner_is_the_frame_of_the_bus_less_two_bytes_and_its_payload_is_shared() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let payload = Bytes::from(vec![7; 1_000]);
    let chunk = underpass_core::protocol::tunnel::to_client::RequestChunk { body: payload.clone(), finish: false };
    let piece = ToClientTunnelMessage { message_id: of_request(1), message_kind: Piece::RequestChunk(chunk) };
    let in_pieces = underpass_core::protocol::ToRunner::TunnelMessage(piece).encode_framed();
    let whole = underpass_core::Frame::from(in_pieces.clone().into_bytes());
    for (frame, shared) in [(in_pieces, payload.as_ptr()), (whole.clone(), whole.body()[2..].as_ptr())] {
        let bytes = frame.clone().into_bytes();
        story.input(Event::FromBus { connection: 1, frame });
        let actions = story.actions();
        let [Action::Send { connection: 1, frame }] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(frame.clone().into_bytes(), bytes[2..]);
        assert_eq!(frame.body().as_ptr(), shared, "the payload was copied");
    }
    story.leaves_and_ends();
}

#[test]
fn what_is_carried_to_a_gateway_is_the_message_behind_another_head_and_shares_its_bytes() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let chunk = to_server::ResponseChunk { body: vec![7; 1_000].into(), finish: true };
    let message = underpass_tests::wire::to_server(of_request(0), Answer::ResponseChunk(chunk)).into_bytes();
    story.input(Event::FromRunner { connection: 1, frame: message.clone() });
    let actions = story.actions();
    let [Action::Publish(publication)] = &actions[..] else { panic!("{actions:?}") };
    let expected = [&[7, 0, 1], &message[1..]].concat();
    assert_eq!(publication.frame.clone().into_bytes(), expected);
    assert_eq!(publication.frame.body().as_ptr(), message[1..].as_ptr(), "the message was copied");
    story.leaves_and_ends();
}

#[test]
fn what_only_its_receiver_can_judge_is_carried_as_it_is() {
    // Text that is not UTF-8, and two fields of one name: the gateway is the one to refuse them.
    let mut story = relay();
    story.opens_route(of_request(0), websocket_open());
    let bad = Answer::WebSocketMessage(message(&[0xff, 0xfe], false));
    story.answers(1, of_request(0), bad.clone()).expect([publishes(1, of_request(0), bad)]);
    let same = underpass_tests::wire::headers(&[("x", "1"), ("x", "2")]);
    let twice = Answer::ResponseStart(to_server::ResponseStart { status: 1, headers: same, body: None, stream: true });
    story.answers(1, of_request(1), twice.clone()).expect([publishes(1, of_request(1), twice)]);
    story.leaves_and_ends();
}
