//! `ToRunner`: what gateways and relays send on the bus to the relay of a runner's connection.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::bare::{self, Reader, front};
use super::bus;
use super::ids::{GatewayId, MessageIndex, RequestId};
use super::to_client::{AckEvents, CommandWrapper};
use super::tunnel::{Dialect, ToClientTunnelMessage};
use super::version::Version;
use crate::error::{Malformed, PeerError};
use crate::frame::Frame;

/// What the bus carries to a runner's connection. Version 7; on the bus, two bytes of version stand in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRunner {
    /// `ToRunnerPing`: does the connection of this request live?
    #[serde(rename = "ToRunnerPing")]
    Ping(Ping),
    /// `ToRunnerClose`: the connection was taken over; close it.
    #[serde(rename = "ToRunnerClose")]
    Close,
    /// `ToClientCommands`.
    #[serde(rename = "ToClientCommands")]
    Commands(Vec<CommandWrapper>),
    /// `ToClientAckEvents`.
    #[serde(rename = "ToClientAckEvents")]
    AckEvents(AckEvents),
    /// `ToClientTunnelMessage`: carried on without being decoded.
    #[serde(rename = "ToClientTunnelMessage")]
    TunnelMessage(ToClientTunnelMessage),
    /// `ToRunnerProbe`, private: did what a gateway has sent for these requests come?
    #[serde(rename = "ToRunnerProbe")]
    Probe(Probe),
    /// `ToRunnerLeftBehind`, private: an actor runs without a WebSocket of its.
    #[serde(rename = "ToRunnerLeftBehind")]
    LeftBehind(LeftBehind),
}

/// The tag of `ToClientTunnelMessage`.
pub(super) const TUNNEL_MESSAGE: u8 = 4;

/// The tag of the private `ToRunnerProbe`.
pub(super) const PROBE: u8 = 5;

/// The tag of the private `ToRunnerLeftBehind`.
pub(super) const LEFT_BEHIND: u8 = 6;

impl ToRunner {
    /// Reads the value alone, without the bus's version. Version 7.
    ///
    /// Payloads of tunnel messages stay slices of the frame.
    ///
    /// # Errors
    /// The first rule that the bytes break, and where. The private kinds are unknown to [`Dialect::Published`].
    pub fn decode(frame: &Frame, dialect: Dialect) -> Result<ToRunner, PeerError> {
        ToRunner::read(&mut Reader::new(frame), dialect)
    }

    /// The value alone. Version 7. Payloads are shared, not copied.
    pub fn encode(&self) -> Frame {
        if let ToRunner::TunnelMessage(message) = self {
            return message.write(&[TUNNEL_MESSAGE]);
        }
        bare::encode(&[], self)
    }

    /// Reads a frame of the bus: version 7 in two bytes, then the value.
    ///
    /// # Errors
    /// As for [`decode`](ToRunner::decode), and [`BadVersion`](crate::Malformed::BadVersion) if the frame bears another.
    pub fn decode_framed(frame: &Frame, dialect: Dialect) -> Result<ToRunner, PeerError> {
        let mut reader = Reader::new(frame);
        bus::read_version(&mut reader, Version::V7)?;
        ToRunner::read(&mut reader, dialect)
    }

    /// The value as the bus carries it, with the two bytes of version 7 in front. Payloads are shared, not copied.
    pub fn encode_framed(&self) -> Frame {
        if let ToRunner::TunnelMessage(message) = self {
            return message.write(&bus::lead(TUNNEL_MESSAGE));
        }
        bare::encode(&bus::VERSION_BYTES, self)
    }

    fn read<'f>(reader: &mut Reader<'f>, dialect: Dialect) -> Result<ToRunner, PeerError> {
        if dialect == Dialect::Published && (reader.is_tag(PROBE) || reader.is_tag(LEFT_BEHIND)) {
            return Err(reader.malformed(Malformed::BadTag, reader.offset(), "a word of the published protocol"));
        }
        let message = if reader.is_tag(TUNNEL_MESSAGE) {
            ToRunner::TunnelMessage(ToClientTunnelMessage::read(reader, dialect)?)
        } else {
            front::read(reader)?
        };
        reader.end()?;
        Ok(message)
    }
}

/// `ToRunnerPing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ping {
    /// Who asks.
    pub gateway_id: GatewayId,
    /// One of its requests on that connection.
    pub request_id: RequestId,
    /// Milliseconds since the Unix epoch; the pong repeats it.
    pub ts: i64,
}

/// `ToRunnerProbe`. Private. Frames are lost, and which is not known: the relay says by a
/// [`Probed`](super::to_gateway::Probed) what came of each of these requests, and what it has sent. One that names none
/// asks for the WebSockets that were restored and over which their gateway has not spoken yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Who asks.
    pub gateway_id: GatewayId,
    /// The answer repeats it.
    pub number: u32,
    /// Requests of its on that connection.
    pub requests: Vec<Sent>,
}

/// `ToRunnerLeftBehind`. Private. A WebSocket sleeps at its gateway and has something to deliver, and this life of its actor
/// runs on without it, as after a long silence between gateway and relay. A WebSocket is handed over at the beginning of a
/// life only, so the relay has the actor sleep as if it had wished so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftBehind {
    /// Whose it is.
    pub gateway_id: GatewayId,
    /// Which.
    pub request_id: RequestId,
    /// Its actor.
    pub actor_id: ByteString,
    /// The life that the directory tells of.
    pub generation: u32,
}

/// What a gateway has sent for a request. Private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// Which.
    pub request_id: RequestId,
    /// The number that its next message will bear.
    pub next: MessageIndex,
}
