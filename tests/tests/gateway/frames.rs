//! What comes from runners: in turn and out of turn, numbered, foreign, malformed, bad.

use bytes::Bytes;
use underpass_core::directory::Abilities;
use underpass_core::gateway::{Action, Event};
use underpass_core::http::{Body, ResponseHead};
use underpass_core::protocol::tunnel::to_server::{self, Kind};
use underpass_core::protocol::tunnel::{ToServerTunnelMessage, to_client};
use underpass_core::protocol::{GatewayId, MessageId, RequestId, ToGateway, to_gateway as control};
use underpass_core::{FailureCode, Frame, Gateway, Machine};
use underpass_tests::given::gateway::{
    Asked, aborts, closes, credit, gateway, gateway_with, published_abilities, publishes, small_config, zeros,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{
    abilities, headers, message, message_id, open, open_websocket, response_chunk, response_start, status, to_gateway,
};

fn taken() -> Kind {
    Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false })
}

fn closed(code: Option<u16>) -> Kind {
    Kind::WebSocketClose(to_server::WebSocketClose { code, reason: None, hibernate: false })
}

fn ack() -> Kind {
    Kind::WebSocketMessageAck(to_server::WebSocketMessageAck { index: 0 })
}

fn text() -> Kind {
    Kind::WebSocketMessage(message(b"text", false))
}

/// A request whose answer has begun, with message 0.
fn responding(story: &mut Story<Gateway>) -> Asked {
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    asked
}

#[test]
fn what_makes_no_sense_before_an_answer_fails_the_request_with_502() {
    for kind in [response_chunk(b"", true), taken(), text(), ack(), closed(None)] {
        let mut story = gateway();
        let asked = story.opens(open("GET", "/", Body::None));
        story.actions();
        story.hears(asked, 0, kind).expect_failed(asked, FailureCode::RunnerFailed, [aborts(asked, 1)]);
        assert_eq!(story.machine.stats().out_of_turn, 1);
        story.ends();
    }
}

#[test]
fn what_makes_no_sense_within_an_answer_breaks_it_off() {
    for kind in [response_start(200, None, false), taken(), text(), ack(), closed(None)] {
        let mut story = gateway();
        let asked = responding(&mut story);
        story.hears(asked, 1, kind).expect_failed(asked, FailureCode::RunnerFailed, [aborts(asked, 1)]);
        assert_eq!(story.machine.stats().out_of_turn, 1);
        story.ends();
    }
}

#[test]
fn what_makes_no_sense_for_a_websocket_fails_it() {
    for kind in [response_start(200, None, false), response_chunk(b"", true)] {
        let mut story = gateway();
        let asked = story.opens(open_websocket("/"));
        story.actions();
        let close = closes(asked, 1, FailureCode::RunnerFailed);
        story.hears(asked, 0, kind.clone()).expect_failed(asked, FailureCode::RunnerFailed, [close]);

        let asked = story.opens_websocket();
        let close = closes(asked, 1, FailureCode::RunnerFailed);
        story.hears(asked, 1, kind).expect_failed(asked, FailureCode::RunnerFailed, [close]);

        let asked = story.opens_websocket();
        let close = closes(asked, 1, FailureCode::RunnerFailed);
        story.hears(asked, 1, taken()).expect_failed(asked, FailureCode::RunnerFailed, [close]);
        assert_eq!(story.machine.stats().out_of_turn, 3);
        story.ends();
    }
}

#[test]
fn an_acknowledgement_of_a_websocket_message_changes_nothing() {
    let mut story = gateway();
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.hears(asked, 0, ack()).expect([]);
    story.hears(asked, 1, taken()).expect([Action::WebSocketOpened { key: asked.key }]);
    story.hears(asked, 2, ack()).expect([]);
    story.hears(asked, 3, closed(None));
    assert_eq!(story.actions().len(), 1);
    story.ends();
}

#[test]
fn nothing_can_be_answered_while_no_runner_knows_of_the_request() {
    for kind in [response_start(200, None, false), Kind::ResponseAbort, taken()] {
        let mut story = gateway_with(small_config(), published_abilities());
        let asked = story.opens(open("POST", "/", Body::Stream));
        story.hears(asked, 0, kind).expect([]);
        assert_eq!((story.machine.stats().stale, story.machine.stats().open), (1, 1));
        story.input(Event::ClientGone { key: asked.key }).expect([]).ends();
    }
}

