//! What the directory says of runners, and how old that is.

use std::collections::BTreeSet;

use super::hosts::{Host, Presence};
use super::{Deadline, Notice, Owner, Supervisor};
use crate::directory::{Pool, RunnerId, RunnerRecord, RunnerSeen, RunnerState, Versioned};
use crate::time::Time;

impl Supervisor {
    /// The directory shows a runner.
    pub(super) fn runner_seen(&mut self, seen: RunnerSeen, now: Time) {
        let Some(Versioned { revision, record }) = seen.record else {
            if let Some(id) = self.hosts.by_key(&seen.key) {
                self.displaced(id, now);
            }
            return;
        };
        if record.abilities.stateless {
            return;
        }
        let id = record.id;
        let known = self.hosts.get(id).is_some();
        if !known && record.connection.is_none() {
            return;
        }
        if !known && self.hosts.len() >= self.config.max_runners {
            self.counted.untracked += 1;
            if !core::mem::replace(&mut self.too_many_runners, true) {
                self.log(Notice::TooManyRunners);
            }
            return;
        }
        let host = self.hosts.hosts.entry(id).or_insert_with(|| Host::new(Presence::Lost));
        if host.revision.is_some_and(|before| revision <= before) {
            return;
        }
        host.revision = Some(revision);
        if let Some(other) = self.hosts.name(id, &seen.key) {
            self.displaced(other, now);
        }
        self.runner_known(id, &record, now);
        self.sweep(id);
    }

    fn runner_known(&mut self, id: RunnerId, record: &RunnerRecord, now: Time) {
        let Some(host) = self.hosts.get_mut(id) else { return };
        let had_room = host.has_room();
        host.slots = record.slots.min(self.config.max_actors_per_runner);
        let room_changed = host.has_room() != had_room;
        match record.connection {
            Some(connection) if connection.relay != self.relay => {
                self.hand_over(id, now);
                self.is_there(id, record.state == RunnerState::Ready, now);
            }
            // Of its own runners a relay knows more than the directory.
            Some(_) | None if host.here.is_some() => {}
            Some(_) | None => self.gone(id, now),
        }
        let changed = self.refresh_ready(id, now);
        if room_changed && !changed {
            self.review_pool_of(id, now);
        }
    }

    /// A runner is connected, here or elsewhere.
    pub(super) fn is_there(&mut self, id: RunnerId, ready: bool, now: Time) {
        let Some(host) = self.hosts.get(id) else { return };
        let was_lost = host.is_lost();
        let ages = host.here.is_none() && self.shown;
        let unseen = ages.then(|| self.deadlines.arm(Deadline::Unseen, Owner::Runner(id), now));
        self.set_presence(id, Presence::There { ready, unseen });
        if was_lost {
            for slot in self.slots_of(id) {
                self.reconsider(slot, now);
            }
        }
    }

    /// A runner is connected nowhere. Its time runs from when that was first known.
    pub(super) fn gone(&mut self, id: RunnerId, now: Time) {
        let Some(host) = self.hosts.get(id) else { return };
        // One that is here is, whatever was said; of the others it may be known already.
        if let (None, Presence::There { .. }) = (&host.here, &host.presence) {
            let lost = self.shown.then(|| self.deadlines.arm(Deadline::Lost, Owner::Runner(id), now));
            self.set_presence(id, Presence::Away { lost });
        }
    }

    /// A runner's record is gone, or another's by now.
    pub(super) fn displaced(&mut self, id: RunnerId, now: Time) {
        self.gone(id, now);
        self.refresh_ready(id, now);
        self.sweep(id);
    }

    /// An actor's record names a runner of which nothing may be known.
    pub(super) fn know_of(&mut self, id: RunnerId, now: Time) {
        if self.hosts.get(id).is_some() {
            return;
        }
        let lost = self.shown.then(|| self.deadlines.arm(Deadline::Lost, Owner::Runner(id), now));
        self.hosts.hosts.insert(id, Host::new(Presence::Away { lost }));
    }

    pub(super) fn set_presence(&mut self, id: RunnerId, presence: Presence) {
        let Some(host) = self.hosts.get_mut(id) else { return };
        let armed = host.presence.take_armed();
        host.presence = presence;
        self.cancel(armed);
    }

    /// Says whether a runner takes actors. Answers whether that changed.
    pub(super) fn refresh_ready(&mut self, id: RunnerId, now: Time) -> bool {
        let Some(host) = self.hosts.get(id) else { return false };
        let Some(pool) = host.key.as_ref().map(|key| key.pool.clone()) else { return false };
        let ready = host.is_ready() && !(self.draining && host.here.is_some());
        let changed = self.hosts.change_pool(&pool, |pool| match ready {
            true => pool.ready.insert(id),
            false => pool.ready.remove(&id),
        });
        if changed {
            self.review_all(&pool, now);
        }
        changed
    }

    fn review_pool_of(&mut self, id: RunnerId, now: Time) {
        let pool = self.hosts.get(id).and_then(|host| host.key.as_ref()).map(|key| key.pool.clone());
        if let Some(pool) = pool {
            self.review_all(&pool, now);
        }
    }

    pub(super) fn sweep(&mut self, id: RunnerId) {
        let armed = self.hosts.sweep(id);
        self.cancel(armed);
    }

    /// The directory does not show changes: nobody ages for it.
    pub(super) fn directory_away(&mut self) {
        self.shown = false;
        self.actors.hide();
        self.forget_left_out();
        for id in self.hosts.ids() {
            let armed = self.hosts.get_mut(id).and_then(|host| host.presence.take_armed());
            self.cancel(armed);
        }
    }

    /// The directory has shown what is there: everybody's time begins anew, and what waited for it is done.
    pub(super) fn directory_back(&mut self, now: Time) {
        if core::mem::replace(&mut self.shown, true) {
            return;
        }
        self.all_actors_shown(now);
        let mut pools: BTreeSet<Pool> = BTreeSet::new();
        for id in self.hosts.ids() {
            let Some(host) = self.hosts.get_mut(id) else { continue };
            pools.extend(host.key.as_ref().map(|key| key.pool.clone()));
            let here = host.here.is_some();
            match &mut host.presence {
                Presence::There { unseen, .. } if !here => {
                    *unseen = Some(self.deadlines.arm(Deadline::Unseen, Owner::Runner(id), now));
                }
                Presence::Away { lost } => {
                    *lost = Some(self.deadlines.arm(Deadline::Lost, Owner::Runner(id), now));
                }
                Presence::There { .. } | Presence::Lost => {}
            }
            self.settle(id, now);
        }
        for pool in pools {
            self.review_all(&pool, now);
        }
    }

    /// Nothing more is placed on runners of this relay.
    pub(super) fn drain(&mut self, now: Time) {
        self.draining = true;
        for id in self.hosts.ids() {
            self.refresh_ready(id, now);
        }
    }
}
