//! What must hold at every moment, whatever goes wrong: found out by looking at the wire, not by asking the machines.

use core::fmt;

use hashbrown::{HashMap, HashSet};
use underpass_core::Frame;
use underpass_core::bus::{ConnectionId, RelayId};
use underpass_core::failure::RequestName;
use underpass_core::protocol::carry::{self, Carried, FromBus, ToClientWord};
use underpass_core::protocol::tunnel::{ToServerTunnelMessage, to_server};
use underpass_core::protocol::{Dialect, MessageId, ToGateway};

use super::trace::About;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What.
    pub text: String,
    /// Whose request it touches.
    pub about: About,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Looks at the frames between gateways and relays.
#[derive(Debug, Default)]
pub struct Wire {
    /// The requests that were given to a connection and may be answered there.
    open: HashSet<(ConnectionId, RequestName)>,
    /// All names that a request ever had.
    names: HashMap<RequestName, ConnectionId>,
    /// Those that ever came to a connection: the bus may bring an opening again.
    brought: HashSet<(ConnectionId, RequestName)>,
    /// Those that were open again on a connection.
    restored: HashSet<(ConnectionId, RequestName)>,
}

/// What a frame on the bus is about.
pub fn name(id: MessageId) -> RequestName {
    RequestName { gateway_id: id.gateway_id, request_id: id.request_id }
}

impl Wire {
    /// A gateway publishes to a connection. What it is about, and what is wrong with it.
    pub fn gateway_publishes(&mut self, to: ConnectionId, frame: &Frame) -> (About, Result<(), String>) {
        let (message_id, opens) = match carry::from_bus(frame.clone(), Dialect::Underpass) {
            Ok(FromBus::Tunnel(Carried { message_id, word, .. })) => (message_id, opens(&word)),
            Ok(
                FromBus::Ping(_)
                | FromBus::Probe(_)
                | FromBus::LeftBehind(_)
                | FromBus::Close
                | FromBus::Commands(_)
                | FromBus::AckEvents(_),
            ) => {
                return (About::Nobody, Ok(()));
            }
            Err(error) => return (About::Nobody, Err(format!("a gateway publishes what is none: {error}"))),
        };
        let name = name(message_id);
        if opens && self.names.insert(name, to).is_some() {
            return (About::Wire(name), Err(format!("the request id {name} is used again")));
        }
        (About::Wire(name), Ok(()))
    }

    /// The bus brings a connection's relay a frame: it may open or close what may be answered. What it is about, and
    /// whether it closes what is closed.
    pub fn relay_is_brought(&mut self, to: ConnectionId, frame: &Frame) -> (About, bool) {
        let Ok(FromBus::Tunnel(Carried { message_id, word, .. })) = carry::from_bus(frame.clone(), Dialect::Underpass)
        else {
            return (About::Nobody, false);
        };
        let name = name(message_id);
        let mut comes_late = false;
        if opens(&word) {
            if self.brought.insert((to, name)) {
                self.open.insert((to, name));
            }
        } else if closes(&word) {
            comes_late = !self.open.remove(&(to, name));
        }
        (About::Wire(name), comes_late)
    }

