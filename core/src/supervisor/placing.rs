//! Where an actor stands, and who takes it: from its record to a claim.

use super::Supervisor;
use super::actors::{ActorSlot, Claim, Place};
use super::hosts::Host;
use super::life::{Life, Stage};
use super::rendezvous;
use super::{Deadline, Owner};
use crate::directory::{ActorKey, ActorRecord, ActorState, Pool, RunnerId};
use crate::time::Time;

/// What a record means to a supervisor.
#[derive(Debug)]
enum Standing {
    /// There is nothing to do for it.
    Forgotten,
    Asleep(i64),
    BackingOff(u8),
    Waiting,
    Had(RunnerId),
}

impl Supervisor {
    /// Makes of an actor what its record says. Not to be done while its record is being changed.
    pub(super) fn classify(&mut self, slot: ActorSlot, now: Time) {
        self.unplace(slot);
        let standing = self.standing(slot, now);
        match standing {
            Standing::Forgotten => {
                self.settle_at(slot, None, now);
                self.actors.remove(slot);
                self.made_room(now);
            }
            Standing::Asleep(alarm) => {
                self.settle_at(slot, None, now);
                self.alarms.set(alarm, slot);
                self.place(slot, Place::Asleep(alarm));
            }
            Standing::BackingOff(step) => {
                self.settle_at(slot, None, now);
                let armed = self.deadlines.arm(Deadline::BackOff(step), Owner::Actor(slot), now);
                self.place(slot, Place::BackingOff(armed));
            }
            Standing::Waiting => {
                self.settle_at(slot, None, now);
                self.wait(slot, now);
            }
            Standing::Had(runner) => {
                self.know_of(runner, now);
                self.settle_at(slot, Some(runner), now);
                self.had(slot, runner, now);
            }
        }
    }

    fn standing(&self, slot: ActorSlot, now: Time) -> Standing {
        let Some(known) = self.actors.get(slot).and_then(|actor| actor.known.as_ref()) else {
            return Standing::Forgotten;
        };
        let record = &known.record;
        match record.state {
            ActorState::Sleeping => match record.alarm {
                None => Standing::Forgotten,
                Some(alarm) if alarm <= self.wall.unix_ms(now) => Standing::Waiting,
                Some(alarm) => Standing::Asleep(alarm),
            },
            ActorState::Wanted => match record.crashes.checked_sub(1) {
                None => Standing::Waiting,
                Some(step) => Standing::BackingOff(
                    u8::try_from(step).map_or(self.last_back_off, |step| step.min(self.last_back_off)),
                ),
            },
            ActorState::Starting(runner) | ActorState::Running(runner) | ActorState::Stopping(runner) => {
                Standing::Had(runner)
            }
        }
    }

    /// A runner has it: one of this relay, one that is lost, or one elsewhere.
    fn had(&mut self, slot: ActorSlot, runner: RunnerId, now: Time) {
        let Some(host) = self.hosts.get(runner) else { return };
        let Some(known) = self.actors.get(slot).and_then(|actor| actor.known.as_ref()) else { return };
        if host.is_settled_here() {
            return self.adopt(slot, runner, now);
        }
        if !host.is_lost() {
            return self.place(slot, Place::Elsewhere);
        }
        match known.record.state {
            // What was to follow its stop was known to the relay that is gone, too. Who needs it will say so.
            ActorState::Stopping(_) => {
                let record = ActorRecord { state: ActorState::Sleeping, crashes: 0, ..known.record.clone() };
                self.place(slot, Place::Releasing(record));
                self.sync(slot);
            }
            ActorState::Starting(_) | ActorState::Running(_) => self.wait(slot, now),
            ActorState::Wanted | ActorState::Sleeping => {}
        }
    }

    /// Takes up the life of which a record tells that a runner of this relay has it.
    pub(super) fn adopt(&mut self, slot: ActorSlot, runner: RunnerId, now: Time) {
        let Some(actor) = self.actors.get(slot) else { return };
        let Some(record) = actor.known.as_ref().map(|known| &known.record) else { return };
        let Some(stage) = Stage::of(record.state) else { return };
        let mut life = Life::new(runner, record, stage);
        let actor_id = actor.key.actor_id.clone();
        let here = self.hosts.get_mut(runner).and_then(|host| host.here.as_mut());
        let announced = here.and_then(|here| here.strays.remove(&actor_id));
        life.announced = announced == Some(life.generation);
        let settled = self.hosts.get(runner).is_some_and(Host::is_settled_here);
        self.place(slot, Place::Hosted(Box::new(life)));
        if settled {
            self.go_on(slot, now);
        }
    }

