//! A runner of ours that hosts actors with state: their lives, and the calls on their stores.

use core::time::Duration;
use std::collections::BTreeMap;

use bytestring::ByteString;
use hashbrown::{HashMap, HashSet};
use underpass_core::protocol::kv::{KvRequestData, KvResponseData};
use underpass_core::protocol::to_client::ActorConfig;
use underpass_core::runner::{ActorLife, Event, Sleeping};
use underpass_core::{RequestKey, Time};

use crate::sim::bytes;
use crate::sim::faults::Host;
use crate::sim::hibernation::Keeper;
use crate::sim::hibernation::plan::Manner;
use crate::sim::lives::Begun;
use crate::sim::trace::About;
use crate::sim::world::{Own, World};

/// What a life does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Step {
    /// Its start handler has finished.
    Started(u32),
    /// It was told to stop, and has.
    Stopped(u32),
    /// It is looked whether it has done nothing for long.
    Nap(u32),
}

/// The actors that a runner hosts.
#[derive(Debug, Default)]
pub(in crate::sim) struct Hosting {
    /// As its relay said.
    pub(in crate::sim) runner_id: Option<ByteString>,
    pub(in crate::sim) actors: BTreeMap<ByteString, Guest>,
    /// The sockets that actors might restore when they started.
    pub(super) slept: HashSet<RequestKey>,
    /// Never looked through where order could show.
    pub(in crate::sim) keepers: HashMap<RequestKey, Keeper>,
    /// How many lives there were.
    lives: u32,
    calls: BTreeMap<u64, Call>,
    called: u64,
}

/// An actor in one of its lives.
#[derive(Debug)]
pub(in crate::sim) struct Guest {
    pub(in crate::sim) generation: u32,
    /// Which life of its process.
    life: u32,
    stage: Stage,
    /// When it last had something to do.
    touched: Time,
}

#[derive(Debug)]
enum Stage {
    Starting(Vec<Sleeping>),
    Running,
    Stopping,
}

/// A call on an actor's store.
#[derive(Debug)]
struct Call {
    actor: ByteString,
    life: u32,
    kind: CallKind,
}

#[derive(Debug)]
enum CallKind {
    /// It reads its count, which was acknowledged up to here.
    Read { kept: u64 },
    /// It writes this.
    Write(u64),
}

const COUNT: &[u8] = b"count";

impl Guest {
    /// Whether it is neither starting nor told to stop.
    pub(in crate::sim) fn runs(&self) -> bool {
        match self.stage {
            Stage::Running => true,
            Stage::Starting(_) | Stage::Stopping => false,
        }
    }

    fn named(&self, actor: &ByteString) -> ActorLife {
        ActorLife { actor_id: actor.clone(), generation: self.generation }
    }
}

