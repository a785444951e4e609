//! A directory somewhere else: changed by compare-and-set and watched, over a network that fails.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use underpass_core::Time;
use underpass_core::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, ChangeOutcome, DirectoryUnavailable, HibernatingSocket,
    RegistryChange, RunnerChange, RunnerKey, RunnerRecord, RunnerSeen, Versioned,
};
use underpass_core::protocol::GatewayId;
use underpass_core::protocol::to_client::HibernatingRequest;

use super::path::Way;
use super::table::Table;
use super::{Happening, Network, Node, Path, Pending};
use crate::registry::Registry;

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

/// The tables, and who looks at them.
#[derive(Debug)]
pub(super) struct Directory {
    config: DirectoryConfig,
    runners: Table<RunnerKey, RunnerRecord>,
    actors: Table<ActorKey, ActorRecord>,
    registry: Registry,
    is_away: bool,
    /// In the order of their nodes.
    watchers: BTreeMap<Node, Watcher>,
    cut_off: BTreeSet<Node>,
    ways: BTreeMap<Node, Way>,
}

/// A watcher, and the runners that it was told of and not told that they went.
#[derive(Debug, Default)]
struct Watcher {
    watches: Watches,
    runners: Way,
    actors: Way,
    known: BTreeSet<RunnerKey>,
}

/// What a watcher looks at, and how it is shown all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Watches {
    /// Runners, one by one.
    #[default]
    Runners,
    /// Runners one by one, and actors all together.
    Apart,
    /// All of both together.
    Together,
}

/// A change that is asked for.
#[derive(Debug)]
pub(super) enum Asked {
    Runner { tag: u64, change: RunnerChange },
    Actor(ActorChange),
    Registry(RegistryChange),
    Registered(ActorKey),
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Answer {
    Runner { tag: u64, outcome: ChangeOutcome },
    Actor { actor: ActorKey, outcome: ChangeOutcome<ActorRecord> },
    Registry { change: RegistryChange, outcome: Result<(), DirectoryUnavailable> },
    Registered { actor: ActorKey, sockets: Result<Vec<HibernatingRequest>, DirectoryUnavailable> },
}

impl Asked {
    /// Nothing is known of what became of it.
    fn unavailable(self) -> Answer {
        match self {
            Asked::Runner { tag, .. } => Answer::Runner { tag, outcome: ChangeOutcome::Unavailable },
            Asked::Actor(change) => Answer::Actor { actor: change.key, outcome: ChangeOutcome::Unavailable },
            Asked::Registry(change) => Answer::Registry { change, outcome: Err(DirectoryUnavailable) },
            Asked::Registered(actor) => Answer::Registered { actor, sockets: Err(DirectoryUnavailable) },
        }
    }
}

impl Answer {
    fn lost(self) -> Answer {
        match self {
            Answer::Runner { tag, .. } => Answer::Runner { tag, outcome: ChangeOutcome::Unavailable },
            Answer::Actor { actor, .. } => Answer::Actor { actor, outcome: ChangeOutcome::Unavailable },
            Answer::Registry { change, .. } => Answer::Registry { change, outcome: Err(DirectoryUnavailable) },
            Answer::Registered { actor, .. } => Answer::Registered { actor, sockets: Err(DirectoryUnavailable) },
        }
    }

    fn arrives<Own>(self, node: Node) -> Happening<Own> {
        match self {
            Answer::Runner { tag, outcome } => Happening::Changed { node, tag, outcome: Box::new(outcome) },
            Answer::Actor { actor, outcome } => Happening::ActorChanged { node, actor, outcome: Box::new(outcome) },
            Answer::Registry { change, outcome } => Happening::RegistryChanged { node, change, outcome },
            Answer::Registered { actor, sockets } => Happening::Registered { node, actor, sockets },
        }
    }
}

impl Directory {
    pub(super) fn new(config: DirectoryConfig) -> Self {
        Directory {
            config,
            runners: Table::default(),
            actors: Table::default(),
            registry: Registry::default(),
            is_away: false,
            watchers: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            ways: BTreeMap::new(),
        }
    }

