//! The directory: a shared table.

use core::fmt;
use core::future::poll_fn;
use core::mem;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use underpass_core::directory::{
    ChangeOutcome, Directory, DirectoryUnavailable, Revision, RunnerChange, RunnerKey, RunnerRecord, RunnerSeen,
    Versioned, Watch,
};
use underpass_core::protocol::GatewayId;

use crate::{lock, wait};

/// A directory within the process. Clones are the same directory. It is never away.
///
/// Revisions are counted over all records, so a record that was removed and made again never has an old one.
#[derive(Clone, Default)]
pub struct MemDirectory {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    gateways: BTreeSet<GatewayId>,
    runners: BTreeMap<RunnerKey, Versioned<RunnerRecord>>,
    revision: u64,
    watchers: BTreeMap<u64, Watcher>,
    watchers_ever: u64,
}

/// What one watcher has yet to see.
#[derive(Default)]
struct Watcher {
    /// The runners whose records changed since it looked, and whether it knows that they exist. A runner that came
    /// and went unseen is left out; so there are at most as many as it knows and as there are.
    dirty: BTreeMap<RunnerKey, bool>,
    waiting: Option<Waker>,
}

impl Table {
    /// Makes a change if the record is as expected. Whom to wake then is pushed to `wakers`.
    fn change(&mut self, change: RunnerChange, wakers: &mut Vec<Waker>) -> ChangeOutcome {
        let RunnerChange { key, expected, record } = change;
        let current = self.runners.get(&key);
        if current.map(|current| current.revision) != expected {
            return ChangeOutcome::Conflict(current.cloned());
        }
        let existed = current.is_some();
        let exists = record.is_some();
        self.revision += 1;
        let revision = Revision(self.revision);
        match record {
            Some(record) => drop(self.runners.insert(key.clone(), Versioned { revision, record })),
            None => drop(self.runners.remove(&key)),
        }
        if existed || exists {
            for watcher in self.watchers.values_mut() {
                watcher.mark(&key, existed, exists);
                wakers.extend(watcher.waiting.take());
            }
        }
        ChangeOutcome::Stored(revision)
    }
}

impl Watcher {
    fn mark(&mut self, key: &RunnerKey, existed: bool, exists: bool) {
        match self.dirty.get(key) {
            Some(false) if !exists => drop(self.dirty.remove(key)),
            Some(_) => {}
            // It has seen the record as it was until now.
            None => drop(self.dirty.insert(key.clone(), existed)),
        }
    }
}

impl MemDirectory {
    /// An empty directory of its own.
    pub fn new() -> Self {
        MemDirectory::default()
    }

    /// The runners' records as they are now, in the order of their keys.
    pub fn runners(&self) -> Vec<(RunnerKey, Versioned<RunnerRecord>)> {
        let table = lock(&self.table);
        table.runners.iter().map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// The gateway ids that are claimed, in order.
    pub fn gateways(&self) -> Vec<GatewayId> {
        lock(&self.table).gateways.iter().copied().collect()
    }

    /// How many watches are held.
    pub fn watches(&self) -> usize {
        lock(&self.table).watchers.len()
    }
}

impl fmt::Debug for MemDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = lock(&self.table);
        f.debug_struct("MemDirectory")
            .field("gateways", &table.gateways)
            .field("runners", &table.runners)
            .field("watches", &table.watchers.len())
            .finish()
    }
}

impl Directory for MemDirectory {
    type Watch = MemWatch;

    /// Zero is never free: it names no gateway.
    async fn claim_gateway(&self, id: GatewayId) -> Result<bool, DirectoryUnavailable> {
        Ok(id != GatewayId::ZERO && lock(&self.table).gateways.insert(id))
    }

    async fn release_gateway(&self, id: GatewayId) -> Result<(), DirectoryUnavailable> {
        lock(&self.table).gateways.remove(&id);
        Ok(())
    }

