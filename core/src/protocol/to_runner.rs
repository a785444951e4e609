//! `ToRunner`: what gateways and relays send on the bus to the relay of a runner's connection.

use serde::{Deserialize, Serialize};

use super::bare::{self, Reader, front};
use super::bus;
use super::ids::{GatewayId, RequestId};
use super::to_client::{AckEvents, CommandWrapper};
use super::tunnel::{Dialect, ToClientTunnelMessage};
use super::version::Version;
use crate::error::PeerError;
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
}

/// The tag of `ToClientTunnelMessage`.
pub(super) const TUNNEL_MESSAGE: u8 = 4;

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
