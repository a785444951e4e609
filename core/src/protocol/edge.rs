//! Where a runner's version ends and version 7 begins: what stands between a relay's session and its runner.
//!
//! An [`Edge`] is made for the version of one connection and lives as long. It hands the session what the runner says
//! as version 7 says it, and takes what the runner shall hear in version 7's words. So machines and bus know version 7
//! alone. Tunnel messages of versions 4 to 7 are carried unread; those of versions 1 to 3 are translated, their
//! payloads shared.

use bytes::Bytes;
use thiserror::Error;

use super::any::{self, Message};
use super::carry::{self, Carried, FromBus, FromRunner, ToServerWord};
use super::codec::Codec;
use super::ids::{GatewayId, RequestId};
use super::translate::{Memory, NamesGateways, Untranslatable};
use super::tunnel::to_server;
use super::v2::{ToClientTunnelMessage, ToServerTunnelMessage, Uuid};
use super::{Dialect, ToClient, ToServer, Version, v1, v2, v3};
use crate::error::PeerError;
use crate::frame::Frame;

/// Translates for one connection.
#[derive(Debug)]
pub struct Edge {
    version: Version,
    dialect: Dialect,
    memory: Memory,
}

/// What came of a message of the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it says.
    pub word: Word,
    /// What the runner must be sent at once.
    pub answer: Option<Frame>,
}

/// What a runner says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Something to the session.
    Message(FromRunner),
    /// It acknowledges a tunnel message, as versions 1 to 3 can. Nobody waits for that.
    Acknowledgement,
    /// It pings, as runners of versions 1 to 3 do. That is not answered.
    Ping,
}

