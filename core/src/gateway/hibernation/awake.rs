//! WebSockets that can hibernate and are awake: what their clients say is kept until it is acknowledged.

use super::actors::GroupKey;
use super::registry::Registration;
use super::sleeper::Kept;
use crate::failure::FailureCode;
use crate::gateway::request::{Deadline, State};
use crate::gateway::waits::{Came, keep};
use crate::gateway::{Action, End, Gateway};
use crate::http::{Close, Message, Target};
use crate::machine::RequestKey;
use crate::machine::deadline::Armed;
use crate::machine::flow::Turn;
use crate::protocol::tunnel::to_client::{self, Credit};
use crate::protocol::{Dialect, MessageIndex, RequestId};
use crate::time::Time;

/// What a WebSocket that can hibernate has besides, while it is awake.
#[derive(Debug)]
pub(in crate::gateway) struct Hibernation {
    /// Its actor.
    pub(super) group: GroupKey,
    /// The life of its actor; as far as it is known, before a relay has told.
    pub(super) generation: u32,
    pub(super) registration: Registration,
    /// Since when it is awake, if it has slept.
    pub(super) awake_since: Option<Time>,
    /// Until the next messages are acknowledged.
    pub(in crate::gateway) ack: Option<Armed>,
    pub(super) kept: Kept,
}

impl Hibernation {
    /// Bytes held for the runner.
    pub(in crate::gateway) fn held(&self) -> usize {
        self.kept.backlog.bytes()
    }

    /// The newest life that a relay told of.
    pub(super) fn newest(&self) -> u32 {
        self.kept.word.map_or(self.generation, |word| word.generation)
    }
}

impl Gateway {
    /// A runner took a WebSocket, and said that it can hibernate.
    pub(in crate::gateway) fn can_hibernate(&mut self, key: RequestKey, target: &Target) {
        let generation = self.generation(target);
        let group = self.groups.enter(target);
        let Some(request) = self.requests.get_mut(key) else { return };
        let kept = Kept::nothing(request.up.next_number());
        let registration = Registration::Entering;
        request.hibernation =
            Some(Box::new(Hibernation { group, generation, registration, awake_since: None, ack: None, kept }));
        let id = request.id;
        self.register(id, group);
    }

    /// Whether a request is a WebSocket that can fall asleep now.
    pub(in crate::gateway) fn may_sleep(&self, key: RequestKey) -> bool {
        let hibernation = self.requests.get(key).and_then(|request| request.hibernation.as_ref());
        hibernation.is_some_and(|hibernation| hibernation.registration.is_entered())
    }

    /// Whether what a client says is kept until it is acknowledged.
    pub(in crate::gateway) fn keeps(&self, key: RequestKey) -> bool {
        self.requests.get(key).is_some_and(|request| request.hibernation.is_some())
    }

    /// A client's message for a runner that acknowledges.
    pub(in crate::gateway) fn keep_message(&mut self, key: RequestKey, message: Message, now: Time) {
        let bounds = self.config.pending();
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(hibernation) = request.hibernation.as_mut() else { return };
        hibernation.kept.backlog.push(message);
        if hibernation.kept.backlog.is_over(bounds) {
            return self.fail(key, FailureCode::Overloaded, TOO_MUCH);
        }
        self.flush_kept(key, now);
    }

