//! What comes from gateways: in turn, out of turn, with gaps, too much, too large.

use bytes::Bytes;
use underpass_core::failure::{Failure, RequestName};
use underpass_core::http::{Body, Close, Message, ResponseHead};
use underpass_core::protocol::Dialect;
use underpass_core::protocol::tunnel::to_client::{self, Kind as Piece};
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::runner::{Action, Config, Event};
use underpass_core::{FailureCode, Machine, RequestKey, Runner};
use underpass_tests::given::gateway::{credit, zeros};
use underpass_tests::given::relay::{start, websocket_open};
use underpass_tests::given::runner::{answers, answers_close, calm, of, ready_with, runner, small_config};
use underpass_tests::story::Story;
use underpass_tests::wire::{GATEWAY, headers, message, request_chunk, request_start, response_start, status};

fn small() -> Story<Runner> {
    ready_with(small_config(1_000), Dialect::Underpass)
}

fn text(bytes: &'static [u8]) -> Piece {
    Piece::WebSocketMessage(message(bytes, false))
}

fn client_closes() -> Piece {
    Piece::WebSocketClose(Close::new(4000, "bye").into_wire())
}

fn answer(story: &mut Story<Runner>, request: u8, key: RequestKey) {
    story.input(Event::ResponseStart { key, head: status(204), body: Body::None });
    assert_eq!(story.actions()[0], answers(of(request, 0), response_start(204, None, false)));
}

/// Both ends of an exchange break off.
fn breaks_off(request: u8, number: u16, key: RequestKey) -> [Action; 2] {
    [answers(of(request, number), Answer::ResponseAbort), Action::Aborted { key }]
}

/// Both ends of a WebSocket are closed for what was lost.
fn loses(request: u8, number: u16, key: RequestKey) -> [Action; 2] {
    closes_1011(request, number, key, "message_lost")
}

/// Both ends of a WebSocket are closed for what makes no sense.
fn fails(request: u8, number: u16, key: RequestKey) -> [Action; 2] {
    closes_1011(request, number, key, "runner_failed")
}

fn closes_1011(request: u8, number: u16, key: RequestKey, why: &'static str) -> [Action; 2] {
    let close = Close::new(1011, why);
    [answers_close(of(request, number), close.clone()), Action::WebSocketClose { key, close }]
}

#[test]
fn a_request_is_handed_over_as_it_comes() {
    let mut story = runner();
    let with_fields = Piece::RequestStart(to_client::RequestStart {
        actor_id: "someone".into(),
        method: "PATCH".into(),
        path: "/x?y".into(),
        headers: headers(&[("accept", "*/*"), ("cookie", "a=1; b=2")]),
        body: Some(Bytes::from_static(b"body")),
        stream: false,
    });
    for (request, opening) in [(1, with_fields), (2, start(None)), (3, start(Some(b"")))] {
        let key = story.is_handed(request, opening);
        answer(&mut story, request, key);
    }
    assert_eq!((story.machine.stats().opened, story.machine.stats().answered), (3, 3));
    story.drains_and_ends();
}

#[test]
fn a_streamed_body_is_handed_over_chunk_by_chunk_to_its_end() {
    let mut story = runner();
    story.asks(of(1, 0), request_start("POST", "/", Some(b"first"), true));
    let actions = story.actions();
    let [Action::Request { key, body: Body::Stream, .. }, first] = &actions[..] else { panic!("{actions:?}") };
    let key = *key;
    assert_eq!(*first, Action::RequestChunk { key, bytes: Bytes::from_static(b"first"), finish: false });
    story.asks(of(1, 1), request_chunk(b"second", false));
    story.expect([Action::RequestChunk { key, bytes: Bytes::from_static(b"second"), finish: false }]);
    story.asks(of(1, 2), request_chunk(b"", false)).expect([]);
    story.asks(of(1, 3), request_chunk(b"", true));
    story.expect([Action::RequestChunk { key, bytes: Bytes::new(), finish: true }]);
    story.input(Event::ResponseStart { key, head: status(204), body: Body::None });
    story.expect([answers(of(1, 0), response_start(204, None, false))]);
    story.drains_and_ends();
}

