//! What a relay reads of a frame that it only carries.
//!
//! A tunnel message has the same bytes on the bus and on a runner's WebSocket, but for what stands in front. So a
//! relay walks its lengths, to be sure that they end where the frame does, and reads the little that decides where it
//! goes and what it ends. Payloads are neither read nor copied, and whether skipped strings are UTF-8 and the keys of
//! headers unique is for the receiver to judge.

use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;

use super::bare::{Reader, Wire, front};
use super::kv::KvRequest;
use super::to_client::{AckEvents, CommandWrapper};
use super::tunnel::tag::{ToClientTag, ToServerTag};
use super::tunnel::{self, to_client};
use super::{
    Dialect, GatewayId, MessageId, RequestId, ToGateway, ToServer, Version, bus, to_gateway, to_runner, to_server,
};
use crate::bus::Subject;
use crate::error::PeerError;
use crate::frame::Frame;

/// A frame to be carried on, and what the relay must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried<Word> {
    /// Whose, and which.
    pub message_id: MessageId,
    /// What, as far as the relay cares.
    pub word: Word,
    /// What to send on, as the other side takes it.
    pub frame: Frame,
}

/// What a relay knows of a message toward a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToClientWord {
    /// `ToClientRequestStart`: opens a route.
    RequestStart {
        /// Which actor shall answer.
        actor_id: ByteString,
        /// Whether chunks follow.
        stream: bool,
    },
    /// `ToClientRequestChunk`.
    RequestChunk {
        /// Whether it ends the request's body.
        finish: bool,
    },
    /// `ToClientRequestAbort`: closes the route.
    RequestAbort,
    /// `ToClientWebSocketOpen`: opens a route.
    WebSocketOpen {
        /// Which actor shall answer.
        actor_id: ByteString,
    },
    /// `ToClientWebSocketMessage`.
    WebSocketMessage,
    /// `ToClientWebSocketClose`: closes the route.
    WebSocketClose,
    /// `ToClientCredit`, private to `underpass.1` and, with a total of 0, to relays that restored a route.
    Credit {
        /// All that was granted, bytes.
        total: u32,
    },
}

/// What a relay knows of a message toward a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToServerWord {
    /// `ToServerResponseStart`: closes the route, unless chunks follow.
    ResponseStart {
        /// Whether chunks follow.
        stream: bool,
    },
    /// `ToServerResponseChunk`.
    ResponseChunk {
        /// Whether it ends the answer, and closes the route.
        finish: bool,
    },
    /// `ToServerResponseAbort`: closes the route.
    ResponseAbort,
    /// `ToServerWebSocketOpen`.
    WebSocketOpen {
        /// Whether the client's socket may stay open while the actor sleeps.
        can_hibernate: bool,
    },
    /// `ToServerWebSocketMessage`.
    WebSocketMessage,
    /// `ToServerWebSocketMessageAck`.
    WebSocketMessageAck,
    /// `ToServerWebSocketClose`: closes the route.
    WebSocketClose {
        /// Whether the client's socket stays open for the actor's next life.
        hibernate: bool,
    },
    /// `ToServerCredit`, private to `underpass.1`.
    Credit {
        /// All that was granted, bytes.
        total: u32,
    },
}

/// What the bus brought for a runner's connection: [`ToRunner`](super::ToRunner), its tunnel messages unread.
///
/// In the order of the tags, as it is read by them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum FromBus {
    /// `ToRunnerPing`, to be answered with a pong.
    Ping(to_runner::Ping),
    /// `ToRunnerClose`: the connection was taken over.
    Close,
    /// `ToClientCommands`.
    Commands(Vec<CommandWrapper>),
    /// `ToClientAckEvents`.
    AckEvents(AckEvents),
    /// `ToClientTunnelMessage`; the frame is what the runner's WebSocket takes.
    #[serde(skip)]
    Tunnel(Carried<ToClientWord>),
    /// `ToRunnerProbe`, private: to be answered with a `ToGatewayProbed`.
    #[serde(skip)]
    Probe(to_runner::Probe),
    /// `ToRunnerLeftBehind`, private.
    #[serde(skip)]
    LeftBehind(to_runner::LeftBehind),
}

/// What a runner's WebSocket brought: [`ToServer`], its tunnel messages unread.
///
/// In the order of the tags, as it is read by them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum FromRunner {
    /// `ToServerInit`.
    Init(to_server::Init),
    /// `ToServerEvents`.
    Events(Vec<to_server::EventWrapper>),
    /// `ToServerAckCommands`.
    AckCommands(to_server::AckCommands),
    /// `ToServerStopping`.
    Stopping,
    /// `ToServerPong`.
    Pong(to_server::Pong),
    /// `ToServerKvRequest`.
    KvRequest(KvRequest),
    /// `ToServerTunnelMessage`; the frame is what the bus takes for the gateway.
    #[serde(skip)]
    Tunnel(Carried<ToServerWord>),
}

