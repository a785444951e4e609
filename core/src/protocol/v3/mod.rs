//! Version 3: no checkpoints, but one count a direction over all events and commands of a connection; the runner
//! pings; tunnel messages know an acknowledgement. What is not here is version 4's.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::Map;
use super::to_client::{ActorConfig, HibernatingRequest};
use super::to_runner::Ping as RunnerPing;
use super::to_server::ActorName;
use super::v5::ProtocolMetadata;
use super::v6::KvRequest;

pub use super::v4::Event;

mod control;
mod kv;
mod tunnel;

pub use kv::{KvMetadata, KvResponse};
pub use tunnel::{ToClientKind, ToClientTunnelMessage, ToServerKind, ToServerTunnelMessage};

/// The tag of `ToServerTunnelMessage` in `ToServer`.
pub(super) const TO_SERVER_TUNNEL_MESSAGE: u8 = 6;
/// The tag of `ToClientTunnelMessage` in `ToClient`.
pub(super) const TO_CLIENT_TUNNEL_MESSAGE: u8 = 5;
/// The tag of `ToClientTunnelMessage` in `ToRunner`.
pub(super) const TO_RUNNER_TUNNEL_MESSAGE: u8 = 6;

/// `ToServer` of version 3; older versions put in their own tunnel messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServer<Tunnel = ToServerTunnelMessage> {
    /// `ToServerInit`.
    #[serde(rename = "ToServerInit")]
    Init(ToServerInit),
    /// `ToServerEvents`.
    #[serde(rename = "ToServerEvents")]
    Events(Vec<EventWrapper>),
    /// `ToServerAckCommands`.
    #[serde(rename = "ToServerAckCommands")]
    AckCommands(AckCommands),
    /// `ToServerStopping`.
    #[serde(rename = "ToServerStopping")]
    Stopping,
    /// `ToServerPing`, which is not answered.
    #[serde(rename = "ToServerPing")]
    Ping(Ping),
    /// `ToServerKvRequest`.
    #[serde(rename = "ToServerKvRequest")]
    KvRequest(KvRequest),
    /// `ToServerTunnelMessage`.
    #[serde(rename = "ToServerTunnelMessage")]
    TunnelMessage(Tunnel),
}

/// `ToClient` of version 3; older versions put in their own starts and tunnel messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClient<Start = StartActor, Tunnel = ToClientTunnelMessage> {
    /// `ToClientInit`.
    #[serde(rename = "ToClientInit")]
    Init(ToClientInit),
    /// `ToClientClose`.
    #[serde(rename = "ToClientClose")]
    Close,
    /// `ToClientCommands`.
    #[serde(rename = "ToClientCommands")]
    Commands(Vec<CommandWrapper<Start>>),
    /// `ToClientAckEvents`.
    #[serde(rename = "ToClientAckEvents")]
    AckEvents(AckEvents),
    /// `ToClientKvResponse`.
    #[serde(rename = "ToClientKvResponse")]
    KvResponse(KvResponse),
    /// `ToClientTunnelMessage`.
    #[serde(rename = "ToClientTunnelMessage")]
    TunnelMessage(Tunnel),
}

/// `ToRunner` of version 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRunner {
    /// `ToRunnerPing`.
    #[serde(rename = "ToRunnerPing")]
    Ping(RunnerPing),
    /// `ToClientInit`.
    #[serde(rename = "ToClientInit")]
    Init(ToClientInit),
    /// `ToClientClose`.
    #[serde(rename = "ToClientClose")]
    Close,
    /// `ToClientCommands`.
    #[serde(rename = "ToClientCommands")]
    Commands(Vec<CommandWrapper>),
    /// `ToClientAckEvents`.
    #[serde(rename = "ToClientAckEvents")]
    AckEvents(AckEvents),
    /// `ToClientKvResponse`.
    #[serde(rename = "ToClientKvResponse")]
    KvResponse(KvResponse),
    /// `ToClientTunnelMessage`.
    #[serde(rename = "ToClientTunnelMessage")]
    TunnelMessage(ToClientTunnelMessage),
}

/// `ToGateway` of version 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGateway {
    /// `ToGatewayPong`.
    #[serde(rename = "ToGatewayPong")]
    Pong(super::to_gateway::Pong),
    /// `ToServerTunnelMessage`.
    #[serde(rename = "ToServerTunnelMessage")]
    TunnelMessage(ToServerTunnelMessage),
}

/// `ToServerlessServer` of versions 1 to 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServerlessServer {
    /// `ToServerlessServerInit`.
    #[serde(rename = "ToServerlessServerInit")]
    Init(ToServerlessServerInit),
}

/// `ToServerlessServerInit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToServerlessServerInit {
    /// The id that the runner shall have.
    pub runner_id: ByteString,
}

/// `ToServerInit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToServerInit {
    /// The pool that the runner joins.
    pub name: ByteString,
    /// The version of the user's program, not of the protocol.
    pub version: u32,
    /// How many actors it has room for.
    pub total_slots: u32,
    /// The last command that it took, on any connection.
    pub last_command_idx: Option<i64>,
    /// Kinds of actors that it can host.
    pub prepopulate_actor_names: Option<Map<ActorName>>,
    /// JSON.
    pub metadata: Option<ByteString>,
}

/// `ToClientInit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToClientInit {
    /// The same across reconnects of one runner.
    pub runner_id: ByteString,
    /// The last event that was taken; −1 before any.
    pub last_event_idx: i64,
    /// What the relay wants the runner to know.
    pub metadata: ProtocolMetadata,
}

/// `EventWrapper`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventWrapper {
    /// Which of the runner's events.
    pub index: i64,
    /// What happened.
    pub inner: Event,
}

/// `CommandWrapper`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandWrapper<Start = StartActor> {
    /// Which of the commands to this runner.
    pub index: i64,
    /// What to do.
    pub inner: Command<Start>,
}

/// `Command`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum Command<Start = StartActor> {
    /// `CommandStartActor`.
    #[serde(rename = "CommandStartActor")]
    StartActor(Box<Start>),
    /// `CommandStopActor`.
    #[serde(rename = "CommandStopActor")]
    StopActor {
        /// Which actor.
        actor_id: ByteString,
        /// Which of its lives.
        generation: u32,
    },
}

/// `CommandStartActor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartActor {
    /// Which actor.
    pub actor_id: ByteString,
    /// Which of its lives.
    pub generation: u32,
    /// What to start.
    pub config: ActorConfig,
    /// The sockets that slept with it.
    pub hibernating_requests: Vec<HibernatingRequest>,
}

/// `ToServerAckCommands`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AckCommands {
    /// The last command taken.
    pub last_command_idx: i64,
}

/// `ToClientAckEvents`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AckEvents {
    /// The last event taken.
    pub last_event_idx: i64,
}

/// `ToServerPing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ping {
    /// Milliseconds since the Unix epoch.
    pub ts: i64,
}