    /// Sends what credit lets through of what is kept, and the client's close behind all acknowledgements.
    pub(in crate::gateway) fn flush_kept(&mut self, key: RequestKey, now: Time) {
        let bounds = self.config.pending();
        while let Some(request) = self.requests.get_mut(key)
            && request.up.has_credit()
            && let Some(hibernation) = request.hibernation.as_mut()
            && let Some(next) = hibernation.kept.backlog.pop_next()
        {
            request.up.go_on_at(next.number);
            request.up.spend(next.message.len());
            self.counted.resent += u64::from(next.is_again);
            self.send(key, to_client::Kind::WebSocketMessage(next.message.into_wire()));
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(hibernation) = request.hibernation.as_mut() else { return };
        let backlog = &hibernation.kept.backlog;
        request.up.go_on_at(backlog.next_number());
        if backlog.is_empty()
            && let Some(close) = hibernation.kept.close.take()
        {
            self.send(key, to_client::Kind::WebSocketClose(close.into_wire()));
            return self.end(key, End::ClientGone);
        }
        match request.up.turn(backlog.has_unsent() || backlog.is_past_half(bounds)) {
            Some(Turn::Pause) => self.actions.push_back(Action::PauseSource { key }),
            Some(Turn::Resume) => self.actions.push_back(Action::ResumeSource { key }),
            None => {}
        }
        self.await_ack(key, Came::Nothing, now);
    }

    /// Messages did not come from this number on: they are sent again. Whether they can be.
    pub(in crate::gateway) fn send_kept_again(&mut self, key: RequestKey, from: MessageIndex, now: Time) -> bool {
        let Some(request) = self.requests.get_mut(key) else { return false };
        let Some(hibernation) = request.hibernation.as_mut() else { return false };
        let backlog = &mut hibernation.kept.backlog;
        let is_acknowledged = backlog.first().wrapping_sub(from) as i16 > 0;
        let from = if is_acknowledged { backlog.first() } else { from };
        let Some(weight) = backlog.send_again_from(from) else { return false };
        request.up.give_back(weight);
        if is_acknowledged {
            self.skip_to(key, from);
        }
        self.flush_kept(key, now);
        self.await_ack(key, Came::Some, now);
        true
    }

    /// The next message has this number, and those before it are not awaited: its relay would take them for lost.
    fn skip_to(&mut self, key: RequestKey, next: MessageIndex) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.up.go_on_at(next);
        self.send(key, to_client::Kind::Credit(Credit { total: 0 }));
    }

    /// The deadline of acknowledgements runs while something is not acknowledged that was sent on this connection.
    fn await_ack(&mut self, key: RequestKey, came: Came, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(hibernation) = request.hibernation.as_mut() else { return };
        let repeats_acks = request.abilities.dialect == Dialect::Underpass;
        let runs = hibernation.kept.backlog.awaits_ack(repeats_acks);
        keep(&mut self.deadlines, &mut hibernation.ack, (Deadline::WebSocketAck, key), runs, came, now);
    }

    /// Messages were not acknowledged in time. While nothing is heard of their connection that says nothing of the
    /// handler: its ping decides, or the probe.
    pub(in crate::gateway) fn not_acknowledged(&mut self, key: RequestKey, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(hibernation) = request.hibernation.as_mut() else { return };
        hibernation.ack = None;
        if request.place.is_some_and(|place| self.runners.get(place.link).is_in_doubt()) {
            return self.await_ack(key, Came::Nothing, now);
        }
        self.counted.timeouts.websocket_ack += 1;
        let message = "the handler did not acknowledge the client's messages in time";
        self.fail(key, FailureCode::WebSocketAckTimeout, message);
    }

    /// The actor has all messages up to this one.
    pub(in crate::gateway) fn acknowledged(&mut self, key: RequestKey, index: MessageIndex, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        // Of one that can't hibernate nothing is kept.
        let Some(hibernation) = request.hibernation.as_mut() else { return };
        let backlog = &mut hibernation.kept.backlog;
        let next = backlog.next_number();
        if !backlog.acknowledge(index) {
            self.counted.acks_ignored += 1;
            return;
        }
        // It had some before, of which this connection has not seen the like.
        let goes_on_at = backlog.next_number();
        if goes_on_at != next {
            self.skip_to(key, goes_on_at);
        }
        self.await_ack(key, Came::Some, now);
        self.flush_kept(key, now);
    }

    /// The client of a WebSocket closed it. Its actor hears of that when it has acknowledged what was in front.
    pub(in crate::gateway) fn keep_close(&mut self, key: RequestKey, close: Close, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(hibernation) = request.hibernation.as_mut() else { return };
        hibernation.kept.close = Some(close);
        request.state = State::ClosingWebSocket;
        request.up.end();
        self.flush_kept(key, now);
        if let Some(request) = self.requests.get_mut(key) {
            request.deadline = Some(self.deadlines.arm(Deadline::WebSocketClose, key, now));
        }
    }

    /// What the rest of the gateway must forget of a WebSocket that has ended awake.
    pub(in crate::gateway) fn forget_hibernation(&mut self, key: RequestKey, id: RequestId, had: Hibernation) {
        let Hibernation { group, registration, ack, kept, .. } = had;
        if let Some(armed) = ack {
            self.deadlines.cancel(armed);
        }
        if let Some(word) = kept.word {
            self.words.remove(word.connection, key);
        }
        self.unregister(id, group, registration);
        self.groups.leave(group);
    }
}

pub(super) const TOO_MUCH: &str = "more of the client's messages wait for their actor than this gateway holds";
