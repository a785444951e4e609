//! What handlers do: answer whole or in chunks, take, send, close, fail.

use bytes::Bytes;
use underpass_core::http::{Body, Close, Message, ResponseHead};
use underpass_core::protocol::Dialect;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::runner::{Action, Event};
use underpass_core::{Machine, RequestKey, Runner};
use underpass_tests::given::gateway::{credit, zeros};
use underpass_tests::given::runner::{answers, answers_close, of, ready_with, runner, small_config};
use underpass_tests::story::Story;
use underpass_tests::wire::{headers, message, request_chunk, status};

fn in_dialect(dialect: Dialect) -> Story<Runner> {
    ready_with(small_config(1_000), dialect)
}

fn start(key: RequestKey, body: Body) -> Event {
    Event::ResponseStart { key, head: status(200), body }
}

fn chunk(key: RequestKey, bytes: Bytes, finish: bool) -> Event {
    Event::ResponseChunk { key, bytes, finish }
}

fn start_sent(body: Option<Bytes>, stream: bool) -> Answer {
    Answer::ResponseStart(to_server::ResponseStart { status: 200, headers: headers(&[]), body, stream })
}

fn chunk_sent(bytes: Bytes, finish: bool) -> Answer {
    Answer::ResponseChunk(to_server::ResponseChunk { body: bytes, finish })
}

#[test]
fn an_answer_goes_whole_up_to_a_chunk() {
    for dialect in [Dialect::Underpass, Dialect::Published] {
        let bodies = [
            (Body::None, None),
            (Body::Whole(Bytes::new()), Some(Bytes::new())),
            (Body::Whole(zeros(10)), Some(zeros(10))),
        ];
        for (body, sent) in bodies {
            let mut story = in_dialect(dialect);
            let key = story.is_asked(1);
            story.input(start(key, body)).expect([answers(of(1, 0), start_sent(sent, false))]);
            assert_eq!(story.machine.stats().answered, 1);
            story.drains_and_ends();
        }
    }
}

#[test]
fn the_head_of_an_answer_goes_as_the_handler_made_it() {
    let mut story = runner();
    let key = story.is_asked(1);
    let fields = headers(&[("set-cookie", "a\nb"), ("x", "")]);
    let head = ResponseHead { status: 418, headers: fields.clone() };
    story.input(Event::ResponseStart { key, head, body: Body::None });
    let sent = to_server::ResponseStart { status: 418, headers: fields, body: None, stream: false };
    story.expect([answers(of(1, 0), Answer::ResponseStart(sent))]);
    story.drains_and_ends();
}

#[test]
fn the_fields_of_an_answer_may_have_so_many_bytes_and_no_more() {
    const BYTES: &str = match std::str::from_utf8(&[b'x'; 97]) {
        Ok(bytes) => bytes,
        Err(_) => "",
    };
    for (value, fits) in [(&BYTES[1..], true), (BYTES, false)] {
        let mut story = in_dialect(Dialect::Underpass);
        let key = story.is_asked(1);
        let fields = headers(&[("name", value)]);
        let head = ResponseHead { status: 200, headers: fields.clone() };
        story.input(Event::ResponseStart { key, head, body: Body::None });
        let sent = to_server::ResponseStart { status: 200, headers: fields, body: None, stream: false };
        story.expect([answers(of(1, 0), if fits { Answer::ResponseStart(sent) } else { Answer::ResponseAbort })]);
        story.drains_and_ends();
    }
}

#[test]
fn a_large_answer_goes_in_chunks_to_a_relay_of_underpass() {
    let mut story = in_dialect(Dialect::Underpass);
    let key = story.is_asked(1);
    story.input(start(key, Body::Whole(zeros(25)))).expect([
        answers(of(1, 0), start_sent(None, true)),
        answers(of(1, 1), chunk_sent(zeros(10), false)),
        answers(of(1, 2), chunk_sent(zeros(10), false)),
        answers(of(1, 3), chunk_sent(zeros(5), true)),
    ]);
    story.drains_and_ends();
}

