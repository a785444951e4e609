//! How messages of version 3 become those of version 4, and come of them.

use bytestring::ByteString;

use super::{
    AckCommands, AckEvents, Command, CommandWrapper, Event, EventWrapper, StartActor, ToClient, ToClientInit,
    ToGateway, ToRunner, ToServer, ToServerInit, ToServerlessServer, ToServerlessServerInit,
};
use crate::protocol::to_server::ActorState;
use crate::protocol::translate::{NamesGateways, Translate, Untranslatable, each};
use crate::protocol::{Memory, Version, serverless, to_server, v4, v5};

impl<Tunnel: NamesGateways> NamesGateways for ToServer<Tunnel> {
    fn names_zero(&self) -> bool {
        match self {
            ToServer::TunnelMessage(message) => message.names_zero(),
            ToServer::Init(_)
            | ToServer::Events(_)
            | ToServer::AckCommands(_)
            | ToServer::Stopping
            | ToServer::Ping(_)
            | ToServer::KvRequest(_) => false,
        }
    }
}

impl<Start: NamesGateways, Tunnel: NamesGateways> NamesGateways for ToClient<Start, Tunnel> {
    fn names_zero(&self) -> bool {
        match self {
            ToClient::Commands(commands) => commands.names_zero(),
            ToClient::TunnelMessage(message) => message.names_zero(),
            ToClient::Init(_) | ToClient::Close | ToClient::AckEvents(_) | ToClient::KvResponse(_) => false,
        }
    }
}

impl NamesGateways for ToRunner {
    fn names_zero(&self) -> bool {
        match self {
            ToRunner::Ping(ping) => ping.names_zero(),
            ToRunner::Commands(commands) => commands.names_zero(),
            ToRunner::TunnelMessage(message) => message.names_zero(),
            ToRunner::Init(_) | ToRunner::Close | ToRunner::AckEvents(_) | ToRunner::KvResponse(_) => false,
        }
    }
}

