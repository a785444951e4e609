//! Which kind of runner a pool has: its actors all have state, or none of them does.

use hashbrown::HashMap;

use crate::directory::{Abilities, Pool, RunnerKey, RunnerSeen};

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
    here: HashMap<u64, (RunnerKey, PoolKind)>,
    /// Those that the directory shows as connected.
    seen: HashMap<RunnerKey, PoolKind>,
    counts: HashMap<Pool, Counts>,
    max_seen: usize,
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
        let same_key = usize::from(self.seen.get(key) == Some(&other));
        (count > same_key).then_some(other)
    }

    /// A runner of this kind has a connection here.
    pub(super) fn enter(&mut self, connection: u64, key: RunnerKey, kind: PoolKind) {
        self.count(&key.pool, kind);
        self.here.insert(connection, (key, kind));
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, connection: u64) {
        if let Some((key, kind)) = self.here.remove(&connection) {
            self.discount(&key.pool, kind);
        }
    }

    /// The directory shows a runner.
    pub(super) fn seen(&mut self, seen: &RunnerSeen) {
        if let Some(kind) = self.seen.remove(&seen.key) {
            self.discount(&seen.key.pool, kind);
        }
        let Some(record) = seen.record.as_ref().map(|versioned| &versioned.record) else { return };
        if record.connection.is_none() || self.seen.len() >= self.max_seen {
            return;
        }
        let kind = PoolKind::of(record.abilities);
        self.seen.insert(seen.key.clone(), kind);
        self.count(&seen.key.pool, kind);
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
