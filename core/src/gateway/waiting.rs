//! Requests that wait until a runner can take them.

use std::collections::BTreeMap;

use super::actors::actor_key;
use super::event::OpenKind;
use super::request::{Deadline, State, Waiting, WaitsFor};
use super::runners::{LinkKey, NoneReady};
use super::{Action, Gateway};
use crate::bus::ConnectionId;
use crate::directory::{ActorKey, Pool};
use crate::failure::FailureCode;
use crate::http::{Body, Target};
use crate::machine::RequestKey;
use crate::machine::flow::Turn;
use crate::time::Time;

/// The requests that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct WaitingRoom {
    /// For any runner of a pool.
    pools: Lines<Pool>,
    /// For the runner of an actor.
    actors: Lines<ActorKey>,
    count: usize,
    turns: u64,
    /// When all of them look for a runner again.
    look: Option<Time>,
}

/// For each that is waited for, who waits.
type Lines<Key> = BTreeMap<Key, BTreeMap<u64, RequestKey>>;

impl WaitingRoom {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn next_look(&self) -> Option<Time> {
        self.look
    }

    /// Whether requests wait for an actor.
    pub(super) fn is_awaited(&self, actor: &ActorKey) -> bool {
        self.actors.contains_key(actor)
    }

    /// The requests that wait for an actor.
    pub(super) fn awaiting(&self, actor: &ActorKey) -> Vec<RequestKey> {
        self.actors.get(actor).into_iter().flat_map(BTreeMap::values).copied().collect()
    }

    /// The actors that requests wait for.
    pub(super) fn actors(&self) -> Vec<ActorKey> {
        self.actors.keys().cloned().collect()
    }

    /// Those of a pool.
    fn actors_of(&self, pool: &Pool) -> Vec<ActorKey> {
        let first = ActorKey { pool: pool.clone(), actor_id: "".into() };
        self.actors.range(first..).map(|(key, _)| key).take_while(|key| key.pool == *pool).cloned().collect()
    }

    fn enter(&mut self, target: &Target, waits_for: WaitsFor, key: RequestKey) -> u64 {
        self.turns += 1;
        self.count += 1;
        let line = match waits_for {
            WaitsFor::Pool => self.pools.entry(target.pool.clone()).or_default(),
            WaitsFor::Actor => self.actors.entry(actor_key(target)).or_default(),
        };
        line.insert(self.turns, key);
        self.turns
    }

    fn leave(&mut self, target: &Target, Waiting { waits_for, turn, .. }: &Waiting) {
        let was_there = match waits_for {
            WaitsFor::Pool => leave(&mut self.pools, &target.pool, *turn),
            WaitsFor::Actor => leave(&mut self.actors, &actor_key(target), *turn),
        };
        if was_there {
            self.count -= 1;
        }
        if self.count == 0 {
            self.look = None;
        }
    }
}

/// Whether it was there.
fn leave<Key: Ord>(lines: &mut Lines<Key>, key: &Key, turn: u64) -> bool {
    let Some(line) = lines.get_mut(key) else { return false };
    let was_there = line.remove(&turn).is_some();
    if line.is_empty() {
        lines.remove(key);
    }
    was_there
}

impl Gateway {
    /// Lets a request wait for a runner, if there is room for one more.
    pub(super) fn wait(&mut self, key: RequestKey, limit: Deadline, now: Time) {
        let is_full = self.waiting.len() >= self.config.max_waiting;
        let Some(request) = self.requests.get(key) else { return };
        let Some(open) = request.opening.as_ref() else { return };
        if is_full {
            let full = (FailureCode::Overloaded, "as many requests wait for a runner as may");
            let (code, message) = request.setback().map_or(full, |setback| (setback.code, setback.message));
            return self.lose(key, code, message);
        }
        let waits_for = if self.has_actors(&open.target.pool) { WaitsFor::Actor } else { WaitsFor::Pool };
        let turn = self.waiting.enter(&open.target, waits_for, key);
        self.waiting.look.get_or_insert(now + self.config.try_again);
        let actor = actor_key(&open.target);
        let streams = open.kind == OpenKind::Http(Body::Stream);
        let Some(request) = self.requests.get_mut(key) else { return };
        let limit = Some(self.deadlines.arm(limit, key, now));
        request.state = State::Waiting(Waiting { waits_for, turn, limit });
        request.delay_mut().waits_since.get_or_insert(now);
        if streams && request.up.turn(true) == Some(Turn::Pause) {
            self.actions.push_back(Action::PauseSource { key });
        }
        match waits_for {
            WaitsFor::Pool => {}
            WaitsFor::Actor => self.want(&actor, now),
        }
    }

    /// Takes a request out of those that wait.
    pub(super) fn stop_waiting(&mut self, target: &Target, mut waiting: Waiting) {
        if let Some(limit) = waiting.limit.take() {
            self.deadlines.cancel(limit);
        }
        self.waiting.leave(target, &waiting);
        match waiting.waits_for {
            WaitsFor::Pool => {}
            WaitsFor::Actor => self.left(&actor_key(target)),
        }
    }

    /// Where a request can go: to the runner of its actor, or to any of a pool that has no actors with state.
    pub(super) fn destination(
        &mut self,
        target: &Target,
        avoid: Option<ConnectionId>,
        now: Time,
    ) -> Result<LinkKey, NoneReady> {
        if self.has_actors(&target.pool) {
            self.host(target, avoid, now)
        } else {
            self.runners.choose(&target.pool, self.config.max_requests_per_runner, avoid, now)
        }
    }

    /// Sends a request to a runner that takes it, but not where it could not go on.
    pub(super) fn find_runner(&mut self, key: RequestKey, now: Time) -> Result<(), NoneReady> {
        let Some(request) = self.requests.get(key) else { return Ok(()) };
        let Some(open) = request.opening.as_ref() else { return Ok(()) };
        let (target, avoid) = (open.target.clone(), request.avoid());
        let link = self.destination(&target, avoid, now)?;
        if self.requests.get(key).is_some_and(|request| request.tries > 0) {
            self.counted.sent_again += 1;
        }
        self.go(key, link, now);
        Ok(())
    }

    /// Those that wait for a runner of a pool look whether there is one.
    pub(super) fn look(&mut self, pool: &Pool, now: Time) {
        for actor in self.waiting.actors_of(pool) {
            self.look_for(&actor, now);
        }
        let most = self.config.max_requests_per_runner;
        if !self.waiting.pools.contains_key(pool) || self.runners.choose(pool, most, None, now).is_err() {
            return;
        }
        let waiting: Vec<RequestKey> =
            self.waiting.pools.get(pool).into_iter().flat_map(BTreeMap::values).copied().collect();
        for key in waiting {
            // One that avoids the only runner goes on waiting.
            self.find_runner(key, now).ok();
        }
    }

    /// All that wait look for a runner, when it is time.
    pub(super) fn look_if_due(&mut self, now: Time) {
        if self.waiting.look.is_none_or(|look| look > now) {
            return;
        }
        self.waiting.look = Some(now + self.config.try_again);
        let pools: Vec<Pool> = self.waiting.pools.keys().cloned().collect();
        for pool in pools {
            self.look(&pool, now);
        }
        for actor in self.waiting.actors() {
            self.look_for(&actor, now);
        }
    }
}
