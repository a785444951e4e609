//! A published runner whose actors have state, over real sockets, with a directory and a store.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message as WireMessage;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use underpass_core::Frame;
use underpass_core::directory::{ActorChange, ActorKey, ActorRecord, ActorState, ChangeOutcome, Directory, Pool};
use underpass_core::protocol::any::{self, Message, Schema, Union};
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::kv::{KvRequest, KvRequestData, KvResponse, KvResponseData};
use underpass_core::protocol::to_server::{ActorState as Life, Event, EventWrapper, Init, Pong, StopCode, Stopped};
use underpass_core::protocol::{Dialect, Memory, ToClient, ToServer, Version};
use underpass_transport_mem::{MemBus, MemDirectory, MemKv};
use underpass_transport_ws::runners::{Config, Runners};

use crate::tunnel::{eventually, within};

type Dialled = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A relay with a store.
struct Relay {
    relay: Runners<MemBus, MemDirectory>,
    directory: MemDirectory,
    address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Relay {
    async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    async fn start_with(config: Config) -> Self {
        let (bus, directory) = (MemBus::new(Default::default()).unwrap(), MemDirectory::new());
        let relay = Runners::start_with_store(config, bus, directory.clone(), MemKv::new()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn({
            let relay = relay.clone();
            async move { relay.serve(listener).await }
        });
        Relay { relay, directory, address, serving }
    }

    async fn dial(&self, version: Version) -> Dialled {
        let query = format!("protocol_version={}&namespace=default&runner_key=published", version.number());
        let url = format!("ws://{}/runners/connect?{query}", self.address);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "rivet".parse().unwrap());
        within(connect_async(request)).await.unwrap().0
    }

    /// A gateway needs an actor.
    async fn want(&self, key: &ActorKey) {
        let record = ActorRecord::wanted(None, 1_700_000_000_000);
        let change = ActorChange { key: key.clone(), expected: None, record };
        assert!(matches!(self.directory.change_actor(change).await, ChangeOutcome::Stored(_)));
    }

    fn state(&self, key: &ActorKey) -> Option<ActorState> {
        let actors = self.directory.actors();
        actors.into_iter().find(|(actor, _)| actor == key).map(|(_, versioned)| versioned.record.state)
    }

    async fn end(self) {
        within(self.relay.drain()).await;
        within(self.serving).await.unwrap();
    }
}

fn key() -> ActorKey {
    ActorKey { pool: Pool { namespace: "default".into(), name: "games".into() }, actor_id: "chess".into() }
}

fn init() -> ToServer {
    let (name, version, total_slots) = ("games".into(), 1, 1);
    ToServer::Init(Init { name, version, total_slots, prepopulate_actor_names: None, metadata: None })
}

fn runs() -> ToServer {
    tells(&key(), 0, Life::Running)
}

/// What happens to an actor in its first life.
fn tells(actor: &ActorKey, index: i64, state: Life) -> ToServer {
    let checkpoint = ActorCheckpoint { actor_id: actor.actor_id.clone(), generation: 1, index };
    ToServer::Events(vec![EventWrapper { checkpoint, inner: Event::ActorStateUpdate { state } }])
}

/// Which actor is started next.
async fn hears_start(socket: &mut Dialled) -> String {
    loop {
        match hears(socket).await {
            ToClient::Commands(commands) => return commands[0].checkpoint.actor_id.to_string(),
            ToClient::AckEvents(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn kv(request_id: u32, data: KvRequestData) -> ToServer {
    ToServer::KvRequest(KvRequest { actor_id: key().actor_id, request_id, data })
}

async fn says(socket: &mut Dialled, message: &ToServer) {
    within(socket.send(WireMessage::Binary(message.encode().into_bytes()))).await.unwrap();
}

/// What the relay says next; its pings are answered.
async fn hears(socket: &mut Dialled) -> ToClient {
    loop {
        let WireMessage::Binary(bytes) = within(socket.next()).await.unwrap().unwrap() else { panic!("no message") };
        match ToClient::decode(&Frame::from(bytes), Dialect::Published).unwrap() {
            ToClient::Ping(ping) => says(socket, &ToServer::Pong(Pong { ts: ping.ts })).await,
            message => return message,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_is_started_where_it_is_wanted_and_keeps_what_it_keeps() {
    let relay = Relay::start().await;
    let mut socket = relay.dial(Version::V7).await;
    says(&mut socket, &init()).await;
    assert!(matches!(hears(&mut socket).await, ToClient::Init(_)));
    relay.want(&key()).await;
    let ToClient::Commands(commands) = hears(&mut socket).await else { panic!("no start") };
    assert_eq!((&*commands[0].checkpoint.actor_id, commands[0].checkpoint.generation), ("chess", 1));
    says(&mut socket, &runs()).await;
    eventually("it runs", || matches!(relay.state(&key()), Some(ActorState::Running(_)))).await;

    let (keys, values) = (["white"].iter().collect(), ["to move"].iter().collect());
    says(&mut socket, &kv(1, KvRequestData::Put { keys, values })).await;
    says(&mut socket, &kv(2, KvRequestData::Get { keys: ["white", "black"].iter().collect() })).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let ToClient::KvResponse(KvResponse { request_id, data }) = hears(&mut socket).await else { panic!("none") };
        answers.push((request_id, data));
    }
    answers.sort_by_key(|(request_id, _)| *request_id);
    let [(1, KvResponseData::Put), (2, KvResponseData::Get(found))] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(found.values, ["to move"].iter().collect());

    says(&mut socket, &ToServer::Stopping).await;
    assert!(matches!(hears(&mut socket).await, ToClient::Commands(_)));
    within(socket.close(None)).await.unwrap();
    eventually("its runner has gone", || relay.directory.runners().is_empty()).await;
    eventually("it has stopped", || relay.state(&key()).is_some_and(|state| state.runner().is_none())).await;
    relay.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_was_left_out_is_taken_up_and_a_runner_that_went_is_forgotten() {
    let mut config = Config::default();
    let supervisor = &mut config.relay.supervisor;
    (supervisor.max_actors, supervisor.look_again) = (1, Duration::from_millis(20));
    (supervisor.runner_lost_threshold, supervisor.runner_lost_margin) = (Duration::from_millis(100), Duration::ZERO);
    supervisor.runner_unseen = Duration::from_millis(100);
    config.relay.runner_forgotten = Duration::from_millis(200);
    let relay = Relay::start_with(config).await;
    let mut socket = relay.dial(Version::V7).await;
    says(&mut socket, &init()).await;
    assert!(matches!(hears(&mut socket).await, ToClient::Init(_)));
    let other = ActorKey { actor_id: "go".into(), ..key() };
    relay.want(&key()).await;
    assert_eq!(hears_start(&mut socket).await, "chess");
    relay.want(&other).await;
    eventually("there is no room", || relay.relay.stats().supervisor.untracked > 0).await;
    let stopped = || Life::Stopped(Stopped { code: StopCode::Ok, message: None });
    says(&mut socket, &runs()).await;
    says(&mut socket, &tells(&key(), 1, stopped())).await;
    assert_eq!(hears_start(&mut socket).await, "go");
    says(&mut socket, &tells(&other, 0, Life::Running)).await;
    says(&mut socket, &tells(&other, 1, stopped())).await;
    eventually("nothing runs", || relay.state(&other) == Some(ActorState::Sleeping)).await;

    // It goes without a goodbye.
    drop(socket);
    eventually("it is away", || {
        relay.directory.runners().iter().all(|(_, versioned)| versioned.record.connection.is_none())
    })
    .await;
    eventually("nothing is left of it", || relay.directory.runners().is_empty()).await;
    eventually("nobody keeps it in mind", || relay.relay.stats().ageing == 0).await;
    relay.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_runner_is_ready_when_its_socket_answers_a_ping() {
    let relay = Relay::start().await;
    let mut socket = relay.dial(Version::V3).await;
    let message = Message::ToServer(any::ToServer::V7(init()));
    let frame = message.translate(Version::V3, &mut Memory::stand_alone()).unwrap().encode().into_bytes();
    within(socket.send(WireMessage::Binary(frame))).await.unwrap();
    let WireMessage::Binary(greeting) = within(socket.next()).await.unwrap().unwrap() else { panic!("no message") };
    let schema = Schema::new(Union::ToClient, Version::V3).unwrap();
    let greeting = schema.decode(&Frame::from(greeting)).unwrap();
    assert!(matches!(greeting, Message::ToClient(any::ToClient::V3(_))));
    // Reading answers pings.
    assert!(matches!(within(socket.next()).await, Some(Ok(WireMessage::Ping(_)))));
    let reading = tokio::spawn(async move { while socket.next().await.is_some() {} });
    eventually("it is ready", || relay.relay.stats().ready == 1).await;
    reading.abort();
    eventually("it has gone", || relay.relay.stats().connections == 0).await;
    relay.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_sends_text_is_closed_1003() {
    let relay = Relay::start().await;
    let mut socket = relay.dial(Version::V7).await;
    within(socket.send(WireMessage::text("hello"))).await.unwrap();
    let WireMessage::Close(Some(close)) = within(socket.next()).await.unwrap().unwrap() else { panic!("no close") };
    assert_eq!((u16::from(close.code), close.reason.contains("text")), (1003, true));
    assert!(within(socket.next()).await.is_none());
    relay.end().await;
}
