//! What a relay hears of a runner's actors, on the newest connection that took the runner in.

use bytestring::ByteString;

use super::journal::wrapped;
use super::lives::crash;
use super::{Actor, ActorSlot, Ended};
use crate::protocol::ToServer;
use crate::protocol::control::ActorCheckpoint;
use crate::protocol::to_client::AckEvents;
use crate::protocol::to_server::{AckCommands, ActorState, Event, EventWrapper, StopCode, Stopped};
use crate::runner::Runner;
use crate::runner::due::{Deadline, Owner};
use crate::time::Time;

/// The most events that travel in one message.
const MOST_EVENTS: usize = 1_000;

impl Runner {
    /// The connection on which actors are spoken of: the newest that took this runner in.
    pub(in crate::runner) fn home(&self) -> Option<u64> {
        self.links.iter().rev().find(|link| link.is_taken_in()).map(|link| link.connection)
    }

    /// A relay took this runner in: it hears again which actors are there, and what it may not have heard.
    pub(in crate::runner) fn announce_all(&mut self, now: Time) {
        let mut events = Vec::new();
        for slot in self.actors.slots() {
            match self.actors.get(slot) {
                Some((actor_id, Actor::Living(life))) if life.journal.is_announced() => {
                    events.extend(life.journal.all(actor_id, life.generation));
                    for key in self.requests_of(slot) {
                        self.await_gateway(key, now);
                    }
                }
                Some((actor_id, Actor::Ended(ended))) => {
                    events.extend(ended.journal.all(actor_id, ended.generation));
                    self.forget_later(slot, now);
                }
                // It starts. The relay tells it to, again.
                Some((_, Actor::Living(_))) | None => {}
            }
        }
        self.tell_events(events);
    }

    /// The relay hears all that is kept of a life.
    pub(super) fn announce(&mut self, slot: ActorSlot) {
        let Some((actor_id, Actor::Living(life))) = self.actors.get(slot) else { return };
        let events = life.journal.all(actor_id, life.generation).collect();
        self.tell_events(events);
    }

    /// The relay hears the newest event of a life.
    pub(super) fn announce_last(&mut self, slot: ActorSlot) {
        let Some((actor_id, Actor::Living(life))) = self.actors.get(slot) else { return };
        let events = life.journal.last(actor_id, life.generation).into_iter().collect();
        self.tell_events(events);
    }

    /// The relay hears that a life has ended, and on its next connection again, until it is forgotten.
    pub(super) fn tell_end(&mut self, slot: ActorSlot, now: Time) {
        let Some((actor_id, Actor::Ended(ended))) = self.actors.get(slot) else { return };
        let events = ended.journal.last(actor_id, ended.generation).into_iter().collect();
        if self.home().is_some() {
            self.forget_later(slot, now);
            self.tell_events(events);
        }
    }

    /// A life that is not there has ended: with the last index that there can be, since nobody knows what was said of
    /// it before.
    pub(super) fn tell_unknown(&mut self, actor_id: &ByteString, generation: u32) {
        self.counted.stale_commands += 1;
        let stopped = Stopped { code: StopCode::Ok, message: None };
        let event = Event::ActorStateUpdate { state: ActorState::Stopped(stopped) };
        self.tell_events(vec![wrapped(actor_id, generation, i64::MAX, event)]);
    }

    /// A life did not come to be.
    pub(super) fn tell_crash(&mut self, actor_id: &ByteString, generation: u32, message: &'static str) {
        let event = Event::ActorStateUpdate { state: ActorState::Stopped(crash(message.into())) };
        self.tell_events(vec![wrapped(actor_id, generation, 0, event)]);
    }

    pub(super) fn tell_events(&mut self, mut events: Vec<EventWrapper>) {
        let Some(connection) = self.home() else { return };
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(MOST_EVENTS));
            self.tell_relay(connection, &ToServer::Events(events));
            events = rest;
        }
    }

    pub(super) fn acknowledge_commands(&mut self, last_command_checkpoints: Vec<ActorCheckpoint>) {
        let Some(connection) = self.home() else { return };
        if !last_command_checkpoints.is_empty() {
            self.tell_relay(connection, &ToServer::AckCommands(AckCommands { last_command_checkpoints }));
        }
    }

    /// The relay took events.
    pub(in crate::runner) fn events_acknowledged(&mut self, acknowledged: AckEvents) {
        for ActorCheckpoint { actor_id, generation, index } in acknowledged.last_event_checkpoints {
            let Some(slot) = self.actors.slot(&actor_id) else { continue };
            match self.actors.get_mut(slot) {
                Some((_, Actor::Living(life))) if life.generation == generation => life.journal.acknowledge(index),
                Some((_, Actor::Ended(ended))) if ended.generation == generation => {
                    if ended.journal.newest().is_some_and(|newest| newest <= index) {
                        self.forget_ended(slot);
                    }
                }
                Some((_, Actor::Living(_) | Actor::Ended(_))) | None => {}
            }
        }
    }

    /// An end that was told is forgotten a while later: a relay that has not heard of it by then has left.
    fn forget_later(&mut self, slot: ActorSlot, now: Time) {
        let Some((_, Actor::Ended(ended))) = self.actors.get_mut(slot) else { return };
        let armed = ended.forget.replace(self.deadlines.arm(Deadline::Forget, Owner::Actor(slot), now));
        if let Some(armed) = armed {
            self.deadlines.cancel(armed);
        }
    }

    /// It was told long ago. If that was on a connection that has ended, it is told again on the next.
    pub(in crate::runner) fn forget_is_due(&mut self, slot: ActorSlot) {
        let is_here = self.home().is_some();
        let Some((_, Actor::Ended(ended))) = self.actors.get_mut(slot) else { return };
        ended.forget = None;
        if is_here {
            self.forget_ended(slot);
        }
    }

    pub(super) fn forget_ended(&mut self, slot: ActorSlot) {
        match self.actors.get(slot) {
            Some((_, Actor::Ended(_))) => {}
            Some((_, Actor::Living(_))) | None => return,
        }
        if let Some((_, Actor::Ended(Ended { forget: Some(armed), .. }))) = self.actors.remove(slot) {
            self.deadlines.cancel(armed);
        }
    }

    /// Nobody is to hear of them any more.
    pub(in crate::runner) fn forget_all_ended(&mut self) {
        for slot in self.actors.slots() {
            self.forget_ended(slot);
        }
    }
}
