//! A relay, the runners that connect to it, and what it carries.

use std::time::Duration;

use bytestring::ByteString;
use underpass_core::bus::{Publication, PublishError, Rejected, Subject};
use underpass_core::directory::{ChangeOutcome, Revision, RunnerChange, RunnerRecord, RunnerState};
use underpass_core::handshake::Hello;
use underpass_core::http::Close;
use underpass_core::protocol::to_client::{Init, Ping, ProtocolMetadata};
use underpass_core::protocol::to_gateway::{self, Refused, RefusedReason, RouteOpen};
use underpass_core::protocol::to_server::Pong;
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, to_client, to_server};
use underpass_core::protocol::{Dialect, MessageId, RequestId, ToClient, ToGateway, ToRunner, ToServer, to_runner};
use underpass_core::relay::{Action, Config, Event, Notice};
use underpass_core::{Frame, Relay, Time};

use crate::story::Story;
use crate::wire::{GATEWAY, connection, relay_id, runner_key, to_gateway};

/// What Underpass's own runner announces.
pub const METADATA: &str = r#"{"underpass":{"streams":true,"numbers":true,"credit":1000,"stateless":true}}"#;

/// A request that is open on connection 1 in most stories.
pub const REQUEST: RequestId = RequestId([1, 2, 3, 4]);

/// A relay without connections.
pub fn relay_with(config: Config) -> Story<Relay> {
    Story::given(Relay::new(config, relay_id(), 1, Time::ZERO).expect("a relay's configuration"))
}

/// A configuration with which records are not written anew while a story goes on.
pub fn calm() -> Config {
    Config { refresh: Duration::from_secs(86_400), ..Config::default() }
}

/// A relay with a runner of Underpass, whose key is `a`, ready on connection 1. It is [`calm`].
pub fn relay() -> Story<Relay> {
    let mut story = relay_with(calm());
    story.takes_in(1, "a");
    story
}

/// The smallest limits that a relay takes: 100 bytes a frame, 100 to wait of a request, 200 of a connection.
pub fn small_config() -> Config {
    Config { max_frame: 100, outbox: 100, max_buffered: 100, max_backlog: 200, bus_largest_message: 102, ..calm() }
}

/// The opening of a runner's WebSocket.
pub fn hello(key: &'static str, dialect: Dialect) -> Hello {
    Hello { protocol_version: 7, namespace: "default".into(), runner_key: key.into(), dialect }
}

/// The Init of a runner.
pub fn init(metadata: Option<&'static str>) -> ToServer {
    ToServer::Init(underpass_core::protocol::to_server::Init {
        name: "default".into(),
        version: 1,
        total_slots: 1,
        prepopulate_actor_names: None,
        metadata: metadata.map(ByteString::from_static),
    })
}

/// A runner's answer to a ping.
pub fn pong() -> ToServer {
    ToServer::Pong(Pong { ts: 0 })
}

/// A message is sent to a runner.
pub fn sends(number: u64, message: ToClient) -> Action {
    Action::Send { connection: number, frame: message.encode() }
}

/// A runner is pinged, so many milliseconds after the story's start.
pub fn pings(number: u64, ts: i64) -> Action {
    sends(number, ToClient::Ping(Ping { ts }))
}

/// A piece of a request is sent to a runner.
pub fn sends_piece(number: u64, id: MessageId, kind: to_client::Kind) -> Action {
    sends(number, ToClient::TunnelMessage(ToClientTunnelMessage { message_id: id, message_kind: kind }))
}

/// A piece of an answer from a runner is published to its gateway.
pub fn publishes(number: u64, id: MessageId, kind: to_server::Kind) -> Action {
    publishes_frame(number, id, to_gateway(id, kind))
}

/// Something else is published to a gateway.
pub fn publishes_control(number: u64, id: MessageId, message: ToGateway) -> Action {
    publishes_frame(number, id, message.encode_framed())
}

fn publishes_frame(number: u64, id: MessageId, frame: Frame) -> Action {
    let reply_to = Some(Subject::Connection(connection(number)));
    Action::Publish(Publication { to: Subject::Gateway(id.gateway_id), reply_to, frame })
}

/// The opening of a request comes back to its gateway.
pub fn refuses(number: u64, id: MessageId, reason: RefusedReason) -> Action {
    let MessageId { gateway_id, request_id, .. } = id;
    publishes_control(number, id, ToGateway::Refused(Refused { gateway_id, request_id, reason }))
}

/// The gateway of the request is told that a connection ended.
pub fn tells_of_end(number: u64, id: MessageId) -> Action {
    publishes_control(number, id, ToGateway::ConnectionEnded(connection(number).into()))
}

