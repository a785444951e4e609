//! What a handler must not do with a request: each is told, and changes nothing.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::ApiMisuse::OutOfTurn;
use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::Dialect;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::runner::{Action, Event, StopReason};
use underpass_core::{RequestKey, Runner};
use underpass_tests::given::gateway::zeros;
use underpass_tests::given::runner::{calm, dialling, dials, greeting, of, ready_with, runner, small_config};
use underpass_tests::story::Story;
use underpass_tests::wire::status;

fn start(key: RequestKey) -> Event {
    Event::ResponseStart { key, head: status(200), body: Body::Stream }
}

fn chunk(key: RequestKey) -> Event {
    Event::ResponseChunk { key, bytes: zeros(1), finish: true }
}

fn text(key: RequestKey) -> Event {
    Event::WebSocketMessage { key, message: Message::Text("text".into()) }
}

fn close(key: RequestKey) -> Event {
    Event::WebSocketClose { key, close: Close::new(1000, "") }
}

#[test]
fn an_exchange_is_no_websocket() {
    for (dialect, begun) in [(Dialect::Underpass, false), (Dialect::Underpass, true), (Dialect::Published, true)] {
        let mut story = ready_with(small_config(1_000), dialect);
        let key = story.is_asked(1);
        if begun {
            story.input(start(key)).actions();
            story.misuse(start(key), OutOfTurn("a second answer to a request"));
        } else {
            story.misuse(chunk(key), OutOfTurn("a chunk before its answer began"));
        }
        story.misuse(
            Event::WebSocketAccept { key, can_hibernate: false },
            OutOfTurn("an HTTP exchange taken as a WebSocket"),
        );
        story.misuse(text(key), OutOfTurn("a message for an HTTP exchange"));
        story.misuse(close(key), OutOfTurn("a close for an HTTP exchange"));
        story.asks(of(1, 0), Piece::RequestAbort).actions();
        story.drains_and_ends();
    }
}

#[test]
fn a_websocket_is_no_exchange() {
    for open in [false, true] {
        let mut story = runner();
        let key = if open { story.opens_websocket(1) } else { story.is_asked_for_websocket(1) };
        story.misuse(start(key), OutOfTurn("an HTTP answer to a WebSocket"));
        story.misuse(chunk(key), OutOfTurn("a chunk of a body for a WebSocket"));
        if open {
            story.misuse(Event::WebSocketAccept { key, can_hibernate: false }, OutOfTurn("a WebSocket taken twice"));
        } else {
            story.misuse(text(key), OutOfTurn("a message before its WebSocket was taken"));
        }
        story.asks(of(1, 0), Piece::RequestAbort).actions();
        story.drains_and_ends();
    }
}

#[test]
fn nothing_goes_behind_an_end_that_waits_for_credit() {
    let mut story = ready_with(small_config(1), Dialect::Underpass);
    let key = story.is_asked(1);
    story.input(start(key)).actions();
    let piece = |finish| Event::ResponseChunk { key, bytes: zeros(1), finish };
    story.input(piece(false)).actions();
    story.input(piece(true)).expect([]);
    let behind = OutOfTurn("a chunk behind the end of its body");
    story.misuse(piece(false), behind);
    story.misuse(Event::ResponseChunk { key, bytes: Bytes::new(), finish: true }, behind);
    story.misuse(start(key), OutOfTurn("a second answer to a request"));
    story.asks(of(1, 0), Piece::RequestAbort).actions();

    let key = story.opens_websocket(2);
    story.input(text(key)).actions();
    story.input(text(key)).expect([]);
    story.input(close(key)).expect([]);
    story.misuse(text(key), OutOfTurn("a message behind the close of its WebSocket"));
    story.misuse(close(key), OutOfTurn("a second close of a WebSocket"));
    story.misuse(Event::WebSocketAccept { key, can_hibernate: false }, OutOfTurn("a WebSocket taken twice"));
    story.misuse(start(key), OutOfTurn("an HTTP answer to a WebSocket"));
    // It has closed, and its failure comes too late to change that.
    story.input(Event::HandlerFailed { key }).expect([]);
    story.asks(of(2, 0), Piece::RequestAbort).expect([]);
    story.drains_and_ends();
}

#[test]
fn a_connection_comes_only_when_it_was_asked_for() {
    let unasked_for = |story: &mut Story<Runner>, connection| {
        let connected = Event::Connected { connection, dialect: Dialect::Underpass };
        story.misuse(connected, OutOfTurn("a connection that was not asked for"));
        let refused = Event::DialRefused { connection, status: 403, message: "no".into() };
        story.misuse(refused, OutOfTurn("the refusal of a connection that was not asked for"));
    };
    let unasked = |story: &mut Story<Runner>| [0, 1, 3].map(|connection| unasked_for(story, connection));
    let mut story = dialling(calm());
    unasked_for(&mut story, 2);
    story.is_lost().expect([]);
    unasked(&mut story);
    story.passes(Duration::from_secs(1)).expect([dials(2)]);
    unasked(&mut story);
    story.is_connected(Dialect::Underpass).actions();
    unasked(&mut story);
    unasked_for(&mut story, 2);
    story.hears(greeting()).actions();
    unasked_for(&mut story, 2);
    story.input(Event::Drain).actions();
    unasked_for(&mut story, 2);
    story.is_lost().expect([Action::Stopped(StopReason::Drained)]);
    unasked_for(&mut story, 2);
    story.ends();
}
