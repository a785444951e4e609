//! The deadlines of a request: when each runs, and what it does when it is due.

use super::request::{Deadline, State};
use super::{End, Gateway};
use crate::failure::FailureCode;
use crate::http::Close;
use crate::machine::RequestKey;
use crate::machine::deadline::{Armed, Deadlines};
use crate::protocol::tunnel::to_client;
use crate::time::Time;

/// Whether something that was awaited came: its deadline begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Nothing,
    Some,
}

impl Gateway {
    /// The deadline of an answer runs while it is awaited of the runner, and not while more of the request is awaited
    /// of its client.
    pub(super) fn await_response(&mut self, key: RequestKey, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        match request.state {
            State::AwaitingResponse => {}
            // It goes on from where the request was first sent.
            State::Waiting(_)
            | State::Collecting(_)
            | State::Responding { .. }
            | State::AwaitingWebSocket { .. }
            | State::OpenWebSocket
            | State::ClosingWebSocket => return,
        }
        let runs = request.up.awaits_receiver();
        keep(&mut self.deadlines, &mut request.deadline, (Deadline::ResponseStart, key), runs, Came::Nothing, now);
    }

    /// The deadline of a body runs while more of it is awaited of its client.
    pub(super) fn await_body(&mut self, key: RequestKey, came: Came, now: Time) {
        if self.config.idle_request_body.is_none() {
            return;
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        let runs = request.awaits_body();
        keep(&mut self.deadlines, &mut request.idle_up, (Deadline::IdleRequestBody, key), runs, came, now);
    }

    /// The deadline of an answer's body runs while more of it is awaited of the runner, and not while what came waits
    /// for its client.
    pub(super) fn await_answer(&mut self, key: RequestKey, came: Came, now: Time) {
        if self.config.idle_response_body.is_none() {
            return;
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        let runs = request.awaits_answer();
        keep(&mut self.deadlines, &mut request.idle_down, (Deadline::IdleResponseBody, key), runs, came, now);
    }

    pub(super) fn request_due(&mut self, deadline: Deadline, key: RequestKey, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return self.sleeper_due(deadline, key, now) };
        let timeouts = &mut self.counted.timeouts;
        match deadline {
            Deadline::ResponseStart => {
                request.deadline = None;
                timeouts.response_start += 1;
                self.fail(key, FailureCode::ResponseStartTimeout, "no answer began in time");
            }
            Deadline::WebSocketOpen => {
                request.deadline = None;
                timeouts.websocket_open += 1;
                self.fail(key, FailureCode::WebSocketOpenTimeout, "the handler did not take the WebSocket in time");
            }
            Deadline::WebSocketClose => {
                request.deadline = None;
                timeouts.websocket_close += 1;
                self.send(key, to_client::Kind::WebSocketClose(Close::abnormal().into_wire()));
                self.end(key, End::ClientGone);
            }
            Deadline::WebSocketAck => self.not_acknowledged(key, now),
            Deadline::IdleRequestBody => {
                request.idle_up = None;
                timeouts.idle_request_body += 1;
                self.fail(key, FailureCode::IdleTimeout, "no more of the request's body came in time");
            }
            Deadline::IdleResponseBody => {
                request.idle_down = None;
                timeouts.idle_response_body += 1;
                self.fail(key, FailureCode::IdleTimeout, "no more of the answer came in time");
            }
            Deadline::ActorStart => {
                request.waited();
                self.not_started(key);
            }
            // It is of one that sleeps.
            Deadline::WakeAgain => {}
            Deadline::Grace => {
                request.waited();
                timeouts.grace += 1;
                let never_sent = (FailureCode::NoRunner, "no runner of the pool is ready");
                let (code, message) = request.setback.map_or(never_sent, |setback| (setback.code, setback.message));
                self.lose(key, code, message);
            }
        }
    }

    /// The actor of a request has had its time, and does not take it.
    pub(super) fn not_started(&mut self, key: RequestKey) {
        self.counted.timeouts.actor_start += 1;
        self.lose(key, FailureCode::ActorStartTimeout, "the actor did not start in time");
    }
}

/// Arms a deadline that runs and is not armed, and cancels one that is and does not run.
pub(super) fn keep(
    deadlines: &mut Deadlines<Deadline, RequestKey>,
    armed: &mut Option<Armed>,
    (deadline, key): (Deadline, RequestKey),
    runs: bool,
    came: Came,
    now: Time,
) {
    if let Some(armed) = armed.take_if(|_| !runs || came == Came::Some) {
        deadlines.cancel(armed);
    }
    if runs && armed.is_none() {
        *armed = Some(deadlines.arm(deadline, key, now));
    }
}
