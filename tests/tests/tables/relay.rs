//! A connection at its relay, and a request on it.

use bytes::Bytes;
use underpass_core::bus::{Address, ConnectionId, PublishError, Rejected, RelayId};
use underpass_core::directory::{ChangeOutcome, Revision, RunnerRecord, RunnerSeen, RunnerState, Versioned};
use underpass_core::http::Close;
use underpass_core::protocol::kv::{KvRequest, KvRequestData, KvResponseData};
use underpass_core::protocol::to_client::{AckEvents, HibernatingRequest};
use underpass_core::protocol::to_gateway::RefusedReason;
use underpass_core::protocol::to_server::AckCommands;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage};
use underpass_core::protocol::{Dialect, GatewayId, ToRunner, ToServer, Version, to_runner};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::{Frame, Relay};
use underpass_tests::given::gateway::credit;
use underpass_tests::given::hosting::hosting_with;
use underpass_tests::given::relay::{
    METADATA, REQUEST, answers_ping, calm, hello, init, loses, names, of_another_gateway, of_request, pong, publishes,
    refuses, relay, relay_with, small_config, start, tells_of_end, websocket_open,
};
use underpass_tests::given::restoring;
use underpass_tests::short;
use underpass_tests::snapshot::Table;
use underpass_tests::story::Story;
use underpass_tests::wire::{
    GATEWAY, abilities, connection, message, record, relay_id, request_chunk, response_chunk, response_start,
    runner_key,
};

