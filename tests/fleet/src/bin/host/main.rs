//! A runner as a process of its own: one that keeps nothing, and one with actors that count, side by side.
//!
//! When relays have taken both in it says so: `ready host=NUMBER`. SIGTERM drains them, SIGUSR1 has it tell their
//! counters.

mod actors;
mod work;

use std::error::Error;
use std::io;
use std::sync::Arc;

use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use underpass_core::runner::Config as Machine;
use underpass_fleet::note::Notebook;
use underpass_fleet::{COUNTERS, WORK};
use underpass_transport_ws::runner::{Config, Runner};

use crate::actors::Counters;
use crate::work::{Echo, Work};

/// More actors than there are.
const SLOTS: u32 = 1_000;

/// Runs a runner that keeps nothing, and one with actors that count
#[derive(Parser)]
struct Options {
    /// Which runner it is
    #[arg(long)]
    number: usize,
    /// Where relays listen
    #[arg(long, required = true)]
    relay: Vec<String>,
    /// Where notes go
    #[arg(long)]
    notes: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { number, relay, notes } = Options::parse();
    tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(EnvFilter::from_default_env()).init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut counters = signal(SignalKind::user_defined1())?;
    let notebook = Arc::new(Notebook::open(&notes, number)?);
    let config = |pool: &'static str, total_slots| Config {
        runner: Machine { name: pool.into(), total_slots, ..Machine::default() },
        relay_urls: relay.clone(),
        key: Some(format!("host-{number}")),
        ..Config::default()
    };
    let work = Runner::start(config(WORK, 1), Work(notebook.clone()), Echo(notebook.clone()))?;
    let actors = Runner::host(config(COUNTERS, SLOTS), Counters(notebook))?;
    let ready = async {
        work.ready().await.and(actors.ready().await).map_err(|reason| format!("{reason:?}"))?;
        println!("ready host={number}");
        std::future::pending::<Result<(), Box<dyn Error>>>().await
    };
    let tell = async {
        while counters.recv().await.is_some() {
            eprintln!("{}", json!({ "work": work.stats(), "actors": actors.stats() }));
        }
    };
    tokio::select! {
        failed = ready => failed?,
        reason = work.stopped() => return Err(format!("{WORK}: {reason:?}").into()),
        reason = actors.stopped() => return Err(format!("{COUNTERS}: {reason:?}").into()),
        () = tell => {}
        _ = terminate.recv() => {}
    }
    tokio::join!(work.drain(), actors.drain());
    Ok(())
}
