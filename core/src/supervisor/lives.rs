//! Lives on runners of this relay, from claim to release.

use super::actors::{ActorSlot, Place};
use super::life::{End, Life, START, STOP, Stage, Then};
use super::{Action, Deadline, Notice, Owner, Supervisor};
use crate::directory::{ActorKey, RunnerId};
use crate::protocol::control::ActorCheckpoint;
use crate::protocol::to_client::{ActorConfig, Command, CommandWrapper, HibernatingRequest, StartActor};
use crate::protocol::to_server::StopCode;
use crate::time::Time;

impl Supervisor {
    /// A claim was made: the life begins.
    pub(super) fn begin(&mut self, slot: ActorSlot, runner: RunnerId, now: Time) {
        let Some(actor) = self.actors.get_mut(slot) else { return };
        let Some(known) = &actor.known else { return };
        let mut life = Life::new(runner, &known.record, Stage::Starting);
        life.confirmed = true;
        let Some(host) = self.hosts.get(runner) else { return self.classify(slot, now) };
        match &host.here {
            Some(here) => {
                let (ready, settled) = (here.is_ready(), here.is_settled());
                actor.place = Place::Hosted(Box::new(life));
                if ready {
                    self.ask(slot, now);
                } else if settled {
                    // It said goodbye meanwhile, or its connection drains, and it was not told to start it.
                    self.release(slot, Then::Move, now);
                }
            }
            // It went meanwhile: when it is back, it is told.
            None if host.is_away() => actor.place = Place::Hosted(Box::new(life)),
            None => self.classify(slot, now),
        }
    }