/// Reads a frame of the bus for a runner's connection. Version 7, two bytes of which stand in front.
///
/// A tunnel message is carried on as it is, less the version: `ToRunner` and `ToClient` give it the same tag.
///
/// # Errors
/// The first rule that the bytes break, and where; [`BadVersion`](crate::Malformed::BadVersion) among them. The
/// private kinds are unknown to [`Dialect::Published`].
pub fn from_bus(frame: Frame, dialect: Dialect) -> Result<FromBus, PeerError> {
    let mut reader = Reader::new(&frame);
    bus::read_version(&mut reader, Version::V7)?;
    if dialect == Dialect::Underpass && reader.is_tag(to_runner::PROBE) {
        let probe = front::read(&mut reader)?;
        reader.end()?;
        return Ok(FromBus::Probe(probe));
    }
    if dialect == Dialect::Underpass && reader.is_tag(to_runner::LEFT_BEHIND) {
        let left_behind = front::read(&mut reader)?;
        reader.end()?;
        return Ok(FromBus::LeftBehind(left_behind));
    }
    if !reader.is_tag(to_runner::TUNNEL_MESSAGE) {
        let message = front::read(&mut reader)?;
        reader.end()?;
        return Ok(message);
    }
    let message_id = MessageId::read(&mut reader)?;
    let word = ToClientWord::read(&mut reader, dialect)?;
    reader.end()?;
    Ok(FromBus::Tunnel(Carried { message_id, word, frame: frame.skip(bus::VERSION_BYTES.len()) }))
}

/// Reads a message of a runner's WebSocket. Version 7.
///
/// A tunnel message is carried on as a frame of the bus for its gateway: the message less its tag, behind a head of
/// the version and the tag that `ToGateway` has for it.
///
/// # Errors
/// The first rule that the bytes break, and where. The private kinds are unknown to [`Dialect::Published`].
pub fn from_runner(message: Bytes, dialect: Dialect) -> Result<FromRunner, PeerError> {
    let frame = Frame::from(message);
    let mut reader = Reader::new(&frame);
    if !reader.is_tag(to_server::TUNNEL_MESSAGE) {
        let message = front::read(&mut reader)?;
        reader.end()?;
        return Ok(message);
    }
    let message_id = MessageId::read(&mut reader)?;
    let word = ToServerWord::read(&mut reader, dialect)?;
    reader.end()?;
    let frame = Frame::new(&bus::lead(to_gateway::TUNNEL_MESSAGE), frame.body().slice(1..), None);
    Ok(FromRunner::Tunnel(Carried { message_id, word, frame }))
}

/// Whose piece a frame of the bus is: a tunnel message's request. Frames of different requests may overtake each other
/// on the bus, as a large one does not hold up its neighbours. None for any other frame, which may tell of many
/// requests and so stays behind all that its publisher published before.
pub fn request_of(to: &Subject, frame: &Frame) -> Option<(GatewayId, RequestId)> {
    let tag = match to {
        Subject::Gateway(_) => to_gateway::TUNNEL_MESSAGE,
        Subject::Connection(_) => to_runner::TUNNEL_MESSAGE,
    };
    let mut reader = Reader::new(frame);
    bus::read_version(&mut reader, Version::V7).ok()?;
    if !reader.is_tag(tag) {
        return None;
    }
    let MessageId { gateway_id, request_id, message_index: _ } = MessageId::read(&mut reader).ok()?;
    Some((gateway_id, request_id))
}

impl ToClientWord {
    fn read(reader: &mut Reader<'_>, dialect: Dialect) -> Result<Self, PeerError> {
        Ok(match ToClientTag::read(reader, dialect)? {
            ToClientTag::RequestStart => {
                let actor_id = reader.text()?;
                reader.skip_data()?; // method
                reader.skip_data()?; // path
                skip_headers(reader)?;
                skip_optional(reader, Reader::skip_data)?; // body
                ToClientWord::RequestStart { actor_id, stream: reader.bool()? }
            }
            ToClientTag::RequestChunk => {
                reader.skip_data()?; // body
                ToClientWord::RequestChunk { finish: reader.bool()? }
            }
            ToClientTag::RequestAbort => ToClientWord::RequestAbort,
            ToClientTag::WebSocketOpen => {
                let actor_id = reader.text()?;
                reader.skip_data()?; // path
                skip_headers(reader)?;
                ToClientWord::WebSocketOpen { actor_id }
            }
            ToClientTag::WebSocketMessage => {
                skip_web_socket_message(reader)?;
                ToClientWord::WebSocketMessage
            }
            ToClientTag::WebSocketClose => {
                skip_code_and_reason(reader)?;
                ToClientWord::WebSocketClose
            }
            ToClientTag::Credit => ToClientWord::Credit { total: reader.u32()? },
        })
    }
}

