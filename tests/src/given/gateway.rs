//! A gateway with runners, its clients and what it publishes.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::bus::{Address, Publication, PublishError, Rejected, Subject};
use underpass_core::directory::{Abilities, RunnerState};
use underpass_core::gateway::{Action, Config, Event, Open};
use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::to_gateway::{self as control, Came, Counted};
use underpass_core::protocol::to_runner::{Probe, Sent};
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::protocol::{Dialect, RequestId, ToGateway, ToRunner};
use underpass_core::{Failure, FailureCode, Gateway, Machine, RequestKey, Time};

use crate::story::Story;
use crate::wire::{
    GATEWAY, abilities, connection, message_id, open, open_websocket, pool, record, relay_id, response_start, seen,
    to_gateway, to_runner,
};

/// A request that a story's client has opened.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Its name between gateway and client.
    pub key: RequestKey,
    /// Its name on the wire.
    pub id: RequestId,
}

/// A gateway that knows no runner.
pub fn lonely_gateway(config: Config) -> Story<Gateway> {
    Story::given(Gateway::new(config, GATEWAY, 1, Time::ZERO).expect("a gateway's configuration"))
}

/// A request finds no runner of its pool ready, and waits, until its client gives up.
pub fn finds_nobody_ready(story: &mut Story<Gateway>) {
    let asked = story.opens(open("GET", "/", Body::None));
    story.expect([]);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    assert_eq!(story.machine.ready_runners(&pool()), 0);
}

/// A gateway that knows one runner, on connection 1.
pub fn gateway_with(config: Config, abilities: Abilities) -> Story<Gateway> {
    let mut story = lonely_gateway(config);
    story.input(Event::Directory(seen("a", record(1, abilities, RunnerState::Ready)))).expect([]);
    story
}

/// A gateway that knows one runner of Underpass, on connection 1, with much credit.
pub fn gateway() -> Story<Gateway> {
    gateway_with(config(), abilities(1 << 20))
}

/// The usual, but pings are so seldom that no story sees one, no runner ages, and nothing is sent again.
pub fn config() -> Config {
    Config { ping_interval: SELDOM, pong: SELDOM * 2, runner_unseen: SELDOM, max_tries: 1, ..Config::default() }
}

/// Longer than any story.
const SELDOM: Duration = Duration::from_secs(1_000_000);

/// The smallest limits that a gateway takes: 100 bytes for what travels whole, 10 for a chunk. It pings as seldom.
pub fn small_config() -> Config {
    Config {
        max_whole_body: 100,
        max_chunk: 10,
        max_message: 100,
        max_header_bytes: 100,
        max_buffered: 200 + 16 * 1024,
        ..config()
    }
}

/// What a runner of the published protocol can do, if its pool is known to be stateless.
pub fn published_abilities() -> Abilities {
    Abilities { dialect: Dialect::Published, streams: false, numbers: false, credit: None, stateless: true }
}

impl Story<Gateway> {
    /// A client opens something; what the gateway wants of it is still to be expected.
    #[track_caller]
    pub fn opens(&mut self, open: Open) -> Asked {
        self.nothing_left();
        let now = self.now();
        let key = self.machine.open(open, now).expect("the request is taken in");
        let id = self.machine.request_name(key).expect("the request is open").request_id;
        Asked { key, id }
    }

    /// A client opens something and is refused; nothing else happens.
    #[track_caller]
    pub fn refuses(&mut self, open: Open) -> Failure {
        self.nothing_left();
        let now = self.now();
        let refused = self.machine.open(open, now).expect_err("the request is refused").0;
        self.nothing_left();
        refused
    }

    /// A WebSocket that is open, from the handler's message number 1 and the client's number 1 on.
    #[track_caller]
    pub fn opens_websocket(&mut self) -> Asked {
        let asked = self.opens(open_websocket("/ws"));
        self.actions();
        let taken = to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false });
        self.hears(asked, 0, taken).expect([Action::WebSocketOpened { key: asked.key }]);
        asked
    }

    /// The bus brings a message of the runner.
    #[track_caller]
    pub fn hears(&mut self, asked: Asked, number: u16, kind: to_server::Kind) -> &mut Self {
        self.input(Event::Received { from: None, frame: to_gateway(message_id(asked.id, number), kind) })
    }

    /// The request fails with a code, at its client's end, behind these actions.
    #[track_caller]
    pub fn expect_failed(
        &mut self,
        asked: Asked,
        code: FailureCode,
        before: impl IntoIterator<Item = Action>,
    ) -> &mut Self {
        let mut actions = self.actions();
        match actions.pop() {
            Some(Action::Failed { key, failure }) => {
                assert_eq!((key, failure.code), (asked.key, code), "{failure}");
                let name = failure.request.expect("a failed request has a name");
                assert_eq!((name.gateway_id, name.request_id), (GATEWAY, asked.id));
            }
            other => panic!("the request should have failed with {code}, not {other:?}"),
        }
        assert_eq!(actions, before.into_iter().collect::<Vec<_>>());
        self
    }

    /// The gateway waits for nothing but the time of a ping.
    #[track_caller]
    pub fn expect_no_deadline(&mut self) -> &mut Self {
        let timeout = self.machine.poll_timeout();
        assert!(timeout.is_none_or(|timeout| timeout >= Time::ZERO + SELDOM), "{timeout:?}");
        self
    }

    /// The gateway waits for a deadline that is so far away from the request's opening, at time zero, and for no other.
    #[track_caller]
    pub fn expect_no_deadline_but(&mut self, deadline: Duration) -> &mut Self {
        self.expect_timeout(Some(Time::ZERO + deadline))
    }

    /// Long enough for any deadline.
    pub fn long_after(&mut self) -> &mut Self {
        self.passes(Duration::from_secs(3_600))
    }
}

