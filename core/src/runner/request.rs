//! One request at its runner.

use bytes::BytesMut;

use super::actors::ActorSlot;
use super::hibernation::Hibernation;
use super::names::SocketId;
use crate::http::ResponseHead;
use crate::machine::deadline::Armed;
use crate::machine::flow::{Inflow, Outflow};
use crate::protocol::{GatewayId, MessageId, MessageIndex, RequestId};

/// What a request is known by on a connection: its ids there.
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
        self.socket().message(message_index)
    }

    /// The same on whatever connection.
    pub(super) fn socket(self) -> SocketId {
        SocketId { gateway_id: self.gateway_id, request_id: self.request_id }
    }
}

impl SocketId {
    pub(super) fn on(self, connection: u64) -> WireId {
        WireId { connection, gateway_id: self.gateway_id, request_id: self.request_id }
    }

    pub(super) fn message(self, message_index: MessageIndex) -> MessageId {
        MessageId { gateway_id: self.gateway_id, request_id: self.request_id, message_index }
    }
}

/// A request that is open.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) socket: SocketId,
    pub(super) place: Place,
    pub(super) state: State,
    /// Toward the gateway.
    pub(super) out: Outflow,
    /// Toward the handler.
    pub(super) inward: Inflow,
    /// Whether it is among those that wait for the outbox.
    pub(super) waits: bool,
    /// Whether it is among those of which a credit total was told.
    pub(super) was_granted: bool,
    /// The actor that it is for, if this runner's actors have state.
    pub(super) actor: Option<ActorSlot>,
    /// If it is a WebSocket that can hibernate.
    pub(super) hibernation: Option<Box<Hibernation>>,
}

/// Where a request is.
#[derive(Debug)]
pub(super) enum Place {
    /// It came on this connection, or was woken there.
    On(u64),
    /// It is a WebSocket that can hibernate, and waits for a frame of its gateway.
    Detached {
        /// The first connection on which one counts.
        from: u64,
        /// When its gateway must have sent one.
        silent: Option<Armed>,
    },
}

impl Request {
    pub(super) fn connection(&self) -> Option<u64> {
        match self.place {
            Place::On(connection) => Some(connection),
            Place::Detached { .. } => None,
        }
    }
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
    /// The handler was told of a WebSocket that slept, and may go on with it.
    Restoring,
    /// The handler was asked to take the WebSocket.
    AwaitingWebSocket,
    /// Messages go both ways.
    OpenWebSocket,
    /// The handler has closed; what it sent before waits for credit, for the outbox or for its gateway.
    ClosingWebSocket,
}

impl State {
    pub(super) fn is_websocket(&self) -> bool {
        match self {
            State::AwaitingResponse | State::Collecting { .. } | State::Responding => false,
            State::Restoring | State::AwaitingWebSocket | State::OpenWebSocket | State::ClosingWebSocket => true,
        }
    }
}