impl ToServerWord {
    fn read(reader: &mut Reader<'_>, dialect: Dialect) -> Result<Self, PeerError> {
        Ok(match ToServerTag::read(reader, dialect)? {
            ToServerTag::ResponseStart => {
                reader.u16()?; // status
                skip_headers(reader)?;
                skip_optional(reader, Reader::skip_data)?; // body
                ToServerWord::ResponseStart { stream: reader.bool()? }
            }
            ToServerTag::ResponseChunk => {
                reader.skip_data()?; // body
                ToServerWord::ResponseChunk { finish: reader.bool()? }
            }
            ToServerTag::ResponseAbort => ToServerWord::ResponseAbort,
            ToServerTag::WebSocketOpen => ToServerWord::WebSocketOpen { can_hibernate: reader.bool()? },
            ToServerTag::WebSocketMessage => {
                skip_web_socket_message(reader)?;
                ToServerWord::WebSocketMessage
            }
            ToServerTag::WebSocketMessageAck => {
                reader.u16()?; // index
                ToServerWord::WebSocketMessageAck
            }
            ToServerTag::WebSocketClose => {
                skip_code_and_reason(reader)?;
                ToServerWord::WebSocketClose { hibernate: reader.bool()? }
            }
            ToServerTag::Credit => ToServerWord::Credit { total: reader.u32()? },
        })
    }
}

impl From<&to_client::Kind> for ToClientWord {
    fn from(kind: &to_client::Kind) -> Self {
        use to_client::Kind;

        match kind {
            Kind::RequestStart(start) => {
                ToClientWord::RequestStart { actor_id: start.actor_id.clone(), stream: start.stream }
            }
            Kind::RequestChunk(chunk) => ToClientWord::RequestChunk { finish: chunk.finish },
            Kind::RequestAbort => ToClientWord::RequestAbort,
            Kind::WebSocketOpen(open) => ToClientWord::WebSocketOpen { actor_id: open.actor_id.clone() },
            Kind::WebSocketMessage(_) => ToClientWord::WebSocketMessage,
            Kind::WebSocketClose(_) => ToClientWord::WebSocketClose,
            Kind::Credit(credit) => ToClientWord::Credit { total: credit.total },
        }
    }
}

impl From<&tunnel::to_server::Kind> for ToServerWord {
    fn from(kind: &tunnel::to_server::Kind) -> Self {
        use tunnel::to_server::Kind;

        match kind {
            Kind::ResponseStart(start) => ToServerWord::ResponseStart { stream: start.stream },
            Kind::ResponseChunk(chunk) => ToServerWord::ResponseChunk { finish: chunk.finish },
            Kind::ResponseAbort => ToServerWord::ResponseAbort,
            Kind::WebSocketOpen(open) => ToServerWord::WebSocketOpen { can_hibernate: open.can_hibernate },
            Kind::WebSocketMessage(_) => ToServerWord::WebSocketMessage,
            Kind::WebSocketMessageAck(_) => ToServerWord::WebSocketMessageAck,
            Kind::WebSocketClose(close) => ToServerWord::WebSocketClose { hibernate: close.hibernate },
            Kind::Credit(credit) => ToServerWord::Credit { total: credit.total },
        }
    }
}

/// What was decoded anyway; its payload is shared.
impl From<ToServer> for FromRunner {
    fn from(message: ToServer) -> Self {
        match message {
            ToServer::Init(init) => FromRunner::Init(init),
            ToServer::Events(events) => FromRunner::Events(events),
            ToServer::AckCommands(acks) => FromRunner::AckCommands(acks),
            ToServer::Stopping => FromRunner::Stopping,
            ToServer::Pong(pong) => FromRunner::Pong(pong),
            ToServer::KvRequest(request) => FromRunner::KvRequest(request),
            ToServer::TunnelMessage(message) => FromRunner::Tunnel(Carried {
                message_id: message.message_id,
                word: ToServerWord::from(&message.message_kind),
                frame: ToGateway::TunnelMessage(message).encode_framed(),
            }),
        }
    }
}

fn skip_headers(reader: &mut Reader<'_>) -> Result<(), PeerError> {
    for _ in 0..reader.length()? {
        reader.skip_data()?;
        reader.skip_data()?;
    }
    Ok(())
}

fn skip_web_socket_message(reader: &mut Reader<'_>) -> Result<(), PeerError> {
    reader.skip_data()?;
    reader.bool()?;
    Ok(())
}

fn skip_code_and_reason(reader: &mut Reader<'_>) -> Result<(), PeerError> {
    skip_optional(reader, |reader| reader.u16().map(drop))?;
    skip_optional(reader, Reader::skip_data)
}

fn skip_optional<'f>(
    reader: &mut Reader<'f>,
    skip: impl FnOnce(&mut Reader<'f>) -> Result<(), PeerError>,
) -> Result<(), PeerError> {
    if reader.optional()? { skip(reader) } else { Ok(()) }
}