impl World<'_> {
    pub(super) fn hosting(&mut self, index: usize) -> Option<&mut Hosting> {
        self.runners[index].process.as_mut().map(|process| &mut process.hosting)
    }

    fn guest(&mut self, index: usize, life: u32) -> Option<(ByteString, &mut Guest)> {
        let mut guests = self.hosting(index)?.actors.iter_mut();
        guests.find(|(_, guest)| guest.life == life).map(|(actor, guest)| (actor.clone(), guest))
    }

    fn guest_later(&mut self, index: usize, after: Duration, step: Step) {
        if let Some(node) = self.runners[index].running() {
            self.network.own(node, after, Own::Guest(step));
        }
    }

    /// The runner is to start an actor.
    pub(super) fn guest_begins(
        &mut self,
        index: usize,
        actor: ActorLife,
        config: &ActorConfig,
        sleeping: Vec<Sleeping>,
    ) {
        let ActorLife { actor_id: actor, generation } = actor;
        let is_sound = self.seen.iter().all(|kind| kind.leaves_time_sound());
        let (pool, touched) = (self.stateful_pool().name, self.network.now());
        let mut chance = self.chance(&actor, generation);
        let Some(node) = self.runners[index].running() else { return };
        let Some(hosting) = self.hosting(index) else { return };
        let runner = hosting.runner_id.clone().unwrap_or_default();
        if let Some(here) = hosting.actors.get(&actor).map(|guest| guest.generation) {
            let text = || format!("life {generation} of {actor} is to start where life {here} has not stopped");
            return self.wrong(About::Nobody, text);
        }
        let begun = Begun { actor: &actor, generation, runner: &runner, node };
        if let Err(wrong) = self.lives.begins(&begun, is_sound) {
            return self.wrong(About::Nobody, || wrong);
        }
        if config.name != pool || config.key.as_ref() != Some(&actor) {
            return self.wrong(About::Nobody, || format!("{actor} is started as {config:?}"));
        }
        self.saved.begins(&actor, generation);
        let Some(hosting) = self.hosting(index) else { return };
        hosting.slept.extend(sleeping.iter().map(|sleeping| sleeping.key));
        hosting.lives += 1;
        let life = hosting.lives;
        hosting.actors.insert(actor, Guest { generation, life, stage: Stage::Starting(sleeping), touched });
        self.guest_later(index, chance.up_to(Duration::from_millis(400)), Step::Started(life));
    }

    /// The runner is to stop an actor. Its sockets have been told.
    pub(super) fn guest_is_to_stop(&mut self, index: usize, actor: &ActorLife) {
        let ActorLife { actor_id, generation } = actor;
        let mut chance = self.chance(actor_id, *generation);
        let guest = self.hosting(index).and_then(|hosting| hosting.actors.get_mut(actor_id));
        let Some(guest) = guest.filter(|guest| guest.generation == *generation) else {
            return self.wrong(About::Nobody, || format!("{actor:?} is to stop, and is not here"));
        };
        guest.stage = Stage::Stopping;
        let life = guest.life;
        self.guest_later(index, chance.up_to(Duration::from_millis(300)), Step::Stopped(life));
    }

    pub(in crate::sim) fn guest_steps(&mut self, index: usize, step: Step) {
        match step {
            Step::Started(life) => self.guest_has_started(index, life),
            Step::Stopped(life) => {
                if let Some((actor, _)) = self.guest(index, life) {
                    self.guest_ends(index, &actor, None);
                }
            }
            Step::Nap(life) => self.guest_may_nap(index, life),
        }
        self.runner_wants(index);
    }

    /// Its start handler has finished: it has restored what it had saved, and takes requests.
    fn guest_has_started(&mut self, index: usize, life: u32) {
        let Some((actor, guest)) = self.guest(index, life) else { return };
        let (generation, named) = (guest.generation, guest.named(&actor));
        let sleeping = match core::mem::replace(&mut guest.stage, Stage::Running) {
            Stage::Starting(sleeping) => sleeping,
            stage @ (Stage::Running | Stage::Stopping) => return guest.stage = stage,
        };
        for Sleeping { key, socket } in &sleeping {
            self.guest_restores(index, &actor, generation, *key, *socket);
        }
        for (kept, _) in self.saved.of(&actor) {
            if !sleeping.iter().any(|sleeping| sleeping.socket == kept) {
                self.saved.save(&actor, generation, kept, None);
            }
        }
        self.hand_to_runner(index, About::Nobody, Event::ActorRunning { actor: named });
        self.guest_counts(index, &actor);
        if let Some(Manner { naps, .. }) = self.schedule.fleet.manner {
            self.guest_later(index, naps, Step::Nap(life));
        }
    }

    /// A life ends: as it was told, or badly, or of its own will.
    fn guest_ends(&mut self, index: usize, actor: &ByteString, error: Option<ByteString>) {
        let Some(node) = self.runners[index].running() else { return };
        let Some(hosting) = self.hosting(index) else { return };
        let Some(guest) = hosting.actors.remove(actor) else { return };
        // Their machine has yet to say so.
        hosting.keepers.values_mut().filter(|keeper| keeper.place.actor == *actor).for_each(Keeper::is_gone);
        self.lives.ends(actor, node);
        self.hand_to_runner(index, About::Nobody, Event::ActorStopped { actor: guest.named(actor), error });
    }

    /// An actor has something to do.
    pub(super) fn guest_is_touched(&mut self, index: usize, actor: &ByteString) {
        let now = self.network.now();
        if let Some(guest) = self.hosting(index).and_then(|hosting| hosting.actors.get_mut(actor)) {
            guest.touched = now;
        }
    }

    fn guest_may_nap(&mut self, index: usize, life: u32) {
        let Some(Manner { naps, .. }) = self.schedule.fleet.manner else { return };
        let now = self.network.now();
        let Some((actor, guest)) = self.guest(index, life) else { return };
        if !guest.runs() {
            return;
        }
        let (named, idle) = (guest.named(&actor), now.since(guest.touched));
        let Some(process) = self.runners[index].process.as_ref() else { return };
        let mut keepers = process.hosting.keepers.values();
        let mut handlers = process.handlers.values();
        if keepers.any(|keeper| keeper.place.actor == actor && keeper.is_busy())
            || handlers.any(|handler| handler.is_busy() && bytes::actor(handler.client) == actor)
        {
            return self.guest_later(index, naps, Step::Nap(life));
        }
        match naps.checked_sub(idle) {
            Some(left) if !left.is_zero() => self.guest_later(index, left, Step::Nap(life)),
            Some(_) | None => {
                self.hand_to_runner(index, About::Nobody, Event::ActorSleep { actor: named });
                self.guest_later(index, naps, Step::Nap(life));
            }
        }
    }

    /// An actor reads its count, and then writes the next.
    pub(super) fn guest_counts(&mut self, index: usize, actor: &ByteString) {
        let kept = self.lives.kept(actor);
        let keys = [COUNT].into_iter().collect();
        self.guest_calls(index, actor, CallKind::Read { kept }, KvRequestData::Get { keys });
    }

    fn guest_calls(&mut self, index: usize, actor: &ByteString, kind: CallKind, call: KvRequestData) {
        let Some(hosting) = self.hosting(index) else { return };
        let Some(guest) = hosting.actors.get(actor) else { return };
        let (named, life) = (guest.named(actor), guest.life);
        hosting.called += 1;
        let number = hosting.called;
        hosting.calls.insert(number, Call { actor: actor.clone(), life, kind });
        self.hand_to_runner(index, About::Nobody, Event::Kv { actor: named, number, call });
    }

    pub(super) fn guest_is_answered(&mut self, index: usize, number: u64, answer: KvResponseData) {
        let Some(hosting) = self.hosting(index) else { return };
        let Some(Call { actor, life, kind }) = hosting.calls.remove(&number) else {
            return self.wrong(About::Nobody, || format!("an answer of a store to nobody: {answer:?}"));
        };
        let is_on = hosting.actors.get(&actor).is_some_and(|guest| guest.life == life);
        match (kind, answer) {
            (CallKind::Read { kept }, KvResponseData::Get(entries)) => {
                let value = entries.values.iter().next();
                let count = value.and_then(|value| Some(u64::from_be_bytes(value[..].try_into().ok()?))).unwrap_or(0);
                if count < kept {
                    return self.wrong(About::Nobody, || format!("{actor} had counted to {kept}, and reads {count}"));
                }
                if is_on {
                    let (keys, values) =
                        ([COUNT].into_iter().collect(), [(count + 1).to_be_bytes()].into_iter().collect());
                    self.guest_calls(index, &actor, CallKind::Write(count + 1), KvRequestData::Put { keys, values });
                }
            }
            (CallKind::Write(count), KvResponseData::Put) => self.lives.counted(&actor, count),
            // Its life is over, or its runner was away for long.
            (CallKind::Read { .. } | CallKind::Write(_), KvResponseData::Error { .. }) => {}
            (kind, answer) => self.wrong(About::Nobody, || format!("a store answers {kind:?} with {answer:?}")),
        }
    }

    /// Some actor of a runner of ours ends, badly or of its own will.
    pub(in crate::sim) fn guest_fails(&mut self, index: usize, actor: &ByteString, is_bad: bool) {
        self.note(Some(Host::Runner(index)), About::Nobody, 4, || format!("{actor} ends, badly: {is_bad}"));
        self.guest_ends(index, actor, is_bad.then(|| "it threw".into()));
        self.runner_wants(index);
    }

    /// It wants to be woken, if it is told when, and goes to sleep, or wishes to end.
    pub(in crate::sim) fn guest_wishes(&mut self, index: usize, actor: &ByteString, at: Option<i64>, sleeps: bool) {
        let guest = self.hosting(index).and_then(|hosting| hosting.actors.get(actor));
        let Some(actor) = guest.map(|guest| guest.named(actor)) else { return };
        if at.is_some() {
            self.hand_to_runner(index, About::Nobody, Event::ActorAlarm { actor: actor.clone(), at });
        }
        let wish = if sleeps { Event::ActorSleep { actor } } else { Event::ActorDestroy { actor } };
        self.hand_to_runner(index, About::Nobody, wish);
        self.runner_wants(index);
    }
}
