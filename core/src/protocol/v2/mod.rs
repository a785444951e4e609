//! Version 2: ids travel inside UUIDs, a gateway is not named otherwise, and actors do not hibernate. What is not here
//! is version 3's. There is no `ToRunner`.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::to_client::ActorConfig;
use super::translate::{NamesGateways, Translate, Untranslatable, each};
use super::{Memory, Version, v3};

mod tunnel;
mod uuid;

pub(crate) use tunnel::{ACKNOWLEDGEMENT, NO_MESSAGE};
pub use tunnel::{
    ToClientKind, ToClientTunnelMessage, ToClientWebSocketMessage, ToServerKind, ToServerTunnelMessage,
    ToServerWebSocketClose, ToServerWebSocketOpen,
};
pub use uuid::Uuid;
pub use v3::ToServerlessServer;

/// `ToServer` of version 2.
pub type ToServer = v3::ToServer<ToServerTunnelMessage>;

/// `ToClient` of version 2.
pub type ToClient = v3::ToClient<StartActor, ToClientTunnelMessage>;

/// `ToGateway` of versions 1 and 2, which is no union yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToGateway<Tunnel = ToServerTunnelMessage> {
    /// A piece of an answer.
    pub message: Tunnel,
}

/// `CommandStartActor` of versions 1 and 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartActor {
    /// Which actor.
    pub actor_id: ByteString,
    /// Which of its lives.
    pub generation: u32,
    /// What to start.
    pub config: ActorConfig,
}

impl NamesGateways for StartActor {
    fn names_zero(&self) -> bool {
        false
    }
}

impl<Tunnel: NamesGateways> NamesGateways for ToGateway<Tunnel> {
    fn names_zero(&self) -> bool {
        self.message.names_zero()
    }
}

/// All but tunnel messages are the same in two versions: `ToServer` of one with the tunnel messages of the other.
pub(super) fn to_server<Mine: Translate<Theirs>, Theirs>(
    message: v3::ToServer<Mine>,
    memory: &mut Memory,
) -> Result<v3::ToServer<Theirs>, Untranslatable> {
    Ok(match message {
        v3::ToServer::Init(init) => v3::ToServer::Init(init),
        v3::ToServer::Events(events) => v3::ToServer::Events(events),
        v3::ToServer::AckCommands(acks) => v3::ToServer::AckCommands(acks),
        v3::ToServer::Stopping => v3::ToServer::Stopping,
        v3::ToServer::Ping(ping) => v3::ToServer::Ping(ping),
        v3::ToServer::KvRequest(request) => v3::ToServer::KvRequest(request),
        v3::ToServer::TunnelMessage(message) => v3::ToServer::TunnelMessage(message.translate(memory)?),
    })
}

/// The same for `ToClient`, whose starts may differ too.
pub(super) fn to_client<MyStart, Mine, TheirStart, Theirs>(
    message: v3::ToClient<MyStart, Mine>,
    memory: &mut Memory,
) -> Result<v3::ToClient<TheirStart, Theirs>, Untranslatable>
where
    v3::CommandWrapper<MyStart>: Translate<v3::CommandWrapper<TheirStart>>,
    Mine: Translate<Theirs>,
{
    Ok(match message {
        v3::ToClient::Init(init) => v3::ToClient::Init(init),
        v3::ToClient::Close => v3::ToClient::Close,
        v3::ToClient::Commands(commands) => v3::ToClient::Commands(each(commands, memory)?),
        v3::ToClient::AckEvents(acks) => v3::ToClient::AckEvents(acks),
        v3::ToClient::KvResponse(response) => v3::ToClient::KvResponse(response),
        v3::ToClient::TunnelMessage(message) => v3::ToClient::TunnelMessage(message.translate(memory)?),
    })
}

impl Translate<v3::ToServer> for ToServer {
    fn translate(self, memory: &mut Memory) -> Result<v3::ToServer, Untranslatable> {
        to_server(self, memory)
    }
}

impl Translate<ToServer> for v3::ToServer {
    fn translate(self, memory: &mut Memory) -> Result<ToServer, Untranslatable> {
        to_server(self, memory)
    }
}

impl Translate<v3::ToClient> for ToClient {
    fn translate(self, memory: &mut Memory) -> Result<v3::ToClient, Untranslatable> {
        to_client(self, memory)
    }
}

impl Translate<ToClient> for v3::ToClient {
    fn translate(self, memory: &mut Memory) -> Result<ToClient, Untranslatable> {
        to_client(self, memory)
    }
}

impl Translate<v3::ToGateway> for ToGateway {
    fn translate(self, memory: &mut Memory) -> Result<v3::ToGateway, Untranslatable> {
        Ok(v3::ToGateway::TunnelMessage(self.message.translate(memory)?))
    }
}

impl Translate<ToGateway> for v3::ToGateway {
    fn translate(self, memory: &mut Memory) -> Result<ToGateway, Untranslatable> {
        match self {
            v3::ToGateway::TunnelMessage(message) => Ok(ToGateway { message: message.translate(memory)? }),
            v3::ToGateway::Pong(_) => Err(Untranslatable::Needs { message: "ToGatewayPong", version: Version::V3 }),
        }
    }
}

impl Translate<v3::CommandWrapper> for v3::CommandWrapper<StartActor> {
    fn translate(self, _: &mut Memory) -> Result<v3::CommandWrapper, Untranslatable> {
        let inner = match self.inner {
            v3::Command::StartActor(start) => {
                let StartActor { actor_id, generation, config } = *start;
                let start = v3::StartActor { actor_id, generation, config, hibernating_requests: Vec::new() };
                v3::Command::StartActor(start.into())
            }
            v3::Command::StopActor { actor_id, generation } => v3::Command::StopActor { actor_id, generation },
        };
        Ok(v3::CommandWrapper { index: self.index, inner })
    }
}

impl Translate<v3::CommandWrapper<StartActor>> for v3::CommandWrapper {
    fn translate(self, _: &mut Memory) -> Result<v3::CommandWrapper<StartActor>, Untranslatable> {
        let inner = match self.inner {
            v3::Command::StartActor(start) => {
                let v3::StartActor { actor_id, generation, config, .. } = *start;
                v3::Command::StartActor(StartActor { actor_id, generation, config }.into())
            }
            v3::Command::StopActor { actor_id, generation } => v3::Command::StopActor { actor_id, generation },
        };
        Ok(v3::CommandWrapper { index: self.index, inner })
    }
}
