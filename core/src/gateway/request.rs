//! One request at its gateway.

use bytes::BytesMut;

use super::runners::LinkKey;
use crate::bus::ConnectionId;
use crate::directory::Abilities;
use crate::http::{Message, RequestHead};
use crate::machine::deadline::Armed;
use crate::machine::flow::{Inflow, Outflow};
use crate::protocol::RequestId;

/// A request that is open.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: RequestId,
    /// Where it went. The link may be gone, then its requests are failed before anything else happens.
    pub(super) connection: ConnectionId,
    pub(super) abilities: Abilities,
    pub(super) link: LinkKey,
    /// Its place among the requests of its link.
    pub(super) place: usize,
    pub(super) state: State,
    pub(super) deadline: Option<Armed>,
    /// Toward the runner.
    pub(super) up: Outflow,
    /// Toward the client.
    pub(super) down: Inflow,
    /// Bytes of a streamed request body, so far.
    pub(super) body_bytes: u64,
    /// Whether the answer has a length but no body.
    pub(super) is_head: bool,
}

/// How far a request has come.
#[derive(Debug)]
pub(super) enum State {
    /// Its runner takes whole bodies only, and this one's is not complete. The runner knows nothing yet.
    Collecting(Collecting),
    /// The runner has it; no answer yet. The body may still be on its way.
    AwaitingResponse,
    /// The answer has begun. How many bytes of its body are still to come, if its head says.
    Responding { left: Option<u64> },
    /// The runner was asked to take the WebSocket. Messages that it sent before it took it wait here.
    AwaitingWebSocket { early: Vec<Message> },
    /// Messages go both ways.
    OpenWebSocket,
    /// The client has closed; what it sent before waits for credit.
    ClosingWebSocket,
}

/// A request whose body is being collected.
#[derive(Debug)]
pub(super) struct Collecting {
    pub(super) actor_id: bytestring::ByteString,
    pub(super) head: RequestHead,
    pub(super) body: BytesMut,
}

/// The named deadlines of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    ResponseStart,
    WebSocketOpen,
    WebSocketClose,
}

impl State {
    /// Whether the runner has heard of the request.
    pub(super) fn is_known_to_runner(&self) -> bool {
        match self {
            State::Collecting(_) => false,
            State::AwaitingResponse
            | State::Responding { .. }
            | State::AwaitingWebSocket { .. }
            | State::OpenWebSocket
            | State::ClosingWebSocket => true,
        }
    }

    pub(super) fn is_websocket(&self) -> bool {
        match self {
            State::Collecting(_) | State::AwaitingResponse | State::Responding { .. } => false,
            State::AwaitingWebSocket { .. } | State::OpenWebSocket | State::ClosingWebSocket => true,
        }
    }
}
