//! What the machines and the bus on NATS bear: a gateway and a relay, each a process of its own, and between them a
//! nats-server. Neither has sockets: who sends requests and who answers them are made up, so that what is measured is
//! what Underpass adds to NATS.
//!
//! ```sh
//! cargo run --release -p underpass-load                       # 20,000 requests a second for a minute
//! cargo run --release -p underpass-load -- --most             # as many as this machine takes
//! cargo run --release -p underpass-load -- --room 64          # with room for 64 messages: what is lost must be told
//! ```
//!
//! Requests come as they are due, whether those before have been answered or not, and how long one took counts from
//! when it was due. It exits with 1 if an answer was wrong, a request did not end, one was lost and nobody said so,
//! or a process holds more memory than it may.

mod clients;
mod measure;
mod names;
mod relay;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use underpass_nats_server::NatsServer;
use underpass_transport_nats::{BusConfig, Config, Nats};

use crate::relay::RelayProcess;

#[derive(Debug, Parser)]
#[command(about)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The relay; the gateway starts it.
    #[command(hide = true)]
    Relay {
        #[arg(long)]
        bus: String,
        #[command(flatten)]
        shape: Shape,
    },
}

#[derive(Clone, Copy, Debug, Args)]
struct Load {
    /// Requests a second
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// For how many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Bytes of a request's body, and of its answer's
    #[arg(long, default_value_t = 256)]
    body: usize,
    /// Find the highest rate at which 99 of 100 are answered within 100 ms
    #[arg(long)]
    most: bool,
    #[command(flatten)]
    shape: Shape,
}

/// What both processes know.
#[derive(Clone, Copy, Debug, Args)]
struct Shape {
    /// How many runners there are
    #[arg(long, default_value_t = 16)]
    runners: u64,
    /// How many messages may wait in each subscription and in each inbox; as many as ever if it is not said
    #[arg(long)]
    room: Option<usize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Options { role, load } = Options::parse();
    if let Some(Role::Relay { bus, shape }) = role {
        relay::run(&connect(&bus, shape).await, shape.runners).await;
        return ExitCode::SUCCESS;
    }
    let server = NatsServer::start();
    if load.most { most(&server, load).await } else { once(&server, load, true).await.verdict() }
}

async fn connect(url: &str, shape: Shape) -> Nats {
    let mut bus = BusConfig::default();
    if let Some(room) = shape.room {
        (bus.subscription_messages, bus.inbox_messages) = (room, room);
    }
    Nats::connect(Config { servers: vec![url.to_owned()], bus, ..Config::default() }).await.expect("NATS is there")
}

/// Offers a load, with a relay of its own, and prints what became of it.
async fn once(server: &NatsServer, load: Load, tells: bool) -> clients::Outcome {
    let nats = connect(&server.url(), load.shape).await;
    let relay = RelayProcess::start(&server.url(), load.shape).await;
    let outcome = clients::offer(&nats, load, [relay.id(), server.id()], tells).await;
    if tells {
        outcome.print();
        println!("{}", relay.end().await);
    }
    outcome
}

/// Offers more and more, until it is too much.
async fn most(server: &NatsServer, load: Load) -> ExitCode {
    const SLOWEST: Duration = Duration::from_millis(100);
    let (mut best, mut rate) = (0, load.rate);
    println!("{:>10}  {:>10}  {:>9}  {:>9}", "offered /s", "answers /s", "50 %, ms", "99 %, ms");
    loop {
        let outcome = once(server, Load { rate, seconds: 10, ..load }, false).await;
        let (half, most) = (outcome.times.at(0.5), outcome.times.at(0.99));
        let shown = |time: Duration| time.as_secs_f64() * 1e3;
        println!("{rate:>10}  {:>10}  {:>9.2}  {:>9.2}", outcome.answered / 10, shown(half), shown(most));
        if outcome.is_wrong() {
            return outcome.verdict();
        }
        if most > SLOWEST || outcome.answered < outcome.offered {
            println!("{best} requests a second");
            return ExitCode::SUCCESS;
        }
        (best, rate) = (rate, rate + rate / 5);
    }
}
