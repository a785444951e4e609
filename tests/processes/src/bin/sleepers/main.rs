//! Many WebSockets whose actors sleep while the process that hosts them is killed, and another takes its place.
//!
//! The actors are those of the example `counters`, behind `underpass up`: each message is answered with the WebSocket's
//! count. It fails if an answer is missing or wrong, so if a message was lost, or counted twice, or if anything is left
//! open.

mod client;

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use underpass_processes::process::{Process, Signal, beside};

use crate::client::{Client, ask};

/// Why it could not go on.
type Failure = Box<dyn Error + Send + Sync>;

/// How many clients open, speak and close side by side.
const AT_ONCE: usize = 64;

/// How many messages each client sends when its actor sleeps, at once.
const MESSAGES: u64 = 3;

/// The machines in `underpass up`.
const MACHINES: usize = 3;

/// Longer than anything takes that is waited for.
const SOON: Duration = Duration::from_secs(20);

/// Has many WebSockets sleep, and replaces the process behind them
#[derive(Parser)]
struct Options {
    /// How many WebSockets there are
    #[arg(long, default_value_t = 1_000)]
    sockets: usize,
    /// How many actors they are of
    #[arg(long, default_value_t = 100)]
    actors: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sleepers: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Options { sockets, actors }: Options) -> Result<(), Failure> {
    let arguments = ["up", "--listen", "127.0.0.1:0", "--runners", "127.0.0.1:0"];
    let mut up = Process::start(&beside("underpass")?, &arguments)?;
    let ready = up.ready().await?;
    let gateway: SocketAddr = ready["gateway"].trim_start_matches("http://").parse()?;
    let relay = &ready["runners"];
    let mut host = start_host(relay).await?;
    // The gateway hears of it a moment later.
    let start = Instant::now();
    while ask(gateway, "GET", "/gateway/0/").await? != "0\n" {
        if start.elapsed() > SOON {
            return Err("no actor starts".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = up.memory()?;

    let start = Instant::now();
    let opened = (0..sockets).map(|socket| async move {
        let mut client = Client::open(gateway, socket % actors).await?;
        client.counts(1, 1).await?;
        Ok::<_, Failure>(client)
    });
    let mut clients: Vec<Client> = stream::iter(opened).buffer_unordered(AT_ONCE).try_collect().await?;
    println!("{sockets} WebSockets of {actors} actors, opened and counting: {:.1?}", start.elapsed());
    let awake = up.memory()?;

    let start = Instant::now();
    for actor in 0..actors {
        ask(gateway, "POST", &format!("/gateway/{actor}/sleep")).await?;
    }
    until(&mut up, "all sleep", |counters| {
        let [gateway, relay] = [&counters["gateway"], &counters["relay"]];
        gateway["hibernating"] == sockets && relay["supervisor"]["hosted"] == 0
    })
    .await?;
    println!("asleep: {:.1?}", start.elapsed());
    let asleep = up.memory()?;
    println!("memory of `underpass up`: {} before, {} awake, {} asleep", mib(before), mib(awake), mib(asleep));
    let each = asleep.saturating_sub(before) as f64 / sockets as f64 / 1024.0;
    println!("{each:.1} KiB for each WebSocket that sleeps, its TCP connection's buffers in the process included");

    let start = Instant::now();
    host.signal(Signal::Kill).await?;
    host.ended().await?;
    let mut host = start_host(relay).await?;
    println!("the process of the actors killed and replaced: {:.1?}", start.elapsed());

    let start = Instant::now();
    let counted = clients.iter_mut().map(|client| client.counts(2, MESSAGES));
    stream::iter(counted).buffer_unordered(sockets).try_collect::<Vec<()>>().await?;
    let messages = MESSAGES * sockets as u64;
    println!("{messages} messages answered, each counted once and in order: {:.1?}", start.elapsed());

    let start = Instant::now();
    let closed = clients.into_iter().map(Client::close);
    stream::iter(closed).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    until(&mut up, "nothing is open", |counters| {
        let gateway = &counters["gateway"];
        gateway["open"] == 0 && gateway["registered"] == 0 && gateway["buffered"] == 0
    })
    .await?;
    println!("closed, and nothing is open: {:.1?}", start.elapsed());
    let counters = up.counters(MACHINES).await?;
    let gateway = &counters["gateway"];
    println!(
        "at the gateway: {} fell asleep, {} woke, {} messages sent again",
        gateway["slept"], gateway["woken"], gateway["resent"]
    );

    host.signal(Signal::Interrupt).await?;
    host.ended().await?;
    up.signal(Signal::Terminate).await?;
    up.ended().await?;
    Ok(())
}

/// Starts a process that hosts the actors.
async fn start_host(relay: &str) -> Result<Process, Failure> {
    let mut host = Process::start(&beside("examples/counters")?, &[relay])?;
    host.ready().await?;
    Ok(host)
}

/// Waits until the counters are as they should be.
async fn until(up: &mut Process, what: &str, reached: impl Fn(&HashMap<String, Value>) -> bool) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let counters = up.counters(MACHINES).await?;
        if reached(&counters) {
            return Ok(());
        }
        if start.elapsed() > SOON {
            return Err(format!("never: {what}: {counters:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