#[test]
fn a_websocket_is_handed_over_and_its_messages_and_close_follow() {
    let mut story = runner();
    let key = story.opens_websocket(1);
    story.asks(of(1, 1), text("é".as_bytes()));
    story.expect([Action::WebSocketMessage { key, number: 1, message: Message::Text("é".into()) }]);
    story.asks(of(1, 2), Piece::WebSocketMessage(message(&[0xff], true)));
    story.expect([Action::WebSocketMessage { key, number: 2, message: Message::Binary(Bytes::from_static(&[0xff])) }]);
    story.asks(of(1, 3), client_closes());
    story.expect([Action::WebSocketClose { key, close: Close::new(4000, "bye") }]);
    assert_eq!(story.machine.stats().aborted, 1);
    story.drains_and_ends();
}

#[test]
fn messages_before_a_handler_took_its_websocket_are_handed_over_too() {
    let mut story = runner();
    let key = story.is_asked_for_websocket(1);
    story.asks(of(1, 1), text(b"early"));
    story.expect([Action::WebSocketMessage { key, number: 1, message: Message::Text("early".into()) }]);
    story.asks(of(1, 2), client_closes());
    story.expect([Action::WebSocketClose { key, close: Close::new(4000, "bye") }]);
    story.drains_and_ends();
}

#[test]
fn a_client_that_gives_up_ends_its_request_in_any_state_and_whatever_the_number() {
    for number in [0, 1, 7, 40_000] {
        let mut story = runner();
        let key = story.is_asked(1);
        story.asks(of(1, number), Piece::RequestAbort).expect([Action::Aborted { key }]);
        let key = story.is_asked_with_stream(2);
        story.input(Event::ResponseStart { key, head: status(200), body: Body::Stream }).actions();
        story.asks(of(2, number), Piece::RequestAbort).expect([Action::Aborted { key }]);
        let key = story.is_asked_for_websocket(3);
        story.asks(of(3, number), Piece::RequestAbort);
        story.expect([Action::WebSocketClose { key, close: Close::abnormal() }]);
        let key = story.opens_websocket(4);
        story.asks(of(4, number), Piece::RequestAbort);
        story.expect([Action::WebSocketClose { key, close: Close::abnormal() }]);
        assert_eq!(story.machine.stats().aborted, 4);
        story.drains_and_ends();
    }
}

#[test]
fn pieces_of_requests_that_are_not_open_are_late_and_do_nothing() {
    let mut story = runner();
    let pieces =
        [request_chunk(b"x", true), Piece::RequestAbort, text(b"x"), client_closes(), Piece::Credit(credit(1))];
    for (late, piece) in (1..).zip(pieces) {
        story.asks(of(1, 0), piece).expect([]);
        assert_eq!(story.machine.stats().late, late);
    }
    story.drains_and_ends();
}

#[test]
fn a_gap_in_a_body_breaks_it_off_at_both_ends() {
    for number in [2, 3, 32_768] {
        let mut story = runner();
        let key = story.is_asked_with_stream(1);
        story.asks(of(1, number), request_chunk(b"x", false)).expect(breaks_off(1, 0, key));
        assert_eq!((story.machine.stats().gaps, story.machine.stats().failed), (1, 1));
        let key = story.opens_websocket(2);
        story.asks(of(2, number), text(b"x")).expect(loses(2, 1, key));
        let key = story.is_asked_for_websocket(3);
        story.asks(of(3, number), client_closes()).expect(loses(3, 0, key));
        story.drains_and_ends();
    }
}

#[test]
fn a_piece_that_comes_twice_is_dropped() {
    let mut story = runner();
    let key = story.is_asked_with_stream(1);
    story.asks(of(1, 1), request_chunk(b"x", false));
    assert_eq!(story.actions().len(), 1);
    for (number, piece) in [(0, start(None)), (1, request_chunk(b"x", true)), (65_535, request_chunk(b"x", false))] {
        story.asks(of(1, number), piece).expect([]);
    }
    assert_eq!(story.machine.stats().late, 3);
    story.asks(of(1, 2), request_chunk(b"", true));
    assert_eq!(story.actions().len(), 1);
    answer(&mut story, 1, key);
    story.drains_and_ends();
}

