//! A runner's connection, and a request at the runner.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::kv::{KvResponse, KvResponseData};
use underpass_core::protocol::to_client::AckEvents;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::{Dialect, ToClient};
use underpass_core::runner::Event;
use underpass_core::{ApiMisuse, RequestKey, Runner};
use underpass_tests::given::gateway::{credit, zeros};
use underpass_tests::given::relay::{start, websocket_open};
use underpass_tests::given::runner::{calm, dialling, dials, greeting, of, ping, ready_with, runner, small_config};
use underpass_tests::short;
use underpass_tests::snapshot::Table;
use underpass_tests::story::Story;
use underpass_tests::wire::{message, request_chunk, request_start, status, to_client};

/// A state, how a runner comes to be in it, and the connection that the events are about.
type LinkState = (&'static str, fn() -> Story<Runner>, u64);

const LINKS: [LinkState; 21] = [
    ("waiting to dial", waiting, 1),
    ("dialling", || dialling(calm()), 1),
    ("giving up, draining", || drained(dialling(calm())), 1),
    ("greeting", greeting_relay, 1),
    ("settling", settling, 1),
    ("ready", runner, 1),
    ("ready, a request open", with_request, 1),
    ("ready, a request open, draining", || drained(with_request()), 1),
    ("leaving, waiting to dial", leaving, 1),
    ("leaving, dialling another: the old one", leaving_beside_dialling, 1),
    ("leaving, dialling another: the new one", leaving_beside_dialling, 2),
    ("leaving, draining", || drained(leaving()), 1),
    ("stopped", stopped, 1),
    ("a request at a draining relay, dialling: the old one", moving, 1),
    ("a request at a draining relay, dialling: the new one", moving, 2),
    ("a request at a draining relay, waiting to dial again", moving_slowly, 1),
    ("a request at a draining relay, another greeted: the old one", moving_greeting, 1),
    ("a request at a draining relay, ready at another: the old one", moved, 1),
    ("a request at a draining relay, ready at another: the new one", moved, 2),
    ("nothing open at a draining relay, ready at another: the old one", moved_all, 1),
    ("a request at a draining relay, ready at another, draining", || drained(moved()), 2),
];

fn lost(connection: u64) -> Event {
    Event::Disconnected { connection, close: None }
}

fn drained(mut story: Story<Runner>) -> Story<Runner> {
    story.input(Event::Drain).actions();
    story
}

fn waiting() -> Story<Runner> {
    let mut story = dialling(calm());
    story.is_lost().expect([]);
    story
}

fn greeting_relay() -> Story<Runner> {
    let mut story = dialling(calm());
    story.is_connected(Dialect::Underpass).actions();
    story
}

fn settling() -> Story<Runner> {
    let mut story = greeting_relay();
    story.hears(greeting()).expect([]);
    story.hears(ping(1)).actions();
    story
}

fn with_request() -> Story<Runner> {
    let mut story = runner();
    story.is_asked(1);
    story
}

fn leaving() -> Story<Runner> {
    let mut story = runner();
    story.hears_bytes(Bytes::from_static(&[9])).actions();
    story
}

fn leaving_beside_dialling() -> Story<Runner> {
    let mut story = leaving();
    story.passes(Duration::from_secs(1)).expect([dials(2)]);
    story
}

fn stopped() -> Story<Runner> {
    let mut story = dialling(calm());
    story.is_closed(1000, "ws.eviction").actions();
    story
}

fn moving() -> Story<Runner> {
    let mut story = with_request();
    story.hears(ToClient::Draining).expect([dials(2)]);
    story
}

fn moving_slowly() -> Story<Runner> {
    let mut story = moving();
    story.is_refused(503).expect([]);
    story
}

fn moving_greeting() -> Story<Runner> {
    let mut story = moving();
    story.is_connected(Dialect::Underpass).actions();
    story
}

fn moved() -> Story<Runner> {
    let mut story = moving();
    story.becomes_ready(Dialect::Underpass);
    story
}

fn moved_all() -> Story<Runner> {
    let mut story = runner();
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.becomes_ready(Dialect::Underpass).expect([]);
    story
}

/// Why an event shows nothing.
fn why_not(state: &str, event: &str) -> &'static str {
    let has_ended = state.starts_with("waiting to dial") || state == "stopped";
    let is_dialled = state.starts_with("dialling")
        || state.starts_with("giving up")
        || state.ends_with(", dialling: the new one")
        || state.ends_with("dialling another: the new one");
    match event {
        "tick" | "a second" | "5 seconds" | "10 seconds" | "15 seconds" => "nothing is due",
        "drain" => "it drains already, or has stopped",
        "connected" => "it is closed as soon as it is open",
        _ if has_ended => "the connection has ended",
        _ if is_dialled => "the connection is not open",
        _ if state.starts_with("leaving") => "the connection was left",
        "relay: Init" if state == "greeting" => "requests come when the gateways were told",
        "relay: Init" => "greeted twice, the first holds",
        "relay: Commands" | "relay: AckEvents" | "relay: KvResponse" => "that is for actors with state",
        "relay: Draining" if state == "greeting" => "it is looked at when the relay has greeted",
        "relay: Draining" if state.ends_with(", draining") => "it goes anyway",
        "relay: Draining" if state.ends_with("the new one") => "there are two connections at most",
        "relay: Draining" => "that is known",
        "outbox: blocked" => "what handlers send next waits",
        "outbox: writable" => "nothing waits",
        _ => panic!("{state}: why does nothing come of {event}?"),
    }
}

