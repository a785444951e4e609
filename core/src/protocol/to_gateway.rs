//! `ToGateway`: what relays send on the bus to a gateway.

use serde::{Deserialize, Serialize};

use super::bare::{self, Reader, front};
use super::bus;
use super::ids::RequestId;
use super::tunnel::{Dialect, ToServerTunnelMessage};
use super::version::Version;
use crate::error::PeerError;
use crate::frame::Frame;

/// What the bus carries to a gateway. Version 7; on the bus, two bytes of version stand in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGateway {
    /// `ToGatewayPong`: the connection lives.
    #[serde(rename = "ToGatewayPong")]
    Pong(Pong),
    /// `ToServerTunnelMessage`: a piece of an answer.
    #[serde(rename = "ToServerTunnelMessage")]
    TunnelMessage(ToServerTunnelMessage),
}

/// The tag of `ToServerTunnelMessage`.
pub(super) const TUNNEL_MESSAGE: u8 = 1;

impl ToGateway {
    /// Reads the value alone, without the bus's version. Version 7.
    ///
    /// Payloads of tunnel messages stay slices of the frame.
    ///
    /// # Errors
    /// The first rule that the bytes break, and where. The private kinds are unknown to [`Dialect::Published`].
    pub fn decode(frame: &Frame, dialect: Dialect) -> Result<ToGateway, PeerError> {
        ToGateway::read(&mut Reader::new(frame), dialect)
    }

    /// The value alone. Version 7. Payloads are shared, not copied.
    pub fn encode(&self) -> Frame {
        if let ToGateway::TunnelMessage(message) = self {
            return message.write(&[TUNNEL_MESSAGE]);
        }
        bare::encode(&[], self)
    }

    /// Reads a frame of the bus: version 7 in two bytes, then the value.
    ///
    /// # Errors
    /// As for [`decode`](ToGateway::decode), and [`BadVersion`](crate::Malformed::BadVersion) if the frame bears another.
    pub fn decode_framed(frame: &Frame, dialect: Dialect) -> Result<ToGateway, PeerError> {
        let mut reader = Reader::new(frame);
        bus::read_version(&mut reader, Version::V7)?;
        ToGateway::read(&mut reader, dialect)
    }

    /// The value as the bus carries it, with the two bytes of version 7 in front. Payloads are shared, not copied.
    pub fn encode_framed(&self) -> Frame {
        if let ToGateway::TunnelMessage(message) = self {
            return message.write(&bus::lead(TUNNEL_MESSAGE));
        }
        bare::encode(&bus::VERSION_BYTES, self)
    }

    fn read<'f>(reader: &mut Reader<'f>, dialect: Dialect) -> Result<ToGateway, PeerError> {
        let message = if reader.is_tag(TUNNEL_MESSAGE) {
            ToGateway::TunnelMessage(ToServerTunnelMessage::read(reader, dialect)?)
        } else {
            front::read(reader)?
        };
        reader.end()?;
        Ok(message)
    }
}

/// `ToGatewayPong`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pong {
    /// The ping's.
    pub request_id: RequestId,
    /// The ping's, milliseconds since the Unix epoch.
    pub ts: i64,
}
