//! Requests that can't go on where they were sent: they are sent again, wait until they can be, or fail.

use std::collections::BTreeMap;

use super::event::OpenKind;
use super::request::{Deadline, State, Waiting};
use super::runners::NoneReady;
use super::{Action, Gateway};
use crate::directory::Pool;
use crate::failure::FailureCode;
use crate::http::Body;
use crate::machine::RequestKey;
use crate::machine::flow::Turn;
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

/// The requests that wait for a runner, of each pool in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct WaitingRoom {
    pools: BTreeMap<Pool, BTreeMap<u64, RequestKey>>,
    count: usize,
    turns: u64,
    /// When all of them look for a runner again.
    look: Option<Time>,
}

impl WaitingRoom {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn next_look(&self) -> Option<Time> {
        self.look
    }

    fn enter(&mut self, pool: &Pool, key: RequestKey) -> u64 {
        self.turns += 1;
        self.count += 1;
        self.pools.entry(pool.clone()).or_default().insert(self.turns, key);
        self.turns
    }

    fn leave(&mut self, pool: &Pool, turn: u64) {
        let Some(waiting) = self.pools.get_mut(pool) else { return };
        if waiting.remove(&turn).is_some() {
            self.count -= 1;
        }
        if waiting.is_empty() {
            self.pools.remove(pool);
        }
        if self.pools.is_empty() {
            self.look = None;
        }
    }
}

impl Gateway {
    /// A request can't go on where it was sent. It goes elsewhere if that may be (no second delivery but of what does
    /// no harm twice), else it fails as it did first.
    pub(super) fn set_back(&mut self, key: RequestKey, setback: Setback, now: Time) {
        let max_tries = self.config.max_tries;
        let Some(request) = self.requests.get_mut(key) else { return };
        let stands = setback.behind(request.setback);
        request.setback = Some(stands);
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
        let Some(request) = self.requests.get(key) else { return };
        let at_once = request.tries == 1;
        if at_once && self.find_runner(key, now).is_ok() {
            return;
        }
        if let Some(request) = self.requests.get_mut(key)
            && setback.is_want_of_room()
        {
            request.avoid = None;
        }
        self.wait(key, Deadline::Grace, now);
    }

    /// Makes a request that was sent one that was not.
    fn take_back(&mut self, key: RequestKey) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.up.clear();
        if let Some(place) = request.place.take() {
            request.avoid = Some(place.connection);
            self.by_id.remove(&request.id);
            self.detach(place);
        }
    }

    /// Lets a request wait for a runner, if there is room for one more.
    pub(super) fn wait(&mut self, key: RequestKey, limit: Deadline, now: Time) {
        let is_full = self.waiting.len() >= self.config.max_waiting;
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(open) = request.opening.as_ref() else { return };
        if is_full {
            let full = (FailureCode::Overloaded, "as many requests wait for a runner as may");
            let (code, message) = request.setback.map_or(full, |setback| (setback.code, setback.message));
            return self.lose(key, code, message);
        }
        let turn = self.waiting.enter(&open.target.pool, key);
        self.waiting.look.get_or_insert(now + self.config.try_again);
        let limit = Some(self.deadlines.arm(limit, key, now));
        request.state = State::Waiting(Waiting { turn, limit });
        let streams = open.kind == OpenKind::Http(Body::Stream);
        if streams && request.up.turn(true) == Some(Turn::Pause) {
            self.actions.push_back(Action::PauseSource { key });
        }
    }

    /// Takes a request out of those that wait.
    pub(super) fn stop_waiting(&mut self, pool: &Pool, Waiting { turn, limit }: Waiting) {
        if let Some(limit) = limit {
            self.deadlines.cancel(limit);
        }
        self.waiting.leave(pool, turn);
    }

    /// Sends a request to a runner that takes it, but not where it could not go on.
    pub(super) fn find_runner(&mut self, key: RequestKey, now: Time) -> Result<(), NoneReady> {
        let Some(request) = self.requests.get(key) else { return Ok(()) };
        let Some(open) = request.opening.as_ref() else { return Ok(()) };
        let most = self.config.max_requests_per_runner;
        let link = self.runners.choose(&open.target.pool, most, request.avoid, now)?;
        if request.tries > 0 {
            self.counted.sent_again += 1;
        }
        self.go(key, link, now);
        Ok(())
    }

    /// Those that wait for a runner of a pool look whether there is one.
    pub(super) fn look(&mut self, pool: &Pool, now: Time) {
        let most = self.config.max_requests_per_runner;
        if !self.waiting.pools.contains_key(pool) || self.runners.choose(pool, most, None, now).is_err() {
            return;
        }
        let waiting: Vec<RequestKey> =
            self.waiting.pools.get(pool).into_iter().flat_map(BTreeMap::values).copied().collect();
        for key in waiting {
            // One that avoids the only runner goes on waiting.
            self.find_runner(key, now).ok();
        }
    }

    /// All that wait look for a runner, when it is time.
    pub(super) fn look_if_due(&mut self, now: Time) {
        if self.waiting.look.is_none_or(|look| look > now) {
            return;
        }
        self.waiting.look = Some(now + self.config.try_again);
        let pools: Vec<Pool> = self.waiting.pools.keys().cloned().collect();
        for pool in pools {
            self.look(&pool, now);
        }
    }
}
