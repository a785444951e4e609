//! A fleet on NATS under load: whose processes are killed and drained one at a time and two at a time, whose NATS goes
//! away and comes back, whose frames NATS cuts into small pieces, and whose frames get lost.
//!
//! Clients check every byte and every count. What fails must be explained by what happened; the rest is a complaint, as
//! is what hangs, and what is left open at the end. It prints what happened in each round.

mod clients;
mod fleet;
mod judge;
mod ledger;
mod member;
mod notes;
mod place;
mod scenes;
mod table;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::scenes::Scene;

/// Why it could not go on.
type Failure = Box<dyn Error + Send + Sync>;

/// Has things happen to a fleet on NATS, and judges what its clients saw
#[derive(Parser)]
struct Options {
    /// All of it, not only what fits into two minutes
    #[arg(long)]
    full: bool,
    /// Print what the processes said on standard error, where there are complaints
    #[arg(long)]
    words: bool,
    /// Only these scenes
    scenes: Vec<Scene>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Options { full, words, mut scenes } = Options::parse();
    if scenes.is_empty() {
        scenes = Scene::ALL.to_vec();
    }
    let mut well = true;
    for scene in scenes {
        let start = Instant::now();
        println!("{scene}:");
        let complaints = scene.play(full, words).await.unwrap_or_else(|error| vec![error.to_string()]);
        println!("  took {:.1?}", start.elapsed());
        for complaint in &complaints {
            println!("  COMPLAINT: {complaint}");
        }
        well &= complaints.is_empty();
    }
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
