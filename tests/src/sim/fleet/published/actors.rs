//! The actors that a published runner hosts: they start and stop when they are told, crash, sleep, and count.

use core::time::Duration;

use bytestring::ByteString;
use underpass_core::Time;
use underpass_core::failure::RequestName;
use underpass_core::protocol::ToServer;
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::kv::{KvRequest, KvRequestData, KvResponse, KvResponseData};
use underpass_core::protocol::to_client::{AckEvents, Command, CommandWrapper, HibernatingRequest, StartActor};
use underpass_core::protocol::to_server::{
    AckCommands, ActorIntent, ActorState, Event, EventWrapper, StopCode, Stopped,
};
use underpass_core::protocol::tunnel::to_client::Kind as Word;

use super::Step;
use crate::sim::faults::{Host, Kind};
use crate::sim::hibernation::plan::Manner;
use crate::sim::lives::Begun;
use crate::sim::trace::About;
use crate::sim::world::World;

/// An actor that a published runner hosts.
#[derive(Debug)]
pub(in crate::sim) struct Hosted {
    /// Which of its lives.
    pub(in crate::sim) generation: u32,
    /// Which life of its process.
    life: u32,
    stage: Stage,
    /// When it last had something to do.
    pub(super) touched: Time,
    /// What it said, and what nobody acknowledged of that.
    said: i64,
    unacknowledged: Vec<EventWrapper>,
}

#[derive(Debug)]
enum Stage {
    /// Its start handler goes on; requests wait.
    Starting {
        held: Vec<Held>,
        /// The sockets that it may restore.
        sleeping: Vec<HibernatingRequest>,
    },
    Running,
    /// It was told to stop.
    Stopping,
}

/// A request that waits for its actor's start, or what is said on a socket that it may restore.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) name: RequestName,
    pub(super) number: u16,
    pub(super) word: Word,
    /// Its connection has ended.
    pub(super) is_cut_off: bool,
}

/// A call on an actor's store.
#[derive(Debug)]
pub(super) struct Call {
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

impl Hosted {
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &EventWrapper> {
        self.unacknowledged.iter()
    }

    /// Whether it is neither starting nor told to stop.
    pub(in crate::sim) fn runs(&self) -> bool {
        match self.stage {
            Stage::Running => true,
            Stage::Starting { .. } | Stage::Stopping => false,
        }
    }

    /// Where what is said on this socket waits, while it starts.
    pub(super) fn held_for(&mut self, name: RequestName) -> Option<&mut Vec<Held>> {
        let is_it = |request: &HibernatingRequest| {
            (request.gateway_id, request.request_id) == (name.gateway_id, name.request_id)
        };
        match &mut self.stage {
            Stage::Starting { held, sleeping } if sleeping.iter().any(is_it) => Some(held),
            Stage::Starting { .. } | Stage::Running | Stage::Stopping => None,
        }
    }

    /// Where requests wait, while it starts.
    pub(super) fn held(&mut self) -> Option<&mut Vec<Held>> {
        match &mut self.stage {
            Stage::Starting { held, .. } => Some(held),
            Stage::Running | Stage::Stopping => None,
        }
    }
}

impl World<'_> {
    pub(super) fn commands_come(&mut self, index: usize, commands: Vec<CommandWrapper>) {
        for CommandWrapper { checkpoint, inner } in commands {
            let ActorCheckpoint { actor_id, generation, .. } = checkpoint;
            match inner {
                Command::StartActor(start) => self.life_begins(index, actor_id, generation, *start),
                Command::StopActor => self.life_is_to_stop(index, &actor_id, generation),
            }
        }
        if self.published_plan(index).acknowledges {
            self.published_later(index, Duration::from_secs(2), Step::AcknowledgeCommands);
        }
    }

