//! A runner that no relay has taken in for too long, or that is another to its relay: its actors stop.

use core::time::Duration;

use bytestring::ByteString;

use super::Why;
use crate::protocol::to_client::ProtocolMetadata;
use crate::runner::Runner;
use crate::runner::link::Link;
use crate::time::Time;

/// What a relay has said of this runner, and since when none is there.
#[derive(Debug, Default)]
pub(in crate::runner) struct Absence {
    /// Away for longer, it stops its actors.
    threshold: Option<Duration>,
    /// Since when no relay has it.
    since: Option<Time>,
    /// When its actors are to stop, if any go on.
    pub(in crate::runner) lost_at: Option<Time>,
    /// The id that it had on its last connection.
    runner_id: Option<ByteString>,
}

impl Runner {
    /// A relay took this runner in. Actors of another id are not known to it: they stop.
    pub(in crate::runner) fn taken_in(&mut self, runner_id: &ByteString, metadata: ProtocolMetadata, now: Time) {
        if self.config.stateless {
            return;
        }
        let threshold = u64::try_from(metadata.runner_lost_threshold).unwrap_or_default();
        self.absence.threshold = Some(Duration::from_millis(threshold));
        let before = self.absence.runner_id.replace(ByteString::from(&**runner_id));
        if before.is_some_and(|before| before != *runner_id) {
            self.counted.renamed += 1;
            self.forget_all_ended();
            self.stop_all(now);
        }
        self.announce_all(now);
    }

    /// Stops all actors when no relay has had this runner for as long as they may go on without.
    pub(in crate::runner) fn look_at_absence(&mut self, now: Time) {
        let is_away = !self.links.iter().any(Link::is_taken_in);
        self.absence.since = is_away.then(|| self.absence.since.unwrap_or(now));
        let lost_at = self.absence.threshold.zip(self.absence.since).map(|(threshold, since)| since + threshold);
        self.absence.lost_at = lost_at.filter(|_| self.actors.unstopped() > 0);
        if self.absence.lost_at.is_some_and(|lost_at| lost_at <= now) {
            self.counted.timeouts.runner_lost += 1;
            self.absence.lost_at = None;
            self.stop_all(now);
        }
    }

    /// Stops all actors, as far as they are not being stopped, since no relay counts on them. None is to follow.
    pub(in crate::runner) fn stop_all(&mut self, now: Time) {
        for slot in self.actors.slots() {
            if let Some(life) = self.actors.life_mut(slot) {
                life.next = None;
            }
            self.stop_life(slot, Why::Lost, now);
        }
    }
}
