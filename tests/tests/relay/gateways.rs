//! Gateways that ping, that fall silent, and at which nobody listens.

use std::time::Duration;

use underpass_core::bus::PublishError;
use underpass_core::http::Close;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::Kind as Answer;
use underpass_core::protocol::{GatewayId, MessageId, RequestId};
use underpass_core::relay::{Action, Config, Event, Notice};
use underpass_core::{Machine, Relay, Time};
use underpass_tests::given::relay::{
    REQUEST, answers_ping, calm, names, of_another_gateway, of_request, publishes, relay, relay_with, sends_piece,
    start, tells, tells_of_end, websocket_open,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{GATEWAY, message, message_id, response_start};

const SILENT: Duration = Duration::from_secs(30);

/// A relay whose runners are left alone, so that only gateways matter.
fn patient() -> Config {
    let day = Duration::from_secs(86_400);
    Config { ping_interval: day, pong: 2 * day, ..calm() }
}

fn patient_relay() -> Story<Relay> {
    let mut story = relay_with(patient());
    story.takes_in(1, "a");
    story
}

fn of(request: u8, number: u16) -> MessageId {
    message_id(RequestId([request; 4]), number)
}

fn restarting(id: MessageId) -> Action {
    sends_piece(1, id, Piece::WebSocketClose(Close::new(1012, "gateway_lost").into_wire()))
}

fn aborted(id: MessageId) -> Action {
    sends_piece(1, id, Piece::RequestAbort)
}

fn lost(number: u64) -> Action {
    tells(number, Notice::GatewayLost(GATEWAY))
}

fn after(duration: Duration) -> Option<Time> {
    Some(Time::ZERO + duration)
}

#[test]
fn a_ping_is_answered_and_for_a_request_without_a_route_an_abort_follows() {
    let mut story = relay();
    let pong = |ts| answers_ping(1, of_request(0), ts);
    let abort = || publishes(1, of_request(0), Answer::ResponseAbort);
    story.gateway_pings(1, of_request(0), -5).expect([pong(-5), abort()]);
    story.opens_route(of_request(0), start(None));
    story.gateway_pings(1, of_request(0), 7).expect([pong(7), names(1, of_request(0))]);
    story.answers(1, of_request(0), Answer::ResponseAbort).actions();
    story.gateway_pings(1, of_request(0), 8).expect([pong(8), abort()]);
    story.leaves_and_ends();
}

#[test]
fn a_ping_of_a_gateway_without_an_id_is_not_answered() {
    let mut story = relay();
    let nobody = MessageId { gateway_id: GatewayId::ZERO, ..of_request(0) };
    story.gateway_pings(1, nobody, 0).expect([]);
    assert_eq!(story.machine.stats().malformed, 1);
    story.leaves(1);
    story.gateway_pings(1, nobody, 0).expect([]).ends();
}

#[test]
fn each_pong_names_one_of_the_gateways_own_routes_in_turn() {
    let mut story = relay();
    story.takes_in(2, "b");
    for request in 1..=3 {
        story.opens_route(of(request, 0), start(None));
    }
    story.opens_route(of_another_gateway(0), start(None));
    for named in [1, 2, 3, 1] {
        story.gateway_pings(1, of(1, 0), 0).expect([answers_ping(1, of(1, 0), 0), names(1, of(named, 0))]);
    }
    let its = of_another_gateway(0);
    story.gateway_pings(1, its, 0).expect([answers_ping(1, its, 0), names(1, its)]);
    // On another connection it has none.
    let abort = publishes(2, of(1, 0), Answer::ResponseAbort);
    story.gateway_pings(2, of(1, 0), 0).expect([answers_ping(2, of(1, 0), 0), abort]);
    story.input(Event::Disconnected { connection: 2 }).expect_change(2);
    story.directory(2, underpass_core::directory::ChangeOutcome::Stored(underpass_core::directory::Revision(3)));
    story.leaves_and_ends();
}

#[test]
fn a_gateway_that_does_not_know_a_request_any_more_ends_it_by_an_abort_of_any_number() {
    for (opening, end) in
        [(start(None), Piece::RequestAbort), (websocket_open(), Piece::WebSocketClose(Close::abnormal().into_wire()))]
    {
        for number in [0, 2, 9] {
            let mut story = relay();
            story.opens_route(of_request(0), opening.clone());
            let text = Piece::WebSocketMessage(message(b"x", false));
            story.asks(1, of_request(1), text.clone()).expect([sends_piece(1, of_request(1), text)]);
            // The runner hears what fits the kind, under the number that is next.
            story.asks(1, of_request(number), Piece::RequestAbort);
            story.expect([sends_piece(1, of_request(2), end.clone())]);
            story.asks(1, of_request(number), Piece::RequestAbort).expect([]);
            let stats = story.machine.stats();
            assert_eq!((stats.ends.by_gateway, stats.routes, stats.late), (1, 0, 1));
            story.leaves_and_ends();
        }
    }
}

#[test]
fn a_close_of_a_websocket_ends_an_exchange_by_an_abort() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let close = Piece::WebSocketClose(Close::new(1000, "").into_wire());
    story.asks(1, of_request(1), close).expect([aborted(of_request(1))]);
    story.leaves_and_ends();
}

