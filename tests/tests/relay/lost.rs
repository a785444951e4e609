//! The bus has lost frames: a hole is passed on to nobody, and gateways hear how far their requests are.

use underpass_core::Machine;
use underpass_core::bus::{Address, PublishError};
use underpass_core::directory::{ChangeOutcome, Revision};
use underpass_core::http::Close;
use underpass_core::protocol::to_gateway::{Came, Counted, RefusedReason};
use underpass_core::protocol::to_runner::{Probe, Sent};
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::Kind as Answer;
use underpass_core::protocol::{GatewayId, MessageId, RequestId, ToRunner};
use underpass_core::relay::{Config, Event};
use underpass_tests::given::gateway::credit;
use underpass_tests::given::hosting::Hosting;
use underpass_tests::given::relay::{
    answers_ping, answers_probe, calm, doubts, loses, names, of_another_gateway, of_request, publishes, refuses, relay,
    relay_with, sends_piece, start, tells_of_end, websocket_open,
};
use underpass_tests::given::restoring::{awake, close, from_client, from_handler, knows, of_socket, piece, wakes};
use underpass_tests::wire::{GATEWAY, message, message_id, relay_id, request_chunk, response_chunk, response_start};

/// A gateway asks, by probe 7, what came of these requests, each with the number that its next message has.
fn probe(requests: impl IntoIterator<Item = MessageId>) -> ToRunner {
    let sent = |id: MessageId| Sent { request_id: id.request_id, next: id.message_index };
    ToRunner::Probe(Probe { gateway_id: GATEWAY, number: 7, requests: requests.into_iter().map(sent).collect() })
}

fn of(request: u8, number: u16) -> MessageId {
    message_id(RequestId([request; 4]), number)
}

fn text() -> Piece {
    Piece::WebSocketMessage(message(b"text", false))
}

/// All of the request came.
fn whole(id: MessageId, carried: u32) -> Counted {
    Counted { request_id: id.request_id, came: Came::All, carried, granted: 0 }
}

fn frames_of_the_gateway() -> Event {
    Event::Lost { from: Some(Address::Gateway(GATEWAY)) }
}

/// The runner hears that a WebSocket of its can't go on.
fn message_lost() -> Piece {
    Piece::WebSocketClose(Close::new(1011, "message_lost").into_wire())
}

#[test]
fn a_probe_is_answered_with_what_came_and_what_was_carried_and_granted() {
    let mut story = relay();
    let [posts, reads] = [1, 2].map(|request| of(request, 0));
    story.opens_route(posts, start(None));
    story.asks(1, of(1, 1), request_chunk(b"chunk", false)).actions();
    story.opens_route(reads, start(None));
    story.answers(1, of(2, 0), response_start(200, None, true)).actions();
    story.answers(1, of(2, 1), response_chunk(b"a", false)).actions();
    story.answers(1, of(2, 0), Answer::Credit(credit(640))).actions();
    let granted = Counted { granted: 640, ..whole(reads, 2) };
    // More came than had been sent when the first of them was asked about.
    story.bus_brings(1, probe([of(1, 1), of(2, 1)]));
    story.expect([answers_probe(1, posts, 7, [whole(posts, 0), granted])]);
    assert_eq!(story.machine.stats().gaps, 0);
    story.leaves_and_ends();
}

#[test]
fn a_request_of_which_the_last_piece_is_lost_ends_at_both_ends() {
    let mut story = relay();
    story.opens_route(of(1, 0), start(None));
    story.bus_brings(1, probe([of(1, 2)]));
    let abort = sends_piece(1, of(1, 1), Piece::RequestAbort);
    story.expect([abort, loses(1, of(1, 0)), answers_probe(1, of(1, 0), 7, [])]);
    let stats = story.machine.stats();
    assert_eq!((stats.routes, stats.gaps, stats.ends.message_lost), (0, 1, 1));
    story.leaves_and_ends();
}

