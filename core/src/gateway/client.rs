//! What a client does: opens, sends, closes, goes away.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::request::{Collecting, Deadline, Request, State};
use super::runners::NoneReady;
use super::{Draining, End, Gateway, Open, OpenKind, Refused};
use crate::error::ApiMisuse;
use crate::failure::{Failure, FailureCode};
use crate::http::{Body, Close, Message, RequestHead};
use crate::machine::RequestKey;
use crate::machine::flow::{Inflow, Outflow, Piece};
use crate::protocol::tunnel::to_client::{self, RequestStart, WebSocketOpen};
use crate::time::Time;

impl Gateway {
    /// Takes a request in.
    ///
    /// # Errors
    /// It was refused; the failure is ready to be told to the client.
    pub fn open(&mut self, open: Open, now: Time) -> Result<RequestKey, Refused> {
        let id = self.next_request_id();
        let refuse = |gateway: &mut Self, code, message: &'static str| {
            gateway.counted.refused += 1;
            Err(Refused(Failure { code, message: message.into(), request: Some(gateway.name(id)) }))
        };
        if self.draining != Draining::No {
            return refuse(self, FailureCode::Draining, "this gateway is going away");
        }
        if self.requests.len() >= self.config.max_requests {
            return refuse(self, FailureCode::Overloaded, "this gateway has as many requests open as it may");
        }
        if let OpenKind::Http(Body::Whole(body)) = &open.kind
            && body.len() > self.config.max_whole_body
        {
            return refuse(self, FailureCode::BodyTooLarge, "the body is larger than this gateway takes");
        }
        let link_key = match self.runners.choose(&open.target.pool, self.config.max_requests_per_runner) {
            Ok(link) => link,
            Err(NoneReady::Absent) => return refuse(self, FailureCode::NoRunner, "no runner of the pool is there"),
            Err(NoneReady::Full) => {
                return refuse(self, FailureCode::Overloaded, "each runner of the pool has as many requests as it may");
            }
        };
        let link = self.runners.get(link_key);
        let abilities = link.abilities;
        let request = Request {
            id,
            connection: link.connection,
            abilities,
            link: link_key,
            place: 0,
            state: State::AwaitingResponse,
            deadline: None,
            up: Outflow::new(abilities.credit),
            down: Inflow::new(abilities.credit, abilities.numbers),
            body_bytes: 0,
            is_head: false,
        };
        let key = self.requests.insert(request);
        let place = self.runners.attach(link_key, key);
        self.by_id.insert(id, key);
        self.counted.opened += 1;
        if let Some(request) = self.requests.get_mut(key) {
            request.place = place;
        }
        let actor_id = open.target.actor_id;
        match open.kind {
            OpenKind::Http(body) => self.open_http(key, actor_id, open.head, body, now),
            OpenKind::WebSocket => self.open_websocket(key, actor_id, open.head, now),
        }
        Ok(key)
    }

    fn open_http(&mut self, key: RequestKey, actor_id: ByteString, head: RequestHead, body: Body, now: Time) {
        let max_chunk = self.config.max_chunk;
        let Some(request) = self.requests.get_mut(key) else { return };
        let bodiless = matches!(&*head.method, "GET" | "HEAD");
        request.is_head = head.method == "HEAD";
        match body {
            Body::None => self.start(key, actor_id, head, None, false),
            Body::Whole(body) if body.is_empty() && bodiless => self.start(key, actor_id, head, None, false),
            // A runner that streams gets a large body in pieces, so that credit holds for it.
            Body::Whole(body) if body.len() > max_chunk && request.abilities.streams => {
                request.up.offer_chunk(body, true, max_chunk);
                self.start(key, actor_id, head, None, true);
                self.flush(key, now);
            }
            Body::Whole(body) => self.start(key, actor_id, head, Some(body), false),
            Body::Stream if request.abilities.streams => self.start(key, actor_id, head, None, true),
            Body::Stream => request.state = State::Collecting(Collecting { actor_id, head, body: BytesMut::new() }),
        }
        self.await_response(key, now);
    }

    /// The deadline of an answer runs while it is awaited of the runner, and not while more of the request is awaited
    /// of its client.
    pub(super) fn await_response(&mut self, key: RequestKey, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        match request.state {
            State::AwaitingResponse => {}
            State::Collecting(_)
            | State::Responding { .. }
            | State::AwaitingWebSocket { .. }
            | State::OpenWebSocket
            | State::ClosingWebSocket => return,
        }
        match (request.up.awaits_receiver(), request.deadline.take()) {
            (true, None) => request.deadline = Some(self.deadlines.arm(Deadline::ResponseStart, key, now)),
            (false, Some(armed)) => self.deadlines.cancel(armed),
            (true, armed @ Some(_)) | (false, armed @ None) => request.deadline = armed,
        }
    }

    fn start(&mut self, key: RequestKey, actor_id: ByteString, head: RequestHead, body: Option<Bytes>, stream: bool) {
        if let Some(request) = self.requests.get_mut(key) {
            request.state = State::AwaitingResponse;
            if !stream {
                request.up.end();
            }
        }
        let RequestHead { method, path, headers } = head;
        self.send(key, to_client::Kind::RequestStart(RequestStart { actor_id, method, path, headers, body, stream }));
    }

    fn open_websocket(&mut self, key: RequestKey, actor_id: ByteString, head: RequestHead, now: Time) {
        if let Some(request) = self.requests.get_mut(key) {
            request.state = State::AwaitingWebSocket { early: Vec::new() };
            request.deadline = Some(self.deadlines.arm(Deadline::WebSocketOpen, key, now));
        }
        let RequestHead { path, headers, .. } = head;
        self.send(key, to_client::Kind::WebSocketOpen(WebSocketOpen { actor_id, path, headers }));
    }

    /// More of a request's body.
    pub(super) fn request_chunk(
        &mut self,
        key: RequestKey,
        bytes: Bytes,
        finish: bool,
        now: Time,
    ) -> Result<(), ApiMisuse> {
        let max_whole_body = self.config.max_whole_body;
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        if request.up.has_ended() {
            return Err(ApiMisuse::OutOfTurn("a chunk behind the end of its body"));
        }
        request.body_bytes += bytes.len() as u64;
        match &mut request.state {
            State::Collecting(collecting) => {
                if collecting.body.len() + bytes.len() > max_whole_body {
                    self.fail(key, FailureCode::BodyTooLarge, "the body is larger than the runner takes");
                    return Ok(());
                }
                collecting.body.extend_from_slice(&bytes);
                if finish {
                    let Collecting { actor_id, head, body } = collecting;
                    let (actor_id, head, body) = (actor_id.clone(), head.clone(), core::mem::take(body).freeze());
                    let bodiless = body.is_empty() && matches!(&*head.method, "GET" | "HEAD");
                    self.start(key, actor_id, head, (!bodiless).then_some(body), false);
                    self.await_response(key, now);
                }
                Ok(())
            }
            State::AwaitingResponse | State::Responding { .. } => {
                if self.config.max_streamed_body.is_some_and(|max| request.body_bytes > max) {
                    self.fail(key, FailureCode::BodyTooLarge, "the body is larger than this gateway takes");
                    return Ok(());
                }
                request.up.offer_chunk(bytes, finish, self.config.max_chunk);
                self.flush_bounded(key, now);
                Ok(())
            }
            State::AwaitingWebSocket { .. } | State::OpenWebSocket | State::ClosingWebSocket => {
                Err(ApiMisuse::OutOfTurn("a chunk of a body for a WebSocket"))
            }
        }
    }

    pub(super) fn websocket_message(&mut self, key: RequestKey, message: Message, now: Time) -> Result<(), ApiMisuse> {
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        match request.state {
            State::OpenWebSocket if message.len() > self.config.max_message => {
                self.fail(key, FailureCode::MessageTooLarge, "the message is larger than this gateway takes");
                Ok(())
            }
            State::OpenWebSocket => {
                request.up.offer(Piece::Message(message));
                self.flush_bounded(key, now);
                Ok(())
            }
            State::ClosingWebSocket => Err(ApiMisuse::OutOfTurn("a message behind the close of its WebSocket")),
            State::AwaitingWebSocket { .. } => Err(ApiMisuse::OutOfTurn("a message before its WebSocket was opened")),
            State::Collecting(_) | State::AwaitingResponse | State::Responding { .. } => {
                Err(ApiMisuse::OutOfTurn("a message for an HTTP exchange"))
            }
        }
    }

    pub(super) fn websocket_close(&mut self, key: RequestKey, close: Close, now: Time) -> Result<(), ApiMisuse> {
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        match request.state {
            State::OpenWebSocket => {
                request.up.offer(Piece::Close(close));
                request.state = State::ClosingWebSocket;
                self.flush(key, now);
                if let Some(request) = self.requests.get_mut(key) {
                    request.deadline = Some(self.deadlines.arm(Deadline::WebSocketClose, key, now));
                }
                Ok(())
            }
            State::ClosingWebSocket => Err(ApiMisuse::OutOfTurn("a second close of a WebSocket")),
            State::AwaitingWebSocket { .. } => Err(ApiMisuse::OutOfTurn("a close before its WebSocket was opened")),
            State::Collecting(_) | State::AwaitingResponse | State::Responding { .. } => {
                Err(ApiMisuse::OutOfTurn("a close for an HTTP exchange"))
            }
        }
    }

    pub(super) fn client_gone(&mut self, key: RequestKey) {
        let Some(request) = self.requests.get_mut(key) else { return };
        match request.state {
            State::Collecting(_) => {}
            State::AwaitingResponse | State::Responding { .. } => self.send(key, to_client::Kind::RequestAbort),
            // What a vanished client sent before is dropped: nobody waits for what comes of it.
            State::AwaitingWebSocket { .. } | State::OpenWebSocket => {
                self.send(key, to_client::Kind::WebSocketClose(Close::abnormal().into_wire()));
            }
            // It said goodbye first; that and what came before it are still delivered.
            State::ClosingWebSocket => return,
        }
        self.end(key, End::ClientGone);
    }

    /// Sends what may be sent; a client that was told to pause and did not fails past the bound.
    fn flush_bounded(&mut self, key: RequestKey, now: Time) {
        self.flush(key, now);
        if self.requests.get(key).is_some_and(|request| request.up.held() > self.config.max_buffered) {
            self.fail(key, FailureCode::Overloaded, "more of the request waits than this gateway holds");
        }
    }
}