#[test]
fn a_gateway_that_says_nothing_for_half_a_minute_is_gone_and_what_it_had_open_is_aborted() {
    let mut story = patient_relay();
    story.opens_route(of(1, 0), start(None)).opens_route(of(2, 0), websocket_open());
    story.expect_timeout(after(SILENT)).passes_in_silence_until(SILENT);
    story.expect([lost(1), aborted(of(1, 1)), restarting(of(2, 1))]);
    let stats = story.machine.stats();
    assert_eq!((stats.routes, stats.tombstones, stats.gateways_lost), (0, 2, 1));
    assert_eq!((stats.timeouts.gateway_silent, stats.ends.gateway_lost, stats.stale_gateway), (1, 2, 0));
    // What the runner still says for it is late.
    story.answers(1, of(1, 0), response_start(200, None, false)).expect([]);
    assert_eq!(story.machine.stats().late, 1);
    story.leaves_and_ends();
}

#[test]
fn a_ping_just_in_time_keeps_a_gateways_routes_and_so_does_an_opening() {
    let last = Duration::from_micros(1);
    for opening in [false, true] {
        let mut story = patient_relay();
        story.opens_route(of(1, 0), start(None));
        story.passes(SILENT - last).expect([]);
        if opening {
            story.opens_route(of(2, 0), start(None));
        } else {
            // It need not name one that is open.
            story.gateway_pings(1, of(9, 0), 0).actions();
        }
        story.passes_in_silence_until(SILENT);
        let routes = if opening { vec![1, 2] } else { vec![1] };
        story.expect([lost(1)].into_iter().chain(routes.into_iter().map(|request| aborted(of(request, 1)))));
        story.leaves_and_ends();
    }
}

#[test]
fn nothing_else_of_a_gateway_keeps_its_routes_and_nothing_of_another_gateway_or_connection() {
    let mut story = patient_relay();
    story.takes_in(2, "b");
    story.opens_route(of(1, 0), start(None));
    story.passes(SILENT / 2).expect([]);
    let credit = Piece::Credit(underpass_tests::given::gateway::credit(1));
    story.asks(1, of(1, 0), credit).actions();
    story.asks(
        1,
        of(1, 1),
        Piece::RequestChunk(underpass_core::protocol::tunnel::to_client::RequestChunk {
            body: bytes::Bytes::new(),
            finish: true,
        }),
    );
    story.actions();
    story.gateway_pings(1, of_another_gateway(0), 0).actions();
    story.gateway_pings(2, of(1, 0), 0).actions();
    story.answers(1, of(1, 0), response_start(200, None, true)).actions();
    story.passes_in_silence_until(SILENT / 2).expect([lost(1), aborted(of(1, 2))]);
    story.input(Event::Disconnected { connection: 2 }).expect_change(2);
    story.directory(2, underpass_core::directory::ChangeOutcome::Stored(underpass_core::directory::Revision(3)));
    story.leaves_and_ends();
}

#[test]
fn with_its_last_route_a_gateway_is_forgotten_and_another_one_starts_its_time_anew() {
    let mut story = patient_relay();
    story.opens_route(of(1, 0), start(None)).opens_route(of(2, 0), start(None));
    story.passes(SILENT - Duration::from_secs(1)).expect([]);
    for request in [1, 2] {
        story.expect_timeout(after(SILENT));
        story.answers(1, of(request, 0), Answer::ResponseAbort).actions();
    }
    story.passes(Duration::from_secs(1)).expect([]);
    story.opens_route(of(3, 0), start(None)).passes_in_silence_until(SILENT);
    story.expect([lost(1), aborted(of(3, 1))]);
    story.leaves_and_ends();
}

