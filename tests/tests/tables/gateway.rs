//! A request at its gateway.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::bus::{Address, PublishError, RelayId};
use underpass_core::directory::{
    Abilities, ActorRecord, ActorSeen, ActorState, ChangeOutcome, RegistryChange, Revision, RunnerRecord, RunnerState,
    Versioned,
};
use underpass_core::gateway::{Config, Event};
use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::tunnel::to_client;
use underpass_core::protocol::tunnel::to_server::{self, Kind};
use underpass_core::protocol::{GatewayId, MessageId, RequestId, ToGateway, to_gateway as control};
use underpass_core::{Frame, Gateway};
use underpass_tests::given::gateway::{
    Asked, aborts, chunk_sent, credit, gateway_with, give_back, published_abilities, publishes, request_start_with,
    small_config, zeros,
};
use underpass_tests::given::hibernation;
use underpass_tests::given::supervisor::{actor, actor_record, runner_id};
use underpass_tests::short;
use underpass_tests::snapshot::Table;
use underpass_tests::story::Story;
use underpass_tests::wire::{
    GATEWAY, abilities, connection, gone, message, message_id, open, open_websocket, record, relay_id, response_chunk,
    response_start, seen, to_gateway,
};
use uuid::Uuid;

/// A gateway, a request, and the number that its runner's next message has.
type Stage = (Story<Gateway>, Asked, u16);

