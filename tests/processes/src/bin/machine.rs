//! A gateway or a relay as a process of its own, on a hub.
//!
//! When it serves it says so: `ready listens=127.0.0.1:PORT`. SIGUSR1 has it tell its counters, as `underpass up` does.

use std::error::Error;
use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use underpass_core::{gateway, relay};
use underpass_processes::hub::{HubBus, HubDirectory};
use underpass_transport_ws::clients::{self, Clients};
use underpass_transport_ws::runners::{self, Runners};

/// Runs a gateway or a relay
#[derive(Parser)]
struct Options {
    /// Which of them
    machine: Machine,
    /// Where the hub listens
    #[arg(long)]
    hub: SocketAddr,
    /// By what all deadlines are divided
    #[arg(long, default_value_t = 1)]
    pace: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Machine {
    Gateway,
    Relay,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { machine, hub, pace } = Options::parse();
    let (bus, directory) = (HubBus::dial(hub).await?, HubDirectory::at(hub));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let ready = format!("ready listens={}", listener.local_addr()?);
    match machine {
        Machine::Gateway => {
            let config = clients::Config { gateway: gateway_config(pace), ..clients::Config::default() };
            let gateway = Clients::start(config, bus, directory).await?;
            println!("{ready}");
            tokio::select! {
                () = gateway.serve(listener) => {}
                told = tell(|| json!({ "gateway": gateway.stats() })) => told?,
            }
        }
        Machine::Relay => {
            let config = runners::Config { relay: relay_config(pace), ..runners::Config::default() };
            let relay = Runners::start(config, bus, directory).await?;
            println!("{ready}");
            tokio::select! {
                () = relay.serve(listener) => {}
                told = tell(|| json!({ "relay": relay.stats() })) => told?,
            }
        }
    }
    Ok(())
}

/// Tells the counters to whoever asks.
async fn tell(counters: impl Fn() -> Value) -> std::io::Result<()> {
    let mut asked = signal(SignalKind::user_defined1())?;
    while asked.recv().await.is_some() {
        eprintln!("{}", counters());
    }
    Ok(())
}

fn gateway_config(pace: u32) -> gateway::Config {
    let mut config = gateway::Config::default();
    for time in [
        &mut config.response_start,
        &mut config.websocket_open,
        &mut config.websocket_close,
        &mut config.actor_start,
        &mut config.grace,
        &mut config.try_again,
        &mut config.ping_interval,
        &mut config.pong,
        &mut config.runner_unseen,
        &mut config.abort_again,
        &mut config.abort_give_up,
    ] {
        *time /= pace;
    }
    config
}

fn relay_config(pace: u32) -> relay::Config {
    let mut config = relay::Config::default();
    for time in [
        &mut config.init,
        &mut config.ping_interval,
        &mut config.pong,
        &mut config.directory_retry,
        &mut config.refresh,
        &mut config.gateway_silent,
        &mut config.abort_again,
        &mut config.abort_give_up,
        &mut config.tombstone,
    ] {
        *time /= pace;
    }
    config
}
