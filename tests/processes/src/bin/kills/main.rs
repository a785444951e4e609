//! What is heard when a process dies, stands still or is cut off, and how soon.
//!
//! For each machine, each fault and each kind of request it starts a fleet of processes, opens the request, lets the
//! fault happen and measures when the client and the handler hear of it. It prints what it measured, and fails if
//! somebody heard too late, if a POST was given to two handlers, or if anything is left open.
//!
//! Without options all deadlines are a tenth of their defaults, so that it takes seconds; with `--full` they are the
//! defaults.

mod client;
mod fleet;
mod story;
mod target;

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::sync::Semaphore;

use crate::client::Phase;
use crate::fleet::{Fault, Party};
use crate::story::{Case, Outcome, Told, tell};

/// Why a story could not be told.
type Failure = Box<dyn Error + Send + Sync>;

/// Kills, stops and cuts off processes, and measures who hears of it and when
#[derive(Parser)]
struct Options {
    /// Use the default deadlines, not a tenth of them
    #[arg(long)]
    full: bool,
    /// How many fleets run side by side
    #[arg(long, default_value_t = 12)]
    fleets: usize,
    /// Only those whose names contain this: `relay stopped stream`, say, or a part of it
    #[arg(default_value = "")]
    only: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let pace = if options.full { 1 } else { 10 };
    let slots = Arc::new(Semaphore::new(options.fleets));
    let running: Vec<_> = Case::all()
        .filter(|case| name(*case).contains(&options.only))
        .map(|case| {
            let slots = slots.clone();
            let told = tokio::spawn(async move {
                let _slot = slots.acquire_owned().await;
                tell(case, pace).await.map_err(|error| error.to_string())
            });
            (case, told)
        })
        .collect();
    let mut outcomes = HashMap::new();
    for (case, told) in running {
        let outcome = told.await.map_err(|error| error.to_string()).and_then(|outcome| outcome);
        outcomes.insert(case, outcome);
    }
    if options.full {
        println!("Deadlines as they are by default.\n");
    } else {
        println!("Deadlines a tenth of what they are by default.\n");
    }
    print_table("the client hears", &outcomes, |outcome| &outcome.client);
    print_table("the handler hears", &outcomes, |outcome| &outcome.handler);
    if complain(&outcomes) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn name(Case { party, fault, phase }: Case) -> String {
    format!("{party:?} {fault:?} {phase:?}").to_lowercase()
}

type Outcomes = HashMap<Case, Result<Outcome, String>>;

fn print_table(title: &str, outcomes: &Outcomes, told: impl Fn(&Outcome) -> &Told) {
    let row = |cells: [&str; 5]| {
        let [first, rest @ ..] = cells;
        println!("| {first:16} | {} |", rest.map(|cell| format!("{cell:27}")).join(" | "));
    };
    println!("When {title} of it, in seconds; + counts from when the stopped process goes on:\n");
    row(["", "GET, thinking", "POST, thinking", "stream", "quiet WebSocket"]);
    println!("|{}|{}", "-".repeat(18), format!("{}|", "-".repeat(29)).repeat(4));
    for party in Party::ALL {
        for fault in Fault::ALL {
            let cells = Phase::ALL.map(|phase| match outcomes.get(&Case { party, fault, phase }) {
                Some(Ok(outcome)) => told(outcome).to_string(),
                Some(Err(_)) => "failed".to_owned(),
                None => String::new(),
            });
            let first = format!("{party:?} {fault:?}").to_lowercase();
            let [get, post, stream, websocket] = &cells;
            row([&first, get, post, stream, websocket]);
        }
    }
    println!();
}

/// Prints what should not be so; how much that is.
fn complain(outcomes: &Outcomes) -> usize {
    let mut faults: Vec<_> = outcomes
        .iter()
        .flat_map(|(case, outcome)| {
            let faults = match outcome {
                Ok(outcome) => outcome.faults.clone(),
                Err(error) => vec![error.clone()],
            };
            faults.into_iter().map(|fault| format!("{}: {fault}", name(*case)))
        })
        .collect();
    faults.sort();
    for fault in &faults {
        println!("{fault}");
    }
    println!("{} stories, {} complaints", outcomes.len(), faults.len());
    faults.len()
}