    fn life_begins(&mut self, index: usize, actor: ByteString, generation: u32, start: StartActor) {
        let is_sound = self.seen.iter().all(|kind| kind.leaves_time_sound());
        let pool = self.stateful_pool().name;
        let mut chance = self.chance(&actor, generation);
        let touched = self.network.now();
        let Some((node, process)) = self.published_process(index) else { return };
        let runner = process.runner_id.clone().unwrap_or_default();
        let told = process.orders.start(&actor, generation);
        let here = process.actors.get(&actor).map(|hosted| hosted.generation);
        let begun = Begun { actor: &actor, generation, runner: &runner, node };
        let outcome = told.and_then(|()| self.lives.begins(&begun, is_sound));
        if let Err(wrong) = outcome {
            return self.wrong(About::Nobody, || wrong);
        }
        if let Some(here) = here.filter(|_| is_sound) {
            let text = || format!("life {generation} of {actor} is to start where life {here} has not stopped");
            return self.wrong(About::Nobody, text);
        }
        if start.config.name != pool || start.config.key.as_ref() != Some(&actor) {
            return self.wrong(About::Nobody, || format!("{actor} is started as {:?}", start.config));
        }
        let Some((_, process)) = self.published_process(index) else { return };
        process.lives += 1;
        let life = process.lives;
        let stage = Stage::Starting { held: Vec::new(), sleeping: start.hibernating_requests };
        let hosted = Hosted { generation, life, stage, touched, said: 0, unacknowledged: Vec::new() };
        process.actors.insert(actor.clone(), hosted);
        process.exchanges.retain(|_, exchange| exchange.actor() != &actor);
        process.sockets.retain(|_, kept| kept.keeper.place.actor != actor);
        self.saved.begins(&actor, generation);
        self.actor_says(index, &actor, Event::ActorStateUpdate { state: ActorState::Running });
        self.published_later(index, chance.up_to(Duration::from_millis(400)), Step::Started(life));
    }

    /// Its start handler has finished: it takes the requests that came.
    pub(super) fn life_has_started(&mut self, index: usize, life: u32) {
        let Some((_, process)) = self.published_process(index) else { return };
        let Some((actor, hosted)) = process.actors.iter_mut().find(|(_, hosted)| hosted.life == life) else { return };
        let actor = actor.clone();
        match core::mem::replace(&mut hosted.stage, Stage::Running) {
            Stage::Starting { held, sleeping } => {
                let generation = hosted.generation;
                self.actor_counts(index, &actor);
                self.sockets_are_restored(index, &actor, generation, &sleeping);
                for Held { name, number, word, is_cut_off } in held {
                    if let Some(word) = self.socket_hears(index, name, number, word) {
                        self.exchange_begins(index, &actor, Held { name, number, word, is_cut_off });
                    }
                }
                if let Some(Manner { naps, .. }) = self.schedule.fleet.manner {
                    self.published_later(index, naps, Step::Nap(life));
                }
            }
            stage @ (Stage::Running | Stage::Stopping) => hosted.stage = stage,
        }
    }

    /// What a lie let be forgotten is missed if nobody has it any more: sometimes the actor crashes behind one.
    pub(super) fn actor_may_crash(&mut self, index: usize, actor: &ByteString) {
        let (may, after) = (self.random.once_in(6), self.random.up_to(Duration::from_millis(100)));
        let Some((_, process)) = self.published_process(index) else { return };
        let Some(hosted) = process.actors.get(actor).filter(|hosted| may && hosted.runs()) else { return };
        let life = hosted.life;
        self.seen.insert(Kind::CrashActor);
        self.published_later(index, after, Step::Stopped(life));
    }

    /// An actor that has done nothing for long would like to sleep.
    pub(super) fn life_may_nap(&mut self, index: usize, life: u32) {
        let Some(Manner { naps, .. }) = self.schedule.fleet.manner else { return };
        let now = self.network.now();
        let Some((_, process)) = self.published_process(index) else { return };
        let Some((actor, hosted)) = process.actors.iter().find(|(_, hosted)| hosted.life == life) else { return };
        if !hosted.runs() {
            return;
        }
        let (actor, idle) = (actor.clone(), now.since(hosted.touched));
        let mut keepers = process.sockets.values().map(|kept| &kept.keeper);
        let saves = keepers.any(|keeper| keeper.place.actor == actor && keeper.is_busy());
        if saves || process.exchanges.values().any(|exchange| exchange.actor() == &actor) {
            return self.published_later(index, naps, Step::Nap(life));
        }
        match naps.checked_sub(idle) {
            Some(left) if !left.is_zero() => self.published_later(index, left, Step::Nap(life)),
            Some(_) | None => {
                self.actor_says(index, &actor, Event::ActorIntent { intent: ActorIntent::Sleep });
                self.published_later(index, naps, Step::Nap(life));
            }
        }
    }

