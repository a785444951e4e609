//! What the machines cost, as tables for people to read: each figure beside what it is measured by, in one run.
//!
//! ```sh
//! tests/bench core
//! ```
//!
//! Times depend on the machine and fail nothing; instructions hardly do, and one table of them is a test:
//! `tests/benches/instructions`.

mod carry;
mod exchange;
mod gateway;
mod idle;
mod instructions;
mod measure;
mod reference;
mod translation;

use std::process::ExitCode;

use measure::Cost;

/// Payloads, bytes.
const PAYLOADS: [(usize, &str); 4] = [(64, "64 B"), (1 << 10, "1 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];

/// The tables, by name.
const TABLES: [(&str, fn()); 5] = [
    ("carry", carry::table),
    ("gateway", gateway::table),
    ("exchange", exchange::table),
    ("translation", translation::table),
    ("idle", idle::table),
];

/// Those that are named, or all.
fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).collect();
    if let [first, work] = &named[..]
        && first == instructions::ARGUMENT
    {
        instructions::run(work);
        return ExitCode::SUCCESS;
    }
    let is_wanted = |name| named.is_empty() || named.iter().any(|wanted| wanted == name);
    for (name, table) in TABLES {
        if is_wanted(name) {
            table();
        }
    }
    if is_wanted("instructions") && !instructions::table() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A table's head.
fn head(title: &str, columns: &[&str]) {
    println!("### {title}\n");
    println!("| {} |", columns.join(" | "));
    println!("|{}", " --- |".repeat(columns.len()));
}

fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Nanoseconds, with as many digits as say something.
fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ..100.0 => format!("{nanoseconds:.1} ns"),
        100.0..10_000.0 => format!("{nanoseconds:.0} ns"),
        10_000.0..10_000_000.0 => format!("{:.1} µs", nanoseconds / 1e3),
        _ => format!("{:.1} ms", nanoseconds / 1e6),
    }
}

/// A cost, and whether it is within a goal of so many nanoseconds.
fn beside_goal(cost: Cost, goal: f64) -> [String; 3] {
    let kept = if cost.nanoseconds <= goal { "" } else { ", missed" };
    [time(cost.nanoseconds), format!("{:.2}", cost.allocations), format!("{}{kept}", time(goal))]
}
