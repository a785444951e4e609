//! The directory: a shared table.

use core::fmt;
use core::future::poll_fn;
use core::mem;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use underpass_core::Time;
use underpass_core::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, Change, ChangeOutcome, Directory, DirectoryUnavailable,
    HibernatingSocket, RegistryChange, Revision, RunnerChange, RunnerKey, RunnerRecord, Seen, Versioned, Watch,
};
use underpass_core::protocol::GatewayId;
use underpass_core::protocol::to_client::HibernatingRequest;

use crate::registry::Registry;
use crate::{lock, wait};

/// A directory within the process. Clones are the same directory. It is never away.
///
/// Revisions are counted over all records of a kind, so a record that was removed and made again never has an old one.
#[derive(Clone)]
pub struct MemDirectory {
    gateways: Arc<Mutex<BTreeSet<GatewayId>>>,
    runners: Shared<RunnerKey, RunnerRecord>,
    actors: Shared<ActorKey, ActorRecord>,
    registry: Arc<Mutex<Registry>>,
    /// From here on the registry counts time.
    since: Instant,
}

type Shared<Key, Record> = Arc<Mutex<Table<Key, Record>>>;

/// The records of one kind, and who watches them.
struct Table<Key, Record> {
    records: BTreeMap<Key, Versioned<Record>>,
    revision: u64,
    watchers: BTreeMap<u64, Watcher<Key>>,
    watchers_ever: u64,
}

/// What one watcher has yet to see.
struct Watcher<Key> {
    /// The keys whose records changed since it looked, and whether it knows that they exist. A record that came and
    /// went unseen is left out; so there are at most as many as it knows and as there are.
    dirty: BTreeMap<Key, bool>,
    waiting: Option<Waker>,
}

impl<Key, Record> Default for Table<Key, Record> {
    fn default() -> Self {
        Table { records: BTreeMap::new(), revision: 0, watchers: BTreeMap::new(), watchers_ever: 0 }
    }
}

impl<Key: Ord + Clone, Record: Clone> Table<Key, Record> {
    /// Makes a change if the record is as expected. Whom to wake then is pushed to `wakers`.
    fn change(&mut self, change: Change<Key, Record>, wakers: &mut Vec<Waker>) -> ChangeOutcome<Record> {
        let Change { key, expected, record } = change;
        let current = self.records.get(&key);
        if current.map(|current| current.revision) != expected {
            return ChangeOutcome::Conflict(current.cloned());
        }
        let existed = current.is_some();
        let exists = record.is_some();
        self.revision += 1;
        let revision = Revision(self.revision);
        match record {
            Some(record) => drop(self.records.insert(key.clone(), Versioned { revision, record })),
            None => drop(self.records.remove(&key)),
        }
        if existed || exists {
            for watcher in self.watchers.values_mut() {
                watcher.mark(&key, existed, exists);
                wakers.extend(watcher.waiting.take());
            }
        }
        ChangeOutcome::Stored(revision)
    }

    /// A watcher that has yet to see these.
    fn watch(&mut self, dirty: BTreeMap<Key, bool>) -> u64 {
        let number = self.watchers_ever;
        self.watchers_ever += 1;
        self.watchers.insert(number, Watcher { dirty, waiting: None });
        number
    }

    /// The records as they are now, in the order of their keys.
    fn all(&self) -> Vec<(Key, Versioned<Record>)> {
        self.records.iter().map(|(key, record)| (key.clone(), record.clone())).collect()
    }
}

impl<Key: Ord + Clone> Watcher<Key> {
    fn mark(&mut self, key: &Key, existed: bool, exists: bool) {
        match self.dirty.get(key) {
            Some(false) if !exists => drop(self.dirty.remove(key)),
            Some(_) => {}
            // It has seen the record as it was until now.
            None => drop(self.dirty.insert(key.clone(), existed)),
        }
    }
}

fn change<Key: Ord + Clone, Record: Clone>(
    table: &Mutex<Table<Key, Record>>,
    change: Change<Key, Record>,
) -> ChangeOutcome<Record> {
    let mut wakers = Vec::new();
    let outcome = lock(table).change(change, &mut wakers);
    wakers.into_iter().for_each(Waker::wake);
    outcome
}

impl MemDirectory {
    /// An empty directory of its own.
    pub fn new() -> Self {
        MemDirectory {
            gateways: Arc::default(),
            runners: Arc::default(),
            actors: Arc::default(),
            registry: Arc::default(),
            since: Instant::now(),
        }
    }

