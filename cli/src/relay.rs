//! `underpass relay`: one relay of a fleet.

use serde_json::json;
use underpass_core::{relay, supervisor};
use underpass_transport_ws::runners::{Config, Runners};

use crate::counters::Asked;
use crate::error::Error;
use crate::generations::first_generation;
use crate::listen::bind;
use crate::options;
use crate::shutdown::Shutdown;
use crate::{Ended, announce, nats, tell, tokens};

/// Runs until it is asked to end.
pub(crate) async fn run(options: options::Relay) -> Result<Ended, Error> {
    let options::Relay { listen, token, bus } = options;
    tokens::check(token.as_deref())?;
    let mut shutdown = Shutdown::new()?;
    let asked = Asked::new()?;
    let (listener, address) = bind(&listen).await?;
    let starting = async {
        let nats = nats::connect(bus, "relay").await?;
        let (directory, store) = (nats.directory().await?, nats.kv().await?);
        let supervisor = supervisor::Config { first_generation: first_generation().await, ..Default::default() };
        let config = relay::Config { supervisor, ..relay::Config::default() };
        let config = Config { relay: config, token, ..Config::default() };
        let relay = Runners::start_with_store(config, nats.bus(), directory, store).await?;
        Ok::<_, Error>((nats, relay))
    };
    let (nats, relay) = tokio::select! {
        started = starting => started?,
        () = shutdown.wanted() => return Ok(Ended::Drained),
    };
    let serving = tokio::spawn({
        let relay = relay.clone();
        async move { relay.serve(listener).await }
    });
    tokio::spawn(asked.tell({
        let (relay, bus) = (relay.clone(), nats.bus());
        move || [json!({ "relay": relay.stats() }), json!({ "bus": bus.stats() })]
    }));
    announce(&format!("ready runners=ws://{address}"))?;
    shutdown.wanted().await;

    tell("finishing what is open; Ctrl-C ends at once");
    let drained = async {
        relay.drain().await;
        // A task that panicked has ended, too.
        let _ = serving.await;
        nats.bus().flush().await;
    };
    tokio::select! {
        () = drained => {
            tracing::info!(relay = ?relay.stats(), "drained");
            Ok(Ended::Drained)
        }
        () = shutdown.wanted() => Ok(Ended::AtOnce),
    }
}
