//! What a client does with a request of its: sends, closes, consumes, goes away.

use bytes::Bytes;

use super::request::{Deadline, State};
use super::waits::Came;
use super::{End, Gateway};
use crate::error::ApiMisuse;
use crate::failure::FailureCode;
use crate::http::{Close, Message};
use crate::machine::RequestKey;
use crate::machine::flow::Piece;
use crate::protocol::tunnel::to_client::{self, Credit};
use crate::time::Time;

impl Gateway {
    /// More of a request's body.
    pub(super) fn request_chunk(
        &mut self,
        key: RequestKey,
        bytes: Bytes,
        finish: bool,
        now: Time,
    ) -> Result<(), ApiMisuse> {
        if self.requests.asleep(key).is_some() {
            return Err(ApiMisuse::OutOfTurn("a chunk of a body for a WebSocket"));
        }
        let Some(request) = self.requests.get_mut(key) else { return Ok(()) };
        if request.up.has_ended() {
            return Err(ApiMisuse::OutOfTurn("a chunk behind the end of its body"));
        }
        if request.is_websocket() {
            return Err(ApiMisuse::OutOfTurn("a chunk of a body for a WebSocket"));
        }
        let body = &mut request.pieces_mut().bytes;
        *body += bytes.len() as u64;
        let is_over = self.config.max_streamed_body.is_some_and(|max| *body > max);
        match request.state {
            State::Collecting(_) => self.collect_more(key, &bytes, finish, now),
            State::Waiting(_) | State::AwaitingResponse | State::Responding { .. } => {
                if is_over {
                    self.fail(key, FailureCode::BodyTooLarge, "the body is larger than this gateway takes");
                    return Ok(());
                }
                request.up.offer_chunk(bytes, finish, self.config.max_chunk);
                self.flush_bounded(key, now);
                self.await_body(key, Came::Some, now);
            }
            State::AwaitingWebSocket { .. } | State::OpenWebSocket | State::ClosingWebSocket => {}
        }
        Ok(())
    }

    pub(super) fn websocket_message(&mut self, key: RequestKey, message: Message, now: Time) -> Result<(), ApiMisuse> {
        let Some(request) = self.requests.get_mut(key) else { return self.message_asleep(key, message, now) };
        match request.state {
            State::OpenWebSocket if message.len() > self.config.max_message => {
                self.fail(key, FailureCode::MessageTooLarge, "the message is larger than this gateway takes");
                Ok(())
            }
            State::OpenWebSocket if request.hibernation.is_some() => {
                self.keep_message(key, message, now);
                Ok(())
            }
            State::OpenWebSocket => {
                let nobody = request.place.is_none();
                if let Some(piece) = request.up.pass(Piece::Message(message), nobody) {
                    self.send_piece(key, piece);
                }
                self.flush_bounded(key, now);
                Ok(())
            }
            State::ClosingWebSocket => Err(ApiMisuse::OutOfTurn("a message behind the close of its WebSocket")),
            State::AwaitingWebSocket { .. } => Err(ApiMisuse::OutOfTurn("a message before its WebSocket was opened")),
            State::Waiting(_) if request.is_websocket() => {
                Err(ApiMisuse::OutOfTurn("a message before its WebSocket was opened"))
            }
            State::Waiting(_) | State::Collecting(_) | State::AwaitingResponse | State::Responding { .. } => {
                Err(ApiMisuse::OutOfTurn("a message for an HTTP exchange"))
            }
        }
    }

    pub(super) fn websocket_close(&mut self, key: RequestKey, close: Close, now: Time) -> Result<(), ApiMisuse> {
        let Some(request) = self.requests.get_mut(key) else { return self.close_asleep(key, close, now) };
        match request.state {
            State::OpenWebSocket if request.hibernation.is_some() => {
                self.keep_close(key, close, now);
                Ok(())
            }
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
            State::Waiting(_) if request.is_websocket() => {
                Err(ApiMisuse::OutOfTurn("a close before its WebSocket was opened"))
            }
            State::Waiting(_) | State::Collecting(_) | State::AwaitingResponse | State::Responding { .. } => {
                Err(ApiMisuse::OutOfTurn("a close for an HTTP exchange"))
            }
        }
    }

    pub(super) fn client_gone(&mut self, key: RequestKey, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return self.gone_asleep(key, now) };
        match request.state {
            // No runner knows of it.
            State::Waiting(_) | State::Collecting(_) => {}
            State::AwaitingResponse | State::Responding { .. } => self.send(key, to_client::Kind::RequestAbort),
            // What it sent is handled, whether or not somebody waits for what comes of it.
            State::OpenWebSocket if request.hibernation.is_some() => {
                return self.keep_close(key, Close::abnormal(), now);
            }
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

    /// The client took so many bytes.
    pub(super) fn consumed(&mut self, key: RequestKey, bytes: usize, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return self.consumed_asleep(key, bytes) };
        if let Some(total) = request.down.consumed(bytes) {
            self.send(key, to_client::Kind::Credit(Credit { total }));
        }
        self.await_answer(key, Came::Nothing, now);
    }
}
