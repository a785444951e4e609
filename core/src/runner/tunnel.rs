//! What comes from gateways: requests, their bodies, messages, ends.

use super::names::SocketId;
use super::request::{Request, State, WireId};
use super::{Action, Ended, Purpose, Runner};
use crate::failure::{Failure, FailureCode, RequestName};
use crate::http::{Body, Close, Message, RequestHead};
use crate::machine::RequestKey;
use crate::machine::flow::{Inflow, Order, Outflow};
use crate::protocol::tunnel::to_client::{Kind, RequestChunk, RequestStart, WebSocketMessage, WebSocketOpen};
use crate::protocol::tunnel::to_server::{self, ResponseStart};
use crate::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage};
use crate::protocol::{Dialect, MessageId, MessageIndex, ToServer};

impl Runner {
    pub(super) fn tunnel_message(&mut self, connection: u64, message: ToClientTunnelMessage, dialect: Dialect) {
        let ToClientTunnelMessage { message_id, message_kind } = message;
        let id = WireId::of(connection, message_id);
        let known = self.by_id.get(&id).copied();
        match (message_kind, known) {
            (Kind::RequestStart(start), None) => self.request(id, start, dialect),
            (Kind::WebSocketOpen(open), None) => self.websocket_open(id, open, dialect),
            (kind, Some(key)) => self.of_request(key, message_id, kind),
            (
                Kind::RequestChunk(_)
                | Kind::RequestAbort
                | Kind::WebSocketMessage(_)
                | Kind::WebSocketClose(_)
                | Kind::Credit(_),
                None,
            ) => self.counted.late += 1,
        }
    }

    fn insert(&mut self, id: WireId, state: State, dialect: Dialect) -> RequestKey {
        let abilities = self.abilities(dialect);
        let mut inward = Inflow::new(abilities.credit, dialect == Dialect::Underpass);
        // The opening bears number 0.
        let _ = inward.order(0);
        if !state.is_websocket() {
            self.exchanges += 1;
        }
        if let Some(link) = self.link_mut(id.connection) {
            link.open += 1;
        }
        let out = Outflow::new(abilities.credit);
        let request = Request { id, state, out, inward, waits: false, was_granted: false };
        let key = self.requests.insert(request);
        self.by_id.insert(id, key);
        self.counted.opened += 1;
        key
    }

    fn request(&mut self, id: WireId, start: RequestStart, dialect: Dialect) {
        let too_large =
            !start.stream && start.body.as_ref().is_some_and(|body| body.len() > self.config.max_whole_body);
        let refused = if self.requests.len() >= self.config.max_requests {
            Some(refusal(id, FailureCode::Overloaded, FULL))
        } else if too_large {
            Some(refusal(id, FailureCode::BodyTooLarge, "the body is larger than the runner takes"))
        } else {
            None
        };
        if let Some(failure) = refused {
            self.counted.refused += 1;
            self.counted.failures.count(failure.code);
            let (head, body) = failure.http_answer();
            let (status, headers) = (head.status, head.headers);
            self.answer_unopened(
                id,
                to_server::Kind::ResponseStart(ResponseStart { status, headers, body: Some(body), stream: false }),
            );
            return;
        }
        let key = self.insert(id, State::AwaitingResponse, dialect);
        let RequestStart { actor_id, method, path, headers, body, stream } = start;
        let head = RequestHead { method, path, headers };
        if stream {
            self.actions.push_back(Action::Request { key, actor_id, head, body: Body::Stream });
            if let Some(body) = body.filter(|body| !body.is_empty()) {
                self.request_chunk(key, RequestChunk { body, finish: false });
            }
        } else {
            if let Some(request) = self.requests.get_mut(key) {
                request.inward.end();
            }
            let body = body.map_or(Body::None, Body::Whole);
            self.actions.push_back(Action::Request { key, actor_id, head, body });
        }
    }

    fn websocket_open(&mut self, id: WireId, open: WebSocketOpen, dialect: Dialect) {
        let refused = if matches!(self.purpose, Purpose::Draining { .. }) {
            // Those that are open were closed already; an exchange comes to its end, a WebSocket may not.
            Some(refusal(id, FailureCode::Draining, "the runner is going away"))
        } else if self.requests.len() >= self.config.max_requests {
            Some(refusal(id, FailureCode::Overloaded, FULL))
        } else {
            None
        };
        if let Some(failure) = refused {
            self.counted.refused += 1;
            self.counted.failures.count(failure.code);
            let Close { code, reason } = failure.close();
            let close = to_server::WebSocketClose { code, reason, hibernate: false };
            self.answer_unopened(id, to_server::Kind::WebSocketClose(close));
            return;
        }
        let key = self.insert(id, State::AwaitingWebSocket, dialect);
        let WebSocketOpen { actor_id, path, headers } = open;
        let socket = SocketId { gateway_id: id.gateway_id, request_id: id.request_id };
        let head = RequestHead { method: "GET".into(), path, headers };
        self.actions.push_back(Action::WebSocketOpen { key, actor_id, head, socket });
    }

    fn answer_unopened(&mut self, id: WireId, message_kind: to_server::Kind) {
        let message = ToServerTunnelMessage { message_id: id.message(0), message_kind };
        self.tell_relay(id.connection, &ToServer::TunnelMessage(message));
    }

