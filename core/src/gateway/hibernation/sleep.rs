//! How a WebSocket falls asleep, and what happens to it while it is.

use super::Slot;
use super::awake::{Hibernation, TOO_MUCH};
use super::sleeper::{Kept, Sleeper};
use crate::bus::ConnectionId;
use crate::error::ApiMisuse;
use crate::failure::FailureCode;
use crate::gateway::drain::Draining;
use crate::gateway::{Action, End, Gateway};
use crate::http::{Close, Message};
use crate::machine::RequestKey;
use crate::machine::flow::Inflow;
use crate::observe::News;
use crate::protocol::MessageIndex;
use crate::protocol::tunnel::ToServerTunnelMessage;
use crate::protocol::tunnel::to_server::{Kind, WebSocketClose, WebSocketMessageAck};
use crate::time::Time;

/// Why a WebSocket falls asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Because {
    /// Its actor does, as its relay says: whatever was sent has come to it, or to its end.
    ActorSleeps,
    /// The way to its actor is lost.
    WayIsLost,
}

impl Gateway {
    /// A WebSocket's actor sleeps, or its connection is lost: it stays open at its client's end.
    pub(in crate::gateway) fn fall_asleep(&mut self, key: RequestKey, why: Because, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(hibernation) = request.hibernation.take() else { return };
        let Hibernation { group, generation, registration, awake_since: _, ack, mut kept } = *hibernation;
        for armed in [request.deadline.take(), ack].into_iter().flatten() {
            self.deadlines.cancel(armed);
        }
        kept.backlog.rewind(why == Because::ActorSleeps);
        if request.down.held() > 0 && kept.close.is_none() {
            kept.unread = Some(Box::new(core::mem::replace(&mut request.down, Inflow::new(None, false))));
        }
        let place = request.place;
        let (id, is_paused, first) = (request.id, request.up.is_paused(), kept.backlog.first());
        let kept = (!kept.is_nothing()).then(|| Box::new(kept));
        let sleeper = Sleeper { id, group, generation, first, registration, is_paused, kept };
        self.requests.replace(key, Slot::Asleep(sleeper));
        if let Some(place) = place {
            self.detach(place);
        }
        self.counted.slept += 1;
        self.tell(key, |request| News::Slept { request });
        self.wake_if_told(key, now);
        self.pace_asleep(key);
        self.await_actor(key, now);
        self.call_again_later(key, now);
        self.let_go_if_draining(key);
    }

    /// A gateway that goes away does not wait for an actor only to tell that a client has gone: that hears so when it
    /// starts.
    pub(in crate::gateway) fn let_go_if_draining(&mut self, key: RequestKey) {
        let only_closes = self.requests.asleep(key).is_some_and(Sleeper::only_closes);
        match self.draining {
            Draining::Yes(_) | Draining::Done if only_closes => self.end(key, End::ClientGone),
            Draining::No | Draining::Yes(_) | Draining::Done => {}
        }
    }

    /// Tells the client of one that sleeps its pace: nothing goes out, so it may send what may be kept.
    fn pace_asleep(&mut self, key: RequestKey) {
        let bounds = self.config.pending();
        let Some(sleeper) = self.requests.asleep_mut(key) else { return };
        let is_past_half = sleeper.kept.as_ref().is_some_and(|kept| kept.backlog.is_past_half(bounds));
        if sleeper.is_closing() || sleeper.is_paused == is_past_half {
            return;
        }
        sleeper.is_paused = is_past_half;
        self.actions.push_back(if is_past_half { Action::PauseSource { key } } else { Action::ResumeSource { key } });
    }

    /// A client's message for an actor that sleeps.
    pub(in crate::gateway) fn message_asleep(
        &mut self,
        key: RequestKey,
        message: Message,
        now: Time,
    ) -> Result<(), ApiMisuse> {
        let bounds = self.config.pending();
        let Some(sleeper) = self.requests.asleep_mut(key) else { return Ok(()) };
        if sleeper.is_closing() {
            return Err(ApiMisuse::OutOfTurn("a message behind the close of its WebSocket"));
        }
        if message.len() > self.config.max_message {
            self.lose(key, FailureCode::MessageTooLarge, "the message is larger than this gateway takes");
            return Ok(());
        }
        let backlog = &mut sleeper.kept_mut().backlog;
        backlog.push(message);
        if backlog.is_over(bounds) {
            self.lose(key, FailureCode::Overloaded, TOO_MUCH);
            return Ok(());
        }
        self.pace_asleep(key);
        self.await_actor(key, now);
        Ok(())
    }