/// A state, and how a relay comes to have something in it.
type State = (&'static str, fn() -> Story<Relay>);

const SESSIONS: [State; 14] = [
    ("no connection", || relay_with(small_enough())),
    ("awaiting Init", awaiting_init),
    ("registering", registering),
    ("settling", settling),
    ("ready, its record is being changed", entering),
    ("ready", relay),
    ("ready, its outbox blocked", blocked),
    ("draining, its record is being changed", beginning_to_drain),
    ("draining", draining),
    ("draining, what is open goes on", draining_with_route),
    ("draining, its runner has moved", moved),
    ("stopping", stopping),
    ("closing", closing),
    ("ended, its record is being removed", leaving),
];

fn small_enough() -> Config {
    Config { max_frame: 33 * 1024 * 1024, ..Default::default() }
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

fn beginning_to_drain() -> Story<Relay> {
    let mut story = relay();
    story.input(Event::Drain).expect_change(1);
    story
}

fn draining() -> Story<Relay> {
    let mut story = beginning_to_drain();
    story.directory(1, ChangeOutcome::Stored(Revision(3))).actions();
    story
}

fn draining_with_route() -> Story<Relay> {
    let mut story = relay();
    story.opens_route(of_another_gateway(0), start(None));
    story.input(Event::Drain).expect_change(1);
    story.directory(1, ChangeOutcome::Stored(Revision(3))).actions();
    story
}

fn moved() -> Story<Relay> {
    let mut story = relay_with(small_enough());
    story.takes_in(1, "a");
    story.opens_route(of_another_gateway(0), start(None));
    story.input(Event::Drain).expect_change(1);
    story.directory(1, ChangeOutcome::Stored(Revision(3))).actions();
    story.passes(std::time::Duration::from_secs(5)).actions();
    let there = RunnerRecord { connection: Some(elsewhere()), moving: Some(connection(1)), ..at(None) };
    let outcome = ChangeOutcome::Conflict(Some(Versioned { revision: Revision(9), record: there }));
    story.directory(1, outcome).expect([]);
    story
}

fn elsewhere() -> ConnectionId {
    ConnectionId { relay: RelayId(uuid::Uuid::from_u128(0xef)), number: 1 }
}

fn at(connection: Option<ConnectionId>) -> RunnerRecord {
    RunnerRecord { connection, ..record(1, abilities(1), RunnerState::Ready) }
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

/// A gateway asks what came of the request, of which it has sent so many messages; or of none.
fn probes(sent: &[u16]) -> ToRunner {
    let requests = sent.iter().map(|next| to_runner::Sent { request_id: REQUEST, next: *next }).collect();
    ToRunner::Probe(to_runner::Probe { gateway_id: GATEWAY, number: 1, requests })
}

/// The request sleeps at its gateway while its actor runs.
fn left_behind() -> ToRunner {
    let (gateway_id, request_id) = (GATEWAY, REQUEST);
    ToRunner::LeftBehind(to_runner::LeftBehind { gateway_id, request_id, actor_id: "a".into(), generation: 1 })
}

fn answers(kind: Answer) -> Event {
    says(&ToServer::TunnelMessage(ToServerTunnelMessage { message_id: of_request(0), message_kind: kind }))
}

/// The directory shows a runner elsewhere whose actors have state.
fn shows_other_kind(entered: u64) -> Event {
    let mut record = RunnerRecord { entered: Some(Revision(entered)), ..at(Some(elsewhere())) };
    record.abilities.stateless = false;
    let record = Some(Versioned { revision: Revision(100), record });
    Event::Runner(RunnerSeen { key: runner_key("other"), record })
}

fn session_events() -> Vec<(&'static str, Event)> {
    let directory = |outcome| Event::Directory { connection: 1, outcome };
    let says_now = |record| directory(ChangeOutcome::Conflict(Some(Versioned { revision: Revision(9), record })));
    let conflict = |connection| says_now(at(connection));
    let moves = RunnerRecord { state: RunnerState::Moving, ..at(Some(elsewhere())) };
    let moved = RunnerRecord { moving: Some(connection(1)), ..at(Some(elsewhere())) };
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
        ("bus: Probe", brings(&probes(&[1]))),
        ("bus: LeftBehind", brings(&left_behind())),
        ("bus: it lost frames of a gateway", Event::Lost { from: Some(Address::Gateway(GATEWAY)) }),
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
        ("directory: the record says one elsewhere", conflict(Some(elsewhere()))),
        ("directory: it says one elsewhere that moves", says_now(moves)),
        ("directory: it says one elsewhere, from this", says_now(moved)),
        ("directory: the record says away", conflict(None)),
        ("directory: unavailable", directory(ChangeOutcome::Unavailable)),
        ("watch: one of the other kind, entered before", shows_other_kind(0)),
        ("watch: one of the other kind, entered after", shows_other_kind(99)),
        ("store: an answer", Event::KvAnswered { connection: 1, number: 1, data: KvResponseData::Put }),
        ("outbox: blocked", Event::PeerBlocked { connection: 1 }),
        ("outbox: writable", Event::PeerWritable { connection: 1 }),
        ("connected with the same number", Event::Connected { connection: 1, hello: hello("b", Dialect::Underpass) }),
        ("connected with another", Event::Connected { connection: 2, hello: hello("b", Dialect::Underpass) }),
        ("disconnected", Event::Disconnected { connection: 1 }),
        ("bus: nobody listens at a gateway", Event::NoResponders { gateway: GATEWAY }),
        ("an operator has it drain", Event::DrainRunner { connection: 1 }),
        ("drain", Event::Drain),
        ("tick", Event::Tick),
        ("wall clock", Event::WallClock { unix_ms: 1 }),
    ]
}

/// Why an event shows nothing.
fn why_not(state: &str, event: &str) -> &'static str {
    let has_ended = state == "no connection" || state.starts_with("ended");
    match event {
        "tick" | "1 second" | "3 seconds" | "5 seconds" | "15 seconds" => "nothing is due",
        "wall clock" => "it is for the next ping",
        "drain" => "it drains already",
        "bus: Close" if state == "closing" => "it is closed already",
        _ if event.starts_with("runner: ") && has_ended => "the connection has ended",
        _ if event.starts_with("runner: ") && state == "closing" => "it was told to go",
        _ if event.starts_with("directory: ") && state == "ended, its record is being removed" => {
            "the record is not this connection's any more"
        }
        _ if event.starts_with("directory: ") => "no change is on its way, or none is needed any more",
        _ if event.starts_with("bus: ") && state == "closing" => "behind its close nothing is sent",
        "bus: Commands" | "bus: AckEvents" => "it waits for the outbox",
        "bus: it lost frames of a gateway" => "nothing is open",
        "outbox: blocked" | "outbox: writable" if has_ended => "the connection has ended",
        "outbox: blocked" => "what is sent next waits",
        "outbox: writable" => "nothing waits",
        "runner: Init" => "the directory is asked",
        "runner: Pong" => "it lives, that is all",
        "runner: Events" | "runner: AckCommands" => "actors without state are nobody's concern",
        "runner: Stopping" if state.contains("changed") || state == "registering" => "a change is on its way",
        "runner: Stopping" if state.contains("moved") => "its state is the next relay's to say",
        "runner: Stopping" => "it has said so",
        "runner: KvRequest" => "the answer waits for the outbox",
        "an operator has it drain" if has_ended => "the connection has ended",
        "an operator has it drain" if state.starts_with("draining") => "it drains already",
        "an operator has it drain" => "it goes by itself",
        "disconnected" => "its record will be removed",
        _ => panic!("{state}: why does nothing come of {event}?"),
    }
}

#[test]
fn a_connection_at_its_relay_does_as_its_table_says() {
    let mut table = Table::new("A connection at its relay: what happens, and what the relay does about it.");
    for (state, session) in SESSIONS {
        table.state(state);
        for (name, event) in session_events() {
            table.event_or(name, session(), |story| story.try_input(event), short::relay, || why_not(state, name));
        }
        for (name, seconds) in [("1 second", 1), ("3 seconds", 3), ("5 seconds", 5), ("15 seconds", 15)] {
            let passes = |story: &mut Story<Relay>| {
                story.passes(std::time::Duration::from_secs(seconds));
                Ok(())
            };
            table.event_or(name, session(), passes, short::relay, || why_not(state, name));
        }
    }
    table.is_as_in("relay-connection.txt");
}

const ROUTES: [State; 8] = [
    ("no route", patient),
    ("route of an exchange", || with_route(start(None))),
    ("route of a WebSocket", || with_route(websocket_open())),
    ("route of a WebSocket that slept", route_restored),
    ("route of an exchange, the outbox blocked", route_blocked),
    ("route of a WebSocket, as much waits as may", route_full),
    ("closed route", route_closed),
    ("closed route, the bus refused the abort", route_ending),
];

/// A relay whose runner may be silent, so that what time does to routes is seen.
fn patient() -> Story<Relay> {
    let day = std::time::Duration::from_secs(86_400);
    let mut story = relay_with(Config { ping_interval: day, pong: 2 * day, ..calm() });
    story.takes_in(1, "a");
    story
}

fn with_route(opening: Piece) -> Story<Relay> {
    let mut story = patient();
    story.opens_route(of_request(0), opening);
    story
}

/// Of a published runner whose actors have state: credit is no word of its protocol.
fn route_restored() -> Story<Relay> {
    let mut hosting = hosting_with(restoring::patient());
    let slept = HibernatingRequest { gateway_id: GATEWAY, request_id: REQUEST };
    hosting.takes_in(1, "a", Version::V7).registers("default", vec![slept]).runs(1, "default");
    hosting.story
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

fn route_ending() -> Story<Relay> {
    let mut story = route_closed();
    story.bus_refuses(publishes(1, of_request(0), Answer::ResponseAbort), PublishError::Full).expect([]);
    story
}

fn route_events() -> Vec<(&'static str, Event)> {
    let closed = |hibernate| {
        answers(Answer::WebSocketClose(to_server::WebSocketClose { code: Some(1000), reason: None, hibernate }))
    };
    let taken = |can_hibernate| answers(Answer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate }));
    let ping = to_runner::Ping { gateway_id: GATEWAY, request_id: REQUEST, ts: 0 };
    let word_back = |action, reason| {
        let Action::Publish(publication) = action else { unreachable!() };
        Event::PublishFailed(Rejected { publication, reason })
    };
    let back = |kind, reason| word_back(publishes(1, of_request(0), kind), reason);
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
        ("gateway: RequestChunk behind a gap", asks(2, request_chunk(b"chunk", false))),
        ("gateway: WebSocketMessage behind a gap", asks(2, Piece::WebSocketMessage(message(b"text", false)))),
        ("gateway: WebSocketClose behind a gap", asks(2, Piece::WebSocketClose(Close::new(1000, "").into_wire()))),
        ("gateway: Credit of 0", asks(1, Piece::Credit(credit(0)))),
        ("gateway: Probe, all came", brings(&probes(&[1]))),
        ("gateway: Probe, not all came", brings(&probes(&[2]))),
        ("gateway: Probe of no request", brings(&probes(&[]))),
        ("gateway: LeftBehind", brings(&left_behind())),
        ("bus: it lost frames of the gateway", Event::Lost { from: Some(Address::Gateway(GATEWAY)) }),
        ("bus: it lost frames of anybody", Event::Lost { from: None }),
        ("bus: it lost frames of another gateway", Event::Lost { from: Some(Address::Gateway(GatewayId([1; 4]))) }),
        ("bus: it lost frames of a relay", Event::Lost { from: Some(Address::Relay(relay_id())) }),
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
        ("bus: a piece came back, unsure", back(text(), PublishError::Unsure)),
        ("bus: a piece came back, nobody listens", back(text(), PublishError::NoResponders)),
        ("bus: an abort came back, full", back(Answer::ResponseAbort, PublishError::Full)),
        ("bus: an abort came back, nobody listens", back(Answer::ResponseAbort, PublishError::NoResponders)),
        (
            "bus: a refusal came back, full",
            word_back(refuses(1, of_request(0), RefusedReason::Full), PublishError::Full),
        ),
        ("bus: a pong came back, full", word_back(answers_ping(1, of_request(0), 0), PublishError::Full)),
        ("bus: a route's name came back, full", word_back(names(1, of_request(0)), PublishError::Full)),
        (
            "bus: the word of a restore came back, full",
            word_back(restoring::wakes(1, of_request(0), 1), PublishError::Full),
        ),
        ("bus: the word of a loss came back, full", word_back(loses(1, of_request(0)), PublishError::Full)),
        ("bus: an end came back, full", word_back(tells_of_end(1, of_request(0)), PublishError::Full)),
        ("bus: nobody listens at the gateway", Event::NoResponders { gateway: GATEWAY }),
        ("outbox: blocked", Event::PeerBlocked { connection: 1 }),
        ("outbox: writable", Event::PeerWritable { connection: 1 }),
        ("disconnected", Event::Disconnected { connection: 1 }),
        ("an operator has it drain", Event::DrainRunner { connection: 1 }),
        ("drain", Event::Drain),
    ]
}

