//! What a relay tells a runner to do with its actors.

use std::collections::BTreeSet;

use bytestring::ByteString;

use super::journal::Journal;
use super::{Actor, Life, Next, Stage, Why};
use crate::machine::RequestKey;
use crate::protocol::Dialect;
use crate::protocol::control::ActorCheckpoint;
use crate::protocol::to_client::{Command, CommandWrapper, StartActor};
use crate::runner::link::Link;
use crate::runner::names::{ActorLife, Sleeping, SocketId};
use crate::runner::{Action, Runner};
use crate::time::Time;

impl Runner {
    /// Commands came, on a connection. Stops are acknowledged at once; a start is when its life has started, as a relay
    /// takes a life that it knows to be told of, and that does not announce itself on the next connection, for over.
    pub(in crate::runner) fn commands(&mut self, connection: u64, commands: Vec<CommandWrapper>, now: Time) {
        if self.config.stateless {
            return;
        }
        let mut taken = Vec::new();
        for CommandWrapper { checkpoint, inner } in commands {
            let is_taken = match inner {
                Command::StartActor(start) => self.told_to_start(connection, checkpoint.clone(), start, now),
                Command::StopActor => {
                    self.told_to_stop(&checkpoint.actor_id, checkpoint.generation, now);
                    true
                }
            };
            if is_taken {
                taken.push(checkpoint);
            }
        }
        self.acknowledge_commands(taken);
    }

    /// Whether the life has started already.
    fn told_to_start(
        &mut self,
        connection: u64,
        checkpoint: ActorCheckpoint,
        start: Box<StartActor>,
        now: Time,
    ) -> bool {
        let ActorCheckpoint { actor_id, generation, index } = checkpoint;
        let next = Next { connection, generation, index, start };
        let Some(slot) = self.actors.slot(&actor_id) else {
            // Copied: a slice would keep the whole frame that it came in.
            self.begin(ByteString::from(&*actor_id), next);
            return false;
        };
        match self.actors.get_mut(slot) {
            Some((_, Actor::Living(life))) if generation > life.generation => {
                if life.next.as_ref().is_none_or(|known| known.generation < generation) {
                    life.next = Some(Box::new(next));
                }
                self.stop_life(slot, Why::Outlived, now);
                false
            }
            Some((_, Actor::Living(life))) if generation == life.generation => {
                let announced = life.journal.is_announced();
                self.counted.repeated_commands += 1;
                if announced {
                    self.announce_last(slot);
                }
                announced
            }
            Some((_, Actor::Ended(ended))) if generation > ended.generation => {
                self.forget_ended(slot);
                self.begin(ByteString::from(&*actor_id), next);
                false
            }
            Some((_, Actor::Ended(ended))) if generation == ended.generation => {
                self.counted.repeated_commands += 1;
                self.tell_end(slot, now);
                true
            }
            // An older life, which is over.
            Some((_, Actor::Living(_) | Actor::Ended(_))) | None => {
                self.counted.stale_commands += 1;
                false
            }
        }
    }

    /// A life begins: the embedder is to start it.
    pub(super) fn begin(&mut self, actor_id: ByteString, next: Next) {
        let Next { connection, generation, index, start } = next;
        if self.actors.living() >= self.config.max_actors {
            self.counted.refused_actors += 1;
            return self.tell_crash(&actor_id, generation, "the runner has as many actors as it may");
        }
        self.counted.actors_started += 1;
        let life = Life {
            generation,
            start: index,
            stage: Stage::Starting,
            journal: Journal::default(),
            requests: BTreeSet::new(),
            next: None,
        };
        let slot = self.actors.insert(actor_id.clone(), Actor::Living(life));
        let StartActor { config, hibernating_requests } = *start;
        // Only Underpass's relays wake what slept.
        let wakes = self.link(connection).and_then(Link::dialect) != Some(Dialect::Published);
        let mut sockets = Vec::new();
        for socket in hibernating_requests.into_iter().filter(|_| wakes).map(SocketId::from) {
            if let Some(key) = self.insert_sleeping(slot, &actor_id, socket, connection) {
                sockets.push(Sleeping { key, socket });
            }
        }
        self.actions.push_back(Action::StartActor { actor: ActorLife { actor_id, generation }, config, sockets });
    }

    /// A relay wants a life stopped. Of one that is not there it hears that it has ended: a stop does not overtake its
    /// start.
    fn told_to_stop(&mut self, actor_id: &ByteString, generation: u32, now: Time) {
        let Some(slot) = self.actors.slot(actor_id) else { return self.tell_unknown(actor_id, generation) };
        match self.actors.get_mut(slot) {
            Some((_, Actor::Living(life))) if generation == life.generation => match &mut life.stage {
                Stage::Starting | Stage::Running => self.stop_life(slot, Why::Told, now),
                Stage::Stopping { why, .. } => {
                    self.counted.repeated_commands += 1;
                    *why = Why::Told;
                }
            },
            Some((_, Actor::Living(life))) => {
                life.next.take_if(|next| next.generation == generation);
                self.tell_unknown(actor_id, generation);
            }
            Some((_, Actor::Ended(ended))) if generation == ended.generation => {
                self.counted.repeated_commands += 1;
                self.tell_end(slot, now);
            }
            Some((_, Actor::Ended(_))) | None => self.tell_unknown(actor_id, generation),
        }
    }

    /// All requests of a life, in the order of their keys.
    pub(in crate::runner) fn requests_of(&self, slot: super::ActorSlot) -> Vec<RequestKey> {
        self.actors.life(slot).map(|life| life.requests.iter().copied().collect()).unwrap_or_default()
    }
}