#[test]
fn nothing_is_carried_behind_a_hole() {
    for (opening, piece_behind, end) in
        [(start(None), request_chunk(b"chunk", true), Piece::RequestAbort), (websocket_open(), text(), message_lost())]
    {
        let mut story = relay();
        story.opens_route(of(1, 0), opening);
        story.asks(1, of(1, 2), piece_behind.clone());
        story.expect([sends_piece(1, of(1, 1), end), loses(1, of(1, 0))]);
        story.asks(1, of(1, 3), piece_behind).expect([]);
        assert_eq!((story.machine.stats().gaps, story.machine.stats().late), (1, 1));
        story.leaves_and_ends();
    }
}

#[test]
fn a_close_behind_a_hole_tells_the_runner_of_that() {
    let mut story = relay();
    story.opens_route(of(1, 0), websocket_open());
    story.asks(1, of(1, 2), Piece::WebSocketClose(Close::new(1000, "bye").into_wire()));
    story.expect([sends_piece(1, of(1, 1), message_lost())]);
    assert_eq!((story.machine.stats().gaps, story.machine.stats().ends.by_gateway), (1, 1));
    story.leaves_and_ends();
}

#[test]
fn of_a_request_that_has_ended_a_probe_hears_what_its_gateway_was_told_or_that_it_is_lost() {
    let mut story = relay_with(Config { max_routes_per_connection: 2, ..calm() });
    story.takes_in(1, "a");
    for request in [1, 2] {
        story.opens_route(of(request, 0), start(None));
    }
    story.asks(1, of(3, 0), start(None)).expect([refuses(1, of(3, 0), RefusedReason::Full)]);
    story.answers(1, of(1, 0), response_start(200, None, false)).actions();
    story.bus_brings(1, probe([1, 2, 3, 4].map(|request| of(request, 1))));
    story.expect([
        loses(1, of(1, 0)),
        refuses(1, of(3, 0), RefusedReason::Full),
        loses(1, of(4, 0)),
        answers_probe(1, of(2, 0), 7, [whole(of(2, 0), 0)]),
    ]);
    story.leaves_and_ends();
}

#[test]
fn a_word_of_a_loss_that_the_bus_refused_is_said_again() {
    let mut story = relay();
    story.bus_brings(1, probe([of(1, 1)])).expect([loses(1, of(1, 0)), answers_probe(1, of(1, 0), 7, [])]);
    story.bus_refuses(loses(1, of(1, 0)), PublishError::Full).expect([]);
    story.bus_refuses(answers_probe(1, of(1, 0), 7, []), PublishError::Full).expect([]);
    story.passes(std::time::Duration::from_millis(250)).expect([loses(1, of(1, 0))]);
    story.bus_refuses(loses(1, of(1, 0)), PublishError::NoResponders).expect([]);
    assert_eq!(story.machine.stats().ending, 0);
    story.leaves_and_ends();
}

#[test]
fn a_gateway_whose_frames_are_lost_is_told_to_ask_and_which_routes_it_has() {
    let mut story = relay();
    for id in [of_request(0), of(1, 0), of_another_gateway(0)] {
        story.opens_route(id, start(None));
    }
    let told = || doubts(1, of_request(0), [of_request(0), of(1, 0)]);
    story.input(frames_of_the_gateway()).expect([told()]);
    // It is told once more if it does not ask, and behind its question if more was lost.
    story.gateway_pings(1, of_request(0), 1);
    story.expect([answers_ping(1, of_request(0), 1), told(), names(1, of_request(0))]);
    // That was the turn of the one that was named.
    let told = || doubts(1, of_request(0), [of(1, 0), of_request(0)]);
    story.input(frames_of_the_gateway()).expect([]);
    let answer = || answers_probe(1, of_request(0), 7, [whole(of_request(0), 0)]);
    story.bus_brings(1, probe([of_request(1)])).expect([answer(), told()]);
    story.bus_brings(1, probe([of_request(1)])).expect([answer()]);
    story.bus_brings(1, probe([of_request(1)])).expect([answer()]);
    assert_eq!(story.machine.stats().losses_told, 2);
    story.leaves_and_ends();
}