#[test]
fn numbers_wrap_in_both_directions() {
    let mut story = runner();
    let key = story.opens_websocket(1);
    for number in 1..=66_000_u32 {
        story.asks(of(1, number as u16), text(b""));
        story.expect([Action::WebSocketMessage { key, number: number as u16, message: Message::Text("".into()) }]);
        story.input(Event::WebSocketMessage { key, message: Message::Text("".into()) });
        story.expect([answers(of(1, number as u16), Answer::WebSocketMessage(message(b"", false)))]);
        story.asks(of(1, 0), Piece::Credit(credit(64 * number))).expect([]);
    }
    story.asks(of(1, 66_001_u32 as u16), client_closes());
    assert_eq!(story.actions().len(), 1);
    story.drains_and_ends();
}

#[test]
fn the_numbers_of_a_relay_of_the_published_protocol_are_not_judged() {
    let mut story = ready_with(calm(), Dialect::Published);
    let key = story.opens_websocket(1);
    for number in [9, 9, 0] {
        story.asks(of(1, number), text(b"x"));
        story.expect([Action::WebSocketMessage { key, number, message: Message::Text("x".into()) }]);
    }
    story.asks(of(1, 5), client_closes());
    assert_eq!(story.actions().len(), 1);
    story.drains_and_ends();
}

#[test]
fn what_makes_no_sense_breaks_its_request_off_at_both_ends() {
    for piece in [request_chunk(b"x", false), text(b"x"), client_closes(), start(None), websocket_open()] {
        let mut story = runner();
        let key = story.is_asked(1);
        story.asks(of(1, 1), piece).expect(breaks_off(1, 0, key));
        assert_eq!((story.machine.stats().malformed, story.machine.stats().failed), (1, 1));
        story.drains_and_ends();
    }
    for piece in [text(b"x"), client_closes(), start(None)] {
        let mut story = runner();
        let key = story.is_asked_with_stream(1);
        story.input(Event::ResponseStart { key, head: status(200), body: Body::Stream }).actions();
        story.asks(of(1, 1), piece).expect(breaks_off(1, 1, key));
        story.drains_and_ends();
    }
    for piece in [request_chunk(b"x", false), start(None), websocket_open()] {
        let mut story = runner();
        let key = story.opens_websocket(1);
        story.asks(of(1, 1), piece).expect(fails(1, 1, key));
        story.drains_and_ends();
    }
}

#[test]
fn a_chunk_behind_the_end_of_a_body_breaks_its_request_off() {
    let mut story = runner();
    let key = story.is_asked_with_stream(1);
    story.asks(of(1, 1), request_chunk(b"x", true));
    assert_eq!(story.actions().len(), 1);
    story.asks(of(1, 2), request_chunk(b"y", true)).expect(breaks_off(1, 0, key));
    story.drains_and_ends();
}

#[test]
fn a_text_that_is_not_utf_8_closes_its_websocket_at_both_ends() {
    let mut story = runner();
    let key = story.opens_websocket(1);
    story.asks(of(1, 1), text(&[0xff])).expect(fails(1, 1, key));
    story.drains_and_ends();
}

#[test]
fn more_than_may_be_held_of_a_request_breaks_it_off() {
    let bound = small_config(1).max_buffered;
    let chunk = |length| Piece::RequestChunk(to_client::RequestChunk { body: zeros(length), finish: false });
    let mut story = small();
    let key = story.is_asked_with_stream(1);
    story.asks(of(1, 1), chunk(bound));
    assert_eq!((story.actions().len(), story.machine.stats().buffered), (1, bound));
    story.asks(of(1, 2), chunk(1)).expect(breaks_off(1, 0, key));
    // What the handler consumed is not held.
    let key = story.is_asked_with_stream(2);
    for number in 1..=3 {
        story.asks(of(2, number), chunk(bound)).actions();
        story.input(Event::Consumed { key, bytes: bound }).actions();
    }
    story.asks(of(2, 0), Piece::RequestAbort).actions();
    story.drains_and_ends();
}

