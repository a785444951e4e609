//! A runner, its handlers, and the relay that it is connected to.

use core::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use underpass_core::http::{Body, Close};
use underpass_core::protocol::to_client::{Init, Ping, ProtocolMetadata};
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::protocol::{Dialect, MessageId, RequestId, ToClient, ToServer, to_server as control};
use underpass_core::runner::{Action, Config, Event, SocketId, StopReason};
use underpass_core::{Machine, RequestKey, Runner, Time};

use crate::story::Story;
use crate::wire::{head, message_id, to_client, to_server};

/// The id that the relay of most stories gives its runner.
pub const RUNNER_ID: &str = "00000000-0000-0000-0000-000000001234";

/// A runner that has been made and wants to dial.
pub fn dialling(config: Config) -> Story<Runner> {
    seeded(config, 1)
}

/// The same, with a seed for its jitter.
pub fn seeded(config: Config, seed: u64) -> Story<Runner> {
    let mut story =
        Story::given(Runner::new(config, "key".into(), seed, Time::ZERO).expect("a runner's configuration"));
    story.expect([dials(1)]);
    story
}

/// A runner that a relay has taken in.
pub fn ready_with(config: Config, dialect: Dialect) -> Story<Runner> {
    let mut story = dialling(config);
    story.becomes_ready(dialect);
    story
}

/// A runner with usual limits that a relay of Underpass has taken in.
pub fn runner() -> Story<Runner> {
    ready_with(calm(), Dialect::Underpass)
}

/// A runner that drains goes as soon as nothing is open, so that most stories need not wait for it.
pub fn calm() -> Config {
    Config { drain_idle: Duration::ZERO, ..Config::default() }
}

/// The smallest limits that a runner takes: 100 bytes for what travels whole, 10 for a chunk; and so much credit.
pub fn small_config(credit: u32) -> Config {
    Config {
        credit,
        max_whole_body: 100,
        max_chunk: 10,
        max_message: 100,
        max_header_bytes: 100,
        max_buffered: 200 + 16 * 1024,
        outbox: 200 + 16 * 1024,
        ..calm()
    }
}

/// A request, by its number among those of a story.
pub fn of(request: u8, number: u16) -> MessageId {
    message_id(RequestId([request; 4]), number)
}

/// The Init of a runner, with its abilities.
pub fn init(metadata: &'static str) -> Action {
    says(ToServer::Init(control::Init {
        name: "default".into(),
        version: 1,
        total_slots: 1,
        prepopulate_actor_names: None,
        metadata: Some(ByteString::from_static(metadata)),
    }))
}

/// The runner dials, for the connection of this number.
pub fn dials(connection: u64) -> Action {
    Action::Dial { connection }
}

/// The runner says something to its relay, on its first connection.
pub fn says(message: ToServer) -> Action {
    says_on(1, message)
}

/// The runner says something to a relay.
pub fn says_on(connection: u64, message: ToServer) -> Action {
    Action::Send { connection, frame: message.encode() }
}

/// The runner sends a piece of an answer, on its first connection.
pub fn answers(id: MessageId, kind: to_server::Kind) -> Action {
    answers_on(1, id, kind)
}

/// The runner sends a piece of an answer.
pub fn answers_on(connection: u64, id: MessageId, kind: to_server::Kind) -> Action {
    Action::Send { connection, frame: to_server(id, kind) }
}

/// The runner closes a WebSocket at its client's end.
pub fn answers_close(id: MessageId, close: Close) -> Action {
    let Close { code, reason } = close;
    answers(id, to_server::Kind::WebSocketClose(to_server::WebSocketClose { code, reason, hibernate: false }))
}

/// What a relay greets a runner with.
pub fn greeting() -> ToClient {
    let metadata = ProtocolMetadata {
        runner_lost_threshold: 15_000,
        actor_stop_threshold: 1_800_000,
        serverless_drain_grace_period: None,
    };
    ToClient::Init(Init { runner_id: RUNNER_ID.into(), metadata })
}

/// A relay's ping.
pub fn ping(ts: i64) -> ToClient {
    ToClient::Ping(Ping { ts })
}