    fn reaches(&self, node: Node) -> bool {
        !self.is_away && !self.cut_off.contains(&node)
    }

    fn watchers(&self) -> Vec<Node> {
        self.watchers.keys().copied().collect()
    }

    pub(super) fn forget(&mut self, node: Node) {
        self.watchers.remove(&node);
        self.cut_off.remove(&node);
        self.ways.remove(&node);
    }
}

impl<Own> Network<Own> {
    /// A process asks for a change of a runner's record; [`Happening::Changed`] says what became of it, with the same
    /// tag.
    pub fn change_runner(&mut self, node: Node, tag: u64, change: RunnerChange) {
        self.ask(node, Asked::Runner { tag, change });
    }

    /// A process asks for a change of an actor's record; [`Happening::ActorChanged`] says what became of it.
    pub fn change_actor(&mut self, node: Node, change: ActorChange) {
        self.ask(node, Asked::Actor(change));
    }

    /// A process asks for a change of the registry; [`Happening::RegistryChanged`] says what became of it.
    pub fn change_registry(&mut self, node: Node, change: RegistryChange) {
        self.ask(node, Asked::Registry(change));
    }

    /// A process asks for an actor's WebSockets that can hibernate; [`Happening::Registered`] tells them.
    pub fn ask_registered(&mut self, node: Node, actor: ActorKey) {
        self.ask(node, Asked::Registered(actor));
    }

    /// The WebSockets that are entered in the registry, in the order of their actors. Some may be too old.
    pub fn registry(&self) -> impl Iterator<Item = HibernatingSocket> {
        self.directory.registry.entered()
    }

    /// A gateway's id is free again, and what it entered is gone.
    pub fn release_gateway(&mut self, id: GatewayId) {
        self.directory.registry.forget(id);
    }

    /// A process watches the runners: first those that there are, then each change.
    pub fn watch_runners(&mut self, node: Node) {
        self.watch(node, Watches::Runners);
    }

    /// A process watches the runners, and by another way the actors: first [all](Happening::Actors), then each change.
    pub fn watch_runners_and_actors(&mut self, node: Node) {
        self.watch(node, Watches::Apart);
    }

    /// A process watches runners and actors together: first [all](Happening::All), then each change.
    pub fn watch_all(&mut self, node: Node) {
        self.watch(node, Watches::Together);
    }

    fn watch(&mut self, node: Node, watches: Watches) {
        self.directory.watchers.insert(node, Watcher { watches, ..Watcher::default() });
        self.show_all(node);
    }

    /// A process that watches the actors is shown all of them once more, one by one.
    pub fn show_actors(&mut self, node: Node) {
        for seen in self.directory.actors.seen() {
            self.show_actor(node, seen);
        }
    }