#[test]
fn a_refused_websocket_fails_with_the_code_that_its_close_stands_for() {
    for (code, failure) in [
        (Some(1001), FailureCode::Draining),
        (Some(1013), FailureCode::Overloaded),
        (Some(1011), FailureCode::RunnerFailed),
        (Some(1000), FailureCode::RunnerFailed),
        (None, FailureCode::RunnerFailed),
    ] {
        let mut story = gateway();
        let asked = story.opens(open_websocket("/"));
        story.actions();
        story.hears(asked, 0, closed(code)).expect_failed(asked, failure, []);
        story.ends();
    }
}

#[test]
fn a_gap_in_the_numbers_of_an_answer_fails_it_with_message_lost() {
    for first in [1, 2, 32_767] {
        let mut story = gateway();
        let asked = story.opens(open("GET", "/", Body::None));
        story.actions();
        story.hears(asked, first, response_start(200, None, false));
        story.expect_failed(asked, FailureCode::MessageLost, [aborts(asked, 1)]);
        assert_eq!(story.machine.stats().gaps, 1);
        story.ends();
    }
    let mut story = gateway();
    let asked = responding(&mut story);
    story.hears(asked, 2, response_chunk(b"", true));
    story.expect_failed(asked, FailureCode::MessageLost, [aborts(asked, 1)]);
    let asked = story.opens_websocket();
    let close = closes(asked, 1, FailureCode::MessageLost);
    story.hears(asked, 2, text()).expect_failed(asked, FailureCode::MessageLost, [close]);
    story.ends();
}

#[test]
fn a_message_that_comes_twice_is_dropped() {
    let mut story = gateway();
    let asked = responding(&mut story);
    story.hears(asked, 0, response_start(200, None, true)).expect([]);
    story.hears(asked, 1, response_chunk(b"one", false));
    assert_eq!(story.actions().len(), 1);
    for number in [1, 0, u16::MAX, 32_770] {
        story.hears(asked, number, response_chunk(b"again", true)).expect([]);
    }
    assert_eq!((story.machine.stats().stale, story.machine.stats().gaps), (5, 0));
    story.hears(asked, 2, response_chunk(b"", true));
    assert_eq!(story.actions().len(), 1);
    story.ends();
}

#[test]
fn numbers_wrap_in_an_answer_of_more_than_sixty_five_thousand_chunks() {
    const CHUNKS: u32 = 70_000;
    let mut story = gateway();
    let asked = responding(&mut story);
    let key = asked.key;
    let mut granted = 0;
    for number in 1..=CHUNKS {
        story.hears(asked, number as u16, response_chunk(b"x", false));
        story.expect([Action::ResponseChunk { key, bytes: Bytes::from_static(b"x"), finish: false }]);
        // A quarter of the credit is 2¹⁸ bytes, and each chunk counts for 64.
        let consumed = 64 * number;
        let grant = publishes(asked, 0, to_client::Kind::Credit(credit(consumed)));
        let grant = (consumed - granted == 1 << 18).then_some(grant);
        granted = if grant.is_some() { consumed } else { granted };
        story.input(Event::Consumed { key, bytes: 1 }).expect(grant);
        if number % 10_000 == 0 {
            story.hears(asked, number as u16, response_chunk(b"x", false)).expect([]);
        }
    }
    story.hears(asked, (CHUNKS + 1) as u16, response_chunk(b"", true));
    story.expect([Action::ResponseChunk { key, bytes: Bytes::new(), finish: true }]).ends();
}

