//! One request at its runner.

use bytes::BytesMut;

use crate::http::ResponseHead;
use crate::machine::flow::{Inflow, Outflow};
use crate::protocol::{GatewayId, MessageId, MessageIndex, RequestId};

/// What a request is known by: the connection that it came on, and its ids there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct WireId {
    pub(super) connection: u64,
    pub(super) gateway_id: GatewayId,
    pub(super) request_id: RequestId,
}

impl WireId {
    /// The request of a message that came on a connection.
    pub(super) fn of(connection: u64, message: MessageId) -> Self {
        WireId { connection, gateway_id: message.gateway_id, request_id: message.request_id }
    }

    /// The request's message with a number.
    pub(super) fn message(self, message_index: MessageIndex) -> MessageId {
        MessageId { gateway_id: self.gateway_id, request_id: self.request_id, message_index }
    }
}

/// A request that is open.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: WireId,
    pub(super) state: State,
    /// Toward the gateway.
    pub(super) out: Outflow,
    /// Toward the handler.
    pub(super) inward: Inflow,
    /// Whether it is among those that wait for the outbox.
    pub(super) waits: bool,
    /// Whether it is among those of which a credit total was told.
    pub(super) was_granted: bool,
}

/// How far a request has come.
#[derive(Debug)]
pub(super) enum State {
    /// The handler has it; no answer yet.
    AwaitingResponse,
    /// The relay takes whole answers only, and this one is not complete.
    Collecting { head: ResponseHead, body: BytesMut },
    /// The answer has begun.
    Responding,
    /// The handler was asked to take the WebSocket.
    AwaitingWebSocket,
    /// Messages go both ways.
    OpenWebSocket,
    /// The handler has closed; what it sent before waits for credit or for the outbox.
    ClosingWebSocket,
}

impl State {
    pub(super) fn is_websocket(&self) -> bool {
        match self {
            State::AwaitingResponse | State::Collecting { .. } | State::Responding => false,
            State::AwaitingWebSocket | State::OpenWebSocket | State::ClosingWebSocket => true,
        }
    }
}
