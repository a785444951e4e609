//! A runner, its handlers, and the relay that it is connected to.

use bytestring::ByteString;
use underpass_core::http::{Body, Close};
use underpass_core::protocol::to_client::{Init, Ping, ProtocolMetadata};
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::protocol::{Dialect, MessageId, RequestId, ToClient, ToServer, to_server as control};
use underpass_core::runner::{Action, Config, Event, StopReason};
use underpass_core::{RequestKey, Runner, Time};

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
    story.expect([Action::Dial]);
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
    ready_with(Config::default(), Dialect::Underpass)
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
        ..Config::default()
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

/// The runner says something to its relay.
pub fn says(message: ToServer) -> Action {
    Action::Send(message.encode())
}

/// The runner sends a piece of an answer.
pub fn answers(id: MessageId, kind: to_server::Kind) -> Action {
    Action::Send(to_server(id, kind))
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

/// The runner hangs up because it was drained.
pub fn hangs_up() -> Action {
    Action::Disconnect(Close::new(1000, "pegboard.runner_shutdown"))
}

impl Story<Runner> {
    /// The connection is opened and greeted.
    #[track_caller]
    pub fn becomes_ready(&mut self, dialect: Dialect) -> &mut Self {
        self.input(Event::Connected { dialect });
        assert!(matches!(&self.actions()[..], [Action::Send(_)]), "an Init was sent");
        self.hears(greeting()).expect([]);
        self.is_told_ready()
    }

    /// The relay that has greeted it pings it, and again when its pong has made it ready there.
    #[track_caller]
    pub fn is_told_ready(&mut self) -> &mut Self {
        let pong = || says(ToServer::Pong(control::Pong { ts: 7 }));
        self.hears(ping(7)).expect([pong()]);
        self.hears(ping(7)).expect([pong(), Action::Ready { runner_id: RUNNER_ID.into() }])
    }

    /// The relay says something.
    #[track_caller]
    pub fn hears(&mut self, message: ToClient) -> &mut Self {
        self.input(Event::Received { frame: message.encode() })
    }

    /// The relay carries a piece of a request.
    #[track_caller]
    pub fn asks(&mut self, id: MessageId, kind: to_client::Kind) -> &mut Self {
        self.input(Event::Received { frame: to_client(id, kind) })
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
        self.input(Event::WebSocketAccept { key }).expect([answers(of(request, 0), taken)]);
        key
    }

    /// Something is handed to the handler, and nothing else happens.
    #[track_caller]
    pub fn is_handed(&mut self, request: u8, opening: to_client::Kind) -> RequestKey {
        self.asks(of(request, 0), opening.clone());
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
                (*key, Action::WebSocketOpen { key: *key, actor_id: open.actor_id, head })
            }
            (other, _) => panic!("the handler should have been handed a request, not {other:?}"),
        };
        assert_eq!(actions, [expected]);
        key
    }

    /// The runner, on which nothing is open, is drained; the story ends.
    #[track_caller]
    pub fn drains_and_ends(&mut self) {
        self.input(Event::Drain).expect([says(ToServer::Stopping), hangs_up()]);
        self.input(Event::Disconnected { close: None }).expect([Action::Stopped(StopReason::Drained)]);
        self.ends();
    }
}
