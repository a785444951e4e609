//! What runners say of their actors, and what they are told that was heard.

use std::collections::BTreeMap;

use bytestring::ByteString;

use super::actors::ActorSlot;
use super::held::Room;
use super::hosts::Session;
use super::life::{End, Stage, Then};
use super::{Action, Deadline, Owner, Supervisor};
use crate::directory::{ActorKey, RunnerId};
use crate::error::ApiMisuse;
use crate::protocol::control::ActorCheckpoint;
use crate::protocol::to_client::AckEvents;
use crate::protocol::to_server::{AckCommands, ActorIntent, ActorState, Event, EventWrapper};
use crate::time::Time;

/// Whose an event is.
#[derive(Clone, Copy, Debug)]
enum Whose {
    /// A life's that its runner hosts.
    Hosted(ActorSlot),
    /// A life's that the directory knows to be over.
    Over,
    /// Nobody's that is known.
    Foreign,
}

impl Supervisor {
    /// A runner says what happened to actors.
    pub(super) fn said(&mut self, connection: u64, mut events: Vec<EventWrapper>, now: Time) -> Result<(), ApiMisuse> {
        self.must_be_open(connection)?;
        let (came, max_actor_id) = (events.len(), self.config.max_actor_id);
        // Nobody was given an actor with a longer id.
        events.retain(|event| event.checkpoint.actor_id.len() <= max_actor_id);
        self.counted.foreign_events += (came - events.len()) as u64;
        let room = Room { events: self.config.max_held_events, bytes: self.config.max_held_bytes };
        let max_strays = self.config.max_actors_per_runner as usize;
        // Of a connection whose place another took nothing counts.
        let Some((id, here)) = self.hosts.here(connection) else { return Ok(()) };
        match &mut here.session {
            Session::Settled => self.handle_events(id, events, now),
            Session::Greeted { held } | Session::Answered { held } => {
                for event in events {
                    let Err(event) = held.push(event, room) else { continue };
                    self.counted.dropped_events += 1;
                    // That its actor is there is remembered all the same.
                    let ActorCheckpoint { actor_id, generation, .. } = event.checkpoint;
                    if here.strays.len() < max_strays {
                        here.strays.insert(ByteString::from(&*actor_id), generation);
                    }
                }
            }
        }
        Ok(())
    }

    /// Handles events in order. Lives that are over and that it still announces are stopped.
    pub(super) fn handle_events(&mut self, id: RunnerId, events: Vec<EventWrapper>, now: Time) {
        let Some(pool) = self.hosts.get(id).and_then(|host| host.key.as_ref()).map(|key| key.pool.clone()) else {
            return;
        };
        let mut over: BTreeMap<ByteString, u32> = BTreeMap::new();
        for EventWrapper { checkpoint, inner } in events {
            let ActorCheckpoint { actor_id, generation, index } = checkpoint;
            let key = ActorKey { pool: pool.clone(), actor_id };
            match self.whose(id, &key, generation) {
                Whose::Hosted(slot) => self.event(slot, index, inner, now),
                Whose::Over => {
                    self.counted.stale_events += 1;
                    if has_ended(&inner) {
                        over.remove(&key.actor_id);
                        self.outlived_ended(id, &key, generation, now);
                    } else {
                        over.insert(key.actor_id, generation);
                    }
                }
                Whose::Foreign => {
                    self.counted.foreign_events += 1;
                    if has_ended(&inner) {
                        self.outlived_ended(id, &key, generation, now);
                    }
                    self.stray(id, key.actor_id, generation, has_ended(&inner), now);
                }
            }
        }
        self.stop_outlived(id, over, now);
    }

    fn whose(&self, id: RunnerId, key: &ActorKey, generation: u32) -> Whose {
        let Some((slot, actor)) = self.actors.slot(key).and_then(|slot| Some((slot, self.actors.get(slot)?))) else {
            return Whose::Foreign;
        };
        if let Some(life) = actor.life().filter(|life| life.runner == id) {
            match generation.cmp(&life.generation) {
                core::cmp::Ordering::Equal => return Whose::Hosted(slot),
                core::cmp::Ordering::Less => return Whose::Over,
                core::cmp::Ordering::Greater => return Whose::Foreign,
            }
        }
        match &actor.known {
            Some(known) if generation < known.record.generation => Whose::Over,
            Some(known) if generation == known.record.generation && known.record.state.runner() != Some(id) => {
                Whose::Over
            }
            Some(_) | None => Whose::Foreign,
        }
    }

