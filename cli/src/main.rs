//! The program `underpass`: a gateway, a relay and runners of the Underpass tunnel.

#[doc = include_str!("../docs/fleet.md")]
mod fleet {}

#[doc = include_str!("../docs/replay.md")]
mod replaying {}
#[doc = include_str!("../docs/operating.md")]
mod operating {}

#[doc = include_str!("../docs/upgrading.md")]
mod upgrading {}

mod admin;
mod counters;
mod demo;
mod error;
mod gateway;
mod generations;
mod guard;
mod inspect;
mod listen;
mod log;
mod manual;
mod memory;
mod metrics;
mod nats;
mod options;
mod proxy;
mod relay;
mod reload;
mod replay;
mod runner;
mod seeing;
mod shutdown;
mod tls;
mod tokens;
mod up;
mod url;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;
use error::Error;
use options::{Command, Options};
use tokio::runtime::Builder;

/// How a command came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// What was open was finished.
    Drained,
    /// It was asked to end twice.
    AtOnce,
    /// Some of what it was asked had no answer, which it has said.
    WithErrors,
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return options::explain(&error),
    };
    match run(options) {
        Ok(Ended::Drained) => ExitCode::SUCCESS,
        Ok(Ended::AtOnce) => ExitCode::from(130),
        Ok(Ended::WithErrors) => ExitCode::FAILURE,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<Ended, Error> {
    memory::keep_some();
    let _logging = log::start(&options.log)?;
    match options.command {
        Command::Up(options) => serve(options.process.threads, up::run(options)),
        Command::Gateway(options) => serve(options.process.threads, gateway::run(options)),
        Command::Relay(options) => serve(options.process.threads, relay::run(options)),
        Command::Runner(options) => serve(options.process.threads, runner::run(options)),
        Command::Decode(options) => inspect::decode(options),
        Command::Encode(options) => inspect::encode(options),
        Command::Translate(options) => inspect::translate(options),
        Command::Replay(options) => replay::run(options),
        Command::Man(options) => manual::man(options),
        Command::Completions(options) => manual::completions(options),
    }
}

/// Runs what waits for others, on so many threads.
fn serve(threads: Option<NonZeroUsize>, work: impl Future<Output = Result<Ended, Error>>) -> Result<Ended, Error> {
    // The other half of the cores is for the network below and for whoever is at the other ends. What is done here is
    // done in steps so short that a thread without enough to do costs more than it brings.
    let threads = threads.map_or_else(|| cores() / 2, NonZeroUsize::get);
    let mut runtime = match threads {
        0 | 1 => Builder::new_current_thread(),
        threads => {
            let mut runtime = Builder::new_multi_thread();
            runtime.worker_threads(threads);
            runtime
        }
    };
    let runtime = runtime.enable_all().build().map_err(Error::Runtime)?;
    let ended = runtime.block_on(work);
    // Nothing that is still under way may hold up the end.
    runtime.shutdown_background();
    ended
}

fn cores() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Says on standard output that all is ready, and what it is called. Who waits for it reads one line.
fn announce(names: impl IntoIterator<Item = (&'static str, String)>) -> Result<(), Error> {
    let line: String = names.into_iter().map(|(what, name)| format!(" {what}={name}")).collect();
    let mut out = io::stdout().lock();
    writeln!(out, "ready{line}").and_then(|()| out.flush()).map_err(Error::Announce)
}

/// Tells people something on standard error.
fn tell(line: &str) {
    // There is nobody to tell that this does not work.
    let _ = writeln!(io::stderr(), "underpass: {line}");
}
