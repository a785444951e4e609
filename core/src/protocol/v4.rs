//! Version 4: a checkpoint has no generation; events and commands have it instead. All else is version 5's.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::control;
use super::to_client::{self, ActorConfig, HibernatingRequest};
use super::to_runner::Ping;
use super::to_server::{self, ActorIntent, ActorState};
use super::translate::{NamesGateways, Translate, Untranslatable, each};
use super::tunnel::ToClientTunnelMessage;
use super::{Memory, v5};

pub use v5::{ToGateway, ToServerlessServer};

/// `ToServer` of version 4.
pub type ToServer = v5::ToServer<EventWrapper, AckCommands>;

/// `ToClient` of version 4.
pub type ToClient = v5::ToClient<CommandWrapper, AckEvents>;

/// `ToRunner` of version 4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRunner {
    /// `ToRunnerPing`.
    #[serde(rename = "ToRunnerPing")]
    Ping(Ping),
    /// `ToRunnerClose`.
    #[serde(rename = "ToRunnerClose")]
    Close,
    /// `ToClientCommands`.
    #[serde(rename = "ToClientCommands")]
    Commands(Vec<CommandWrapper>),
    /// `ToClientAckEvents`.
    #[serde(rename = "ToClientAckEvents")]
    AckEvents(AckEvents),
    /// `ToClientTunnelMessage`.
    #[serde(rename = "ToClientTunnelMessage")]
    TunnelMessage(ToClientTunnelMessage),
}

/// `ActorCheckpoint`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActorCheckpoint {
    /// Which actor.
    pub actor_id: ByteString,
    /// Which of its events or commands.
    pub index: i64,
}

/// `EventWrapper`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventWrapper {
    /// Of which actor, and which of its events.
    pub checkpoint: ActorCheckpoint,
    /// What happened.
    pub inner: Event,
}

/// `Event`, the same in versions 1 to 4: each says which actor it is about, and which generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum Event {
    /// `EventActorIntent`.
    #[serde(rename = "EventActorIntent")]
    ActorIntent {
        /// Which actor.
        actor_id: ByteString,
        /// Which of its lives.
        generation: u32,
        /// Its wish.
        intent: ActorIntent,
    },
    /// `EventActorStateUpdate`.
    #[serde(rename = "EventActorStateUpdate")]
    ActorStateUpdate {
        /// Which actor.
        actor_id: ByteString,
        /// Which of its lives.
        generation: u32,
        /// Its state.
        state: ActorState,
    },
    /// `EventActorSetAlarm`.
    #[serde(rename = "EventActorSetAlarm")]
    ActorSetAlarm {
        /// Which actor.
        actor_id: ByteString,
        /// Which of its lives.
        generation: u32,
        /// Milliseconds since the Unix epoch; none clears it.
        alarm_ts: Option<i64>,
    },
}

/// `ToServerAckCommands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AckCommands {
    /// The last command taken, for each actor.
    pub last_command_checkpoints: Vec<ActorCheckpoint>,
}

/// `ToClientAckEvents`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AckEvents {
    /// The last event taken, for each actor.
    pub last_event_checkpoints: Vec<ActorCheckpoint>,
}

/// `CommandWrapper`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandWrapper {
    /// To which actor, and which of its commands.
    pub checkpoint: ActorCheckpoint,
    /// What to do.
    pub inner: Command,
}

/// `Command`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// `CommandStartActor`.
    #[serde(rename = "CommandStartActor")]
    StartActor(Box<StartActor>),
    /// `CommandStopActor`.
    #[serde(rename = "CommandStopActor")]
    StopActor {
        /// Which of the actor's lives.
        generation: u32,
    },
}

/// `CommandStartActor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartActor {
    /// Which of the actor's lives.
    pub generation: u32,
    /// What to start.
    pub config: ActorConfig,
    /// The sockets that slept with it.
    pub hibernating_requests: Vec<HibernatingRequest>,
}

impl NamesGateways for CommandWrapper {
    fn names_zero(&self) -> bool {
        match &self.inner {
            Command::StartActor(start) => start.hibernating_requests.names_zero(),
            Command::StopActor { .. } => false,
        }
    }
}

impl NamesGateways for ToRunner {
    fn names_zero(&self) -> bool {
        match self {
            ToRunner::Ping(ping) => ping.names_zero(),
            ToRunner::Commands(commands) => commands.names_zero(),
            ToRunner::TunnelMessage(message) => message.names_zero(),
            ToRunner::Close | ToRunner::AckEvents(_) => false,
        }
    }
}

