//! `underpass relay`: one relay of a fleet.

use serde_json::json;
use underpass_core::{relay, supervisor};
use underpass_transport_nats::Nats;
use underpass_transport_ws::runners::{Config, Runners};

use crate::admin::{Health, Needs};
use crate::counters::Asked;
use crate::error::Error;
use crate::generations::first_generation;
use crate::metrics::of_nats;
use crate::seeing::Seeing;
use crate::shutdown::Shutdown;
use crate::{Ended, admin, announce, guard, nats, options, reload};

/// Runs until it is asked to end.
pub(crate) async fn run(options: options::Relay) -> Result<Ended, Error> {
    let options::Relay { listen, guard, tls, process, bus } = options;
    let mut shutdown = Shutdown::new()?;
    let asked = Asked::new()?;
    let (door, tokens) = guard::open(&listen, guard, &tls).await?;
    reload::keep_fresh(tokens.clone(), [&door])?;
    let health = Health::default();
    let seeing = Seeing::new(&process)?;
    let admin = admin::serve(process.admin.as_deref(), health.clone(), &seeing).await?;
    let names = [("runners", door.url("ws"))].into_iter().chain(admin);

    let starting = async {
        let connected = nats::connect(bus, "relay").await?;
        let (directory, store) = (connected.open(Nats::directory).await?, connected.open(Nats::kv).await?);
        let standing = directory.standing();
        let first_generation = first_generation().await;
        let supervisor = supervisor::Config { first_generation, ..supervisor::Config::default() };
        let config = Config {
            relay: relay::Config { supervisor, drain_limit: process.drain_limit, ..relay::Config::default() },
            tokens: tokens.tokens(),
            observers: seeing.relay(),
            ..Config::default()
        };
        let relay = Runners::start_with_store(config, connected.nats.bus(), directory, store).await?;
        Ok::<_, Error>((connected.nats, standing, relay))
    };
    let (nats, standing, relay) = tokio::select! {
        started = starting => started?,
        () = shutdown.wanted() => return Ok(Ended::Drained),
    };
    seeing.controls().has_relay(&relay);
    let mut serving = tokio::spawn(door.serve_runners(relay.clone()));
    seeing.counts({
        let (relay, nats, bus) = (relay.clone(), nats.clone(), nats.bus());
        move || vec![json!({ "relay": relay.stats(), "bus": bus.stats(), "nats": of_nats(&nats) })]
    });
    tokio::spawn(asked.tell({
        let (relay, bus) = (relay.clone(), nats.bus());
        move || [json!({ "relay": relay.stats() }), json!({ "bus": bus.stats() })]
    }));
    health.serves(Needs::nats(&nats, standing));
    announce(names)?;

    tokio::select! {
        () = shutdown.wanted() => {}
        ended = &mut serving => return Err(Error::NotServing { what: "runners", panicked: ended.is_err() }),
    }
    health.drains();
    let drained = async {
        relay.drain().await;
        // A task that panicked has ended, too.
        let _ = serving.await;
        nats::flush(&nats.bus()).await;
        tracing::info!(relay = ?relay.stats(), "drained");
    };
    Ok(shutdown.finish(nats::unless_away(&nats, drained)).await)
}
