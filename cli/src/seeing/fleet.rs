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

/// How many runners, and how many actors, are kept; more are counted.
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
    left_out: u64,
}

/// A record, and when it was first and last told of, Unix time.
#[derive(Clone, Debug)]
pub(crate) struct Row<Record> {
    pub(crate) record: Record,
    pub(crate) first: Duration,
    pub(crate) last: Duration,
}

impl<Key, Record> Default for Kept<Key, Record> {
    fn default() -> Self {
        Kept { rows: BTreeMap::new(), left_out: 0 }
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
            (Some(_), None) if is_full => self.left_out += 1,
            (Some(versioned), None) => {
                let row = Row { record: versioned.record.clone(), first: at, last: at };
                self.rows.insert(seen.key.clone(), row);
            }
            (None, _) => drop(self.rows.remove(&seen.key)),
        }
    }

    fn all<T>(&self, most: usize, mut make: impl FnMut(&Key, &Row<Record>) -> T) -> (Vec<T>, u64) {
        let made: Vec<T> = self.rows.iter().take(most).map(|(key, row)| make(key, row)).collect();
        let left_out = self.left_out + (self.rows.len() - made.len()) as u64;
        (made, left_out)
    }
}

impl Fleet {
    /// How often anything has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    /// Makes something of each runner, at most so many; and how many are left out.
    pub(crate) fn runners<T>(
        &self,
        most: usize,
        make: impl FnMut(&RunnerKey, &Row<RunnerRecord>) -> T,
    ) -> (Vec<T>, u64) {
        self.lock().runners.all(most, make)
    }

    /// The same of actors.
    pub(crate) fn actors<T>(&self, most: usize, make: impl FnMut(&ActorKey, &Row<ActorRecord>) -> T) -> (Vec<T>, u64) {
        self.lock().actors.all(most, make)
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
                    known.actors.rows.retain(|key, _| there.contains(key));
                    all.iter().for_each(|seen| known.actors.seen(seen, at));
                });
            }
            Event::Tick
            | Event::WallClock { .. }
            | Event::Received { .. }
            | Event::PublishFailed(_)
            | Event::NoResponders { .. }
            | Event::Lost { .. }
            | Event::ActorChanged { .. }
            | Event::RegistryChanged { .. }
            | Event::DirectoryAway
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
                    known.runners.rows.retain(|_, row| row.last >= away);
                    known.actors.rows.retain(|_, row| row.last >= away);
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