    /// The directory goes away, or comes back. What was asked of it meanwhile may have been done all the same.
    pub fn directory_away(&mut self, is_away: bool) {
        self.directory.is_away = is_away;
        for node in self.directory.watchers() {
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

    /// The runners' records, in the order of their keys.
    pub fn runners(&self) -> impl Iterator<Item = (&RunnerKey, &Versioned<RunnerRecord>)> {
        self.directory.runners.iter()
    }

    /// The actors' records, in the order of their keys.
    pub fn actors(&self) -> impl Iterator<Item = (&ActorKey, &Versioned<ActorRecord>)> {
        self.directory.actors.iter()
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
        let (watches, runners) = (watcher.watches, &self.directory.runners);
        if watches == Watches::Together {
            return self.show_together(node);
        }
        let gone = watcher.known.iter().filter(|key| !runners.has(key));
        let gone = gone.map(|key| RunnerSeen { key: key.clone(), record: None });
        let all: Vec<RunnerSeen> = gone.chain(runners.seen()).collect();
        for seen in all {
            self.show(node, seen);
        }
        if watches == Watches::Apart {
            let all = self.directory.actors.seen();
            if let Some(at) = self.actors_arrive(node) {
                self.tell(at, Happening::Actors { node, all });
            }
        }
    }

    /// Nothing else arrives before all of both kinds.
    fn show_together(&mut self, node: Node) {
        let Network { directory, random, now, .. } = self;
        let Some(watcher) = directory.watchers.get_mut(&node) else { return };
        let path = &directory.config.path;
        let runners_at = watcher.runners.carry(*now, 0, path, random);
        let at = watcher.actors.carry(*now, 0, path, random).max(runners_at);
        watcher.runners.not_before(at);
        watcher.actors.not_before(at);
        let (runners, actors) = (directory.runners.seen(), directory.actors.seen());
        self.tell(at, Happening::All { node, runners, actors });
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
        let at = watcher.runners.carry(*now, 0, &directory.config.path, random);
        self.tell(at, Happening::Seen { node, seen: Box::new(seen) });
    }

    fn show_actor(&mut self, node: Node, seen: ActorSeen) {
        if let Some(at) = self.actors_arrive(node) {
            self.tell(at, Happening::ActorSeen { node, seen: Box::new(seen) });
        }
    }

    /// When something of actors arrives at a process that watches them.
    fn actors_arrive(&mut self, node: Node) -> Option<Time> {
        if !self.directory.reaches(node) {
            return None;
        }
        let Network { directory, random, now, .. } = self;
        let watcher = directory.watchers.get_mut(&node).filter(|watcher| watcher.watches != Watches::Runners)?;
        Some(watcher.actors.carry(*now, 0, &directory.config.path, random))
    }

    fn ask(&mut self, node: Node, asked: Asked) {
        if !self.directory.reaches(node) {
            return self.no_answer(node, asked.unavailable());
        }
        let at = self.way_of(node);
        self.timeline.push(at, Pending::Change { node, asked: Box::new(asked) });
    }

    /// A change arrives at the directory.
    pub(super) fn change(&mut self, node: Node, asked: Asked) {
        if !self.directory.reaches(node) {
            return self.no_answer(node, asked.unavailable());
        }
        let watchers = self.directory.watchers();
        let answer = match asked {
            Asked::Runner { tag, change } => {
                let (outcome, seen) = self.directory.runners.apply(change);
                if let Some(seen) = seen {
                    watchers.into_iter().for_each(|watcher| self.show(watcher, seen.clone()));
                }
                Answer::Runner { tag, outcome }
            }
            Asked::Actor(change) => {
                let actor = change.key.clone();
                let (outcome, seen) = self.directory.actors.apply(change);
                if let Some(seen) = seen {
                    watchers.into_iter().for_each(|watcher| self.show_actor(watcher, seen.clone()));
                }
                Answer::Actor { actor, outcome }
            }
            Asked::Registry(change) => {
                self.directory.registry.change(change.clone(), self.now);
                Answer::Registry { change, outcome: Ok(()) }
            }
            Asked::Registered(actor) => {
                let sockets = self.directory.registry.registered(&actor, self.now);
                Answer::Registered { actor, sockets: Ok(sockets) }
            }
        };
        let at = self.way_of(node);
        self.timeline.push(at, Pending::Outcome { node, answer: Box::new(answer) });
    }

    /// An answer arrives at the process, unless the way broke meanwhile: then nobody there knows what was done.
    pub(super) fn outcome(&mut self, node: Node, answer: Answer) -> Option<Happening<Own>> {
        if !self.directory.reaches(node) {
            self.no_answer(node, answer.lost());
            return None;
        }
        Some(answer.arrives(node))
    }

    fn no_answer(&mut self, node: Node, answer: Answer) {
        let at = self.now + self.directory.config.patience;
        self.tell(at, answer.arrives(node));
    }

    fn way_of(&mut self, node: Node) -> Time {
        let Network { directory, random, now, .. } = self;
        directory.ways.entry(node).or_default().carry(*now, 0, &directory.config.path, random)
    }
}
