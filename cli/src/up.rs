//! `underpass up`: gateway, relay and one runner in one process.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::net::TcpListener;
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
use crate::options::{Shared, Up};
use crate::runner::{random_key, start};
use crate::shutdown::Shutdown;
use crate::{Ended, announce, tell};

/// Runs until it is asked to end.
pub(crate) async fn run(options: Up) -> Result<Ended, Error> {
    options.shared.check()?;
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

/// The directory knows nothing of an earlier run, but runners may still have actors that it started. Counted in
/// quarters of a second since the beginning of 2026, none of them is taken for one of this run, as long as no actor has
/// started more often than four times a second. It lasts until 2060. The quarter is waited for to end, so that no other
/// run has it.
async fn first_generation() -> u32 {
    const BEGINNING: Duration = Duration::from_secs(1_767_225_600);
    const QUARTER: u128 = 250;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + BEGINNING).unwrap_or_default().as_millis();
    let left = u64::try_from(QUARTER - since % QUARTER).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(left)).await;
    u32::try_from(since / QUARTER).unwrap_or(u32::MAX).max(1)
}

/// Actors keep what they keep in a store, whose users were all of generations before the first one.
async fn serve(options: Up, store: impl KvStore, first_generation: u32) -> Result<Ended, Error> {
    let Up { listen, runners, data: _, shared } = options;
    let Shared { to, token, namespace } = shared;
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

async fn bind(address: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let listening = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listening.await.map_err(|source| Error::Listen { address: address.to_owned(), source })
}

/// Where this process reaches what listens there: "any address" is none to dial.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_is_dialled_as_this_host() {
        for (listening, dialled) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(reachable(listening.parse().unwrap()), dialled.parse().unwrap());
        }
    }
}
