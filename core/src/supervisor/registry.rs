//! The WebSockets that slept with an actor, and wake when it runs: what the registry says of them.
//!
//! It is asked before an actor is started, so that the actor hears of its sockets, and anew for each connection on
//! which a life goes on: sockets may have fallen asleep with the connection before. The answers name actors only, so
//! there is one question about an actor at a time; one that is asked for what is over by then is asked again.

use hashbrown::HashMap;

use super::actors::ActorSlot;
use super::life::Stage;
use super::{Action, Deadline, Notice, Owner, Supervisor};
use crate::directory::{ActorKey, DirectoryUnavailable, RunnerId};
use crate::protocol::to_client::HibernatingRequest;
use crate::time::Time;

/// What is known of the sockets that wake with a life, on this connection of its runner.
#[derive(Debug)]
pub(super) enum Sockets {
    /// Nothing: the registry is to be asked.
    Unasked,
    /// The registry is asked.
    Asked,
    /// Which they are, and which others there was no room to start it with; both empty once they were restored.
    Known { sockets: Vec<HibernatingRequest>, left_out: Vec<HibernatingRequest> },
}

impl Sockets {
    pub(super) const fn none() -> Self {
        Sockets::Known { sockets: Vec::new(), left_out: Vec::new() }
    }

    /// What a life is started with: no more than so many. The others are left out.
    pub(super) fn limited_to(&mut self, most: usize) -> Vec<HibernatingRequest> {
        match self {
            Sockets::Unasked | Sockets::Asked => Vec::new(),
            Sockets::Known { sockets, left_out } => {
                if sockets.len() > most {
                    left_out.extend(sockets.drain(most..));
                }
                sockets.clone()
            }
        }
    }

    /// Takes what is to be restored, and what was left out.
    pub(super) fn take(&mut self) -> (Vec<HibernatingRequest>, Vec<HibernatingRequest>) {
        match core::mem::replace(self, Sockets::none()) {
            Sockets::Unasked | Sockets::Asked => Default::default(),
            Sockets::Known { sockets, left_out } => (sockets, left_out),
        }
    }

    fn are_asked(&self) -> bool {
        match self {
            Sockets::Asked => true,
            Sockets::Unasked | Sockets::Known { .. } => false,
        }
    }
}

/// The questions that the registry has not answered.
#[derive(Debug, Default)]
pub(super) struct Questions(HashMap<ActorKey, Question>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Its answer counts.
    Asked,
    /// It was asked for what is over. What asks now is asked behind it.
    Again,
}

/// What an answer of the registry is worth.
enum Answer {
    Counts,
    /// It is asked again.
    Again,
    /// Nobody waits for it.
    Unasked,
}

impl Questions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the registry is to be asked now.
    fn ask(&mut self, actor: &ActorKey) -> bool {
        match self.0.get_mut(actor) {
            Some(question) => *question = Question::Again,
            None => {
                self.0.insert(actor.clone(), Question::Asked);
                return true;
            }
        }
        false
    }

    fn answered(&mut self, actor: &ActorKey, is_awaited: bool) -> Answer {
        match self.0.remove(actor) {
            Some(Question::Asked) if is_awaited => Answer::Counts,
            Some(Question::Again) if is_awaited => {
                self.0.insert(actor.clone(), Question::Asked);
                Answer::Again
            }
            Some(Question::Asked | Question::Again) | None => Answer::Unasked,
        }
    }
}

impl Supervisor {
    /// Whether the runner of a connection may say something on WebSockets that have not been restored there: it is not
    /// known yet which actors it has, or which sockets they are to go on with.
    pub fn is_restoring(&self, connection: u64) -> bool {
        let host = self.hosts.of_connection(connection).and_then(|id| self.hosts.get(id));
        let here = host.and_then(|host| host.here.as_ref()).filter(|here| here.connection == connection);
        here.is_some_and(|here| here.hibernates && (!here.is_settled() || !here.restoring.is_empty()))
    }

    /// Whether it is known which sockets a life starts or goes on with. If not, the registry is asked.
    pub(super) fn knows_sockets(&mut self, slot: ActorSlot) -> bool {
        let Some(actor) = self.actors.get_mut(slot) else { return false };
        let key = actor.key.clone();
        let Some(life) = actor.life_mut() else { return false };
        let Some(here) = self.hosts.get_mut(life.runner).and_then(|host| host.here.as_mut()) else { return false };
        if !here.hibernates {
            life.sockets = Sockets::none();
        }
        if let Sockets::Known { .. } = life.sockets {
            return true;
        }
        if life.stage == Stage::Running {
            here.restoring.insert(slot);
        }
        if life.sockets.are_asked() {
            return false;
        }
        life.sockets = Sockets::Asked;
        let armed = life.deadline.take();
        self.cancel(armed);
        if self.questions.ask(&key) {
            self.actions.push_back(Action::Registered { actor: key });
        }
        false
    }

    /// The registry answered.
    pub(super) fn registered(
        &mut self,
        key: ActorKey,
        sockets: Result<Vec<HibernatingRequest>, DirectoryUnavailable>,
        now: Time,
    ) {
        let slot = self.actors.slot(&key);
        let life = slot.and_then(|slot| self.actors.get_mut(slot)).and_then(|actor| actor.life_mut());
        let awaits = |stage| match stage {
            Stage::Starting | Stage::Running => true,
            Stage::Finishing(_) | Stage::Stopping(_) | Stage::Ending(_) => false,
        };
        let life = life.filter(|life| awaits(life.stage) && life.sockets.are_asked());
        match self.questions.answered(&key, life.is_some()) {
            Answer::Counts => {}
            Answer::Again => return self.actions.push_back(Action::Registered { actor: key }),
            Answer::Unasked => return,
        }
        let Some((slot, life)) = slot.zip(life) else { return };
        match sockets {
            Ok(sockets) => {
                life.sockets = Sockets::Known { sockets, left_out: Vec::new() };
                self.ask(slot, now);
            }
            Err(DirectoryUnavailable) => {
                life.sockets = Sockets::Unasked;
                life.deadline = Some(self.deadlines.arm(Deadline::Registry, Owner::Actor(slot), now));
                self.counted.registry_unavailable += 1;
                self.log(Notice::RegistryUnavailable(key));
            }
        }
    }

    /// The directory was away; the registry is asked again.
    pub(super) fn ask_registry_again(&mut self, slot: ActorSlot, now: Time) {
        if let Some(life) = self.actors.get_mut(slot).and_then(|actor| actor.life_mut()) {
            // The deadline that it held has just been taken.
            life.deadline = None;
        }
        self.ask(slot, now);
    }

    /// Nothing more is to be restored for an actor on its runner's connection.
    pub(super) fn restores_no_more(&mut self, slot: ActorSlot, runner: RunnerId) {
        if let Some(here) = self.hosts.get_mut(runner).and_then(|host| host.here.as_mut()) {
            here.restoring.remove(&slot);
        }
    }
}
