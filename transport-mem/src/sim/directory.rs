//! A directory somewhere else: changed by compare-and-set and watched, over a network that fails.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use underpass_core::Time;
use underpass_core::directory::{
    ChangeOutcome, Revision, RunnerChange, RunnerKey, RunnerRecord, RunnerSeen, Versioned,
};

use super::path::Way;
use super::{Happening, Network, Node, Path, Pending};

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// Each way between a process and the directory.
    pub path: Path,
    /// How long a process waits for an answer.
    pub patience: Duration,
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        DirectoryConfig {
            path: Path { latency: Duration::from_micros(500), jitter: Duration::from_micros(500), bandwidth: None },
            patience: Duration::from_secs(1),
        }
    }
}

/// The table, and who looks at it.
#[derive(Debug)]
pub(super) struct Directory {
    config: DirectoryConfig,
    runners: BTreeMap<RunnerKey, Versioned<RunnerRecord>>,
    revision: u64,
    is_away: bool,
    /// In the order of their nodes.
    watchers: BTreeMap<Node, Watcher>,
    cut_off: BTreeSet<Node>,
    ways: BTreeMap<Node, Way>,
}

/// A watcher, and the runners that it was told of and not told that they went.
#[derive(Debug, Default)]
struct Watcher {
    way: Way,
    known: BTreeSet<RunnerKey>,
}

impl Directory {
    pub(super) fn new(config: DirectoryConfig) -> Self {
        Directory {
            config,
            runners: BTreeMap::new(),
            revision: 0,
            is_away: false,
            watchers: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            ways: BTreeMap::new(),
        }
    }

    fn reaches(&self, node: Node) -> bool {
        !self.is_away && !self.cut_off.contains(&node)
    }

    fn apply(&mut self, change: RunnerChange) -> (ChangeOutcome, Option<RunnerSeen>) {
        let RunnerChange { key, expected, record } = change;
        let current = self.runners.get(&key);
        if current.map(|current| current.revision) != expected {
            return (ChangeOutcome::Conflict(current.cloned()), None);
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        let record = record.map(|record| Versioned { revision, record });
        match &record {
            Some(record) => drop(self.runners.insert(key.clone(), record.clone())),
            None => drop(self.runners.remove(&key)),
        }
        (ChangeOutcome::Stored(revision), Some(RunnerSeen { key, record }))
    }

    pub(super) fn forget(&mut self, node: Node) {
        self.watchers.remove(&node);
        self.cut_off.remove(&node);
        self.ways.remove(&node);
    }
}

impl<Own> Network<Own> {
    /// A process asks for a change; [`Happening::Changed`] says what became of it, with the same tag.
    pub fn change_runner(&mut self, node: Node, tag: u64, change: RunnerChange) {
        if !self.directory.reaches(node) {
            return self.no_answer(node, tag);
        }
        let at = self.way_of(node);
        self.timeline.push(at, Pending::Change { node, tag, change: Box::new(change) });
    }

    /// A process watches the runners: first those that there are, then each change.
    pub fn watch_runners(&mut self, node: Node) {
        self.directory.watchers.insert(node, Watcher::default());
        self.show_all(node);
    }

    /// The directory goes away, or comes back. What was asked of it meanwhile may have been done all the same.
    pub fn directory_away(&mut self, is_away: bool) {
        self.directory.is_away = is_away;
        let watchers: Vec<Node> = self.directory.watchers.keys().copied().collect();
        for node in watchers {
            self.reach_changed(node);
        }
    }

    /// A process does not reach the directory any more, or reaches it again.
    pub fn cut_off_from_directory(&mut self, node: Node, is_cut_off: bool) {
        if is_cut_off {
            self.directory.cut_off.insert(node);
        } else {
            self.directory.cut_off.remove(&node);
        }
        if self.directory.watchers.contains_key(&node) {
            self.reach_changed(node);
        }
    }

    /// The records, in the order of their keys.
    pub fn runners(&self) -> impl Iterator<Item = (&RunnerKey, &Versioned<RunnerRecord>)> {
        self.directory.runners.iter()
    }

    fn reach_changed(&mut self, node: Node) {
        let at = self.now + self.directory.config.path.latency;
        if self.directory.reaches(node) {
            self.tell(at, Happening::DirectoryBack { node });
            self.show_all(node);
        } else {
            self.tell(at, Happening::DirectoryAway { node });
        }
    }

    /// A watcher that may have missed something is shown everything, and what is gone.
    fn show_all(&mut self, node: Node) {
        if !self.directory.reaches(node) {
            return;
        }
        let Some(watcher) = self.directory.watchers.get(&node) else { return };
        let runners = &self.directory.runners;
        let gone = watcher.known.iter().filter(|key| !runners.contains_key(*key));
        let gone = gone.map(|key| RunnerSeen { key: key.clone(), record: None });
        let there = runners.iter().map(|(key, record)| RunnerSeen { key: key.clone(), record: Some(record.clone()) });
        let all: Vec<RunnerSeen> = gone.chain(there).collect();
        for seen in all {
            self.show(node, seen);
        }
    }

    fn show(&mut self, node: Node, seen: RunnerSeen) {
        if !self.directory.reaches(node) {
            return;
        }
        let Network { directory, random, now, .. } = self;
        let Some(watcher) = directory.watchers.get_mut(&node) else { return };
        match seen.record {
            Some(_) => watcher.known.insert(seen.key.clone()),
            None => watcher.known.remove(&seen.key),
        };
        let at = watcher.way.carry(*now, 0, &directory.config.path, random);
        self.tell(at, Happening::Seen { node, seen: Box::new(seen) });
    }

    /// A change arrives at the directory.
    pub(super) fn change(&mut self, node: Node, tag: u64, change: RunnerChange) {
        if !self.directory.reaches(node) {
            return self.no_answer(node, tag);
        }
        let (outcome, seen) = self.directory.apply(change);
        if let Some(seen) = seen {
            let watchers: Vec<Node> = self.directory.watchers.keys().copied().collect();
            for watcher in watchers {
                self.show(watcher, seen.clone());
            }
        }
        let at = self.way_of(node);
        self.timeline.push(at, Pending::Outcome { node, tag, outcome: Box::new(outcome) });
    }

    /// An answer arrives at the process, unless the way broke meanwhile: then nobody there knows what was done.
    pub(super) fn outcome(&mut self, node: Node, tag: u64, outcome: ChangeOutcome) -> Option<Happening<Own>> {
        if !self.directory.reaches(node) {
            self.no_answer(node, tag);
            return None;
        }
        Some(Happening::Changed { node, tag, outcome: Box::new(outcome) })
    }

    fn no_answer(&mut self, node: Node, tag: u64) {
        let at = self.now + self.directory.config.patience;
        self.tell(at, Happening::Changed { node, tag, outcome: Box::new(ChangeOutcome::Unavailable) });
    }

    fn way_of(&mut self, node: Node) -> Time {
        let Network { directory, random, now, .. } = self;
        directory.ways.entry(node).or_default().carry(*now, 0, &directory.config.path, random)
    }
}
