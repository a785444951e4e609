//! Requests that can't go on where they were sent: they are sent again, wait until they can be, or fail.

use super::Gateway;
use super::hibernation::Because;
use super::request::Deadline;
use crate::failure::FailureCode;
use crate::machine::RequestKey;
use crate::time::Time;

/// Why a request can't go on where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setback {
    pub(super) code: FailureCode,
    pub(super) message: &'static str,
    pub(super) heard: Heard,
}

impl Setback {
    /// Which one stands if the request goes on nowhere: the first, but of those that no runner heard of it only as long
    /// as none did. Clients take such a failure for leave to ask again.
    fn behind(self, before: Option<Setback>) -> Setback {
        match (before, self.heard) {
            (Some(before), Heard::Never) => before,
            (Some(before @ Setback { heard: Heard::Perhaps | Heard::Still, .. }), Heard::Perhaps | Heard::Still) => {
                before
            }
            (Some(Setback { heard: Heard::Never, .. }), Heard::Perhaps | Heard::Still) | (None, _) => self,
        }
    }

    /// Whether its runner is there, and the way to it: it may go there again.
    fn is_loss_on_the_way(self) -> bool {
        self.code == FailureCode::MessageLost
    }

    /// Whether its runner is there, and may have room for it in a moment.
    fn is_want_of_room(self) -> bool {
        self.heard == Heard::Never && matches!(self.code, FailureCode::Overloaded | FailureCode::BusLost)
    }
}

/// What the runner knows of a request that is set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing: it can't have received it.
    Never,
    /// It may have received it, and can't be told anything more.
    Perhaps,
    /// It may have received it, and may hear that it need not go on.
    Still,
}

impl Gateway {
    /// A request can't go on where it was sent. It goes elsewhere if that may be (no second delivery but of what does
    /// no harm twice), else it fails as it did first.
    pub(super) fn set_back(&mut self, key: RequestKey, setback: Setback, now: Time) {
        if self.may_sleep(key) {
            return self.fall_asleep(key, Because::WayIsLost, now);
        }
        let max_tries = self.config.max_tries;
        let Some(request) = self.requests.get_mut(key) else { return };
        let stands = setback.behind(request.setback());
        request.delay_mut().setback = Some(stands);
        let may_be_sent_again = request.tries < max_tries
            && request.is_unanswered()
            && request.opening.as_ref().is_some_and(|open| setback.heard == Heard::Never || open.is_idempotent());
        if !may_be_sent_again {
            return match setback.heard {
                Heard::Never | Heard::Perhaps => self.lose(key, stands.code, stands.message),
                Heard::Still => self.fail(key, stands.code, stands.message),
            };
        }
        match setback.heard {
            Heard::Never | Heard::Perhaps => {}
            Heard::Still => self.tell_runner(key, setback.code),
        }
        self.take_back(key);
        let Some(request) = self.requests.get_mut(key) else { return };
        if setback.is_loss_on_the_way() {
            request.avoid_nothing();
        }
        let at_once = request.tries == 1;
        if at_once && self.find_runner(key, now).is_ok() {
            return;
        }
        if let Some(request) = self.requests.get_mut(key)
            && setback.is_want_of_room()
        {
            request.avoid_nothing();
        }
        self.wait(key, Deadline::Grace, now);
    }

    /// A request did not come to its runner. One for an actor waits as for an actor that starts: until that runs
    /// elsewhere, or takes requests where it is.
    pub(super) fn turned_away(&mut self, key: RequestKey, code: FailureCode, message: &'static str, now: Time) {
        let Some(request) = self.requests.get(key) else { return };
        let is_for_actor = request.opening.as_ref().is_some_and(|open| self.has_actors(&open.target.pool));
        if !is_for_actor || !request.is_unanswered() || request.setback().is_some() {
            return self.set_back(key, Setback { code, message, heard: Heard::Never }, now);
        }
        self.take_back(key);
        let Some(request) = self.requests.get_mut(key) else { return };
        request.avoid_nothing();
        if let Some(armed) = request.deadline.take() {
            self.deadlines.cancel(armed);
        }
        if request.waits_since().is_some_and(|since| now.since(since) >= self.config.actor_start) {
            return self.not_started(key);
        }
        self.wait(key, Deadline::ActorStart, now);
    }

    /// An actor slept before it took a WebSocket, which its handler may have seen. The next life is asked, unless as many
    /// were as may be.
    pub(super) fn slept_first(&mut self, key: RequestKey, now: Time) {
        let (code, message) = (FailureCode::Draining, "the actor slept before it took the WebSocket");
        if self.requests.get(key).is_some_and(|request| request.tries >= self.config.max_tries) {
            return self.lose(key, code, message);
        }
        self.turned_away(key, code, message, now);
    }

    /// Makes a request that was sent one that was not.
    fn take_back(&mut self, key: RequestKey) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.up.clear();
        if let Some(place) = request.place.take() {
            request.delay_mut().avoid = self.runners.connection(place.link);
            self.by_id.remove(&request.id);
            self.detach(place);
        }
    }
}
