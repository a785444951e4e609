//! Runners and actors, as the directory tells a gateway or a relay of this process of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use underpass_core::directory::{
    ActorKey, ActorRecord, ActorSeen, RunnerId, RunnerKey, RunnerRecord, RunnerSeen, Seen,
};
use underpass_core::observe::Observer;
use underpass_core::{Gateway, Relay, Time, gateway, relay};

/// How many runners, and how many actors, are kept.
const MAX_EACH: usize = 10_000;

/// What is known of runners and actors. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    changes: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    runners: Kept<RunnerKey, RunnerRecord>,
    actors: Kept<ActorKey, ActorRecord>,
    /// Since when a relay has heard nothing of the directory.
    away: Option<Duration>,
}

/// Records of a kind.
#[derive(Debug)]
struct Kept<Key, Record> {
    rows: BTreeMap<Key, Row<Record>>,
    /// Whether there are more than are kept.
    has_more: bool,
}

/// A record, and when it was first and last told of, Unix time.
#[derive(Clone, Debug)]
pub(crate) struct Row<Record> {
    pub(crate) record: Record,
    pub(crate) first: Duration,
    pub(crate) last: Duration,
}

/// The first of what is known, to be read while the machines go on.
#[derive(Debug)]
pub(crate) struct First<Key, Record> {
    pub(crate) rows: Vec<(Key, Row<Record>)>,
    /// How many more are known.
    pub(crate) left_out: usize,
    /// Whether there are still more, of which nothing is known.
    pub(crate) has_more: bool,
}

impl<Key, Record> Default for Kept<Key, Record> {
    fn default() -> Self {
        Kept { rows: BTreeMap::new(), has_more: false }
    }
}

impl<Key: Ord + Clone, Record: Clone> Kept<Key, Record> {
    fn seen(&mut self, seen: &Seen<Key, Record>, at: Duration) {
        let is_full = self.rows.len() >= MAX_EACH;
        match (&seen.record, self.rows.get_mut(&seen.key)) {
            (Some(versioned), Some(row)) => {
                row.record = versioned.record.clone();
                row.last = at;
            }
            (Some(_), None) if is_full => self.has_more = true,
            (Some(versioned), None) => {
                let row = Row { record: versioned.record.clone(), first: at, last: at };
                self.rows.insert(seen.key.clone(), row);
            }
            (None, _) => {
                self.rows.remove(&seen.key);
                self.has_room();
            }
        }
    }

    /// Keeps those of which this is so.
    fn retain(&mut self, is_so: impl Fn(&Key, &Row<Record>) -> bool) {
        self.rows.retain(|key, row| is_so(key, row));
        self.has_room();
    }

    /// Whoever was left out has room, when it is told of again.
    fn has_room(&mut self) {
        self.has_more &= self.rows.len() >= MAX_EACH;
    }

    fn first(&self, most: usize) -> First<Key, Record> {
        let rows: Vec<_> = self.rows.iter().take(most).map(|(key, row)| (key.clone(), row.clone())).collect();
        let left_out = self.rows.len() - rows.len();
        First { rows, left_out, has_more: self.has_more }
    }
}

impl Fleet {
    /// How often anything has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    /// The runners, at most so many.
    pub(crate) fn runners(&self, most: usize) -> First<RunnerKey, RunnerRecord> {
        self.lock().runners.first(most)
    }

    /// The same of actors.
    pub(crate) fn actors(&self, most: usize) -> First<ActorKey, ActorRecord> {
        self.lock().actors.first(most)
    }

    /// The record of one runner.
    pub(crate) fn runner(&self, id: RunnerId) -> Option<RunnerRecord> {
        let known = self.lock();
        known.runners.rows.values().find(|row| row.record.id == id).map(|row| row.record.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, learn: impl FnOnce(&mut Known, Duration)) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        learn(&mut self.lock(), at);
        self.0.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn runner_seen(&self, seen: &RunnerSeen) {
        self.learn(|known, at| known.runners.seen(seen, at));
    }

    fn actor_seen(&self, seen: &ActorSeen) {
        self.learn(|known, at| known.actors.seen(seen, at));
    }
}

impl Observer<Gateway> for Fleet {
    fn event(&mut self, _machine: &Gateway, event: &gateway::Event, _now: Time) {
        use gateway::Event;
        match event {
            Event::Directory(seen) => self.runner_seen(seen),
            Event::Actor(seen) => self.actor_seen(seen),
            Event::Actors(all) => {
                self.learn(|known, at| {
                    let there: BTreeSet<&ActorKey> = all.iter().map(|seen| &seen.key).collect();
                    known.actors.retain(|key, _| there.contains(key));
                    all.iter().for_each(|seen| known.actors.seen(seen, at));
                });
            }
            // All that are there are told of when it is back. Those that went meanwhile are not told of.
            Event::DirectoryAway => self.learn(|known, _| known.runners = Kept::default()),
            Event::Tick
            | Event::WallClock { .. }
            | Event::Received { .. }
            | Event::PublishFailed(_)
            | Event::NoResponders { .. }
            | Event::Lost { .. }
            | Event::ActorChanged { .. }
            | Event::RegistryChanged { .. }
            | Event::DirectoryBack
            | Event::RequestChunk { .. }
            | Event::WebSocketMessage { .. }
            | Event::WebSocketClose { .. }
            | Event::Consumed { .. }
            | Event::ClientGone { .. }
            | Event::EndRequest { .. }
            | Event::Drain => {}
        }
    }