/// A state, and how a request comes to be in it.
type State = (&'static str, fn() -> Stage);

const STATES: [State; 21] = [
    ("waiting for an actor, the body streams", waiting_for_actor),
    ("waiting for an actor that would not take it", waiting_for_refusing_actor),
    ("waiting for another runner", waiting_for_another),
    ("waiting for another runner, a WebSocket", waiting_for_another_websocket),
    ("collecting a body", collecting),
    ("awaiting an answer, the body streams", awaiting_answer),
    ("awaiting an answer, the body is whole", awaiting_answer_to_whole_body),
    ("awaiting an answer of an actor", awaiting_answer_of_actor),
    ("the answer streams", responding),
    ("awaiting a WebSocket", awaiting_websocket),
    ("awaiting a WebSocket that has sent a message", awaiting_websocket_early),
    ("open WebSocket", open_socket),
    ("closing WebSocket, a message waits for credit", closing),
    ("awake, can hibernate, not in the registry yet", awake_unregistered),
    ("awake, can hibernate, a message is not acknowledged", awake),
    ("awake, can hibernate, closing behind a message that is not acknowledged", awake_closing),
    ("asleep", asleep),
    ("asleep, a message is kept", asleep_with_message),
    ("asleep, its client has closed", asleep_closing),
    ("ended", ended),
    ("ended, but the bus did not take that", ending),
];

/// Small limits, and the usual deadlines, tries and pings.
fn config() -> Config {
    let Config { ping_interval, pong, runner_unseen, max_tries, .. } = Config::default();
    let idle_request_body = Some(Duration::from_secs(60));
    Config { ping_interval, pong, runner_unseen, max_tries, idle_request_body, ..small_config() }
}

/// A gateway whose runner grants ten bytes.
fn small() -> Story<Gateway> {
    gateway_with(config(), abilities(10))
}

fn waiting_for_actor() -> Stage {
    let mut story = gateway_with(config(), Abilities { stateless: false, ..abilities(10) });
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    (story, asked, 0)
}

fn awaiting_answer_of_actor() -> Stage {
    let mut story = gateway_with(config(), Abilities { stateless: false, ..abilities(10) });
    story.input(shows_actor(1, running())).expect([]);
    let asked = story.opens(open("POST", "/", Body::Whole(zeros(1))));
    story.actions();
    (story, asked, 0)
}

fn waiting_for_refusing_actor() -> Stage {
    let (mut story, asked, next) = awaiting_answer_of_actor();
    let reason = control::RefusedReason::Draining;
    let refused = control::Refused { gateway_id: GATEWAY, request_id: asked.id, reason };
    story.input(Event::Received { from: None, frame: ToGateway::Refused(refused).encode_framed() }).expect([]);
    (story, asked, next)
}

/// The directory shows the actor that the request is for.
fn shows_actor(revision: u64, state: ActorState) -> Event {
    Event::Actor(ActorSeen { key: actor("default"), record: Some(of_actor(revision, state)) })
}

fn of_actor(revision: u64, state: ActorState) -> Versioned<ActorRecord> {
    Versioned { revision: Revision(revision), record: actor_record(1, state) }
}

/// It runs on the runner that the gateway knows.
fn running() -> ActorState {
    ActorState::Running(record(1, abilities(10), RunnerState::Ready).id)
}

fn waiting_for_another() -> Stage {
    let (mut story, asked, next) = awaiting_answer_to_whole_body();
    story.input(refused(asked)).expect([]);
    (story, asked, next)
}

fn waiting_for_another_websocket() -> Stage {
    let (mut story, asked, next) = awaiting_websocket();
    story.input(refused(asked)).expect([]);
    (story, asked, next)
}

/// Its relay does not carry the request to its runner.
fn refused(asked: Asked) -> Event {
    let reason = control::RefusedReason::Full;
    let refused = control::Refused { gateway_id: GATEWAY, request_id: asked.id, reason };
    Event::Received { from: None, frame: ToGateway::Refused(refused).encode_framed() }
}

fn ending() -> Stage {
    let (mut story, asked, next) = awaiting_answer();
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.input(give_back(aborts(asked, 1), PublishError::Full)).expect([]);
    (story, asked, next)
}

fn collecting() -> Stage {
    let mut story = gateway_with(config(), published_abilities());
    let asked = story.opens(open("POST", "/", Body::Stream));
    (story, asked, 0)
}

fn awaiting_answer() -> Stage {
    let mut story = small();
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    (story, asked, 0)
}

fn awaiting_answer_to_whole_body() -> Stage {
    let mut story = small();
    let asked = story.opens(open("POST", "/", Body::Whole(zeros(1))));
    story.actions();
    (story, asked, 0)
}

fn responding() -> Stage {
    let (mut story, asked, _) = awaiting_answer();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    (story, asked, 1)
}

fn awaiting_websocket() -> Stage {
    let mut story = small();
    let asked = story.opens(open_websocket("/"));
    story.actions();
    (story, asked, 0)
}

fn awaiting_websocket_early() -> Stage {
    let (mut story, asked, _) = awaiting_websocket();
    story.hears(asked, 0, text(b"early")).expect([]);
    (story, asked, 1)
}

fn open_socket() -> Stage {
    let mut story = small();
    let asked = story.opens_websocket();
    (story, asked, 1)
}

fn closing() -> Stage {
    let (mut story, asked, next) = open_socket();
    for _ in 0..2 {
        story.input(Event::WebSocketMessage { key: asked.key, message: Message::Binary(zeros(10)) }).actions();
    }
    story.input(Event::WebSocketClose { key: asked.key, close: Close::new(1000, "") }).expect([]);
    (story, asked, next)
}

/// A WebSocket of an actor, whose runner grants ten bytes.
fn awake_unregistered() -> Stage {
    let mut story = gateway_with(config(), Abilities { stateless: false, ..abilities(10) });
    story.input(shows_actor(1, running())).expect([]);
    let asked = hibernation::opens(&mut story);
    (story, asked, 1)
}

fn awake() -> Stage {
    let (mut story, asked, next) = awake_unregistered();
    story.input(hibernation::entered(asked)).expect([]);
    story.input(Event::WebSocketMessage { key: asked.key, message: Message::Binary(zeros(5)) }).actions();
    (story, asked, next)
}

fn awake_closing() -> Stage {
    let (mut story, asked, next) = awake();
    story.input(hibernation::client_closes(asked)).expect([]);
    (story, asked, next)
}

fn asleep() -> Stage {
    let (mut story, asked, _) = awake_unregistered();
    story.input(hibernation::entered(asked)).expect([]);
    story.hears(asked, 1, hibernation::sleeps()).expect([]);
    (story, asked, 2)
}

fn asleep_with_message() -> Stage {
    let (mut story, asked, _) = awake();
    story.hears(asked, 1, hibernation::sleeps()).actions();
    (story, asked, 2)
}

fn asleep_closing() -> Stage {
    let (mut story, asked, next) = asleep();
    story.input(hibernation::client_closes(asked)).expect([]);
    (story, asked, next)
}

fn ended() -> Stage {
    let (mut story, asked, _) = responding();
    story.hears(asked, 1, response_chunk(b"", true)).actions();
    (story, asked, 2)
}

fn text(bytes: &'static [u8]) -> Kind {
    Kind::WebSocketMessage(message(bytes, false))
}

fn websocket_close(code: u16, hibernate: bool) -> Kind {
    Kind::WebSocketClose(to_server::WebSocketClose { code: Some(code), reason: None, hibernate })
}

/// What the runner can say next.
fn answers() -> Vec<(&'static str, Kind)> {
    vec![
        ("ResponseStart", response_start(200, Some(b"body"), false)),
        ("ResponseStart streamed", response_start(200, None, true)),
        ("ResponseStart with status 99", response_start(99, None, false)),
        ("ResponseChunk", response_chunk(b"chunk", false)),
        ("ResponseChunk, the last", response_chunk(b"chunk", true)),
        ("ResponseAbort", Kind::ResponseAbort),
        ("WebSocketOpen", Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false })),
        ("WebSocketMessage", text(b"text")),
        ("WebSocketMessage, not UTF-8", text(&[255])),
        ("WebSocketOpen, can hibernate", hibernation::taken(true)),
        ("WebSocketMessageAck 1", hibernation::ack(1)),
        ("WebSocketMessageAck", Kind::WebSocketMessageAck(to_server::WebSocketMessageAck { index: 0 })),
        ("WebSocketClose 1000", websocket_close(1000, false)),
        ("WebSocketClose 1001", websocket_close(1001, false)),
        ("WebSocketClose 1013", websocket_close(1013, false)),
        ("WebSocketClose, hibernate", websocket_close(1000, true)),
        ("Credit of ten", Kind::Credit(credit(10))),
    ]
}

