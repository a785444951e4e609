//! `underpass up`: gateway, relay and one runner in one process.

use serde_json::json;
use tokio::task::JoinSet;
use underpass_core::directory::Pool;
use underpass_core::http::Admission;
use underpass_core::kv::KvStore;
use underpass_core::{gateway, relay, runner, supervisor};
use underpass_store_redb::RedbKv;
use underpass_transport_mem::{MemBus, MemDirectory, MemKv};
use underpass_transport_ws::clients::{self, Clients};
use underpass_transport_ws::runner as runner_end;
use underpass_transport_ws::runners::{self, Runners};

use crate::admin::{Health, Needs};
use crate::counters::Asked;
use crate::error::Error;
use crate::generations::first_generation;
use crate::listen::{Door, reachable};
use crate::metrics::of_memory_bus;
use crate::options::{Served, Up};
use crate::runner::{random_key, start};
use crate::seeing::Seeing;
use crate::shutdown::Shutdown;
use crate::tokens::Source;
use crate::{Ended, admin, announce, guard, reload, tls};

/// Runs until it is asked to end.
pub(crate) async fn run(options: Up) -> Result<Ended, Error> {
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
    let Up { listen, runners, data: _, guard, tls, process, served } = options;
    let Served { to, namespace } = served;
    let drain_limit = process.drain_limit;
    let mut shutdown = Shutdown::new()?;
    let asked = Asked::new()?;
    let for_clients = Door::open(&listen, tls::of_listener(&tls, None)?).await?;
    let (for_runners, mut tokens) = guard::open(&runners, guard, &tls).await?;
    let inside = Inside::open(&for_runners, &mut tokens).await?;
    // Without files, SIGHUP means what it always means: the terminal has gone, and the program with it.
    if tokens.can_change() || for_clients.tls().is_some() || for_runners.tls().is_some() {
        reload::keep_fresh(tokens.clone(), [&for_clients, &for_runners])?;
    }
    let health = Health::default();
    let seeing = Seeing::new(&process)?;
    let admin = admin::serve(process.admin.as_deref(), health.clone(), &seeing).await?;
    let names = [("gateway", for_clients.url("http")), ("runners", for_runners.url("ws"))].into_iter().chain(admin);

    let bus = MemBus::new(underpass_transport_mem::Config::default())?;
    let directory = MemDirectory::new();
    let supervisor = supervisor::Config { first_generation, ..supervisor::Config::default() };
    let config = relay::Config { supervisor, drain_limit, ..relay::Config::default() };
    let config = runners::Config {
        relay: config,
        tokens: tokens.tokens(),
        observers: seeing.relay(),
        ..runners::Config::default()
    };
    let relay = Runners::start_with_store(config, bus.clone(), directory.clone(), store).await?;
    let config = clients::Config {
        gateway: gateway::Config { drain_limit, ..gateway::Config::default() },
        admission: Admission { namespace: namespace.clone().into(), ..Admission::default() },
        observers: seeing.gateway(),
        ..clients::Config::default()
    };
    let gateway = Clients::start(config, bus.clone(), directory).await?;
    seeing.controls().has_gateway(&gateway);
    seeing.controls().has_relay(&relay);
    let mut serving = JoinSet::new();
    serving.spawn(for_clients.serve_clients(gateway.clone()));
    serving.spawn(for_runners.serve_runners(relay.clone()));
    if let Some(door) = inside.door {
        serving.spawn(door.serve_runners(relay.clone()));
    }

    let key = random_key();
    let config = runner::Config { namespace: namespace.into(), drain_limit, ..runner::Config::default() };
    let pool = Pool { namespace: config.namespace.clone(), name: config.name.clone() };
    let config = runner_end::Config {
        runner: config,
        relay_urls: vec![inside.url.clone()],
        key: Some(key.clone()),
        token: inside.token,
        observers: seeing.runner(),
        ..runner_end::Config::default()
    };
    let runner = start(config, to)?;
    seeing.counts({
        let (gateway, relay, runner) = (gateway.clone(), relay.clone(), runner.clone());
        move || {
            vec![json!({
                "gateway": gateway.stats(),
                "relay": relay.stats(),
                "runner": runner.stats(),
                "memory_bus": of_memory_bus(&bus),
            })]
        }
    });
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

    let stopped = |reason| Error::stopped(reason, &inside.url, &key);
    tokio::select! {
        () = gateway.runner_ready(&pool) => {
            health.serves(Needs::Nothing);
            announce(names)?;
            tokio::select! {
                reason = runner.stopped() => return Err(stopped(reason)),
                () = shutdown.wanted() => {}
            }
        }
        reason = runner.stopped() => return Err(stopped(reason)),
        () = shutdown.wanted() => {}
    }

    health.drains();
    let drained = async {
        gateway.drain().await;
        runner.drain().await;
        relay.drain().await;
        // A task that panicked has ended, too.
        while serving.join_next().await.is_some() {}
        tracing::info!(gateway = ?gateway.stats(), relay = ?relay.stats(), "drained");
        Ended::Drained
    };
    Ok(shutdown.finish(drained).await)
}

/// How the runner of this program comes in, whatever is asked of others.
struct Inside {
    url: String,
    /// Others may be taken away while the program runs.
    token: Option<String>,
    /// The certificate of the other door may be for any name, so there is one without TLS for this host alone.
    door: Option<Door>,
}

impl Inside {
    async fn open(for_runners: &Door, tokens: &mut Source) -> Result<Self, Error> {
        let token = tokens.is_wanted().then(random_key);
        if let Some(token) = &token {
            tokens.add(token.clone())?;
        }
        Ok(match for_runners.tls() {
            Some(_) => {
                let door = Door::open("127.0.0.1:0", None).await?;
                Inside { url: door.url("ws"), token, door: Some(door) }
            }
            None => Inside { url: format!("ws://{}", reachable(for_runners.address())), token, door: None },
        })
    }
}