    /// What becomes of a life when it is known whether its runner announced it.
    pub(super) fn go_on(&mut self, slot: ActorSlot, now: Time) {
        let Some(life) = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()) else { return };
        let (runner, told, confirmed) = (life.runner, life.acknowledged.is_some(), life.confirmed);
        match (life.stage, life.announced) {
            (Stage::Starting, true) => self.start_heard(slot, now),
            (Stage::Starting, false) if told => self.release(slot, Then::Move, now),
            (Stage::Starting, false) if !confirmed => self.confirm(slot, runner),
            (Stage::Starting, false) | (Stage::Finishing(_) | Stage::Stopping(_), true) => self.ask(slot, now),
            (Stage::Running, true) => {
                // One that a record told of runs for as long as is known here.
                life.since.get_or_insert(now);
                self.ask(slot, now);
                self.sync(slot);
            }
            (Stage::Running, false) => self.release(slot, Then::Move, now),
            (Stage::Finishing(then) | Stage::Stopping(then), false) => self.release(slot, then, now),
            // Its routes are being closed on this connection.
            (Stage::Ending(_), _) => {}
        }
    }

    /// Brings a life to a stage.
    pub(super) fn enter(&mut self, slot: ActorSlot, stage: Stage, now: Time) {
        let Some(life) = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()) else { return };
        life.stage = stage;
        life.asked = false;
        let (runner, armed) = (life.runner, life.deadline.take());
        self.cancel(armed);
        self.restores_no_more(slot, runner);
        self.ask(slot, now);
        self.sync(slot);
    }

    /// Asks for what the stage of a life asks for, once on each connection of its runner.
    pub(super) fn ask(&mut self, slot: ActorSlot, now: Time) {
        let Some(actor) = self.actors.get(slot) else { return };
        let key = actor.key.clone();
        let Some(life) = actor.life() else { return };
        let (runner, generation) = (life.runner, life.generation);
        if life.stage == Stage::Starting {
            self.stop_stray(runner, &key.actor_id, generation, now);
            if self.is_outlived(runner, &key.actor_id) {
                return;
            }
        }
        let Some(life) = self.actors.get(slot).and_then(|actor| actor.life()) else { return };
        let Some(here) = self.hosts.get(runner).and_then(|host| host.here.as_ref()) else { return };
        if life.asked || !here.is_settled() {
            return;
        }
        match life.stage {
            Stage::Starting | Stage::Running => {
                if !self.knows_sockets(slot) {
                    return;
                }
            }
            Stage::Finishing(_) | Stage::Stopping(_) | Stage::Ending(_) => {}
        }
        let Some(life) = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()) else { return };
        let Some(here) = self.hosts.get_mut(runner).and_then(|host| host.here.as_mut()) else { return };
        life.asked = true;
        let connection = here.connection;
        let deadline = match life.stage {
            Stage::Starting => {
                let sockets = life.sockets.limited_to(self.config.max_restored);
                if !sockets.is_empty() {
                    // Its runner may say something on them before it says that the actor runs.
                    here.restoring.insert(slot);
                }
                let commands = vec![start(&key, life, sockets)];
                self.actions.push_back(Action::Commands { connection, commands });
                Some(Deadline::Start)
            }
            Stage::Running => {
                let (sockets, left_out) = life.sockets.take();
                here.restoring.remove(&slot);
                self.counted.sockets_left_out += left_out.len() as u64;
                if !sockets.is_empty() || !left_out.is_empty() {
                    let restore = Action::Restore { connection, actor: key, generation, sockets, left_out };
                    self.actions.push_back(restore);
                }
                None
            }
            Stage::Finishing(_) => {
                self.actions.push_back(Action::FinishRoutes { connection, actor: key, generation });
                self.config.finish.map(|_| Deadline::Finish)
            }
            Stage::Stopping(then) => {
                if life.acknowledged < Some(STOP) {
                    let commands = vec![stop(key.actor_id, generation)];
                    self.actions.push_back(Action::Commands { connection, commands });
                }
                Some(match then {
                    // Of those that are told to stop, only one that did not start is to be started again.
                    Then::Restart => Deadline::UnstartedStop,
                    Then::Sleep | Then::Rest | Then::Move => Deadline::Stop,
                })
            }
            Stage::Ending(_) => {
                self.actions.push_back(Action::EndRoutes { connection, actor: key, generation });
                None
            }
        };
        life.deadline = deadline.map(|deadline| self.deadlines.arm(deadline, Owner::Actor(slot), now));
    }

    /// The first event of a life came.
    pub(super) fn start_heard(&mut self, slot: ActorSlot, now: Time) {
        let Some(life) = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()) else { return };
        life.since = Some(now);
        self.counted.started += 1;
        self.enter(slot, Stage::Running, now);
    }

    /// A life is to end, as soon as its requests have.
    pub(super) fn finish(&mut self, slot: ActorSlot, then: Then, now: Time) {
        self.enter(slot, Stage::Finishing(then), now);
    }

    /// A life ended on its runner.
    pub(super) fn ended(&mut self, slot: ActorSlot, end: End, now: Time) {
        let Some(actor) = self.actors.get(slot) else { return };
        let Some((stage, runner)) = actor.life().map(|life| (life.stage, life.runner)) else { return };
        let here = self.hosts.get(runner).and_then(|host| host.here.as_ref());
        let runner_stops = here.is_some_and(|here| here.stopping);
        let then = match stage {
            Stage::Starting | Stage::Running => {
                if end.code == StopCode::Error {
                    let notice = Notice::Crashed { actor: actor.key.clone(), message: end.message };
                    self.counted.crashed += 1;
                    self.log(notice);
                }
                Then::unasked(end.code, runner_stops)
            }
            // What it was told, or wished, is no crash, whatever its code.
            Stage::Finishing(then) | Stage::Stopping(then) => then,
            // It said so already, or counts as ended.
            Stage::Ending(_) => return,
        };
        self.enter(slot, Stage::Ending(then), now);
    }

    /// An actor has no routes any more.
    pub(super) fn routes_ended(&mut self, key: &ActorKey, generation: u32, now: Time) {
        let Some(slot) = self.actors.slot(key) else { return };
        let Some(life) = self.actors.get(slot).and_then(|actor| actor.life()) else { return };
        if life.generation != generation || !life.asked {
            return;
        }
        match life.stage {
            Stage::Finishing(then) => self.enter(slot, Stage::Stopping(then), now),
            Stage::Ending(then) => self.release(slot, then, now),
            // An answer to what was asked at an earlier stage.
            Stage::Starting | Stage::Running | Stage::Stopping(_) => {}
        }
    }

    /// A life is over: the directory is asked to say so.
    pub(super) fn release(&mut self, slot: ActorSlot, then: Then, now: Time) {
        let Some(life) = self.actors.get(slot).and_then(|actor| actor.life()) else { return };
        let steady = life.since.is_some_and(|since| now.since(since) >= self.config.steady);
        let record = life.after(then, steady);
        self.counted.stopped += 1;
        self.unplace(slot);
        self.place(slot, Place::Releasing(record));
        self.sync(slot);
        self.settle_at(slot, None, now);
    }

    /// Another has this life in its hands: nothing more is done for it here.
    pub(super) fn let_go(&mut self, slot: ActorSlot, now: Time) {
        self.unplace(slot);
        if self.actors.get(slot).is_some_and(|actor| actor.is_idle()) {
            self.classify(slot, now);
        }
    }

    /// The directory says that a life is over which goes on here.
    pub(super) fn superseded(&mut self, slot: ActorSlot, now: Time) {
        let Some(actor) = self.actors.get(slot) else { return };
        let Some(life) = actor.life() else { return };
        let (key, runner, generation, stage) = (actor.key.clone(), life.runner, life.generation, life.stage);
        let asked = life.asked;
        self.counted.superseded += 1;
        self.log(Notice::Superseded(key.clone()));
        let here = self.hosts.get(runner).and_then(|host| host.here.as_ref()).filter(|here| here.is_settled());
        let connection = here.map(|here| here.connection);
        match (connection, stage) {
            // Its runner has not heard of it.
            (Some(_), Stage::Starting) if !asked => {}
            (Some(connection), Stage::Starting | Stage::Running | Stage::Finishing(_) | Stage::Stopping(_)) => {
                let actor_id = key.actor_id.clone();
                self.actions.push_back(Action::EndRoutes { connection, actor: key, generation });
                self.stop_outlived(runner, [(actor_id, generation)], now);
            }
            // It has ended; or it will be stopped if it is announced.
            (Some(_), Stage::Ending(_)) | (None, _) => {}
        }
        self.let_go(slot, now);
    }

    pub(super) fn start_timed_out(&mut self, slot: ActorSlot, now: Time) {
        let Some(actor) = self.actors.get_mut(slot) else { return };
        let notice = Notice::StartTimeout(actor.key.clone());
        // The deadline that it held has just been taken.
        actor.life_mut().and_then(|life| life.deadline.take());
        self.counted.start_timeouts += 1;
        self.log(notice);
        self.enter(slot, Stage::Stopping(Then::Restart), now);
    }

    pub(super) fn stop_timed_out(&mut self, slot: ActorSlot, now: Time) {
        let Some(actor) = self.actors.get_mut(slot) else { return };
        let notice = Notice::StopTimeout(actor.key.clone());
        let Some(life) = actor.life_mut() else { return };
        life.deadline = None;
        let Stage::Stopping(then) = life.stage else { return };
        self.counted.stop_timeouts += 1;
        self.log(notice);
        self.enter(slot, Stage::Ending(then), now);
    }

    /// Its requests are aborted; what follows is as if they had ended.
    pub(super) fn finish_timed_out(&mut self, slot: ActorSlot) {
        let Some(actor) = self.actors.get_mut(slot) else { return };
        let key = actor.key.clone();
        let Some(life) = actor.life_mut() else { return };
        life.deadline = None;
        let (runner, generation) = (life.runner, life.generation);
        let Some(here) = self.hosts.get(runner).and_then(|host| host.here.as_ref()) else { return };
        self.counted.finish_timeouts += 1;
        self.actions.push_back(Action::EndRoutes { connection: here.connection, actor: key, generation });
    }
}

fn start(key: &ActorKey, life: &Life, hibernating_requests: Vec<HibernatingRequest>) -> CommandWrapper {
    let config = ActorConfig {
        name: key.pool.name.clone(),
        key: Some(key.actor_id.clone()),
        create_ts: life.created_at(),
        input: None,
    };
    CommandWrapper {
        checkpoint: ActorCheckpoint { actor_id: key.actor_id.clone(), generation: life.generation, index: START },
        inner: Command::StartActor(Box::new(StartActor { config, hibernating_requests })),
    }
}

pub(super) fn stop(actor_id: bytestring::ByteString, generation: u32) -> CommandWrapper {
    CommandWrapper { checkpoint: ActorCheckpoint { actor_id, generation, index: STOP }, inner: Command::StopActor }
}