#[test]
fn numbers_wrap_in_a_request_of_more_than_sixty_five_thousand_chunks() {
    use underpass_tests::given::gateway::{chunk, chunk_sent};
    let mut story = gateway_with(small_config(), Abilities { credit: None, ..abilities(1) });
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    for number in 1..=66_000_u32 {
        story.input(chunk(asked.key, zeros(1), false));
        story.expect([publishes(asked, number as u16, chunk_sent(zeros(1), false))]);
    }
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn the_numbers_of_a_runner_that_does_not_number_are_not_judged() {
    let mut story = gateway_with(small_config(), published_abilities());
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(asked, 7, response_start(200, None, true));
    assert_eq!(story.actions().len(), 1);
    for number in [7, 0, 65_535] {
        story.hears(asked, number, response_chunk(b"x", false));
        assert_eq!(story.actions().len(), 1);
    }
    story.hears(asked, 3, response_chunk(b"", true));
    assert_eq!(story.actions().len(), 1);
    assert_eq!((story.machine.stats().gaps, story.machine.stats().stale), (0, 0));
    story.ends();
}

#[test]
fn an_abort_counts_whatever_its_number() {
    for number in [0, 1, 5, 40_000] {
        let mut story = gateway();
        let asked = story.opens(open("GET", "/", Body::None));
        story.actions();
        story.hears(asked, number, Kind::ResponseAbort).expect_failed(asked, FailureCode::RunnerFailed, []);
        let asked = responding(&mut story);
        story.hears(asked, number, Kind::ResponseAbort).expect_failed(asked, FailureCode::RunnerFailed, []);
        let asked = story.opens(open_websocket("/"));
        story.actions();
        story.hears(asked, number, Kind::ResponseAbort).expect_failed(asked, FailureCode::RunnerFailed, []);
        let asked = story.opens_websocket();
        story.hears(asked, number, Kind::ResponseAbort).expect_failed(asked, FailureCode::RunnerFailed, []);
        assert_eq!(story.machine.stats().out_of_turn, 0);
        story.ends();
    }
}

#[test]
fn credit_takes_no_number_and_no_other_message_does_without() {
    let mut story = gateway();
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    for number in [0, 0, 9] {
        story.hears(asked, number, Kind::Credit(credit(0))).expect([]);
    }
    story.hears(asked, 0, response_start(200, None, false));
    assert_eq!(story.actions().len(), 1);
    assert_eq!(story.machine.stats().out_of_turn, 0);
    story.ends();
}

#[test]
fn credit_from_a_runner_of_the_published_protocol_is_out_of_turn_and_does_nothing_else() {
    let mut story = gateway_with(small_config(), published_abilities());
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(asked, 0, Kind::Credit(credit(1 << 20))).expect([]);
    assert_eq!(story.machine.stats().out_of_turn, 1);
    story.hears(asked, 0, response_start(200, None, false));
    assert_eq!(story.actions().len(), 1);
    story.ends();
}

#[test]
fn frames_for_another_gateway_are_counted_and_do_nothing() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    for gateway_id in [GatewayId(*b"gatf"), GatewayId::ZERO] {
        let id = MessageId { gateway_id, request_id: asked.id, message_index: 0 };
        story.input(Event::Received { from: None, frame: to_gateway(id, response_start(200, None, false)) }).expect([]);
        story.input(Event::Received { from: None, frame: to_gateway(id, Kind::ResponseAbort) }).expect([]);
    }
    assert_eq!(story.machine.stats().foreign, 4);
    story.hears(asked, 0, response_start(200, None, false));
    assert_eq!(story.actions().len(), 1);
    story.ends();
}

#[test]
fn frames_for_requests_that_are_not_open_are_stale_and_do_nothing() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    let other = RequestId((u32::from_be_bytes(asked.id.0) + 1).to_be_bytes());
    story.hears(Asked { id: other, ..asked }, 0, response_start(200, None, false)).expect([]);
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.hears(asked, 1, response_chunk(b"", true)).expect([]);
    story.hears(asked, 0, Kind::ResponseAbort).expect([]);
    story.hears(asked, 0, Kind::Credit(credit(0))).expect([]);
    let pong = ToGateway::Pong(control::Pong { request_id: asked.id, ts: 0 }).encode_framed();
    story.input(Event::Received { from: None, frame: pong }).expect([]);
    assert_eq!(story.machine.stats().stale, 5);
    story.ends();
}

#[test]
fn malformed_frames_and_those_of_another_version_are_counted_and_do_nothing() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    let good = to_gateway(message_id(asked.id, 0), response_start(200, None, false)).into_bytes();
    let mut malformed = 0;
    let mut expect_nothing = |story: &mut Story<Gateway>, bytes: Vec<u8>| {
        story.input(Event::Received { from: None, frame: Frame::from(Bytes::from(bytes)) }).expect([]);
        malformed += 1;
        assert_eq!(story.machine.stats().malformed, malformed);
    };
    for length in 0..good.len() {
        expect_nothing(&mut story, good[..length].to_vec());
    }
    expect_nothing(&mut story, [&good[..], &[0]].concat());
    for version in [0_u16, 6, 8, 0x0700] {
        expect_nothing(&mut story, [&version.to_le_bytes()[..], &good[2..]].concat());
    }
    // A tag that is none, and a bool that is neither.
    expect_nothing(&mut story, [&good[..2], &[2], &good[3..]].concat());
    expect_nothing(&mut story, [&good[..good.len() - 1], &[2]].concat());
    // A message for a runner is none for a gateway.
    let kind = to_client::Kind::RequestAbort;
    let Action::Publish(publication) = underpass_tests::given::gateway::publishes(asked, 0, kind) else {
        unreachable!()
    };
    expect_nothing(&mut story, publication.frame.into_bytes().to_vec());

    story.input(Event::Received { from: None, frame: good.into() });
    assert_eq!(story.actions().len(), 1);
    story.ends();
}

