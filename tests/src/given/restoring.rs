//! WebSockets that slept, at the relay that wakes them.

use std::time::Duration;

use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::to_client::{Command, HibernatingRequest};
use underpass_core::protocol::to_gateway::Restored;
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, to_client, to_server};
use underpass_core::protocol::{MessageId, ToClient, ToGateway, ToRunner, Version, to_runner};
use underpass_core::relay::{Action, Config, Event};

use super::hosting::{Heard, Hosting, hosting_with, says};
use super::relay::{calm, publishes_control};
use super::supervisor::{running, socket};
use crate::wire::{connection, message, message_id};

/// The message of a socket's gateway, or of its runner, with this number.
pub fn of_socket(number: u8, message_index: u16) -> MessageId {
    message_id(socket(number).request_id, message_index)
}

/// A relay whose runners are left alone, so that only gateways matter.
pub fn patient() -> Config {
    let day = Duration::from_secs(86_400);
    Config { ping_interval: day, pong: 2 * day, ..calm() }
}

/// The gateway of a socket is told that it is awake, in this life of its actor.
pub fn wakes(number: u64, id: MessageId, generation: u32) -> Action {
    let MessageId { gateway_id, request_id, .. } = id;
    let restored = Restored { gateway_id, request_id, connection: connection(number).into(), generation };
    publishes_control(number, id, ToGateway::Restored(restored))
}

/// A runner is sent a piece of a request.
pub fn piece(id: MessageId, kind: to_client::Kind) -> Heard {
    Heard::Message(ToClient::TunnelMessage(ToClientTunnelMessage { message_id: id, message_kind: kind }))
}

/// A message of a client.
pub fn from_client(data: &'static [u8]) -> to_client::Kind {
    to_client::Kind::WebSocketMessage(message(data, true))
}

/// A message of a handler.
pub fn from_handler(data: &'static [u8]) -> to_server::Kind {
    to_server::Kind::WebSocketMessage(message(data, true))
}

/// A close of a handler, or of what stands for it.
pub fn close(code: u16, reason: &'static str, hibernate: bool) -> to_server::Kind {
    let close = to_server::WebSocketClose { code: Some(code), reason: Some(reason.into()), hibernate };
    to_server::Kind::WebSocketClose(close)
}

/// The starts in what was heard: of whom, which life, and with which sockets.
pub fn starts(heard: &[Heard]) -> Vec<(String, u32, Vec<HibernatingRequest>)> {
    let commands = heard.iter().filter_map(|heard| match heard {
        Heard::Message(ToClient::Commands(commands)) => Some(commands),
        _ => None,
    });
    let start = |command: &underpass_core::protocol::to_client::CommandWrapper| match &command.inner {
        Command::StartActor(start) => {
            let ActorCheckpoint { actor_id, generation, .. } = &command.checkpoint;
            Some((actor_id.to_string(), *generation, start.hibernating_requests.clone()))
        }
        Command::StopActor => None,
    };
    commands.flatten().filter_map(start).collect()
}

/// A runner of the newest version on connection 1 that is told to start the actor `default`, of which these sockets
/// sleep. It has said nothing of it.
pub fn told_to_start(config: Config, sockets: &[u8]) -> Hosting {
    let mut hosting = hosting_with(config);
    hosting.takes_in(1, "a", Version::V7);
    hosting.sleep_at_gateways("default", sockets).wants("default");
    hosting.saw();
    hosting
}

/// It runs, and its sockets are awake. What was heard and wanted is forgotten.
pub fn awake(sockets: &[u8]) -> Hosting {
    let mut hosting = told_to_start(patient(), sockets);
    hosting.tells(1, says("default", 0, running()));
    hosting.heard(1);
    hosting.saw();
    hosting
}

impl Hosting {
    /// The registry says that these sockets of an actor can hibernate.
    pub fn sleep_at_gateways(&mut self, actor_id: &str, sockets: &[u8]) -> &mut Self {
        self.registers(actor_id, sockets.iter().copied().map(socket).collect())
    }

    /// A gateway pings a connection and names a request.
    #[track_caller]
    pub fn gateway_pings(&mut self, number: u64, id: MessageId, ts: i64) -> &mut Self {
        let MessageId { gateway_id, request_id, .. } = id;
        let frame = ToRunner::Ping(to_runner::Ping { gateway_id, request_id, ts }).encode_framed();
        self.input(Event::FromBus { connection: number, frame })
    }
}

impl Hosting {
    /// A gateway tells that a WebSocket of the actor `default` sleeps while this life of it runs on.
    #[track_caller]
    pub fn leaves_behind(&mut self, number: u64, id: MessageId, generation: u32) -> &mut Self {
        let MessageId { gateway_id, request_id, .. } = id;
        let left_behind = to_runner::LeftBehind { gateway_id, request_id, actor_id: "default".into(), generation };
        let frame = ToRunner::LeftBehind(left_behind).encode_framed();
        self.input(Event::FromBus { connection: number, frame })
    }
}

/// The first word of a gateway over a route that was restored: it knows. It bears the number of the message that follows.
pub fn knows() -> to_client::Kind {
    to_client::Kind::Credit(super::gateway::credit(0))
}