    fn life_is_to_stop(&mut self, index: usize, actor: &ByteString, generation: u32) {
        let mut chance = self.chance(actor, generation);
        let Some((_, process)) = self.published_process(index) else { return };
        process.orders.stop(actor, generation);
        // Of another life it knows nothing.
        let Some(hosted) = process.actors.get_mut(actor).filter(|hosted| hosted.generation == generation) else {
            return;
        };
        hosted.stage = Stage::Stopping;
        let life = hosted.life;
        process.exchanges.retain(|_, exchange| exchange.actor() != actor);
        self.sockets_stop(index, actor);
        self.published_later(index, chance.up_to(Duration::from_millis(300)), Step::Stopped(life));
    }

    /// A life that was told to stop has.
    pub(super) fn life_has_stopped(&mut self, index: usize, life: u32) {
        let Some((_, process)) = self.published_process(index) else { return };
        let Some((actor, _)) = process.actors.iter().find(|(_, hosted)| hosted.life == life) else { return };
        let (actor, code) = (actor.clone(), if process.is_stopping { StopCode::Ok } else { StopCode::Error });
        self.life_ends(index, &actor, Stopped { code, message: None });
    }

    /// A life ends, and its runner says so if it can: never again.
    fn life_ends(&mut self, index: usize, actor: &ByteString, stopped: Stopped) {
        self.actor_says(index, actor, Event::ActorStateUpdate { state: ActorState::Stopped(stopped) });
        self.life_is_over(index, actor);
        self.published_may_leave(index);
    }

    fn life_is_over(&mut self, index: usize, actor: &ByteString) {
        let Some((node, process)) = self.published_process(index) else { return };
        if let Some(hosted) = process.actors.remove(actor) {
            process.orders.went(actor, hosted.generation);
        }
        process.exchanges.retain(|_, exchange| exchange.actor() != actor);
        process.sockets.retain(|_, kept| kept.keeper.place.actor != actor);
        self.lives.ends(actor, node);
    }

    /// It was away for too long: its actors stop, and nobody will hear of it.
    pub(super) fn published_stops_all(&mut self, index: usize) {
        let host = Some(Host::Published(index));
        self.note(host, About::Nobody, 3, || "was away for too long: its actors stop".into());
        let Some((_, process)) = self.published_process(index) else { return };
        let actors: Vec<ByteString> = process.actors.keys().cloned().collect();
        for actor in actors {
            self.life_is_over(index, &actor);
        }
    }

    /// An actor says something. It is said again on each connection until it is acknowledged.
    fn actor_says(&mut self, index: usize, actor: &ByteString, inner: Event) {
        let Some((_, process)) = self.published_process(index) else { return };
        let Some(hosted) = process.actors.get_mut(actor) else { return };
        let (actor_id, generation) = (actor.clone(), hosted.generation);
        let event = EventWrapper { checkpoint: ActorCheckpoint { actor_id, generation, index: hosted.said }, inner };
        hosted.said += 1;
        hosted.unacknowledged.push(event.clone());
        self.published_says(index, ToServer::Events(vec![event]));
    }

    /// It takes an acknowledgement for the actor, whatever its generation: so it must be of the life that is here.
    pub(super) fn events_are_acknowledged(&mut self, index: usize, acknowledged: AckEvents) {
        let mut wrong = None;
        let Some((_, process)) = self.published_process(index) else { return };
        for ActorCheckpoint { actor_id, generation, index: up_to } in acknowledged.last_event_checkpoints {
            let Some(hosted) = process.actors.get_mut(&actor_id) else { continue };
            if hosted.generation != generation {
                let here = hosted.generation;
                wrong = Some(format!("life {generation} of {actor_id} is acknowledged where life {here} is"));
            }
            hosted.unacknowledged.retain(|event| event.checkpoint.index > up_to);
        }
        if let Some(wrong) = wrong {
            self.wrong(About::Nobody, || wrong);
        }
    }