    /// What the registry counts time by.
    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The WebSockets that are entered in the registry, in the order of their actors. Some may be too old.
    pub fn registry(&self) -> Vec<HibernatingSocket> {
        lock(&self.registry).entered().collect()
    }

    /// The runners' records as they are now, in the order of their keys.
    pub fn runners(&self) -> Vec<(RunnerKey, Versioned<RunnerRecord>)> {
        lock(&self.runners).all()
    }

    /// The actors' records as they are now, in the order of their keys.
    pub fn actors(&self) -> Vec<(ActorKey, Versioned<ActorRecord>)> {
        lock(&self.actors).all()
    }

    /// The gateway ids that are claimed, in order.
    pub fn gateways(&self) -> Vec<GatewayId> {
        lock(&self.gateways).iter().copied().collect()
    }

    /// How many watches are held.
    pub fn watches(&self) -> usize {
        lock(&self.runners).watchers.len() + lock(&self.actors).watchers.len()
    }
}

impl Default for MemDirectory {
    fn default() -> Self {
        MemDirectory::new()
    }
}

impl fmt::Debug for MemDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemDirectory")
            .field("gateways", &*lock(&self.gateways))
            .field("runners", &lock(&self.runners).records)
            .field("actors", &lock(&self.actors).records)
            .field("registry", &*lock(&self.registry))
            .field("watches", &self.watches())
            .finish()
    }
}

impl Directory for MemDirectory {
    type Watch = MemWatch<RunnerKey, RunnerRecord>;
    type ActorWatch = MemWatch<ActorKey, ActorRecord>;

    /// Zero is never free: it names no gateway.
    async fn claim_gateway(&self, id: GatewayId) -> Result<bool, DirectoryUnavailable> {
        Ok(id != GatewayId::ZERO && lock(&self.gateways).insert(id))
    }

    async fn release_gateway(&self, id: GatewayId) -> Result<(), DirectoryUnavailable> {
        lock(&self.gateways).remove(&id);
        lock(&self.registry).forget(id);
        Ok(())
    }

    async fn change_runner(&self, asked: RunnerChange) -> ChangeOutcome {
        change(&self.runners, asked)
    }

    async fn watch_runners(&self) -> Result<Self::Watch, DirectoryUnavailable> {
        let mut table = lock(&self.runners);
        let dirty = table.records.keys().map(|key| (key.clone(), false)).collect();
        let number = table.watch(dirty);
        Ok(MemWatch { table: self.runners.clone(), number })
    }

    async fn change_actor(&self, asked: ActorChange) -> ChangeOutcome<ActorRecord> {
        change(&self.actors, asked)
    }

    async fn watch_actors(&self) -> Result<(Vec<ActorSeen>, Self::ActorWatch), DirectoryUnavailable> {
        let mut table = lock(&self.actors);
        let there = table.all().into_iter().map(|(key, record)| Seen { key, record: Some(record) }).collect();
        let number = table.watch(BTreeMap::new());
        Ok((there, MemWatch { table: self.actors.clone(), number }))
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<(), DirectoryUnavailable> {
        lock(&self.registry).change(change, self.now());
        Ok(())
    }

    async fn registered(&self, actor: ActorKey) -> Result<Vec<HibernatingRequest>, DirectoryUnavailable> {
        Ok(lock(&self.registry).registered(&actor, self.now()))
    }
}

/// A watch on the records of one kind of a [`MemDirectory`]: each as it is when one looks. What it holds is bounded
/// by the number of records.
pub struct MemWatch<Key: Ord, Record> {
    table: Shared<Key, Record>,
    number: u64,
}

impl<Key: Ord + Clone, Record: Clone> MemWatch<Key, Record> {
    fn poll(&self, seen: &mut Vec<Seen<Key, Record>>, context: &Context<'_>) -> Poll<Result<(), DirectoryUnavailable>> {
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
            let record = table.records.get(&key).cloned();
            Seen { key, record }
        }));
        Poll::Ready(Ok(()))
    }
}

impl<Key, Record> Watch<Seen<Key, Record>> for MemWatch<Key, Record>
where
    Key: Ord + Clone + Send + 'static,
    Record: Clone + Send + 'static,
{
    /// Never fails. Records come in the order of their keys.
    async fn changed(&mut self, seen: &mut Vec<Seen<Key, Record>>) -> Result<(), DirectoryUnavailable> {
        poll_fn(|context| self.poll(seen, context)).await
    }
}

