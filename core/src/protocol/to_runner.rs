//! `ToRunner`: what gateways and relays send on the bus to the relay of a runner's connection.

use serde::{Deserialize, Serialize};

use super::ids::{GatewayId, RequestId};
use super::to_client::{AckEvents, CommandWrapper};
use super::tunnel::ToClientTunnelMessage;

/// What the bus carries to a runner's connection. Version 7; on the bus, two bytes of version stand in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRunner {
    /// `ToRunnerPing`: does the connection of this request live?
    Ping(Ping),
    /// `ToRunnerClose`: the connection was taken over; close it.
    Close,
    /// `ToClientCommands`.
    Commands(Vec<CommandWrapper>),
    /// `ToClientAckEvents`.
    AckEvents(AckEvents),
    /// `ToClientTunnelMessage`: carried on without being decoded.
    TunnelMessage(ToClientTunnelMessage),
}

/// `ToRunnerPing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Who asks.
    pub gateway_id: GatewayId,
    /// One of its requests on that connection.
    pub request_id: RequestId,
    /// Milliseconds since the Unix epoch; the pong repeats it.
    pub ts: i64,
}