    async fn change_runner(&self, change: RunnerChange) -> ChangeOutcome {
        let mut wakers = Vec::new();
        let outcome = lock(&self.table).change(change, &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        outcome
    }

    async fn watch_runners(&self) -> Result<MemWatch, DirectoryUnavailable> {
        let mut guard = lock(&self.table);
        let table = &mut *guard;
        let number = table.watchers_ever;
        table.watchers_ever += 1;
        let dirty = table.runners.keys().map(|key| (key.clone(), false)).collect();
        table.watchers.insert(number, Watcher { dirty, waiting: None });
        Ok(MemWatch { table: self.table.clone(), number })
    }
}

/// A watch on the runners of a [`MemDirectory`]: first those that are there, then changes, each runner as it is when
/// one looks. What it holds is bounded by the number of runners.
pub struct MemWatch {
    table: Arc<Mutex<Table>>,
    number: u64,
}

impl MemWatch {
    fn poll(&self, seen: &mut Vec<RunnerSeen>, context: &Context<'_>) -> Poll<Result<(), DirectoryUnavailable>> {
        let mut guard = lock(&self.table);
        let table = &mut *guard;
        let Some(watcher) = table.watchers.get_mut(&self.number) else {
            return Poll::Ready(Err(DirectoryUnavailable));
        };
        if watcher.dirty.is_empty() {
            wait(&mut watcher.waiting, context);
            return Poll::Pending;
        }
        seen.extend(mem::take(&mut watcher.dirty).into_keys().map(|key| {
            let record = table.runners.get(&key).cloned();
            RunnerSeen { key, record }
        }));
        Poll::Ready(Ok(()))
    }
}

impl Watch for MemWatch {
    /// Never fails. Runners come in the order of their keys.
    async fn changed(&mut self, seen: &mut Vec<RunnerSeen>) -> Result<(), DirectoryUnavailable> {
        poll_fn(|context| self.poll(seen, context)).await
    }
}

impl Drop for MemWatch {
    fn drop(&mut self) {
        lock(&self.table).watchers.remove(&self.number);
    }
}

impl fmt::Debug for MemWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemWatch").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use underpass_core::directory::{Abilities, Pool, RunnerId, RunnerState};
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Woken, block_on, poll_once};

    fn key(key: &'static str) -> RunnerKey {
        RunnerKey { pool: Pool { namespace: "default".into(), name: "default".into() }, key: key.into() }
    }

    fn record(slots: u32) -> RunnerRecord {
        RunnerRecord {
            id: RunnerId(Uuid::from_u128(1)),
            slots,
            protocol_version: 7,
            abilities: Abilities::default(),
            connection: None,
            moving: None,
            state: RunnerState::Ready,
        }
    }

    fn change(
        directory: &MemDirectory,
        name: &'static str,
        expected: Option<Revision>,
        slots: Option<u32>,
    ) -> ChangeOutcome {
        let change = RunnerChange { key: key(name), expected, record: slots.map(record) };
        block_on(directory.change_runner(change))
    }

    fn store(directory: &MemDirectory, name: &'static str, expected: Option<Revision>, slots: Option<u32>) -> Revision {
        match change(directory, name, expected, slots) {
            ChangeOutcome::Stored(revision) => revision,
            outcome @ (ChangeOutcome::Conflict(_) | ChangeOutcome::Unavailable) => panic!("{outcome:?}"),
        }
    }

    fn watch(directory: &MemDirectory) -> MemWatch {
        block_on(directory.watch_runners()).unwrap()
    }

    /// Keys and slots of what changed.
    fn changed(watch: &mut MemWatch) -> Vec<(String, Option<u32>)> {
        let mut seen = Vec::new();
        block_on(watch.changed(&mut seen)).unwrap();
        let slots = |seen: RunnerSeen| (seen.key.key.to_string(), seen.record.map(|versioned| versioned.record.slots));
        seen.into_iter().map(slots).collect()
    }

    fn is_quiet(watch: &mut MemWatch) -> bool {
        poll_once(watch.changed(&mut Vec::new()), &Arc::default()).is_pending()
    }

    #[test]
    fn a_gateway_id_is_claimed_once_until_it_is_given_back() {
        let directory = MemDirectory::new();
        let id = GatewayId([0, 0, 0, 1]);
        assert_eq!(block_on(directory.claim_gateway(id)), Ok(true));
        assert_eq!(block_on(directory.clone().claim_gateway(id)), Ok(false));
        assert_eq!(directory.gateways(), [id]);
        block_on(directory.release_gateway(id)).unwrap();
        assert_eq!(block_on(directory.claim_gateway(id)), Ok(true));
    }

    #[test]
    fn the_gateway_id_zero_is_never_free() {
        assert_eq!(block_on(MemDirectory::new().claim_gateway(GatewayId::ZERO)), Ok(false));
    }

    #[test]
    fn a_change_of_what_is_expected_is_stored() {
        let directory = MemDirectory::new();
        let made = store(&directory, "a", None, Some(1));
        let changed = store(&directory, "a", Some(made), Some(2));
        assert!(changed > made);
        assert_eq!(directory.runners(), [(key("a"), Versioned { revision: changed, record: record(2) })]);
        store(&directory, "a", Some(changed), None);
        assert_eq!(directory.runners(), []);
    }

    #[test]
    fn a_change_of_something_else_is_a_conflict_that_says_what_is_there() {
        let directory = MemDirectory::new();
        assert_eq!(change(&directory, "a", Some(Revision(1)), Some(1)), ChangeOutcome::Conflict(None));
        let old = store(&directory, "a", None, Some(1));
        let new = store(&directory, "a", Some(old), Some(2));
        let there = ChangeOutcome::Conflict(Some(Versioned { revision: new, record: record(2) }));
        assert_eq!(change(&directory, "a", None, Some(3)), there);
        assert_eq!(change(&directory, "a", Some(old), Some(3)), there);
        assert_eq!(change(&directory, "a", Some(old), None), there);
    }

    #[test]
    fn a_record_made_again_does_not_have_an_old_revision() {
        let directory = MemDirectory::new();
        let first = store(&directory, "a", None, Some(1));
        store(&directory, "a", Some(first), None);
        assert!(store(&directory, "a", None, Some(1)) > first);
    }

    #[test]
    fn one_of_many_racing_changes_wins_each_round() {
        let directory = MemDirectory::new();
        let racer = || {
            let directory = directory.clone();
            thread::spawn(move || {
                let mut expected = None;
                for _ in 0..1_000 {
                    loop {
                        match change(&directory, "a", expected, Some(1)) {
                            ChangeOutcome::Stored(revision) => {
                                expected = Some(revision);
                                break;
                            }
                            ChangeOutcome::Conflict(current) => expected = current.map(|current| current.revision),
                            ChangeOutcome::Unavailable => panic!("never away"),
                        }
                    }
                }
            })
        };
        for racer in [racer(), racer()] {
            racer.join().unwrap();
        }
        assert_eq!(directory.runners()[0].1.revision, Revision(2_000));
    }

    #[test]
    fn a_watch_shows_those_that_are_there_first() {
        let directory = MemDirectory::new();
        store(&directory, "b", None, Some(2));
        store(&directory, "a", None, Some(1));
        let mut watch = watch(&directory);
        assert_eq!(changed(&mut watch), [("a".into(), Some(1)), ("b".into(), Some(2))]);
        assert!(is_quiet(&mut watch));
    }

    #[test]
    fn a_watch_shows_a_runner_that_changes_often_as_it_is_now() {
        let directory = MemDirectory::new();
        let mut watch = watch(&directory);
        let mut revision = store(&directory, "a", None, Some(0));
        for slots in 1..100 {
            revision = store(&directory, "a", Some(revision), Some(slots));
        }
        store(&directory, "b", None, Some(7));
        assert_eq!(changed(&mut watch), [("a".into(), Some(99)), ("b".into(), Some(7))]);
        store(&directory, "a", Some(revision), None);
        assert_eq!(changed(&mut watch), [("a".into(), None)]);
        assert!(is_quiet(&mut watch));
    }

    #[test]
    fn a_runner_that_came_and_went_unseen_is_not_shown() {
        let directory = MemDirectory::new();
        let known = store(&directory, "a", None, Some(1));
        let mut watch = watch(&directory);
        assert_eq!(changed(&mut watch).len(), 1);
        let unseen = store(&directory, "b", None, Some(1));
        store(&directory, "b", Some(unseen), None);
        assert!(is_quiet(&mut watch));
        store(&directory, "a", Some(known), None);
        let again = store(&directory, "a", None, Some(2));
        store(&directory, "a", Some(again), None);
        assert_eq!(changed(&mut watch), [("a".into(), None)]);
    }

    #[test]
    fn a_refused_change_is_not_shown() {
        let directory = MemDirectory::new();
        let mut watch = watch(&directory);
        change(&directory, "a", Some(Revision(1)), Some(1));
        store(&directory, "a", None, None);
        assert!(is_quiet(&mut watch));
    }

    #[test]
    fn a_waiting_watch_is_woken() {
        let directory = MemDirectory::new();
        let mut watch = watch(&directory);
        let woken = Arc::new(Woken::default());
        assert!(poll_once(watch.changed(&mut Vec::new()), &woken).is_pending());
        store(&directory, "a", None, Some(1));
        store(&directory, "b", None, Some(1));
        assert_eq!(woken.times(), 1);
        assert_eq!(changed(&mut watch).len(), 2);
    }

    #[test]
    fn a_dropped_watch_costs_nothing_more() {
        let directory = MemDirectory::new();
        let watch = watch(&directory);
        assert_eq!(directory.watches(), 1);
        drop(watch);
        assert_eq!(directory.watches(), 0);
    }
}
