//! Openings that come back to their gateway, and what the bus brings that is malformed.

use std::time::Duration;

use underpass_core::bus::Publication;
use underpass_core::directory::{ChangeOutcome, Revision, RunnerState};
use underpass_core::protocol::to_gateway::RefusedReason;
use underpass_core::protocol::tunnel::to_server::Kind as Answer;
use underpass_core::protocol::{GatewayId, MessageId, RequestId, ToRunner, ToServer};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::{Frame, Machine, Relay};
use underpass_tests::given::relay::{of_request, publishes, refuses, relay, relay_with, start, websocket_open};
use underpass_tests::story::Story;
use underpass_tests::wire::{message_id, request_chunk, response_chunk, response_start};

/// Both kinds of openings come back to their gateway, as requests with these ids.
#[track_caller]
fn both_come_back(story: &mut Story<Relay>, ids: [u8; 2], reason: RefusedReason) {
    for (id, opening) in ids.into_iter().zip([start(None), websocket_open()]) {
        let id = message_id(RequestId([id; 4]), 0);
        story.asks(1, id, opening).expect([refuses(1, id, reason)]);
    }
}

#[test]
fn openings_come_back_until_the_runner_is_ready() {
    let mut story = relay_with(Config::default());
    story.registers(1, "a");
    both_come_back(&mut story, [1, 2], RefusedReason::Draining);
    story.directory(1, ChangeOutcome::Stored(Revision(1))).actions();
    both_come_back(&mut story, [3, 4], RefusedReason::Draining);
    assert_eq!((story.machine.stats().refused, story.machine.stats().routes), (4, 0));
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 1, None);
    story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn openings_come_back_after_the_runners_goodbye_while_what_is_open_goes_on() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    story.says(1, ToServer::Stopping).expect_state(1, 2, Some(RunnerState::Draining));
    story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]);
    // One that is open comes twice: that is no opening.
    story.asks(1, of_request(0), start(None)).expect([]);
    let other = |number| underpass_tests::given::relay::of_another_gateway(number);
    story.asks(1, other(5), start(None)).expect([refuses(1, other(5), RefusedReason::Draining)]);
    let answer = response_start(200, None, false);
    story.answers(1, of_request(0), answer.clone()).expect([publishes(1, of_request(0), answer)]);
    // What was refused is no request: more of it is late.
    story.asks(1, other(6), request_chunk(b"x", true)).expect([]);
    assert_eq!((story.machine.stats().late, story.machine.stats().unrouted), (1, 0));
    story.leaves_and_ends();
}

#[test]
fn openings_on_a_connection_that_has_ended_or_is_being_closed_come_back() {
    let mut story = relay_with(Config::default());
    story.connects(1, "a").expect([]);
    story.bus_brings(1, ToRunner::Close).actions();
    both_come_back(&mut story, [1, 2], RefusedReason::ConnectionEnded);
    story.asks(1, of_request(1), request_chunk(b"x", true)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    both_come_back(&mut story, [3, 4], RefusedReason::ConnectionEnded);
    story.asks(1, of_request(1), request_chunk(b"x", true)).expect([]);
    let nobody = MessageId { gateway_id: GatewayId::ZERO, ..of_request(0) };
    story.asks(1, nobody, start(None)).expect([]);
    assert_eq!((story.machine.stats().refused, story.machine.stats().late), (4, 4));
    story.ends();
}

#[test]
fn openings_beyond_the_limit_of_a_connection_come_back() {
    let mut story = relay_with(Config { max_routes_per_connection: 1, ..Config::default() });
    story.takes_in(1, "a");
    let open = underpass_tests::given::relay::of_another_gateway(0);
    story.opens_route(open, start(None));
    both_come_back(&mut story, [11, 12], RefusedReason::Full);
    // One that is open comes twice, and one that was refused: they are no openings.
    story.asks(1, open, start(None)).expect([]);
    story.answers(1, open, Answer::ResponseAbort).expect([publishes(1, open, Answer::ResponseAbort)]);
    story.opens_route(of_request(0), start(None));
    story.asks(1, message_id(RequestId([11; 4]), 0), start(None)).expect([]);
    assert_eq!((story.machine.stats().refused, story.machine.stats().late), (2, 1));
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