#[test]
fn a_clock_that_goes_an_hour_at_once_loses_each_gateway_once() {
    let mut story = patient_relay();
    story.opens_route(of(1, 0), start(None)).opens_route(of_another_gateway(0), start(None));
    story.passes(Duration::from_secs(3_600));
    let other = tells(1, Notice::GatewayLost(of_another_gateway(0).gateway_id));
    story.expect([lost(1), aborted(of(1, 1)), other, aborted(of_another_gateway(1))]);
    story.passes(Duration::from_secs(3_600)).expect([]);
    assert_eq!(story.machine.stats().timeouts.gateway_silent, 2);
    story.leaves(1).ends();
}

#[test]
fn when_nobody_listens_at_a_gateway_its_routes_end_on_all_connections() {
    let piece = || publishes(1, of(1, 0), response_start(200, None, true));
    let tell_by_event = |story: &mut Story<Relay>| {
        story.input(Event::NoResponders { gateway: GATEWAY });
    };
    let hand_back = |story: &mut Story<Relay>| {
        story.bus_refuses(piece(), PublishError::NoResponders);
    };
    for (tell, handed_back) in [(&tell_by_event as &dyn Fn(&mut Story<Relay>), 0), (&hand_back, 1)] {
        let mut story = patient_relay();
        story.takes_in(2, "b");
        story.opens_route(of(1, 0), start(None)).opens_route(of_another_gateway(0), start(None));
        story.asks(2, of(2, 0), websocket_open()).expect([sends_piece(2, of(2, 0), websocket_open())]);
        story.answers(1, of(1, 0), response_start(200, None, true)).expect([piece()]);
        tell(&mut story);
        let close = Piece::WebSocketClose(Close::new(1012, "gateway_lost").into_wire());
        story.expect([lost(1), aborted(of(1, 1)), lost(2), sends_piece(2, of(2, 1), close)]);
        // Nothing is left of it, so hearing so again changes nothing.
        tell(&mut story);
        story.expect([]);
        let stats = story.machine.stats();
        assert_eq!((stats.routes, stats.gateways_lost, stats.stale_gateway), (1, 2, 2));
        assert_eq!((stats.publish_failed, stats.timeouts.gateway_silent), (handed_back * 2, 0));
        story.input(Event::Disconnected { connection: 2 }).expect_change(2);
        story.directory(2, underpass_core::directory::ChangeOutcome::Stored(underpass_core::directory::Revision(3)));
        story.leaves_and_ends();
    }
}

#[test]
fn a_gateway_that_asks_about_a_connection_that_has_ended_hears_so() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    story.bus_brings(1, underpass_core::protocol::ToRunner::Close);
    assert_eq!(story.actions()[2], tells_of_end(1, of_request(0)));
    story.gateway_pings(1, of_request(0), 0).expect([tells_of_end(1, of_request(0))]);
    story.directory(1, underpass_core::directory::ChangeOutcome::Stored(underpass_core::directory::Revision(3)));
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.gateway_pings(1, of_request(0), 0).expect([tells_of_end(1, of_request(0))]);
    assert_eq!(story.machine.stats().late, 1);
    story.ends();
}

#[test]
fn each_gateway_with_something_open_hears_once_that_a_connection_ended() {
    let mut story = relay();
    for id in [of(1, 0), of(2, 0), of_another_gateway(0)] {
        story.opens_route(id, start(None));
    }
    // This one has nothing open any more.
    let third = MessageId { gateway_id: GatewayId(*b"done"), ..of_request(0) };
    story.opens_route(third, start(None));
    story.answers(1, third, Answer::ResponseAbort).actions();
    story.input(Event::Disconnected { connection: 1 });
    let mut actions = story.actions();
    assert!(matches!(actions.pop(), Some(Action::Directory { .. })));
    assert_eq!(actions, [tells_of_end(1, of(1, 0)), tells_of_end(1, of_another_gateway(0))]);
    let ends = story.machine.stats().ends;
    assert_eq!((ends.connection_ended, ends.by_runner), (3, 1));
    story.directory(1, underpass_core::directory::ChangeOutcome::Stored(underpass_core::directory::Revision(3)));
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn the_request_that_is_named_is_of_the_gateway_that_asks() {
    let mut story = relay();
    story.opens_route(of_another_gateway(0), start(None));
    let id = of_request(0);
    assert_eq!(id.request_id, REQUEST);
    let abort = publishes(1, id, Answer::ResponseAbort);
    story.gateway_pings(1, id, 3).expect([answers_ping(1, id, 3), abort]);
    story.leaves_and_ends();
}
