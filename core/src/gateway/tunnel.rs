//! What comes from a runner: its answers.

use super::hibernation::Because;
use super::request::State;
use super::waits::Came;
use super::{Action, End, Gateway};
use crate::bus::ConnectionId;
use crate::failure::FailureCode;
use crate::http::{Body, Close, Headers, Message, ResponseHead, split_fields};
use crate::machine::RequestKey;
use crate::machine::flow::Order;
use crate::observe::News;
use crate::protocol::Dialect;
use crate::protocol::tunnel::ToServerTunnelMessage;
use crate::protocol::tunnel::to_server::{
    Kind, ResponseChunk, ResponseStart, WebSocketClose, WebSocketMessage, WebSocketOpen,
};
use crate::time::Time;

/// The code of a WebSocket's close that says: come again.
const GOING_AWAY: u16 = 1001;

impl Gateway {
    pub(super) fn tunnel_message(&mut self, from: Option<ConnectionId>, message: ToServerTunnelMessage, now: Time) {
        let id = message.message_id;
        if id.gateway_id != self.id {
            self.counted.foreign += 1;
            return;
        }
        let Some(key) = self.by_id.get(&id.request_id).copied() else {
            self.counted.stale += 1;
            return;
        };
        let Some(request) = self.requests.get_mut(key) else { return self.heard_asleep(key, from, message, now) };
        // It is somewhere else by now.
        if from.is_some() && request.place.is_some_and(|place| self.runners.connection(place.link) != from) {
            self.counted.stale += 1;
            return;
        }
        if let Kind::Credit(credit) = message.message_kind {
            if request.dialect == Dialect::Underpass {
                request.up.grant(credit.total);
                self.flush(key, now);
            } else {
                self.counted.out_of_turn += 1;
            }
            return;
        }
        // An abort ends what it names whatever its number: a relay may have sent it in the runner's place.
        if message.message_kind == Kind::ResponseAbort {
            let place = request.place;
            self.in_order(key, message.message_kind, now);
            if let Some(place) = place {
                self.aborted(place, id.request_id, now);
            }
            return;
        }
        match request.down.order(id.message_index) {
            Order::Next => {
                self.counted.gaps_unjudged += u64::from(request.down.jumped(id.message_index));
                self.in_order(key, message.message_kind, now);
            }
            Order::Repeat => self.counted.stale += 1,
            Order::Gap => {
                self.counted.gaps += 1;
                self.fail(key, FailureCode::MessageLost, "a piece of the answer got lost on the way");
            }
        }
    }

