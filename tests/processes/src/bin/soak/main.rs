//! Many requests through `underpass up`, one in ten broken off by a random side: what is left behind?
//!
//! Besides the requests whose client or handler breaks off, a second runner is killed again and again, and starts
//! anew, in the middle of what it has. When all is over nothing may be open, and the memory of `underpass up` must be
//! back where it was after the first 20,000 requests.

mod load;
mod plan;
mod target;

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::Value;
use underpass_processes::process::{Process, Signal, beside};

use crate::load::{Ends, Load};
use crate::target::Target;

/// Why it could not go on.
type Failure = Box<dyn Error + Send + Sync>;

/// How many requests warm the program up.
const WARM: u64 = 20_000;

/// How much more memory the program may hold at the end, in hundredths.
const MORE_MEMORY: f64 = 10.0;

/// What must be zero when nothing is open.
const GAUGES: [(&str, &[&str]); 3] = [
    ("gateway", &["open", "deadlines", "buffered"]),
    ("relay", &["routes", "buffered"]),
    ("runner", &["open", "buffered"]),
];

/// Sends many requests through `underpass up`, and looks at what is left behind
#[derive(Parser)]
struct Options {
    /// How many requests are sent, the first 20,000 included
    #[arg(long, default_value_t = 60_000)]
    requests: u64,
    /// How many clients send side by side
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// After how many requests the second runner is killed, each time
    #[arg(long, default_value_t = 500)]
    kill_every: u64,
    /// What decides who breaks off what
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Sends, and prints what came of it: whether it is as it must be.
async fn run(Options { requests, clients, kill_every, seed }: Options) -> Result<bool, Failure> {
    let target = Target::listen().await?;
    let to = format!("http://{}", target.address);
    let arguments = ["up", "--listen", "127.0.0.1:0", "--runners", "127.0.0.1:0", "--to", &to];
    let mut up = Process::start(&beside("underpass")?, &arguments)?;
    let ready = up.ready().await?;
    let gateway: SocketAddr = ready["gateway"].trim_start_matches("http://").parse()?;
    let load = Arc::new(Load { gateway, seed, begun: AtomicU64::new(0) });
    let killing = tokio::spawn(kill_again_and_again(ready["runners"].clone(), to, load.clone(), kill_every));

    let start = Instant::now();
    let mut ends = match load.send(WARM, clients).await {
        Ok(ends) => ends,
        Err(error) => return Err(format!("{error}\n{}", Left::after(&mut up).await?.counters()).into()),
    };
    let warm = Left::after(&mut up).await?;
    for (end, count) in load.send(requests, clients).await? {
        *ends.entry(end).or_default() += count;
    }
    let took = start.elapsed();
    let last = Left::after(&mut up).await?;
    killing.abort();

    let rate = requests as f64 / took.as_secs_f64();
    println!(
        "{requests} requests through `underpass up`, {clients} at once, seed {seed}: {took:.1?}, {rate:.0} a second"
    );
    print_ends(&ends);
    let more = (last.memory as f64 / warm.memory as f64 - 1.0) * 100.0;
    println!("memory after {WARM}: {}, at the end: {} ({more:+.1} %)", mib(warm.memory), mib(last.memory));
    println!("at the end: {}", last.counters());
    println!("{}", if last.is_empty() { "nothing is open" } else { "SOMETHING IS OPEN" });
    let twice = target.posts_given_twice();
    println!("POSTs given to two handlers: {twice}");
    up.signal(Signal::Terminate).await?;
    up.ended().await?;
    Ok(warm.is_empty() && last.is_empty() && more <= MORE_MEMORY && twice == 0)
}

/// Runs a second runner, and kills it after each so many requests.
async fn kill_again_and_again(relay: String, to: String, load: Arc<Load>, every: u64) -> Result<(), std::io::Error> {
    let arguments = ["runner", "--relay", &relay, "--to", &to, "--key", "second"];
    let mut next = every;
    loop {
        let mut runner = Process::start(&beside("underpass")?, &arguments)?;
        runner.ready().await?;
        while load.begun.load(Ordering::Relaxed) < next {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        runner.signal(Signal::Kill).await?;
        runner.ended().await?;
        next = load.begun.load(Ordering::Relaxed) + every;
    }
}

/// What the program holds when all has ended.
struct Left {
    memory: u64,
    counters: HashMap<String, Value>,
}

impl Left {
    /// What it holds once nothing is open, or after some time.
    async fn after(up: &mut Process) -> Result<Left, Failure> {
        let start = Instant::now();
        loop {
            let left = Left { counters: up.counters(GAUGES.len()).await?, memory: up.memory()? };
            if left.is_empty() || start.elapsed() > Duration::from_secs(10) {
                return Ok(left);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn is_empty(&self) -> bool {
        let empty = |machine: &str, gauge: &str| self.counters[machine][gauge] == 0;
        GAUGES.iter().all(|(machine, gauges)| gauges.iter().all(|gauge| empty(machine, gauge)))
    }

    fn counters(&self) -> String {
        let machine = |(name, _): &(&str, &[&str])| format!("{name} {}", self.counters[*name]);
        GAUGES.iter().map(machine).collect::<Vec<_>>().join("\n  ")
    }
}

fn print_ends(ends: &Ends) {
    for (breaks_off, whose) in [(false, "left alone"), (true, "broken off by client or handler")] {
        let of_these = ends.iter().filter(|((broken, _), _)| *broken == breaks_off);
        let ends: Vec<_> = of_these.map(|((_, end), count)| format!("{count} {end}")).collect();
        println!("{whose}: {}", ends.join(", "));
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