/// A message of a request is published to connection 1.
pub fn publishes(asked: Asked, number: u16, kind: to_client::Kind) -> Action {
    publishes_to(1, asked, number, kind)
}

/// A message of a request is published to a connection.
pub fn publishes_to(connection: u64, asked: Asked, number: u16, kind: to_client::Kind) -> Action {
    Action::Publish(to_runner(connection, message_id(asked.id, number), kind))
}

/// The gateway asks connection 1 by a probe of this number what came of these requests, each with the number that its
/// next message has.
pub fn asks(number: u32, requests: impl IntoIterator<Item = (Asked, u16)>) -> Action {
    let requests = requests.into_iter().map(|(asked, next)| Sent { request_id: asked.id, next }).collect();
    Action::Publish(Publication {
        to: Subject::Connection(connection(1)),
        reply_to: Some(Subject::Gateway(GATEWAY)),
        frame: ToRunner::Probe(Probe { gateway_id: GATEWAY, number, requests }).encode_framed(),
    })
}

/// The relay of connection 1 answers a probe.
pub fn probed(number: u32, requests: impl IntoIterator<Item = Counted>) -> Event {
    let (connection, requests) = (connection(1).into(), requests.into_iter().collect());
    let probed = control::Probed { gateway_id: GATEWAY, number, connection, requests };
    Event::Received { from: None, frame: ToGateway::Probed(probed).encode_framed() }
}

/// All of a request came to its relay, which has carried so many messages of the runner.
pub fn whole(asked: Asked, carried: u32) -> Counted {
    Counted { request_id: asked.id, came: Came::All, carried, granted: 0 }
}

/// The relay of connection 1 has no route for a request, and something of it is lost.
pub fn lost(asked: Asked) -> Event {
    let lost = control::Lost { gateway_id: GATEWAY, request_id: asked.id, connection: connection(1).into() };
    Event::Received { from: None, frame: ToGateway::Lost(lost).encode_framed() }
}

/// The relay of connection 1 has lost frames of the gateway, and has routes for these requests.
pub fn doubted(requests: impl IntoIterator<Item = RequestId>) -> Event {
    let (connection, requests) = (connection(1).into(), requests.into_iter().collect());
    let doubted = control::Doubted { gateway_id: GATEWAY, connection, requests };
    Event::Received { from: None, frame: ToGateway::Doubted(doubted).encode_framed() }
}

/// The bus lost frames of the relay of all connections.
pub fn loses_frames() -> Event {
    Event::Lost { from: Some(Address::Relay(relay_id())) }
}

/// The handler's request is aborted.
pub fn aborts(asked: Asked, number: u16) -> Action {
    publishes(asked, number, to_client::Kind::RequestAbort)
}

/// The handler's WebSocket is closed, as its failure says.
pub fn closes(asked: Asked, number: u16, code: FailureCode) -> Action {
    let reason = format!("{code}#67617465-{}", asked.id).into();
    let close = to_client::WebSocketClose { code: Some(code.close_code()), reason: Some(reason) };
    publishes(asked, number, to_client::Kind::WebSocketClose(close))
}

/// So many zero bytes.
pub fn zeros(count: usize) -> Bytes {
    Bytes::from(vec![0; count])
}

/// A piece of a request's body.
pub fn chunk(key: RequestKey, bytes: Bytes, finish: bool) -> Event {
    Event::RequestChunk { key, bytes, finish }
}

/// The start of a request whose body is not known to be static.
pub fn request_start_with(method: &'static str, body: Option<Bytes>, stream: bool) -> to_client::Kind {
    match crate::wire::request_start(method, "/", None, stream) {
        to_client::Kind::RequestStart(start) => {
            to_client::Kind::RequestStart(to_client::RequestStart { body, ..start })
        }
        other => other,
    }
}

/// A piece of a request's body, as it travels.
pub fn chunk_sent(bytes: Bytes, finish: bool) -> to_client::Kind {
    to_client::Kind::RequestChunk(to_client::RequestChunk { body: bytes, finish })
}

/// Credit, toward either end.
pub fn credit(total: u32) -> to_client::Credit {
    to_client::Credit { total }
}

/// A request of each kind and state at connection 1, each of which its runner knows.
pub fn one_of_each(story: &mut Story<Gateway>) -> [Asked; 4] {
    let waiting = story.opens(open("GET", "/", Body::None));
    story.actions();
    let responding = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(responding, 0, response_start(200, None, true)).actions();
    let asking = story.opens(open_websocket("/"));
    story.actions();
    let socket = story.opens_websocket();
    [waiting, responding, asking, socket]
}

/// A WebSocket whose client has closed, while its messages wait for credit. The runner was sent one of ten bytes.
pub fn closing(story: &mut Story<Gateway>) -> Asked {
    let asked = story.opens_websocket();
    let key = asked.key;
    for _ in 0..2 {
        story.input(Event::WebSocketMessage { key, message: Message::Binary(zeros(10)) }).actions();
    }
    story.input(Event::WebSocketClose { key, close: Close::new(1000, "") }).expect([]);
    asked
}

/// The bus gives back what was published.
pub fn give_back(publication: Action, reason: PublishError) -> Event {
    let Action::Publish(publication) = publication else { panic!("{publication:?} is no publication") };
    Event::PublishFailed(Rejected { publication, reason })
}
