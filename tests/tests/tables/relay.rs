//! A connection at its relay, and a request on it.

use bytes::Bytes;
use underpass_core::bus::{ConnectionId, PublishError, Rejected, RelayId};
use underpass_core::directory::{ChangeOutcome, Revision, RunnerRecord, RunnerState, Versioned};
use underpass_core::http::Close;
use underpass_core::protocol::kv::{KvRequest, KvRequestData};
use underpass_core::protocol::to_client::AckEvents;
use underpass_core::protocol::to_server::AckCommands;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage};
use underpass_core::protocol::{Dialect, ToRunner, ToServer, to_runner};
use underpass_core::relay::{Action, Event};
use underpass_core::{Frame, Relay};
use underpass_tests::given::gateway::credit;
use underpass_tests::given::relay::{
    METADATA, REQUEST, hello, init, of_another_gateway, of_request, pong, publishes, relay, relay_with, small_config,
    start, websocket_open,
};
use underpass_tests::short;
use underpass_tests::snapshot::Table;
use underpass_tests::story::Story;
use underpass_tests::wire::{
    GATEWAY, abilities, connection, message, record, request_chunk, response_chunk, response_start,
};

/// A state, and how a relay comes to have something in it.
type State = (&'static str, fn() -> Story<Relay>);

const SESSIONS: [State; 10] = [
    ("no connection", || relay_with(small_enough())),
    ("awaiting Init", awaiting_init),
    ("registering", registering),
    ("settling", settling),
    ("ready, its record is being changed", entering),
    ("ready", relay),
    ("ready, its outbox blocked", blocked),
    ("stopping", stopping),
    ("closing", closing),
    ("ended, its record is being removed", leaving),
];

fn small_enough() -> underpass_core::relay::Config {
    underpass_core::relay::Config { max_frame: 33 * 1024 * 1024, ..Default::default() }
}

fn awaiting_init() -> Story<Relay> {
    let mut story = relay_with(small_enough());
    story.connects(1, "a").expect([]);
    story
}

fn registering() -> Story<Relay> {
    let mut story = relay_with(small_enough());
    story.registers(1, "a");
    story
}

fn settling() -> Story<Relay> {
    let mut story = relay_with(small_enough());
    story.greets(1, "a");
    story
}

fn entering() -> Story<Relay> {
    let mut story = settling();
    story.says(1, pong()).actions();
    story
}

fn blocked() -> Story<Relay> {
    let mut story = relay();
    story.input(Event::PeerBlocked { connection: 1 }).expect([]);
    story.asks(1, of_another_gateway(0), start(None)).expect([]);
    story
}

fn stopping() -> Story<Relay> {
    let mut story = relay();
    story.says(1, ToServer::Stopping).expect_change(1);
    story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]);
    story
}

fn closing() -> Story<Relay> {
    let mut story = relay();
    story.bus_brings(1, ToRunner::Close).actions();
    story
}

fn leaving() -> Story<Relay> {
    let mut story = relay();
    story.input(Event::Disconnected { connection: 1 }).expect_change(1);
    story
}

fn says(message: &ToServer) -> Event {
    Event::FromRunner { connection: 1, frame: message.encode().into_bytes() }
}

fn brings(message: &ToRunner) -> Event {
    Event::FromBus { connection: 1, frame: message.encode_framed() }
}

fn asks(number: u16, kind: Piece) -> Event {
    brings(&ToRunner::TunnelMessage(ToClientTunnelMessage { message_id: of_request(number), message_kind: kind }))
}

fn answers(kind: Answer) -> Event {
    says(&ToServer::TunnelMessage(ToServerTunnelMessage { message_id: of_request(0), message_kind: kind }))
}