/// The gateway of the request is told that there is a route for it.
pub fn names(number: u64, id: MessageId) -> Action {
    let MessageId { gateway_id, request_id, .. } = id;
    let route = RouteOpen { gateway_id, request_id, connection: connection(number).into() };
    publishes_control(number, id, ToGateway::RouteOpen(route))
}

/// The gateway of the request is told that something of it is lost.
pub fn loses(number: u64, id: MessageId) -> Action {
    let MessageId { gateway_id, request_id, .. } = id;
    let lost = to_gateway::Lost { gateway_id, request_id, connection: connection(number).into() };
    publishes_control(number, id, ToGateway::Lost(lost))
}

/// The gateway of the request is told to ask what came, and that there are routes for these requests.
pub fn doubts(number: u64, id: MessageId, requests: impl IntoIterator<Item = MessageId>) -> Action {
    let requests = requests.into_iter().map(|id| id.request_id).collect();
    let connection = connection(number).into();
    let doubted = to_gateway::Doubted { gateway_id: id.gateway_id, connection, requests };
    publishes_control(number, id, ToGateway::Doubted(doubted))
}

/// The gateway of the request is answered its probe of this number.
pub fn answers_probe(
    number: u64,
    id: MessageId,
    probe: u32,
    requests: impl IntoIterator<Item = to_gateway::Counted>,
) -> Action {
    let (connection, requests) = (connection(number).into(), requests.into_iter().collect());
    let probed = to_gateway::Probed { gateway_id: id.gateway_id, number: probe, connection, requests };
    publishes_control(number, id, ToGateway::Probed(probed))
}

/// A gateway is answered its ping.
pub fn answers_ping(number: u64, id: MessageId, ts: i64) -> Action {
    publishes_control(number, id, ToGateway::Pong(to_gateway::Pong { request_id: id.request_id, ts }))
}

/// A connection is closed.
pub fn closes(number: u64, code: u16, reason: impl Into<ByteString>) -> Action {
    Action::Close { connection: number, close: Close::new(code, reason) }
}

/// People are told something.
pub fn tells(number: u64, notice: Notice) -> Action {
    Action::Log { connection: number, notice }
}

/// Message `number` of the story's request.
pub fn of_request(number: u16) -> MessageId {
    crate::wire::message_id(REQUEST, number)
}

/// The start of the story's request, on the bus.
pub fn start(body: Option<&'static [u8]>) -> to_client::Kind {
    crate::wire::request_start("GET", "/", body, false)
}

/// A WebSocket's opening.
pub fn websocket_open() -> to_client::Kind {
    let open = to_client::WebSocketOpen { actor_id: "default".into(), path: "/".into(), headers: Default::default() };
    to_client::Kind::WebSocketOpen(open)
}

impl Story<Relay> {
    /// A runner of Underpass opens its WebSocket.
    #[track_caller]
    pub fn connects(&mut self, number: u64, key: &'static str) -> &mut Self {
        self.input(Event::Connected { connection: number, hello: hello(key, Dialect::Underpass) })
    }

    /// A runner says something.
    #[track_caller]
    pub fn says(&mut self, number: u64, message: ToServer) -> &mut Self {
        self.input(Event::FromRunner { connection: number, frame: message.encode().into_bytes() })
    }

    /// A runner sends a piece of an answer.
    #[track_caller]
    pub fn answers(&mut self, number: u64, id: MessageId, kind: to_server::Kind) -> &mut Self {
        self.input(Event::FromRunner { connection: number, frame: crate::wire::to_server(id, kind).into_bytes() })
    }

    /// The bus brings something for a connection.
    #[track_caller]
    pub fn bus_brings(&mut self, number: u64, message: ToRunner) -> &mut Self {
        self.input(Event::FromBus { connection: number, frame: message.encode_framed() })
    }

    /// The bus brings a piece of a request.
    #[track_caller]
    pub fn asks(&mut self, number: u64, id: MessageId, kind: to_client::Kind) -> &mut Self {
        self.bus_brings(number, ToRunner::TunnelMessage(ToClientTunnelMessage { message_id: id, message_kind: kind }))
    }

    /// A gateway pings a connection and names a request.
    #[track_caller]
    pub fn gateway_pings(&mut self, number: u64, id: MessageId, ts: i64) -> &mut Self {
        let MessageId { gateway_id, request_id, .. } = id;
        self.bus_brings(number, ToRunner::Ping(to_runner::Ping { gateway_id, request_id, ts }))
    }

    /// The bus gives a publication back.
    #[track_caller]
    pub fn bus_refuses(&mut self, publication: Action, reason: PublishError) -> &mut Self {
        let Action::Publish(publication) = publication else { panic!("{publication:?} is no publication") };
        self.input(Event::PublishFailed(Rejected { publication, reason }))
    }

    /// The directory answers.
    #[track_caller]
    pub fn directory(&mut self, number: u64, outcome: ChangeOutcome) -> &mut Self {
        self.input(Event::Directory { connection: number, outcome })
    }