/// The runner leaves its first connection.
pub fn leaves(code: u16, reason: impl Into<ByteString>) -> Action {
    leaves_on(1, code, reason)
}

/// The runner leaves a connection.
pub fn leaves_on(connection: u64, code: u16, reason: impl Into<ByteString>) -> Action {
    Action::Disconnect { connection, close: Close::new(code, reason) }
}

/// The runner hangs up its first connection because it was drained.
pub fn hangs_up() -> Action {
    hangs_up_on(1)
}

/// The runner hangs up because it was drained.
pub fn hangs_up_on(connection: u64) -> Action {
    leaves_on(connection, 1000, "pegboard.runner_shutdown")
}

impl Story<Runner> {
    /// The number of the connection that was dialled last. What stories say of "the" connection is about this one.
    pub fn connection(&self) -> u64 {
        self.machine.stats().dials
    }

    /// The connection is opened and greeted.
    #[track_caller]
    pub fn becomes_ready(&mut self, dialect: Dialect) -> &mut Self {
        self.is_connected(dialect);
        assert!(matches!(&self.actions()[..], [Action::Send { .. }]), "an Init was sent");
        self.hears(greeting()).expect([]);
        self.is_told_ready()
    }

    /// The relay that has greeted it pings it, and again when its pong has made it ready there.
    #[track_caller]
    pub fn is_told_ready(&mut self) -> &mut Self {
        let connection = self.connection();
        let pong = || says_on(connection, ToServer::Pong(control::Pong { ts: 7 }));
        self.hears(ping(7)).expect([pong()]);
        self.hears(ping(7));
        // What follows from its being ready is the story's to expect.
        assert_eq!(self.machine.poll_action(), Some(pong()));
        assert_eq!(self.machine.poll_action(), Some(Action::Ready { runner_id: RUNNER_ID.into() }));
        self
    }

    /// The connection is open.
    #[track_caller]
    pub fn is_connected(&mut self, dialect: Dialect) -> &mut Self {
        let connection = self.connection();
        self.input(Event::Connected { connection, dialect })
    }

    /// The relay refuses the connection.
    #[track_caller]
    pub fn is_refused(&mut self, status: u16) -> &mut Self {
        let connection = self.connection();
        self.input(Event::DialRefused { connection, status, message: "no".into() })
    }

    /// Dialling failed, or the connection broke.
    #[track_caller]
    pub fn is_lost(&mut self) -> &mut Self {
        let connection = self.connection();
        self.loses(connection)
    }

    /// A connection breaks.
    #[track_caller]
    pub fn loses(&mut self, connection: u64) -> &mut Self {
        self.input(Event::Disconnected { connection, close: None })
    }

    /// The relay closes the connection.
    #[track_caller]
    pub fn is_closed(&mut self, code: u16, reason: &'static str) -> &mut Self {
        let connection = self.connection();
        self.is_closed_on(connection, code, reason)
    }

    /// A relay closes a connection.
    #[track_caller]
    pub fn is_closed_on(&mut self, connection: u64, code: u16, reason: &'static str) -> &mut Self {
        self.input(Event::Disconnected { connection, close: Some(Close::new(code, reason)) })
    }

    /// The outbox of the connection has no room.
    #[track_caller]
    pub fn is_blocked(&mut self) -> &mut Self {
        let connection = self.connection();
        self.input(Event::PeerBlocked { connection })
    }

    /// The outbox of the connection has room again.
    #[track_caller]
    pub fn is_writable(&mut self) -> &mut Self {
        let connection = self.connection();
        self.input(Event::PeerWritable { connection })
    }

    /// The relay says something.
    #[track_caller]
    pub fn hears(&mut self, message: ToClient) -> &mut Self {
        let connection = self.connection();
        self.hears_on(connection, message)
    }

    /// A relay says something.
    #[track_caller]
    pub fn hears_on(&mut self, connection: u64, message: ToClient) -> &mut Self {
        self.input(Event::Received { connection, frame: message.encode() })
    }