impl NamesGateways for ToGateway {
    fn names_zero(&self) -> bool {
        match self {
            ToGateway::TunnelMessage(message) => message.names_zero(),
            ToGateway::Pong(_) => false,
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

impl<Start: NamesGateways> NamesGateways for CommandWrapper<Start> {
    fn names_zero(&self) -> bool {
        match &self.inner {
            Command::StartActor(start) => start.names_zero(),
            Command::StopActor { .. } => false,
        }
    }
}

impl NamesGateways for StartActor {
    fn names_zero(&self) -> bool {
        self.hibernating_requests.names_zero()
    }
}

fn ended(message: &'static str) -> Untranslatable {
    Untranslatable::EndedWith { message, version: Version::V3 }
}

fn needs_v4(message: &'static str) -> Untranslatable {
    Untranslatable::Needs { message, version: Version::V4 }
}

impl Translate<v4::ToServer> for ToServer {
    fn translate(self, memory: &mut Memory) -> Result<v4::ToServer, Untranslatable> {
        use v4::ToServer as Newer;

        Ok(match self {
            ToServer::Init(init) => Newer::Init(init.translate(memory)?),
            ToServer::Events(events) => Newer::Events(each(events, memory)?),
            ToServer::AckCommands(acks) => Newer::AckCommands(acks.translate(memory)?),
            ToServer::Stopping => Newer::Stopping,
            ToServer::Ping(_) => return Err(ended("ToServerPing")),
            ToServer::KvRequest(request) => Newer::KvRequest(request),
            ToServer::TunnelMessage(message) => Newer::TunnelMessage(message.translate(memory)?),
        })
    }
}

impl Translate<ToServer> for v4::ToServer {
    fn translate(self, memory: &mut Memory) -> Result<ToServer, Untranslatable> {
        use v4::ToServer as Newer;

        Ok(match self {
            Newer::Init(init) => ToServer::Init(init.translate(memory)?),
            Newer::Events(events) => ToServer::Events(each(events, memory)?),
            Newer::AckCommands(_) => {
                return Err(Untranslatable::NeedsSession { message: "ToServerAckCommands" });
            }
            Newer::Stopping => ToServer::Stopping,
            Newer::Pong(_) => return Err(needs_v4("ToServerPong")),
            Newer::KvRequest(request) => ToServer::KvRequest(request),
            Newer::TunnelMessage(message) => ToServer::TunnelMessage(message.translate(memory)?),
        })
    }
}

impl Translate<v4::ToClient> for ToClient {
    fn translate(self, memory: &mut Memory) -> Result<v4::ToClient, Untranslatable> {
        use v4::ToClient as Newer;

        Ok(match self {
            ToClient::Init(init) => Newer::Init(v5::Init { runner_id: init.runner_id, metadata: init.metadata }),
            ToClient::Close => return Err(ended("ToClientClose")),
            ToClient::Commands(commands) => Newer::Commands(each(commands, memory)?),
            ToClient::AckEvents(_) => return Err(Untranslatable::NeedsSession { message: "ToClientAckEvents" }),
            ToClient::KvResponse(response) => Newer::KvResponse(response.into()),
            ToClient::TunnelMessage(message) => Newer::TunnelMessage(message.translate(memory)?),
        })
    }
}

impl Translate<ToClient> for v4::ToClient {
    fn translate(self, memory: &mut Memory) -> Result<ToClient, Untranslatable> {
        use v4::ToClient as Newer;

        Ok(match self {
            Newer::Init(v5::Init { runner_id, metadata }) => {
                ToClient::Init(ToClientInit { runner_id, last_event_idx: Memory::BEFORE_ANY_EVENT, metadata })
            }
            Newer::Commands(commands) => ToClient::Commands(each(commands, memory)?),
            Newer::AckEvents(acks) => ToClient::AckEvents(acks.translate(memory)?),
            Newer::KvResponse(response) => ToClient::KvResponse(response.into()),
            Newer::TunnelMessage(message) => ToClient::TunnelMessage(message.translate(memory)?),
            Newer::Ping(_) => return Err(needs_v4("ToClientPing")),
        })
    }
}

impl Translate<v4::ToRunner> for ToRunner {
    fn translate(self, memory: &mut Memory) -> Result<v4::ToRunner, Untranslatable> {
        use v4::ToRunner as Newer;

        Ok(match self {
            ToRunner::Ping(ping) => Newer::Ping(ping),
            ToRunner::Init(_) => return Err(ended("ToClientInit of ToRunner")),
            ToRunner::Close => Newer::Close,
            ToRunner::Commands(commands) => Newer::Commands(each(commands, memory)?),
            ToRunner::AckEvents(_) => return Err(Untranslatable::NeedsSession { message: "ToClientAckEvents" }),
            ToRunner::KvResponse(_) => return Err(ended("ToClientKvResponse of ToRunner")),
            ToRunner::TunnelMessage(message) => Newer::TunnelMessage(message.translate(memory)?),
        })
    }
}

impl Translate<ToRunner> for v4::ToRunner {
    fn translate(self, memory: &mut Memory) -> Result<ToRunner, Untranslatable> {
        use v4::ToRunner as Newer;

        Ok(match self {
            Newer::Ping(ping) => ToRunner::Ping(ping),
            Newer::Close => ToRunner::Close,
            Newer::Commands(commands) => ToRunner::Commands(each(commands, memory)?),
            Newer::AckEvents(acks) => ToRunner::AckEvents(acks.translate(memory)?),
            Newer::TunnelMessage(message) => ToRunner::TunnelMessage(message.translate(memory)?),
        })
    }
}

impl Translate<v4::ToGateway> for ToGateway {
    fn translate(self, memory: &mut Memory) -> Result<v4::ToGateway, Untranslatable> {
        use v4::ToGateway as Newer;

        Ok(match self {
            ToGateway::Pong(pong) => Newer::Pong(pong),
            ToGateway::TunnelMessage(message) => Newer::TunnelMessage(message.translate(memory)?),
        })
    }
}

impl Translate<ToGateway> for v4::ToGateway {
    fn translate(self, memory: &mut Memory) -> Result<ToGateway, Untranslatable> {
        use v4::ToGateway as Newer;

        Ok(match self {
            Newer::Pong(pong) => ToGateway::Pong(pong),
            Newer::TunnelMessage(message) => ToGateway::TunnelMessage(message.translate(memory)?),
            Newer::ConnectionEnded(_) => return Err(Untranslatable::Private { message: "ToGatewayConnectionEnded" }),
            Newer::Refused(_) => return Err(Untranslatable::Private { message: "ToGatewayRefused" }),
            Newer::RouteOpen(_) => return Err(Untranslatable::Private { message: "ToGatewayRouteOpen" }),
            Newer::Restored(_) => return Err(Untranslatable::Private { message: "ToGatewayRestored" }),
            Newer::Probed(_) => return Err(Untranslatable::Private { message: "ToGatewayProbed" }),
            Newer::Lost(_) => return Err(Untranslatable::Private { message: "ToGatewayLost" }),
            Newer::Doubted(_) => return Err(Untranslatable::Private { message: "ToGatewayDoubted" }),
        })
    }
}

/// A runner that is told no version is one of version 3 or older.
impl Translate<v4::ToServerlessServer> for ToServerlessServer {
    fn translate(self, _: &mut Memory) -> Result<v4::ToServerlessServer, Untranslatable> {
        let ToServerlessServer::Init(ToServerlessServerInit { runner_id }) = self;
        let runner_protocol_version = Version::V3.number();
        Ok(v4::ToServerlessServer::Init(serverless::Init { runner_id, runner_protocol_version }))
    }
}

impl Translate<ToServerlessServer> for v4::ToServerlessServer {
    fn translate(self, _: &mut Memory) -> Result<ToServerlessServer, Untranslatable> {
        let v4::ToServerlessServer::Init(serverless::Init { runner_id, .. }) = self;
        Ok(ToServerlessServer::Init(ToServerlessServerInit { runner_id }))
    }
}

impl Translate<to_server::Init> for ToServerInit {
    fn translate(self, memory: &mut Memory) -> Result<to_server::Init, Untranslatable> {
        let ToServerInit { name, version, total_slots, last_command_idx, prepopulate_actor_names, metadata } = self;
        memory.init(last_command_idx);
        Ok(to_server::Init { name, version, total_slots, prepopulate_actor_names, metadata })
    }
}

impl Translate<ToServerInit> for to_server::Init {
    fn translate(self, _: &mut Memory) -> Result<ToServerInit, Untranslatable> {
        let to_server::Init { name, version, total_slots, prepopulate_actor_names, metadata } = self;
        Ok(ToServerInit { name, version, total_slots, last_command_idx: None, prepopulate_actor_names, metadata })
    }
}

/// What orders all events of a connection orders those of an actor as well.
impl Translate<v4::EventWrapper> for EventWrapper {
    fn translate(self, memory: &mut Memory) -> Result<v4::EventWrapper, Untranslatable> {
        let EventWrapper { index, inner } = self;
        let (actor_id, generation) = life_of(&inner);
        let actor_id = actor_id.clone();
        memory.saw_event(&actor_id, generation, index);
        if let Event::ActorStateUpdate { state: ActorState::Stopped(_), .. } = inner {
            memory.saw_last_event(&actor_id, generation);
        }
        Ok(v4::EventWrapper { checkpoint: v4::ActorCheckpoint { actor_id, index }, inner })
    }
}

impl Translate<EventWrapper> for v4::EventWrapper {
    fn translate(self, _: &mut Memory) -> Result<EventWrapper, Untranslatable> {
        let mut inner = self.inner;
        // The checkpoint is what counts.
        let actor_id = match &mut inner {
            Event::ActorIntent { actor_id, .. }
            | Event::ActorStateUpdate { actor_id, .. }
            | Event::ActorSetAlarm { actor_id, .. } => actor_id,
        };
        *actor_id = self.checkpoint.actor_id;
        Ok(EventWrapper { index: self.checkpoint.index, inner })
    }
}

fn life_of(event: &Event) -> (&ByteString, u32) {
    match event {
        Event::ActorIntent { actor_id, generation, .. }
        | Event::ActorStateUpdate { actor_id, generation, .. }
        | Event::ActorSetAlarm { actor_id, generation, .. } => (actor_id, *generation),
    }
}

impl Translate<v4::CommandWrapper> for CommandWrapper {
    fn translate(self, _: &mut Memory) -> Result<v4::CommandWrapper, Untranslatable> {
        let (actor_id, inner) = match self.inner {
            Command::StartActor(start) => {
                let StartActor { actor_id, generation, config, hibernating_requests } = *start;
                let start = v4::StartActor { generation, config, hibernating_requests };
                (actor_id, v4::Command::StartActor(start.into()))
            }
            Command::StopActor { actor_id, generation } => (actor_id, v4::Command::StopActor { generation }),
        };
        Ok(v4::CommandWrapper { checkpoint: v4::ActorCheckpoint { actor_id, index: self.index }, inner })
    }
}

impl Translate<CommandWrapper> for v4::CommandWrapper {
    fn translate(self, memory: &mut Memory) -> Result<CommandWrapper, Untranslatable> {
        let v4::ActorCheckpoint { actor_id, index } = self.checkpoint;
        let index = memory.command_index(&actor_id, index);
        let inner = match self.inner {
            v4::Command::StartActor(start) => {
                let v4::StartActor { generation, config, hibernating_requests } = *start;
                Command::StartActor(StartActor { actor_id, generation, config, hibernating_requests }.into())
            }
            v4::Command::StopActor { generation } => Command::StopActor { actor_id, generation },
        };
        Ok(CommandWrapper { index, inner })
    }
}

impl Translate<v4::AckCommands> for AckCommands {
    fn translate(self, memory: &mut Memory) -> Result<v4::AckCommands, Untranslatable> {
        let checkpoint = |(actor_id, index)| v4::ActorCheckpoint { actor_id, index };
        let acknowledged = memory.acknowledge_commands(self.last_command_idx)?;
        Ok(v4::AckCommands { last_command_checkpoints: acknowledged.into_iter().map(checkpoint).collect() })
    }
}

impl Translate<AckEvents> for v4::AckEvents {
    fn translate(self, memory: &mut Memory) -> Result<AckEvents, Untranslatable> {
        let last = self.last_event_checkpoints.iter().map(|checkpoint| (&*checkpoint.actor_id, checkpoint.index));
        Ok(AckEvents { last_event_idx: memory.acknowledge_events(last)? })
    }
}
