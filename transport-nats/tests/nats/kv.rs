//! What actors keep, when the server goes away and when much is put.

use underpass_core::directory::Pool;
use underpass_core::kv::{ActorStore, KvStore, Owner, Query, Read, StoreError, Write};
use underpass_nats_server::NatsServer;
use underpass_transport_nats::NatsKv;

use crate::given::{config, connect, pattern, tell};

fn owner(generation: u32) -> Owner {
    let pool = Pool { namespace: "default".into(), name: "default".into() };
    Owner { store: ActorStore { pool, actor_id: "a".into() }, generation }
}

async fn put(store: &NatsKv, key: &'static str, value: impl Into<bytes::Bytes>) -> Result<(), StoreError> {
    let entries = [(key.into(), value.into())].into();
    store.write(owner(1), Write::Put { entries, update_ts: 7, max_stored: u64::MAX }).await
}

async fn get(store: &NatsKv, generation: u32, key: &'static str) -> Result<Option<bytes::Bytes>, StoreError> {
    let query = Query::Keys([key].into_iter().collect());
    let found = store.read(owner(generation), Read { query, max_bytes: usize::MAX }).await?;
    Ok(found.values.iter().next())
}

#[test]
fn what_was_put_is_there_when_the_server_was_killed_and_meanwhile_nothing_is() {
    tell(async {
        let mut server = NatsServer::start();
        let nats = connect(config(&server)).await;
        let store = nats.kv().await.unwrap();
        for round in ["1", "2"] {
            put(&store, "a", round).await.unwrap();
            server.kill();
            nats.storing().wait_for(|connected| !connected.there).await.unwrap();
            assert_eq!(put(&store, "b", "x").await, Err(StoreError::Unavailable));
            assert_eq!(get(&store, 1, "a").await, Err(StoreError::Unavailable));
            server.start_again();
            nats.storing().wait_for(|connected| connected.there).await.unwrap();
            let there = loop {
                match get(&store, 1, "a").await {
                    Err(StoreError::Unavailable) => tokio::task::yield_now().await,
                    there => break there,
                }
            };
            assert_eq!(there, Ok(Some(round.into())));
            assert_eq!(get(&store, 1, "b").await, Ok(None));
        }
    });
}

#[test]
fn a_generation_is_fenced_by_a_newer_one_in_another_process() {
    tell(async {
        let server = NatsServer::start();
        let old = connect(config(&server)).await.kv().await.unwrap();
        let new = connect(config(&server)).await.kv().await.unwrap();
        put(&old, "a", "1").await.unwrap();
        assert_eq!(get(&new, 2, "a").await, Ok(Some("1".into())));
        let fenced = StoreError::Fenced { generation: 1, newest: 2 };
        assert_eq!(get(&old, 1, "a").await, Err(fenced));
        assert_eq!(put(&old, "a", "2").await, Err(fenced));
        assert_eq!(get(&new, 2, "a").await, Ok(Some("1".into())));
    });
}

#[test]
fn what_was_overwritten_or_deleted_takes_no_room_for_long() {
    tell(async {
        let server = NatsServer::start();
        let store = connect(config(&server)).await.kv().await.unwrap();
        put(&store, "old", pattern(1, 100)).await.unwrap();
        for round in 0..150 {
            put(&store, "new", pattern(round, 30_000)).await.unwrap();
            let keys = ["new"].into_iter().collect();
            store.write(owner(1), Write::Delete(keys)).await.unwrap();
        }
        assert_eq!(get(&store, 1, "old").await, Ok(Some(pattern(1, 100))));
        let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let stream = context.get_stream("underpass-kv").await.unwrap();
        let state = stream.get_info().await.unwrap().state;
        assert!(state.messages < 100, "{} messages", state.messages);
        assert!(state.bytes < 200_000, "{} bytes", state.bytes);
        // And it is read as it was.
        let again = connect(config(&server)).await.kv().await.unwrap();
        assert_eq!(get(&again, 1, "old").await, Ok(Some(pattern(1, 100))));
        assert_eq!(get(&again, 1, "new").await, Ok(None));
    });
}