    /// The relay sends these bytes.
    #[track_caller]
    pub fn hears_bytes(&mut self, bytes: Bytes) -> &mut Self {
        let connection = self.connection();
        self.input(Event::Received { connection, frame: bytes.into() })
    }

    /// The relay carries a piece of a request.
    #[track_caller]
    pub fn asks(&mut self, id: MessageId, kind: to_client::Kind) -> &mut Self {
        let connection = self.connection();
        self.asks_on(connection, id, kind)
    }

    /// A relay carries a piece of a request.
    #[track_caller]
    pub fn asks_on(&mut self, connection: u64, id: MessageId, kind: to_client::Kind) -> &mut Self {
        self.input(Event::Received { connection, frame: to_client(id, kind) })
    }

    /// A GET comes and is handed to the handler.
    #[track_caller]
    pub fn is_asked(&mut self, request: u8) -> RequestKey {
        self.is_handed(request, crate::wire::request_start("GET", "/", None, false))
    }

    /// A POST comes whose body streams, and is handed to the handler.
    #[track_caller]
    pub fn is_asked_with_stream(&mut self, request: u8) -> RequestKey {
        self.is_handed(request, crate::wire::request_start("POST", "/", None, true))
    }

    /// A WebSocket comes and is handed to the handler.
    #[track_caller]
    pub fn is_asked_for_websocket(&mut self, request: u8) -> RequestKey {
        self.is_handed(request, super::relay::websocket_open())
    }

    /// A WebSocket comes and its handler takes it, with message number 0.
    #[track_caller]
    pub fn opens_websocket(&mut self, request: u8) -> RequestKey {
        let key = self.is_asked_for_websocket(request);
        let taken = to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false });
        let connection = self.connection();
        self.input(Event::WebSocketAccept { key, can_hibernate: false }).expect([answers_on(
            connection,
            of(request, 0),
            taken,
        )]);
        key
    }

    /// A GET comes on a connection and is handed to the handler.
    #[track_caller]
    pub fn is_asked_on(&mut self, connection: u64, request: u8) -> RequestKey {
        self.is_handed_on(connection, request, crate::wire::request_start("GET", "/", None, false))
    }

    /// Something is handed to the handler, and nothing else happens.
    #[track_caller]
    pub fn is_handed(&mut self, request: u8, opening: to_client::Kind) -> RequestKey {
        let connection = self.connection();
        self.is_handed_on(connection, request, opening)
    }

    /// Something that came on a connection is handed to the handler, and nothing else happens.
    #[track_caller]
    pub fn is_handed_on(&mut self, connection: u64, request: u8, opening: to_client::Kind) -> RequestKey {
        self.asks_on(connection, of(request, 0), opening.clone());
        let actions = self.actions();
        let (key, expected) = match (&actions[..], opening) {
            ([Action::Request { key, .. }], to_client::Kind::RequestStart(start)) => {
                let body = match (start.body, start.stream) {
                    (None, false) => Body::None,
                    (Some(body), false) => Body::Whole(body),
                    (_, true) => Body::Stream,
                };
                let mut head = head("", "");
                (head.method, head.path, head.headers) = (start.method, start.path, start.headers);
                (*key, Action::Request { key: *key, actor_id: start.actor_id, head, body })
            }
            ([Action::WebSocketOpen { key, .. }], to_client::Kind::WebSocketOpen(open)) => {
                let mut head = head("GET", "");
                (head.path, head.headers) = (open.path, open.headers);
                let MessageId { gateway_id, request_id, .. } = of(request, 0);
                let socket = SocketId { gateway_id, request_id };
                (*key, Action::WebSocketOpen { key: *key, actor_id: open.actor_id, head, socket })
            }
            (other, _) => panic!("the handler should have been handed a request, not {other:?}"),
        };
        assert_eq!(actions, [expected]);
        key
    }

    /// The runner, on which nothing is open, is drained; the story ends.
    #[track_caller]
    pub fn drains_and_ends(&mut self) {
        let connection = self.connection();
        self.input(Event::Drain).expect([says_on(connection, ToServer::Stopping), hangs_up_on(connection)]);
        self.is_lost().expect([Action::Stopped(StopReason::Drained)]);
        self.ends();
    }
}
