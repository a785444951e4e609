//! Records, when the server or who keeps them alive is away.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use underpass_core::directory::{
    ActorChange, ActorKey, ActorRecord, ChangeOutcome, Directory, HibernatingSocket, Pool, RegistryChange, Watch,
};
use underpass_core::protocol::{GatewayId, RequestId};
use underpass_nats_server::NatsServer;
use underpass_transport_nats::{Config, Standing, StoreConfig};

use crate::given::{config, connect, tell};

fn actor(actor_id: &'static str) -> ActorKey {
    ActorKey { pool: Pool { namespace: "default".into(), name: "default".into() }, actor_id: actor_id.into() }
}

fn wanted(actor_id: &'static str) -> ActorChange {
    ActorChange { key: actor(actor_id), expected: None, record: ActorRecord::wanted(None, 7) }
}

#[test]
fn all_who_start_at_once_have_the_buckets_that_one_of_them_makes() {
    tell(async {
        for _ in 0..5 {
            let server = NatsServer::start();
            let clients = join_all((0..8).map(|_| connect(config(&server)))).await;
            let directories = join_all(clients.iter().map(|nats| nats.directory())).await;
            for (number, directory) in (1..).zip(directories) {
                assert_eq!(directory.unwrap().claim_gateway(GatewayId([number; 4])).await, Ok(true));
            }
        }
    });
}

