//! One request at its runner.

use bytes::BytesMut;

use crate::http::ResponseHead;
use crate::machine::flow::{Inflow, Outflow};
use crate::protocol::{GatewayId, RequestId};

/// What a request is known by on the connection.
pub(super) type WireId = (GatewayId, RequestId);

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
