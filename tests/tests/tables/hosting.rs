//! An actor at its runner, and a WebSocket that can hibernate.

use std::time::Duration;

use underpass_core::http::{Close, Message};
use underpass_core::protocol::kv::{KvRequestData, KvResponse, KvResponseData};
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::{Dialect, ToClient};
use underpass_core::runner::Event;
use underpass_core::{RequestKey, Runner};
use underpass_tests::given::hosted::{
    hosting, life, runs, start_command, stop_command, takes_events, tells, text, wakes, with_state,
};
use underpass_tests::given::relay::start;
use underpass_tests::given::runner::{dials, greeting, of, ready_with};
use underpass_tests::short;
use underpass_tests::snapshot::Table;
use underpass_tests::story::Story;
use underpass_tests::wire::to_client;

type ActorState = (&'static str, fn() -> Story<Runner>);

const ACTORS: [ActorState; 9] = [
    ("not there", hosting),
    ("starting", starting),
    ("running", running),
    ("running, away", || lost(running())),
    ("stopping", stopping),
    ("stopping, a later life to follow", outlived),
    ("stopping, away", || lost(stopping())),
    ("ended", ended),
    ("ended, away", || lost(ended())),
];

fn starting() -> Story<Runner> {
    let mut story = hosting();
    story.hears(start_command(&life(2), &[])).actions();
    story
}

fn running() -> Story<Runner> {
    let mut story = hosting();
    story.runs_actor(2);
    story
}

fn stopping() -> Story<Runner> {
    let mut story = running();
    story.hears(stop_command(&life(2))).actions();
    story
}

fn outlived() -> Story<Runner> {
    let mut story = running();
    story.hears(start_command(&life(3), &[])).actions();
    story
}

fn ended() -> Story<Runner> {
    let mut story = running();
    story.is_stopped(&life(2)).actions();
    story
}

/// Its connection is lost, and another is dialled.
fn lost(mut story: Story<Runner>) -> Story<Runner> {
    story.is_lost().actions();
    story.passes(Duration::from_millis(125)).expect([dials(2)]);
    story
}

/// The relay takes it in again.
fn returns(story: &mut Story<Runner>) {
    story.is_connected(Dialect::Underpass);
    story.actions();
    story.hears(greeting());
}

fn actor_events(connection: u64) -> Vec<(&'static str, Event)> {
    let actor = || life(2);
    let hears = |message: ToClient| Event::Received { connection, frame: message.encode() };
    let answer = KvResponse { request_id: 1, data: KvResponseData::Drop };
    vec![
        ("relay: start", hears(start_command(&actor(), &[]))),
        ("relay: start, an older life", hears(start_command(&life(1), &[]))),
        ("relay: start, a later life", hears(start_command(&life(4), &[]))),
        ("relay: stop", hears(stop_command(&actor()))),
        ("relay: stop, an older life", hears(stop_command(&life(1)))),
        ("relay: stop, a later life", hears(stop_command(&life(3)))),
        ("relay: took the first event", hears(takes_events(&actor(), 0))),
        ("relay: took all events", hears(takes_events(&actor(), 9))),
        ("relay: RequestStart", Event::Received { connection, frame: to_client(of(9, 0), start(None)) }),
        ("relay: KvResponse", hears(ToClient::KvResponse(answer))),
        ("embedder: it runs", Event::ActorRunning { actor: actor() }),
        ("embedder: it has stopped", Event::ActorStopped { actor: actor(), error: None }),
        ("embedder: it has crashed", Event::ActorStopped { actor: actor(), error: Some("no".into()) }),
        ("embedder: it would like to sleep", Event::ActorSleep { actor: actor() }),
        ("embedder: it would like to end", Event::ActorDestroy { actor: actor() }),
        ("embedder: its alarm", Event::ActorAlarm { actor: actor(), at: Some(5) }),
        ("embedder: it calls its store", Event::Kv { actor: actor(), number: 7, call: KvRequestData::Drop }),
        ("disconnected", Event::Disconnected { connection, close: None }),
        ("disconnected, evicted", { Event::Disconnected { connection, close: Some(Close::new(1000, "ws.eviction")) } }),
        ("drain", Event::Drain),
    ]
}

/// Why an event shows nothing.
fn why_not(state: &str, event: &str) -> &'static str {
    let (stage, is_away) = match state.strip_suffix(", away") {
        Some(stage) => (stage, true),
        None => (state, false),
    };
    match (stage, event) {
        (_, "disconnected" | "a second" | "15 seconds") => "nothing is due",
        (_, "the relay takes it in again") => "there is nothing to announce",
        _ if is_away && event.starts_with("relay") => "the connection is not open",
        (_, "relay: took the first event" | "relay: took all events") => "nothing more is to be said again",
        ("not there" | "ended", _) if event.starts_with("embedder") => "the life is over",
        ("starting", _) if event.starts_with("embedder") => "it is said behind the start",
        _ if is_away && event.starts_with("embedder") => "it is told on the next connection",
        (_, "embedder: it runs") => "it was told to stop meanwhile",
        (_, "relay: start, a later life") => "it starts when the one before has ended",
        _ => panic!("{state}: why does nothing come of {event}?"),
    }
}