    fn event(&mut self, slot: ActorSlot, index: i64, event: Event, now: Time) {
        let Some(life) = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()) else { return };
        life.announced = true;
        if !life.heard.is_new(index) {
            self.counted.duplicate_events += 1;
            return self.queue(slot, now);
        }
        self.counted.events += 1;
        match life.stage {
            Stage::Starting if !has_ended(&event) => self.start_heard(slot, now),
            Stage::Starting | Stage::Running | Stage::Finishing(_) | Stage::Stopping(_) => {}
            // It has ended: it has nothing more to say.
            Stage::Ending(_) => return,
        }
        match event {
            // The first event said so already.
            Event::ActorStateUpdate { state: ActorState::Running } => {}
            Event::ActorStateUpdate { state: ActorState::Stopped(stopped) } => {
                let end = End { code: stopped.code, message: stopped.message };
                return self.ended(slot, end, now);
            }
            Event::ActorIntent { intent } => self.wishes(slot, intent, now),
            Event::ActorSetAlarm { alarm_ts } => {
                if let Some(life) = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()) {
                    life.alarm = alarm_ts;
                }
                self.sync(slot);
            }
        }
        self.queue(slot, now);
    }

    /// An actor would like to sleep, or to stop for good.
    fn wishes(&mut self, slot: ActorSlot, intent: ActorIntent, now: Time) {
        let Some(life) = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()) else { return };
        match &mut life.stage {
            Stage::Starting | Stage::Running => self.finish(slot, Then::Sleep.wishing(intent), now),
            Stage::Finishing(then) | Stage::Stopping(then) => *then = then.wishing(intent),
            Stage::Ending(_) => {}
        }
    }

    /// A WebSocket sleeps which this life of its actor does not have: that is for the next one.
    pub(super) fn left_behind(
        &mut self,
        connection: u64,
        actor_id: ByteString,
        generation: u32,
        now: Time,
    ) -> Result<(), ApiMisuse> {
        self.must_be_open(connection)?;
        let Some((id, _)) = self.hosts.here(connection) else { return Ok(()) };
        let Some(pool) = self.hosts.get(id).and_then(|host| host.key.as_ref()).map(|key| key.pool.clone()) else {
            return Ok(());
        };
        let Whose::Hosted(slot) = self.whose(id, &ActorKey { pool, actor_id }, generation) else { return Ok(()) };
        let life = self.actors.get(slot).and_then(|actor| actor.life());
        if life.is_some_and(|life| life.stage == Stage::Running) {
            self.wishes(slot, ActorIntent::Sleep, now);
        }
        Ok(())
    }

    /// A runner announced an actor that nobody gave it. The directory may tell of it yet.
    fn stray(&mut self, id: RunnerId, actor_id: ByteString, generation: u32, ended: bool, now: Time) {
        let most = self.config.max_actors_per_runner as usize;
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.as_mut()) else { return };
        if ended {
            here.strays.remove(&actor_id);
        } else if here.strays.len() < most || here.strays.contains_key(&actor_id) {
            // Copied: a slice would keep the whole frame that it came in.
            here.strays.insert(ByteString::from(&*actor_id), generation);
        }
        self.await_strays(id, now);
    }

    pub(super) fn await_strays(&mut self, id: RunnerId, now: Time) {
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.as_mut()) else { return };
        if here.stray.is_none() && !here.strays.is_empty() {
            here.stray = Some(self.deadlines.arm(Deadline::Stray, Owner::Runner(id), now));
        }
    }

    /// The directory has not told of them: they are stopped.
    pub(super) fn stop_strays(&mut self, id: RunnerId, now: Time) {
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.as_mut()) else { return };
        here.stray = None;
        let strays = core::mem::take(&mut here.strays);
        self.counted.strays_stopped += strays.len() as u64;
        self.stop_outlived(id, strays, now);
    }

    /// A life is about to start where an older one, of which only its runner tells, may still go on: that one is stopped
    /// first.
    pub(super) fn stop_stray(&mut self, id: RunnerId, actor_id: &ByteString, generation: u32, now: Time) {
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.as_mut()) else { return };
        let Some(stray) = here.strays.get(actor_id).copied().filter(|stray| *stray != generation) else { return };
        here.strays.remove(actor_id);
        self.counted.strays_stopped += 1;
        self.stop_outlived(id, [(actor_id.clone(), stray)], now);
    }

    /// An event of a life can be acknowledged, a little later and together with others.
    fn queue(&mut self, slot: ActorSlot, now: Time) {
        let Some(life) = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()) else { return };
        if life.heard.queued || life.heard.to_acknowledge().is_none() {
            return;
        }
        let id = life.runner;
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.as_mut()) else { return };
        life.heard.queued = true;
        here.unacknowledged.push(slot);
        if here.acknowledge.is_none() {
            here.acknowledge = Some(self.deadlines.arm(Deadline::Acknowledge, Owner::Runner(id), now));
        }
    }

    /// Acknowledges what can be, but nothing of a life that is over: its runner would take it for the next one's. Nor
    /// what the directory has yet to be told: it could be told by nobody but the runner if this relay died.
    pub(super) fn acknowledge(&mut self, id: RunnerId, now: Time) {
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.as_mut()) else { return };
        here.acknowledge = None;
        let connection = here.connection;
        let is_told = |slot: &ActorSlot| self.actors.get(*slot).is_none_or(|actor| actor.is_idle());
        let (told, untold): (Vec<_>, Vec<_>) = core::mem::take(&mut here.unacknowledged).into_iter().partition(is_told);
        if !untold.is_empty() {
            here.unacknowledged = untold;
            here.acknowledge = Some(self.deadlines.arm(Deadline::Acknowledge, Owner::Runner(id), now));
        }
        let mut checkpoints = Vec::new();
        for slot in told {
            let Some(actor) = self.actors.get_mut(slot) else { continue };
            let actor_id = actor.key.actor_id.clone();
            let Some(life) = actor.life_mut().filter(|life| life.runner == id && life.heard.queued) else { continue };
            let index = life.heard.acknowledge();
            match life.stage {
                Stage::Starting | Stage::Running | Stage::Finishing(_) | Stage::Stopping(_) => {
                    let generation = life.generation;
                    checkpoints.extend(index.map(|index| ActorCheckpoint { actor_id, generation, index }));
                }
                Stage::Ending(_) => {}
            }
        }
        if !checkpoints.is_empty() {
            let acknowledged = AckEvents { last_event_checkpoints: checkpoints };
            self.actions.push_back(Action::AckEvents { connection, acknowledged });
        }
    }

    /// A runner says which commands it took.
    pub(super) fn commands_taken(&mut self, connection: u64, acknowledged: AckCommands) -> Result<(), ApiMisuse> {
        self.must_be_open(connection)?;
        let Some((id, _)) = self.hosts.here(connection) else { return Ok(()) };
        let Some(pool) = self.hosts.get(id).and_then(|host| host.key.as_ref()).map(|key| key.pool.clone()) else {
            return Ok(());
        };
        for ActorCheckpoint { actor_id, generation, index } in acknowledged.last_command_checkpoints {
            let slot = self.actors.slot(&ActorKey { pool: pool.clone(), actor_id });
            let life = slot.and_then(|slot| self.actors.get_mut(slot)).and_then(|actor| actor.life_mut());
            if let Some(life) = life.filter(|life| life.runner == id && life.generation == generation) {
                life.acknowledged = life.acknowledged.max(Some(index));
            }
        }
        Ok(())
    }
}

fn has_ended(event: &Event) -> bool {
    match event {
        Event::ActorStateUpdate { state: ActorState::Stopped(_) } => true,
        Event::ActorStateUpdate { state: ActorState::Running }
        | Event::ActorIntent { .. }
        | Event::ActorSetAlarm { .. } => false,
    }
}
