//! The hub that joins gateways and relays of several processes.

use underpass_core::Frame;
use underpass_core::bus::{Address, AttachError, Bus, ConnectionId, Delivery, Inbox, Publication, RelayId, Subject};
use underpass_core::directory::{
    Abilities, ChangeOutcome, Directory, Pool, RunnerChange, RunnerId, RunnerKey, RunnerRecord, RunnerState, Watch,
};
use underpass_core::protocol::GatewayId;
use underpass_processes::hub::{Hub, HubBus, HubDirectory, HubInbox};
use uuid::Uuid;

const GATEWAY: GatewayId = GatewayId([1; 4]);
const RELAY: RelayId = RelayId(Uuid::from_u128(1));
const CONNECTION: ConnectionId = ConnectionId { relay: RELAY, number: 7 };

fn to_connection(payload: &'static str) -> Publication {
    let frame = Frame::from(bytes::Bytes::from(payload));
    Publication { to: Subject::Connection(CONNECTION), reply_to: Some(Subject::Gateway(GATEWAY)), frame }
}

async fn received(inbox: &mut HubInbox) -> Delivery {
    let mut deliveries = Vec::new();
    inbox.receive(&mut deliveries).await.unwrap();
    assert_eq!(deliveries.len(), 1);
    deliveries.remove(0)
}

#[tokio::test]
async fn frames_go_from_process_to_process_and_come_to_nobody_when_one_is_gone() {
    let hub = Hub::listen().await.unwrap();
    let gateway = HubBus::dial(hub.address()).await.unwrap();
    let relay = HubBus::dial(hub.address()).await.unwrap();
    let mut at_gateway = gateway.attach(Address::Gateway(GATEWAY)).await.unwrap();
    let nobody = Delivery::NoResponders { to: Subject::Connection(CONNECTION) };

    gateway.publish(to_connection("too early")).unwrap();
    assert_eq!(received(&mut at_gateway).await, nobody);

    let mut at_relay = relay.attach(Address::Relay(RELAY)).await.unwrap();
    assert_eq!(relay.attach(Address::Relay(RELAY)).await.err(), Some(AttachError::Taken));
    gateway.publish(to_connection("hello")).unwrap();
    let Publication { to, reply_to, frame } = to_connection("hello");
    assert_eq!(received(&mut at_relay).await, Delivery::Frame { to, reply_to, frame });

    drop(at_relay);
    // The hub sees the end of a connection a moment later.
    while gateway.publish(to_connection("anybody?")).is_ok() {
        let mut deliveries = Vec::new();
        tokio::select! {
            received = at_gateway.receive(&mut deliveries) => {
                received.unwrap();
                assert_eq!(deliveries[0], nobody);
                break;
            }
            () = tokio::task::yield_now() => {}
        }
    }
}

#[tokio::test]
async fn all_see_the_same_directory() {
    let hub = Hub::listen().await.unwrap();
    let (one, other) = (HubDirectory::at(hub.address()), HubDirectory::at(hub.address()));
    assert_eq!(one.claim_gateway(GATEWAY).await, Ok(true));
    assert_eq!(other.claim_gateway(GATEWAY).await, Ok(false));
    assert_eq!(one.release_gateway(GATEWAY).await, Ok(()));
    assert_eq!(other.claim_gateway(GATEWAY).await, Ok(true));

    let key = RunnerKey { pool: Pool { namespace: "n".into(), name: "p".into() }, key: "k".into() };
    let record = RunnerRecord {
        id: RunnerId(Uuid::from_u128(2)),
        slots: 1,
        protocol_version: 7,
        abilities: Abilities { streams: true, credit: Some(9), ..Abilities::default() },
        connection: Some(CONNECTION),
        moving: None,
        entered: None,
        state: RunnerState::Ready,
    };
    let change = RunnerChange { key: key.clone(), expected: None, record: Some(record.clone()) };
    let ChangeOutcome::Stored(revision) = one.change_runner(change.clone()).await else { panic!() };
    let ChangeOutcome::Conflict(Some(current)) = other.change_runner(change).await else { panic!() };
    assert_eq!((current.revision, &current.record), (revision, &record));

    let mut watch = other.watch_runners().await.unwrap();
    let mut seen = Vec::new();
    watch.changed(&mut seen).await.unwrap();
    assert_eq!(seen[0].record.as_ref().map(|seen| &seen.record), Some(&record));
    one.change_runner(RunnerChange { key, expected: Some(revision), record: None }).await;
    watch.changed(&mut seen).await.unwrap();
    assert_eq!(seen[1].record, None);
}
