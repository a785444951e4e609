//! `underpass gateway`: one gateway of a fleet.

use serde_json::json;
use underpass_core::http::Admission;
use underpass_transport_ws::clients::{Clients, Config};

use crate::counters::Asked;
use crate::error::Error;
use crate::listen::bind;
use crate::options;
use crate::shutdown::Shutdown;
use crate::{Ended, announce, nats, tell};

/// Runs until it is asked to end.
pub(crate) async fn run(options: options::Gateway) -> Result<Ended, Error> {
    let options::Gateway { listen, namespace, bus } = options;
    let mut shutdown = Shutdown::new()?;
    let asked = Asked::new()?;
    let (listener, address) = bind(&listen).await?;
    let starting = async {
        let nats = nats::connect(bus, "gateway").await?;
        let directory = nats.directory().await?;
        let admission = Admission { namespace: namespace.into(), ..Admission::default() };
        let config = Config { admission, ..Config::default() };
        let gateway = Clients::start(config, nats.bus(), directory).await?;
        Ok::<_, Error>((nats, gateway))
    };
    let (nats, gateway) = tokio::select! {
        started = starting => started?,
        () = shutdown.wanted() => return Ok(Ended::Drained),
    };
    let serving = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.serve(listener).await }
    });
    tokio::spawn(asked.tell({
        let (gateway, bus) = (gateway.clone(), nats.bus());
        move || [json!({ "gateway": gateway.stats() }), json!({ "bus": bus.stats() })]
    }));
    announce(&format!("ready gateway=http://{address}"))?;
    shutdown.wanted().await;

    tell("finishing what is open; Ctrl-C ends at once");
    let drained = async {
        gateway.drain().await;
        // A task that panicked has ended, too.
        let _ = serving.await;
        nats.bus().flush().await;
    };
    tokio::select! {
        () = drained => {
            tracing::info!(gateway = ?gateway.stats(), "drained");
            Ok(Ended::Drained)
        }
        () = shutdown.wanted() => Ok(Ended::AtOnce),
    }
}
