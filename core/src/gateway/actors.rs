//! What a gateway knows of actors, and how it has them started.
//!
//! Kept are the records of those that run, so that requests find them, and of those that requests wait for. Any other
//! is of no use: who needs its actor asks for a first record, and hears which there is. A gateway that had an actor set
//! wanted takes that back when its requests have gone and no relay has answered it, so that actors which cannot be
//! started do not heap up in the directory.

use hashbrown::{HashMap, HashSet};

use super::runners::{LinkKey, NoneReady};
use super::{Action, Gateway};
use crate::bus::ConnectionId;
use crate::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, ActorState, ChangeOutcome, Pool, Revision, RunnerId, Versioned,
};
use crate::http::Target;
use crate::time::Time;

/// For so many records the room need not be given back.
const SMALL: usize = 1_024;

/// The actors that the directory tells of.
#[derive(Debug)]
pub(super) struct Actors {
    known: HashMap<ActorKey, Actor>,
    /// The pools that have actors.
    pools: HashSet<Pool>,
    /// How many changes are under way.
    asking: usize,
    /// How many records of running actors are kept for requests that may come.
    most: usize,
}

/// An actor of which something is known, or asked.
#[derive(Debug, Default)]
struct Actor {
    record: Option<Versioned<ActorRecord>>,
    /// The change of its record that is under way.
    asked: Option<Asked>,
    /// Since this gateway set it wanted.
    wish: Option<Wish>,
}

/// A change that is under way.
#[derive(Debug)]
enum Asked {
    /// That it is wanted, where its record said something else, or nothing.
    Wanted { record: ActorRecord, before: Option<ActorRecord> },
    /// That its record says again what it said.
    Unwanted(Option<ActorRecord>),
}

/// That an actor is wanted, as this gateway wrote.
#[derive(Debug)]
struct Wish {
    /// Of its record, until somebody answers.
    revision: Revision,
    /// What its record said before.
    before: Option<ActorRecord>,
}

impl Actor {
    /// The runner that takes its requests.
    fn runs_on(&self) -> Option<RunnerId> {
        match self.record.as_ref()?.record.state {
            ActorState::Running(runner) => Some(runner),
            ActorState::Wanted | ActorState::Starting(_) | ActorState::Stopping(_) | ActorState::Sleeping => None,
        }
    }

    /// The wish for it, if nobody has answered that.
    fn take_wish(&mut self) -> Option<Wish> {
        let revision = self.record.as_ref()?.revision;
        self.wish.take_if(|wish| wish.revision == revision)
    }
}

impl Actors {
    pub(super) fn new(most: usize) -> Self {
        Actors { known: HashMap::new(), pools: HashSet::new(), asking: 0, most }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn asking(&self) -> usize {
        self.asking
    }

    /// The directory shows a record; one that is older than what is known says nothing.
    fn learn(&mut self, key: &ActorKey, record: Option<Versioned<ActorRecord>>) {
        if record.is_some() && !self.pools.contains(&key.pool) {
            self.pools.insert(key.pool.clone());
        }
        if let Some(actor) = self.known.get_mut(key) {
            let is_older = match (&record, &actor.record) {
                (Some(record), Some(known)) => record.revision < known.revision,
                (Some(_), None) | (None, _) => false,
            };
            if !is_older {
                actor.record = record;
            }
            return;
        }
        let actor = Actor { record, ..Actor::default() };
        if actor.runs_on().is_some() && self.known.len() < self.most {
            self.known.insert(key.clone(), actor);
        }
    }

    /// Forgets an actor that is of no use.
    fn forget_if_useless(&mut self, key: &ActorKey, is_awaited: bool) {
        let Some(actor) = self.known.get(key) else { return };
        let is_kept = actor.runs_on().is_some() && self.known.len() <= self.most;
        if actor.asked.is_none() && !is_awaited && !is_kept {
            self.known.remove(key);
            self.give_back_room();
        }
    }

    /// Gives the room back of those that once were many: records are large, and actors sleep together.
    fn give_back_room(&mut self) {
        if self.known.capacity() > SMALL && self.known.len() < self.known.capacity() / 8 {
            self.known.shrink_to(self.known.len() * 2);
        }
    }
}

impl Gateway {
    /// Whether a pool has actors with state, as its runners say; without a runner, as its actors do.
    pub(super) fn has_actors(&self, pool: &Pool) -> bool {
        self.runners.has_actors(pool).unwrap_or_else(|| self.actors.pools.contains(pool))
    }

    /// Where an actor runs, if its requests can go there.
    pub(super) fn host(
        &mut self,
        target: &Target,
        avoid: Option<ConnectionId>,
        now: Time,
    ) -> Result<LinkKey, NoneReady> {
        let known = self.actors.known.get(&actor_key(target));
        let runner = known.and_then(Actor::runs_on).ok_or(NoneReady::NotRunning)?;
        self.runners.host(runner, self.config.max_requests_per_runner, avoid, now)
    }

    /// The connection of an actor's runner, while it takes the actor's requests, and which life that is.
    pub(super) fn life_of_actor(&mut self, actor: &ActorKey, now: Time) -> Option<(ConnectionId, u32)> {
        let known = self.actors.known.get(actor)?;
        let (runner, generation) = (known.runs_on()?, known.record.as_ref()?.record.generation);
        let link = self.runners.host(runner, usize::MAX, None, now).ok()?;
        Some((self.runners.get(link).connection, generation))
    }

