//! Actors that are wanted for WebSockets which sleep and have something to deliver.

use std::collections::BTreeSet;

use super::actors::GroupKey;
use crate::bus::{Publication, Subject};
use crate::gateway::{Action, Gateway};
use crate::machine::RequestKey;
use crate::machine::deadline::Armed;
use crate::protocol::ToRunner;
use crate::protocol::to_runner::Ping;
use crate::time::Time;

/// An actor that is wanted, once for all of them.
#[derive(Debug)]
pub(in crate::gateway) struct Awaited {
    sockets: BTreeSet<RequestKey>,
    /// Until they fail.
    start: Armed,
    /// Until it is looked at again.
    look: Armed,
    /// When the relay of its runner is asked for its word again, if it runs.
    ping: Time,
}

/// The named deadlines of an actor that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Deadline {
    ActorStart,
    TryAgain,
}

impl Gateway {
    /// Wants the actor of a WebSocket that sleeps, if that has something to deliver.
    pub(super) fn await_actor(&mut self, key: RequestKey, now: Time) {
        let Some(sleeper) = self.requests.asleep(key).filter(|sleeper| sleeper.has_to_deliver()) else { return };
        let group = sleeper.group;
        if let Some(awaited) = self.groups.awaited(group) {
            awaited.sockets.insert(key);
            return;
        }
        let awaited = Awaited {
            sockets: BTreeSet::from([key]),
            start: self.group_deadlines.arm(Deadline::ActorStart, group, now),
            look: self.group_deadlines.arm(Deadline::TryAgain, group, now),
            ping: now + self.config.ping_interval,
        };
        self.groups.begin_to_await(group, awaited);
        let actor = self.groups.actor(group);
        self.want(&actor, now);
    }

    /// A WebSocket wakes: if its actor was wanted for it, that was answered.
    pub(super) fn is_awake(&mut self, key: RequestKey, group: GroupKey) {
        if self.groups.awaited(group).is_some() {
            let actor = self.groups.actor(group);
            self.answered(&actor);
            self.await_no_more(key, group);
        }
    }

    /// A WebSocket ends, or has nothing to deliver any more.
    pub(super) fn await_no_more(&mut self, key: RequestKey, group: GroupKey) {
        let Some(awaited) = self.groups.awaited(group) else { return };
        awaited.sockets.remove(&key);
        if !awaited.sockets.is_empty() {
            return;
        }
        if let Some(awaited) = self.groups.await_no_more(group) {
            self.group_deadlines.cancel(awaited.start);
            self.group_deadlines.cancel(awaited.look);
        }
        let actor = self.groups.actor(group);
        self.left(&actor);
    }

    pub(in crate::gateway) fn group_due(&mut self, deadline: Deadline, group: GroupKey, now: Time) {
        match deadline {
            Deadline::ActorStart => {
                let Some(awaited) = self.groups.await_no_more(group) else { return };
                self.group_deadlines.cancel(awaited.look);
                // Behind the last of them it may be forgotten here.
                let actor = self.groups.actor(group);
                for key in awaited.sockets {
                    self.not_started(key);
                }
                self.left(&actor);
            }
            Deadline::TryAgain => {
                let Some(awaited) = self.groups.awaited(group) else { return };
                awaited.look = self.group_deadlines.arm(Deadline::TryAgain, group, now);
                let first = awaited.sockets.first().copied();
                let is_to_ping = awaited.ping <= now;
                if is_to_ping {
                    awaited.ping = now + self.config.ping_interval;
                }
                let actor = self.groups.actor(group);
                self.want(&actor, now);
                if let Some(key) = first.filter(|_| is_to_ping) {
                    self.ask_for_the_word(key, group, now);
                }
            }
        }
    }

    /// The word that would wake a WebSocket may have got lost: if its actor runs, the ping makes the relay say it again.
    fn ask_for_the_word(&mut self, key: RequestKey, group: GroupKey, now: Time) {
        let actor = self.groups.actor(group);
        let Some(request_id) = self.requests.id(key) else { return };
        let Some(connection) = self.connection_of_actor(&actor, now) else { return };
        let ping = Ping { gateway_id: self.id, request_id, ts: self.wall.unix_ms(now) };
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Connection(connection),
            reply_to: Some(Subject::Gateway(self.id)),
            frame: ToRunner::Ping(ping).encode_framed(),
        }));
    }
}