    fn in_order(&mut self, key: RequestKey, kind: Kind, now: Time) {
        let may_sleep = self.may_sleep(key);
        let Some(request) = self.requests.get_mut(key) else { return };
        match (kind, &mut request.state) {
            (Kind::ResponseStart(start), State::AwaitingResponse) => self.response_start(key, start, now),
            (Kind::ResponseChunk(chunk), State::Responding { .. }) => self.response_chunk(key, chunk, now),
            (Kind::WebSocketOpen(WebSocketOpen { can_hibernate }), State::AwaitingWebSocket { early }) => {
                let early = core::mem::take(early);
                self.websocket_opened(key, can_hibernate, early);
            }
            (Kind::WebSocketMessage(message), State::AwaitingWebSocket { .. } | State::OpenWebSocket) => {
                self.message_for_client(key, message);
            }
            (
                Kind::WebSocketClose(WebSocketClose { hibernate: true, .. }),
                State::OpenWebSocket | State::ClosingWebSocket,
            ) if may_sleep => self.fall_asleep(key, Because::ActorSleeps, now),
            (Kind::WebSocketClose(close), State::OpenWebSocket) => self.closed_by_handler(key, close),
            (Kind::WebSocketClose(WebSocketClose { hibernate: true, .. }), State::AwaitingWebSocket { .. }) => {
                self.slept_first(key, now);
            }
            (Kind::WebSocketClose(close), State::AwaitingWebSocket { .. }) => {
                let code = match close.code {
                    Some(1001) => FailureCode::Draining,
                    Some(1013) => FailureCode::Overloaded,
                    Some(_) | None => FailureCode::RunnerFailed,
                };
                self.lose(key, code, "the handler did not take the WebSocket");
            }
            // The client has gone already, and nothing that it sent needs to arrive any more.
            (Kind::WebSocketClose(_), State::ClosingWebSocket) => self.end(key, End::ClientGone),
            (
                Kind::WebSocketMessageAck(ack),
                State::AwaitingWebSocket { .. } | State::OpenWebSocket | State::ClosingWebSocket,
            ) => self.acknowledged(key, ack.index, now),
            // The client has closed: it wants no more.
            (Kind::WebSocketMessage(_), State::ClosingWebSocket) => {}
            (
                Kind::ResponseAbort,
                State::AwaitingResponse
                | State::Responding { .. }
                | State::AwaitingWebSocket { .. }
                | State::OpenWebSocket,
            ) => self.lose(key, FailureCode::RunnerFailed, "the handler failed"),
            (Kind::ResponseAbort, State::ClosingWebSocket) => self.end(key, End::ClientGone),
            (
                Kind::ResponseStart(_),
                State::Responding { .. }
                | State::AwaitingWebSocket { .. }
                | State::OpenWebSocket
                | State::ClosingWebSocket
                | State::Collecting(_)
                | State::Waiting(_),
            )
            | (
                Kind::ResponseChunk(_),
                State::AwaitingResponse
                | State::AwaitingWebSocket { .. }
                | State::OpenWebSocket
                | State::ClosingWebSocket
                | State::Collecting(_)
                | State::Waiting(_),
            )
            | (
                Kind::WebSocketOpen(_),
                State::OpenWebSocket
                | State::ClosingWebSocket
                | State::AwaitingResponse
                | State::Responding { .. }
                | State::Collecting(_)
                | State::Waiting(_),
            )
            | (
                Kind::WebSocketMessage(_) | Kind::WebSocketMessageAck(_) | Kind::WebSocketClose(_),
                State::AwaitingResponse | State::Responding { .. } | State::Collecting(_) | State::Waiting(_),
            )
            | (Kind::ResponseAbort, State::Collecting(_) | State::Waiting(_))
            | (
                Kind::Credit(_),
                State::Waiting(_)
                | State::Collecting(_)
                | State::AwaitingResponse
                | State::Responding { .. }
                | State::AwaitingWebSocket { .. }
                | State::OpenWebSocket
                | State::ClosingWebSocket,
            ) => {
                self.counted.out_of_turn += 1;
                self.fail(key, FailureCode::RunnerFailed, "the runner answered out of turn");
            }
        }
    }