    /// The last life of an actor that the directory told of; zero if it told of none.
    pub(super) fn generation(&self, target: &Target) -> u32 {
        let known = self.actors.known.get(&actor_key(target)).and_then(|actor| actor.record.as_ref());
        known.map_or(0, |known| known.record.generation)
    }

    /// The directory tells of all actors: there are no others.
    pub(super) fn all_actors_seen(&mut self, seen: Vec<ActorSeen>, now: Time) {
        self.actors.pools.clear();
        self.actors.known.values_mut().for_each(|actor| actor.record = None);
        let (waiting, groups) = (&self.waiting, &self.groups);
        let is_awaited = |key: &ActorKey| waiting.is_awaited(key) || groups.is_awaited(key);
        self.actors.known.retain(|key, actor| actor.asked.is_some() || is_awaited(key));
        for ActorSeen { key, record } in seen {
            self.actors.learn(&key, record);
        }
        for key in self.waiting.actors().into_iter().chain(self.groups.awaited_actors()) {
            self.look_for(&key, now);
        }
    }

    /// Whether requests wait for an actor, or WebSockets that sleep have something for it.
    fn is_awaited(&self, actor: &ActorKey) -> bool {
        self.waiting.is_awaited(actor) || self.groups.is_awaited(actor)
    }

    /// The directory tells of an actor.
    pub(super) fn actor_seen(&mut self, ActorSeen { key, record }: ActorSeen, now: Time) {
        self.actors.learn(&key, record);
        self.look_for(&key, now);
    }

    /// What became of a change that was asked for.
    pub(super) fn actor_changed(&mut self, key: &ActorKey, outcome: ChangeOutcome<ActorRecord>, now: Time) {
        let Some(asked) = self.actors.known.get_mut(key).and_then(|actor| actor.asked.take()) else { return };
        self.actors.asking -= 1;
        match outcome {
            ChangeOutcome::Stored(revision) => {
                let record = match asked {
                    Asked::Wanted { record, before } => {
                        self.counted.actors_wanted += 1;
                        if let Some(actor) = self.actors.known.get_mut(key) {
                            actor.wish = Some(Wish { revision, before });
                        }
                        Some(record)
                    }
                    Asked::Unwanted(before) => {
                        self.counted.actors_unwanted += 1;
                        before
                    }
                };
                self.actors.learn(key, record.map(|record| Versioned { revision, record }));
                self.look_for(key, now);
            }
            ChangeOutcome::Conflict(record) => {
                self.actors.learn(key, record);
                self.look_for(key, now);
            }
            // Those that wait for it ask again when they look.
            ChangeOutcome::Unavailable => self.left(key),
        }
    }

    /// Those that wait for an actor look whether it runs; if it does not, it is wanted.
    pub(super) fn look_for(&mut self, key: &ActorKey, now: Time) {
        for request in self.waiting.awaiting(key) {
            // One that avoids where it runs goes on waiting.
            self.find_runner(request, now).ok();
        }
        if self.is_awaited(key) {
            self.want(key, now);
        }
        self.left(key);
    }

    /// Has an actor started, unless its record says that it will be, or that it must sleep first.
    pub(super) fn want(&mut self, key: &ActorKey, now: Time) {
        if self.actors.asking >= self.config.max_waiting {
            return;
        }
        let actor = self.actors.known.entry(key.clone()).or_default();
        if actor.asked.is_some() {
            return;
        }
        let known = actor.record.as_ref();
        let Some(record) = ActorRecord::wanted(known.map(|known| &known.record), self.wall.unix_ms(now)) else {
            return;
        };
        let expected = known.map(|known| known.revision);
        let before = known.map(|known| known.record.clone());
        actor.asked = Some(Asked::Wanted { record: record.clone(), before });
        self.actors.asking += 1;
        self.actions.push_back(Action::Actor(ActorChange { key: key.clone(), expected, record: Some(record) }));
    }

    /// An actor runs, as a relay says: whoever set it wanted has been answered.
    pub(super) fn answered(&mut self, key: &ActorKey) {
        if let Some(actor) = self.actors.known.get_mut(key) {
            actor.wish = None;
        }
    }

    /// Nobody waits for an actor any more, perhaps: then this gateway does not want it started.
    pub(super) fn left(&mut self, key: &ActorKey) {
        let is_awaited = self.is_awaited(key);
        if let Some(actor) = self.actors.known.get_mut(key)
            && !is_awaited
            && actor.asked.is_none()
            && let Some(Wish { revision, before }) = actor.take_wish()
        {
            actor.asked = Some(Asked::Unwanted(before.clone()));
            self.actors.asking += 1;
            let change = ActorChange { key: key.clone(), expected: Some(revision), record: before };
            self.actions.push_back(Action::Actor(change));
        }
        self.actors.forget_if_useless(key, is_awaited);
    }
}

/// Whom a request is for.
pub(super) fn actor_key(Target { pool, actor_id }: &Target) -> ActorKey {
    ActorKey { pool: pool.clone(), actor_id: actor_id.clone() }
}
