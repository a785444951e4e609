//! What actors keep, when the server goes away and when much is put.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use underpass_core::directory::Pool;
use underpass_core::kv::{ActorStore, KvStore, Owner, Query, Read, StoreError, Write};
use underpass_nats_server::NatsServer;
use underpass_transport_nats::{Config, NatsKv, StoreConfig};

use crate::given::{config, connect, pattern, tell};

fn owner(generation: u32) -> Owner {
    let pool = Pool { namespace: "default".into(), name: "default".into() };
    Owner { store: ActorStore { pool, actor_id: "a".into() }, generation }
}

async fn put(store: &NatsKv, key: &'static str, value: impl Into<Bytes>) -> Result<(), StoreError> {
    let entries = [(key.into(), value.into())].into();
    store.write(owner(1), Write::Put { entries, update_ts: 7, max_stored: u64::MAX }).await
}

async fn get(store: &NatsKv, generation: u32, key: &'static str) -> Result<Option<Bytes>, StoreError> {
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

/// A server that takes messages of 64 KiB.
fn narrow() -> NatsServer {
    NatsServer::with("max_payload: 65536")
}

#[test]
fn a_put_that_fits_into_no_message_is_refused_for_what_it_is_and_changes_nothing() {
    tell(async {
        let server = narrow();
        let store = connect(config(&server)).await.kv().await.unwrap();
        put(&store, "a", "1").await.unwrap();
        let refused = put(&store, "a", pattern(1, 100_000)).await;
        assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
        assert_eq!(get(&store, 1, "a").await, Ok(Some("1".into())));
    });
}

#[test]
fn what_was_put_in_a_full_message_can_be_moved_so_that_the_log_is_shortened() {
    tell(async {
        let server = narrow();
        let store = connect(config(&server)).await.kv().await.unwrap();
        // As much as is taken: in many entries, and in one.
        let full = |keys: u8, mut size: usize| {
            let store = &store;
            async move {
                let key = |n| Bytes::from(format!("{keys}-{n:03}"));
                loop {
                    let entries: BTreeMap<_, _> = (0..keys).map(|n| (key(n), pattern(n, size))).collect();
                    let all = Write::Put { entries, update_ts: 1_790_000_000_000, max_stored: u64::MAX };
                    match store.write(owner(1), all).await {
                        Err(StoreError::TooLarge { .. }) => size -= 1,
                        done => return done.map(|()| size),
                    }
                }
            }
        };
        let (many, one) = (full(128, 520).await.unwrap(), full(1, 65_500).await.unwrap());
        assert!(many > 480 && one > 64_900, "{many} {one}");
        for round in 0..200 {
            put(&store, "new", pattern(round, 30_000)).await.unwrap();
            store.write(owner(1), Write::Delete(["new"].into_iter().collect())).await.unwrap();
        }
        assert_eq!(get(&store, 1, "128-127").await, Ok(Some(pattern(127, many))));
        assert_eq!(get(&store, 1, "1-000").await, Ok(Some(pattern(0, one))));
        let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let state = context.get_stream("underpass-kv").await.unwrap().get_info().await.unwrap().state;
        assert!(state.messages < 150, "{} messages", state.messages);
    });
}

#[test]
fn a_store_that_the_server_has_lost_is_made_again_and_empty() {
    tell(async {
        let mut server = NatsServer::start();
        let make_again = Duration::from_millis(100);
        let store = StoreConfig { make_again, ..StoreConfig::default() };
        let nats = connect(Config { store, ..config(&server) }).await;
        let store = nats.kv().await.unwrap();
        put(&store, "a", "1").await.unwrap();
        server.kill();
        nats.storing().wait_for(|connected| !connected.there).await.unwrap();
        std::fs::remove_dir_all(server.file("store")).unwrap();
        server.start_again();
        while put(&store, "b", "2").await == Err(StoreError::Unavailable) {
            tokio::task::yield_now().await;
        }
        assert_eq!(get(&store, 1, "a").await, Ok(None));
        assert_eq!(get(&store, 1, "b").await, Ok(Some("2".into())));
    });
}

#[test]
fn a_store_whose_stream_somebody_deletes_goes_on_empty_though_the_server_was_never_away() {
    tell(async {
        let server = NatsServer::start();
        let store = StoreConfig { make_again: Duration::from_millis(100), ..StoreConfig::default() };
        let store = connect(Config { store, ..config(&server) }).await.kv().await.unwrap();
        let other = Owner { store: ActorStore { actor_id: "b".into(), ..owner(1).store }, generation: 1 };
        let put_other = || {
            let entries = [("a".into(), "1".into())].into();
            store.write(other.clone(), Write::Put { entries, update_ts: 7, max_stored: u64::MAX })
        };
        put(&store, "a", "1").await.unwrap();
        put_other().await.unwrap();
        let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        context.delete_stream("underpass-kv").await.unwrap();
        // It is missed by one of them, and the other hears nothing of that.
        while put_other().await == Err(StoreError::Unavailable) {
            tokio::task::yield_now().await;
        }
        put(&store, "b", "2").await.unwrap();
        assert_eq!(get(&store, 1, "a").await, Ok(None));
        assert_eq!(get(&store, 1, "b").await, Ok(Some("2".into())));
    });
}

#[test]
fn a_store_with_a_name_that_the_server_cannot_bear_is_refused_and_disturbs_no_other() {
    tell(async {
        let server = NatsServer::start();
        let nats = connect(config(&server)).await;
        let store = nats.kv().await.unwrap();
        let actor_id = "\u{e4}".repeat(1400).into();
        let long = Owner { store: ActorStore { actor_id, ..owner(1).store }, generation: 1 };
        let entries = [("a".into(), "1".into())].into();
        let write = Write::Put { entries, update_ts: 7, max_stored: u64::MAX };
        assert_eq!(store.write(long, write).await, Err(StoreError::Unavailable));
        put(&store, "a", "1").await.unwrap();
        assert_eq!(nats.storing().borrow().times_away, 0);
    });
}
