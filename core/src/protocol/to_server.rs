//! `ToServer`: what a runner says to its relay.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::bare::{self, Reader, front};
use super::control::ActorCheckpoint;
use super::kv::KvRequest;
use super::map::Map;
use super::tunnel::{Dialect, ToServerTunnelMessage};
use crate::error::PeerError;
use crate::frame::Frame;

/// What a runner sends over its WebSocket, one value a binary message. Version 7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServer {
    /// `ToServerInit`: the first message of a connection.
    #[serde(rename = "ToServerInit")]
    Init(Init),
    /// `ToServerEvents`: what happened to actors.
    #[serde(rename = "ToServerEvents")]
    Events(Vec<EventWrapper>),
    /// `ToServerAckCommands`: up to where commands were taken.
    #[serde(rename = "ToServerAckCommands")]
    AckCommands(AckCommands),
    /// `ToServerStopping`: the runner drains; nothing new for it.
    #[serde(rename = "ToServerStopping")]
    Stopping,
    /// `ToServerPong`: the answer to a ping.
    #[serde(rename = "ToServerPong")]
    Pong(Pong),
    /// `ToServerKvRequest`: a call on an actor's key-value store.
    #[serde(rename = "ToServerKvRequest")]
    KvRequest(KvRequest),
    /// `ToServerTunnelMessage`: a piece of an answer.
    #[serde(rename = "ToServerTunnelMessage")]
    TunnelMessage(ToServerTunnelMessage),
}

/// The tag of `ToServerTunnelMessage`.
pub(super) const TUNNEL_MESSAGE: u8 = 6;

impl ToServer {
    /// Reads a message of a runner's WebSocket. Version 7.
    ///
    /// Payloads of tunnel messages stay slices of the frame.
    ///
    /// # Errors
    /// The first rule that the bytes break, and where. The private kinds are unknown to [`Dialect::Published`].
    pub fn decode(frame: &Frame, dialect: Dialect) -> Result<ToServer, PeerError> {
        let mut reader = Reader::new(frame);
        let message = if reader.is_tag(TUNNEL_MESSAGE) {
            ToServer::TunnelMessage(ToServerTunnelMessage::read(&mut reader, dialect)?)
        } else {
            front::read(&mut reader)?
        };
        reader.end()?;
        Ok(message)
    }

    /// The message as a runner's WebSocket carries it. Version 7. Payloads are shared, not copied.
    pub fn encode(&self) -> Frame {
        if let ToServer::TunnelMessage(message) = self {
            return message.write(&[TUNNEL_MESSAGE]);
        }
        bare::encode(&[], self)
    }
}

/// `ToServerInit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Init {
    /// The pool that the runner joins.
    pub name: ByteString,
    /// The version of the user's program, not of the protocol.
    pub version: u32,
    /// How many actors it has room for.
    pub total_slots: u32,
    /// Kinds of actors that it can host.
    pub prepopulate_actor_names: Option<Map<ActorName>>,
    /// JSON; the key `underpass` tells its abilities.
    pub metadata: Option<ByteString>,
}

/// `ActorName`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActorName {
    /// JSON.
    pub metadata: ByteString,
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

/// `Event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// `EventActorIntent`: what the actor would like.
    #[serde(rename = "EventActorIntent")]
    ActorIntent {
        /// Its wish.
        intent: ActorIntent,
    },
    /// `EventActorStateUpdate`: what it does.
    #[serde(rename = "EventActorStateUpdate")]
    ActorStateUpdate {
        /// Its state.
        state: ActorState,
    },
    /// `EventActorSetAlarm`: when it wants to be woken.
    #[serde(rename_all = "camelCase")]
    #[serde(rename = "EventActorSetAlarm")]
    ActorSetAlarm {
        /// Milliseconds since the Unix epoch; none clears it.
        alarm_ts: Option<i64>,
    },
}

/// `ActorIntent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActorIntent {
    /// `ActorIntentSleep`.
    #[serde(rename = "ActorIntentSleep")]
    Sleep,
    /// `ActorIntentStop`.
    #[serde(rename = "ActorIntentStop")]
    Stop,
}

/// `ActorState`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActorState {
    /// `ActorStateRunning`.
    #[serde(rename = "ActorStateRunning")]
    Running,
    /// `ActorStateStopped`.
    #[serde(rename = "ActorStateStopped")]
    Stopped(Stopped),
}

/// `ActorStateStopped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// Whether it stopped of its own will.
    pub code: StopCode,
    /// Why, for people.
    pub message: Option<ByteString>,
}

/// `StopCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCode {
    /// `OK`.
    #[serde(rename = "OK")]
    Ok,
    /// `ERROR`.
    #[serde(rename = "ERROR")]
    Error,
}

/// `ToServerAckCommands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AckCommands {
    /// The last command taken, for each actor.
    pub last_command_checkpoints: Vec<ActorCheckpoint>,
}

/// `ToServerPong`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pong {
    /// The ping's, milliseconds since the Unix epoch.
    pub ts: i64,
}
