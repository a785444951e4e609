//! Messages of all unions and versions, and the frames that they travel in.

use super::Blank;
use crate::bus::{Publication, Subject};
use crate::error::PeerError;
use crate::frame::Frame;
use crate::protocol::any::{self, Schema, Union};
use crate::protocol::kv::{KvRequestData, KvResponseData};
use crate::protocol::{Dialect, ToClient, ToGateway, ToRunner, ToServer, Version, v3, v5, v6};

/// A frame as a runner sends it.
pub(super) fn to_server(frame: &mut Frame, version: Version) {
    if version == Version::V7 {
        // The private words carry nothing, so it does no harm to know them.
        return blank_frame(frame, |frame| ToServer::decode(frame, Dialect::Underpass), ToServer::encode);
    }
    let schema = Schema::new(Union::ToServer, version).expect("each version has ToServer");
    blank_frame(frame, |frame| schema.decode(frame), any::Message::encode);
}

/// A frame as a runner is sent it.
pub(super) fn to_client(frame: &mut Frame, version: Version) {
    if version == Version::V7 {
        return blank_frame(frame, |frame| ToClient::decode(frame, Dialect::Underpass), ToClient::encode);
    }
    let schema = Schema::new(Union::ToClient, version).expect("each version has ToClient");
    blank_frame(frame, |frame| schema.decode(frame), any::Message::encode);
}

/// A frame of the bus for a relay.
pub(super) fn to_runner(frame: &mut Frame) {
    blank_frame(frame, |frame| ToRunner::decode_framed(frame, Dialect::Underpass), ToRunner::encode_framed);
}

/// A frame of the bus for a gateway.
pub(super) fn to_gateway(frame: &mut Frame) {
    blank_frame(frame, |frame| ToGateway::decode_framed(frame, Dialect::Underpass), ToGateway::encode_framed);
}

impl Blank for Publication {
    fn blank(&mut self) {
        match self.to {
            Subject::Gateway(_) => to_gateway(&mut self.frame),
            Subject::Connection(_) => to_runner(&mut self.frame),
        }
    }
}

/// What breaks the protocol stays as it is.
fn blank_frame<Message: Blank>(
    frame: &mut Frame,
    read: impl FnOnce(&Frame) -> Result<Message, PeerError>,
    write: impl FnOnce(&Message) -> Frame,
) {
    if let Ok(mut message) = read(frame) {
        message.blank();
        *frame = write(&message);
    }
}

impl Blank for ToRunner {
    fn blank(&mut self) {
        match self {
            ToRunner::TunnelMessage(message) => message.blank(),
            ToRunner::Ping(_)
            | ToRunner::Close
            | ToRunner::Commands(_)
            | ToRunner::AckEvents(_)
            | ToRunner::Probe(_)
            | ToRunner::LeftBehind(_) => {}
        }
    }
}

impl Blank for ToGateway {
    fn blank(&mut self) {
        match self {
            ToGateway::TunnelMessage(message) => message.blank(),
            ToGateway::Pong(_)
            | ToGateway::ConnectionEnded(_)
            | ToGateway::Refused(_)
            | ToGateway::RouteOpen(_)
            | ToGateway::Restored(_)
            | ToGateway::Probed(_)
            | ToGateway::Lost(_)
            | ToGateway::Doubted(_) => {}
        }
    }
}

impl Blank for ToServer {
    fn blank(&mut self) {
        match self {
            ToServer::TunnelMessage(message) => message.blank(),
            ToServer::KvRequest(request) => request.data.blank(),
            ToServer::Init(_)
            | ToServer::Events(_)
            | ToServer::AckCommands(_)
            | ToServer::Stopping
            | ToServer::Pong(_) => {}
        }
    }
}

impl<Event, Ack> Blank for v6::ToServer<Event, Ack> {
    fn blank(&mut self) {
        match self {
            v6::ToServer::TunnelMessage(message) => message.blank(),
            v6::ToServer::KvRequest(request) => request.data.blank(),
            v6::ToServer::Init(_)
            | v6::ToServer::Events(_)
            | v6::ToServer::AckCommands(_)
            | v6::ToServer::Stopping
            | v6::ToServer::Pong(_) => {}
        }
    }
}