#[test]
fn of_anybodys_frames_all_gateways_are_told_and_of_a_relays_nobody() {
    let mut story = relay();
    story.takes_in(2, "b");
    story.opens_route(of_request(0), start(None));
    story.opens_route(of_another_gateway(0), start(None));
    story.asks(2, of_request(0), start(None)).actions();
    story.input(Event::Lost { from: Some(Address::Relay(relay_id())) }).expect([]);
    let strange = MessageId { gateway_id: GatewayId([1; 4]), ..of_request(0) };
    story.input(Event::Lost { from: Some(Address::Gateway(strange.gateway_id)) }).expect([doubts(0, strange, [])]);
    story.input(Event::Lost { from: None });
    let told = |number, id: MessageId| doubts(number, id, [id]);
    let all = [told(1, of_request(0)), told(1, of_another_gateway(0)), told(2, of_request(0))];
    let mut actions = story.actions();
    actions.sort_by_key(|action| all.iter().position(|told| told == action));
    assert_eq!(actions, all);
    story.leaves(2).leaves_and_ends();
}

#[test]
fn many_routes_are_named_a_thousand_at_a_time() {
    let mut story = relay();
    let all: Vec<MessageId> = (0..2_500_u32).map(|number| message_id(RequestId(number.to_be_bytes()), 0)).collect();
    for id in &all {
        story.asks(1, *id, start(None)).actions();
    }
    let told = all.chunks(1_000).map(|some| doubts(1, some[0], some.iter().copied()));
    story.input(frames_of_the_gateway()).expect(told);
    story.leaves_and_ends();
}

#[test]
fn on_a_connection_that_has_ended_a_probe_hears_of_that() {
    let mut story = relay();
    story.input(Event::TextFromRunner { connection: 1 }).actions();
    story.bus_brings(1, probe([of(1, 1)])).expect([tells_of_end(1, of(1, 0))]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.bus_brings(1, probe([of(1, 1)])).expect([tells_of_end(1, of(1, 0))]);
    story.directory(1, ChangeOutcome::Stored(Revision(3))).ends();
}

/// The gateway has spoken over the route of socket 1, and its first message has number 5.
fn spoken() -> Hosting {
    let mut hosting = awake(&[1]);
    hosting.asks(1, of_socket(1, 5), knows()).asks(1, of_socket(1, 5), from_client(b"five"));
    assert_eq!(hosting.heard(1), [piece(of_socket(1, 5), from_client(b"five"))]);
    hosting
}

fn probes(hosting: &mut Hosting, sent: impl IntoIterator<Item = MessageId>) {
    hosting.input(Event::FromBus { connection: 1, frame: probe(sent).encode_framed() });
}

#[test]
fn a_websocket_that_can_hibernate_waits_for_what_is_missing() {
    let mut hosting = spoken();
    hosting.asks(1, of_socket(1, 7), from_client(b"seven")).asks(1, of_socket(1, 8), from_client(b"eight"));
    assert_eq!(hosting.saw(), [doubts(1, of_socket(1, 0), [of_socket(1, 0)])]);
    let until = Counted { came: Came::Until(6), ..whole(of_socket(1, 0), 0) };
    probes(&mut hosting, [of_socket(1, 9)]);
    assert_eq!(hosting.saw(), [answers_probe(1, of_socket(1, 0), 7, [until])]);
    assert_eq!(hosting.heard(1), []);
    for number in [6, 7, 8] {
        hosting.asks(1, of_socket(1, number), from_client(b"again"));
        assert_eq!(hosting.heard(1), [piece(of_socket(1, number), from_client(b"again"))]);
    }
    probes(&mut hosting, [of_socket(1, 9)]);
    assert_eq!(hosting.saw(), [answers_probe(1, of_socket(1, 0), 7, [whole(of_socket(1, 0), 0)])]);
    // The next hole is news again.
    hosting.asks(1, of_socket(1, 10), from_client(b"ten"));
    assert_eq!(hosting.saw().len(), 1);
    hosting.ends();
}

#[test]
fn a_restored_websocket_whose_first_message_is_lost_waits_for_it() {
    let mut hosting = awake(&[1]);
    hosting.asks(1, of_socket(1, 5), knows()).asks(1, of_socket(1, 6), from_client(b"six"));
    assert_eq!(hosting.heard(1), []);
    hosting.saw();
    probes(&mut hosting, [of_socket(1, 7)]);
    let until = Counted { came: Came::Until(5), ..whole(of_socket(1, 0), 0) };
    assert_eq!(hosting.saw(), [answers_probe(1, of_socket(1, 0), 7, [until])]);
    // A first word that the bus brings again turns nothing back.
    hosting.asks(1, of_socket(1, 5), from_client(b"five")).asks(1, of_socket(1, 5), knows());
    hosting.asks(1, of_socket(1, 6), from_client(b"six"));
    let heard = [(5, b"five".as_slice()), (6, b"six".as_slice())];
    assert_eq!(hosting.heard(1), heard.map(|(number, data)| piece(of_socket(1, number), from_client(data))));
    hosting.ends();
}

#[test]
fn what_a_gateway_leaves_out_since_the_runner_had_it_before_is_not_waited_for() {
    let mut hosting = spoken();
    hosting.asks(1, of_socket(1, 9), knows()).asks(1, of_socket(1, 9), from_client(b"nine"));
    assert_eq!(hosting.heard(1), [piece(of_socket(1, 9), from_client(b"nine"))]);
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.gaps, stats.malformed), (0, 0));
    hosting.ends();
}

