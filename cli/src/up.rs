//! `underpass up`: gateway, relay and one runner in one process.

use serde_json::json;
use underpass_core::directory::Pool;
use underpass_core::http::Admission;
use underpass_core::kv::KvStore;
use underpass_core::{relay, runner, supervisor};
use underpass_store_redb::RedbKv;
use underpass_transport_mem::{MemBus, MemDirectory, MemKv};
use underpass_transport_ws::clients::{self, Clients};
use underpass_transport_ws::runner as runner_end;
use underpass_transport_ws::runners::{self, Runners, Tokens};

use crate::counters::Asked;
use crate::error::Error;
use crate::generations::first_generation;
use crate::listen::{bind, reachable};
use crate::options::{Served, Up};
use crate::runner::{random_key, start};
use crate::shutdown::Shutdown;
use crate::{Ended, announce, tell, tokens};

/// Runs until it is asked to end.
pub(crate) async fn run(options: Up) -> Result<Ended, Error> {
    tokens::check(options.served.token.as_deref())?;
    let clock = first_generation().await;
    match &options.data {
        Some(directory) => {
            // It blocks, before there is anything that it could hold up.
            let store = RedbKv::open(directory, underpass_store_redb::Config::default())?;
            let first_generation = store.newest_generation().saturating_add(1).max(clock);
            serve(options, store, first_generation).await
        }
        None => serve(options, MemKv::new(), clock).await,
    }
}

/// Actors keep what they keep in a store, whose users were all of generations before the first one.
async fn serve(options: Up, store: impl KvStore, first_generation: u32) -> Result<Ended, Error> {
    let Up { listen, runners, data: _, served } = options;
    let Served { to, token, namespace } = served;
    let mut shutdown = Shutdown::new()?;
    let asked = Asked::new()?;
    let (for_clients, gateway_address) = bind(&listen).await?;
    let (for_runners, relay_address) = bind(&runners).await?;

    let bus = MemBus::new(underpass_transport_mem::Config::default())?;
    let directory = MemDirectory::new();
    let supervisor = supervisor::Config { first_generation, ..supervisor::Config::default() };
    let config = relay::Config { supervisor, ..relay::Config::default() };
    let tokens = token.as_ref().map_or(Ok(Tokens::none()), |token| Tokens::new([token]))?;
    let config = runners::Config { relay: config, tokens, ..runners::Config::default() };
    let relay = Runners::start_with_store(config, bus.clone(), directory.clone(), store).await?;
    let admission = Admission { namespace: namespace.clone().into(), ..Admission::default() };
    let config = clients::Config { admission, ..clients::Config::default() };
    let gateway = Clients::start(config, bus, directory).await?;
    let serving_runners = tokio::spawn({
        let relay = relay.clone();
        async move { relay.serve(for_runners).await }
    });
    let serving_clients = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.serve(for_clients).await }
    });

    let key = random_key();
    let relay_url = format!("ws://{}", reachable(relay_address));
    let config = runner::Config { namespace: namespace.into(), ..runner::Config::default() };
    let pool = Pool { namespace: config.namespace.clone(), name: config.name.clone() };
    let config = runner_end::Config {
        runner: config,
        relay_urls: vec![relay_url.clone()],
        key: Some(key.clone()),
        token,
        ..runner_end::Config::default()
    };
    let runner = start(config, to)?;
    tokio::spawn(asked.tell({
        let (gateway, relay, runner) = (gateway.clone(), relay.clone(), runner.clone());
        move || {
            [
                json!({ "gateway": gateway.stats() }),
                json!({ "relay": relay.stats() }),
                json!({ "runner": runner.stats() }),
            ]
        }
    }));

    let stopped = |reason| Error::stopped(reason, &relay_url, &key);
    tokio::select! {
        () = gateway.runner_ready(&pool) => {
            announce(&format!("ready gateway=http://{gateway_address} runners=ws://{relay_address}"))?;
            tokio::select! {
                reason = runner.stopped() => return Err(stopped(reason)),
                () = shutdown.wanted() => {}
            }
        }
        reason = runner.stopped() => return Err(stopped(reason)),
        () = shutdown.wanted() => {}
    }

    tell("finishing what is open; Ctrl-C ends at once");
    let drained = async {
        gateway.drain().await;
        runner.drain().await;
        relay.drain().await;
        // A task that panicked has ended, too.
        let _ = tokio::join!(serving_clients, serving_runners);
    };
    tokio::select! {
        () = drained => {
            tracing::info!(gateway = ?gateway.stats(), relay = ?relay.stats(), "drained");
            Ok(Ended::Drained)
        }
        () = shutdown.wanted() => Ok(Ended::AtOnce),
    }
}
