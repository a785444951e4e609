//! The actors that a runner with state hosts: told to start and to stop by its relay, announced to it, and stopped when
//! it was away for too long.

mod away;
mod commands;
mod journal;
mod lives;
mod telling;

pub(super) use self::away::Absence;
use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use slab::Slab;

use self::journal::Journal;
use super::names::ActorLife;
use crate::machine::RequestKey;
use crate::machine::deadline::Armed;
use crate::protocol::to_client::StartActor;

/// An actor's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ActorSlot(usize);

/// What a runner knows of an actor.
#[derive(Debug)]
pub(super) enum Actor {
    /// It is here.
    Living(Life),
    /// It was here; the relay may not have heard of its end.
    Ended(Ended),
}

/// A life that goes on.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) generation: u32,
    /// The index of the command that started it.
    start: i64,
    pub(super) stage: Stage,
    journal: Journal,
    /// Its requests that are open.
    pub(super) requests: BTreeSet<RequestKey>,
    /// A later life, which is to start when this one has ended.
    next: Option<Box<Next>>,
}

/// How far a life has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// The embedder starts it.
    Starting,
    /// Its requests come.
    Running,
    /// The embedder stops it.
    Stopping { why: Why, stop: Option<Armed> },
}

/// Why a life is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The relay said so.
    Told,
    /// This runner was away for too long, or is another now, or goes: the relay takes the life for over.
    Lost,
    /// A later life of the same actor is to start.
    Outlived,
}

/// A life that is to start.
#[derive(Debug)]
struct Next {
    /// On which connection the command came.
    connection: u64,
    generation: u32,
    /// The command's.
    index: i64,
    start: Box<StartActor>,
}

/// A life that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    generation: u32,
    journal: Journal,
    /// When it is forgotten, if its end was told on a connection that is there.
    forget: Option<Armed>,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Actors {
    entries: Slab<(ByteString, Actor)>,
    by_id: BTreeMap<ByteString, ActorSlot>,
    living: usize,
    /// Those that are being stopped.
    stopping: usize,
}

impl Actors {
    pub(super) fn slot(&self, actor_id: &ByteString) -> Option<ActorSlot> {
        self.by_id.get(actor_id).copied()
    }

    fn get_mut(&mut self, slot: ActorSlot) -> Option<(&ByteString, &mut Actor)> {
        self.entries.get_mut(slot.0).map(|(actor_id, actor)| (&*actor_id, actor))
    }

    fn get(&self, slot: ActorSlot) -> Option<(&ByteString, &Actor)> {
        self.entries.get(slot.0).map(|(actor_id, actor)| (actor_id, actor))
    }

    pub(super) fn life(&self, slot: ActorSlot) -> Option<&Life> {
        match self.entries.get(slot.0) {
            Some((_, Actor::Living(life))) => Some(life),
            Some((_, Actor::Ended(_))) | None => None,
        }
    }

    pub(super) fn life_mut(&mut self, slot: ActorSlot) -> Option<&mut Life> {
        match self.entries.get_mut(slot.0) {
            Some((_, Actor::Living(life))) => Some(life),
            Some((_, Actor::Ended(_))) | None => None,
        }
    }

    /// Where a life is, if it goes on.
    pub(super) fn find(&self, actor: &ActorLife) -> Option<ActorSlot> {
        let slot = self.slot(&actor.actor_id)?;
        self.life(slot).is_some_and(|life| life.generation == actor.generation).then_some(slot)
    }

    /// The name of a life that goes on.
    pub(super) fn name(&self, slot: ActorSlot) -> Option<ActorLife> {
        let (actor_id, _) = self.entries.get(slot.0)?;
        let generation = self.life(slot)?.generation;
        Some(ActorLife { actor_id: actor_id.clone(), generation })
    }

    /// Enters an actor that is not there.
    fn insert(&mut self, actor_id: ByteString, actor: Actor) -> ActorSlot {
        self.living += usize::from(matches!(actor, Actor::Living(_)));
        let slot = ActorSlot(self.entries.insert((actor_id.clone(), actor)));
        self.by_id.insert(actor_id, slot);
        slot
    }

    fn remove(&mut self, slot: ActorSlot) -> Option<(ByteString, Actor)> {
        let (actor_id, actor) = self.entries.try_remove(slot.0)?;
        self.by_id.remove(&actor_id);
        if let Actor::Living(life) = &actor {
            self.living -= 1;
            self.stopping -= usize::from(life.is_stopping());
        }
        Some((actor_id, actor))
    }

    /// All of them, in the order of their ids.
    pub(super) fn slots(&self) -> Vec<ActorSlot> {
        self.by_id.values().copied().collect()
    }

    /// Those that go on.
    pub(super) fn living(&self) -> usize {
        self.living
    }

    /// Those that go on and are not being stopped.
    fn unstopped(&self) -> usize {
        self.living - self.stopping
    }

    /// Those that have ended and are kept in mind.
    pub(super) fn ended(&self) -> usize {
        self.entries.len() - self.living
    }
}

impl Life {
    fn is_stopping(&self) -> bool {
        match self.stage {
            Stage::Stopping { .. } => true,
            Stage::Starting | Stage::Running => false,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        match self.stage {
            Stage::Running => true,
            Stage::Starting | Stage::Stopping { .. } => false,
        }
    }
}