#[test]
fn a_message_over_the_limit_closes_its_websocket_1009_at_both_ends() {
    let mut story = small();
    let key = story.opens_websocket(1);
    let sized = |length| Piece::WebSocketMessage(to_client::WebSocketMessage { data: zeros(length), binary: true });
    story.asks(of(1, 1), sized(100));
    assert_eq!(story.actions().len(), 1);
    story.asks(of(1, 2), sized(101));
    let close = Close::new(1009, "message_too_large");
    story.expect([answers_close(of(1, 1), close.clone()), Action::WebSocketClose { key, close }]);
    story.drains_and_ends();
}

fn refusal(request: u8, code: FailureCode, message: &'static str) -> Failure {
    let request_id = underpass_core::protocol::RequestId([request; 4]);
    let request = Some(RequestName { gateway_id: GATEWAY, request_id });
    Failure { code, message: message.into(), request }
}

fn refused(failure: &Failure) -> Answer {
    let (ResponseHead { status, headers }, body) = failure.http_answer();
    Answer::ResponseStart(to_server::ResponseStart { status, headers, body: Some(body), stream: false })
}

#[test]
fn a_whole_body_over_the_limit_is_answered_413_and_the_handler_never_hears_of_it() {
    let mut story = small();
    let with_body = |length| {
        let Piece::RequestStart(start) = start(None) else { unreachable!() };
        Piece::RequestStart(to_client::RequestStart { body: Some(zeros(length)), ..start })
    };
    let key = story.is_handed(1, with_body(100));
    answer(&mut story, 1, key);
    let failure = refusal(2, FailureCode::BodyTooLarge, "the body is larger than the runner takes");
    story.asks(of(2, 0), with_body(101)).expect([answers(of(2, 0), refused(&failure))]);
    story.drains_and_ends();
}

#[test]
fn more_requests_than_it_may_have_are_answered_overloaded() {
    let mut story = ready_with(Config { max_requests: 1, ..calm() }, Dialect::Underpass);
    let key = story.is_asked(1);
    let failure = refusal(2, FailureCode::Overloaded, "the runner has as many requests open as it may");
    story.asks(of(2, 0), start(None)).expect([answers(of(2, 0), refused(&failure))]);
    story.asks(of(2, 0), websocket_open()).expect([answers_close(of(2, 0), failure.close())]);
    assert_eq!((failure.http_answer().0.status, failure.close().code), (503, Some(1013)));
    assert_eq!(story.machine.stats().refused, 2);
    // More of what was refused is late.
    story.asks(of(2, 1), request_chunk(b"x", true)).expect([]);
    assert_eq!(story.machine.stats().late, 1);
    answer(&mut story, 1, key);
    let key = story.is_asked(3);
    answer(&mut story, 3, key);
    story.drains_and_ends();
}

#[test]
fn requests_of_two_gateways_with_one_id_are_two() {
    let mut story = runner();
    let key = story.is_asked(1);
    let mut other = of(1, 0);
    other.gateway_id.0[0] ^= 1;
    story.asks(other, start(None));
    assert!(matches!(&story.actions()[..], [Action::Request { .. }]));
    story.asks(other, Piece::RequestAbort);
    assert_eq!(story.actions().len(), 1);
    answer(&mut story, 1, key);
    story.drains_and_ends();
}

#[test]
fn a_request_whose_id_comes_again_is_another() {
    let mut story = runner();
    let first = story.is_asked(1);
    answer(&mut story, 1, first);
    let second = story.is_asked(1);
    assert_ne!(first, second);
    story.input(Event::HandlerFailed { key: first }).expect([]);
    answer(&mut story, 1, second);
    story.drains_and_ends();
}