fn answer_with(status: u16, fields: &[(&'static str, &'static str)], body: Option<Bytes>) -> Kind {
    Kind::ResponseStart(to_server::ResponseStart { status, headers: headers(fields), body, stream: false })
}

#[test]
fn answers_that_http_cannot_carry_are_a_502() {
    let long: &'static str = "x".repeat(100).leak();
    let bad = [
        answer_with(0, &[], None),
        answer_with(100, &[], None),
        answer_with(101, &[], None),
        answer_with(199, &[], None),
        answer_with(1000, &[], None),
        answer_with(u16::MAX, &[], None),
        answer_with(200, &[("x", "a\r\nset-cookie: b")], None),
        answer_with(200, &[("x", "a\nb")], None),
        answer_with(200, &[("x", "a\rb")], None),
        answer_with(200, &[("x", "a\0b")], None),
        answer_with(200, &[("set-cookie", "a\rb")], None),
        answer_with(200, &[("", "a")], None),
        answer_with(200, &[("a b", "a")], None),
        answer_with(200, &[("a:", "a")], None),
        answer_with(200, &[("x", long)], None),
        answer_with(200, &[], Some(zeros(101))),
    ];
    for kind in bad {
        let mut story = gateway_with(small_config(), abilities(1_000));
        let asked = story.opens(open("GET", "/", Body::None));
        story.actions();
        story.hears(asked, 0, kind).expect_failed(asked, FailureCode::RunnerFailed, [aborts(asked, 1)]);
        story.ends();
    }
}

#[test]
fn answers_at_the_limits_pass() {
    let long: &'static str = "x".repeat(99).leak();
    for (kind, body) in [
        (answer_with(200, &[("x", long)], None), Body::None),
        (answer_with(299, &[], Some(zeros(100))), Body::Whole(zeros(100))),
        (answer_with(999, &[("set-cookie", "a=1\nb=2")], Some(Bytes::new())), Body::Whole(Bytes::new())),
    ] {
        let mut story = gateway_with(small_config(), abilities(1_000));
        let asked = story.opens(open("GET", "/", Body::None));
        story.actions();
        let Kind::ResponseStart(start) = kind.clone() else { unreachable!() };
        let head = ResponseHead { status: start.status, headers: start.headers };
        story.hears(asked, 0, kind).expect([Action::ResponseStart { key: asked.key, head, body }]).ends();
    }
}

#[test]
fn a_text_message_that_is_not_utf_8_fails_its_websocket_and_a_binary_one_does_not() {
    let mut story = gateway();
    let asked = story.opens_websocket();
    story.hears(asked, 1, Kind::WebSocketMessage(message(&[0xff], true)));
    assert_eq!(story.actions().len(), 1);
    let close = closes(asked, 1, FailureCode::RunnerFailed);
    story.hears(asked, 2, Kind::WebSocketMessage(message(&[0xff], false)));
    story.expect_failed(asked, FailureCode::RunnerFailed, [close]);

    let asked = story.opens(open_websocket("/"));
    story.actions();
    let close = closes(asked, 1, FailureCode::RunnerFailed);
    story.hears(asked, 0, Kind::WebSocketMessage(message(&[0xc3], false)));
    story.expect_failed(asked, FailureCode::RunnerFailed, [close]).ends();
}

#[test]
fn a_frame_that_arrives_in_pieces_is_read_like_one_that_is_whole() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    let message = ToServerTunnelMessage {
        message_id: message_id(asked.id, 0),
        message_kind: response_start(200, Some(b"body"), false),
    };
    let whole = Frame::from(ToGateway::TunnelMessage(message).encode_framed().into_bytes());
    story.input(Event::Received { from: None, frame: whole });
    let body = Body::Whole(Bytes::from_static(b"body"));
    story.expect([Action::ResponseStart { key: asked.key, head: status(200), body }]).ends();
}
