//! Acknowledgements of messages that handlers have handled: a few at a time, or all together.

use super::Hibernation;
use crate::error::ApiMisuse;
use crate::failure::FailureCode;
use crate::machine::RequestKey;
use crate::protocol::MessageIndex;
use crate::protocol::tunnel::to_server::{Kind, WebSocketMessageAck};
use crate::runner::Runner;
use crate::runner::actors::ActorSlot;
use crate::runner::request::Request;
use crate::time::Time;

/// The most messages that a handler may have and not have handled: half of the numbers, less one, so that what is of the
/// past can be told from what is to come.
const MOST_UNHANDLED: u16 = (1 << 15) - 1;

/// The WebSockets that have something to acknowledge, and when that is due.
#[derive(Debug, Default)]
pub(in crate::runner) struct Acks {
    listed: Vec<RequestKey>,
    pub(in crate::runner) due: Option<Time>,
}

impl Runner {
    /// The handler has handled all messages up to one.
    pub(in crate::runner) fn handled(
        &mut self,
        key: RequestKey,
        number: MessageIndex,
        now: Time,
    ) -> Result<(), ApiMisuse> {
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        let last = request.inward.last();
        // Of others nothing is acknowledged.
        let Some(hibernation) = &mut request.hibernation else { return Ok(()) };
        let more = number.wrapping_sub(hibernation.handled);
        if more > MOST_UNHANDLED || more == 0 {
            // It was said before.
            return Ok(());
        }
        if more > last.wrapping_sub(hibernation.handled) {
            return Err(ApiMisuse::OutOfTurn("a message handled that has not come"));
        }
        hibernation.handled = number;
        self.owes_ack(key, now);
        Ok(())
    }

    /// A message comes that can hibernate. Whether it may be handed to its handler.
    pub(in crate::runner) fn is_next_to_handle(&mut self, key: RequestKey, bytes: usize) -> bool {
        let Some(request) = self.requests.get_mut(key) else { return false };
        let last = request.inward.last();
        let Some(hibernation) = &mut request.hibernation else { return true };
        hibernation.came += bytes;
        let may_be_handed = last.wrapping_sub(hibernation.handled) <= MOST_UNHANDLED;
        if !may_be_handed {
            self.abort(key, FailureCode::Overloaded);
        }
        may_be_handed
    }

    /// A message came again. Its handler has it: it counts as consumed, and if it was handled, its gateway has not heard
    /// so.
    pub(in crate::runner) fn repeated(&mut self, key: RequestKey, number: MessageIndex, bytes: usize, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        self.counted.repeats += 1;
        let total = request.inward.skip(bytes);
        let handled = request.hibernation.as_ref().map(|hibernation| hibernation.handled);
        if let Some(total) = total {
            self.grant(key, total);
        }
        if handled.is_some_and(|handled| handled.wrapping_sub(number) <= MOST_UNHANDLED) {
            self.owes_ack(key, now);
        }
    }

    fn owes_ack(&mut self, key: RequestKey, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        // What was handled while it was detached is acknowledged when it comes again.
        let is_attached = request.connection().is_some();
        let Some(hibernation) = request.hibernation.as_deref_mut().filter(|_| is_attached) else { return };
        hibernation.owes = true;
        let messages = hibernation.handled.wrapping_sub(hibernation.acknowledged);
        if messages >= self.config.ack_every || hibernation.came >= self.config.ack_bytes {
            return self.send_ack(key);
        }
        if !core::mem::replace(&mut hibernation.is_listed, true) {
            self.acks.listed.push(key);
            self.acks.due.get_or_insert(now + self.config.ack_within);
        }
    }

    /// Acknowledges what was handled, if the gateway has not heard of it.
    pub(in crate::runner) fn send_ack(&mut self, key: RequestKey) {
        let hibernation = self.requests.get_mut(key).and_then(|request| request.hibernation.as_deref_mut());
        let Some(hibernation) = hibernation.filter(|hibernation| hibernation.owes) else { return };
        let Hibernation { handled, acknowledged, came, owes, is_listed: _ } = hibernation;
        (*acknowledged, *came, *owes) = (*handled, 0, false);
        let index = *handled;
        self.counted.acks += 1;
        self.send(key, Kind::WebSocketMessageAck(WebSocketMessageAck { index }));
    }

    /// An actor is about to end: acknowledges what was handled while its relay still passes that on, so that it does
    /// not come again and wake the actor for nothing.
    pub(in crate::runner) fn send_acks_of(&mut self, slot: ActorSlot) {
        for key in self.requests_of(slot) {
            self.send_ack(key);
        }
    }

    /// Sends the acknowledgements that are due, of all WebSockets together.
    pub(in crate::runner) fn look_at_acks(&mut self, now: Time) {
        if self.acks.due.is_some_and(|due| due <= now) {
            self.send_acks();
        }
    }

    /// Sends all acknowledgements that wait for others.
    pub(in crate::runner) fn send_acks(&mut self) {
        self.acks.due = None;
        let mut listed = core::mem::take(&mut self.acks.listed);
        for key in listed.drain(..) {
            let request: Option<&mut Request> = self.requests.get_mut(key);
            if let Some(hibernation) = request.and_then(|request| request.hibernation.as_deref_mut()) {
                hibernation.is_listed = false;
            }
            self.send_ack(key);
        }
        self.acks.listed = listed;
    }
}