    /// It says which starts it took; it never does of stops.
    pub(super) fn commands_are_acknowledged(&mut self, index: usize) {
        let Some((_, process)) = self.published_process(index) else { return };
        let checkpoint =
            |(actor, generation): (&ByteString, u32)| ActorCheckpoint { actor_id: actor.clone(), generation, index: 0 };
        let last_command_checkpoints: Vec<_> = process.orders.started().map(checkpoint).collect();
        if !last_command_checkpoints.is_empty() {
            self.published_says(index, ToServer::AckCommands(AckCommands { last_command_checkpoints }));
        }
    }

    /// An actor reads its count, and then writes the next.
    pub(super) fn actor_counts(&mut self, index: usize, actor: &ByteString) {
        let kept = self.lives.kept(actor);
        let keys = [COUNT].into_iter().collect();
        self.actor_calls(index, actor, CallKind::Read { kept }, KvRequestData::Get { keys });
    }

    fn actor_calls(&mut self, index: usize, actor: &ByteString, kind: CallKind, data: KvRequestData) {
        let Some((_, process)) = self.published_process(index) else { return };
        let Some(life) = process.actors.get(actor).map(|hosted| hosted.life) else { return };
        if process.link.open().is_none() {
            return;
        }
        process.called += 1;
        let request_id = process.called;
        process.calls.insert(request_id, Call { actor: actor.clone(), life, kind });
        self.published_says(index, ToServer::KvRequest(KvRequest { actor_id: actor.clone(), request_id, data }));
    }

    pub(super) fn store_answers(&mut self, index: usize, KvResponse { request_id, data }: KvResponse) {
        let Some((_, process)) = self.published_process(index) else { return };
        let Some(Call { actor, life, kind }) = process.calls.remove(&request_id) else {
            return self.wrong(About::Nobody, || format!("an answer of a store to nobody: {data:?}"));
        };
        let is_on = process.actors.get(&actor).is_some_and(|hosted| hosted.life == life);
        match (kind, data) {
            (CallKind::Read { kept }, KvResponseData::Get(entries)) => {
                let value = entries.values.iter().next();
                let count = value.and_then(|value| Some(u64::from_be_bytes(value[..].try_into().ok()?))).unwrap_or(0);
                if count < kept {
                    return self.wrong(About::Nobody, || format!("{actor} had counted to {kept}, and reads {count}"));
                }
                if is_on {
                    let (keys, values) =
                        ([COUNT].into_iter().collect(), [(count + 1).to_be_bytes()].into_iter().collect());
                    let data = KvRequestData::Put { keys, values };
                    self.actor_calls(index, &actor, CallKind::Write(count + 1), data);
                }
            }
            (CallKind::Write(count), KvResponseData::Put) => self.lives.counted(&actor, count),
            // Its life is over, or the next one has been at the store.
            (CallKind::Read { .. } | CallKind::Write(_), KvResponseData::Error { .. }) => {}
            (kind, data) => self.wrong(About::Nobody, || format!("a store answers {kind:?} with {data:?}")),
        }
    }

    /// An actor ends, badly or of its own will.
    pub(in crate::sim) fn published_actor_ends(&mut self, index: usize, actor: &ByteString, is_bad: bool) {
        let code = if is_bad { StopCode::Error } else { StopCode::Ok };
        self.note(Some(Host::Published(index)), About::Nobody, 4, || format!("{actor} ends: {code:?}"));
        self.life_ends(index, actor, Stopped { code, message: None });
    }

    /// An actor wants to be woken, if it is told when, and goes to sleep, or wishes to end.
    pub(in crate::sim) fn published_actor_wishes(
        &mut self,
        index: usize,
        actor: &ByteString,
        alarm_ts: Option<i64>,
        sleeps: bool,
    ) {
        if alarm_ts.is_some() {
            self.actor_says(index, actor, Event::ActorSetAlarm { alarm_ts });
        }
        let intent = if sleeps { ActorIntent::Sleep } else { ActorIntent::Stop };
        self.actor_says(index, actor, Event::ActorIntent { intent });
    }
}
