//! Version 5: [`ProtocolMetadata`] is `runnerLostThreshold` alone. All else is version 6's.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::kv::KvResponse;
use super::to_client::{self, AckEvents, CommandWrapper, Ping};
use super::translate::{NamesGateways, Translate, Untranslatable};
use super::tunnel::ToClientTunnelMessage;
use super::{Memory, v6};

pub use v6::{ToGateway, ToRunner, ToServer, ToServerlessServer};

/// `ToClient` of version 5; version 4 puts in its own commands and acknowledgements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClient<Command = CommandWrapper, Ack = AckEvents> {
    /// `ToClientInit`.
    #[serde(rename = "ToClientInit")]
    Init(Init),
    /// `ToClientCommands`.
    #[serde(rename = "ToClientCommands")]
    Commands(Vec<Command>),
    /// `ToClientAckEvents`.
    #[serde(rename = "ToClientAckEvents")]
    AckEvents(Ack),
    /// `ToClientKvResponse`.
    #[serde(rename = "ToClientKvResponse")]
    KvResponse(KvResponse),
    /// `ToClientTunnelMessage`.
    #[serde(rename = "ToClientTunnelMessage")]
    TunnelMessage(ToClientTunnelMessage),
    /// `ToClientPing`.
    #[serde(rename = "ToClientPing")]
    Ping(Ping),
}

/// `ToClientInit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Init {
    /// The same across reconnects of one runner.
    pub runner_id: ByteString,
    /// What the relay wants the runner to know.
    pub metadata: ProtocolMetadata,
}

/// `ProtocolMetadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolMetadata {
    /// Away for longer, milliseconds, a runner stops its actors.
    pub runner_lost_threshold: i64,
}

impl<Command: NamesGateways, Ack> NamesGateways for ToClient<Command, Ack> {
    fn names_zero(&self) -> bool {
        match self {
            ToClient::Commands(commands) => commands.names_zero(),
            ToClient::TunnelMessage(message) => message.names_zero(),
            ToClient::Init(_) | ToClient::AckEvents(_) | ToClient::KvResponse(_) | ToClient::Ping(_) => false,
        }
    }
}

impl Translate<v6::ToClient> for ToClient {
    fn translate(self, _: &mut Memory) -> Result<v6::ToClient, Untranslatable> {
        use v6::ToClient as Newer;

        Ok(match self {
            ToClient::Init(init) => Newer::Init(init.into()),
            ToClient::Commands(commands) => Newer::Commands(commands),
            ToClient::AckEvents(acks) => Newer::AckEvents(acks),
            ToClient::KvResponse(response) => Newer::KvResponse(response),
            ToClient::TunnelMessage(message) => Newer::TunnelMessage(message),
            ToClient::Ping(ping) => Newer::Ping(ping),
        })
    }
}

impl Translate<ToClient> for v6::ToClient {
    fn translate(self, _: &mut Memory) -> Result<ToClient, Untranslatable> {
        use v6::ToClient as Newer;

        Ok(match self {
            Newer::Init(init) => ToClient::Init(init.into()),
            Newer::Commands(commands) => ToClient::Commands(commands),
            Newer::AckEvents(acks) => ToClient::AckEvents(acks),
            Newer::KvResponse(response) => ToClient::KvResponse(response),
            Newer::TunnelMessage(message) => ToClient::TunnelMessage(message),
            Newer::Ping(ping) => ToClient::Ping(ping),
            Newer::Draining => return Err(Untranslatable::Private { message: "ToClientDraining" }),
        })
    }
}

impl From<Init> for to_client::Init {
    fn from(Init { runner_id, metadata }: Init) -> Self {
        let metadata = to_client::ProtocolMetadata {
            runner_lost_threshold: metadata.runner_lost_threshold,
            actor_stop_threshold: 0,
            serverless_drain_grace_period: None,
        };
        to_client::Init { runner_id, metadata }
    }
}

impl From<to_client::Init> for Init {
    fn from(to_client::Init { runner_id, metadata }: to_client::Init) -> Self {
        Init { runner_id, metadata: ProtocolMetadata { runner_lost_threshold: metadata.runner_lost_threshold } }
    }
}