    fn of_request(&mut self, key: RequestKey, message_id: MessageId, kind: Kind) {
        let Some(request) = self.requests.get_mut(key) else { return };
        match kind {
            Kind::Credit(credit) => {
                request.out.grant(credit.total);
                return self.flush(key);
            }
            // An abort ends what it names whatever its number: a relay may have sent it in the gateway's place.
            Kind::RequestAbort => return self.client_gave_up(key, Close::abnormal()),
            Kind::RequestStart(_)
            | Kind::RequestChunk(_)
            | Kind::WebSocketOpen(_)
            | Kind::WebSocketMessage(_)
            | Kind::WebSocketClose(_) => {}
        }
        match request.inward.order(message_id.message_index) {
            Order::Next => self.in_order(key, message_id.message_index, kind),
            Order::Repeat => self.counted.late += 1,
            Order::Gap => {
                self.counted.gaps += 1;
                self.abort(key, FailureCode::MessageLost);
            }
        }
    }

    fn in_order(&mut self, key: RequestKey, number: MessageIndex, kind: Kind) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let body_has_ended = request.inward.has_ended();
        match (kind, &request.state) {
            (Kind::RequestChunk(chunk), State::AwaitingResponse | State::Collecting { .. } | State::Responding)
                if !body_has_ended =>
            {
                self.request_chunk(key, chunk);
            }
            (Kind::WebSocketMessage(message), State::OpenWebSocket | State::AwaitingWebSocket) => {
                self.message_for_handler(key, number, message);
            }
            // The handler has closed: it wants no more.
            (Kind::WebSocketMessage(_), State::ClosingWebSocket) => {}
            (
                Kind::WebSocketClose(close),
                State::AwaitingWebSocket | State::OpenWebSocket | State::ClosingWebSocket,
            ) => self.client_gave_up(key, Close { code: close.code, reason: close.reason }),
            // A chunk behind the end of its body, or what is for the other kind of request, or a second opening.
            (
                Kind::RequestChunk(_)
                | Kind::RequestStart(_)
                | Kind::WebSocketOpen(_)
                | Kind::RequestAbort
                | Kind::Credit(_),
                State::AwaitingResponse
                | State::Collecting { .. }
                | State::Responding
                | State::AwaitingWebSocket
                | State::OpenWebSocket
                | State::ClosingWebSocket,
            )
            | (
                Kind::WebSocketMessage(_) | Kind::WebSocketClose(_),
                State::AwaitingResponse | State::Collecting { .. } | State::Responding,
            ) => {
                self.counted.malformed += 1;
                self.abort(key, FailureCode::RunnerFailed);
            }
        }
    }

    fn request_chunk(&mut self, key: RequestKey, chunk: RequestChunk) {
        let RequestChunk { body, finish } = chunk;
        let Some(request) = self.requests.get_mut(key) else { return };
        if !body.is_empty() && request.inward.take(body.len(), self.config.max_buffered) {
            return self.abort(key, FailureCode::Overloaded);
        }
        if finish {
            request.inward.end();
        }
        if finish || !body.is_empty() {
            self.actions.push_back(Action::RequestChunk { key, bytes: body, finish });
        }
    }

    fn message_for_handler(&mut self, key: RequestKey, number: MessageIndex, message: WebSocketMessage) {
        let Some(request) = self.requests.get_mut(key) else { return };
        if message.data.len() > self.config.max_message {
            return self.abort(key, FailureCode::MessageTooLarge);
        }
        if request.inward.take(message.data.len(), self.config.max_buffered) {
            return self.abort(key, FailureCode::Overloaded);
        }
        match Message::from_wire(message) {
            Some(message) => self.actions.push_back(Action::WebSocketMessage { key, number, message }),
            None => self.abort(key, FailureCode::RunnerFailed),
        }
    }

    /// The client is gone: its handler hears so.
    fn client_gave_up(&mut self, key: RequestKey, close: Close) {
        self.tell_handler(key, close);
        self.end(key, Ended::Aborted);
    }

    pub(super) fn tell_handler(&mut self, key: RequestKey, close: Close) {
        let Some(request) = self.requests.get(key) else { return };
        match request.state {
            State::AwaitingResponse | State::Collecting { .. } | State::Responding => {
                self.actions.push_back(Action::Aborted { key });
            }
            State::AwaitingWebSocket | State::OpenWebSocket => {
                self.actions.push_back(Action::WebSocketClose { key, close });
            }
            // It has closed and hears no more.
            State::ClosingWebSocket => {}
        }
    }

    /// Ends a request that can't go on, at both ends.
    pub(super) fn abort(&mut self, key: RequestKey, why: FailureCode) {
        let Some(request) = self.requests.get(key) else { return };
        let close = Close::new(why.close_code(), why.as_str());
        if request.state.is_websocket() {
            self.send_close(key, close.clone());
        } else {
            self.send(key, to_server::Kind::ResponseAbort);
        }
        self.tell_handler(key, close);
        self.end(key, Ended::Failed(why));
    }
}

/// Why a request is refused that finds too many open.
const FULL: &str = "the runner has as many requests open as it may";

fn refusal(id: WireId, code: FailureCode, message: &'static str) -> Failure {
    let WireId { gateway_id, request_id, .. } = id;
    Failure { code, message: message.into(), request: Some(RequestName { gateway_id, request_id }) }
}
