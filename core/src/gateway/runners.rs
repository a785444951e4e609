//! What a gateway knows of runners: which there are, who takes the next request, and who has which.

use core::time::Duration;
use std::collections::BTreeSet;

use hashbrown::HashMap;
use slab::Slab;

use super::link::Standing;
pub(super) use super::link::{Link, LinkKey};
use crate::bus::{ConnectionId, RelayId};
use crate::directory::{Pool, RunnerId, RunnerKey, RunnerRecord, RunnerSeen};
use crate::machine::RequestKey;
use crate::time::Time;

/// The runners that the directory tells of.
#[derive(Debug)]
pub(super) struct Runners {
    links: Slab<Link>,
    runners: HashMap<RunnerKey, Runner>,
    connections: HashMap<ConnectionId, LinkKey>,
    /// Where each runner is.
    hosts: HashMap<RunnerId, LinkKey>,
    pools: HashMap<Pool, Runnable>,
    turns: u64,
    /// How long after the last word of a runner it takes no requests.
    unseen: Duration,
    directory: Telling,
}

/// A runner that has a record.
#[derive(Debug)]
struct Runner {
    stateless: bool,
    /// Where it is.
    current: Option<LinkKey>,
    /// Where it was before its relay drained.
    moving: Option<LinkKey>,
}

/// The runners of a pool.
#[derive(Debug, Default)]
struct Runnable {
    /// Those that take requests, the one with the fewest open first.
    ready: BTreeSet<(usize, u64, LinkKey)>,
    /// How many keep no state between requests, ready or not.
    stateless: usize,
    /// How many have actors with state.
    stateful: usize,
}

/// Whether the directory is heard of.
#[derive(Clone, Copy, Debug)]
enum Telling {
    Since(Time),
    Away,
}

/// Why no runner takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoneReady {
    /// There is none.
    Absent,
    /// Those that there are take no requests: they are full, go away, or come back to another relay.
    NotReady,
    /// The actor does not run, or not where its requests can go.
    NotRunning,
    /// Each that could has as many as it may.
    Full,
}

impl Runners {
    pub(super) fn new(unseen: Duration, now: Time) -> Self {
        Runners {
            links: Slab::new(),
            runners: HashMap::new(),
            connections: HashMap::new(),
            hosts: HashMap::new(),
            pools: HashMap::new(),
            turns: 0,
            unseen,
            directory: Telling::Since(now),
        }
    }

    /// The directory says something of a runner. Answers with the links that its record no longer names.
    pub(super) fn seen(&mut self, seen: RunnerSeen, now: Time) -> Vec<Link> {
        let RunnerSeen { key, record } = seen;
        let record = record.map(|versioned| versioned.record);
        let before = self.runners.remove(&key);
        let named = record.as_ref().map_or([None, None], |record| [record.connection, record.moving]);
        let links = before.as_ref().map_or([None, None], |runner| [runner.current, runner.moving]);
        let mut removed = Vec::new();
        for link in links.into_iter().flatten() {
            if !named.contains(&Some(self.links[link.0].connection)) {
                removed.push(self.remove(link));
            }
        }
        self.count(&key.pool, before.map(|runner| runner.stateless), -1);
        if let Some(record) = record {
            let stateless = record.abilities.stateless;
            // From here on its pool has an entry.
            self.count(&key.pool, Some(stateless), 1);
            let runner = Runner {
                stateless,
                current: record.connection.and_then(|connection| self.current(&key, connection, &record, now)),
                moving: record
                    .moving
                    .filter(|moving| Some(*moving) != record.connection)
                    .and_then(|moving| self.moving(&key, moving, now)),
            };
            self.runners.insert(key, runner);
        } else {
            self.forget_if_empty(&key.pool);
        }
        removed
    }

    /// The connection that a record names; none if it is another runner's.
    fn current(&mut self, key: &RunnerKey, id: ConnectionId, record: &RunnerRecord, now: Time) -> Option<LinkKey> {
        let link = match self.connections.get(&id) {
            Some(link) if self.links[link.0].runner == *key => *link,
            Some(_) => return None,
            None => {
                let link = LinkKey(self.links.insert(Link::new(key.clone(), id, record, now)));
                self.connections.insert(id, link);
                link
            }
        };
        self.hosts.insert(record.id, link);
        self.change(link, |link| link.is_current(record, now));
        Some(link)
    }

