//! Requests for actors with state, from a client's socket to the bus. The relay, and who starts actors, are the
//! story's own.

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use underpass_core::bus::{Address, Bus, ConnectionId, Delivery, Inbox, Publication, RelayId, Subject};
use underpass_core::directory::{
    Abilities, ActorChange, ActorKey, ActorRecord, ActorState, ChangeOutcome, Directory, Revision, RunnerChange,
    RunnerId, RunnerKey, RunnerRecord, RunnerState,
};
use underpass_core::protocol::tunnel::to_client::{Kind, RequestStart};
use underpass_core::protocol::tunnel::to_server::{Kind as Answer, ResponseStart};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage};
use underpass_core::protocol::{Dialect, Map, ToGateway, ToRunner};
use underpass_transport_mem::{Config as BusConfig, MemBus, MemDirectory};
use underpass_transport_ws::clients::{self, Clients};
use uuid::Uuid;

use crate::tunnel::{client, empty, eventually, pool, text, within};

const RUNNER: RunnerId = RunnerId(Uuid::from_u128(7));

fn record() -> RunnerRecord {
    RunnerRecord {
        id: RUNNER,
        slots: 1,
        protocol_version: 7,
        abilities: Abilities::default(),
        connection: Some(ConnectionId { relay: RelayId(Uuid::from_u128(1)), number: 1 }),
        moving: None,
        entered: None,
        state: RunnerState::Ready,
    }
}

/// The next message of a request that comes to the relay.
async fn hears<I: Inbox>(inbox: &mut I) -> ToClientTunnelMessage {
    let mut deliveries = Vec::new();
    while deliveries.is_empty() {
        within(inbox.receive(&mut deliveries)).await.unwrap();
    }
    match deliveries.remove(0) {
        Delivery::Frame { frame, .. } => match ToRunner::decode_framed(&frame, Dialect::Underpass).unwrap() {
            ToRunner::TunnelMessage(message) => message,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_has_its_actor_started_and_waits_for_it() {
    let bus = MemBus::new(BusConfig::default()).unwrap();
    let directory = MemDirectory::new();
    let mut inbox = bus.attach(Address::Relay(RelayId(Uuid::from_u128(1)))).await.unwrap();
    let clients = Clients::start(clients::Config::default(), bus.clone(), directory.clone()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/gateway/someone/hello", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn({
        let clients = clients.clone();
        async move { clients.serve(listener).await }
    });

    let key = RunnerKey { pool: pool(), key: "runner".into() };
    let runner = RunnerChange { key, expected: None, record: Some(record()) };
    let ChangeOutcome::Stored(_) = directory.change_runner(runner).await else { panic!("the runner is the first") };
    within(clients.runner_ready(&pool())).await;

    serving.spawn(async move {
        let answer = within(client().request(::http::Request::get(url).body(empty()).unwrap())).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(text(answer).await, "hello");
    });

    let key = ActorKey { pool: pool(), actor_id: "someone".into() };
    eventually("the actor is wanted", || !directory.actors().is_empty()).await;
    let (wanted, versioned) = directory.actors().remove(0);
    assert_eq!((wanted, versioned.record.state), (key.clone(), ActorState::Wanted));
    assert!(versioned.record.created_at > 1_700_000_000_000, "{versioned:?}");
    let becomes = async |expected: Revision, state| {
        let record = Some(ActorRecord { state, ..versioned.record.clone() });
        match directory.change_actor(ActorChange { key: key.clone(), expected: Some(expected), record }).await {
            ChangeOutcome::Stored(revision) => revision,
            other => panic!("{other:?}"),
        }
    };
    let starting = becomes(versioned.revision, ActorState::Starting(RUNNER)).await;
    becomes(starting, ActorState::Running(RUNNER)).await;

    let ToClientTunnelMessage { message_id, message_kind } = hears(&mut inbox).await;
    match message_kind {
        Kind::RequestStart(RequestStart { actor_id, path, .. }) => {
            assert_eq!((&*actor_id, &*path), ("someone", "/hello"))
        }
        other => panic!("{other:?}"),
    }
    let start = ResponseStart { status: 200, headers: Map::default(), body: Some("hello".into()), stream: false };
    let answer = ToServerTunnelMessage { message_id, message_kind: Answer::ResponseStart(start) };
    let frame = ToGateway::TunnelMessage(answer).encode_framed();
    bus.publish(Publication { to: Subject::Gateway(clients.id()), reply_to: None, frame }).unwrap();

    eventually("the request has ended", || clients.stats().answered == 1).await;
    assert_eq!((clients.stats().waiting, clients.stats().actors_wanted), (0, 1));
    within(clients.drain()).await;
    while let Some(ended) = within(serving.join_next()).await {
        ended.unwrap();
    }
    drop(clients);
    eventually("nothing is watched any more", || directory.watches() == 0).await;
}
