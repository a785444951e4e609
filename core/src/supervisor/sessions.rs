//! The connections of this relay's runners: greeting, pong, goodbye, end.

use super::actors::ActorSlot;
use super::event::Greeted;
use super::hosts::{Here, Host, Presence, Session};
use super::life::{Life, Stage, Then};
use super::{Notice, Supervisor};
use crate::directory::RunnerId;
use crate::error::ApiMisuse;
use crate::time::Time;

impl Supervisor {
    /// A runner of this relay was greeted: what it says now is held until its pong.
    pub(super) fn greeted(&mut self, greeted: Greeted, now: Time) -> Result<(), ApiMisuse> {
        let Greeted { connection, id, key, slots, hibernates, revision } = greeted;
        if self.hosts.of_connection(connection).is_some() {
            return Err(ApiMisuse::ConnectionInUse(connection));
        }
        self.hosts.connect(connection, id);
        let host = self.hosts.hosts.entry(id).or_insert_with(|| Host::new(Presence::Lost));
        host.slots = slots.min(self.config.max_actors_per_runner);
        host.revision = host.revision.max(Some(revision));
        // The connection that it had before is displaced, if its end is not known yet.
        let displaced = host.here.replace(Here::new(connection, hibernates));
        if let Some(displaced) = displaced {
            self.interrupt(id, displaced);
        }
        if let Some(other) = self.hosts.name(id, &key) {
            self.displaced(other, now);
        }
        self.is_there(id, true, now);
        self.refresh_ready(id, now);
        Ok(())
    }

    /// Its pong came: it has announced what it has.
    pub(super) fn answered(&mut self, connection: u64, now: Time) -> Result<(), ApiMisuse> {
        self.must_be_open(connection)?;
        let Some((id, here)) = self.hosts.here(connection) else { return Ok(()) };
        if let Session::Greeted { held } = &mut here.session {
            here.session = Session::Answered { held: core::mem::take(held) };
            self.settle(id, now);
        }
        Ok(())
    }