    /// The connection that a runner is leaving, if this gateway knew it.
    fn moving(&mut self, key: &RunnerKey, id: ConnectionId, now: Time) -> Option<LinkKey> {
        let link = self.connections.get(&id).copied().filter(|link| self.links[link.0].runner == *key)?;
        self.change(link, |link| link.is_left(now));
        Some(link)
    }

    fn count(&mut self, pool: &Pool, stateless: Option<bool>, by: isize) {
        let Some(stateless) = stateless else { return };
        let runnable = self.pools.entry(pool.clone()).or_default();
        let count = if stateless { &mut runnable.stateless } else { &mut runnable.stateful };
        *count = count.saturating_add_signed(by);
    }

    fn forget_if_empty(&mut self, pool: &Pool) {
        let is_empty = |pool: &Runnable| pool.ready.is_empty() && pool.stateless + pool.stateful == 0;
        if self.pools.get(pool).is_some_and(is_empty) {
            self.pools.remove(pool);
        }
    }

    /// The directory is heard of no more: nobody ages.
    pub(super) fn directory_away(&mut self) {
        self.directory = Telling::Away;
    }

    /// The directory is heard of again: everybody's time begins anew.
    pub(super) fn directory_back(&mut self, now: Time) {
        self.directory = Telling::Since(now);
    }

    /// Whether the directory has been heard of for so long.
    pub(super) fn was_told_for(&self, duration: Duration, now: Time) -> bool {
        match self.directory {
            Telling::Since(since) => now.since(since) >= duration,
            Telling::Away => false,
        }
    }

    /// Whether a pool has actors with state; none if no runner of it is known. A pool that seems to be of both kinds
    /// counts as stateless: there a request finds its runner, or none.
    pub(super) fn has_actors(&self, pool: &Pool) -> Option<bool> {
        let runnable = self.pools.get(pool)?;
        Some(runnable.stateless == 0 && runnable.stateful > 0)
    }

    /// Where a runner is, if its actors take requests there, but not on the connection to avoid.
    pub(super) fn host(
        &mut self,
        id: RunnerId,
        most: usize,
        avoid: Option<ConnectionId>,
        now: Time,
    ) -> Result<LinkKey, NoneReady> {
        let key = self.hosts.get(&id).copied().ok_or(NoneReady::NotRunning)?;
        let link = &self.links[key.0];
        let (connection, standing, open) = (link.connection, link.standing, link.requests.len());
        match standing {
            Standing::Ready if self.is_unseen(key, now) => {
                self.change(key, |link| link.standing = Standing::Lost);
                Err(NoneReady::NotRunning)
            }
            Standing::Ready if Some(connection) == avoid => Err(NoneReady::NotRunning),
            Standing::Ready if open >= most => Err(NoneReady::Full),
            Standing::Ready => Ok(key),
            Standing::Busy | Standing::Lost => Err(NoneReady::NotRunning),
        }
    }

    /// The ready runner of a stateless pool with the fewest requests open, but not on the connection to avoid.
    pub(super) fn choose(
        &mut self,
        pool: &Pool,
        most: usize,
        avoid: Option<ConnectionId>,
        now: Time,
    ) -> Result<LinkKey, NoneReady> {
        loop {
            let runnable = self.pools.get(pool).ok_or(NoneReady::Absent)?;
            let usable = |(_, _, link): &&(usize, u64, LinkKey)| {
                let link = &self.links[link.0];
                link.abilities.stateless && Some(link.connection) != avoid
            };
            let none = if runnable.stateless > 0 { NoneReady::NotReady } else { NoneReady::Absent };
            let (open, _, link) = runnable.ready.iter().find(usable).copied().ok_or(none)?;
            if !self.is_unseen(link, now) {
                return if open >= most { Err(NoneReady::Full) } else { Ok(link) };
            }
            // Runners age when they would be chosen, so that nobody need look at those that are idle.
            self.change(link, |link| link.standing = Standing::Lost);
        }
    }

    fn is_unseen(&self, link: LinkKey, now: Time) -> bool {
        match self.directory {
            Telling::Since(since) => now.since(self.links[link.0].seen.max(since)) >= self.unseen,
            Telling::Away => false,
        }
    }

    /// Whether a link still is that connection's.
    pub(super) fn names(&self, link: LinkKey, connection: ConnectionId) -> bool {
        self.connections.get(&connection) == Some(&link)
    }

    /// The link of a connection that the directory has shown.
    pub(super) fn on(&self, connection: ConnectionId) -> Option<LinkKey> {
        self.connections.get(&connection).copied()
    }