#[test]
fn a_restored_websocket_whose_gateways_first_word_is_lost_has_heard_nothing() {
    let mut hosting = awake(&[1]);
    probes(&mut hosting, [of_socket(1, 2)]);
    let nothing = Counted { came: Came::Nothing, ..whole(of_socket(1, 0), 0) };
    assert_eq!(hosting.saw(), [answers_probe(1, of_socket(1, 0), 7, [nothing])]);
    // One who asks for no request hears which wait for its first word.
    probes(&mut hosting, []);
    assert_eq!(hosting.saw(), [wakes(1, of_socket(1, 0), 1), answers_probe(1, of_socket(1, 0), 7, [])]);
    hosting.input(frames_of_the_gateway());
    assert_eq!(hosting.saw(), [wakes(1, of_socket(1, 0), 1), doubts(1, of_socket(1, 0), [])]);
    hosting.ends();
}

#[test]
fn that_an_actor_sleeps_is_said_again_under_its_number_to_one_that_asks() {
    let mut hosting = spoken();
    hosting.answers(1, of_socket(1, 0), from_handler(b"hello"));
    hosting.answers(1, of_socket(1, 1), close(1000, "zzz", true));
    hosting.saw();
    probes(&mut hosting, [of_socket(1, 6)]);
    let said = publishes(1, of_socket(1, 1), close(1001, "actor.stopped", true));
    assert_eq!(hosting.saw(), [said, answers_probe(1, of_socket(1, 0), 7, [])]);
    hosting.ends();
}

#[test]
fn a_close_of_one_that_can_hibernate_is_carried_whatever_is_missing() {
    let mut hosting = spoken();
    let bye = Piece::WebSocketClose(Close::new(1000, "bye").into_wire());
    hosting.asks(1, of_socket(1, 9), bye.clone());
    assert_eq!(hosting.heard(1), [piece(of_socket(1, 9), bye)]);
    hosting.ends();
}

#[test]
fn a_gateway_that_has_nothing_open_here_is_told_too_since_an_opening_may_be_lost() {
    let mut story = relay();
    story.input(frames_of_the_gateway()).expect([doubts(0, of(1, 0), [])]);
    story.leaves_and_ends();
}
