//! What every directory does with WebSockets that can hibernate.

use underpass_core::directory::{ActorKey, Directory, HibernatingSocket, Pool, RegistryChange};
use underpass_core::protocol::{GatewayId, RequestId};

use crate::given::{Transport, over_each_transport};

over_each_transport! {
    what_was_entered_is_registered_until_it_leaves,
    what_is_said_again_is_true_again,
    a_gateway_that_gives_its_id_back_has_nothing_there,
    changes_at_the_same_time_are_all_made,
}

fn socket(actor_id: &'static str, gateway: u8, request: u8) -> HibernatingSocket {
    let pool = Pool { namespace: "default".into(), name: "a pool.".into() };
    let actor = ActorKey { pool, actor_id: actor_id.into() };
    HibernatingSocket { actor, gateway_id: GatewayId([gateway; 4]), request_id: RequestId([request; 4]) }
}

async fn enter(directory: &impl Directory, actor_id: &'static str, gateway: u8, request: u8) {
    directory.change_registry(RegistryChange::Enter(socket(actor_id, gateway, request))).await.unwrap();
}

async fn leave(directory: &impl Directory, actor_id: &'static str, gateway: u8, request: u8) {
    directory.change_registry(RegistryChange::Leave(socket(actor_id, gateway, request))).await.unwrap();
}

async fn registered(directory: &impl Directory, actor_id: &'static str) -> Vec<(u8, u8)> {
    let registered = directory.registered(socket(actor_id, 0, 0).actor).await.unwrap();
    registered.iter().map(|socket| (socket.gateway_id.0[0], socket.request_id.0[0])).collect()
}

/// The directory as two gateways see it, and a relay.
async fn three<T: Transport>(transport: &T) -> (T::Directory, T::Directory, T::Directory) {
    let (one, two) = (transport.directory().await, transport.directory().await);
    assert_eq!(one.claim_gateway(GatewayId([1; 4])).await, Ok(true));
    assert_eq!(two.claim_gateway(GatewayId([2; 4])).await, Ok(true));
    (one, two, transport.directory().await)
}

async fn what_was_entered_is_registered_until_it_leaves(transport: impl Transport) {
    let (one, two, relay) = three(&transport).await;
    assert_eq!(registered(&relay, "a").await, []);
    enter(&one, "a", 1, 1).await;
    enter(&two, "a", 2, 1).await;
    enter(&one, "b", 1, 2).await;
    enter(&one, "a", 1, 3).await;
    assert_eq!(registered(&relay, "a").await, [(1, 1), (1, 3), (2, 1)]);
    assert_eq!(registered(&relay, "b").await, [(1, 2)]);
    leave(&one, "a", 1, 1).await;
    assert_eq!(registered(&relay, "a").await, [(1, 3), (2, 1)]);
    leave(&one, "a", 1, 3).await;
    leave(&two, "a", 2, 1).await;
    assert_eq!(registered(&relay, "a").await, []);
    enter(&two, "a", 2, 9).await;
    assert_eq!(registered(&relay, "a").await, [(2, 9)]);
}

async fn what_is_said_again_is_true_again(transport: impl Transport) {
    let (one, _two, relay) = three(&transport).await;
    for _ in 0..2 {
        enter(&one, "a", 1, 1).await;
        one.change_registry(RegistryChange::KeepAlive(GatewayId([1; 4]))).await.unwrap();
        assert_eq!(registered(&relay, "a").await, [(1, 1)]);
    }
    for _ in 0..2 {
        leave(&one, "a", 1, 1).await;
        assert_eq!(registered(&relay, "a").await, []);
    }
}

async fn a_gateway_that_gives_its_id_back_has_nothing_there(transport: impl Transport) {
    let (one, two, relay) = three(&transport).await;
    for actor in ["a", "b"] {
        enter(&one, actor, 1, 1).await;
        enter(&two, actor, 2, 1).await;
    }
    one.release_gateway(GatewayId([1; 4])).await.unwrap();
    assert_eq!(registered(&relay, "a").await, [(2, 1)]);
    assert_eq!(registered(&relay, "b").await, [(2, 1)]);
    assert_eq!(two.claim_gateway(GatewayId([1; 4])).await, Ok(true));
    assert_eq!(registered(&relay, "a").await, [(2, 1)]);
}

async fn changes_at_the_same_time_are_all_made(transport: impl Transport) {
    let (one, two, relay) = three(&transport).await;
    let mut changes = Vec::new();
    for request in 0..50 {
        changes.push((&one, socket("a", 1, request)));
        changes.push((&two, socket("a", 2, request)));
    }
    let enter =
        changes.iter().map(|(directory, socket)| directory.change_registry(RegistryChange::Enter(socket.clone())));
    assert!(futures_util::future::join_all(enter).await.iter().all(Result::is_ok));
    assert_eq!(registered(&relay, "a").await.len(), 100);
    let odd = changes.iter().filter(|(_, socket)| socket.request_id.0[0] % 2 == 1);
    let leave = odd.map(|(directory, socket)| directory.change_registry(RegistryChange::Leave(socket.clone())));
    assert!(futures_util::future::join_all(leave).await.iter().all(Result::is_ok));
    let left: Vec<_> =
        [1, 2].into_iter().flat_map(|gateway| (0..50).step_by(2).map(move |request| (gateway, request))).collect();
    assert_eq!(registered(&relay, "a").await, left);
}