fn link_events(connection: u64) -> Vec<(&'static str, Event)> {
    let refused = |status| Event::DialRefused { connection, status, message: "no".into() };
    let closed = |code, reason: &'static str| Event::Disconnected { connection, close: Some(Close::new(code, reason)) };
    let received = |frame| Event::Received { connection, frame };
    let hears = |message: &ToClient| received(message.encode());
    let asks = |kind| received(to_client(of(9, 0), kind));
    vec![
        ("connected", Event::Connected { connection, dialect: Dialect::Underpass }),
        ("dial refused, 404", refused(404)),
        ("dial refused, 503", refused(503)),
        ("disconnected", lost(connection)),
        ("disconnected, 1008", closed(1008, "relay.unrouted")),
        ("disconnected, evicted", closed(1000, "ws.eviction#taken_over")),
        ("relay: Init", hears(&greeting())),
        ("relay: Ping", hears(&ping(1))),
        ("relay: Commands", hears(&ToClient::Commands(Vec::new()))),
        ("relay: AckEvents", hears(&ToClient::AckEvents(AckEvents { last_event_checkpoints: Vec::new() }))),
        ("relay: KvResponse", hears(&ToClient::KvResponse(KvResponse { request_id: 1, data: KvResponseData::Drop }))),
        ("relay: Draining", hears(&ToClient::Draining)),
        ("relay: RequestStart", asks(start(None))),
        ("relay: WebSocketOpen", asks(websocket_open())),
        ("relay: RequestAbort of what is not open", asks(Piece::RequestAbort)),
        ("relay: a malformed frame", received(Bytes::from_static(&[9]).into())),
        ("outbox: blocked", Event::PeerBlocked { connection }),
        ("outbox: writable", Event::PeerWritable { connection }),
        ("drain", Event::Drain),
        ("tick", Event::Tick),
    ]
}

fn later(seconds: u64) -> impl FnOnce(&mut Story<Runner>) -> Result<(), ApiMisuse> {
    move |story| {
        story.passes(Duration::from_secs(seconds));
        Ok(())
    }
}

#[test]
fn the_connections_of_a_runner_do_as_their_table_says() {
    let mut table = Table::new("A runner's connections: what happens, and what the runner does about it.");
    for (state, link, connection) in LINKS {
        table.state(state);
        for (name, event) in link_events(connection) {
            table.event_or(name, link(), |story| story.try_input(event), short::runner, || why_not(state, name));
        }
        for (name, seconds) in [("a second", 1), ("5 seconds", 5), ("10 seconds", 10), ("15 seconds", 15)] {
            table.event_or(name, link(), later(seconds), short::runner, || why_not(state, name));
        }
    }
    table.is_as_in("runner-connection.txt");
}

/// A runner, a request, and the number that its gateway's next message has.
type Stage = (Story<Runner>, RequestKey, u16);

/// A state, and how a request comes to be in it.
type State = (&'static str, fn() -> Stage);

const STATES: [State; 10] = [
    ("awaiting an answer", awaiting_answer),
    ("awaiting an answer, the body streams", awaiting_answer_to_stream),
    ("collecting an answer", collecting),
    ("the answer streams", responding),
    ("the answer streams, the outbox blocked", blocked),
    ("the answer has ended, its end waits for credit", answered),
    ("awaiting a WebSocket", awaiting_websocket),
    ("open WebSocket", open_socket),
    ("closing WebSocket, a message waits for credit", closing),
    ("ended", ended),
];

fn small() -> Story<Runner> {
    ready_with(small_config(10), Dialect::Underpass)
}

fn awaiting_answer() -> Stage {
    let mut story = small();
    let key = story.is_asked(1);
    (story, key, 1)
}

fn awaiting_answer_to_stream() -> Stage {
    let mut story = small();
    let key = story.is_asked_with_stream(1);
    (story, key, 1)
}

fn collecting() -> Stage {
    let mut story = ready_with(small_config(10), Dialect::Published);
    let key = story.is_asked(1);
    story.input(answer(key, Body::Stream)).expect([]);
    (story, key, 1)
}

fn responding() -> Stage {
    let (mut story, key, next) = awaiting_answer_to_stream();
    story.input(answer(key, Body::Stream)).actions();
    (story, key, next)
}

fn blocked() -> Stage {
    let (mut story, key, next) = responding();
    story.is_blocked().expect([]);
    story.input(chunk(key, 1, false)).actions();
    (story, key, next)
}

fn answered() -> Stage {
    let (mut story, key, next) = responding();
    story.input(chunk(key, 20, false)).actions();
    story.input(chunk(key, 1, true)).actions();
    (story, key, next)
}

fn awaiting_websocket() -> Stage {
    let mut story = small();
    let key = story.is_asked_for_websocket(1);
    (story, key, 1)
}

fn open_socket() -> Stage {
    let mut story = small();
    let key = story.opens_websocket(1);
    (story, key, 1)
}

fn closing() -> Stage {
    let (mut story, key, next) = open_socket();
    for _ in 0..2 {
        story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(10)) }).actions();
    }
    story.input(Event::WebSocketClose { key, close: Close::new(1000, "") }).expect([]);
    (story, key, next)
}

