//! Ends that the bus does not take, and routes that relays still have.

use std::time::Duration;

use underpass_core::bus::{Publication, PublishError, Subject};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::{Body, Close};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, to_client};
use underpass_core::protocol::{GatewayId, MessageId, RequestId, ToGateway, ToRunner, to_gateway as control};
use underpass_core::{FailureCode, Gateway, Machine};
use underpass_tests::given::gateway::{
    Asked, aborts, chunk, chunk_sent, config, gateway, gateway_with, give_back, publishes, zeros,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{GATEWAY, abilities, connection, open, response_start};

const AGAIN: Duration = Duration::from_millis(250);
const GIVE_UP: Duration = Duration::from_secs(10);

/// A request whose client has gone away, and the abort that says so.
fn given_up(story: &mut Story<Gateway>) -> (Asked, Action) {
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.input(Event::ClientGone { key: asked.key }).expect([aborts(asked, 1)]);
    (asked, aborts(asked, 1))
}

#[test]
fn an_end_that_the_bus_does_not_take_is_published_again_until_it_does() {
    for reason in [PublishError::Full, PublishError::Disconnected] {
        let mut story = gateway();
        let (_, abort) = given_up(&mut story);
        story.input(give_back(abort.clone(), reason)).expect([]);
        let stats = story.machine.stats();
        assert_eq!((stats.open, stats.ending, stats.client_gone), (0, 1, 1));
        story.passes_in_silence_until(AGAIN).expect([abort.clone()]);
        story.input(give_back(abort.clone(), reason)).expect([]);
        story.passes_in_silence_until(AGAIN).expect([abort.clone()]);
        // It did not come back: it is out.
        assert_eq!(story.machine.stats().ending, 1);
        story.passes_in_silence_until(AGAIN).expect([]);
        let stats = story.machine.stats();
        assert_eq!((stats.aborts_tried_again, stats.aborts_given_up), (2, 0));
        story.ends();
    }
}

#[test]
fn an_end_that_the_bus_never_takes_is_given_up() {
    let mut story = gateway();
    let (_, abort) = given_up(&mut story);
    story.input(give_back(abort.clone(), PublishError::Full)).expect([]);
    for _ in 1..40 {
        story.passes(AGAIN).expect([abort.clone()]);
        story.input(give_back(abort.clone(), PublishError::Full)).expect([]);
    }
    assert_eq!(story.now().as_micros() as u128, (GIVE_UP - AGAIN).as_micros());
    story.passes_in_silence_until(AGAIN).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.aborts_tried_again, stats.aborts_given_up), (39, 1));
    story.ends();
}

#[test]
fn a_clock_that_jumps_an_hour_gives_an_end_up_once() {
    let mut story = gateway();
    let (_, abort) = given_up(&mut story);
    story.input(give_back(abort.clone(), PublishError::Full)).expect([]);
    story.long_after();
    // It was due to be tried again before; that attempt is the last.
    story.expect([abort]);
    story.ends();
}

#[test]
fn an_end_that_nobody_listens_to_or_that_no_bus_carries_is_none() {
    for reason in [PublishError::NoResponders, PublishError::TooLarge] {
        let mut story = gateway();
        let (_, abort) = given_up(&mut story);
        story.input(give_back(abort, reason)).expect([]).ends();
    }
}

#[test]
fn a_piece_that_the_bus_refuses_ends_its_request_and_so_does_its_close() {
    let mut story = gateway();
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    let piece = publishes(asked, 1, chunk_sent(zeros(5), false));
    story.input(chunk(asked.key, zeros(5), false)).expect([piece.clone()]);
    story.input(give_back(piece, PublishError::Full));
    story.expect_failed(asked, FailureCode::BusLost, [aborts(asked, 2)]);
    story.input(give_back(aborts(asked, 2), PublishError::Full)).expect([]);
    story.passes(AGAIN).expect([aborts(asked, 2)]);
    story.passes(AGAIN).expect([]);

    let socket = story.opens_websocket();
    let close = to_client::Kind::WebSocketClose(Close::new(1000, "bye").into_wire());
    story.input(Event::WebSocketClose { key: socket.key, close: Close::new(1000, "bye") });
    story.expect([publishes(socket, 1, close.clone())]);
    story.input(give_back(publishes(socket, 1, close.clone()), PublishError::Full)).expect([]);
    story.passes(AGAIN).expect([publishes(socket, 1, close)]);
    story.passes(AGAIN).expect([]).ends();
}

#[test]
fn what_comes_for_a_request_whose_end_is_not_out_is_stale() {
    let mut story = gateway();
    let (asked, abort) = given_up(&mut story);
    story.input(give_back(abort, PublishError::Full)).expect([]);
    story.hears(asked, 0, response_start(200, None, false)).expect([]);
    assert_eq!(story.machine.stats().stale, 1);
    story.passes(AGAIN).actions();
    story.passes(AGAIN).expect([]).ends();
}

#[test]
fn ends_that_are_not_out_take_the_room_of_requests() {
    let mut story = gateway_with(Config { max_requests: 1, ..config() }, abilities(1_000));
    let (asked, abort) = given_up(&mut story);
    story.input(give_back(abort, PublishError::Full)).expect([]);
    assert_eq!(story.refuses(open("GET", "/", Body::None)).code, FailureCode::Overloaded);
    // There is no room for another: it is given up at once.
    let other = Asked { id: RequestId([7; 4]), ..asked };
    story.input(give_back(aborts(other, 0), PublishError::Full)).expect([]);
    assert_eq!((story.machine.stats().ending, story.machine.stats().aborts_given_up), (1, 1));
    story.passes(AGAIN).actions();
    story.passes(AGAIN).expect([]).ends();
}

#[test]
fn a_drain_waits_until_ends_are_out() {
    let mut story = gateway();
    let (_, abort) = given_up(&mut story);
    story.input(give_back(abort.clone(), PublishError::Full)).expect([]);
    story.input(Event::Drain).expect([]);
    story.passes(AGAIN).expect([abort]);
    story.passes_in_silence_until(AGAIN).expect([Action::Drained]).ends();
}

fn route_open(gateway_id: GatewayId, request_id: RequestId, number: u64) -> Event {
    let route = control::RouteOpen { gateway_id, request_id, connection: connection(number).into() };
    Event::Received { from: None, frame: ToGateway::RouteOpen(route).encode_framed() }
}

#[test]
fn a_route_without_a_request_is_aborted_where_it_is() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.input(route_open(GATEWAY, asked.id, 1)).expect([]);
    story.input(route_open(GatewayId([1; 4]), asked.id, 2)).expect([]);
    let abort = |request_id, number| {
        let message_id = MessageId { gateway_id: GATEWAY, request_id, message_index: 0 };
        let message_kind = to_client::Kind::RequestAbort;
        Action::Publish(Publication {
            to: Subject::Connection(connection(number)),
            reply_to: None,
            frame: ToRunner::TunnelMessage(ToClientTunnelMessage { message_id, message_kind }).encode_framed(),
        })
    };
    // Of another connection, and of a request that never was.
    story.input(route_open(GATEWAY, asked.id, 2)).expect([abort(asked.id, 2)]);
    story.input(route_open(GATEWAY, RequestId([9; 4]), 1)).expect([abort(RequestId([9; 4]), 1)]);
    assert_eq!((story.machine.stats().stale, story.machine.stats().foreign), (2, 1));
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.ends();
}