    /// It is needed: whoever is chosen takes it.
    pub(super) fn wait(&mut self, slot: ActorSlot, now: Time) {
        let Some(actor) = self.actors.get_mut(slot) else { return };
        actor.place = Place::Waiting;
        let pool = actor.key.pool.clone();
        self.hosts.change_pool(&pool, |pool| pool.waiting.insert(slot));
        self.review(slot, now);
    }

    /// Claims an actor that waits if it belongs to a runner of this relay.
    fn review(&mut self, slot: ActorSlot, now: Time) {
        if !self.shown || self.draining {
            return;
        }
        let Some(actor) = self.actors.get(slot).filter(|actor| actor.waits() && actor.is_idle()) else { return };
        let Some(known) = &actor.known else { return };
        let Some(chosen) = self.choose(&actor.key) else { return };
        if !self.hosts.get(chosen).is_some_and(Host::is_settled_here) {
            return;
        }
        let unix_ms = self.wall.unix_ms(now);
        // One of which only its runner tells may still go on there.
        let here = self.hosts.get(chosen).and_then(|host| host.here.as_ref());
        let stray = here.and_then(|here| here.strays.get(&actor.key.actor_id)).copied().unwrap_or(0);
        let newest = known.record.generation.max(stray);
        let record = ActorRecord {
            generation: newest.wrapping_add(1).max(self.config.first_generation),
            // One that has rung does not ring again.
            alarm: known.record.alarm.filter(|alarm| *alarm > unix_ms),
            state: ActorState::Starting(chosen),
            ..known.record.clone()
        };
        let after = known.revision;
        self.unplace(slot);
        self.place(slot, Place::Claiming(Claim { runner: chosen, record, after }));
        self.counted.claimed += 1;
        self.write(slot);
        self.settle_at(slot, Some(chosen), now);
    }

    /// Asks the directory whether it still says what a start of which a record told follows from: the record may be
    /// old, and its life over.
    pub(super) fn confirm(&mut self, slot: ActorSlot, runner: RunnerId) {
        let Some(known) = self.actors.get(slot).and_then(|actor| actor.known.clone()) else { return };
        self.unplace(slot);
        self.place(slot, Place::Claiming(Claim { runner, record: known.record, after: known.revision }));
        self.write(slot);
    }

    fn choose(&self, actor: &ActorKey) -> Option<RunnerId> {
        let ready = &self.hosts.pool(&actor.pool)?.ready;
        let has_room = |id: &RunnerId| self.hosts.get(*id).is_some_and(Host::has_room);
        rendezvous::choose(actor, ready.iter().copied().filter(has_room))
    }

    /// The runners of a pool changed: so may the choices.
    pub(super) fn review_all(&mut self, pool: &Pool, now: Time) {
        let waiting: Vec<_> = self.hosts.pool(pool).into_iter().flat_map(|pool| pool.waiting.iter().copied()).collect();
        for slot in waiting {
            self.review(slot, now);
        }
    }

    pub(super) fn place(&mut self, slot: ActorSlot, place: Place) {
        if let Some(actor) = self.actors.get_mut(slot) {
            actor.place = place;
        }
    }

    /// Gives up what the place of an actor holds.
    pub(super) fn unplace(&mut self, slot: ActorSlot) {
        let Some(actor) = self.actors.get_mut(slot) else { return };
        match core::mem::replace(&mut actor.place, Place::Elsewhere) {
            Place::Asleep(alarm) => self.alarms.clear(alarm, slot),
            Place::BackingOff(armed) => self.deadlines.cancel(armed),
            Place::Waiting => {
                let pool = actor.key.pool.clone();
                self.hosts.change_pool(&pool, |pool| pool.waiting.remove(&slot));
            }
            Place::Hosted(life) => {
                self.cancel(life.deadline);
                self.restores_no_more(slot, life.runner);
            }
            Place::Elsewhere | Place::Claiming(_) | Place::Releasing(_) => {}
        }
    }

    /// Counts an actor among those of a runner, and no longer among those of another.
    pub(super) fn settle_at(&mut self, slot: ActorSlot, runner: Option<RunnerId>, now: Time) {
        let Some(actor) = self.actors.get_mut(slot) else { return };
        let before = core::mem::replace(&mut actor.at, runner);
        if before == runner {
            return;
        }
        let mut pools = [None, None];
        if let Some(host) = before.and_then(|id| self.hosts.get_mut(id)) {
            let had_room = host.has_room();
            host.actors.remove(&slot);
            pools[0] = (host.has_room() != had_room).then(|| host.key.clone()).flatten();
        }
        if let Some(host) = runner.and_then(|id| self.hosts.get_mut(id)) {
            let had_room = host.has_room();
            host.actors.insert(slot);
            pools[1] = (host.has_room() != had_room).then(|| host.key.clone()).flatten();
        }
        if let Some(before) = before {
            self.sweep(before);
        }
        for key in pools.into_iter().flatten() {
            self.review_all(&key.pool, now);
        }
    }
}
