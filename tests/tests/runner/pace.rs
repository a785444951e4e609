//! Credit toward gateways, and an outbox without room.

use bytes::Bytes;
use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::{Dialect, ToClient, ToServer};
use underpass_core::runner::{Action, Config, Event};
use underpass_core::{ConfigError, Machine, RequestKey, Runner, Time};
use underpass_tests::given::gateway::{credit, zeros};
use underpass_tests::given::runner::{
    answers, answers_close, answers_on, calm, dials, of, ping, ready_with, runner, says, small_config,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{message, request_chunk, status};

fn chunk(key: RequestKey, bytes: Bytes, finish: bool) -> Event {
    Event::ResponseChunk { key, bytes, finish }
}

fn sent(request: u8, number: u16, length: usize, finish: bool) -> Action {
    answers(of(request, number), Answer::ResponseChunk(to_server::ResponseChunk { body: zeros(length), finish }))
}

/// A request whose answer has begun, with message 0.
fn responding(story: &mut Story<Runner>, request: u8) -> RequestKey {
    let key = story.is_asked(request);
    story.input(Event::ResponseStart { key, head: status(200), body: Body::Stream });
    assert_eq!(story.actions().len(), 1);
    key
}

fn grants(total: u32) -> Piece {
    Piece::Credit(credit(total))
}

#[test]
fn a_handler_waits_when_its_credit_is_spent_and_goes_on_when_there_is_more() {
    let mut story = ready_with(small_config(80), Dialect::Underpass);
    let key = responding(&mut story, 1);
    story.input(chunk(key, zeros(10), false)).expect([sent(1, 1, 10, false)]);
    story.input(chunk(key, zeros(10), false)).expect([sent(1, 2, 10, false), Action::PauseSource { key }]);
    story.input(chunk(key, zeros(10), false)).expect([]);
    assert_eq!(story.machine.stats().buffered, 10);
    // Each chunk counts for 64 bytes.
    story.asks(of(1, 0), grants(48)).expect([]);
    story.asks(of(1, 0), grants(49)).expect([sent(1, 3, 10, false)]);
    story.asks(of(1, 0), grants(112)).expect([]);
    // A total of the past, or of what was never sent, is none.
    story.asks(of(1, 0), grants(49)).expect([]);
    story.asks(of(1, 0), grants(193)).expect([]);
    story.asks(of(1, 0), grants(113)).expect([Action::ResumeSource { key }]);
    story.input(chunk(key, Bytes::new(), true)).expect([sent(1, 4, 0, true)]);
    story.drains_and_ends();
}

#[test]
fn an_end_without_bytes_needs_no_credit_and_a_source_that_has_ended_no_pause() {
    let mut story = ready_with(small_config(10), Dialect::Underpass);
    let key = responding(&mut story, 1);
    story.input(chunk(key, zeros(10), false)).expect([sent(1, 1, 10, false), Action::PauseSource { key }]);
    story.input(chunk(key, Bytes::new(), true)).expect([sent(1, 2, 0, true)]);
    let key = responding(&mut story, 2);
    story.input(chunk(key, zeros(10), true)).expect([sent(2, 1, 10, true)]);
    story.drains_and_ends();
}

#[test]
fn a_large_whole_answer_waits_for_credit_without_a_pause() {
    let mut story = ready_with(small_config(10), Dialect::Underpass);
    let key = story.is_asked(1);
    story.input(Event::ResponseStart { key, head: status(200), body: Body::Whole(zeros(30)) });
    assert_eq!(story.actions().len(), 2);
    story.asks(of(1, 0), grants(64)).expect([sent(1, 2, 10, false)]);
    story.asks(of(1, 0), grants(128)).expect([sent(1, 3, 10, true)]);
    story.drains_and_ends();
}

#[test]
fn the_most_credit_that_can_be_configured_is_credit() {
    let most = (1 << 21) - 64;
    let mut story = ready_with(Config { credit: most, ..calm() }, Dialect::Underpass);
    let key = responding(&mut story, 1);
    story.input(chunk(key, zeros(10), false)).expect([sent(1, 1, 10, false)]);
    story.asks(of(1, 0), Piece::RequestAbort).expect([Action::Aborted { key }]);
    story.drains_and_ends();
    for more in [most + 1, 1 << 31, u32::MAX] {
        let config = Config { credit: more, ..calm() };
        let refused =
            Runner::new(config, "key".into(), 1, Time::ZERO).expect_err("more than its counters can tell apart");
        assert_eq!(refused, ConfigError::TooLarge { setting: "credit", most: u64::from(most) });
    }
}

#[test]
fn a_handler_that_does_not_pause_is_broken_off_past_the_bound() {
    let bound = small_config(1).max_buffered;
    let mut story = ready_with(small_config(10), Dialect::Underpass);
    let key = responding(&mut story, 1);
    story.input(chunk(key, zeros(10), false)).actions();
    story.input(chunk(key, zeros(bound), false)).expect([]);
    story.input(chunk(key, zeros(1), false));
    story.expect([answers(of(1, 2), Answer::ResponseAbort), Action::Aborted { key }]);
    story.drains_and_ends();
}

#[test]
fn what_handlers_send_while_the_outbox_has_no_room_waits_and_goes_in_turn() {
    let mut story = runner();
    let keys = [1, 2, 3].map(|request| responding(&mut story, request));
    story.is_blocked().expect([]);
    // The third came first, and the first a second time.
    for place in [2, 0, 1] {
        let key = keys[place];
        story.input(chunk(key, zeros(place + 1), false)).expect([Action::PauseSource { key }]);
    }
    story.input(chunk(keys[0], zeros(4), false)).expect([]);
    assert_eq!(story.machine.stats().buffered, 10);
    story.is_writable().expect([
        sent(3, 1, 3, false),
        Action::ResumeSource { key: keys[2] },
        sent(1, 1, 1, false),
        sent(1, 2, 4, false),
        Action::ResumeSource { key: keys[0] },
        sent(2, 1, 2, false),
        Action::ResumeSource { key: keys[1] },
    ]);
    story.is_writable().expect([]);
    for (request, key) in [(1, keys[0]), (2, keys[1]), (3, keys[2])] {
        story.asks(of(request, 0), Piece::RequestAbort).expect([Action::Aborted { key }]);
    }
    story.drains_and_ends();
}

#[test]
fn who_waited_longest_goes_first_each_time_the_outbox_has_room() {
    let mut story = runner();
    let keys = [1, 2].map(|request| responding(&mut story, request));
    for turn in 0..4 {
        let [first, second] = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
        story.is_blocked().expect([]);
        for place in [first, second] {
            story.input(chunk(keys[place], zeros(1), false)).expect([Action::PauseSource { key: keys[place] }]);
        }
        let goes =
            |place: usize| [sent(place as u8 + 1, turn + 1, 1, false), Action::ResumeSource { key: keys[place] }];
        story.is_writable().expect(goes(first).into_iter().chain(goes(second)));
    }
    story.asks(of(1, 0), Piece::RequestAbort).actions();
    story.asks(of(2, 0), Piece::RequestAbort).actions();
    story.drains_and_ends();
}

#[test]
fn credit_that_comes_while_the_outbox_has_no_room_is_used_when_it_has() {
    let mut story = ready_with(small_config(10), Dialect::Underpass);
    let key = responding(&mut story, 1);
    story.input(chunk(key, zeros(10), false)).actions();
    story.input(chunk(key, zeros(10), false)).expect([]);
    story.is_blocked().expect([]);
    story.asks(of(1, 0), grants(64)).expect([]);
    story.is_writable().expect([sent(1, 2, 10, false)]);
    story.asks(of(1, 0), grants(128)).expect([Action::ResumeSource { key }]);
    story.asks(of(1, 0), Piece::RequestAbort).actions();
    story.drains_and_ends();
}

#[test]
fn a_close_waits_behind_its_messages_for_credit_and_for_room() {
    let mut story = ready_with(small_config(5), Dialect::Underpass);
    let key = story.opens_websocket(1);
    let text = |text: &'static str| Event::WebSocketMessage { key, message: Message::Text(text.into()) };
    let goes = |number, text: &'static [u8]| answers(of(1, number), Answer::WebSocketMessage(message(text, false)));
    story.input(text("first")).expect([goes(1, b"first"), Action::PauseSource { key }]);
    story.input(text("second")).expect([]);
    story.input(Event::WebSocketClose { key, close: Close::new(1000, "end") }).expect([]);
    story.is_blocked().expect([]);
    story.asks(of(1, 0), grants(64)).expect([]);
    // The handler has closed: what its client sends on is dropped.
    story.asks(of(1, 1), Piece::WebSocketMessage(message(b"late", false))).expect([]);
    story.is_writable();
    story.expect([goes(2, b"second"), answers_close(of(1, 3), Close::new(1000, "end"))]);
    assert_eq!(story.machine.stats().answered, 1);
    story.drains_and_ends();
}

#[test]
fn a_request_that_ended_while_it_waited_is_passed_over() {
    let mut story = runner();
    let keys = [1, 2].map(|request| responding(&mut story, request));
    story.is_blocked().expect([]);
    for key in keys {
        story.input(chunk(key, zeros(1), true)).expect([]);
    }
    story.asks(of(1, 0), Piece::RequestAbort).expect([Action::Aborted { key: keys[0] }]);
    story.is_writable().expect([sent(2, 1, 1, true)]);
    story.drains_and_ends();
}

#[test]
fn a_pong_does_not_wait_for_room() {
    let mut story = runner();
    story.is_blocked().expect([]);
    let pong = underpass_core::protocol::to_server::Pong { ts: 3 };
    story.hears(ping(3)).expect([says(ToServer::Pong(pong))]);
    story.is_writable().expect([]);
    story.drains_and_ends();
}

/// The answer to a ping, and what is told again with it.
#[track_caller]
fn pings(story: &mut Story<Runner>, again: impl IntoIterator<Item = (u8, u32)>) {
    let pong = says(ToServer::Pong(underpass_core::protocol::to_server::Pong { ts: 3 }));
    let again = again.into_iter().map(|(request, total)| answers(of(request, 0), Answer::Credit(credit(total))));
    story.hears(ping(3)).expect([pong].into_iter().chain(again));
}

/// The handler reads a chunk of 10 bytes, and their client may send more.
fn reads(story: &mut Story<Runner>, request: u8, number: u16, key: RequestKey) {
    story.asks(of(request, number), request_chunk(&[0; 10], false)).actions();
    story.input(Event::Consumed { key, bytes: 10 });
    assert_eq!(story.actions().len(), 1, "a grant");
}

#[test]
fn with_each_ping_the_credit_of_one_request_is_told_again_in_turn() {
    let mut story = ready_with(small_config(100), Dialect::Underpass);
    let keys = [1, 2, 3, 4].map(|request| story.is_asked_with_stream(request));
    pings(&mut story, None);
    for place in [1, 0, 2] {
        reads(&mut story, place as u8 + 1, 1, keys[place]);
    }
    pings(&mut story, Some((2, 64)));
    reads(&mut story, 1, 2, keys[0]);
    pings(&mut story, Some((1, 128)));
    pings(&mut story, Some((3, 64)));
    reads(&mut story, 4, 1, keys[3]);
    pings(&mut story, Some((2, 64)));
    // What has ended is passed over; nobody sends any more of a body that has.
    story.asks(of(1, 0), Piece::RequestAbort).actions();
    story.asks(of(3, 2), request_chunk(&[0; 10], true)).actions();
    for _ in 0..2 {
        pings(&mut story, Some((4, 64)));
        pings(&mut story, Some((2, 64)));
    }
    for request in 2..=4 {
        story.asks(of(request, 0), Piece::RequestAbort).actions();
    }
    pings(&mut story, None);
    story.drains_and_ends();
}

#[test]
fn the_turn_comes_round_however_many_requests_have_ended_between() {
    let mut story = ready_with(small_config(100), Dialect::Underpass);
    let stays = story.is_asked_with_stream(1);
    reads(&mut story, 1, 1, stays);
    for _ in 0..1_000 {
        let key = story.is_asked_with_stream(2);
        reads(&mut story, 2, 1, key);
        story.asks(of(2, 0), Piece::RequestAbort).actions();
    }
    let key = story.is_asked_with_stream(3);
    reads(&mut story, 3, 1, key);
    for _ in 0..3 {
        pings(&mut story, Some((1, 64)));
        pings(&mut story, Some((3, 64)));
    }
    for request in [1, 3] {
        story.asks(of(request, 0), Piece::RequestAbort).actions();
    }
    story.drains_and_ends();
}

#[test]
fn each_connections_ping_has_a_request_of_that_connection() {
    let mut story = ready_with(small_config(100), Dialect::Underpass);
    let old = story.is_asked_with_stream(1);
    reads(&mut story, 1, 1, old);
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.becomes_ready(Dialect::Underpass).expect([]);
    let new = story.is_asked_with_stream(2);
    reads(&mut story, 2, 1, new);
    for (connection, request) in [(1, 1), (2, 2), (1, 1)] {
        let again = Answer::Credit(credit(64));
        story.hears_on(connection, ping(3));
        assert_eq!(story.actions()[1..], [answers_on(connection, of(request, 0), again)]);
    }
    story.loses(1).expect([Action::Aborted { key: old }]);
    story.asks(of(2, 0), Piece::RequestAbort).actions();
    story.drains_and_ends();
}
