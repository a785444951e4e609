//! What befalls actors with state of themselves, whatever runner hosts them.

use core::time::Duration;

use bytestring::ByteString;

use crate::sim::faults::Host;
use crate::sim::trace::About;
use crate::sim::world::World;

impl World<'_> {
    /// The actors that run, in order: on published runners, then on ours.
    fn running_actors(&self) -> Vec<(Host, ByteString)> {
        let mut running = Vec::new();
        for (index, slot) in self.published.iter().enumerate() {
            let actors = slot.process.iter().flat_map(|process| &process.actors).filter(|(_, hosted)| hosted.runs());
            running.extend(actors.map(|(actor, _)| (Host::Published(index), actor.clone())));
        }
        for (index, slot) in self.runners.iter().enumerate() {
            let guests = slot.process.iter().flat_map(|process| &process.hosting.actors);
            let guests = guests.filter(|(_, guest)| guest.runs());
            running.extend(guests.map(|(actor, _)| (Host::Runner(index), actor.clone())));
        }
        running
    }

    fn some_actor(&self, pick: u64) -> Option<(Host, ByteString)> {
        let running = self.running_actors();
        running.get((pick % running.len().max(1) as u64) as usize).cloned()
    }

    /// Some actor ends, badly or of its own will.
    pub(in crate::sim) fn actor_ends(&mut self, pick: u64) {
        let is_bad = pick >> 32 & 1 == 0;
        match self.some_actor(pick) {
            Some((Host::Published(index), actor)) => self.published_actor_ends(index, &actor, is_bad),
            Some((Host::Runner(index), actor)) => self.guest_fails(index, &actor, is_bad),
            Some((Host::Gateway(_) | Host::Relay(_), _)) | None => {}
        }
    }

    /// Some actor wants to be woken after a while, if it is told, and goes to sleep, or wishes to end.
    pub(in crate::sim) fn actor_wishes(&mut self, pick: u64, wake_after: Option<Duration>) {
        let Some((host, actor)) = self.some_actor(pick) else { return };
        self.note(Some(host), About::Nobody, 5, || format!("{actor} would like to rest"));
        let sleeps = wake_after.is_some() || pick >> 32 & 3 != 0;
        let alarm = wake_after.map(|after| self.unix_ms() + after.as_millis() as i64);
        match host {
            Host::Published(index) => self.published_actor_wishes(index, &actor, alarm, sleeps),
            Host::Runner(index) => self.guest_wishes(index, &actor, alarm, sleeps),
            Host::Gateway(_) | Host::Relay(_) => {}
        }
    }
}