/// A frame that does not pass.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EdgeError {
    /// It breaks the protocol.
    #[error(transparent)]
    Malformed(#[from] PeerError),
    /// The other side has no word for it, or may not hear it.
    #[error(transparent)]
    Untranslatable(#[from] Untranslatable),
}

impl Edge {
    /// For a connection of a runner that speaks this version, with up to so many requests open at once. The private
    /// words of `underpass.1` go with version 7 only.
    pub fn new(version: Version, dialect: Dialect, max_requests: usize) -> Self {
        let dialect = if version == Version::V7 { dialect } else { Dialect::Published };
        Edge { version, dialect, memory: Memory::of_session(max_requests) }
    }

    /// What the runner speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Which words its connection knows.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the runner answers `ToClientPing`. An older one is to be pinged by its WebSocket.
    pub fn answers_pings(&self) -> bool {
        self.version >= Version::V4
    }

    /// Whether WebSockets of the runner can hibernate. An actor of an older one cannot be told which slept with it.
    pub fn hibernates(&self) -> bool {
        self.version >= Version::V3
    }

    /// How many requests the edge remembers: none unless one is open, and none above version 2.
    pub fn requests(&self) -> usize {
        self.memory.requests()
    }

    /// A message of the runner's WebSocket, if it is seen at a glance to be a chunk or a message that is carried unread. Any
    /// other comes back, for [`from_runner`](Edge::from_runner).
    ///
    /// # Errors
    /// The message, if it is anything else.
    #[inline]
    pub fn piece_from_runner(&self, message: Bytes) -> Result<Carried<ToServerWord>, Bytes> {
        match self.version {
            Version::V4 | Version::V5 | Version::V6 | Version::V7 => carry::piece_from_runner(message),
            Version::V1 | Version::V2 | Version::V3 => Err(message),
        }
    }

    /// Reads a message of the runner's WebSocket.
    ///
    /// Runners of versions 1 and 2 drop a request whose message stays unacknowledged, so each of their tunnel messages
    /// is answered. Acknowledgements of theirs, and pings of runners that expect no answer, go no further.
    ///
    /// # Errors
    /// The bytes are malformed, name no request that a relay issued, or name a gateway that is none.
    pub fn from_runner(&mut self, message: Bytes) -> Result<Heard, EdgeError> {
        let (message, answer) = match self.version {
            Version::V7 => return Ok(passed(carry::from_runner(message, self.dialect)?)?),
            Version::V4 | Version::V5 | Version::V6 if message.first() == Some(&super::to_server::TUNNEL_MESSAGE) => {
                return Ok(passed(carry::from_runner(message, self.dialect)?)?);
            }
            Version::V4 | Version::V5 | Version::V6 => {
                let schema = any::Schema::new(any::Union::ToServer, self.version);
                let schema = schema.expect("each version has ToServer");
                (schema.decode(&Frame::from(message))?, None)
            }
            Version::V3 => {
                let message = v3::ToServer::decode(&Frame::from(message))?;
                (Message::ToServer(any::ToServer::V3(message)), None)
            }
            Version::V2 => {
                let message = v2::ToServer::decode(&Frame::from(message))?;
                let answer = to_acknowledge(&message, &v2::ToServerKind::TunnelAck)
                    .map(|ids| v2::ToClient::TunnelMessage(acknowledge(ids, v2::ToClientKind::TunnelAck)).encode());
                (Message::ToServer(any::ToServer::V2(message)), answer)
            }
            Version::V1 => {
                let message = v1::ToServer::decode(&Frame::from(message))?;
                let answer = to_acknowledge(&message, &v1::ToServerKind::TunnelAck)
                    .map(|ids| v1::ToClient::TunnelMessage(acknowledge(ids, v1::ToClientKind::TunnelAck)).encode());
                (Message::ToServer(any::ToServer::V1(message)), answer)
            }
        };
        match self.newest(message) {
            Ok(message) => Ok(Heard { word: Word::Message(message.into()), answer }),
            Err(Untranslatable::Acknowledgement { .. }) => Ok(Heard { word: Word::Acknowledgement, answer }),
            Err(Untranslatable::EndedWith { .. }) => Ok(Heard { word: Word::Ping, answer }),
            Err(
                error @ (Untranslatable::Needs { .. }
                | Untranslatable::NeedsSession { .. }
                | Untranslatable::Private { .. }
                | Untranslatable::NeverIssued { .. }
                | Untranslatable::ZeroGatewayId
                | Untranslatable::TooManyRequests),
            ) => Err(error.into()),
        }
    }

    /// Reads a frame of the bus for the runner's connection. A tunnel message comes out as version 7 has it, for
    /// [`carry`](Edge::carry) to make of it what the runner takes.
    ///
    /// # Errors
    /// The bytes are malformed, or name a gateway that is none.
    #[inline]
    pub fn from_bus(&self, frame: Frame) -> Result<FromBus, EdgeError> {
        // The private words are between gateways and relays, whatever the runner's connection chose.
        let message = carry::from_bus(frame, Dialect::Underpass)?;
        if message.names_zero() { Err(Untranslatable::ZeroGatewayId.into()) } else { Ok(message) }
    }

    /// Makes of a tunnel message that [`from_bus`](Edge::from_bus) read what the runner's WebSocket takes.
    ///
    /// # Errors
    /// The bytes are malformed where only a translation looks, or open more requests than may be open.
    #[inline]
    pub fn carry(&mut self, frame: &mut Frame) -> Result<(), EdgeError> {
        match self.version {
            Version::V4 | Version::V5 | Version::V6 | Version::V7 => Ok(()),
            Version::V1 | Version::V2 | Version::V3 => self.translate(frame),
        }
    }

    fn translate(&mut self, frame: &mut Frame) -> Result<(), EdgeError> {
        let message = ToClient::decode(frame, self.dialect)?;
        *frame = self.to_runner(message)?;
        Ok(())
    }

    /// What the runner's WebSocket takes for a message of its relay.
    ///
    /// # Errors
    /// The runner's version has no word for it: a ping, or something private.
    pub fn to_runner(&mut self, message: ToClient) -> Result<Frame, Untranslatable> {
        if self.version == Version::V7 {
            return Ok(message.encode());
        }
        let message = Message::ToClient(any::ToClient::V7(message));
        Ok(message.translate(self.version, &mut self.memory)?.encode())
    }

    /// A request ended without a word to or from the runner.
    pub fn forget(&mut self, gateway_id: GatewayId, request_id: RequestId) {
        self.memory.close((gateway_id, request_id));
    }

    /// The runner's message as version 7 says it.
    fn newest(&mut self, message: Message) -> Result<ToServer, Untranslatable> {
        let Message::ToServer(any::ToServer::V7(mut message)) = message.translate(Version::V7, &mut self.memory)?
        else {
            unreachable!("a union stays the same, and the version was asked for");
        };
        if !self.hibernates()
            && let ToServer::TunnelMessage(message) = &mut message
            && let to_server::Kind::WebSocketOpen(open) = &mut message.message_kind
        {
            open.can_hibernate = false;
        }
        Ok(message)
    }
}

/// A message that was carried, unless it names no gateway.
fn passed(message: FromRunner) -> Result<Heard, Untranslatable> {
    match &message {
        FromRunner::Tunnel(carried) if carried.message_id.gateway_id == GatewayId::ZERO => {
            Err(Untranslatable::ZeroGatewayId)
        }
        FromRunner::Tunnel(_)
        | FromRunner::Init(_)
        | FromRunner::Events(_)
        | FromRunner::AckCommands(_)
        | FromRunner::Stopping
        | FromRunner::Pong(_)
        | FromRunner::KvRequest(_) => Ok(Heard { word: Word::Message(message), answer: None }),
    }
}

impl NamesGateways for FromBus {
    fn names_zero(&self) -> bool {
        match self {
            FromBus::Ping(ping) => ping.names_zero(),
            FromBus::Commands(commands) => commands.names_zero(),
            FromBus::Tunnel(carried) => carried.message_id.gateway_id == GatewayId::ZERO,
            FromBus::Probe(probe) => probe.gateway_id == GatewayId::ZERO,
            FromBus::LeftBehind(left_behind) => left_behind.gateway_id == GatewayId::ZERO,
            FromBus::Close | FromBus::AckEvents(_) => false,
        }
    }
}

/// The ids of a tunnel message that waits for an acknowledgement, as all do but acknowledgements.
fn to_acknowledge<Kind: PartialEq>(
    message: &v3::ToServer<ToServerTunnelMessage<Kind>>,
    acknowledgement: &Kind,
) -> Option<(Uuid, Uuid)> {
    match message {
        v3::ToServer::TunnelMessage(message) if message.message_kind != *acknowledgement => {
            Some((message.request_id, message.message_id))
        }
        v3::ToServer::TunnelMessage(_)
        | v3::ToServer::Init(_)
        | v3::ToServer::Events(_)
        | v3::ToServer::AckCommands(_)
        | v3::ToServer::Stopping
        | v3::ToServer::Ping(_)
        | v3::ToServer::KvRequest(_) => None,
    }
}

fn acknowledge<Kind>((request_id, message_id): (Uuid, Uuid), message_kind: Kind) -> ToClientTunnelMessage<Kind> {
    ToClientTunnelMessage { request_id, message_id, message_kind, gateway_reply_to: None }
}
