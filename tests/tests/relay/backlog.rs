//! What waits while a runner's outbox has no room, and who pays when it is too much.

use std::time::Duration;

use underpass_core::bus::{PublishError, Rejected};
use underpass_core::directory::{ChangeOutcome, Revision};
use underpass_core::http::Close;
use underpass_core::protocol::kv::{KvRequest, KvRequestData};
use underpass_core::protocol::to_gateway::RefusedReason;
use underpass_core::protocol::tunnel::to_client::{self, Kind as Piece};
use underpass_core::protocol::tunnel::to_server::Kind as Answer;
use underpass_core::protocol::{MessageId, RequestId, ToRunner, ToServer, Version};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::{Machine, Relay};
use underpass_tests::given::gateway::{credit, zeros};
use underpass_tests::given::hosting::hosting_with;
use underpass_tests::given::relay::{
    closes, of_request, pings, pong, publishes, refuses, relay, relay_with, sends_piece, small_config, start,
    websocket_open,
};
use underpass_tests::given::supervisor::{event, running};
use underpass_tests::story::Story;
use underpass_tests::wire::{message_id, response_start};

/// A relay with the smallest limits, and a runner ready on connection 1.
fn small() -> Story<Relay> {
    let mut story = relay_with(Config { max_frame: 100, ..small_config() });
    story.takes_in(1, "a");
    story
}

fn blocked(mut story: Story<Relay>) -> Story<Relay> {
    story.input(Event::PeerBlocked { connection: 1 }).expect([]);
    story
}

fn of(request: u8, number: u16) -> MessageId {
    message_id(RequestId([request; 4]), number)
}

/// A piece whose frame has 65 bytes on a runner's WebSocket.
fn piece() -> Piece {
    Piece::RequestChunk(to_client::RequestChunk { body: zeros(51), finish: false })
}

fn held(story: &Story<Relay>) -> usize {
    story.machine.stats().buffered
}

fn writable(story: &mut Story<Relay>) -> &mut Story<Relay> {
    story.input(Event::PeerWritable { connection: 1 })
}

#[test]
fn what_comes_for_a_blocked_runner_waits_and_goes_in_order_when_there_is_room() {
    let mut story = relay();
    story.opens_route(of(1, 0), start(None)).opens_route(of(2, 0), websocket_open());
    let mut story = blocked(story);
    let text = Piece::WebSocketMessage(to_client::WebSocketMessage { data: zeros(3), binary: true });
    let close = Piece::WebSocketClose(Close::new(1000, "").into_wire());
    let waiting = [
        (of(1, 1), piece()),
        (of(2, 1), text),
        (of(3, 0), start(Some(b"body"))),
        (of(1, 0), Piece::Credit(credit(1))),
        (of(2, 2), close),
        (of(1, 2), Piece::RequestAbort),
    ];
    for (id, kind) in &waiting {
        story.asks(1, *id, kind.clone()).expect([]);
    }
    story.passes(std::time::Duration::from_secs(3)).expect([]);
    assert!(held(&story) > 65);
    // The other direction is not blocked.
    let answer = response_start(200, None, false);
    story.answers(1, of(3, 0), answer.clone()).expect([publishes(1, of(3, 0), answer)]);
    let sent = waiting.map(|(id, kind)| sends_piece(1, id, kind));
    writable(&mut story).expect(sent.into_iter().chain([pings(1, 3_000)]));
    assert_eq!(held(&story), 0);
    writable(&mut story).expect([]);
    story.leaves_and_ends();
}

#[test]
fn a_connection_that_is_blocked_again_keeps_waiting() {
    let mut story = blocked(relay());
    story.asks(1, of(1, 0), start(None)).expect([]);
    writable(&mut story).expect([sends_piece(1, of(1, 0), start(None))]);
    let mut story = blocked(story);
    story.asks(1, of(1, 1), Piece::RequestAbort).expect([]);
    writable(&mut story).expect([sends_piece(1, of(1, 1), Piece::RequestAbort)]);
    story.leaves_and_ends();
}

#[test]
fn a_request_of_which_too_much_waits_is_aborted_at_both_ends_and_its_neighbour_is_not() {
    let mut story = small();
    story.opens_route(of(1, 0), start(None)).opens_route(of(2, 0), start(None));
    let mut story = blocked(story);
    story.asks(1, of(1, 1), piece()).expect([]);
    story.asks(1, of(2, 1), piece()).expect([]);
    assert_eq!(held(&story), 130);
    story.asks(1, of(1, 2), piece()).expect([publishes(1, of(1, 0), Answer::ResponseAbort)]);
    story.asks(1, of(1, 3), piece()).expect([]);
    assert_eq!((story.machine.stats().routes, story.machine.stats().late), (1, 1));
    // The runner hears what it was sent before, and then the abort under the number of what it was not.
    let abort = sends_piece(1, of(1, 2), Piece::RequestAbort);
    writable(&mut story).expect([sends_piece(1, of(1, 1), piece()), sends_piece(1, of(2, 1), piece()), abort]);
    story.asks(1, of(2, 2), piece()).expect([sends_piece(1, of(2, 2), piece())]);
    story.leaves_and_ends();
}

