//! Where messages name gateways.

use crate::protocol::ids::GatewayId;
use crate::protocol::to_client::{Command, CommandWrapper, HibernatingRequest};
use crate::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage};
use crate::protocol::{ToClient, ToGateway, ToRunner, ToServer, ToServerlessServer, to_runner};

/// A message that may name a gateway.
pub(crate) trait NamesGateways {
    /// Whether it names one by four zero bytes, which no gateway is called.
    fn names_zero(&self) -> bool;
}

impl<T: NamesGateways> NamesGateways for Vec<T> {
    fn names_zero(&self) -> bool {
        self.iter().any(T::names_zero)
    }
}

impl NamesGateways for ToClientTunnelMessage {
    fn names_zero(&self) -> bool {
        self.message_id.gateway_id == GatewayId::ZERO
    }
}

impl NamesGateways for ToServerTunnelMessage {
    fn names_zero(&self) -> bool {
        self.message_id.gateway_id == GatewayId::ZERO
    }
}

impl NamesGateways for to_runner::Ping {
    fn names_zero(&self) -> bool {
        self.gateway_id == GatewayId::ZERO
    }
}

impl NamesGateways for HibernatingRequest {
    fn names_zero(&self) -> bool {
        self.gateway_id == GatewayId::ZERO
    }
}

impl NamesGateways for CommandWrapper {
    fn names_zero(&self) -> bool {
        match &self.inner {
            Command::StartActor(start) => start.hibernating_requests.names_zero(),
            Command::StopActor => false,
        }
    }
}

impl NamesGateways for ToServer {
    fn names_zero(&self) -> bool {
        match self {
            ToServer::TunnelMessage(message) => message.names_zero(),
            ToServer::Init(_)
            | ToServer::Events(_)
            | ToServer::AckCommands(_)
            | ToServer::Stopping
            | ToServer::Pong(_)
            | ToServer::KvRequest(_) => false,
        }
    }
}

impl NamesGateways for ToClient {
    fn names_zero(&self) -> bool {
        match self {
            ToClient::Commands(commands) => commands.names_zero(),
            ToClient::TunnelMessage(message) => message.names_zero(),
            ToClient::Init(_)
            | ToClient::AckEvents(_)
            | ToClient::KvResponse(_)
            | ToClient::Ping(_)
            | ToClient::Draining => false,
        }
    }
}

impl NamesGateways for ToRunner {
    fn names_zero(&self) -> bool {
        match self {
            ToRunner::Ping(ping) => ping.names_zero(),
            ToRunner::Commands(commands) => commands.names_zero(),
            ToRunner::TunnelMessage(message) => message.names_zero(),
            ToRunner::Probe(probe) => probe.gateway_id == GatewayId::ZERO,
            ToRunner::LeftBehind(left_behind) => left_behind.gateway_id == GatewayId::ZERO,
            ToRunner::Close | ToRunner::AckEvents(_) => false,
        }
    }
}

impl NamesGateways for ToGateway {
    fn names_zero(&self) -> bool {
        match self {
            ToGateway::TunnelMessage(message) => message.names_zero(),
            ToGateway::Refused(refused) => refused.gateway_id == GatewayId::ZERO,
            ToGateway::RouteOpen(route) => route.gateway_id == GatewayId::ZERO,
            ToGateway::Restored(restored) => restored.gateway_id == GatewayId::ZERO,
            ToGateway::Probed(probed) => probed.gateway_id == GatewayId::ZERO,
            ToGateway::Lost(lost) => lost.gateway_id == GatewayId::ZERO,
            ToGateway::Doubted(doubted) => doubted.gateway_id == GatewayId::ZERO,
            ToGateway::Pong(_) | ToGateway::ConnectionEnded(_) => false,
        }
    }
}

impl NamesGateways for ToServerlessServer {
    fn names_zero(&self) -> bool {
        match self {
            ToServerlessServer::Init(_) => false,
        }
    }
}
