//! Actors that are wanted for WebSockets which sleep and have something to deliver.

use core::ops::Bound;
use std::collections::BTreeSet;

use super::actors::GroupKey;
use super::sleeper::Sleeper;
use crate::bus::{ConnectionId, Publication, Subject};
use crate::gateway::{Action, Gateway, request};
use crate::machine::RequestKey;
use crate::machine::deadline::Armed;
use crate::protocol::ToRunner;
use crate::protocol::to_runner::{LeftBehind, Ping};
use crate::time::Time;

/// An actor that is wanted, once for all of them.
#[derive(Debug)]
pub(in crate::gateway) struct Awaited {
    sockets: BTreeSet<RequestKey>,
    /// Until it is looked at again.
    look: Armed,
    /// When the relay of its runner is asked for its word again, if it runs.
    ping: Time,
    /// Whose word was asked for last: each has its turn.
    asked: Option<RequestKey>,
}

impl Awaited {
    /// Whose turn it is.
    fn next(&mut self) -> Option<RequestKey> {
        let behind = self.asked.and_then(|asked| self.sockets.range((Bound::Excluded(asked), Bound::Unbounded)).next());
        self.asked = behind.or(self.sockets.first()).copied();
        self.asked
    }
}

/// The named deadline of an actor that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Deadline {
    TryAgain,
}

impl Gateway {
    /// Wants the actor of a WebSocket that sleeps, if that has something to deliver.
    pub(super) fn await_actor(&mut self, key: RequestKey, now: Time) {
        let Some(sleeper) = self.requests.asleep_mut(key).filter(|sleeper| sleeper.has_to_deliver()) else { return };
        let group = sleeper.group;
        sleeper.kept_mut().start.get_or_insert_with(|| self.deadlines.arm(request::Deadline::ActorStart, key, now));
        if let Some(awaited) = self.groups.awaited(group) {
            awaited.sockets.insert(key);
            return;
        }
        let awaited = Awaited {
            sockets: BTreeSet::from([key]),
            look: self.group_deadlines.arm(Deadline::TryAgain, group, now),
            ping: now + self.config.ping_interval,
            asked: None,
        };
        self.groups.begin_to_await(group, awaited);
        let actor = self.groups.actor(group);
        self.want(&actor, now);
    }

    /// What lives have left unacknowledged calls for another after a while: a crash may have come between each time.
    pub(super) fn call_again_later(&mut self, key: RequestKey, now: Time) {
        let Some(sleeper) = self.requests.asleep_mut(key) else { return };
        let Some(waits) = sleeper.kept.as_ref().and_then(|kept| kept.backlog.waits()) else { return };
        let armed = self.deadlines.arm(request::Deadline::WakeAgain, key, now);
        sleeper.kept_mut().again = Some((armed, waits));
    }

    pub(in crate::gateway) fn sleeper_due(&mut self, deadline: request::Deadline, key: RequestKey, now: Time) {
        use request::Deadline;

        // While nothing was heard of the directory no actor could start. A client that has gone is not kept for that.
        let is_closing = self.requests.asleep(key).is_some_and(Sleeper::is_closing);
        let had_its_time = is_closing || self.runners.was_told_for(self.config.actor_start, now);
        // The deadline that it held has just been taken.
        let Some(kept) = self.requests.asleep_mut(key).map(|sleeper| sleeper.kept_mut()) else { return };
        match deadline {
            Deadline::ActorStart if had_its_time => {
                kept.start = None;
                self.not_started(key);
            }
            Deadline::ActorStart => kept.start = Some(self.deadlines.arm(Deadline::ActorStart, key, now)),
            Deadline::WakeAgain => match kept.again.take() {
                Some((_, waits)) if waits > 1 => {
                    kept.again = Some((self.deadlines.arm(Deadline::WakeAgain, key, now), waits - 1));
                }
                Some(_) | None => {
                    kept.backlog.call_again();
                    self.await_actor(key, now);
                }
            },
            // They are of those that are awake.
            Deadline::ResponseStart
            | Deadline::WebSocketOpen
            | Deadline::WebSocketClose
            | Deadline::WebSocketAck
            | Deadline::IdleRequestBody
            | Deadline::IdleResponseBody
            | Deadline::Grace => {}
        }
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
        let kept = self.requests.asleep_mut(key).and_then(|sleeper| sleeper.kept.as_mut());
        let start = kept.and_then(|kept| kept.start.take());
        self.cancel(start);
        let Some(awaited) = self.groups.awaited(group) else { return };
        awaited.sockets.remove(&key);
        if !awaited.sockets.is_empty() {
            return;
        }
        if let Some(awaited) = self.groups.await_no_more(group) {
            self.group_deadlines.cancel(awaited.look);
        }
        let actor = self.groups.actor(group);
        self.left(&actor);
    }

    pub(super) fn cancel(&mut self, armed: Option<Armed>) {
        if let Some(armed) = armed {
            self.deadlines.cancel(armed);
        }
    }

    pub(in crate::gateway) fn group_due(&mut self, Deadline::TryAgain: Deadline, group: GroupKey, now: Time) {
        let Some(awaited) = self.groups.awaited(group) else { return };
        awaited.look = self.group_deadlines.arm(Deadline::TryAgain, group, now);
        let mut asked = None;
        if awaited.ping <= now {
            awaited.ping = now + self.config.ping_interval;
            asked = awaited.next();
        }
        let actor = self.groups.actor(group);
        self.want(&actor, now);
        if let Some(key) = asked {
            self.ask_for_the_word(key, group, now);
        }
    }

    /// A relay has no route for a WebSocket that sleeps. If its actor runs there, and is wanted for it, it runs on
    /// without it: the relay is told, and has it sleep.
    pub(super) fn has_no_route(&mut self, key: RequestKey, from: Option<ConnectionId>, now: Time) {
        self.counted.stale += 1;
        let Some(sleeper) = self.requests.asleep(key).filter(|sleeper| sleeper.has_to_deliver()) else { return };
        let (gateway_id, request_id, actor) = (self.id, sleeper.id, self.groups.actor(sleeper.group));
        let Some((connection, generation)) = self.life_of_actor(&actor, now) else { return };
        if from.is_some_and(|from| from != connection) {
            return;
        }
        self.counted.left_behind += 1;
        let left_behind = LeftBehind { gateway_id, request_id, actor_id: actor.actor_id, generation };
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Connection(connection),
            reply_to: None,
            frame: ToRunner::LeftBehind(left_behind).encode_framed(),
        }));
    }

    /// The word that would wake a WebSocket may have got lost: if its actor runs, the ping makes the relay say it again.
    fn ask_for_the_word(&mut self, key: RequestKey, group: GroupKey, now: Time) {
        let actor = self.groups.actor(group);
        let Some(request_id) = self.requests.id(key) else { return };
        let Some((connection, _)) = self.life_of_actor(&actor, now) else { return };
        let ping = Ping { gateway_id: self.id, request_id, ts: self.wall.unix_ms(now) };
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Connection(connection),
            reply_to: Some(Subject::Gateway(self.id)),
            frame: ToRunner::Ping(ping).encode_framed(),
        }));
    }
}