#[test]
fn exactly_the_bound_may_wait_of_a_request() {
    let mut story = small();
    story.opens_route(of(1, 0), start(None));
    let mut story = blocked(story);
    story.asks(1, of(1, 1), piece()).expect([]);
    let rest = Piece::RequestChunk(to_client::RequestChunk { body: zeros(21), finish: false });
    story.asks(1, of(1, 2), rest).expect([]);
    assert_eq!(held(&story), 100);
    story.asks(1, of(1, 0), Piece::Credit(credit(1))).expect([publishes(1, of(1, 0), Answer::ResponseAbort)]);
    assert_eq!(story.machine.stats().routes, 0);
    writable(&mut story).actions();
    story.leaves_and_ends();
}

#[test]
fn what_was_sent_on_does_not_count_any_more() {
    let mut story = small();
    story.opens_route(of(1, 0), start(None));
    for number in 1..=5 {
        story.input(Event::PeerBlocked { connection: 1 }).expect([]);
        story.asks(1, of(1, number), piece()).expect([]);
        writable(&mut story).expect([sends_piece(1, of(1, number), piece())]);
    }
    story.leaves_and_ends();
}

#[test]
fn the_request_that_brings_more_than_a_connection_may_hold_is_aborted() {
    let mut story = small();
    for request in 1..=4 {
        story.opens_route(of(request, 0), start(None));
    }
    let mut story = blocked(story);
    for request in 1..=3 {
        story.asks(1, of(request, 1), piece()).expect([]);
    }
    assert_eq!(held(&story), 195);
    story.asks(1, of(4, 1), piece()).expect([publishes(1, of(4, 0), Answer::ResponseAbort)]);
    assert_eq!(story.machine.stats().routes, 3);
    let abort = sends_piece(1, of(4, 1), Piece::RequestAbort);
    let sent = [1, 2, 3].map(|request| sends_piece(1, of(request, 1), piece()));
    writable(&mut story).expect(sent.into_iter().chain([abort]));
    story.leaves_and_ends();
}

#[test]
fn exactly_the_bound_may_wait_of_a_connection() {
    let mut story = small();
    for request in 1..=5 {
        story.opens_route(of(request, 0), start(None));
    }
    let mut story = blocked(story);
    let rest = || Piece::RequestChunk(to_client::RequestChunk { body: zeros(21), finish: false });
    for request in [1, 2] {
        story.asks(1, of(request, 1), piece()).expect([]);
        story.asks(1, of(request + 2, 1), rest()).expect([]);
    }
    assert_eq!((held(&story), story.machine.stats().routes), (200, 5));
    story.asks(1, of(5, 0), Piece::Credit(credit(1))).expect([publishes(1, of(5, 0), Answer::ResponseAbort)]);
    writable(&mut story).actions();
    story.leaves_and_ends();
}

#[test]
fn a_websocket_of_which_too_much_waits_is_closed_as_overloaded_at_its_handler() {
    let mut story = small();
    story.opens_route(of(1, 0), websocket_open());
    let mut story = blocked(story);
    let text = || Piece::WebSocketMessage(to_client::WebSocketMessage { data: zeros(50), binary: true });
    story.asks(1, of(1, 1), text()).expect([]);
    story.asks(1, of(1, 2), text()).expect([publishes(1, of(1, 0), Answer::ResponseAbort)]);
    let close = Piece::WebSocketClose(Close::new(1013, "overloaded").into_wire());
    writable(&mut story).expect([sends_piece(1, of(1, 1), text()), sends_piece(1, of(1, 2), close)]);
    story.leaves_and_ends();
}

#[test]
fn openings_wait_too_and_those_that_find_no_room_are_refused() {
    let mut story = blocked(small());
    let opening = || {
        let Piece::RequestStart(start) = start(None) else { unreachable!() };
        Piece::RequestStart(to_client::RequestStart { body: Some(zeros(50)), ..start })
    };
    story.asks(1, of(1, 0), opening()).expect([]);
    let each = held(&story);
    assert!(each * 2 <= 200 && each * 3 > 200);
    story.asks(1, of(2, 0), opening()).expect([]);
    story.asks(1, of(3, 0), opening());
    story.expect([refuses(1, of(3, 0), RefusedReason::Full)]);
    assert_eq!((held(&story), story.machine.stats().routes), (each * 2, 2));
    writable(&mut story).expect([1, 2].map(|request| sends_piece(1, of(request, 0), opening())));
    story.leaves_and_ends();
}

