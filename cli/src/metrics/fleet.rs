//! What the directory tells of runners and actors, counted.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use underpass_core::directory::{
    ActorKey, ActorSeen, ActorState, Pool, RunnerKey, RunnerRecord, RunnerSeen, RunnerState,
};
use underpass_core::observe::Observer;
use underpass_core::{Gateway, Relay, Time, gateway, relay};

use super::{Metrics, lock};

pub(super) const RUNNERS: &str = "underpass_directory_runners";
pub(super) const ACTORS: &str = "underpass_directory_actors";

/// So many pools are told apart; the rest is another one.
const MOST_POOLS: usize = 50;
/// So many actors are counted.
const MOST_ACTORS: usize = 1_000_000;

const STATES_OF_RUNNERS: [&str; 5] = ["ready", "full", "draining", "moving", "away"];
const STATES_OF_ACTORS: [&str; 5] = ["wanted", "starting", "running", "stopping", "sleeping"];

/// What the directory tells.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// Whether anybody here hears of it.
    is_told: bool,
    /// Each runner's state, by its place among the states.
    runners: HashMap<RunnerKey, usize>,
    /// Pools that are told apart, now or before.
    pools: Vec<Pool>,
    /// Each actor's state. An actor is known by a hash, so that a million of them is no burden.
    actors: HashMap<u64, usize>,
    actors_by_state: [usize; STATES_OF_ACTORS.len()],
    hasher: RandomState,
}

impl Fleet {
    fn runner(&mut self, RunnerSeen { key, record }: &RunnerSeen) {
        match record {
            Some(versioned) => {
                if !self.pools.contains(&key.pool) && self.pools.len() < MOST_POOLS {
                    self.pools.push(key.pool.clone());
                }
                self.runners.insert(key.clone(), state_of_runner(&versioned.record));
            }
            None => drop(self.runners.remove(key)),
        }
    }

    fn actor(&mut self, ActorSeen { key, record }: &ActorSeen) {
        let known = self.known(key);
        let before = self.actors.remove(&known);
        if let Some(before) = before {
            self.actors_by_state[before] -= 1;
        }
        if let Some(versioned) = record
            && self.actors.len() < MOST_ACTORS
        {
            let state = state_of_actor(versioned.record.state);
            self.actors.insert(known, state);
            self.actors_by_state[state] += 1;
        }
    }

    fn known(&self, key: &ActorKey) -> u64 {
        self.hasher.hash_one(key)
    }

    /// They will be told anew.
    fn forget_actors(&mut self) {
        self.actors.clear();
        self.actors_by_state = Default::default();
    }

    /// How many runners there are of each pool that is told apart, in each state; then of the others.
    fn by_pool(&self) -> Vec<[usize; STATES_OF_RUNNERS.len()]> {
        let mut by_pool = vec![[0; STATES_OF_RUNNERS.len()]; self.pools.len() + 1];
        for (key, state) in &self.runners {
            let pool = self.pools.iter().position(|pool| *pool == key.pool).unwrap_or(self.pools.len());
            by_pool[pool][*state] += 1;
        }
        by_pool
    }
}

fn state_of_runner(record: &RunnerRecord) -> usize {
    match (record.connection, record.state) {
        (None, _) => 4,
        (Some(_), RunnerState::Ready) => 0,
        (Some(_), RunnerState::Full) => 1,
        (Some(_), RunnerState::Draining) => 2,
        (Some(_), RunnerState::Moving) => 3,
    }
}

fn state_of_actor(state: ActorState) -> usize {
    match state {
        ActorState::Wanted => 0,
        ActorState::Starting(_) => 1,
        ActorState::Running(_) => 2,
        ActorState::Stopping(_) => 3,
        ActorState::Sleeping => 4,
    }
}

/// Tells how many there are now, where anybody hears of them.
#[allow(clippy::cast_precision_loss, reason = "there are never so many")]
pub(super) fn tell(metrics: &Metrics) {
    let (pools, by_pool, actors) = {
        let fleet = lock(&metrics.0.fleet);
        if !fleet.is_told {
            return;
        }
        (fleet.pools.clone(), fleet.by_pool(), fleet.actors_by_state)
    };
    let names = pools.iter().map(|pool| (&*pool.namespace, &*pool.name)).chain([("other", "other")]);
    for ((namespace, pool), by_state) in names.zip(by_pool) {
        for (state, runners) in STATES_OF_RUNNERS.into_iter().zip(by_state) {
            let labels = [("namespace", namespace), ("pool", pool), ("state", state)];
            metrics.gauge(RUNNERS, &labels).set(runners as f64);
        }
    }
    for (state, actors) in STATES_OF_ACTORS.into_iter().zip(actors) {
        metrics.gauge(ACTORS, &[("state", state)]).set(actors as f64);
    }
}

/// Hears what the directory tells a gateway or a relay. Where both are in one process, both hear the same.
pub(super) struct Looker(Metrics);