impl<Tunnel: Blank> Blank for v3::ToServer<Tunnel> {
    fn blank(&mut self) {
        match self {
            v3::ToServer::TunnelMessage(message) => message.blank(),
            v3::ToServer::KvRequest(request) => request.data.blank(),
            v3::ToServer::Init(_)
            | v3::ToServer::Events(_)
            | v3::ToServer::AckCommands(_)
            | v3::ToServer::Stopping
            | v3::ToServer::Ping(_) => {}
        }
    }
}

impl Blank for ToClient {
    fn blank(&mut self) {
        match self {
            ToClient::TunnelMessage(message) => message.blank(),
            ToClient::KvResponse(response) => response.data.blank(),
            ToClient::Init(_)
            | ToClient::Commands(_)
            | ToClient::AckEvents(_)
            | ToClient::Ping(_)
            | ToClient::Draining => {}
        }
    }
}

impl<Command, Ack> Blank for v5::ToClient<Command, Ack> {
    fn blank(&mut self) {
        match self {
            v5::ToClient::TunnelMessage(message) => message.blank(),
            v5::ToClient::KvResponse(response) => response.data.blank(),
            v5::ToClient::Init(_) | v5::ToClient::Commands(_) | v5::ToClient::AckEvents(_) | v5::ToClient::Ping(_) => {}
        }
    }
}

impl<Start, Tunnel: Blank> Blank for v3::ToClient<Start, Tunnel> {
    fn blank(&mut self) {
        match self {
            v3::ToClient::TunnelMessage(message) => message.blank(),
            v3::ToClient::KvResponse(response) => response.data.blank(),
            v3::ToClient::Init(_) | v3::ToClient::Close | v3::ToClient::Commands(_) | v3::ToClient::AckEvents(_) => {}
        }
    }
}

impl Blank for KvRequestData {
    fn blank(&mut self) {
        match self {
            KvRequestData::Put { keys: _, values } => values.blank(),
            KvRequestData::Get { .. }
            | KvRequestData::List { .. }
            | KvRequestData::Delete { .. }
            | KvRequestData::DeleteRange { .. }
            | KvRequestData::Drop => {}
        }
    }
}

impl Blank for v6::KvRequestData {
    fn blank(&mut self) {
        match self {
            v6::KvRequestData::Put { keys: _, values } => values.blank(),
            v6::KvRequestData::Get { .. }
            | v6::KvRequestData::List { .. }
            | v6::KvRequestData::Delete { .. }
            | v6::KvRequestData::Drop => {}
        }
    }
}

impl<Metadata> Blank for KvResponseData<Metadata> {
    fn blank(&mut self) {
        match self {
            KvResponseData::Get(entries) | KvResponseData::List(entries) => entries.values.blank(),
            KvResponseData::Error { .. } | KvResponseData::Put | KvResponseData::Delete | KvResponseData::Drop => {}
        }
    }
}

impl Blank for any::Message {
    fn blank(&mut self) {
        match self {
            any::Message::ToServer(message) => message.blank(),
            any::Message::ToClient(message) => message.blank(),
            // The bus speaks the newest version alone.
            any::Message::ToRunner(_) | any::Message::ToGateway(_) | any::Message::ToServerlessServer(_) => {}
        }
    }
}

impl Blank for any::ToServer {
    fn blank(&mut self) {
        match self {
            any::ToServer::V1(message) => message.blank(),
            any::ToServer::V2(message) => message.blank(),
            any::ToServer::V3(message) => message.blank(),
            any::ToServer::V4(message) => message.blank(),
            any::ToServer::V5(message) => message.blank(),
            any::ToServer::V6(message) => message.blank(),
            any::ToServer::V7(message) => message.blank(),
        }
    }
}

impl Blank for any::ToClient {
    fn blank(&mut self) {
        match self {
            any::ToClient::V1(message) => message.blank(),
            any::ToClient::V2(message) => message.blank(),
            any::ToClient::V3(message) => message.blank(),
            any::ToClient::V4(message) => message.blank(),
            any::ToClient::V5(message) => message.blank(),
            any::ToClient::V6(message) => message.blank(),
            any::ToClient::V7(message) => message.blank(),
        }
    }
}
