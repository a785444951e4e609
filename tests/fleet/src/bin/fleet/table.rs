//! What happened, for people.

use std::collections::BTreeMap;

use crate::judge::Happened;
use crate::ledger::{Entries, Event, Kind, Tally, What};
use crate::member::Strike;
use crate::notes::Told;

/// The most complaints of one scene that are told.
const MOST: usize = 20;

/// Prints what happened in each round, and what explains that it went wrong. What nothing explains is a complaint.
pub(crate) fn print(entries: &Entries, happened: &Happened, told: &Told) -> Vec<String> {
    let explained: Vec<_> = entries.events.iter().map(|event| (event, happened.explain(event, told))).collect();
    let widest = entries.rounds.iter().map(|round| round.name.len()).max().unwrap_or(0);
    let kinds: String = Kind::ALL.iter().map(|kind| format!("{:>14}", kind.name())).collect();
    println!("  {:widest$}{kinds}{:>11}{:>10}", "right + failed", "elsewhere", "restored");
    for (index, Tally { name, remark, right, elsewhere, restored }) in entries.rounds.iter().enumerate() {
        let columns = Kind::ALL.iter().map(|kind| {
            let failed = |event: &&Event| {
                event.round == index && event.kind == *kind && matches!(event.what, What::Failed { .. })
            };
            let failed = entries.events.iter().filter(failed).count();
            let failed = if failed == 0 { String::new() } else { format!(" + {failed}") };
            format!("{:>14}", format!("{}{failed}", right[*kind as usize]))
        });
        let columns: String = columns.collect();
        println!("  {name:widest$}{columns}{elsewhere:>11}{restored:>10}  {remark}");
        let mut whys = BTreeMap::<_, u64>::new();
        for (event, explanation) in explained.iter().filter(|(event, _)| event.round == index) {
            let why = explanation.map_or("UNEXPLAINED".to_owned(), |explanation| explanation.to_string());
            *whys.entry(format!("{} {}, {why}", event.kind.name(), what(event))).or_default() += 1;
        }
        for (why, count) in whys {
            println!("      {count} {why}");
        }
    }
    let mut complaints: Vec<String> = entries.wrong.iter().chain(&told.wrong).cloned().collect();
    let unexplained = explained.iter().filter(|(_, explanation)| explanation.is_none());
    complaints.extend(unexplained.map(|(event, _)| {
        let Event { kind, request, begun, ended, round, .. } = event;
        let round = entries.rounds.get(*round).map_or("", |round| &round.name);
        let took = ended.saturating_duration_since(*begun);
        let given = told.given.get(request);
        let before = happened.strikes.iter().rev().filter(|strike| strike.at < *ended).take(2).map(|strike| {
            let (Strike { member, how, had, .. }, ago) = (strike, ended.saturating_duration_since(strike.at));
            format!("{member} {how} {ago:.1?} before, which had the runners {had:?}")
        });
        let before = before.collect::<Vec<_>>().join("; ");
        format!("{} {request} {} after {took:.1?} ({round}; given to {given:?}; {before})", kind.name(), what(event))
    }));
    if complaints.len() > MOST {
        let more = complaints.len() - MOST;
        complaints.truncate(MOST);
        complaints.push(format!("and {more} more"));
    }
    complaints
}

fn what(event: &Event) -> String {
    match &event.what {
        What::Failed { gateway, what } => format!("{what} (gateway {gateway})"),
        What::Slow => "slow".to_owned(),
        What::Unanswered(messages) => format!("unanswered ({messages})"),
    }
}