#[test]
fn a_large_answer_goes_whole_to_a_relay_of_the_published_protocol_up_to_the_limit() {
    let mut story = in_dialect(Dialect::Published);
    let key = story.is_asked(1);
    story.input(start(key, Body::Whole(zeros(100)))).expect([answers(of(1, 0), start_sent(Some(zeros(100)), false))]);
    let key = story.is_asked(2);
    story.input(start(key, Body::Whole(zeros(101)))).expect([answers(of(2, 0), Answer::ResponseAbort)]);
    assert_eq!((story.machine.stats().answered, story.machine.stats().failed), (1, 1));
    story.drains_and_ends();
}

#[test]
fn a_streamed_answer_goes_on_as_it_comes_to_a_relay_of_underpass() {
    let mut story = in_dialect(Dialect::Underpass);
    let key = story.is_asked(1);
    story.input(start(key, Body::Stream)).expect([answers(of(1, 0), start_sent(None, true))]);
    story.input(chunk(key, zeros(3), false)).expect([answers(of(1, 1), chunk_sent(zeros(3), false))]);
    story.input(chunk(key, Bytes::new(), false)).expect([]);
    let cut = [answers(of(1, 2), chunk_sent(zeros(10), false)), answers(of(1, 3), chunk_sent(zeros(1), false))];
    story.input(chunk(key, zeros(11), false)).expect(cut);
    story.input(chunk(key, Bytes::new(), true)).expect([answers(of(1, 4), chunk_sent(Bytes::new(), true))]);
    assert_eq!(story.machine.stats().answered, 1);
    story.drains_and_ends();
}

#[test]
fn a_streamed_answer_is_collected_for_a_relay_of_the_published_protocol() {
    let mut story = in_dialect(Dialect::Published);
    let key = story.is_asked(1);
    story.input(start(key, Body::Stream)).expect([]);
    story.input(chunk(key, zeros(60), false)).expect([]);
    story.input(chunk(key, zeros(40), true)).expect([answers(of(1, 0), start_sent(Some(zeros(100)), false))]);
    let key = story.is_asked(2);
    story.input(start(key, Body::Stream)).expect([]);
    story.input(chunk(key, Bytes::new(), true)).expect([answers(of(2, 0), start_sent(Some(Bytes::new()), false))]);
    story.drains_and_ends();
}

#[test]
fn a_collected_answer_over_the_limit_fails() {
    let mut story = in_dialect(Dialect::Published);
    let key = story.is_asked(1);
    story.input(start(key, Body::Stream)).expect([]);
    story.input(chunk(key, zeros(100), false)).expect([]);
    story.input(chunk(key, zeros(1), true)).expect([answers(of(1, 0), Answer::ResponseAbort)]);
    story.input(chunk(key, zeros(1), true)).expect([]);
    story.drains_and_ends();
}

#[test]
fn to_a_relay_of_the_published_protocol_no_credit_is_granted() {
    let mut story = in_dialect(Dialect::Published);
    let key = story.is_asked_with_stream(1);
    story.asks(of(1, 1), request_chunk(&[0; 10], true)).actions();
    story.input(Event::Consumed { key, bytes: 10 }).expect([]);
    story.input(start(key, Body::None)).actions();
    let key = story.opens_websocket(2);
    for number in 1..=100 {
        story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(100)) });
        let sent = Answer::WebSocketMessage(underpass_core::protocol::tunnel::to_client::WebSocketMessage {
            data: zeros(100),
            binary: true,
        });
        story.expect([answers(of(2, number), sent)]);
    }
    story.asks(of(2, 9), Piece::RequestAbort).actions();
    story.drains_and_ends();
}

#[test]
fn what_the_handler_consumed_is_granted_in_quarters_until_the_body_has_ended() {
    let mut story = ready_with(small_config(1_000), Dialect::Underpass);
    let key = story.is_asked_with_stream(1);
    // Each counts for 64 bytes.
    for number in 1..=9 {
        story.asks(of(1, number), request_chunk(&[0; 10], false)).actions();
    }
    let grants = |total| answers(of(1, 0), Answer::Credit(credit(total)));
    story.input(Event::Consumed { key, bytes: 39 }).expect([]);
    story.input(Event::Consumed { key, bytes: 1 }).expect([grants(4 * 64)]);
    story.input(Event::Consumed { key, bytes: 40 }).expect([grants(8 * 64)]);
    story.asks(of(1, 10), request_chunk(&[0; 10], true)).actions();
    // Nobody sends any more.
    story.input(Event::Consumed { key, bytes: 20 }).expect([]);
    assert_eq!(story.machine.stats().buffered, 0);
    // A grant takes no number.
    story.input(start(key, Body::None)).expect([answers(of(1, 0), start_sent(None, false))]);
    story.drains_and_ends();
}