/// Why an event shows nothing.
fn why_nothing_of_it(event: &str) -> &'static str {
    match event {
        "gateway: RequestStart" | "gateway: WebSocketOpen" => "the bus delivered it twice",
        "outbox: blocked" => "what is sent next waits",
        "outbox: writable" => "nothing waits",
        "bus: it lost frames of the gateway" | "bus: it lost frames of anybody" => "nothing of it is open",
        "gateway: Credit of 0" => "it is a word for the relay, or waits for the outbox",
        "bus: it lost frames of another gateway" => "nothing of it is open",
        "bus: it lost frames of a relay" => "the directory says that, too",
        "a quarter of a second" | "10 seconds" | "30 seconds" | "a minute" => "nothing is due",
        _ => panic!("why does nothing come of {event}?"),
    }
}

#[test]
fn a_request_at_its_relay_does_as_its_table_says() {
    let mut table = Table::new("A request at its relay: what happens, and what the relay does about it.");
    for (state, route) in ROUTES {
        table.state(state);
        for (name, event) in route_events() {
            table.event_or(name, route(), |story| story.try_input(event), short::relay, || why_nothing_of_it(name));
        }
        let times =
            [("a quarter of a second", 250), ("10 seconds", 10_000), ("30 seconds", 30_000), ("a minute", 60_000)];
        for (name, millis) in times {
            let passes = |story: &mut Story<Relay>| {
                story.passes(std::time::Duration::from_millis(millis));
                Ok(())
            };
            table.event_or(name, route(), passes, short::relay, || why_nothing_of_it(name));
        }
    }
    table.is_as_in("relay-request.txt");
}
