//! What the user's handlers do: answer, send, close, fail.

use bytes::{Bytes, BytesMut};

use super::link::Link;
use super::request::{Request, State};
use super::{Action, Ended, Runner};
use crate::error::ApiMisuse;
use crate::failure::FailureCode;
use crate::http::{Body, Close, Message, ResponseHead};
use crate::machine::RequestKey;
use crate::machine::flow::Piece;
use crate::protocol::Dialect;
use crate::protocol::tunnel::to_server::{Kind, ResponseStart, WebSocketClose, WebSocketOpen};
use crate::time::Time;

impl Runner {
    pub(super) fn response_start(&mut self, key: RequestKey, head: ResponseHead, body: Body) -> Result<(), ApiMisuse> {
        let max_chunk = self.config.max_chunk;
        let link = self.requests.get(key).and_then(Request::connection).and_then(|connection| self.link(connection));
        let streams = link.and_then(Link::dialect) == Some(Dialect::Underpass);
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        match request.state {
            State::AwaitingResponse => {}
            State::Collecting { .. } | State::Responding => {
                return Err(ApiMisuse::OutOfTurn("a second answer to a request"));
            }
            State::Restoring | State::AwaitingWebSocket | State::OpenWebSocket | State::ClosingWebSocket => {
                return Err(ApiMisuse::OutOfTurn("an HTTP answer to a WebSocket"));
            }
        }
        let header_bytes: usize = head.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if header_bytes > self.config.max_header_bytes {
            self.handler_failed(key);
            return Ok(());
        }
        match body {
            Body::None => self.answer(key, head, None),
            // A large body goes in pieces, so that credit holds for it.
            Body::Whole(body) if body.len() > max_chunk && streams => {
                self.begin_answer(key, head);
                self.response_chunk(key, body, true)?;
            }
            Body::Whole(body) if body.len() > self.config.max_whole_body => self.handler_failed(key),
            Body::Whole(body) => self.answer(key, head, Some(body)),
            Body::Stream if streams => self.begin_answer(key, head),
            Body::Stream => request.state = State::Collecting { head, body: BytesMut::new() },
        }
        Ok(())
    }

    fn begin_answer(&mut self, key: RequestKey, head: ResponseHead) {
        if let Some(request) = self.requests.get_mut(key) {
            request.state = State::Responding;
        }
        let ResponseHead { status, headers } = head;
        self.send(key, Kind::ResponseStart(ResponseStart { status, headers, body: None, stream: true }));
    }

    fn answer(&mut self, key: RequestKey, head: ResponseHead, body: Option<Bytes>) {
        let ResponseHead { status, headers } = head;
        self.send(key, Kind::ResponseStart(ResponseStart { status, headers, body, stream: false }));
        self.end(key, Ended::Answered);
    }

    pub(super) fn response_chunk(&mut self, key: RequestKey, bytes: Bytes, finish: bool) -> Result<(), ApiMisuse> {
        let max_whole_body = self.config.max_whole_body;
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        if request.out.has_ended() {
            return Err(ApiMisuse::OutOfTurn("a chunk behind the end of its body"));
        }
        match &mut request.state {
            State::Responding => {
                request.out.offer_chunk(bytes, finish, self.config.max_chunk);
                self.flush_bounded(key);
                Ok(())
            }
            State::Collecting { body, .. } if body.len() + bytes.len() > max_whole_body => {
                self.handler_failed(key);
                Ok(())
            }
            State::Collecting { head, body } => {
                body.extend_from_slice(&bytes);
                if finish {
                    let (head, body) = (head.clone(), core::mem::take(body).freeze());
                    self.answer(key, head, Some(body));
                }
                Ok(())
            }
            State::AwaitingResponse => Err(ApiMisuse::OutOfTurn("a chunk before its answer began")),
            State::Restoring | State::AwaitingWebSocket | State::OpenWebSocket | State::ClosingWebSocket => {
                Err(ApiMisuse::OutOfTurn("a chunk of a body for a WebSocket"))
            }
        }
    }