    /// The client of one that sleeps closed it: its actor is woken to hear of that.
    pub(in crate::gateway) fn close_asleep(
        &mut self,
        key: RequestKey,
        close: Close,
        now: Time,
    ) -> Result<(), ApiMisuse> {
        let Some(sleeper) = self.requests.asleep_mut(key) else { return Ok(()) };
        if sleeper.is_closing() {
            return Err(ApiMisuse::OutOfTurn("a second close of a WebSocket"));
        }
        let kept = sleeper.kept_mut();
        kept.close = Some(Box::new(close));
        kept.unread = None;
        self.await_actor(key, now);
        self.let_go_if_draining(key);
        Ok(())
    }

    /// The client of one that sleeps went away without a word.
    pub(in crate::gateway) fn gone_asleep(&mut self, key: RequestKey, now: Time) {
        if self.requests.asleep(key).is_some_and(|sleeper| !sleeper.is_closing()) {
            self.close_asleep(key, Close::abnormal(), now).ok();
        }
    }

    /// The client of one that sleeps consumed what came before. Nobody is granted more for that.
    pub(in crate::gateway) fn consumed_asleep(&mut self, key: RequestKey, bytes: usize) {
        let Some(sleeper) = self.requests.asleep_mut(key) else { return };
        let Some(kept) = sleeper.kept.as_mut() else { return };
        kept.unread.take_if(|unread| {
            unread.consumed(bytes);
            unread.held() == 0
        });
        sleeper.tidy();
    }

    /// A runner says something of a WebSocket that sleeps: early words of its next life, or late ones of its last.
    pub(in crate::gateway) fn heard_asleep(
        &mut self,
        key: RequestKey,
        from: Option<ConnectionId>,
        message: ToServerTunnelMessage,
        now: Time,
    ) {
        let most = self.config.max_buffered;
        let Some(sleeper) = self.requests.asleep_mut(key) else { return };
        if sleeper.word().is_some_and(|word| from.is_none_or(|from| from == word.connection)) {
            return sleeper.kept_mut().hold(message, most);
        }
        match message.message_kind {
            Kind::WebSocketMessageAck(WebSocketMessageAck { index }) => self.acknowledged_asleep(key, index),
            Kind::WebSocketClose(WebSocketClose { code, reason, hibernate: false }) => {
                if self.requests.asleep(key).is_some_and(Sleeper::is_closing) {
                    return self.end(key, End::ClientGone);
                }
                self.actions.push_back(Action::WebSocketClose { key, close: Close { code, reason } });
                self.end(key, End::Answered);
            }
            // The actor that lives next has it, whatever became of the last.
            Kind::WebSocketClose(WebSocketClose { hibernate: true, .. }) => self.counted.stale += 1,
            Kind::ResponseAbort => self.has_no_route(key, from, now),
            Kind::ResponseStart(_)
            | Kind::ResponseChunk(_)
            | Kind::WebSocketOpen(_)
            | Kind::WebSocketMessage(_)
            | Kind::Credit(_) => self.counted.stale += 1,
        }
    }

    fn acknowledged_asleep(&mut self, key: RequestKey, index: MessageIndex) {
        let Some(sleeper) = self.requests.asleep_mut(key) else { return };
        if !sleeper.kept.as_mut().is_some_and(|kept| kept.backlog.acknowledge(index)) {
            self.counted.acks_ignored += 1;
            return;
        }
        let (group, has_to_deliver) = (sleeper.group, sleeper.has_to_deliver());
        self.pace_asleep(key);
        if !has_to_deliver {
            self.await_no_more(key, group);
        }
        if let Some(sleeper) = self.requests.asleep_mut(key) {
            sleeper.tidy();
        }
    }

    /// What the rest of the gateway must forget of a WebSocket that has ended asleep.
    pub(in crate::gateway) fn forget_sleeper(&mut self, key: RequestKey, sleeper: Sleeper) {
        let Sleeper { id, group, registration, kept, .. } = sleeper;
        if let Some(Kept { word, start, again, .. }) = kept.map(|kept| *kept) {
            if let Some(word) = word {
                self.words.remove(word.connection, key);
            }
            self.cancel(start);
            self.cancel(again.map(|(armed, _)| armed));
        }
        self.await_no_more(key, group);
        self.unregister(id, group, registration);
        self.groups.leave(group);
    }
}