#[test]
fn an_answer_before_the_end_of_the_body_tells_the_handler_that_no_more_comes() {
    for finished in [false, true] {
        let mut story = runner();
        let key = story.is_asked_with_stream(1);
        if finished {
            story.asks(of(1, 1), request_chunk(b"", true)).actions();
        }
        let aborted = (!finished).then_some(Action::Aborted { key });
        story.input(start(key, Body::None));
        story.expect([answers(of(1, 0), start_sent(None, false))].into_iter().chain(aborted));
        story.drains_and_ends();
    }
}

#[test]
fn a_handler_that_fails_breaks_its_answer_off_wherever_it_is() {
    let mut story = in_dialect(Dialect::Underpass);
    let key = story.is_asked(1);
    story.input(Event::HandlerFailed { key }).expect([answers(of(1, 0), Answer::ResponseAbort)]);
    let key = story.is_asked(2);
    story.input(start(key, Body::Stream)).actions();
    story.input(Event::HandlerFailed { key }).expect([answers(of(2, 1), Answer::ResponseAbort)]);
    let failed = || Close::new(1011, "runner_failed");
    let key = story.is_asked_for_websocket(3);
    story.input(Event::HandlerFailed { key }).expect([answers_close(of(3, 0), failed())]);
    let key = story.opens_websocket(4);
    story.input(Event::HandlerFailed { key }).expect([answers_close(of(4, 1), failed())]);
    story.input(Event::HandlerFailed { key }).expect([]);
    assert_eq!(story.machine.stats().failed, 4);
    story.drains_and_ends();

    let mut story = in_dialect(Dialect::Published);
    let key = story.is_asked(1);
    story.input(start(key, Body::Stream)).expect([]);
    story.input(Event::HandlerFailed { key }).expect([answers(of(1, 0), Answer::ResponseAbort)]);
    story.drains_and_ends();
}

#[test]
fn a_handler_refuses_a_websocket_by_closing_it() {
    let mut story = runner();
    let key = story.is_asked_for_websocket(1);
    let close = Close::new(4003, "not you");
    story.input(Event::WebSocketClose { key, close: close.clone() }).expect([answers_close(of(1, 0), close)]);
    assert_eq!(story.machine.stats().answered, 1);
    story.drains_and_ends();
}

#[test]
fn messages_and_close_of_a_handler_go_in_order() {
    let mut story = runner();
    let key = story.opens_websocket(1);
    for (number, text) in [(1, "one"), (2, ""), (3, "three")] {
        story.input(Event::WebSocketMessage { key, message: Message::Text(text.into()) });
        story.expect([answers(of(1, number), Answer::WebSocketMessage(message(text.as_bytes(), false)))]);
    }
    let close = Close { code: None, reason: None };
    story.input(Event::WebSocketClose { key, close: close.clone() }).expect([answers_close(of(1, 4), close)]);
    assert_eq!(story.machine.stats().answered, 1);
    story.drains_and_ends();
}

#[test]
fn a_handlers_message_over_the_limit_closes_1009_at_both_ends() {
    let mut story = in_dialect(Dialect::Underpass);
    let key = story.opens_websocket(1);
    story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(100)) });
    assert_eq!(story.actions().len(), 1);
    story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(101)) });
    let close = Close::new(1009, "message_too_large");
    story.expect([answers_close(of(1, 2), close.clone()), Action::WebSocketClose { key, close }]);
    story.drains_and_ends();
}

#[test]
fn what_is_said_of_a_request_that_has_ended_is_ignored() {
    let mut story = runner();
    let key = story.is_asked(1);
    story.input(start(key, Body::None)).actions();
    for event in [
        start(key, Body::None),
        chunk(key, zeros(1), true),
        Event::HandlerFailed { key },
        Event::WebSocketAccept { key, can_hibernate: false },
        Event::WebSocketMessage { key, message: Message::Text("".into()) },
        Event::WebSocketClose { key, close: Close::default() },
        Event::Consumed { key, bytes: 1 },
    ] {
        story.input(event).expect([]);
    }
    story.asks(of(1, 1), Piece::RequestAbort).expect([]);
    assert_eq!(story.machine.stats().late, 1);
    story.drains_and_ends();
}