/// What became of a change of the actor's record.
fn actor_changed(outcome: ChangeOutcome<ActorRecord>) -> Event {
    Event::ActorChanged { actor: actor("default"), outcome }
}

/// What else can happen.
fn events(asked: Asked, next: u16) -> Vec<(&'static str, Event)> {
    let Asked { key, id } = asked;
    let frame = |number, kind| Event::Received { from: None, frame: to_gateway(message_id(id, number), kind) };
    let other = MessageId { gateway_id: GatewayId([1; 4]), ..message_id(id, next) };
    let of_version_8 = [&[8, 0], &to_gateway(message_id(id, next), Kind::ResponseAbort).into_bytes()[2..]].concat();
    let pong = ToGateway::Pong(control::Pong { request_id: id, ts: 0 }).encode_framed();
    let back = |number, kind, reason| give_back(publishes(asked, number, kind), reason);
    let start = || request_start_with("POST", None, true);
    let piece = || chunk_sent(zeros(5), false);
    let abort = || to_client::Kind::RequestAbort;
    let route = |request_id, number| {
        let route = control::RouteOpen { gateway_id: GATEWAY, request_id, connection: connection(number).into() };
        Event::Received { from: None, frame: ToGateway::RouteOpen(route).encode_framed() }
    };
    let told = |message: ToGateway| Event::Received { from: None, frame: message.encode_framed() };
    let doubted = |requests| control::Doubted { gateway_id: GATEWAY, connection: connection(1).into(), requests };
    let lost = |number| {
        let connection = connection(number).into();
        told(ToGateway::Lost(control::Lost { gateway_id: GATEWAY, request_id: id, connection }))
    };
    let probed =
        control::Probed { gateway_id: GATEWAY, number: 9, connection: connection(1).into(), requests: Vec::new() };
    let ended = |number| Event::Received {
        from: None,
        frame: ToGateway::ConnectionEnded(connection(number).into()).encode_framed(),
    };
    let moved = RunnerRecord { moving: Some(connection(1)), ..record(2, abilities(10), RunnerState::Ready) };
    let state = |number, state| Event::Directory(seen("a", record(number, abilities(10), state)));
    vec![
        ("runner: a repeat", frame(next.wrapping_sub(1), text(b"text"))),
        ("runner: a gap", frame(next + 1, text(b"text"))),
        ("runner: abort with any number", frame(next + 9, Kind::ResponseAbort)),
        ("runner: Pong", Event::Received { from: None, frame: pong }),
        ("runner: for another gateway", Event::Received { from: None, frame: to_gateway(other, Kind::ResponseAbort) }),
        ("runner: of version 8", Event::Received { from: None, frame: Frame::from(Bytes::from(of_version_8)) }),
        ("client: chunk", Event::RequestChunk { key, bytes: zeros(5), finish: false }),
        ("client: chunk of all credit", Event::RequestChunk { key, bytes: zeros(10), finish: false }),
        ("client: chunk, the last", Event::RequestChunk { key, bytes: zeros(5), finish: true }),
        ("client: chunk over the limit of whole bodies", Event::RequestChunk { key, bytes: zeros(101), finish: false }),
        ("client: message", Event::WebSocketMessage { key, message: Message::Binary(zeros(5)) }),
        ("client: message of all credit", Event::WebSocketMessage { key, message: Message::Binary(zeros(10)) }),
        ("client: message over the limit", Event::WebSocketMessage { key, message: Message::Binary(zeros(101)) }),
        ("client: close", Event::WebSocketClose { key, close: Close::new(1000, "") }),
        ("client: consumed", Event::Consumed { key, bytes: 5 }),
        ("client: gone", Event::ClientGone { key }),
        ("bus: the opening came back, full", back(0, start(), PublishError::Full)),
        ("bus: the opening came back, unsure", back(0, start(), PublishError::Unsure)),
        ("bus: the opening came back, nobody listens", back(0, start(), PublishError::NoResponders)),
        ("bus: a piece came back, full", back(1, piece(), PublishError::Full)),
        ("bus: a piece came back, too large", back(1, piece(), PublishError::TooLarge)),
        ("bus: a piece came back, disconnected", back(1, piece(), PublishError::Disconnected)),
        ("bus: a piece came back, unsure", back(1, piece(), PublishError::Unsure)),
        ("bus: a piece came back, nobody listens", back(1, piece(), PublishError::NoResponders)),
        ("bus: an abort came back, full", back(1, abort(), PublishError::Full)),
        ("bus: an abort came back, too large", back(1, abort(), PublishError::TooLarge)),
        ("bus: an abort came back, nobody listens", back(1, abort(), PublishError::NoResponders)),
        ("bus: nobody listens", Event::NoResponders { to: connection(1) }),
        ("bus: nobody listens elsewhere", Event::NoResponders { to: connection(2) }),
        ("bus: it lost frames of the relay", Event::Lost { from: Some(Address::Relay(relay_id())) }),
        ("bus: it lost frames of anybody", Event::Lost { from: None }),
        ("bus: it lost frames of another relay", Event::Lost { from: Some(Address::Relay(RelayId(Uuid::nil()))) }),
        ("bus: it lost frames of a gateway", Event::Lost { from: Some(Address::Gateway(GATEWAY)) }),
        ("relay: it lost frames of this gateway", told(ToGateway::Doubted(doubted(vec![id])))),
        ("relay: it lost frames, and has another route", told(ToGateway::Doubted(doubted(vec![RequestId([9; 4])])))),
        ("relay: this request is lost", lost(1)),
        ("relay: this request is lost on another connection", lost(2)),
        ("relay: all came, but it was not asked", told(ToGateway::Probed(probed))),
        ("relay: the connection ended", ended(1)),
        ("relay: another connection ended", ended(2)),
        ("relay: it did not carry the opening", refused(asked)),
        ("relay: it has this route", route(id, 1)),
        ("relay: it has this route on another connection", route(id, 2)),
        ("relay: restored on the same connection, the same life", hibernation::restored(asked, 1, 1)),
        ("relay: restored on the same connection, the next life", hibernation::restored(asked, 1, 2)),
        ("relay: restored on another connection, the same life", hibernation::restored(asked, 2, 1)),
        ("relay: restored on another connection, the next life", hibernation::restored(asked, 2, 2)),
        ("relay: restored, an earlier life", hibernation::restored(asked, 2, 0)),
        ("registry: entered", hibernation::entered(asked)),
        ("registry: not entered", hibernation::unavailable(RegistryChange::Enter(hibernation::socket(asked)))),
        ("registry: left", hibernation::left(asked)),
        ("registry: kept alive", hibernation::kept_alive()),
        ("directory: the same again", state(1, RunnerState::Ready)),
        ("directory: full", state(1, RunnerState::Full)),
        ("directory: draining", state(1, RunnerState::Draining)),
        ("directory: on another connection", state(2, RunnerState::Ready)),
        ("directory: moving", state(1, RunnerState::Moving)),
        ("directory: moved, and not yet all of it", Event::Directory(seen("a", moved))),
        ("directory: another runner", Event::Directory(seen("b", record(2, abilities(10), RunnerState::Ready)))),
        ("directory: the actor runs", shows_actor(2, running())),
        ("directory: the actor runs elsewhere", shows_actor(2, ActorState::Running(runner_id(9)))),
        ("directory: the actor stops", shows_actor(2, ActorState::Stopping(runner_id(9)))),
        ("directory: the actor sleeps", shows_actor(2, ActorState::Sleeping)),
        ("directory: there are no actors", Event::Actors(Vec::new())),
        ("directory: the actor was set wanted", actor_changed(ChangeOutcome::Stored(Revision(2)))),
        ("directory: it runs already", actor_changed(ChangeOutcome::Conflict(Some(of_actor(2, running()))))),
        (
            "directory: it has slept before",
            actor_changed(ChangeOutcome::Conflict(Some(of_actor(2, ActorState::Sleeping)))),
        ),
        ("directory: no answer", actor_changed(ChangeOutcome::Unavailable)),
        ("directory: away", Event::DirectoryAway),
        ("directory: back", Event::DirectoryBack),
        ("directory: gone", Event::Directory(gone("a"))),
        ("an operator ends it", Event::EndRequest { key }),
        ("drain", Event::Drain),
        ("tick", Event::Tick),
        ("wall clock", Event::WallClock { unix_ms: 1 }),
    ]
}