    /// It is known what a runner has, once it has answered and the directory has shown the actors: the lives that it
    /// announced go on, the others are over, and it is told what it has missed.
    pub(super) fn settle(&mut self, id: RunnerId, now: Time) {
        if !self.shown {
            return;
        }
        let Some(host) = self.hosts.get(id) else { return };
        if !host.here.as_ref().is_some_and(Here::has_answered) {
            return;
        }
        for slot in self.slots_of(id) {
            if self.actors.get(slot).is_some_and(|actor| actor.is_elsewhere() && actor.is_idle()) {
                self.adopt(slot, id, now);
            }
        }
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.as_mut()) else { return };
        let held = here.settle();
        let stopping = here.stopping;
        self.handle_events(id, held, now);
        for slot in self.slots_of(id) {
            self.settle_life(slot, id, stopping, now);
        }
        self.await_strays(id, now);
        self.refresh_ready(id, now);
    }

    fn settle_life(&mut self, slot: ActorSlot, id: RunnerId, stopping: bool, now: Time) {
        let Some(actor) = self.actors.get_mut(slot) else { return };
        let actor_id = actor.key.actor_id.clone();
        let Some(life) = actor.life_mut() else { return };
        let here = self.hosts.get_mut(id).and_then(|host| host.here.as_mut());
        if here.is_some_and(|here| here.strays.get(&actor_id) == Some(&life.generation) && here.forget(&actor_id)) {
            life.announced = true;
        }
        if stopping && life.stage == Stage::Starting && !life.announced {
            return self.release(slot, Then::Move, now);
        }
        self.go_on(slot, now);
        if stopping {
            self.finish_if_it_runs(slot, now);
        }
    }

    /// A runner said goodbye: its actors stop, each when its requests have ended.
    pub(super) fn stopping(&mut self, connection: u64, now: Time) -> Result<(), ApiMisuse> {
        self.must_be_open(connection)?;
        let Some((id, here)) = self.hosts.here(connection) else { return Ok(()) };
        if here.stopping {
            return Ok(());
        }
        here.stopping = true;
        let settled = here.is_settled();
        self.refresh_ready(id, now);
        if settled {
            for slot in self.slots_of(id) {
                self.finish_if_it_runs(slot, now);
            }
        }
        Ok(())
    }

    /// Nothing more is placed on a runner while it has this connection. What it has stays.
    pub(super) fn connection_drains(&mut self, connection: u64, now: Time) -> Result<(), ApiMisuse> {
        self.must_be_open(connection)?;
        let Some((id, here)) = self.hosts.here(connection) else { return Ok(()) };
        here.draining = true;
        self.refresh_ready(id, now);
        Ok(())
    }

    fn finish_if_it_runs(&mut self, slot: ActorSlot, now: Time) {
        let life = self.actors.get(slot).and_then(|actor| actor.life());
        match life.map(|life| (life.stage, life.asked)) {
            // It was not told to start it.
            Some((Stage::Starting, false)) => self.release(slot, Then::Move, now),
            Some((Stage::Starting, true) | (Stage::Running, _)) => self.finish(slot, Then::Move, now),
            // It is to stop already.
            Some((Stage::Finishing(_) | Stage::Stopping(_) | Stage::Ending(_), _)) | None => {}
        }
    }

    /// A connection ended. After a goodbye its runner's actors have stopped; otherwise they may still be there.
    pub(super) fn disconnected(&mut self, connection: u64, now: Time) -> Result<(), ApiMisuse> {
        self.must_be_open(connection)?;
        let here = self.hosts.here(connection).map(|(id, _)| id);
        self.hosts.disconnect(connection);
        let Some(id) = here else { return Ok(()) };
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.take()) else { return Ok(()) };
        let goodbye = here.stopping;
        self.interrupt(id, here);
        if goodbye {
            self.set_presence(id, Presence::Lost);
        } else {
            self.gone(id, now);
        }
        self.refresh_ready(id, now);
        for slot in self.slots_of(id) {
            let stage = self.actors.get(slot).and_then(|actor| actor.life()).map(|life| life.stage);
            match stage {
                Some(Stage::Ending(then)) => self.release(slot, then, now),
                Some(Stage::Finishing(then) | Stage::Stopping(then)) if goodbye => self.release(slot, then, now),
                Some(Stage::Starting | Stage::Running) if goodbye => self.release(slot, Then::Move, now),
                // It waits for its runner.
                Some(Stage::Starting | Stage::Running | Stage::Finishing(_) | Stage::Stopping(_)) => {}
                None => self.reconsider(slot, now),
            }
        }
        self.sweep(id);
        Ok(())
    }

    /// What was said and asked on a connection counts no more.
    fn interrupt(&mut self, id: RunnerId, here: Here) {
        self.cancel(here.stray);
        self.cancel(here.outlived_stop);
        self.cancel(here.acknowledge);
        for slot in self.slots_of(id) {
            let armed = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()).and_then(Life::interrupted);
            self.cancel(armed);
        }
    }

    /// Another relay has a runner now: its lives are that one's.
    pub(super) fn hand_over(&mut self, id: RunnerId, now: Time) {
        let here = self.hosts.get_mut(id).and_then(|host| host.here.take());
        if let Some(here) = here {
            self.interrupt(id, here);
        }
        for slot in self.slots_of(id) {
            if self.actors.get(slot).is_some_and(|actor| actor.life().is_some()) {
                self.let_go(slot, now);
            }
        }
    }

    /// A runner stayed away: its actors have stopped, and are placed anew.
    pub(super) fn lost(&mut self, id: RunnerId, now: Time) {
        let Some(host) = self.hosts.get_mut(id) else { return };
        // The deadline that it held has just been taken.
        host.presence = Presence::Lost;
        if !host.actors.is_empty() {
            self.counted.runners_lost += 1;
            self.log(Notice::RunnerLost(id));
        }
        self.refresh_ready(id, now);
        for slot in self.slots_of(id) {
            let stage = self.actors.get(slot).and_then(|actor| actor.life()).map(|life| life.stage);
            match stage {
                Some(Stage::Starting | Stage::Running) => self.let_go(slot, now),
                Some(Stage::Finishing(then) | Stage::Stopping(then) | Stage::Ending(then)) => {
                    self.release(slot, then, now);
                }
                None => self.reconsider(slot, now),
            }
        }
        self.sweep(id);
    }

    /// Looks again at an actor that is at a runner of which something else is known now.
    pub(super) fn reconsider(&mut self, slot: ActorSlot, now: Time) {
        let may_change = |actor: &super::actors::Actor| actor.is_idle() && (actor.is_elsewhere() || actor.waits());
        if self.actors.get(slot).is_some_and(may_change) {
            self.classify(slot, now);
        }
    }

    pub(super) fn slots_of(&self, id: RunnerId) -> Vec<ActorSlot> {
        self.hosts.get(id).map(|host| host.actors.iter().copied().collect()).unwrap_or_default()
    }

    pub(super) fn must_be_open(&self, connection: u64) -> Result<(), ApiMisuse> {
        match self.hosts.of_connection(connection) {
            Some(_) => Ok(()),
            None => Err(ApiMisuse::NoSuchConnection(connection)),
        }
    }
}
