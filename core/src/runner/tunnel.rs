//! What comes from gateways: requests, their bodies, messages, ends.

use super::actors::Life;
use super::request::{Place, Request, State, WireId};
use super::{Action, Ended, Purpose, Runner};
use bytestring::ByteString;

use crate::failure::{Failure, FailureCode, RequestName};
use crate::http::{Body, Close, Message, RequestHead};
use crate::machine::RequestKey;
use crate::machine::flow::{Inflow, Order, Outflow};
use crate::observe::News;
use crate::protocol::tunnel::to_client::{
    Credit, Kind, RequestChunk, RequestStart, WebSocketClose, WebSocketMessage, WebSocketOpen,
};
use crate::protocol::tunnel::to_server::{self, ResponseStart};
use crate::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage};
use crate::protocol::{Dialect, MessageId, MessageIndex, ToServer};
use crate::time::Time;

impl Runner {
    pub(super) fn tunnel_message(
        &mut self,
        connection: u64,
        message: ToClientTunnelMessage,
        dialect: Dialect,
        now: Time,
    ) {
        let ToClientTunnelMessage { message_id, message_kind } = message;
        let id = WireId::of(connection, message_id);
        let known = self.by_id.get(&id).copied().or_else(|| self.wake(id, dialect));
        match (message_kind, known) {
            (Kind::RequestStart(start), None) => self.request(id, start, dialect),
            (Kind::WebSocketOpen(open), None) => self.websocket_open(id, open, dialect),
            (kind, Some(key)) => self.of_request(key, message_id, kind, now),
            // With that, gateways wake what slept: it is here no more.
            (Kind::Credit(Credit { total: 0 }), None) if self.is_not_restored(id) => {
                let (code, reason) = (Some(1011), Some("ws.not_restored".into()));
                let close = to_server::WebSocketClose { code, reason, hibernate: false };
                self.answer_unopened(id, to_server::Kind::WebSocketClose(close));
            }
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

    fn insert(&mut self, id: WireId, state: State, dialect: Dialect, actor_id: &ByteString) -> RequestKey {
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
        let actor = self.actors.slot(actor_id);
        let key = self.requests.insert(Request {
            socket: id.socket(),
            place: Place::On(id.connection),
            state,
            out,
            inward,
            waits: false,
            was_granted: false,
            actor,
            hibernation: None,
        });
        if let Some(life) = actor.and_then(|actor| self.actors.life_mut(actor)) {
            life.requests.insert(key);
        }
        self.by_id.insert(id, key);
        self.counted.opened += 1;
        self.news.push(News::Opened { request: id.socket().into() });
        key
    }

    fn request(&mut self, id: WireId, start: RequestStart, dialect: Dialect) {
        let too_large =
            !start.stream && start.body.as_ref().is_some_and(|body| body.len() > self.config.max_whole_body);
        let refused = if self.requests.len() >= self.config.max_requests {
            Some(refusal(id, FailureCode::Overloaded, FULL))
        } else if !self.is_hosted(&start.actor_id) {
            Some(refusal(id, FailureCode::NoRunner, NOT_HERE))
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
        let key = self.insert(id, State::AwaitingResponse, dialect, &start.actor_id);
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
        } else if !self.is_hosted(&open.actor_id) {
            Some(refusal(id, FailureCode::NoRunner, NOT_HERE))
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
        let key = self.insert(id, State::AwaitingWebSocket, dialect, &open.actor_id);
        let WebSocketOpen { actor_id, path, headers } = open;
        let socket = id.socket();
        let head = RequestHead { method: "GET".into(), path, headers };
        self.actions.push_back(Action::WebSocketOpen { key, actor_id, head, socket });
    }

    /// Whether requests for an actor are taken: any, if this runner's actors keep nothing.
    fn is_hosted(&self, actor_id: &ByteString) -> bool {
        let life = || self.actors.slot(actor_id).and_then(|actor| self.actors.life(actor));
        self.config.stateless || life().is_some_and(Life::is_running)
    }

    fn answer_unopened(&mut self, id: WireId, message_kind: to_server::Kind) {
        let message = ToServerTunnelMessage { message_id: id.message(0), message_kind };
        self.tell_relay(id.connection, &ToServer::TunnelMessage(message));
    }

    fn of_request(&mut self, key: RequestKey, message_id: MessageId, kind: Kind, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let can_hibernate = request.hibernation.is_some();
        match kind {
            Kind::Credit(credit) => {
                request.out.grant(credit.total);
                return self.flush(key);
            }
            // An abort ends what it names whatever its number: a relay may have sent it in the gateway's place.
            Kind::RequestAbort => return self.client_gave_up(key, Close::abnormal()),
            // So does a close of what can hibernate: a relay does not know where its numbers are.
            Kind::WebSocketClose(WebSocketClose { code, reason }) if can_hibernate => {
                return self.client_gave_up(key, Close { code, reason });
            }
            Kind::RequestStart(_)
            | Kind::RequestChunk(_)
            | Kind::WebSocketOpen(_)
            | Kind::WebSocketMessage(_)
            | Kind::WebSocketClose(_) => {}
        }
        match request.inward.order(message_id.message_index) {
            Order::Next => self.in_order(key, message_id.message_index, kind),
            Order::Repeat => match kind {
                Kind::WebSocketMessage(message) if can_hibernate => {
                    self.repeated(key, message_id.message_index, message.data.len(), now);
                }
                Kind::RequestStart(_)
                | Kind::RequestChunk(_)
                | Kind::RequestAbort
                | Kind::WebSocketOpen(_)
                | Kind::WebSocketMessage(_)
                | Kind::WebSocketClose(_)
                | Kind::Credit(_) => self.counted.late += 1,
            },
            Order::Gap => {
                self.counted.gaps += 1;
                if can_hibernate {
                    self.skipped(key);
                } else {
                    self.abort(key, FailureCode::MessageLost);
                }
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
            // It is attached nowhere, so nothing comes.
            (Kind::WebSocketMessage(_), State::Restoring) => {}
            (
                Kind::WebSocketClose(close),
                State::Restoring | State::AwaitingWebSocket | State::OpenWebSocket | State::ClosingWebSocket,
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
                | State::Restoring
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
        if !self.is_next_to_handle(key, message.data.len()) {
            return;
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
            State::Restoring | State::AwaitingWebSocket | State::OpenWebSocket => {
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

/// Why one is refused whose actor is not running.
const NOT_HERE: &str = "the actor does not run here";

fn refusal(id: WireId, code: FailureCode, message: &'static str) -> Failure {
    let WireId { gateway_id, request_id, .. } = id;
    Failure { code, message: message.into(), request: Some(RequestName { gateway_id, request_id }) }
}
