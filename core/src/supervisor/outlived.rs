//! Lives that are over for everybody but their runner: they are stopped, and until they have, no other of the same
//! actor is started there. A published runner that is told to start an actor which it still stops forgets it.

use bytestring::ByteString;

use super::lives::stop;
use super::{Action, Deadline, Owner, Supervisor};
use crate::directory::{ActorKey, RunnerId};
use crate::time::Time;

impl Supervisor {
    /// Has a runner stop lives that are over.
    pub(super) fn stop_outlived(
        &mut self,
        id: RunnerId,
        lives: impl IntoIterator<Item = (ByteString, u32)>,
        now: Time,
    ) {
        let most = self.config.max_actors_per_runner as usize;
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.as_mut()) else { return };
        let mut commands = Vec::new();
        let mut rearm = false;
        for (actor_id, generation) in lives {
            // Copied: a slice would keep the whole frame that it came in.
            let actor_id = ByteString::from(&*actor_id);
            let was_told = here.outlived.get(&actor_id) == Some(&generation);
            if !was_told && here.outlived.len() < most {
                here.outlived.insert(actor_id.clone(), generation);
                rearm = true;
            }
            if !was_told {
                commands.push(stop(actor_id, generation));
            }
        }
        if commands.is_empty() {
            return;
        }
        self.actions.push_back(Action::Commands { connection: here.connection, commands });
        if rearm {
            let armed = here.outlived_stop.replace(self.deadlines.arm(Deadline::OutlivedStop, Owner::Runner(id), now));
            self.cancel(armed);
        }
    }

    /// Whether a runner still has an older life of an actor.
    pub(super) fn is_outlived(&self, id: RunnerId, actor_id: &ByteString) -> bool {
        let here = self.hosts.get(id).and_then(|host| host.here.as_ref());
        here.is_some_and(|here| here.outlived.contains_key(actor_id))
    }

    /// An older life has ended: the next can be started.
    pub(super) fn outlived_ended(&mut self, id: RunnerId, key: &ActorKey, generation: u32, now: Time) {
        let Some(here) = self.hosts.get_mut(id).and_then(|host| host.here.as_mut()) else { return };
        if here.outlived.get(&key.actor_id) != Some(&generation) {
            return;
        }
        here.outlived.remove(&key.actor_id);
        if here.outlived.is_empty() {
            let armed = here.outlived_stop.take();
            self.cancel(armed);
        }
        self.start_next(id, key, now);
    }

    /// They have not ended in time: they count as ended.
    pub(super) fn outlived_timed_out(&mut self, id: RunnerId, now: Time) {
        let Some(host) = self.hosts.get_mut(id) else { return };
        let (Some(key), Some(here)) = (&host.key, &mut host.here) else { return };
        let pool = key.pool.clone();
        here.outlived_stop = None;
        let outlived = core::mem::take(&mut here.outlived);
        self.counted.stop_timeouts += outlived.len() as u64;
        for actor_id in outlived.into_keys() {
            self.start_next(id, &ActorKey { pool: pool.clone(), actor_id }, now);
        }
    }

    fn start_next(&mut self, id: RunnerId, key: &ActorKey, now: Time) {
        let Some(slot) = self.actors.slot(key) else { return };
        if self.actors.get(slot).and_then(|actor| actor.life()).is_some_and(|life| life.runner == id) {
            self.ask(slot, now);
        }
    }
}