fn session_events() -> Vec<(&'static str, Event)> {
    let elsewhere = ConnectionId { relay: RelayId(uuid::Uuid::from_u128(0xef)), number: 1 };
    let at = |connection| RunnerRecord { connection, ..record(1, abilities(1), RunnerState::Ready) };
    let directory = |outcome| Event::Directory { connection: 1, outcome };
    let conflict = |connection| {
        directory(ChangeOutcome::Conflict(Some(Versioned { revision: Revision(9), record: at(connection) })))
    };
    let kv = KvRequest { actor_id: "a".into(), request_id: 1, data: KvRequestData::Drop };
    let ping = to_runner::Ping { gateway_id: GATEWAY, request_id: REQUEST, ts: 0 };
    vec![
        ("runner: Init", says(&init(Some(METADATA)))),
        ("runner: Events", says(&ToServer::Events(Vec::new()))),
        ("runner: AckCommands", says(&ToServer::AckCommands(AckCommands { last_command_checkpoints: Vec::new() }))),
        ("runner: Stopping", says(&ToServer::Stopping)),
        ("runner: Pong", says(&pong())),
        ("runner: KvRequest", says(&ToServer::KvRequest(kv))),
        ("runner: a piece of an answer without a route", answers(Answer::ResponseAbort)),
        ("runner: a malformed frame", Event::FromRunner { connection: 1, frame: Bytes::from_static(&[9]) }),
        ("runner: an empty frame", Event::FromRunner { connection: 1, frame: Bytes::new() }),
        ("bus: RequestStart", asks(0, start(None))),
        ("bus: WebSocketOpen", asks(0, websocket_open())),
        ("bus: RequestChunk without a route", asks(1, request_chunk(b"x", true))),
        ("bus: RequestAbort without a route", asks(1, Piece::RequestAbort)),
        ("bus: Ping", brings(&ToRunner::Ping(ping))),
        ("bus: Close", brings(&ToRunner::Close)),
        ("bus: Commands", brings(&ToRunner::Commands(Vec::new()))),
        ("bus: AckEvents", brings(&ToRunner::AckEvents(AckEvents { last_event_checkpoints: Vec::new() }))),
        (
            "bus: a malformed frame",
            Event::FromBus { connection: 1, frame: Frame::from(Bytes::from_static(&[7, 0, 9])) },
        ),
        ("directory: stored", directory(ChangeOutcome::Stored(Revision(8)))),
        ("directory: there is no record", directory(ChangeOutcome::Conflict(None))),
        ("directory: the record says this connection", conflict(Some(connection(1)))),
        ("directory: the record says an older one here", conflict(Some(connection(0)))),
        ("directory: the record says a newer one here", conflict(Some(connection(2)))),
        ("directory: the record says one elsewhere", conflict(Some(elsewhere))),
        ("directory: the record says away", conflict(None)),
        ("directory: unavailable", directory(ChangeOutcome::Unavailable)),
        ("outbox: blocked", Event::PeerBlocked { connection: 1 }),
        ("outbox: writable", Event::PeerWritable { connection: 1 }),
        ("connected with the same number", Event::Connected { connection: 1, hello: hello("b", Dialect::Underpass) }),
        ("connected with another", Event::Connected { connection: 2, hello: hello("b", Dialect::Underpass) }),
        ("disconnected", Event::Disconnected { connection: 1 }),
        ("drain", Event::Drain),
        ("tick", Event::Tick),
        ("wall clock", Event::WallClock { unix_ms: 1 }),
    ]
}

#[test]
fn a_connection_at_its_relay_does_as_its_table_says() {
    let mut table = Table::new("A connection at its relay: what happens, and what the relay does about it.");
    for (state, session) in SESSIONS {
        table.state(state);
        for (name, event) in session_events() {
            table.event(name, session(), |story| story.try_input(event), short::relay);
        }
        for (name, seconds) in [("3 seconds", 3), ("5 seconds", 5), ("15 seconds", 15)] {
            let passes = |story: &mut Story<Relay>| {
                story.passes(std::time::Duration::from_secs(seconds));
                Ok(())
            };
            table.event(name, session(), passes, short::relay);
        }
    }
    table.is_as_in("relay-connection.txt");
}

const ROUTES: [State; 6] = [
    ("no route", relay),
    ("route of an exchange", || with_route(start(None))),
    ("route of a WebSocket", || with_route(websocket_open())),
    ("route of an exchange, the outbox blocked", route_blocked),
    ("route of a WebSocket, as much waits as may", route_full),
    ("closed route", route_closed),
];

fn with_route(opening: Piece) -> Story<Relay> {
    let mut story = relay();
    story.opens_route(of_request(0), opening);
    story
}

fn route_blocked() -> Story<Relay> {
    let mut story = with_route(start(None));
    story.input(Event::PeerBlocked { connection: 1 }).expect([]);
    story
}