    /// The links of a relay, or all.
    pub(super) fn of_relay(&self, relay: Option<RelayId>) -> Vec<LinkKey> {
        let is_meant = |link: &Link| relay.is_none_or(|relay| link.connection.relay == relay);
        self.links.iter().filter(|(_, link)| is_meant(link)).map(|(key, _)| LinkKey(key)).collect()
    }

    pub(super) fn get(&self, link: LinkKey) -> &Link {
        &self.links[link.0]
    }

    pub(super) fn get_mut(&mut self, link: LinkKey) -> &mut Link {
        &mut self.links[link.0]
    }

    /// A request was sent to a link. Answers with its place there.
    pub(super) fn attach(&mut self, link: LinkKey, request: RequestKey) -> usize {
        self.turns += 1;
        let turn = self.turns;
        self.change(link, |link| {
            link.turn = turn;
            link.requests.push(request);
        });
        self.links[link.0].requests.len() - 1
    }

    /// The request at a place of a link ended. Answers with the one that has taken its place there, if any.
    pub(super) fn detach(&mut self, link: LinkKey, index: usize) -> Option<RequestKey> {
        self.change(link, |link| {
            link.requests.swap_remove(index);
        });
        self.links[link.0].requests.get(index).copied()
    }

    /// A connection is taken for gone. Answers with the requests that are open on it.
    pub(super) fn lose(&mut self, connection: ConnectionId) -> Vec<RequestKey> {
        let Some(link) = self.connections.get(&connection).copied() else { return Vec::new() };
        self.change(link, |link| link.standing = Standing::Lost);
        self.links[link.0].requests.clone()
    }

    /// How many of a pool take requests.
    pub(super) fn ready(&self, pool: &Pool) -> usize {
        self.pools.get(pool).map_or(0, |pool| pool.ready.len())
    }

    /// How many take requests.
    pub(super) fn ready_in_all(&self) -> usize {
        self.links.iter().filter(|(_, link)| link.standing == Standing::Ready).count()
    }

    fn remove(&mut self, link: LinkKey) -> Link {
        self.change(link, |link| link.standing = Standing::Lost);
        let removed = self.links.remove(link.0);
        if self.hosts.get(&removed.id) == Some(&link) {
            self.hosts.remove(&removed.id);
        }
        self.connections.remove(&removed.connection);
        removed
    }

    /// Changes a link and its standing in its pool.
    fn change(&mut self, key: LinkKey, change: impl FnOnce(&mut Link)) {
        let link = &mut self.links[key.0];
        let before = (link.requests.len(), link.turn, key);
        change(link);
        let after = (link.requests.len(), link.turn, key);
        let Some(pool) = self.pools.get_mut(&link.runner.pool) else { return };
        pool.ready.remove(&before);
        if link.standing == Standing::Ready {
            pool.ready.insert(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Abilities, Revision, RunnerId, RunnerState, Versioned};

    fn runner(key: &'static str) -> RunnerKey {
        RunnerKey { pool: Pool { namespace: "n".into(), name: "p".into() }, key: key.into() }
    }

    fn seen(key: &'static str, stateless: bool) -> RunnerSeen {
        let nil = uuid::Uuid::nil();
        let record = RunnerRecord {
            id: RunnerId(nil),
            slots: 1,
            protocol_version: 7,
            abilities: Abilities { stateless, ..Abilities::default() },
            connection: Some(ConnectionId { relay: RelayId(nil), number: u64::from(key.as_bytes()[0]) }),
            moving: None,
            entered: None,
            state: RunnerState::Ready,
        };
        RunnerSeen { key: runner(key), record: Some(Versioned { revision: Revision(1), record }) }
    }

    #[test]
    fn a_pool_is_forgotten_with_the_last_of_its_runners_and_not_before() {
        let mut runners = Runners::new(Duration::from_secs(20), Time::ZERO);
        for (key, stateless) in [("a", true), ("b", false), ("c", true)] {
            runners.seen(seen(key, stateless), Time::ZERO);
        }
        for (key, left) in [("a", 1), ("c", 1), ("b", 0)] {
            runners.seen(RunnerSeen { key: runner(key), record: None }, Time::ZERO);
            assert_eq!(runners.pools.len(), left, "behind {key}");
        }
        assert_eq!((runners.links.len(), runners.runners.len(), runners.connections.len()), (0, 0, 0));
    }
}