impl Translate<v5::ToServer> for ToServer {
    fn translate(self, memory: &mut Memory) -> Result<v5::ToServer, Untranslatable> {
        use v5::ToServer as Newer;

        Ok(match self {
            ToServer::Init(init) => Newer::Init(init),
            ToServer::Events(events) => Newer::Events(each(events, memory)?),
            ToServer::AckCommands(acks) => Newer::AckCommands(to_server::AckCommands {
                last_command_checkpoints: each(acks.last_command_checkpoints, memory)?,
            }),
            ToServer::Stopping => Newer::Stopping,
            ToServer::Pong(pong) => Newer::Pong(pong),
            ToServer::KvRequest(request) => Newer::KvRequest(request),
            ToServer::TunnelMessage(message) => Newer::TunnelMessage(message),
        })
    }
}

impl Translate<ToServer> for v5::ToServer {
    fn translate(self, memory: &mut Memory) -> Result<ToServer, Untranslatable> {
        use v5::ToServer as Newer;

        Ok(match self {
            Newer::Init(init) => ToServer::Init(init),
            Newer::Events(events) => ToServer::Events(each(events, memory)?),
            Newer::AckCommands(acks) => {
                ToServer::AckCommands(AckCommands { last_command_checkpoints: bare(acks.last_command_checkpoints) })
            }
            Newer::Stopping => ToServer::Stopping,
            Newer::Pong(pong) => ToServer::Pong(pong),
            Newer::KvRequest(request) => ToServer::KvRequest(request),
            Newer::TunnelMessage(message) => ToServer::TunnelMessage(message),
        })
    }
}

impl Translate<v5::ToClient> for ToClient {
    fn translate(self, memory: &mut Memory) -> Result<v5::ToClient, Untranslatable> {
        use v5::ToClient as Newer;

        Ok(match self {
            ToClient::Init(init) => Newer::Init(init),
            ToClient::Commands(commands) => Newer::Commands(each(commands, memory)?),
            ToClient::AckEvents(acks) => Newer::AckEvents(acks.translate(memory)?),
            ToClient::KvResponse(response) => Newer::KvResponse(response),
            ToClient::TunnelMessage(message) => Newer::TunnelMessage(message),
            ToClient::Ping(ping) => Newer::Ping(ping),
        })
    }
}

impl Translate<ToClient> for v5::ToClient {
    fn translate(self, memory: &mut Memory) -> Result<ToClient, Untranslatable> {
        use v5::ToClient as Newer;

        Ok(match self {
            Newer::Init(init) => ToClient::Init(init),
            Newer::Commands(commands) => ToClient::Commands(each(commands, memory)?),
            Newer::AckEvents(acks) => ToClient::AckEvents(acks.into()),
            Newer::KvResponse(response) => ToClient::KvResponse(response),
            Newer::TunnelMessage(message) => ToClient::TunnelMessage(message),
            Newer::Ping(ping) => ToClient::Ping(ping),
        })
    }
}

impl Translate<v5::ToRunner> for ToRunner {
    fn translate(self, memory: &mut Memory) -> Result<v5::ToRunner, Untranslatable> {
        use v5::ToRunner as Newer;

        Ok(match self {
            ToRunner::Ping(ping) => Newer::Ping(ping),
            ToRunner::Close => Newer::Close,
            ToRunner::Commands(commands) => Newer::Commands(each(commands, memory)?),
            ToRunner::AckEvents(acks) => Newer::AckEvents(acks.translate(memory)?),
            ToRunner::TunnelMessage(message) => Newer::TunnelMessage(message),
        })
    }
}

impl Translate<ToRunner> for v5::ToRunner {
    fn translate(self, memory: &mut Memory) -> Result<ToRunner, Untranslatable> {
        use v5::ToRunner as Newer;

        Ok(match self {
            Newer::Ping(ping) => ToRunner::Ping(ping),
            Newer::Close => ToRunner::Close,
            Newer::Commands(commands) => ToRunner::Commands(each(commands, memory)?),
            Newer::AckEvents(acks) => ToRunner::AckEvents(acks.into()),
            Newer::TunnelMessage(message) => ToRunner::TunnelMessage(message),
            Newer::Probe(_) => return Err(Untranslatable::Private { message: "ToRunnerProbe" }),
            Newer::LeftBehind(_) => return Err(Untranslatable::Private { message: "ToRunnerLeftBehind" }),
        })
    }
}