    fn action(&mut self, _machine: &Gateway, _action: &gateway::Action, _now: Time) {}
}

impl Observer<Relay> for Fleet {
    fn event(&mut self, _machine: &Relay, event: &relay::Event, _now: Time) {
        use relay::Event;
        match event {
            Event::Runner(seen) => self.runner_seen(seen),
            Event::Actor(seen) => self.actor_seen(seen),
            Event::DirectoryAway => self.learn(|known, at| known.away = Some(at)),
            // All that there is has been told of since.
            Event::DirectoryBack => self.learn(|known, _| {
                if let Some(away) = known.away.take() {
                    known.runners.retain(|_, row| row.last >= away);
                    known.actors.retain(|_, row| row.last >= away);
                }
            }),
            Event::Tick
            | Event::WallClock { .. }
            | Event::Connected { .. }
            | Event::FromRunner { .. }
            | Event::TextFromRunner { .. }
            | Event::Ponged { .. }
            | Event::Disconnected { .. }
            | Event::PeerBlocked { .. }
            | Event::PeerWritable { .. }
            | Event::FromBus { .. }
            | Event::PublishFailed(_)
            | Event::NoResponders { .. }
            | Event::Lost { .. }
            | Event::Directory { .. }
            | Event::ActorChanged { .. }
            | Event::Registered { .. }
            | Event::KvAnswered { .. }
            | Event::DrainRunner { .. }
            | Event::Drain => {}
        }
    }

    fn action(&mut self, _machine: &Relay, _action: &relay::Action, _now: Time) {}
}

#[cfg(test)]
mod tests {
    use underpass_core::bus::{ConnectionId, RelayId};
    use underpass_core::directory::{Abilities, Pool, Revision, RunnerState, Versioned};
    use underpass_core::protocol::GatewayId;
    use uuid::Uuid;

    use super::*;

    fn told(key: usize, is_there: bool) -> Seen<usize, ()> {
        let record = is_there.then_some(Versioned { revision: Revision(1), record: () });
        Seen { key, record }
    }

    #[test]
    fn that_there_are_more_than_are_kept_is_said_while_there_is_no_room() {
        let mut kept = Kept::default();
        for key in 0..MAX_EACH {
            kept.seen(&told(key, true), Duration::ZERO);
        }
        assert!(!kept.first(0).has_more);
        for _ in 0..3 {
            kept.seen(&told(MAX_EACH, true), Duration::ZERO);
        }
        let First { rows, left_out, has_more } = kept.first(1_000);
        assert_eq!((rows.len(), left_out, has_more), (1_000, MAX_EACH - 1_000, true));
        kept.seen(&told(MAX_EACH, false), Duration::ZERO);
        assert!(kept.first(0).has_more);
        kept.seen(&told(0, false), Duration::ZERO);
        assert!(!kept.first(0).has_more);
        kept.seen(&told(MAX_EACH, true), Duration::ZERO);
        assert_eq!((kept.first(0).left_out, kept.first(0).has_more), (MAX_EACH, false));
    }

    #[test]
    fn runners_whose_end_a_gateway_may_miss_are_forgotten() {
        let pool = Pool { namespace: "default".into(), name: "default".into() };
        let record = RunnerRecord {
            id: RunnerId(Uuid::nil()),
            slots: 1,
            protocol_version: 7,
            abilities: Abilities::default(),
            connection: Some(ConnectionId { relay: RelayId(Uuid::nil()), number: 1 }),
            moving: None,
            state: RunnerState::Ready,
            entered: None,
        };
        let record = Some(Versioned { revision: Revision(1), record });
        let seen = RunnerSeen { key: RunnerKey { pool, key: "a".into() }, record };
        let gateway = Gateway::new(gateway::Config::default(), GatewayId([1; 4]), 1, Time::ZERO).unwrap();
        let mut fleet = Fleet::default();
        for (event, runners) in [
            (gateway::Event::Directory(seen.clone()), 1),
            (gateway::Event::DirectoryAway, 0),
            (gateway::Event::Directory(seen), 1),
            (gateway::Event::DirectoryBack, 1),
        ] {
            fleet.event(&gateway, &event, Time::ZERO);
            assert_eq!(fleet.runners(10).rows.len(), runners, "{event:?}");
        }
    }
}
