//! Calls of runners on their actors' stores: in order, and so many at a time.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use bytestring::ByteString;

use super::{Action, Relay};
use crate::http::Close;
use crate::kv::{ActorStore, Owner, error_response};
use crate::machine::deadline::{Armed, Deadlines};
use crate::protocol::ToClient;
use crate::protocol::kv::{KvRequest, KvResponse, KvResponseData};
use crate::time::Time;

/// The named deadline of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    /// The store must have answered.
    Answer,
}

/// The calls that stores have yet to answer, of all connections.
#[derive(Debug)]
pub(super) struct Stores {
    /// By the connection and the number of the call.
    deadlines: Deadlines<Deadline, (u64, u64)>,
    last: u64,
}

impl Stores {
    /// So long a store has for an answer.
    pub(super) fn new(answer: Duration) -> Self {
        Stores { deadlines: Deadlines::new([(Deadline::Answer, answer)]), last: 0 }
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.deadlines.next_due()
    }

    /// Deadlines armed.
    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// A number that no call had before, and its deadline.
    fn begin(&mut self, connection: u64, now: Time) -> (u64, Armed) {
        self.last += 1;
        (self.last, self.deadlines.arm(Deadline::Answer, (connection, self.last), now))
    }
}

/// A call that a store has yet to answer.
#[derive(Debug)]
struct Open {
    /// What its runner calls it.
    request_id: u32,
    answer: Armed,
}

/// The calls of one connection.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Those that a store has yet to answer, by their numbers.
    open: BTreeMap<u64, Open>,
    /// What waits until it has answered some, and the bytes that each came in.
    waiting: VecDeque<(KvRequest, usize)>,
    held: usize,
}

impl Calls {
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Bytes that wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

impl Relay {
    /// A runner calls on an actor's store.
    pub(super) fn kv_request(&mut self, number: u64, request: KvRequest, bytes: usize, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let calls = &mut connection.calls;
        if calls.open() < self.config.max_kv_calls {
            return self.call(number, request, now);
        }
        if calls.held + bytes > self.config.max_kv_waiting {
            return self.refuse_kv(number, request.request_id, "too many calls of this runner wait");
        }
        calls.held += bytes;
        calls.waiting.push_back((request, bytes));
    }

    /// Asks the store, if the actor is its runner's and the request is within the limits.
    fn call(&mut self, number: u64, request: KvRequest, now: Time) {
        let KvRequest { actor_id, request_id, data } = request;
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if !connection.hosts() {
            return self.refuse_kv(number, request_id, "this runner's actors have no key-value store");
        }
        let pool = self.registrations.get(&number).map(|registration| registration.key.pool.clone());
        let Some((pool, generation)) = pool.zip(self.supervisor.generation(number, &actor_id)) else {
            return self.refuse_kv(number, request_id, "this runner does not host that actor");
        };
        match self.config.kv.call(data, self.wall.unix_ms(now)) {
            Ok(call) => {
                let (asked, answer) = self.stores.begin(number, now);
                connection.calls.open.insert(asked, Open { request_id, answer });
                self.counted.kv_calls += 1;
                // Copied: a slice would keep the whole frame that it came in.
                let actor_id = ByteString::from(&*actor_id);
                let owner = Owner { store: ActorStore { pool, actor_id }, generation };
                self.actions.push_back(Action::Kv { connection: number, number: asked, call, owner });
            }
            Err(refused) => {
                self.counted.kv_refused += 1;
                self.answer_kv(number, request_id, error_response(refused));
            }
        }
    }

    /// A store answered.
    pub(super) fn kv_answered(&mut self, number: u64, call: u64, data: KvResponseData, now: Time) {
        let open = self.connections.get_mut(&number).and_then(|connection| connection.calls.open.remove(&call));
        let Some(Open { request_id, answer }) = open else {
            // It was waited for no longer, or its connection has ended.
            self.counted.kv_late += 1;
            return;
        };
        self.stores.deadlines.cancel(answer);
        self.answer_kv(number, request_id, data);
        self.call_waiting(number, now);
    }

    /// Stores that have not answered in time are not waited for: their runners are told so, and others are called.
    pub(super) fn give_up_stores(&mut self, now: Time) {
        while let Some((Deadline::Answer, (number, call))) = self.stores.deadlines.pop_due(now) {
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            let Some(Open { request_id, .. }) = connection.calls.open.remove(&call) else { continue };
            self.counted.timeouts.kv_answer += 1;
            // Nobody knows whether it was done.
            self.answer_kv(number, request_id, error_response("the store did not answer in time"));
            self.call_waiting(number, now);
        }
    }

    /// A connection ends: nothing waits for what it asked.
    pub(super) fn forget_calls(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Calls { open, .. } = core::mem::take(&mut connection.calls);
        for Open { answer, .. } in open.into_values() {
            self.stores.deadlines.cancel(answer);
        }
    }

    /// Stores are called for what waits, as long as there is room.
    fn call_waiting(&mut self, number: u64, now: Time) {
        while let Some(connection) = self.connections.get_mut(&number) {
            let calls = &mut connection.calls;
            if calls.open() >= self.config.max_kv_calls {
                return;
            }
            let Some((request, bytes)) = calls.waiting.pop_front() else { return };
            calls.held -= bytes;
            self.call(number, request, now);
        }
    }

    fn refuse_kv(&mut self, number: u64, request_id: u32, message: &'static str) {
        self.counted.kv_refused += 1;
        self.answer_kv(number, request_id, error_response(message));
    }

    /// What there is no room for while the runner reads slowly is not sent, and the runner is told so; if there is no
    /// room for that either, it reads nothing.
    fn answer_kv(&mut self, number: u64, request_id: u32, data: KvResponseData) {
        let response = |data| ToClient::KvResponse(KvResponse { request_id, data });
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let most = self.config.max_backlog;
        if !connection.backlog.must_wait() {
            return self.tell_runner(number, response(data));
        }
        let held = connection.backlog.held();
        let Ok(frame) = connection.edge.to_runner(response(data)) else { return };
        if held + frame.len() <= most {
            self.send(number, frame, None);
        } else if held < most {
            self.tell_runner(number, response(error_response("this runner reads too slowly for the answer")));
        } else {
            self.close(number, Close::new(1013, "relay.backlog_full"));
        }
    }
}