#[test]
fn while_the_server_is_away_nothing_is_known_and_what_it_has_stored_is_there_again() {
    tell(async {
        let mut server = NatsServer::start();
        let nats = connect(config(&server)).await;
        let directory = nats.directory().await.unwrap();
        let ChangeOutcome::Stored(revision) = directory.change_actor(wanted("a")).await else { panic!() };
        let (_, mut watch) = directory.watch_actors().await.unwrap();
        server.kill();
        watch.changed(&mut Vec::new()).await.unwrap_err();
        assert_eq!(directory.change_actor(wanted("b")).await, ChangeOutcome::Unavailable);
        directory.watch_actors().await.unwrap_err();
        directory.claim_gateway(GatewayId([1; 4])).await.unwrap_err();
        directory.registered(actor("a")).await.unwrap_err();
        server.start_again();
        let there = loop {
            if let Ok((there, _)) = directory.watch_actors().await {
                break there;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(there.len(), 1);
        assert_eq!(there[0].record.as_ref().map(|there| there.revision), Some(revision));
        assert!(matches!(directory.change_actor(wanted("b")).await, ChangeOutcome::Stored(_)));
    });
}

#[test]
fn a_claim_lasts_as_long_as_its_process_and_goes_when_nobody_keeps_it() {
    tell(async {
        let server = NatsServer::start();
        let store = StoreConfig { gateway_age: Duration::from_secs(1), ..StoreConfig::default() };
        let config = Config { store, ..config(&server) };
        let ours = connect(config.clone()).await.directory().await.unwrap();
        let theirs = connect(config).await.directory().await.unwrap();
        let enter = |gateway: u8| {
            RegistryChange::Enter(HibernatingSocket {
                actor: actor("a"),
                gateway_id: GatewayId([gateway; 4]),
                request_id: RequestId([gateway; 4]),
            })
        };
        assert_eq!(ours.claim_gateway(GatewayId([1; 4])).await, Ok(true));
        ours.change_registry(enter(1)).await.unwrap();
        // One after the other goes away; the first stays.
        for gateway in [2, 3] {
            let gone = {
                let nats = connect(Config {
                    store: StoreConfig { gateway_age: Duration::from_secs(1), ..StoreConfig::default() },
                    ..crate::given::config(&server)
                });
                nats.await.directory().await.unwrap()
            };
            assert_eq!(gone.claim_gateway(GatewayId([gateway; 4])).await, Ok(true));
            gone.change_registry(enter(gateway)).await.unwrap();
            assert_eq!(theirs.registered(actor("a")).await.unwrap().len(), 2);
            drop(gone);
            while theirs.registered(actor("a")).await.unwrap().len() == 2 {}
            assert_eq!(theirs.claim_gateway(GatewayId([gateway; 4])).await, Ok(true));
            assert_eq!(theirs.claim_gateway(GatewayId([1; 4])).await, Ok(false));
            theirs.release_gateway(GatewayId([gateway; 4])).await.unwrap();
        }
        assert_eq!(theirs.registered(actor("a")).await.unwrap().len(), 1);
    });
}

fn entered(gateway: GatewayId) -> RegistryChange {
    let request_id = RequestId([7; 4]);
    RegistryChange::Enter(HibernatingSocket { actor: actor("a"), gateway_id: gateway, request_id })
}

#[test]
fn a_claim_that_was_renewed_without_an_answer_is_still_ours_to_renew_and_to_give_back() {
    tell(async {
        let server = NatsServer::start();
        let gateway_age = Duration::from_secs(3);
        let store = StoreConfig { gateway_age, answer: Duration::from_millis(300), ..StoreConfig::default() };
        let config = Config { store, ..config(&server) };
        let ours = connect(config.clone()).await.directory().await.unwrap();
        let theirs = connect(config).await.directory().await.unwrap();
        let ids = [GatewayId([1; 4]), GatewayId([2; 4])];
        for id in ids {
            assert_eq!(ours.claim_gateway(id).await, Ok(true));
        }
        server.freeze();
        for id in ids {
            ours.change_registry(RegistryChange::KeepAlive(id)).await.unwrap_err();
        }
        server.thaw();
        // One may have to wait until the server has its breath back.
        while ours.release_gateway(ids[1]).await.is_err() {}
        assert_eq!(theirs.claim_gateway(ids[1]).await, Ok(true));
        let began = Instant::now();
        while began.elapsed() < 2 * gateway_age {
            assert_eq!(ours.change_registry(RegistryChange::KeepAlive(ids[0])).await, Ok(()));
            assert_eq!(theirs.claim_gateway(ids[0]).await, Ok(false), "after {:?}", began.elapsed());
            assert_eq!(*ours.standing().borrow(), Standing::Kept);
        }
    });
}

#[test]
fn a_gateway_whose_id_another_has_got_is_told_so_until_the_other_goes() {
    tell(async {
        let server = NatsServer::start();
        let store = StoreConfig { gateway_age: Duration::from_secs(1), ..StoreConfig::default() };
        let config = Config { store, ..config(&server) };
        let ours = connect(config).await.directory().await.unwrap();
        let id = GatewayId([1; 4]);
        assert_eq!(ours.claim_gateway(id).await, Ok(true));
        let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let record = format!("$KV.underpass-gateways.{id}");
        context.publish(record, "another's".into()).await.unwrap().await.unwrap();
        let mut standing = ours.standing();
        standing.wait_for(|standing| *standing == Standing::Taken).await.unwrap();
        ours.change_registry(RegistryChange::KeepAlive(id)).await.unwrap_err();
        // Nobody keeps the other's.
        standing.wait_for(|standing| *standing == Standing::Kept).await.unwrap();
        assert_eq!(ours.change_registry(RegistryChange::KeepAlive(id)).await, Ok(()));
    });
}

#[test]
fn what_a_server_has_lost_is_made_again_with_all_that_was_claimed_and_entered() {
    tell(async {
        let mut server = NatsServer::start();
        let store = StoreConfig { make_again: Duration::from_millis(100), ..StoreConfig::default() };
        let config = Config { store, ..config(&server) };
        let (ours, theirs) = (connect(config.clone()).await, connect(config).await);
        let (ours, theirs) = (ours.directory().await.unwrap(), theirs.directory().await.unwrap());
        let ids = [GatewayId([1; 4]), GatewayId([2; 4])];
        for (directory, id) in [(&ours, ids[0]), (&theirs, ids[1])] {
            assert_eq!(directory.claim_gateway(id).await, Ok(true));
            directory.change_registry(entered(id)).await.unwrap();
        }
        server.kill();
        std::fs::remove_dir_all(server.file("store")).unwrap();
        server.start_again();
        // Whoever makes them, each writes its own.
        for directory in [&ours, &theirs] {
            while directory.registered(actor("a")).await.map_or(0, |there| there.len()) < 2 {
                tokio::task::yield_now().await;
            }
            let mut standing = directory.standing();
            standing.wait_for(|standing| *standing == Standing::Kept).await.unwrap();
            assert_eq!(directory.claim_gateway(ids[0]).await, Ok(false));
            assert_eq!(directory.claim_gateway(ids[1]).await, Ok(false));
        }
        assert!(matches!(ours.change_actor(wanted("b")).await, ChangeOutcome::Stored(_)));
    });
}

#[test]
fn a_bucket_that_somebody_deletes_is_made_again_when_it_is_missed() {
    tell(async {
        let server = NatsServer::start();
        let store = StoreConfig { make_again: Duration::from_millis(100), ..StoreConfig::default() };
        let ours = connect(Config { store, ..config(&server) }).await.directory().await.unwrap();
        assert!(matches!(ours.change_actor(wanted("a")).await, ChangeOutcome::Stored(_)));
        let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        context.delete_stream("KV_underpass-actors").await.unwrap();
        while ours.change_actor(wanted("a")).await == ChangeOutcome::Unavailable {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_record_with_a_name_that_the_server_cannot_bear_is_not_asked_for_and_disturbs_no_other() {
    tell(async {
        let server = NatsServer::start();
        let nats = connect(config(&server)).await;
        let directory = nats.directory().await.unwrap();
        for actor_id in ["a".repeat(4096), "\u{e4}".repeat(1400)] {
            let key = ActorKey { actor_id: actor_id.into(), ..actor("a") };
            let change = ActorChange { key, ..wanted("a") };
            assert_eq!(directory.change_actor(change).await, ChangeOutcome::Unavailable);
        }
        assert!(matches!(directory.change_actor(wanted("b")).await, ChangeOutcome::Stored(_)));
        assert_eq!(nats.storing().borrow().times_away, 0);
    });
}
