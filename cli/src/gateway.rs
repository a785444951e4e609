//! `underpass gateway`: one gateway of a fleet.

use serde_json::json;
use underpass_core::gateway;
use underpass_core::http::Admission;
use underpass_transport_nats::Nats;
use underpass_transport_ws::clients::{Clients, Config};

use crate::admin::{Health, Needs};
use crate::counters::Asked;
use crate::error::Error;
use crate::listen::Door;
use crate::metrics::of_nats;
use crate::seeing::Seeing;
use crate::shutdown::Shutdown;
use crate::tokens::Source;
use crate::{Ended, admin, announce, nats, options, reload, tls};

/// Runs until it is asked to end.
pub(crate) async fn run(options: options::Gateway) -> Result<Ended, Error> {
    let options::Gateway { listen, namespace, tls, process, bus } = options;
    let mut shutdown = Shutdown::new()?;
    let asked = Asked::new()?;
    let door = Door::open(&listen, tls::of_listener(&tls, None)?).await?;
    reload::keep_fresh(Source::default(), [&door])?;
    let health = Health::default();
    let seeing = Seeing::new(&process)?;
    let admin = admin::serve(process.admin.as_deref(), health.clone(), &seeing).await?;
    let names = [("gateway", door.url("http"))].into_iter().chain(admin);

    let starting = async {
        let connected = nats::connect(bus, "gateway").await?;
        let directory = connected.open(Nats::directory).await?;
        let standing = directory.standing();
        let config = Config {
            gateway: gateway::Config { drain_limit: process.drain_limit, ..gateway::Config::default() },
            admission: Admission { namespace: namespace.into(), ..Admission::default() },
            observers: seeing.gateway(),
            ..Config::default()
        };
        let gateway = Clients::start(config, connected.nats.bus(), directory).await?;
        Ok::<_, Error>((connected.nats, standing, gateway))
    };
    let (nats, standing, gateway) = tokio::select! {
        started = starting => started?,
        () = shutdown.wanted() => return Ok(Ended::Drained),
    };
    seeing.controls().has_gateway(&gateway);
    let mut serving = tokio::spawn(door.serve_clients(gateway.clone()));
    seeing.counts({
        let (gateway, nats, bus) = (gateway.clone(), nats.clone(), nats.bus());
        move || vec![json!({ "gateway": gateway.stats(), "bus": bus.stats(), "nats": of_nats(&nats) })]
    });
    tokio::spawn(asked.tell({
        let (gateway, bus) = (gateway.clone(), nats.bus());
        move || [json!({ "gateway": gateway.stats() }), json!({ "bus": bus.stats() })]
    }));
    health.serves(Needs::nats(&nats, standing));
    announce(names)?;

    tokio::select! {
        () = shutdown.wanted() => {}
        ended = &mut serving => return Err(Error::NotServing { what: "clients", panicked: ended.is_err() }),
    }
    health.drains();
    let drained = async {
        gateway.drain().await;
        // A task that panicked has ended, too.
        let _ = serving.await;
        nats::flush(&nats.bus()).await;
        tracing::info!(gateway = ?gateway.stats(), "drained");
    };
    Ok(shutdown.finish(nats::unless_away(&nats, drained)).await)
}
