//! Which kind of runner a pool has: its actors all have state, or none of them does.

use hashbrown::HashMap;

use crate::directory::{Abilities, Pool, Revision, RunnerKey, RunnerSeen};

/// Whether the actors of a runner have state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// They live on one runner at a time, and have a store.
    WithState,
    /// They keep nothing: any runner of the pool may answer.
    Stateless,
}

impl PoolKind {
    pub(super) fn of(abilities: Abilities) -> Self {
        if abilities.stateless { PoolKind::Stateless } else { PoolKind::WithState }
    }
}

impl core::fmt::Display for PoolKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            PoolKind::WithState => "with state",
            PoolKind::Stateless => "without state",
        })
    }
}

/// The runners that are connected, here and elsewhere, by pool and kind.
#[derive(Debug)]
pub(super) struct Pools {
    /// Those of connections of this relay.
    here: HashMap<u64, Here>,
    /// Those that the directory shows as connected.
    seen: HashMap<RunnerKey, Shown>,
    counts: HashMap<Pool, Counts>,
    max_seen: usize,
}

/// A runner of this relay.
#[derive(Debug)]
struct Here {
    key: RunnerKey,
    kind: PoolKind,
    /// The revision with which it was entered; none while it is being entered.
    entered: Option<Revision>,
}

/// A runner in the directory, of this relay or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    kind: PoolKind,
    entered: Revision,
}

/// A runner of this relay is not of its pool's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    pub(super) connection: u64,
    /// The runner's kind.
    pub(super) mine: PoolKind,
    /// Its pool's.
    pub(super) theirs: PoolKind,
}

#[derive(Debug, Default)]
struct Counts {
    with_state: usize,
    stateless: usize,
}

impl Counts {
    fn of(&mut self, kind: PoolKind) -> &mut usize {
        match kind {
            PoolKind::WithState => &mut self.with_state,
            PoolKind::Stateless => &mut self.stateless,
        }
    }
}

impl Here {
    /// Whether it must go for that one.
    fn comes_after(&self, key: &RunnerKey, shown: Shown) -> bool {
        let contends = self.key.pool == key.pool && self.key != *key && self.kind != shown.kind;
        contends && self.entered.is_some_and(|entered| shown.entered < entered)
    }
}

impl Pools {
    /// At most so many runners that the directory shows are kept in mind; more are not held against others.
    pub(super) fn new(max_seen: usize) -> Self {
        Pools { here: HashMap::new(), seen: HashMap::new(), counts: HashMap::new(), max_seen }
    }

    /// The kind of a pool, if it is another than this, whoever has this key aside.
    pub(super) fn other_kind(&self, key: &RunnerKey, kind: PoolKind) -> Option<PoolKind> {
        let other = match kind {
            PoolKind::WithState => PoolKind::Stateless,
            PoolKind::Stateless => PoolKind::WithState,
        };
        let counts = self.counts.get(&key.pool)?;
        let count = match other {
            PoolKind::WithState => counts.with_state,
            PoolKind::Stateless => counts.stateless,
        };
        let same_key = usize::from(self.seen.get(key).is_some_and(|shown| shown.kind == other));
        (count > same_key).then_some(other)
    }

    /// A runner of this kind has a connection here.
    pub(super) fn enter(&mut self, connection: u64, key: RunnerKey, kind: PoolKind) {
        self.count(&key.pool, kind);
        self.here.insert(connection, Here { key, kind, entered: None });
    }

    /// The directory has taken it, with this revision.
    pub(super) fn entered(&mut self, connection: u64, revision: Revision) {
        if let Some(here) = self.here.get_mut(&connection) {
            here.entered = Some(revision);
        }
    }

    /// Whether a runner of the other kind was entered before this one: all relays find the same one to be the first,
    /// in whatever order they are shown them.
    pub(super) fn earlier_of_other_kind(&self, connection: u64) -> Option<Clash> {
        let here = self.here.get(&connection)?;
        let theirs = self.other_kind(&here.key, here.kind)?;
        // Whether there is any does not show the order. It is looked for only where there are both kinds.
        #[allow(clippy::iter_over_hash_type)]
        let comes_later = self.seen.iter().any(|(key, shown)| here.comes_after(key, *shown));
        comes_later.then_some(Clash { connection, mine: here.kind, theirs })
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, connection: u64) {
        if let Some(Here { key, kind, .. }) = self.here.remove(&connection) {
            self.discount(&key.pool, kind);
        }
    }

    /// The directory shows a runner. The runners here that are not of the kind of that one, and came after it.
    pub(super) fn seen(&mut self, seen: &RunnerSeen) -> Vec<Clash> {
        if let Some(Shown { kind, .. }) = self.seen.remove(&seen.key) {
            self.discount(&seen.key.pool, kind);
        }
        let Some(versioned) = &seen.record else { return Vec::new() };
        if versioned.record.connection.is_none() || self.seen.len() >= self.max_seen {
            return Vec::new();
        }
        let shown = Shown { kind: PoolKind::of(versioned.record.abilities), entered: versioned.entered() };
        self.seen.insert(seen.key.clone(), shown);
        self.count(&seen.key.pool, shown.kind);
        self.later_of_other_kind(&seen.key, shown)
    }

    /// The directory shows nothing for now. Who went meanwhile is not told of when it does again; who is there is.
    pub(super) fn begin_anew(&mut self) {
        let mut seen = core::mem::take(&mut self.seen);
        // Counting does not show the order.
        #[allow(clippy::iter_over_hash_type)]
        for (key, Shown { kind, .. }) in seen.drain() {
            self.discount(&key.pool, kind);
        }
    }

    fn later_of_other_kind(&self, key: &RunnerKey, shown: Shown) -> Vec<Clash> {
        match self.counts.get(&key.pool) {
            None | Some(Counts { with_state: 0, .. } | Counts { stateless: 0, .. }) => return Vec::new(),
            Some(Counts { .. }) => {}
        }
        let later = self.here.iter().filter(|(_, here)| here.comes_after(key, shown));
        let clash = |(number, here): (&u64, &Here)| Clash { connection: *number, mine: here.kind, theirs: shown.kind };
        let mut clashes: Vec<Clash> = later.map(clash).collect();
        clashes.sort_unstable_by_key(|clash| clash.connection);
        clashes
    }

    fn count(&mut self, pool: &Pool, kind: PoolKind) {
        *self.counts.entry_ref(pool).or_default().of(kind) += 1;
    }

    fn discount(&mut self, pool: &Pool, kind: PoolKind) {
        let Some(counts) = self.counts.get_mut(pool) else { return };
        *counts.of(kind) -= 1;
        if let Counts { with_state: 0, stateless: 0 } = counts {
            self.counts.remove(pool);
        }
    }
}