    /// A relay publishes something of a connection to a gateway. What it is about, and what is wrong with it.
    pub fn relay_publishes(&mut self, of: ConnectionId, frame: &Frame) -> (About, Result<(), String>) {
        let message = match ToGateway::decode_framed(frame, Dialect::Underpass) {
            Ok(ToGateway::TunnelMessage(message)) => message,
            Ok(ToGateway::Refused(refused)) => {
                let name = RequestName { gateway_id: refused.gateway_id, request_id: refused.request_id };
                self.open.remove(&(of, name));
                return (About::Wire(name), Ok(()));
            }
            Ok(ToGateway::Restored(restored)) => {
                let name = RequestName { gateway_id: restored.gateway_id, request_id: restored.request_id };
                self.open.insert((of, name));
                self.restored.insert((of, name));
                return (About::Wire(name), Ok(()));
            }
            Ok(ToGateway::Lost(lost)) => {
                let name = RequestName { gateway_id: lost.gateway_id, request_id: lost.request_id };
                self.open.remove(&(of, name));
                return (About::Wire(name), Ok(()));
            }
            Ok(
                ToGateway::Pong(_)
                | ToGateway::ConnectionEnded(_)
                | ToGateway::RouteOpen(_)
                | ToGateway::Probed(_)
                | ToGateway::Doubted(_),
            ) => {
                return (About::Nobody, Ok(()));
            }
            Err(error) => return (About::Nobody, Err(format!("a relay publishes what is none: {error}"))),
        };
        let ToServerTunnelMessage { message_id, message_kind } = message;
        let name = name(message_id);
        let about = About::Wire(name);
        let ends = match message_kind {
            // An abort is the relay's own to say, whether there is a route or not.
            to_server::Kind::ResponseAbort => {
                self.open.remove(&(of, name));
                return (about, Ok(()));
            }
            // So is that a WebSocket sleeps; and again, if the bus did not take it.
            to_server::Kind::WebSocketClose(close) if close.hibernate => {
                self.open.remove(&(of, name));
                return (about, Ok(()));
            }
            // What was handled before its route was closed is told behind that.
            to_server::Kind::WebSocketMessageAck(_)
                if self.brought.contains(&(of, name)) || self.restored.contains(&(of, name)) =>
            {
                return (about, Ok(()));
            }
            to_server::Kind::ResponseStart(start) => !start.stream,
            to_server::Kind::ResponseChunk(chunk) => chunk.finish,
            to_server::Kind::WebSocketClose(_) => true,
            to_server::Kind::WebSocketOpen(_)
            | to_server::Kind::WebSocketMessage(_)
            | to_server::Kind::WebSocketMessageAck(_)
            | to_server::Kind::Credit(_) => false,
        };
        let is_open = if ends { self.open.remove(&(of, name)) } else { self.open.contains(&(of, name)) };
        let wrong = || format!("a frame of request {name} came to its gateway from {of} without a route");
        (about, if is_open { Ok(()) } else { Err(wrong()) })
    }

    /// A connection ended, and all that may be answered on it.
    pub fn connection_ends(&mut self, connection: ConnectionId) {
        self.open.retain(|(on, _)| *on != connection);
    }

    /// How many requests may be answered on a relay's connections.
    pub fn open_at(&self, relay: RelayId) -> usize {
        self.open.iter().filter(|(on, _)| on.relay == relay).count()
    }

    /// To which connection a request was sent.
    pub fn went_to(&self, name: Option<&RequestName>) -> Option<ConnectionId> {
        self.names.get(name?).copied()
    }

    /// The names that may be answered on other connections than this one, in order.
    pub fn open_elsewhere(&self, than: ConnectionId) -> Vec<RequestName> {
        let mut names: Vec<_> = self.open.iter().filter(|(on, _)| *on != than).map(|(_, name)| *name).collect();
        names.sort_unstable_by_key(|name| (name.gateway_id, name.request_id));
        names
    }

    /// The names that may be answered on this connection, in order.
    pub fn open_on(&self, connection: ConnectionId) -> Vec<RequestName> {
        let mut names: Vec<_> = self.open.iter().filter(|(on, _)| *on == connection).map(|(_, name)| *name).collect();
        names.sort_unstable_by_key(|name| (name.gateway_id, name.request_id));
        names
    }
}

fn opens(word: &ToClientWord) -> bool {
    match word {
        ToClientWord::RequestStart { .. } | ToClientWord::WebSocketOpen { .. } => true,
        ToClientWord::RequestChunk { .. }
        | ToClientWord::RequestAbort
        | ToClientWord::WebSocketMessage
        | ToClientWord::WebSocketClose
        | ToClientWord::Credit { .. } => false,
    }
}

fn closes(word: &ToClientWord) -> bool {
    match word {
        ToClientWord::RequestAbort | ToClientWord::WebSocketClose => true,
        ToClientWord::RequestStart { .. }
        | ToClientWord::WebSocketOpen { .. }
        | ToClientWord::RequestChunk { .. }
        | ToClientWord::WebSocketMessage
        | ToClientWord::Credit { .. } => false,
    }
}