impl<Key: Ord, Record> Drop for MemWatch<Key, Record> {
    fn drop(&mut self) {
        lock(&self.table).watchers.remove(&self.number);
    }
}

impl<Key: Ord, Record> fmt::Debug for MemWatch<Key, Record> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemWatch").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use underpass_core::directory::{Abilities, ActorState, Pool, RunnerId, RunnerSeen, RunnerState};
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
            entered: None,
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

    fn watch(directory: &MemDirectory) -> MemWatch<RunnerKey, RunnerRecord> {
        block_on(directory.watch_runners()).unwrap()
    }

    /// Keys and slots of what changed.
    fn changed(watch: &mut MemWatch<RunnerKey, RunnerRecord>) -> Vec<(String, Option<u32>)> {
        let mut seen = Vec::new();
        block_on(watch.changed(&mut seen)).unwrap();
        let slots = |seen: RunnerSeen| (seen.key.key.to_string(), seen.record.map(|versioned| versioned.record.slots));
        seen.into_iter().map(slots).collect()
    }

    fn is_quiet(watch: &mut MemWatch<RunnerKey, RunnerRecord>) -> bool {
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

    fn actor(actor_id: &'static str) -> ActorKey {
        ActorKey { pool: key("a").pool, actor_id: actor_id.into() }
    }

    fn wants(
        directory: &MemDirectory,
        actor_id: &'static str,
        expected: Option<Revision>,
        state: ActorState,
    ) -> ChangeOutcome<ActorRecord> {
        let record = ActorRecord { state, ..ActorRecord::wanted(None, 7).expect("a record") };
        let change = ActorChange { key: actor(actor_id), expected, record: Some(record) };
        block_on(directory.change_actor(change))
    }

    #[test]
    fn an_actor_is_changed_by_compare_and_set_like_a_runner() {
        let directory = MemDirectory::new();
        let outcome = wants(&directory, "x", None, ActorState::Wanted);
        let ChangeOutcome::Stored(made) = outcome else { panic!("{outcome:?}") };
        let there = directory.actors();
        assert_eq!(there[0].0, actor("x"));
        let conflict = ChangeOutcome::Conflict(Some(there[0].1.clone()));
        assert_eq!(wants(&directory, "x", None, ActorState::Sleeping), conflict);
        let outcome = wants(&directory, "x", Some(made), ActorState::Sleeping);
        let ChangeOutcome::Stored(changed) = outcome else { panic!("{outcome:?}") };
        assert!(changed > made);
        assert_eq!(wants(&directory, "y", Some(changed), ActorState::Wanted), ChangeOutcome::Conflict(None));
        let removal = ActorChange { key: actor("x"), expected: Some(changed), record: None };
        assert!(matches!(block_on(directory.change_actor(removal)), ChangeOutcome::Stored(_)));
        assert_eq!(directory.actors(), []);
    }

    #[test]
    fn a_watch_on_actors_comes_with_those_that_are_there_and_shows_only_what_changes() {
        let directory = MemDirectory::new();
        wants(&directory, "a", None, ActorState::Wanted);
        let (there, mut watch) = block_on(directory.watch_actors()).unwrap();
        assert_eq!(there.len(), 1);
        assert!(poll_once(watch.changed(&mut Vec::new()), &Arc::default()).is_pending());
        wants(&directory, "b", None, ActorState::Wanted);
        store(&directory, "a", None, Some(1));
        let mut seen = Vec::new();
        block_on(watch.changed(&mut seen)).unwrap();
        assert_eq!(seen.iter().map(|seen| &seen.key).collect::<Vec<_>>(), [&actor("b")]);
        assert_eq!(directory.watches(), 1);
        drop(watch);
        assert_eq!(directory.watches(), 0);
    }

    #[test]
    fn one_of_two_who_claim_an_actor_has_it() {
        let directory = MemDirectory::new();
        let outcome = wants(&directory, "x", None, ActorState::Wanted);
        let ChangeOutcome::Stored(made) = outcome else { panic!("{outcome:?}") };
        let runner = |number| RunnerId(Uuid::from_u128(number));
        let first = wants(&directory, "x", Some(made), ActorState::Starting(runner(1)));
        assert!(matches!(first, ChangeOutcome::Stored(_)));
        let second = wants(&directory, "x", Some(made), ActorState::Starting(runner(2)));
        let ChangeOutcome::Conflict(Some(there)) = second else { panic!("{second:?}") };
        assert_eq!(there.record.state.runner(), Some(runner(1)));
    }
}