#[test]
fn an_actor_at_its_runner_does_as_its_table_says() {
    let mut table =
        Table::new("An actor at its runner, its second life: what happens, and what the runner does about it.");
    for (state, actor) in ACTORS {
        table.state(state);
        let connection = actor().connection();
        for (name, event) in actor_events(connection) {
            table.event_or(name, actor(), |story| story.try_input(event), short::runner, || why_not(state, name));
        }
        if state.ends_with("away") {
            let name = "the relay takes it in again";
            let back = |story: &mut Story<Runner>| {
                returns(story);
                Ok(())
            };
            table.event_or(name, actor(), back, short::runner, || why_not(state, name));
        }
        for (name, seconds) in [("a second", 1), ("15 seconds", 15)] {
            let later = |story: &mut Story<Runner>| {
                story.passes(Duration::from_secs(seconds));
                Ok(())
            };
            table.event_or(name, actor(), later, short::runner, || why_not(state, name));
        }
    }
    table.is_as_in("runner-actor.txt");
}

type Stage = (Story<Runner>, RequestKey, u64);

type SocketState = (&'static str, fn() -> Stage);

const SOCKETS: [SocketState; 7] = [
    ("restoring", restoring),
    ("restored", restored),
    ("attached", attached),
    ("attached, a message handled", handled),
    ("closing, a message waits for credit", closing),
    ("detached, the relay is back", detached),
    ("asleep", asleep),
];

fn restoring() -> Stage {
    let mut story = hosting();
    let key = story.starts_with(2, &[1])[0];
    (story, key, 1)
}

fn restored() -> Stage {
    let (mut story, key, connection) = restoring();
    story.input(Event::WebSocketRestore { key, last: 1 }).actions();
    story.is_running(2);
    (story, key, connection)
}

fn attached() -> Stage {
    let (mut story, key, connection) = restored();
    story.asks(of(1, 0), wakes()).actions();
    (story, key, connection)
}

fn handled() -> Stage {
    let (mut story, key, connection) = attached();
    story.asks(of(1, 2), text(b"x")).actions();
    story.input(Event::Handled { key, number: 2 }).actions();
    (story, key, connection)
}

fn closing() -> Stage {
    let mut story = ready_with(underpass_core::runner::Config { credit: 64, ..with_state() }, Dialect::Underpass);
    story.runs_actor(2);
    let key = story.opens_sleeper(1);
    for _ in 0..2 {
        story.input(Event::WebSocketMessage { key, message: Message::Text("x".into()) }).actions();
    }
    story.input(Event::WebSocketClose { key, close: Close::new(1000, "") }).actions();
    (story, key, 1)
}

fn detached() -> Stage {
    let (story, key, _) = handled();
    let mut story = lost(story);
    returns(&mut story);
    story.expect([tells(2, [runs(&life(2))])]);
    (story, key, 2)
}

fn asleep() -> Stage {
    let (mut story, key, connection) = attached();
    story.hears(stop_command(&life(2))).actions();
    (story, key, connection)
}

fn socket_events(key: RequestKey, connection: u64) -> Vec<(&'static str, Event)> {
    let asks_on = |connection, number, kind| Event::Received { connection, frame: to_client(of(1, number), kind) };
    let asks = |number, kind| asks_on(connection, number, kind);
    let close = || Close::new(1000, "");
    vec![
        ("gateway: wakes it", asks(0, wakes())),
        ("gateway: the first message again", asks(1, text(b"x"))),
        ("gateway: message 2", asks(2, text(b"x"))),
        ("gateway: message 4", asks(4, text(b"x"))),
        ("gateway: close with any number", asks(77, Piece::WebSocketClose(close().into_wire()))),
        ("gateway: abort", asks(77, Piece::RequestAbort)),
        ("handler: restores it", Event::WebSocketRestore { key, last: 1 }),
        ("handler: takes it", Event::WebSocketAccept { key, can_hibernate: true }),
        ("handler: handled 1", Event::Handled { key, number: 1 }),
        ("handler: handled 2", Event::Handled { key, number: 2 }),
        ("handler: handled 3", Event::Handled { key, number: 3 }),
        ("handler: message", Event::WebSocketMessage { key, message: Message::Text("x".into()) }),
        ("handler: close", Event::WebSocketClose { key, close: close() }),
        ("handler: failed", Event::HandlerFailed { key }),
        ("disconnected", Event::Disconnected { connection, close: None }),
        ("relay: stop", Event::Received { connection, frame: stop_command(&life(2)).encode() }),
        ("embedder: the actor runs", Event::ActorRunning { actor: life(2) }),
        ("drain", Event::Drain),
    ]
}

/// Why an event shows nothing.
fn why_nothing_of_it(state: &str, event: &str) -> &'static str {
    match (state, event) {
        (_, "disconnected") => "it waits already, or is no more",
        (_, "handler: handled 1") => "it was said before",
        (_, "handler: handled 2") if state == "detached, the relay is back" => "it was said before",
        (_, "handler: handled 2") if state.starts_with("attached") => "it was said before",
        ("asleep", _) => "it is no more",
        ("restoring" | "restored" | "detached, the relay is back", "handler: message" | "handler: close") => {
            "it goes when the gateway has spoken"
        }
        ("closing, a message waits for credit", _) => "the handler has closed, and what it sent still goes",
        (_, "gateway: the first message again") => "it was handled, and is acknowledged a little later",
        (_, "gateway: message 2") => "it was handled, and is acknowledged a little later",
        (_, "gateway: wakes it") => "it is awake",
        (_, "100 milliseconds" | "30 seconds") => "nothing is due",
        _ => panic!("{state}: why does nothing come of {event}?"),
    }
}

#[test]
fn a_websocket_that_can_hibernate_does_as_its_table_says() {
    let mut table =
        Table::new("A WebSocket at its runner that can hibernate: what happens, and what the runner does about it.");
    for (state, stage) in SOCKETS {
        table.state(state);
        let (_, key, connection) = stage();
        for (name, event) in socket_events(key, connection) {
            let why_not = || why_nothing_of_it(state, name);
            table.event_or(name, stage().0, |story| story.try_input(event), short::runner, why_not);
        }
        for (name, millis) in [("100 milliseconds", 100), ("30 seconds", 30_000)] {
            let later = |story: &mut Story<Runner>| {
                story.passes(Duration::from_millis(millis));
                Ok(())
            };
            table.event_or(name, stage().0, later, short::runner, || why_nothing_of_it(state, name));
        }
    }
    table.is_as_in("runner-socket.txt");
}
