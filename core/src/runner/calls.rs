//! Calls of actors on their key-value stores: sent to the relay that has this runner, and again to the next one.

use std::collections::{BTreeMap, VecDeque};

use super::actors::ActorSlot;
use super::due::{Deadline, Owner};
use super::names::ActorLife;
use super::{Action, Purpose, Runner};
use crate::frame::Frame;
use crate::kv::error_response;
use crate::machine::deadline::Armed;
use crate::protocol::ToServer;
use crate::protocol::kv::{KvRequest, KvRequestData, KvResponse};
use crate::time::Time;

/// Why a call is not answered when this runner has left its relays.
const GOING: &str = "the runner is going away";

/// A call that was not answered.
#[derive(Debug)]
struct Call {
    /// Whose.
    slot: ActorSlot,
    /// The embedder's.
    number: u64,
    frame: Frame,
    /// On which connection it was sent last.
    sent: Option<u64>,
    answer: Armed,
}

/// The calls that are open, by numbers that grow; on the wire they have 32 bits.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: BTreeMap<u64, Call>,
    /// Those to be sent, in order.
    unsent: VecDeque<u64>,
    last: u64,
    bytes: usize,
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Bytes of the calls that are open.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The call that an answer names: numbers on the wire wrap, and the open ones are much fewer.
    fn named(&self, request_id: u32) -> u64 {
        let behind = (self.last as u32).wrapping_sub(request_id);
        self.last.wrapping_sub(u64::from(behind))
    }

    fn remove(&mut self, call: u64) -> Option<Call> {
        let removed = self.open.remove(&call)?;
        self.bytes -= removed.frame.len();
        // They end about in the order in which they came.
        while self.unsent.front().is_some_and(|first| !self.open.contains_key(first)) {
            self.unsent.pop_front();
        }
        Some(removed)
    }
}

impl Runner {
    /// An actor calls its store.
    pub(super) fn kv(&mut self, actor: &ActorLife, number: u64, data: KvRequestData, now: Time) {
        self.counted.kv_calls += 1;
        let Some(slot) = self.actors.find(actor) else {
            return self.refuse_kv(number, "the actor is not on this runner");
        };
        match self.purpose {
            Purpose::Serving | Purpose::Draining { .. } => {}
            Purpose::Stopping(_) | Purpose::Stopped => return self.refuse_kv(number, GOING),
        }
        let call = self.calls.last + 1;
        let request = KvRequest { actor_id: actor.actor_id.clone(), request_id: call as u32, data };
        let frame = ToServer::KvRequest(request).encode();
        let bytes = self.calls.bytes + frame.len();
        if self.calls.len() >= self.config.max_kv_calls || bytes > self.config.max_kv_bytes {
            return self.refuse_kv(number, "too many calls of this runner are open");
        }
        let answer = self.deadlines.arm(Deadline::KvAnswer, Owner::Call(call), now);
        self.calls.last = call;
        self.calls.bytes = bytes;
        self.calls.open.insert(call, Call { slot, number, frame, sent: None, answer });
        self.calls.unsent.push_back(call);
        self.send_calls();
    }

    fn refuse_kv(&mut self, number: u64, why: &'static str) {
        self.counted.kv_refused += 1;
        self.actions.push_back(Action::KvAnswered { number, answer: error_response(why) });
    }

    /// Sends what was not sent, if the relay knows by now what this runner has, and there is room.
    pub(super) fn send_calls(&mut self) {
        let Some(connection) = self.home() else { return };
        let may_send = self.link(connection).is_some_and(|link| link.takes_calls() && !link.blocked);
        while may_send && let Some(call) = self.calls.unsent.pop_front() {
            let Some(open) = self.calls.open.get_mut(&call) else { continue };
            open.sent = Some(connection);
            self.actions.push_back(Action::Send { connection, frame: open.frame.clone() });
        }
    }

    /// Another relay knows what this runner has: it is asked what was not answered.
    pub(super) fn send_calls_again(&mut self) {
        self.calls.unsent.clear();
        self.calls.unsent.extend(self.calls.open.keys());
        self.send_calls();
    }

    /// A relay answered.
    pub(super) fn kv_answered(&mut self, connection: u64, response: KvResponse) {
        let KvResponse { request_id, data } = response;
        let call = self.calls.named(request_id);
        // What it was asked on an older connection, it is asked again.
        if self.calls.open.get(&call).is_none_or(|open| open.sent != Some(connection)) {
            self.counted.kv_late += 1;
            return;
        }
        let Some(Call { number, answer, .. }) = self.calls.remove(call) else { return };
        self.deadlines.cancel(answer);
        self.actions.push_back(Action::KvAnswered { number, answer: data });
    }

    /// Nobody knows whether it was done.
    pub(super) fn kv_timed_out(&mut self, call: u64) {
        let Some(Call { number, .. }) = self.calls.remove(call) else { return };
        self.counted.timeouts.kv_answer += 1;
        let answer = error_response("the store did not answer in time");
        self.actions.push_back(Action::KvAnswered { number, answer });
    }

    /// No relay comes any more.
    pub(super) fn end_calls(&mut self) {
        while let Some(call) = self.calls.open.first_key_value().map(|(call, _)| *call) {
            let Some(Call { number, answer, .. }) = self.calls.remove(call) else { return };
            self.deadlines.cancel(answer);
            self.refuse_kv(number, GOING);
        }
    }

    /// An actor is no more: nobody answers what it asked.
    pub(super) fn end_calls_of(&mut self, slot: ActorSlot) {
        let of_it = |(call, open): (&u64, &Call)| (open.slot == slot).then_some(*call);
        let calls: Vec<u64> = self.calls.open.iter().filter_map(of_it).collect();
        for call in calls {
            let Some(Call { number, answer, .. }) = self.calls.remove(call) else { continue };
            self.deadlines.cancel(answer);
            self.refuse_kv(number, "the actor has stopped");
        }
    }
}