impl Looker {
    pub(super) fn new(metrics: &Metrics) -> Self {
        lock(&metrics.0.fleet).is_told = true;
        Looker(metrics.clone())
    }
}

impl Observer<Gateway> for Looker {
    fn event(&mut self, _machine: &Gateway, event: &gateway::Event, _now: Time) {
        let fleet = || lock(&self.0.0.fleet);
        if let gateway::Event::Directory(seen) = event {
            fleet().runner(seen);
        } else if let gateway::Event::Actor(seen) = event {
            fleet().actor(seen);
        } else if let gateway::Event::Actors(all) = event {
            let mut fleet = fleet();
            fleet.forget_actors();
            all.iter().for_each(|seen| fleet.actor(seen));
        } else if let gateway::Event::DirectoryAway = event {
            // All that are there are told of when it is back.
            fleet().runners.clear();
        }
    }

    fn action(&mut self, _machine: &Gateway, _action: &gateway::Action, _now: Time) {}
}

impl Observer<Relay> for Looker {
    fn event(&mut self, _machine: &Relay, event: &relay::Event, _now: Time) {
        let fleet = || lock(&self.0.0.fleet);
        if let relay::Event::Runner(seen) = event {
            fleet().runner(seen);
        } else if let relay::Event::Actor(seen) = event {
            fleet().actor(seen);
        } else if let relay::Event::DirectoryAway = event {
            let mut fleet = fleet();
            fleet.runners.clear();
            fleet.forget_actors();
        }
    }

    fn action(&mut self, _machine: &Relay, _action: &relay::Action, _now: Time) {}
}

#[cfg(test)]
mod tests {
    use underpass_core::bus::{ConnectionId, RelayId};
    use underpass_core::directory::{Abilities, ActorRecord, Revision, RunnerId, Versioned};
    use uuid::Uuid;

    use super::*;

    fn runner(pool: usize, key: usize, state: RunnerState) -> RunnerSeen {
        let pool = Pool { namespace: "default".into(), name: format!("pool-{pool}").into() };
        let record = RunnerRecord {
            id: RunnerId(Uuid::nil()),
            slots: 1,
            protocol_version: 7,
            abilities: Abilities::default(),
            connection: Some(ConnectionId { relay: RelayId(Uuid::nil()), number: 1 }),
            moving: None,
            state,
            entered: None,
        };
        let record = Some(Versioned { revision: Revision(1), record });
        RunnerSeen { key: RunnerKey { pool, key: key.to_string().into() }, record }
    }

    fn actor(number: usize, state: Option<ActorState>) -> ActorSeen {
        let pool = Pool { namespace: "default".into(), name: "default".into() };
        let key = ActorKey { pool, actor_id: number.to_string().into() };
        let record = state.map(|state| Versioned {
            revision: Revision(1),
            record: ActorRecord { created_at: 0, generation: 1, crashes: 0, alarm: None, state },
        });
        ActorSeen { key, record }
    }

    #[test]
    fn pools_beyond_those_that_are_told_apart_are_one() {
        let mut fleet = Fleet::default();
        for pool in 0..1_000 {
            fleet.runner(&runner(pool, 0, RunnerState::Ready));
            fleet.runner(&runner(pool, 1, RunnerState::Draining));
        }
        let by_pool = fleet.by_pool();
        assert_eq!(by_pool.len(), MOST_POOLS + 1);
        assert_eq!(by_pool[0], [1, 0, 1, 0, 0]);
        assert_eq!(by_pool[MOST_POOLS], [950, 0, 950, 0, 0]);
    }

    #[test]
    fn a_runner_counts_in_the_state_that_it_was_seen_in_last() {
        let mut fleet = Fleet::default();
        fleet.runner(&runner(0, 0, RunnerState::Ready));
        fleet.runner(&runner(0, 0, RunnerState::Full));
        assert_eq!(fleet.by_pool()[0], [0, 1, 0, 0, 0]);
        let mut away = runner(0, 0, RunnerState::Ready);
        if let Some(record) = &mut away.record {
            record.record.connection = None;
        }
        fleet.runner(&away);
        assert_eq!(fleet.by_pool()[0], [0, 0, 0, 0, 1]);
        fleet.runner(&RunnerSeen { record: None, ..away });
        assert_eq!(fleet.by_pool()[0], [0; 5]);
    }

    #[test]
    fn an_actor_counts_in_the_state_that_it_was_seen_in_last() {
        let mut fleet = Fleet::default();
        for number in 0..3 {
            fleet.actor(&actor(number, Some(ActorState::Wanted)));
        }
        fleet.actor(&actor(0, Some(ActorState::Running(RunnerId(Uuid::nil())))));
        fleet.actor(&actor(1, None));
        assert_eq!(fleet.actors_by_state, [1, 0, 1, 0, 0]);
        fleet.forget_actors();
        fleet.actor(&actor(2, Some(ActorState::Sleeping)));
        assert_eq!(fleet.actors_by_state, [0, 0, 0, 0, 1]);
    }
}