fn route_full() -> Story<Relay> {
    let mut story = relay_with(small_config());
    story.takes_in(1, "a");
    story.opens_route(of_request(0), websocket_open());
    story.input(Event::PeerBlocked { connection: 1 }).expect([]);
    story.asks(1, of_request(1), Piece::WebSocketMessage(message(&[0; 86], true))).expect([]);
    story
}

fn route_closed() -> Story<Relay> {
    let mut story = with_route(start(None));
    story.answers(1, of_request(0), Answer::ResponseAbort).actions();
    story
}

fn route_events() -> Vec<(&'static str, Event)> {
    let closed = |hibernate| {
        answers(Answer::WebSocketClose(to_server::WebSocketClose { code: Some(1000), reason: None, hibernate }))
    };
    let taken = |can_hibernate| answers(Answer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate }));
    let ping = to_runner::Ping { gateway_id: GATEWAY, request_id: REQUEST, ts: 0 };
    let back = |kind, reason| {
        let Action::Publish(publication) = publishes(1, of_request(0), kind) else { unreachable!() };
        Event::PublishFailed(Rejected { publication, reason })
    };
    let text = || Answer::WebSocketMessage(message(b"text", false));
    vec![
        ("gateway: RequestStart", asks(0, start(None))),
        ("gateway: RequestChunk", asks(1, request_chunk(b"chunk", false))),
        ("gateway: RequestChunk, the last", asks(1, request_chunk(b"chunk", true))),
        ("gateway: RequestAbort", asks(1, Piece::RequestAbort)),
        ("gateway: WebSocketOpen", asks(0, websocket_open())),
        ("gateway: WebSocketMessage", asks(1, Piece::WebSocketMessage(message(b"text", false)))),
        ("gateway: WebSocketClose", asks(1, Piece::WebSocketClose(Close::new(1000, "").into_wire()))),
        ("gateway: Credit", asks(0, Piece::Credit(credit(1)))),
        ("gateway: Ping", brings(&ToRunner::Ping(ping))),
        ("runner: ResponseStart", answers(response_start(200, None, false))),
        ("runner: ResponseStart streamed", answers(response_start(200, None, true))),
        ("runner: ResponseChunk", answers(response_chunk(b"chunk", false))),
        ("runner: ResponseChunk, the last", answers(response_chunk(b"chunk", true))),
        ("runner: ResponseAbort", answers(Answer::ResponseAbort)),
        ("runner: WebSocketOpen", taken(false)),
        ("runner: WebSocketOpen, can hibernate", taken(true)),
        ("runner: WebSocketMessage", answers(text())),
        (
            "runner: WebSocketMessageAck",
            answers(Answer::WebSocketMessageAck(to_server::WebSocketMessageAck { index: 0 })),
        ),
        ("runner: WebSocketClose", closed(false)),
        ("runner: WebSocketClose, hibernate", closed(true)),
        ("runner: Credit", answers(Answer::Credit(credit(1)))),
        ("runner: Stopping", says(&ToServer::Stopping)),
        ("bus: a piece came back, full", back(text(), PublishError::Full)),
        ("bus: a piece came back, too large", back(text(), PublishError::TooLarge)),
        ("bus: a piece came back, disconnected", back(text(), PublishError::Disconnected)),
        ("bus: a piece came back, nobody listens", back(text(), PublishError::NoResponders)),
        ("bus: an abort came back, full", back(Answer::ResponseAbort, PublishError::Full)),
        ("outbox: blocked", Event::PeerBlocked { connection: 1 }),
        ("outbox: writable", Event::PeerWritable { connection: 1 }),
        ("disconnected", Event::Disconnected { connection: 1 }),
        ("drain", Event::Drain),
    ]
}

#[test]
fn a_request_at_its_relay_does_as_its_table_says() {
    let mut table = Table::new("A request at its relay: what happens, and what the relay does about it.");
    for (state, route) in ROUTES {
        table.state(state);
        for (name, event) in route_events() {
            table.event(name, route(), |story| story.try_input(event), short::relay);
        }
        let minute = |story: &mut Story<Relay>| {
            story.passes(std::time::Duration::from_secs(60));
            Ok(())
        };
        table.event("a minute", route(), minute, short::relay);
    }
    table.is_as_in("relay-request.txt");
}
