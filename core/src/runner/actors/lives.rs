//! What the embedder says of its actors, and their end.

use bytestring::ByteString;

use super::{Actor, ActorSlot, Ended, Life, Stage, Why};
use crate::error::ApiMisuse;
use crate::http::Close;
use crate::protocol::control::ActorCheckpoint;
use crate::protocol::to_server::{ActorIntent, ActorState, Event, StopCode, Stopped};
use crate::protocol::tunnel::to_server::Kind;
use crate::runner::due::{Deadline, Owner};
use crate::runner::names::ActorLife;
use crate::runner::request::State;
use crate::runner::{Action, Ended as RequestEnded, Runner};
use crate::time::Time;

impl Runner {
    /// The embedder has started an actor.
    pub(in crate::runner) fn actor_running(&mut self, actor: &ActorLife, now: Time) -> Result<(), ApiMisuse> {
        let Some(slot) = self.actors.find(actor) else { return Ok(()) };
        let Some(life) = self.actors.life_mut(slot) else { return Ok(()) };
        match life.stage {
            Stage::Starting => {}
            Stage::Running => return Err(ApiMisuse::OutOfTurn("an actor that runs already")),
            // It was told to stop meanwhile.
            Stage::Stopping { .. } => return Ok(()),
        }
        life.stage = Stage::Running;
        life.journal.open();
        let (generation, index) = (life.generation, life.start);
        self.announce(slot);
        self.acknowledge_commands(vec![ActorCheckpoint { actor_id: actor.actor_id.clone(), generation, index }]);
        for key in self.requests_of(slot) {
            self.restored_or_not(key, now);
        }
        Ok(())
    }

    /// An actor wishes something, or wants to be woken.
    pub(in crate::runner) fn actor_says(&mut self, actor: &ActorLife, event: Event) {
        let Some(slot) = self.actors.find(actor) else { return };
        let Some(life) = self.actors.life_mut(slot) else { return };
        life.journal.add(event);
        match life.stage {
            // It goes behind the start.
            Stage::Starting => {}
            Stage::Running => self.announce_last(slot),
            Stage::Stopping { .. } if life.journal.is_announced() => self.announce_last(slot),
            Stage::Stopping { .. } => {}
        }
    }

    pub(in crate::runner) fn actor_wishes(&mut self, actor: &ActorLife, intent: ActorIntent) {
        if let Some(slot) = self.actors.find(actor) {
            self.send_acks_of(slot);
        }
        self.actor_says(actor, Event::ActorIntent { intent });
    }

    /// The embedder is to stop an actor. Its WebSockets sleep, or are closed; an exchange that is still open is aborted.
    pub(super) fn stop_life(&mut self, slot: ActorSlot, why: Why, now: Time) {
        let Some(life) = self.actors.life_mut(slot) else { return };
        match &life.stage {
            Stage::Starting | Stage::Running => {}
            Stage::Stopping { .. } => return,
        }
        life.stage =
            Stage::Stopping { why, stop: Some(self.deadlines.arm(Deadline::ActorStop, Owner::Actor(slot), now)) };
        self.actors.stopping += 1;
        self.end_requests_of(slot);
        if let Some(actor) = self.actors.name(slot) {
            self.actions.push_back(Action::StopActor { actor });
        }
    }

    fn end_requests_of(&mut self, slot: ActorSlot) {
        for key in self.requests_of(slot) {
            let Some(request) = self.requests.get(key) else { continue };
            if request.hibernation.is_some() {
                self.actions.push_back(Action::WebSocketAsleep { key });
                self.end(key, RequestEnded::Asleep);
                continue;
            }
            match request.state {
                State::AwaitingResponse | State::Collecting { .. } | State::Responding => {
                    self.send(key, Kind::ResponseAbort);
                }
                State::Restoring | State::AwaitingWebSocket | State::OpenWebSocket | State::ClosingWebSocket => {}
            }
            self.tell_handler(key, Close::new(1001, "actor.stopped"));
            self.end(key, RequestEnded::Aborted);
        }
    }

    /// An actor is no more.
    pub(in crate::runner) fn actor_stopped(&mut self, actor: &ActorLife, error: Option<ByteString>, now: Time) {
        if let Some(slot) = self.actors.find(actor) {
            self.send_acks_of(slot);
            self.ended(slot, error, now);
        }
    }

    /// The embedder has not stopped an actor in time: it counts as ended.
    pub(in crate::runner) fn actor_stop_timed_out(&mut self, slot: ActorSlot, now: Time) {
        let Some(life) = self.actors.life_mut(slot) else { return };
        if let Stage::Stopping { stop, .. } = &mut life.stage {
            // It has just been taken.
            *stop = None;
        }
        self.counted.timeouts.actor_stop += 1;
        self.ended(slot, Some("the actor did not stop in time".into()), now);
    }

    fn ended(&mut self, slot: ActorSlot, error: Option<ByteString>, now: Time) {
        let Some((actor_id, life)) = self.take_life(slot) else { return };
        let Life { generation, stage, mut journal, next, .. } = life;
        let why = match stage {
            Stage::Starting | Stage::Running => None,
            Stage::Stopping { why, .. } => Some(why),
        };
        self.counted.actors_stopped += 1;
        let stopped = match (error, why) {
            (Some(error), _) => crash(error),
            // The relay is to start it again, and not to forget its alarm, as it would if it had wished to end.
            (None, Some(Why::Lost)) => crash("its runner was away for too long".into()),
            (None, Some(Why::Told | Why::Outlived) | None) => Stopped { code: StopCode::Ok, message: None },
        };
        journal.close(ActorState::Stopped(stopped));
        let is_gone = why == Some(Why::Lost) && self.home().is_none();
        match next {
            Some(next) => {
                self.tell_events(journal.last(&actor_id, generation).into_iter().collect());
                self.begin(actor_id, *next);
            }
            // What ended while the relay took it for over is nothing to tell.
            None if is_gone || self.actors.ended() >= self.config.max_actors => {}
            None => {
                let slot = self.actors.insert(actor_id, Actor::Ended(Ended { generation, journal, forget: None }));
                self.tell_end(slot, now);
            }
        }
    }

    /// Takes a life out of the table, and all that is about it with it.
    fn take_life(&mut self, slot: ActorSlot) -> Option<(ByteString, Life)> {
        self.actors.life(slot)?;
        self.end_requests_of(slot);
        self.end_calls_of(slot);
        let (actor_id, Actor::Living(mut life)) = self.actors.remove(slot)? else { return None };
        if let Stage::Stopping { stop, .. } = &mut life.stage
            && let Some(stop) = stop.take()
        {
            self.deadlines.cancel(stop);
        }
        Some((actor_id, life))
    }

    /// Lives that are being stopped are waited for no longer.
    pub(in crate::runner) fn forget_lives(&mut self) {
        for slot in self.actors.slots() {
            self.take_life(slot);
        }
    }
}

pub(super) fn crash(message: ByteString) -> Stopped {
    Stopped { code: StopCode::Error, message: Some(message) }
}