impl Translate<to_server::EventWrapper> for EventWrapper {
    fn translate(self, memory: &mut Memory) -> Result<to_server::EventWrapper, Untranslatable> {
        use to_server::Event as Newer;

        let ActorCheckpoint { actor_id, index } = self.checkpoint;
        let (generation, inner) = match self.inner {
            Event::ActorIntent { generation, intent, .. } => (generation, Newer::ActorIntent { intent }),
            Event::ActorStateUpdate { generation, state, .. } => (generation, Newer::ActorStateUpdate { state }),
            Event::ActorSetAlarm { generation, alarm_ts, .. } => (generation, Newer::ActorSetAlarm { alarm_ts }),
        };
        memory.saw_generation(&actor_id, generation);
        if let Newer::ActorStateUpdate { state: ActorState::Stopped(_) } = inner {
            memory.saw_stop(&actor_id, generation);
        }
        Ok(to_server::EventWrapper { checkpoint: control::ActorCheckpoint { actor_id, generation, index }, inner })
    }
}

impl Translate<EventWrapper> for to_server::EventWrapper {
    fn translate(self, _: &mut Memory) -> Result<EventWrapper, Untranslatable> {
        use to_server::Event as Newer;

        let generation = self.checkpoint.generation;
        let checkpoint = ActorCheckpoint::from(self.checkpoint);
        let actor_id = checkpoint.actor_id.clone();
        let inner = match self.inner {
            Newer::ActorIntent { intent } => Event::ActorIntent { actor_id, generation, intent },
            Newer::ActorStateUpdate { state } => Event::ActorStateUpdate { actor_id, generation, state },
            Newer::ActorSetAlarm { alarm_ts } => Event::ActorSetAlarm { actor_id, generation, alarm_ts },
        };
        Ok(EventWrapper { checkpoint, inner })
    }
}

impl Translate<to_client::CommandWrapper> for CommandWrapper {
    fn translate(self, memory: &mut Memory) -> Result<to_client::CommandWrapper, Untranslatable> {
        let ActorCheckpoint { actor_id, index } = self.checkpoint;
        let (generation, inner) = match self.inner {
            Command::StartActor(start) => {
                let StartActor { generation, config, hibernating_requests } = *start;
                let start = to_client::StartActor { config, hibernating_requests };
                (generation, to_client::Command::StartActor(start.into()))
            }
            Command::StopActor { generation } => (generation, to_client::Command::StopActor),
        };
        memory.saw_generation(&actor_id, generation);
        Ok(to_client::CommandWrapper { checkpoint: control::ActorCheckpoint { actor_id, generation, index }, inner })
    }
}

impl Translate<CommandWrapper> for to_client::CommandWrapper {
    fn translate(self, memory: &mut Memory) -> Result<CommandWrapper, Untranslatable> {
        let generation = self.checkpoint.generation;
        memory.saw_generation(&self.checkpoint.actor_id, generation);
        let inner = match self.inner {
            to_client::Command::StartActor(start) => {
                let to_client::StartActor { config, hibernating_requests } = *start;
                Command::StartActor(StartActor { generation, config, hibernating_requests }.into())
            }
            to_client::Command::StopActor => Command::StopActor { generation },
        };
        Ok(CommandWrapper { checkpoint: self.checkpoint.into(), inner })
    }
}

impl Translate<to_client::AckEvents> for AckEvents {
    fn translate(self, memory: &mut Memory) -> Result<to_client::AckEvents, Untranslatable> {
        Ok(to_client::AckEvents { last_event_checkpoints: each(self.last_event_checkpoints, memory)? })
    }
}

impl From<to_client::AckEvents> for AckEvents {
    fn from(acks: to_client::AckEvents) -> Self {
        AckEvents { last_event_checkpoints: bare(acks.last_event_checkpoints) }
    }
}

/// A bare checkpoint stands in acknowledgements only; its generation is looked up.
impl Translate<control::ActorCheckpoint> for ActorCheckpoint {
    fn translate(self, memory: &mut Memory) -> Result<control::ActorCheckpoint, Untranslatable> {
        let ActorCheckpoint { actor_id, index } = self;
        let generation = memory.generation(&actor_id);
        Ok(control::ActorCheckpoint { actor_id, generation, index })
    }
}

impl From<control::ActorCheckpoint> for ActorCheckpoint {
    fn from(control::ActorCheckpoint { actor_id, index, .. }: control::ActorCheckpoint) -> Self {
        ActorCheckpoint { actor_id, index }
    }
}

fn bare(checkpoints: Vec<control::ActorCheckpoint>) -> Vec<ActorCheckpoint> {
    checkpoints.into_iter().map(ActorCheckpoint::from).collect()
}
