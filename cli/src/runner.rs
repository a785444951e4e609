//! `underpass runner`: one more runner.

use std::sync::Arc;

use serde_json::json;
use underpass_core::runner;
use underpass_transport_ws::runner::{Config, Runner, StartError};
use uuid::Uuid;

use crate::counters::Asked;
use crate::demo::{self, EchoWebSocket};
use crate::error::Error;
use crate::options;
use crate::proxy::{HttpProxy, WebSocketProxy};
use crate::shutdown::Shutdown;
use crate::url::Target;
use crate::{Ended, announce, tell, tokens};

/// Runs until it is asked to end, or the relay wants it no more.
pub(crate) async fn run(options: options::Runner) -> Result<Ended, Error> {
    tokens::check(options.served.token.as_deref())?;
    let mut shutdown = Shutdown::new()?;
    let asked = Asked::new()?;
    let relay_urls: Vec<String> = options.relay.iter().map(ToString::to_string).collect();
    let relay = relay_urls.join(",");
    let key = options.key.unwrap_or_else(random_key);
    let config = Config {
        runner: runner::Config {
            namespace: options.served.namespace.into(),
            name: options.name.into(),
            relay_silent: options.silence,
            ..runner::Config::default()
        },
        relay_urls,
        key: Some(key.clone()),
        token: options.served.token,
        ..Config::default()
    };
    let runner = start(config, options.served.to)?;
    tokio::spawn(asked.tell({
        let runner = runner.clone();
        move || [json!({ "runner": runner.stats() })]
    }));
    let stopped = |reason| Error::stopped(reason, &relay, &key);
    tokio::select! {
        ready = runner.ready() => {
            ready.map_err(stopped)?;
            announce(&format!("ready runner={key} relay={relay}"))?;
            tokio::select! {
                reason = runner.stopped() => return Err(stopped(reason)),
                () = shutdown.wanted() => {}
            }
        }
        () = shutdown.wanted() => {}
    }
    tell("finishing what is open; Ctrl-C ends at once");
    tokio::select! {
        _ = runner.drain() => Ok(Ended::Drained),
        () = shutdown.wanted() => Ok(Ended::AtOnce),
    }
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
