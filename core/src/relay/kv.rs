//! Calls of runners on their actors' stores: in order, and so many at a time.

use std::collections::VecDeque;

use bytestring::ByteString;

use super::{Action, Relay};
use crate::http::Close;
use crate::kv::{ActorStore, Owner, error_response};
use crate::protocol::ToClient;
use crate::protocol::kv::{KvRequest, KvResponse, KvResponseData};
use crate::time::Time;

/// The calls of one connection.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// How many a store has yet to answer.
    open: usize,
    /// What waits until it has answered some, and the bytes that each came in.
    waiting: VecDeque<(KvRequest, usize)>,
    held: usize,
}

impl Calls {
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Bytes that wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn clear(&mut self) {
        *self = Calls::default();
    }
}

impl Relay {
    /// A runner calls on an actor's store.
    pub(super) fn kv_request(&mut self, number: u64, request: KvRequest, bytes: usize, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let calls = &mut connection.calls;
        if calls.open < self.config.max_kv_calls {
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
                connection.calls.open += 1;
                self.counted.kv_calls += 1;
                // Copied: a slice would keep the whole frame that it came in.
                let actor_id = ByteString::from(&*actor_id);
                let owner = Owner { store: ActorStore { pool, actor_id }, generation };
                self.actions.push_back(Action::Kv { connection: number, request_id, call, owner });
            }
            Err(refused) => {
                self.counted.kv_refused += 1;
                self.answer_kv(number, request_id, error_response(refused));
            }
        }
    }

    /// A store answered.
    pub(super) fn kv_answered(&mut self, number: u64, request_id: u32, data: KvResponseData, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let calls = &mut connection.calls;
        if calls.open == 0 {
            // It was asked by a connection that is being closed.
            return;
        }
        calls.open -= 1;
        self.answer_kv(number, request_id, data);
        while let Some(connection) = self.connections.get_mut(&number) {
            let calls = &mut connection.calls;
            if calls.open >= self.config.max_kv_calls {
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
