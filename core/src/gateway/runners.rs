//! What a gateway knows of runners: which there are, who takes the next request, and who has which.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use slab::Slab;

use crate::bus::ConnectionId;
use crate::directory::{Abilities, Pool, RunnerKey, RunnerRecord, RunnerSeen, RunnerState};
use crate::machine::RequestKey;

/// The place of a [`Link`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkKey(usize);

/// A runner's connection, as long as its record names it or requests of this gateway are open on it.
#[derive(Debug)]
pub(super) struct Link {
    runner: RunnerKey,
    pub(super) connection: ConnectionId,
    pub(super) abilities: Abilities,
    ready: bool,
    /// Where this link stands in the order of its pool: grows with each request, so that runners with equally many
    /// take turns.
    turn: u64,
    requests: Vec<RequestKey>,
}

/// The runners that the directory tells of.
#[derive(Debug, Default)]
pub(super) struct Runners {
    links: Slab<Link>,
    current: HashMap<RunnerKey, LinkKey>,
    connections: HashMap<ConnectionId, LinkKey>,
    /// Of each pool, those that take requests, the one with the fewest open first.
    pools: HashMap<Pool, BTreeSet<(usize, u64, LinkKey)>>,
    turns: u64,
}

/// Why no runner takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoneReady {
    /// There is none.
    Absent,
    /// Each has as many as it may.
    Full,
}

impl Runners {
    /// The directory says something new of a runner. Answers with the requests whose connection its record no longer
    /// names.
    pub(super) fn seen(&mut self, seen: RunnerSeen) -> Vec<RequestKey> {
        let named = seen.record.and_then(|versioned| {
            let connection = versioned.record.connection?;
            Some((connection, versioned.record))
        });
        let before = self.current.get(&seen.key).copied();
        let stays = before
            .filter(|link| named.as_ref().is_some_and(|(connection, _)| self.links[link.0].connection == *connection));
        let lost = match (before, stays) {
            (Some(link), None) => self.remove(link),
            (Some(_) | None, _) => Vec::new(),
        };
        if let Some((connection, record)) = named {
            match stays {
                Some(link) => self.change(link, |link| link.update(&record)),
                None => self.insert(seen.key, connection, &record),
            }
        }
        lost
    }

    /// The ready runner of a stateless pool with the fewest requests open.
    pub(super) fn choose(&self, pool: &Pool, most: usize) -> Result<LinkKey, NoneReady> {
        let first = self.pools.get(pool).and_then(|ready| ready.first());
        match first {
            None => Err(NoneReady::Absent),
            Some((open, _, _)) if *open >= most => Err(NoneReady::Full),
            Some((_, _, link)) => Ok(*link),
        }
    }

    /// Whether a link still is that connection's.
    pub(super) fn names(&self, link: LinkKey, connection: ConnectionId) -> bool {
        self.connections.get(&connection) == Some(&link)
    }

    pub(super) fn get(&self, link: LinkKey) -> &Link {
        &self.links[link.0]
    }

    /// A request was opened on a link. Answers with its place there.
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
    pub(super) fn detach(&mut self, link: LinkKey, place: usize) -> Option<RequestKey> {
        self.change(link, |link| {
            link.requests.swap_remove(place);
        });
        self.links[link.0].requests.get(place).copied()
    }

    /// The requests open on a connection.
    pub(super) fn requests_of(&self, connection: ConnectionId) -> Vec<RequestKey> {
        self.connections.get(&connection).map(|link| self.links[link.0].requests.clone()).unwrap_or_default()
    }

    /// How many of a pool take requests.
    pub(super) fn ready(&self, pool: &Pool) -> usize {
        self.pools.get(pool).map_or(0, BTreeSet::len)
    }

    /// How many take requests.
    pub(super) fn ready_in_all(&self) -> usize {
        self.links.iter().filter(|(_, link)| link.ready).count()
    }

    fn insert(&mut self, runner: RunnerKey, connection: ConnectionId, record: &RunnerRecord) {
        let mut link = Link {
            runner: runner.clone(),
            connection,
            abilities: record.abilities,
            ready: false,
            turn: 0,
            requests: Vec::new(),
        };
        link.update(record);
        let key = LinkKey(self.links.insert(link));
        self.current.insert(runner, key);
        self.connections.insert(connection, key);
        self.change(key, |_| ());
    }

    fn remove(&mut self, link: LinkKey) -> Vec<RequestKey> {
        self.change(link, |link| link.ready = false);
        let removed = self.links.remove(link.0);
        self.current.remove(&removed.runner);
        self.connections.remove(&removed.connection);
        removed.requests
    }

    /// Changes a link and its standing in its pool.
    fn change(&mut self, key: LinkKey, change: impl FnOnce(&mut Link)) {
        let link = &mut self.links[key.0];
        let before = (link.requests.len(), link.turn, key);
        change(link);
        let after = (link.requests.len(), link.turn, key);
        match self.pools.get_mut(&link.runner.pool) {
            Some(ready) => {
                ready.remove(&before);
                if link.ready {
                    ready.insert(after);
                } else if ready.is_empty() {
                    self.pools.remove(&link.runner.pool);
                }
            }
            None if link.ready => {
                self.pools.insert(link.runner.pool.clone(), BTreeSet::from([after]));
            }
            None => {}
        }
    }
}

impl Link {
    fn update(&mut self, record: &RunnerRecord) {
        self.abilities = record.abilities;
        self.ready = record.abilities.stateless && record.state == RunnerState::Ready;
    }
}
