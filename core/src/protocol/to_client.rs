//! `ToClient`: what a relay says to its runner.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::bare::{self, Reader, front};
use super::control::ActorCheckpoint;
use super::ids::{GatewayId, RequestId};
use super::kv::KvResponse;
use super::tunnel::{Dialect, ToClientTunnelMessage};
use crate::error::{Malformed, PeerError};
use crate::frame::Frame;

/// What a relay sends over a runner's WebSocket, one value a binary message. Version 7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClient {
    /// `ToClientInit`: the answer to the runner's Init.
    #[serde(rename = "ToClientInit")]
    Init(Init),
    /// `ToClientCommands`: start and stop actors.
    #[serde(rename = "ToClientCommands")]
    Commands(Vec<CommandWrapper>),
    /// `ToClientAckEvents`: up to where events were taken.
    #[serde(rename = "ToClientAckEvents")]
    AckEvents(AckEvents),
    /// `ToClientKvResponse`: the answer to a call on a key-value store.
    #[serde(rename = "ToClientKvResponse")]
    KvResponse(KvResponse),
    /// `ToClientTunnelMessage`: a piece of a request.
    #[serde(rename = "ToClientTunnelMessage")]
    TunnelMessage(ToClientTunnelMessage),
    /// `ToClientPing`, to be answered by a pong.
    #[serde(rename = "ToClientPing")]
    Ping(Ping),
    /// `ToClientDraining`, private to `underpass.1`: the relay drains, dial another.
    #[serde(rename = "ToClientDraining")]
    Draining,
}

/// The tag of `ToClientTunnelMessage`.
pub(super) const TUNNEL_MESSAGE: u8 = 4;

impl ToClient {
    /// Reads a message of a relay's WebSocket. Version 7.
    ///
    /// Payloads of tunnel messages stay slices of the frame.
    ///
    /// # Errors
    /// The first rule that the bytes break, and where. `Draining` and the private kinds are unknown to
    /// [`Dialect::Published`].
    pub fn decode(frame: &Frame, dialect: Dialect) -> Result<ToClient, PeerError> {
        let mut reader = Reader::new(frame);
        let message = if reader.is_tag(TUNNEL_MESSAGE) {
            ToClient::TunnelMessage(ToClientTunnelMessage::read(&mut reader, dialect)?)
        } else {
            front::read(&mut reader)?
        };
        if message == ToClient::Draining && dialect == Dialect::Published {
            return Err(reader.malformed(Malformed::BadTag, 0, "a word of the published protocol"));
        }
        reader.end()?;
        Ok(message)
    }

    /// The message as a runner's WebSocket carries it. Version 7. Payloads are shared, not copied.
    pub fn encode(&self) -> Frame {
        if let ToClient::TunnelMessage(message) = self {
            return message.write(&[TUNNEL_MESSAGE]);
        }
        bare::encode(&[], self)
    }
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

/// `ProtocolMetadata`, all in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolMetadata {
    /// Away for longer, a runner stops its actors.
    pub runner_lost_threshold: i64,
    /// How long an actor may take to stop.
    pub actor_stop_threshold: i64,
    /// How long a serverless runner may take to drain.
    pub serverless_drain_grace_period: Option<i64>,
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
    StopActor,
}

/// `CommandStartActor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartActor {
    /// What to start.
    pub config: ActorConfig,
    /// The sockets that slept with it.
    pub hibernating_requests: Vec<HibernatingRequest>,
}

/// `ActorConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActorConfig {
    /// The kind of actor.
    pub name: ByteString,
    /// Which one of its kind.
    pub key: Option<ByteString>,
    /// When it was made, milliseconds since the Unix epoch.
    pub create_ts: i64,
    /// What it was made with.
    pub input: Option<Bytes>,
}

/// `HibernatingRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HibernatingRequest {
    /// Who holds the client's socket.
    pub gateway_id: GatewayId,
    /// Its id there.
    pub request_id: RequestId,
}

/// `ToClientAckEvents`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AckEvents {
    /// The last event taken, for each actor.
    pub last_event_checkpoints: Vec<ActorCheckpoint>,
}

/// `ToClientPing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ping {
    /// Milliseconds since the Unix epoch; the pong repeats it.
    pub ts: i64,
}
