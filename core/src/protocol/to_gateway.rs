//! `ToGateway`: what relays send on the bus to a gateway.

use serde::{Deserialize, Serialize};

use super::bare::{self, Reader, front};
use super::bus;
use super::glance::{Glance, glance};
use super::ids::{GatewayId, MessageIndex, RequestId};
use super::tunnel::tag::ToServerTag;
use super::tunnel::to_server::{Kind, ResponseChunk, WebSocketMessage};
use super::tunnel::{Dialect, ToServerTunnelMessage};
use super::version::Version;
use crate::error::{Malformed, PeerError};
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
    /// `ToGatewayConnectionEnded`, private: a runner's connection ended, and with it what the gateway has open there.
    #[serde(rename = "ToGatewayConnectionEnded")]
    ConnectionEnded(Connection),
    /// `ToGatewayRefused`, private: the relay did not carry an opening to its runner.
    #[serde(rename = "ToGatewayRefused")]
    Refused(Refused),
    /// `ToGatewayRouteOpen`, private: the relay has this route; a gateway without that request aborts it.
    #[serde(rename = "ToGatewayRouteOpen")]
    RouteOpen(RouteOpen),
    /// `ToGatewayRestored`, private: an actor runs, and a WebSocket of this gateway that can hibernate has a route to it.
    #[serde(rename = "ToGatewayRestored")]
    Restored(Restored),
    /// `ToGatewayProbed`, private: what came of the requests that a probe named, and what was sent for them.
    #[serde(rename = "ToGatewayProbed")]
    Probed(Probed),
    /// `ToGatewayLost`, private: something of a request is lost, and the relay has no route for it any more.
    #[serde(rename = "ToGatewayLost")]
    Lost(Lost),
    /// `ToGatewayDoubted`, private: frames of the gateway are lost, and which is not known; it is to probe all of
    /// that relay's connections.
    #[serde(rename = "ToGatewayDoubted")]
    Doubted(Doubted),
}

/// The tag of `ToServerTunnelMessage`.
pub(super) const TUNNEL_MESSAGE: u8 = 1;

/// The tags of the private kinds.
const PRIVATE: core::ops::RangeInclusive<u8> = 2..=8;

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

    /// A frame of the bus, if it is seen at a glance to be a chunk or a message. Any other comes back:
    /// [`decode_framed`](Self::decode_framed) says what it is.
    ///
    /// # Errors
    /// The frame, if it is anything else.
    #[inline]
    pub fn piece(frame: Frame) -> Result<ToServerTunnelMessage, Frame> {
        const CHUNK: u8 = ToServerTag::ResponseChunk as u8;
        const MESSAGE: u8 = ToServerTag::WebSocketMessage as u8;
        let (message_id, message_kind) = match glance(frame.pieces(), &bus::lead(TUNNEL_MESSAGE)) {
            Some(Glance { message_id, tag: CHUNK, payload, last: finish }) => {
                (message_id, Kind::ResponseChunk(ResponseChunk { body: frame.into_slice(payload), finish }))
            }
            Some(Glance { message_id, tag: MESSAGE, payload, last: binary }) => {
                (message_id, Kind::WebSocketMessage(WebSocketMessage { data: frame.into_slice(payload), binary }))
            }
            Some(_) | None => return Err(frame),
        };
        Ok(ToServerTunnelMessage { message_id, message_kind })
    }

    /// The value as the bus carries it, with the two bytes of version 7 in front. Payloads are shared, not copied.
    pub fn encode_framed(&self) -> Frame {
        if let ToGateway::TunnelMessage(message) = self {
            return message.write(&bus::lead(TUNNEL_MESSAGE));
        }
        bare::encode(&bus::VERSION_BYTES, self)
    }

    fn read<'f>(reader: &mut Reader<'f>, dialect: Dialect) -> Result<ToGateway, PeerError> {
        if dialect == Dialect::Published && PRIVATE.into_iter().any(|tag| reader.is_tag(tag)) {
            return Err(reader.malformed(Malformed::BadTag, reader.offset(), "a word of the published protocol"));
        }
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

/// A runner's connection, as [`ConnectionId`](crate::bus::ConnectionId) names it. Private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The UUID of the relay that holds it.
    pub relay: [u8; 16],
    /// Which of that relay's.
    pub number: u64,
}

/// `ToGatewayRefused`. Private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Whose request it is.
    pub gateway_id: GatewayId,
    /// Which; its runner never heard of it.
    pub request_id: RequestId,
    /// Why.
    pub reason: RefusedReason,
}

/// Why a relay did not carry an opening to its runner. Private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefusedReason {
    /// The runner's connection has ended.
    ConnectionEnded,
    /// The runner takes nothing new.
    Draining,
    /// The runner, or what waits for it, is at its limit.
    Full,
}

/// `ToGatewayRouteOpen`. Private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteOpen {
    /// Whose request it is.
    pub gateway_id: GatewayId,
    /// Which.
    pub request_id: RequestId,
    /// On which connection.
    pub connection: Connection,
}

/// `ToGatewayRestored`. Private. The first message of the runner that follows it bears number 0, and in both directions
/// credit is full. A gateway that has no such WebSocket aborts the route; any other says first a `ToClientCredit` of 0, and
/// what the relay hears for the route before that is of an earlier life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Whose WebSocket it is.
    pub gateway_id: GatewayId,
    /// Which.
    pub request_id: RequestId,
    /// On which connection its actor runs.
    pub connection: Connection,
    /// Which life of its actor that is.
    pub generation: u32,
}

/// `ToGatewayProbed`. Private. It says nothing of a request for which there is no route: that is told by itself, before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probed {
    /// Who asked.
    pub gateway_id: GatewayId,
    /// The probe's.
    pub number: u32,
    /// Of which connection.
    pub connection: Connection,
    /// Requests that have a route.
    pub requests: Vec<Counted>,
}

/// How far a request has come at its relay. Private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Which.
    pub request_id: RequestId,
    /// What came of it.
    pub came: Came,
    /// How many numbered messages of the runner were carried to the gateway, wrapping.
    pub carried: u32,
    /// The credit that the runner granted last, in all; 0 if none.
    pub granted: u32,
}

/// What came of what a gateway has sent. Private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Came {
    /// All.
    All,
    /// Of a WebSocket that can hibernate: nothing from this number on. It waits for that to be sent again.
    Until(MessageIndex),
    /// Of a WebSocket that was restored: not even that its gateway knows.
    Nothing,
}

/// `ToGatewayLost`. Private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// Whose request it is.
    pub gateway_id: GatewayId,
    /// Which.
    pub request_id: RequestId,
    /// On which connection.
    pub connection: Connection,
}

/// `ToGatewayDoubted`. Private.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Doubted {
    /// Whose frames are lost.
    pub gateway_id: GatewayId,
    /// At which relay, and on which connection of it if it has routes there.
    pub connection: Connection,
    /// Some of the routes that it has there; one without that request is aborted, as for a [`RouteOpen`].
    pub requests: Vec<RequestId>,
}
