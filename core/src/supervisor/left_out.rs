//! Actors of which the directory told when there was no room for more: it is asked for them when there is room again.

use super::{Action, Deadline, Notice, Owner, Supervisor};
use crate::machine::deadline::Armed;
use crate::time::Time;

/// Whether actors were left out.
#[derive(Debug, Default)]
pub(super) enum LeftOut {
    /// None was, since the directory showed all of them.
    #[default]
    Nobody,
    /// Some were, and there has been no room since.
    Somebody,
    /// There is room again. The directory is asked a little later, so that more may have come together.
    Due(Armed),
}

impl LeftOut {
    /// Whether there may be actors of which nothing is known here.
    pub(super) fn is_somebody(&self) -> bool {
        match self {
            LeftOut::Nobody => false,
            LeftOut::Somebody | LeftOut::Due(_) => true,
        }
    }
}

impl Supervisor {
    /// There is no room for an actor.
    pub(super) fn leave_out(&mut self) {
        self.counted.untracked += 1;
        match self.left_out {
            LeftOut::Nobody => self.left_out = LeftOut::Somebody,
            LeftOut::Somebody | LeftOut::Due(_) => {}
        }
        if !core::mem::replace(&mut self.too_many_actors, true) {
            self.log(Notice::TooManyActors);
        }
    }

    /// An actor is kept in mind no longer.
    pub(super) fn made_room(&mut self, now: Time) {
        match self.left_out {
            LeftOut::Somebody => {
                self.left_out = LeftOut::Due(self.deadlines.arm(Deadline::LookAgain, Owner::LeftOut, now));
            }
            LeftOut::Nobody | LeftOut::Due(_) => {}
        }
    }

    /// The directory is asked for those that were left out, if there still is room.
    pub(super) fn look_again(&mut self) {
        if self.actors.len() < self.config.max_actors {
            // Whoever is left out then is noted anew.
            self.left_out = LeftOut::Nobody;
            self.counted.looked_again += 1;
            self.actions.push_back(Action::ShowActors);
        } else {
            self.left_out = LeftOut::Somebody;
        }
    }

    /// The directory is away: it will show all actors when it is back.
    pub(super) fn forget_left_out(&mut self) {
        match core::mem::take(&mut self.left_out) {
            LeftOut::Due(armed) => self.deadlines.cancel(armed),
            LeftOut::Nobody | LeftOut::Somebody => {}
        }
    }
}