#[test]
fn openings_may_fill_what_a_connection_may_hold() {
    let mut story = blocked(small());
    let opening = |body| {
        let Piece::RequestStart(start) = start(None) else { unreachable!() };
        Piece::RequestStart(to_client::RequestStart { body: Some(zeros(body)), ..start })
    };
    story.asks(1, of(1, 0), opening(50)).expect([]);
    let rest = 100 - held(&story);
    story.asks(1, of(2, 0), opening(50 + 2 * rest)).expect([]);
    assert_eq!((held(&story), story.machine.stats().routes), (200, 2));
    writable(&mut story).actions();
    story.leaves_and_ends();
}

#[test]
fn what_waits_of_an_opening_counts_for_its_request() {
    let mut story = blocked(small());
    story.asks(1, of(1, 0), start(Some(&[0; 10]))).expect([]);
    let opening = held(&story);
    assert!(opening + 65 > 100);
    story.asks(1, of(1, 1), piece()).expect([publishes(1, of(1, 0), Answer::ResponseAbort)]);
    let abort = sends_piece(1, of(1, 1), Piece::RequestAbort);
    writable(&mut story).expect([sends_piece(1, of(1, 0), start(Some(&[0; 10]))), abort]);
    story.leaves_and_ends();
}

#[test]
fn a_runner_that_asks_for_more_than_it_reads_is_closed() {
    let mut story = blocked(small());
    let kv = || ToServer::KvRequest(KvRequest { actor_id: "a".into(), request_id: 1, data: KvRequestData::Drop });
    for _ in 0..100 {
        story.says(1, kv());
        let actions = story.actions();
        if !actions.is_empty() {
            assert_eq!(actions[0], closes(1, 1013, "relay.backlog_full"));
            assert_eq!(held(&story), 0);
            story.directory(1, ChangeOutcome::Stored(Revision(3))).expect([]);
            story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
            return;
        }
    }
    panic!("{} bytes wait for a runner that does not read", held(&story));
}

#[test]
fn what_waits_for_a_connection_that_ends_is_dropped() {
    let mut story = blocked(relay());
    story.asks(1, of(1, 0), start(None)).expect([]);
    story.input(Event::Disconnected { connection: 1 });
    assert_eq!(held(&story), 0);
    story.actions();
    story.directory(1, ChangeOutcome::Stored(Revision(3))).expect([]).ends();
}

#[test]
fn behind_the_close_of_a_connection_nothing_is_sent() {
    for block in [false, true] {
        let mut story = relay();
        story.opens_route(of_request(0), start(None));
        if block {
            story.input(Event::PeerBlocked { connection: 1 }).expect([]);
        }
        story.bus_brings(1, ToRunner::Close);
        assert_eq!(story.actions().len(), 4);
        story.bus_brings(1, ToRunner::Commands(Vec::new())).expect([]);
        story.asks(1, of_request(1), piece()).expect([]);
        story.says(1, pong()).expect([]);
        let Action::Publish(publication) = publishes(1, of_request(0), response_start(200, None, true)) else {
            unreachable!()
        };
        story.input(Event::PublishFailed(Rejected { publication, reason: PublishError::NoResponders })).expect([]);
        writable(&mut story).expect([]);
        assert_eq!(held(&story), 0);
        story.directory(1, ChangeOutcome::Stored(Revision(3))).expect([]);
        story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
    }
}

#[test]
fn a_runner_that_does_not_read_what_it_is_told_of_its_actors_is_closed() {
    let most = Config { max_frame: 1_000, outbox: 1_000, max_buffered: 1_000, max_backlog: 2_000, ..small_config() };
    let mut hosting = hosting_with(Config { bus_largest_message: 1_002, ..most });
    hosting.takes_in(1, "a", Version::V7).runs(1, "default");
    hosting.input(Event::PeerBlocked { connection: 1 });
    for round in 0..100 {
        // Twenty actors that nobody gave it: they are told to stop.
        let strays = (0..20).map(|actor| event(&format!("stray-{round}-{actor}"), 1, 0, running())).collect();
        hosting.tells(1, strays).passes(Duration::from_secs(5));
        let buffered = hosting.story.machine.stats().buffered;
        assert!(buffered <= 3_000, "{buffered} bytes wait");
        let closed = Action::Close { connection: 1, close: Close::new(1013, "relay.backlog_full") };
        if hosting.saw().contains(&closed) {
            hosting.cuts(1);
            return hosting.ends();
        }
    }
    panic!("it was never closed");
}
