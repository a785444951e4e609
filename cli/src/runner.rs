//! `underpass runner`: one more runner.

use std::sync::Arc;

use serde_json::json;
use underpass_core::runner;
use underpass_transport_ws::runner::{Config, Runner, StartError};
use uuid::Uuid;

use crate::admin::{Health, Needs};
use crate::counters::Asked;
use crate::demo::{self, EchoWebSocket};
use crate::error::Error;
use crate::proxy::{HttpProxy, WebSocketProxy};
use crate::seeing::Seeing;
use crate::shutdown::Shutdown;
use crate::url::Target;
use crate::{Ended, admin, announce, options, tls, tokens};

/// Runs until it is asked to end, or the relay wants it no more.
pub(crate) async fn run(options: options::Runner) -> Result<Ended, Error> {
    let token = tokens::brought(options.token, options.token_file)?;
    let mut shutdown = Shutdown::new()?;
    let asked = Asked::new()?;
    let health = Health::default();
    let seeing = Seeing::new(&options.process)?;
    let admin = admin::serve(options.process.admin.as_deref(), health.clone(), &seeing).await?;
    let relay_urls: Vec<String> = options.relay.iter().map(ToString::to_string).collect();
    let relay = relay_urls.join(",");
    let key = options.key.unwrap_or_else(random_key);
    let config = Config {
        runner: runner::Config {
            namespace: options.served.namespace.into(),
            name: options.name.into(),
            relay_silent: options.silence,
            drain_limit: options.process.drain_limit,
            ..runner::Config::default()
        },
        relay_urls,
        key: Some(key.clone()),
        token,
        observers: seeing.runner(),
        tls: tls::of_runner(options.ca, options.tls_cert.zip(options.tls_key)),
        ..Config::default()
    };
    let runner = start(config, options.served.to)?;
    seeing.counts({
        let runner = runner.clone();
        move || vec![json!({ "runner": runner.stats() })]
    });
    tokio::spawn(asked.tell({
        let runner = runner.clone();
        move || [json!({ "runner": runner.stats() })]
    }));
    let stopped = |reason| Error::stopped(reason, &relay, &key);
    tokio::select! {
        ready = runner.ready() => {
            ready.map_err(stopped)?;
            health.serves(Needs::Relay(runner.clone()));
            announce([("runner", key.clone()), ("relay", relay.clone())].into_iter().chain(admin))?;
            tokio::select! {
                reason = runner.stopped() => return Err(stopped(reason)),
                () = shutdown.wanted() => {}
            }
        }
        () = shutdown.wanted() => {}
    }
    health.drains();
    Ok(shutdown
        .finish(async {
            runner.drain().await;
            Ended::Drained
        })
        .await)
}

/// Starts a runner that passes requests on to a target, or serves the demo.
pub(crate) fn start(config: Config, to: Option<Target>) -> Result<Runner, StartError> {
    match to.map(Arc::new) {
        Some(target) => Runner::start(config, HttpProxy::new(target.clone()), WebSocketProxy::new(target)),
        None => Runner::start(config, demo::router(), EchoWebSocket),
    }
}

/// A key that no other runner has.
pub(crate) fn random_key() -> String {
    Uuid::new_v4().to_string()
}
