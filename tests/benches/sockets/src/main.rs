//! What Underpass costs over sockets, all on this machine: the same handler served by hyper and tokio-tungstenite,
//! behind `underpass up` in a runner of its own, and behind other tunnels; same load, same run, in turn.
//!
//! It prints tables in Markdown. `tests/benches/sockets/run` builds and installs what it needs.

mod contestants;
mod handler;
mod load;
mod runner;
mod serve;
mod work;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use contestants::Contestant;
use load::Cell;
use underpass_processes::process::beside;
use work::Work;

/// Measures Underpass over sockets
#[derive(Debug, Parser)]
#[command(about)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
    /// For how many seconds each cell is measured
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How often each cell is measured; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only work whose name contains one of these
    #[arg(long)]
    only: Vec<String>,
    /// The program; it is beside this one if it is not said
    #[arg(long)]
    program: Option<PathBuf>,
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
        None => runtime(false)?.block_on(measure(options)),
    }
}

/// The load generator has one thread; what is measured has as many as there are cores.
fn runtime(many: bool) -> io::Result<tokio::runtime::Runtime> {
    use tokio::runtime::Builder;
    if many { Builder::new_multi_thread() } else { Builder::new_current_thread() }.enable_all().build()
}

async fn measure(options: Options) -> io::Result<()> {
    let program = options.program.map_or_else(|| beside("underpass"), Ok)?;
    let duration = Duration::from_secs_f64(options.seconds);
    let direct = Contestant::direct().await?;
    let contestants =
        [Contestant::underpass(&program).await?, Contestant::passing_on(&program, &direct).await?, direct];
    for work in Work::ALL {
        let name = work.to_string();
        if !options.only.is_empty() && !options.only.iter().any(|only| name.contains(only)) {
            continue;
        }
        for _ in 0..options.rounds {
            for contestant in &contestants {
                if matches!(work, Work::WebSocket { .. }) && contestant.name == "underpass --to" {
                    continue;
                }
                let Cell { rate, half, most } = work.measure(contestant, duration).await?;
                println!("{name:40} {:20} {rate:10.0}/s  p50 {half:?}  p99 {most:?}", contestant.name);
            }
        }
    }
    Ok(())
}
