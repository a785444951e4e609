//! Tables of what machines do, compared with what was checked in.

use std::fmt::{Debug, Write};
use std::path::Path;

use underpass_core::{ApiMisuse, Machine};

use crate::story::Story;

/// A table in the making: a section a state, a line an event.
#[derive(Debug, Default)]
pub struct Table {
    text: String,
}

impl Table {
    /// A table with a line on top that says what it is.
    pub fn new(title: &str) -> Self {
        Table { text: format!("{title}\n") }
    }

    /// Begins a state.
    pub fn state(&mut self, state: &str) {
        writeln!(self.text, "\n== {state} ==").expect("a string takes all");
    }

    /// Adds what a machine does about one event: what it wants, what it counted, or that it is a misuse.
    pub fn event<M: Machine>(
        &mut self,
        event: &str,
        story: Story<M>,
        happens: impl FnOnce(&mut Story<M>) -> Result<(), ApiMisuse>,
        short: fn(&M::Action) -> String,
    ) where
        M::Action: Debug + PartialEq,
    {
        self.event_or(event, story, happens, short, || "");
    }

    /// The same, with the reason that there is if the machine does nothing that shows.
    pub fn event_or<M: Machine>(
        &mut self,
        event: &str,
        mut story: Story<M>,
        happens: impl FnOnce(&mut Story<M>) -> Result<(), ApiMisuse>,
        short: fn(&M::Action) -> String,
        why_not: impl FnOnce() -> &'static str,
    ) where
        M::Action: Debug + PartialEq,
    {
        story.nothing_left();
        let before = counters(&story.machine.stats());
        let cell = match happens(&mut story) {
            Err(misuse) => format!("misuse: {misuse}"),
            Ok(()) => {
                let mut wanted: Vec<String> = story.actions().iter().map(short).collect();
                wanted.extend(moved(&before, &counters(&story.machine.stats())));
                if wanted.is_empty() {
                    ["nothing", why_not()].join(": ").trim_end_matches(": ").into()
                } else {
                    wanted.join(", ")
                }
            }
        };
        writeln!(self.text, "{event:<46}| {cell}").expect("a string takes all");
    }

    /// Compares the table with its file in `snapshots/`, or writes it there if `UPDATE_SNAPSHOTS=1`.
    #[track_caller]
    pub fn is_as_in(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(name);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
            std::fs::write(&path, &self.text).expect("the snapshot can be written");
            return;
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if expected == self.text {
            return;
        }
        let mut state = "";
        for (line, (is, was)) in self.text.lines().zip(expected.lines().chain(std::iter::repeat(""))).enumerate() {
            if is.starts_with("==") {
                state = is;
            }
            assert!(
                is == was,
                "{name}:{}: {state}\nit was: {was}\nit is:  {is}\n(UPDATE_SNAPSHOTS=1 keeps it)",
                line + 1
            );
        }
        panic!("{name} has lines that are no more (UPDATE_SNAPSHOTS=1 drops them)");
    }
}

/// The fields of plain data, by name; those of data within it behind the name of that.
fn counters(stats: &impl Debug) -> Vec<(String, String)> {
    let text = format!("{stats:?}");
    let (_, fields) = text.split_once('{').unwrap_or_default();
    let mut within = String::new();
    let mut counters = Vec::new();
    for field in fields.split(',') {
        let Some((name, mut value)) = field.split_once(':') else { continue };
        let mut name = format!("{within}{}", name.trim());
        if let Some((_, first)) = value.split_once('{') {
            within = format!("{name}.");
            let (inner, first) = first.split_once(':').unwrap_or_default();
            name = format!("{within}{}", inner.trim());
            value = first;
        }
        if value.contains('}') {
            within.clear();
        }
        counters.push((name, value.trim_matches([' ', '}']).to_owned()));
    }
    counters
}

/// What changed, in brackets.
fn moved(before: &[(String, String)], after: &[(String, String)]) -> Option<String> {
    let changed: Vec<String> = before
        .iter()
        .zip(after)
        .filter(|(before, after)| before != after)
        .map(|((name, before), (_, after))| match (before.parse::<i64>(), after.parse::<i64>()) {
            (Ok(before), Ok(after)) => format!("{name} {:+}", after - before),
            _ => format!("{name} {after}"),
        })
        .collect();
    (!changed.is_empty()).then(|| format!("[{}]", changed.join(" ")))
}