    /// The relay wants the directory changed, and nothing else.
    #[track_caller]
    pub fn expect_change(&mut self, number: u64) -> RunnerChange {
        match &self.actions()[..] {
            [Action::Directory { connection, change }] if *connection == number => change.clone(),
            other => panic!("a change for connection {number} should have been wanted, not {other:?}"),
        }
    }

    /// The relay wants this changed in the directory, and nothing else. `expected` is a revision, and 0 for none.
    #[track_caller]
    pub fn expect_state(&mut self, number: u64, expected: u64, state: Option<RunnerState>) -> RunnerChange {
        let change = self.expect_change(number);
        assert_eq!(change.expected, (expected > 0).then_some(Revision(expected)), "{change:?}");
        assert_eq!(change.record.as_ref().map(|record| record.state), state, "{change:?}");
        if let Some(record) = &change.record {
            assert_eq!(record.connection, Some(connection(number)), "{change:?}");
        }
        change
    }

    /// A runner connects and says who it is; the directory has not answered. With the record that it shall have.
    #[track_caller]
    pub fn registers(&mut self, number: u64, key: &'static str) -> RunnerRecord {
        self.connects(number, key).expect([]);
        self.says(number, init(Some(METADATA)));
        let change = self.expect_state(number, 0, Some(RunnerState::Full));
        assert_eq!(change.key, runner_key(key));
        change.record.expect("a record is entered")
    }

    /// A runner connects, says who it is and was greeted; its pong is still to come.
    #[track_caller]
    pub fn greets(&mut self, number: u64, key: &'static str) -> RunnerRecord {
        let record = self.registers(number, key);
        let ts = self.now().as_micros() as i64 / 1_000;
        self.directory(number, ChangeOutcome::Stored(Revision(1)));
        self.expect([sends(number, greeting(&record)), pings(number, ts)]);
        record
    }

    /// A runner is taken in. Its record has revision 2.
    #[track_caller]
    pub fn takes_in(&mut self, number: u64, key: &'static str) -> RunnerRecord {
        let record = self.greets(number, key);
        self.says(number, pong());
        let mut actions = self.actions();
        assert_eq!(actions.remove(0), tells(number, Notice::Ready(runner_key(key))));
        let ready = RunnerRecord { state: RunnerState::Ready, entered: Some(Revision(1)), ..record };
        let change = RunnerChange { key: runner_key(key), expected: Some(Revision(1)), record: Some(ready.clone()) };
        assert_eq!(actions, [Action::Directory { connection: number, change }]);
        let told = self.now().as_micros() as i64 / 1_000;
        self.directory(number, ChangeOutcome::Stored(Revision(2))).expect([pings(number, told)]);
        ready
    }

    /// A request is opened on connection 1, and carried there.
    #[track_caller]
    pub fn opens_route(&mut self, id: MessageId, kind: to_client::Kind) -> &mut Self {
        self.asks(1, id, kind.clone()).expect([sends_piece(1, id, kind)])
    }

    /// A connection whose record has revision 2 ends, and its runner leaves the directory. Gateways that have something
    /// open on it are told.
    #[track_caller]
    pub fn leaves(&mut self, number: u64) -> &mut Self {
        self.input(Event::Disconnected { connection: number });
        let mut actions = self.actions();
        match actions.pop() {
            Some(Action::Directory { connection, change }) if connection == number => {
                assert_eq!((change.expected, change.record), (Some(Revision(2)), None));
            }
            other => panic!("the record should have been removed last, not {other:?}"),
        }
        for action in actions {
            let Action::Publish(Publication { frame, .. }) = &action else { panic!("{action:?} was not expected") };
            let told = ToGateway::decode_framed(frame, Dialect::Underpass);
            assert_eq!(told, Ok(ToGateway::ConnectionEnded(connection(number).into())));
        }
        self.directory(number, ChangeOutcome::Stored(Revision(3))).expect([])
    }

    /// The runner of connection 1 leaves, closed routes are forgotten, and the story ends.
    #[track_caller]
    pub fn leaves_and_ends(&mut self) {
        self.leaves(1);
        self.passes(Duration::from_secs(60)).ends();
    }
}

/// What a relay greets a runner with.
pub fn greeting(record: &RunnerRecord) -> ToClient {
    ToClient::Init(Init {
        runner_id: record.id.to_string().into(),
        metadata: ProtocolMetadata {
            runner_lost_threshold: 15_000,
            actor_stop_threshold: 1_800_000,
            serverless_drain_grace_period: None,
        },
    })
}

/// The id that all gateways but that of most stories lack.
pub fn of_another_gateway(number: u16) -> MessageId {
    let mut id = of_request(number);
    assert_eq!(id.gateway_id, GATEWAY);
    id.gateway_id.0[3] ^= 1;
    id
}