    fn response_start(&mut self, key: RequestKey, start: ResponseStart, now: Time) {
        let ResponseStart { status, headers, body, stream } = start;
        let header_bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if !(200..=999).contains(&status) {
            return self.fail(key, FailureCode::RunnerFailed, "the handler answered with a status that is none");
        }
        if header_bytes > self.config.max_header_bytes {
            return self.fail(key, FailureCode::RunnerFailed, "the answer's header fields are over the limit");
        }
        if split_fields(&headers).any(|field| field.is_err()) {
            return self.fail(key, FailureCode::RunnerFailed, "the answer has a header field that HTTP can't carry");
        }
        if body.as_ref().is_some_and(|body| body.len() > self.config.max_whole_body) {
            return self.fail(key, FailureCode::RunnerFailed, "the answer's body is over the limit");
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        // The answer to a HEAD, and a 304, tell the length of a body that they do not have.
        let has_body = !request.is_head && status != 304;
        let left = match content_length(&headers) {
            Ok(length) => length.filter(|_| has_body),
            Err(BadLength) => {
                return self.fail(key, FailureCode::RunnerFailed, "the answer's content-length is none");
            }
        };
        let whole = body.as_ref().map_or(0, |body| body.len() as u64);
        if !stream && left.is_some_and(|left| left != whole) {
            return self.fail(key, FailureCode::RunnerFailed, "the answer's content-length is not its body's");
        }
        let deadline = request.deadline.take();
        request.state = State::Responding { left };
        // What was answered is not sent again.
        request.opening = None;
        self.keep_body_no_more(key);
        if let Some(armed) = deadline {
            self.deadlines.cancel(armed);
        }
        self.tell(key, |request| News::Answered { request, status });
        let head = ResponseHead { status, headers };
        if stream {
            self.actions.push_back(Action::ResponseStart { key, head, body: Body::Stream });
            self.await_answer(key, Came::Some, now);
            if let Some(body) = body.filter(|body| !body.is_empty()) {
                self.response_chunk(key, ResponseChunk { body, finish: false }, now);
            }
        } else {
            let body = body.map_or(Body::None, Body::Whole);
            self.actions.push_back(Action::ResponseStart { key, head, body });
            self.end(key, End::Answered);
        }
    }

    fn response_chunk(&mut self, key: RequestKey, chunk: ResponseChunk, now: Time) {
        let ResponseChunk { body, finish } = chunk;
        let Some(request) = self.requests.get_mut(key) else { return };
        if let State::Responding { left: Some(left) } = &mut request.state {
            match left.checked_sub(body.len() as u64) {
                Some(0) => *left = 0,
                Some(more) if !finish => *left = more,
                Some(_) | None => {
                    return self.fail(key, FailureCode::RunnerFailed, "the answer's content-length is not its body's");
                }
            }
        }
        if !body.is_empty() && !self.take_for_client(key, body.len()) {
            return;
        }
        if finish {
            self.actions.push_back(Action::ResponseChunk { key, bytes: body, finish });
            self.end(key, End::Answered);
        } else {
            if !body.is_empty() {
                self.actions.push_back(Action::ResponseChunk { key, bytes: body, finish });
            }
            self.await_answer(key, Came::Some, now);
        }
    }

    fn websocket_opened(&mut self, key: RequestKey, can_hibernate: bool, early: Vec<Message>) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.state = State::OpenWebSocket;
        let opening = request.opening.take();
        if let Some(armed) = request.deadline.take() {
            self.deadlines.cancel(armed);
        }
        self.tell(key, |request| News::Answered { request, status: 101 });
        self.actions.push_back(Action::WebSocketOpened { key });
        for message in early {
            self.actions.push_back(Action::WebSocketMessage { key, message });
        }
        if let Some(open) = opening.filter(|open| can_hibernate && self.has_actors(&open.target.pool)) {
            self.can_hibernate(key, &open.target);
        }
    }

    fn message_for_client(&mut self, key: RequestKey, message: WebSocketMessage) {
        if message.data.len() > self.config.max_message {
            return self.fail(key, FailureCode::MessageTooLarge, "the handler's message is over the limit");
        }
        let Some(message) = Message::from_wire(message) else {
            return self.fail(key, FailureCode::RunnerFailed, "the handler sent a text that is not UTF-8");
        };
        if !self.take_for_client(key, message.len()) {
            return;
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        match &mut request.state {
            State::AwaitingWebSocket { early } => early.push(message),
            State::Waiting(_)
            | State::Collecting(_)
            | State::AwaitingResponse
            | State::Responding { .. }
            | State::OpenWebSocket
            | State::ClosingWebSocket => self.actions.push_back(Action::WebSocketMessage { key, message }),
        }
    }

    fn closed_by_handler(&mut self, key: RequestKey, close: WebSocketClose) {
        let WebSocketClose { code, reason, hibernate } = close;
        // Its actor goes to sleep, and it can't be kept open for that. Its client may come again.
        let code = code.or(hibernate.then_some(GOING_AWAY));
        self.actions.push_back(Action::WebSocketClose { key, close: Close { code, reason } });
        self.end(key, End::Answered);
    }

    /// Counts bytes that are handed to a client that has not consumed what came before; fails its request if that is
    /// too much. Whether it still stands.
    fn take_for_client(&mut self, key: RequestKey, bytes: usize) -> bool {
        let Some(request) = self.requests.get_mut(key) else { return false };
        if request.down.take(bytes, self.config.max_buffered) {
            self.fail(key, FailureCode::Overloaded, "more of the answer waits for the client than this gateway holds");
            return false;
        }
        true
    }
}

/// A `content-length` that is none, or of which there are several.
struct BadLength;

/// How long an answer says that its body is.
fn content_length(headers: &Headers) -> Result<Option<u64>, BadLength> {
    let mut lengths = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().map(|(_, length)| &**length);
    if lengths.next().is_some() {
        return Err(BadLength);
    }
    let digits = |length: &&str| !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    length.map(|length| Some(length).filter(digits).and_then(|length| length.parse().ok()).ok_or(BadLength)).transpose()
}
