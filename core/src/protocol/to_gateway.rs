//! `ToGateway`: what relays send on the bus to a gateway.

use serde::{Deserialize, Serialize};

use super::ids::RequestId;
use super::tunnel::ToServerTunnelMessage;

/// What the bus carries to a gateway. Version 7; on the bus, two bytes of version stand in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGateway {
    /// `ToGatewayPong`: the connection lives.
    Pong(Pong),
    /// `ToServerTunnelMessage`: a piece of an answer.
    TunnelMessage(ToServerTunnelMessage),
}

/// `ToGatewayPong`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The ping's.
    pub request_id: RequestId,
    /// The ping's, milliseconds since the Unix epoch.
    pub ts: i64,
}
