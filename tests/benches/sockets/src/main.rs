//! What Underpass costs over sockets, all on this machine: the same handler served by hyper and tokio-tungstenite,
//! behind `underpass up` in a runner of its own, and behind other tunnels; same load, same run, in turn.
//!
//! It prints tables in Markdown. `tests/benches/sockets/run` builds and installs what it needs, and runs it.

mod contestants;
mod handler;
mod idle;
mod load;
mod peers;
mod row;
mod runner;
mod serve;
mod tables;
mod work;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use underpass_processes::process::beside;

use contestants::{Contestant, UNDERPASS};
use peers::{Delay, Peers};
use row::Row;
use work::Work;

/// Measures Underpass over sockets
#[derive(Debug, Parser)]
#[command(about)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    measured: Measured,
}

#[derive(Debug, clap::Args)]
struct Measured {
    /// For how many seconds each cell is measured
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// How often each cell is measured; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only rows whose name contains one of these; `idle` and `published` name the last two tables
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Only Underpass, and the handler without it
    #[arg(long)]
    alone: bool,
    /// The program; it is beside this one if it is not said
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the other tunnels are installed
    #[arg(long, value_name = "DIR", default_value = "target/peers")]
    peers: PathBuf,
    /// Where the published runner is installed, and the scripts that use it
    #[arg(long, value_name = "DIR", default_value = "target/typescript/2.2.1")]
    scripts: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serves the handler without a tunnel.
    #[command(hide = true)]
    Serve,
    /// Serves the handler in a runner.
    #[command(hide = true)]
    Runner {
        #[arg(long)]
        relay: String,
    },
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    match options.role {
        Some(Role::Serve) => runtime(true)?.block_on(serve::run()),
        Some(Role::Runner { relay }) => runtime(true)?.block_on(runner::run(relay)),
        None => runtime(false)?.block_on(until_told(measure(options.measured))),
    }
}

/// The load generator has one thread; what is measured has as many as there are cores.
fn runtime(many: bool) -> io::Result<tokio::runtime::Runtime> {
    use tokio::runtime::Builder;
    if many { Builder::new_multi_thread() } else { Builder::new_current_thread() }.enable_all().build()
}

/// Nothing is left behind, however it ends.
async fn until_told(measuring: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        measured = measuring => measured,
        _ = interrupt.recv() => Err(io::ErrorKind::Interrupted.into()),
        _ = terminate.recv() => Err(io::ErrorKind::Interrupted.into()),
    }
}

async fn measure(measured: Measured) -> io::Result<()> {
    let program = measured.program.clone().map_or_else(|| beside("underpass"), Ok)?;
    let peers = if measured.alone { None } else { Some(Peers::new(measured.peers.clone())?) };
    let rows = rows(&measured, &program, peers.as_ref()).await?;
    if !rows.is_empty() {
        tables::preface(measured.rounds, measured.seconds);
        tables::goals(&rows);
        println!();
        tables::all(&rows);
    }
    if measured.wants("idle") {
        println!();
        tables::idle(&idle(&program, peers.as_ref()).await?);
    }
    if measured.wants("published") {
        println!();
        published(&measured, &program).await?;
    }
    Ok(())
}

impl Measured {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only))
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

async fn rows(measured: &Measured, program: &Path, peers: Option<&Peers>) -> io::Result<Vec<Row>> {
    let works: Vec<_> = Work::ALL.into_iter().filter(|work| measured.wants(&work.to_string())).collect();
    if works.is_empty() {
        return Ok(Vec::new());
    }
    let direct = Contestant::direct().await?.answering().await?;
    let ours = [Contestant::underpass(program).await?, Contestant::passing_on(program, &direct).await?];
    let (mut others, mut stalling) = (Vec::new(), Vec::new());
    if let Some(peers) = peers {
        others.extend(there(peers.nginx(&direct).await));
        others.extend(there(peers.rathole(&direct, Delay::Never).await));
        others.extend(there(peers.bore(&direct, Delay::Never).await));
        stalling.extend(there(peers.rathole(&direct, Delay::AsItComes).await));
        stalling.extend(there(peers.bore(&direct, Delay::AsItComes).await));
    }
    let mut rows = Vec::new();
    for work in works {
        eprintln!("{work}");
        let ours = ours.iter().filter(|ours| ours.name == UNDERPASS || work.is_passed_on());
        let others = others.iter().filter(|_| work.goal().is_some());
        let stalling = stalling.iter().filter(|_| work.stalls());
        let contestants: Vec<_> = [&direct].into_iter().chain(ours).chain(others).chain(stalling).collect();
        rows.push(Row::measure(work, &contestants, measured.rounds, measured.duration()).await?);
    }
    Ok(rows)
}

/// One that is not installed is left out.
fn there(contestant: io::Result<Contestant>) -> Option<Contestant> {
    contestant.inspect_err(|error| eprintln!("left out: {error}")).ok()
}

async fn idle(program: &Path, peers: Option<&Peers>) -> io::Result<Vec<idle::Idle>> {
    eprintln!("idle WebSockets");
    let direct = Contestant::direct().await?.answering().await?;
    let mut idle = idle::measure(&direct).await?;
    idle.extend(idle::measure(&Contestant::underpass(program).await?).await?);
    if let Some(peers) = peers {
        for other in [
            peers.nginx(&direct).await,
            peers.rathole(&direct, Delay::Never).await,
            peers.bore(&direct, Delay::Never).await,
        ] {
            if let Some(other) = there(other) {
                idle.extend(idle::measure(&other).await?);
            }
        }
    }
    Ok(idle)
}

async fn published(measured: &Measured, program: &Path) -> io::Result<()> {
    eprintln!("the published runner");
    let node = Contestant::node(&measured.scripts).await?.answering().await?;
    let published = Contestant::published(program, &measured.scripts).await?;
    let work = Work::Get { connections: 16 };
    let (mut beside, mut cells) = (Vec::new(), Vec::new());
    for _ in 0..measured.rounds {
        beside.push(work.measure(&node, measured.duration()).await?.rate);
        cells.push(work.measure(&published, measured.duration()).await?.rate);
    }
    let share = row::median(cells.iter().zip(&beside).map(|(ours, node)| ours / node));
    tables::published(row::median(beside.into_iter()), row::median(cells.into_iter()), share);
    Ok(())
}
