//! What is printed: tables in Markdown.

use std::time::Duration;

use crate::contestants::{DIRECT, PASSING_ON, UNDERPASS};
use crate::idle::{Idle, SOCKETS};
use crate::peers::{BORE, NGINX, RATHOLE};
use crate::row::{Median, Row};
use crate::work::{Goal, Work};

/// What an idle WebSocket may take of the gateway's memory, bytes.
const IDLE: f64 = 10.0 * 1024.0;

/// Of what node's own HTTP server answers, the share that is to come from the published runner.
const PUBLISHED: f64 = 0.5;

/// How it was measured.
pub(crate) fn preface(rounds: usize, seconds: f64) {
    println!(
        "Everything runs on this machine at once, in processes of its own: the load (hyper's and tokio-tungstenite's \
         clients, one thread), the handler, and what is before it. Direct is the same handler served by hyper and \
         tokio-tungstenite. The runner answers by the handler in it; with `--to` it passes requests on to direct's. \
         rathole 0.5.0 and bore 0.6.0 have TCP_NODELAY forced on them, unless they are told as they come. Each cell \
         is the median of {rounds} rounds of {seconds} s, taken in turn; what is beside direct is beside the same \
         round's.\n"
    );
}

/// The rows that have a goal.
pub(crate) fn goals(rows: &[Row]) {
    println!("| work | direct | Underpass | beside direct | goal | | nginx | rathole | bore |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let Some((goal, direct)) = row.work.goal().zip(row.median(DIRECT)) else { continue };
        let Some((ours, reached)) = row.median(UNDERPASS).zip(row.is_reached()) else { continue };
        let beside = |median: Median| match goal {
            Goal::Half(_) => format!("{:.1} times", median.half),
            Goal::Rate(_) => format!("{:.2}", median.rate),
            Goal::RateAndMost(..) => format!("{:.2}, p99 {:.1} times", median.rate, median.most),
        };
        let wanted = match goal {
            Goal::Half(times) => format!("p50 {times:.1} times or less"),
            Goal::Rate(share) => format!("{share} or more"),
            Goal::RateAndMost(share, times) => format!("{share} or more, p99 {times} times or less"),
        };
        let others = [NGINX, RATHOLE, BORE].map(|name| row.median(name).map_or("–".to_owned(), beside));
        let (work, measured) = (row.work, [direct, ours].map(|median| shown(median, goal)).join(" | "));
        let reached = or_why(reached, work.obstacle());
        println!("| {work} | {measured} | {} | {wanted} | {reached} | {} |", beside(ours), others.join(" | "));
        let ahead = row.is_ahead().filter(|_| matches!(goal, Goal::RateAndMost(..)));
        if let Some((passing_on, ahead)) = row.median(PASSING_ON).zip(ahead) {
            let measured = [direct, passing_on].map(|median| shown(median, goal)).join(" | ");
            let (beside, others) = (beside(passing_on), others.join(" | "));
            let ahead = or_why(ahead, Work::PASSED_ON);
            println!("| {work}, `--to` | {measured} | {beside} | ahead of both tunnels | {ahead} | {others} |");
        }
    }
}

fn shown(median: Median, goal: Goal) -> String {
    match goal {
        Goal::Half(_) => format!("p50 {}", time(median.cell.half)),
        Goal::Rate(_) => format!("{} /s", rate(median.cell.rate)),
        Goal::RateAndMost(..) => format!("{} /s, p99 {}", rate(median.cell.rate), time(median.cell.most)),
    }
}

/// All that was measured.
pub(crate) fn all(rows: &[Row]) {
    println!("| work | by | a second | beside direct | p50 | p99 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in rows {
        for (name, _) in &row.cells {
            let Some(median) = row.median(name) else { continue };
            let Median { cell, rate: beside, .. } = median;
            let (half, most) =
                if cell.half.is_zero() { ("".to_owned(), "".to_owned()) } else { (time(cell.half), time(cell.most)) };
            println!("| {} | {name} | {} | {beside:.2} | {half} | {most} |", row.work, rate(cell.rate));
        }
    }
}

/// Memory.
pub(crate) fn idle(idle: &[Idle]) {
    let [few, many] = SOCKETS;
    println!("| idle WebSockets, memory each | process | {few} | {many} | after 64 KiB each | goal | |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for Idle { contestant, process, each, after_large } in idle {
        let [few, many] = each.map(kib);
        let is_ours = *contestant == UNDERPASS;
        let (goal, reached) = match (is_ours, *process) {
            (true, "gateway and relay") => ("10 KiB or less", word(each[1] <= IDLE)),
            (true, _) => ("next to nothing", ""),
            (false, _) => ("", ""),
        };
        println!("| {contestant} | {process} | {few} | {many} | {} | {goal} | {reached} |", kib(*after_large));
    }
}

/// The published runner, beside node's own server.
pub(crate) fn published(node: f64, published: f64, share: f64) {
    println!("| GET small, 16 connections | a second | beside node | goal | |");
    println!("| --- | --- | --- | --- | --- |");
    println!("| node's http | {} | 1 | | |", rate(node));
    let reached =
        or_why(share >= PUBLISHED, "most of the time is the published runner's own, in JavaScript on one core");
    println!(
        "| the published runner behind Underpass | {} | {share:.2} | {PUBLISHED} or more | {reached} |",
        rate(published)
    );
}

/// What stands in the way, if it is not reached.
fn or_why(reached: bool, obstacle: &str) -> String {
    if reached { word(true).to_owned() } else { format!("{}: {obstacle}", word(false)) }
}

fn word(reached: bool) -> &'static str {
    if reached { "reached" } else { "**not reached**" }
}

fn kib(bytes: f64) -> String {
    format!("{:.1} KiB", bytes / 1024.0)
}

fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1_000.0 { format!("{micros:.0} µs") } else { format!("{:.1} ms", micros / 1e3) }
}

/// To three digits, in groups.
fn rate(rate: f64) -> String {
    let number = rate.round() as u64;
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(2));
    let digits = ((number + unit / 2) / unit * unit).to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_to_three_digits() {
        for (number, shown) in [(0.0, "0"), (42.4, "42"), (1_234.0, "1,230"), (1_308_000.0, "1,310,000")] {
            assert_eq!(rate(number), shown);
        }
    }
}