/// Why an event shows nothing.
fn why_nothing_of_it(state: &str, event: &str) -> &'static str {
    match event {
        "tick" | "three seconds" | "an hour" => "nothing is due",
        "wall clock" => "only pings are told by it",
        "directory: away" | "directory: back" => "only the ageing of records begins anew",
        "directory: the same again" => "it says no more than before",
        "directory: moved, and not yet all of it" => "what is open there goes on",
        "relay: another connection ended" | "bus: nobody listens elsewhere" => "nothing of it is open there",
        "bus: it lost frames of another relay" => "nothing of it is open there",
        "bus: it lost frames of a gateway" => "gateways say nothing to one another",
        "relay: all came, but it was not asked" => "an answer to an earlier question says nothing new",
        "relay: it has this route" => "so it should",
        "client: consumed" => "there is nothing to grant yet",
        "runner: Credit of ten" => "nothing waits for it",
        "runner: WebSocketMessageAck" => "nothing is kept to be acknowledged",
        "drain" => "it has its end, or has the time that it needs",
        "relay: restored on the same connection, the same life"
        | "relay: restored on the same connection, the next life" => "it is there, as it should",
        "relay: restored on another connection, the same life" => "it goes there when its connection is lost",
        "relay: restored on another connection, the next life" => "it goes there when the directory shows it",
        "registry: not entered" if state.contains("not in the registry") => "it is asked for again in a second",
        "registry: entered" if state.contains("not in the registry") => "it may sleep now",
        _ if event.starts_with("registry") => "nothing was asked",
        _ if state.starts_with("ended") => "it has ended",
        _ if state.starts_with("closing") => "its client has closed and hears no more",
        "directory: it runs already" | "directory: it has slept before" | "directory: no answer" => "nothing was asked",
        "directory: the actor was set wanted" => "nothing was asked",
        "runner: WebSocketMessageAck 1" => "it was kept, or nothing is",
        _ if state.starts_with("asleep") && event.starts_with("runner") => "it sleeps, and hears no late words",
        _ if state.starts_with("asleep, its client") && event.starts_with("client") => "its client has closed",
        _ if state.starts_with("asleep") && event.starts_with("directory: the actor") => "it waits for a relay's word",
        _ if state.starts_with("asleep") => "it is open on no connection",
        _ if state.contains("closing behind") => "its client has closed and hears no more",
        _ if state.starts_with("awake, can hibernate, a message") => "it falls asleep, or goes on",
        _ if event.contains("actor") && state.starts_with("waiting for an actor") => "it waits until the actor runs",
        _ if event.contains("actor") => "what is open goes on, and no actor was waited for",
        _ if state.starts_with("waiting") => "it is open on no connection",
        _ if state.starts_with("collecting") => "no runner has it yet",
        "directory: gone" | "directory: full" | "directory: draining" | "directory: moving" => "what is open goes on",
        _ => panic!("why does nothing come of {event}, {state}?"),
    }
}

#[test]
fn a_request_at_its_gateway_does_as_its_table_says() {
    let mut table = Table::new("A request at its gateway: what happens, and what the gateway does about it.");
    for (state, stage) in STATES {
        table.state(state);
        for (name, kind) in answers() {
            let (story, asked, next) = stage();
            let event = Event::Received { from: None, frame: to_gateway(message_id(asked.id, next), kind) };
            let name = format!("runner: {name}");
            let why_not = || why_nothing_of_it(state, &name);
            table.event_or(&name, story, |story| story.try_input(event), short::gateway, why_not);
        }
        let (_, asked, next) = stage();
        for (name, event) in events(asked, next) {
            let (story, ..) = stage();
            let why_not = || why_nothing_of_it(state, name);
            table.event_or(name, story, |story| story.try_input(event), short::gateway, why_not);
        }
        for (name, seconds) in [("three seconds", 3), ("an hour", 3_600)] {
            let later = |story: &mut Story<Gateway>| {
                story.passes(Duration::from_secs(seconds));
                Ok(())
            };
            table.event_or(name, stage().0, later, short::gateway, || why_nothing_of_it(state, name));
        }
    }
    table.is_as_in("gateway.txt");
}