fn ended() -> Stage {
    let (mut story, key, next) = awaiting_answer();
    story.input(answer(key, Body::None)).actions();
    (story, key, next)
}

fn answer(key: RequestKey, body: Body) -> Event {
    Event::ResponseStart { key, head: status(200), body }
}

fn chunk(key: RequestKey, length: usize, finish: bool) -> Event {
    Event::ResponseChunk { key, bytes: zeros(length), finish }
}

fn request_events(key: RequestKey, next: u16) -> Vec<(&'static str, Event)> {
    let asks = |number, kind| Event::Received { connection: 1, frame: to_client(of(1, number), kind) };
    let message_of = |length| Event::WebSocketMessage { key, message: Message::Binary(zeros(length)) };
    let text = |bytes| Piece::WebSocketMessage(message(bytes, false));
    vec![
        ("gateway: RequestStart", asks(next, start(None))),
        ("gateway: RequestStart, a repeat", asks(0, request_start("POST", "/", None, true))),
        ("gateway: RequestChunk", asks(next, request_chunk(b"chunk", false))),
        ("gateway: RequestChunk, the last", asks(next, request_chunk(b"chunk", true))),
        ("gateway: RequestAbort", asks(next, Piece::RequestAbort)),
        ("gateway: WebSocketOpen", asks(next, websocket_open())),
        ("gateway: WebSocketMessage", asks(next, text(b"text"))),
        ("gateway: WebSocketMessage, not UTF-8", asks(next, text(&[255]))),
        ("gateway: WebSocketMessage over the limit", asks(next, text(&[0; 101]))),
        ("gateway: WebSocketClose", asks(next, Piece::WebSocketClose(Close::new(1000, "").into_wire()))),
        ("gateway: Credit for one more", asks(0, Piece::Credit(credit(64)))),
        ("gateway: a repeat", asks(next - 1, text(b"text"))),
        ("gateway: a gap", asks(next + 1, text(b"text"))),
        ("gateway: abort with any number", asks(next + 9, Piece::RequestAbort)),
        ("handler: answer", answer(key, Body::None)),
        ("handler: answer with a small body", answer(key, Body::Whole(zeros(10)))),
        ("handler: answer with a large body", answer(key, Body::Whole(zeros(25)))),
        ("handler: answer that streams", answer(key, Body::Stream)),
        ("handler: chunk", chunk(key, 5, false)),
        ("handler: chunk of all credit", chunk(key, 10, false)),
        ("handler: chunk, the last", chunk(key, 5, true)),
        ("handler: chunk over the limit of whole bodies", chunk(key, 101, false)),
        ("handler: failed", Event::HandlerFailed { key }),
        ("handler: takes the WebSocket", Event::WebSocketAccept { key, can_hibernate: false }),
        ("handler: message", message_of(5)),
        ("handler: message of all credit", message_of(10)),
        ("handler: message over the limit", message_of(101)),
        ("handler: close", Event::WebSocketClose { key, close: Close::new(1000, "") }),
        ("handler: consumed", Event::Consumed { key, bytes: 5 }),
        ("disconnected", lost(1)),
        ("outbox: blocked", Event::PeerBlocked { connection: 1 }),
        ("outbox: writable", Event::PeerWritable { connection: 1 }),
        ("drain", Event::Drain),
    ]
}

/// Why an event shows nothing.
fn why_nothing_of_it(state: &str, event: &str) -> &'static str {
    match event {
        "outbox: blocked" => "what the handler sends next waits",
        "outbox: writable" => "nothing waits",
        _ if state == "ended" => "the request has ended",
        "handler: consumed" => "nothing is unread",
        "gateway: Credit for one more" => "no more than was sent can be granted",
        _ if state.starts_with("closing WebSocket") => "the handler has closed, and what it sent still goes",
        _ if state.starts_with("collecting") => "it goes when it is complete",
        _ => panic!("{state}: why does nothing come of {event}?"),
    }
}

#[test]
fn a_request_at_its_runner_does_as_its_table_says() {
    let mut table = Table::new("A request at its runner: what happens, and what the runner does about it.");
    for (state, stage) in STATES {
        table.state(state);
        let (_, key, next) = stage();
        for (name, event) in request_events(key, next) {
            let why_not = || why_nothing_of_it(state, name);
            table.event_or(name, stage().0, |story| story.try_input(event), short::runner, why_not);
        }
        table.event("15 seconds", stage().0, later(15), short::runner);
    }
    table.is_as_in("runner-request.txt");
}