    /// The handler failed: its client hears so, and never a clean end.
    pub(super) fn handler_failed(&mut self, key: RequestKey) {
        let Some(request) = self.requests.get(key) else { return };
        match request.state {
            State::AwaitingResponse | State::Collecting { .. } | State::Responding => {
                self.send(key, Kind::ResponseAbort);
            }
            State::Restoring | State::AwaitingWebSocket | State::OpenWebSocket => {
                self.send_close(key, Close { code: Some(1011), reason: Some("runner_failed".into()) });
            }
            // It has closed, and what it sent before still goes.
            State::ClosingWebSocket => return,
        }
        self.end(key, Ended::Failed(FailureCode::RunnerFailed));
    }

    pub(super) fn websocket_accept(
        &mut self,
        key: RequestKey,
        can_hibernate: bool,
        now: Time,
    ) -> Result<(), ApiMisuse> {
        let can_hibernate = can_hibernate && self.may_hibernate(key);
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        match request.state {
            State::AwaitingWebSocket => {
                request.state = State::OpenWebSocket;
                if can_hibernate {
                    request.hibernation = Some(Box::default());
                    self.sleepers.insert(request.socket, key);
                }
                self.send(key, Kind::WebSocketOpen(WebSocketOpen { can_hibernate }));
                self.move_socket_if_left(key, now);
                Ok(())
            }
            State::Restoring => Err(ApiMisuse::OutOfTurn("a WebSocket taken that slept")),
            State::OpenWebSocket | State::ClosingWebSocket => Err(ApiMisuse::OutOfTurn("a WebSocket taken twice")),
            State::AwaitingResponse | State::Collecting { .. } | State::Responding => {
                Err(ApiMisuse::OutOfTurn("an HTTP exchange taken as a WebSocket"))
            }
        }
    }

    pub(super) fn websocket_message(&mut self, key: RequestKey, message: Message) -> Result<(), ApiMisuse> {
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        match request.state {
            State::OpenWebSocket if message.len() > self.config.max_message => {
                let close = Close::new(1009, "message_too_large");
                self.send_close(key, close.clone());
                self.actions.push_back(Action::WebSocketClose { key, close });
                self.end(key, Ended::Failed(FailureCode::MessageTooLarge));
                Ok(())
            }
            State::OpenWebSocket => {
                request.out.offer(Piece::Message(message));
                self.flush_bounded(key);
                Ok(())
            }
            State::Restoring | State::AwaitingWebSocket => {
                Err(ApiMisuse::OutOfTurn("a message before its WebSocket was taken"))
            }
            State::ClosingWebSocket => Err(ApiMisuse::OutOfTurn("a message behind the close of its WebSocket")),
            State::AwaitingResponse | State::Collecting { .. } | State::Responding => {
                Err(ApiMisuse::OutOfTurn("a message for an HTTP exchange"))
            }
        }
    }

    pub(super) fn websocket_close(&mut self, key: RequestKey, close: Close) -> Result<(), ApiMisuse> {
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        match request.state {
            State::Restoring | State::OpenWebSocket => {
                request.out.offer(Piece::Close(close));
                request.state = State::ClosingWebSocket;
                self.flush(key);
                Ok(())
            }
            State::AwaitingWebSocket => {
                self.send_close(key, close);
                self.end(key, Ended::Answered);
                Ok(())
            }
            State::ClosingWebSocket => Err(ApiMisuse::OutOfTurn("a second close of a WebSocket")),
            State::AwaitingResponse | State::Collecting { .. } | State::Responding => {
                Err(ApiMisuse::OutOfTurn("a close for an HTTP exchange"))
            }
        }
    }

    /// Sends a close at once, before anything that waits.
    pub(super) fn send_close(&mut self, key: RequestKey, close: Close) {
        let Close { code, reason } = close;
        self.send(key, Kind::WebSocketClose(WebSocketClose { code, reason, hibernate: false }));
    }

    /// Sends what may be sent; a handler that was told to pause and did not fails past the bound.
    fn flush_bounded(&mut self, key: RequestKey) {
        self.flush(key);
        if self.requests.get(key).is_some_and(|request| request.out.held() > self.config.max_buffered) {
            self.abort(key, FailureCode::Overloaded);
        }
    }
}
