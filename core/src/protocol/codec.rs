//! Reading and writing the unions of all versions alike.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bare::{self, Pieces, Reader, Wire, front};
use super::tunnel::{Dialect, ToClientTunnelMessage, ToServerTunnelMessage};
use super::{ToClient, ToGateway, ToRunner, ToServer, ToServerlessServer};
use super::{to_client, to_gateway, to_runner, to_server, v2, v3, v4, v5, v6};
use crate::error::PeerError;
use crate::frame::Frame;

/// A union of some version, as published.
pub(crate) trait Codec: Sized {
    fn decode(frame: &Frame) -> Result<Self, PeerError>;
    fn encode(&self) -> Frame;
}

/// Reads a union whose tunnel messages, by their tag, have a codec of their own.
fn read<M: DeserializeOwned, T>(
    frame: &Frame,
    tunnel_tag: u8,
    tunnel: impl FnOnce(&mut Reader<'_>) -> Result<T, PeerError>,
    member: impl FnOnce(T) -> M,
) -> Result<M, PeerError> {
    let mut reader = Reader::new(frame);
    let message = if reader.is_tag(tunnel_tag) { member(tunnel(&mut reader)?) } else { front::read(&mut reader)? };
    reader.end()?;
    Ok(message)
}

fn write(lead: &[u8], message: &impl Wire) -> Frame {
    let mut pieces = Pieces::new(lead);
    message.write(&mut pieces);
    pieces.into_frame()
}

/// Version 7's own doors.
macro_rules! newest {
    ($($union:ident),*) => {$(
        impl Codec for $union {
            fn decode(frame: &Frame) -> Result<Self, PeerError> {
                $union::decode(frame, Dialect::Published)
            }

            fn encode(&self) -> Frame {
                $union::encode(self)
            }
        }
    )*};
}

newest!(ToServer, ToClient, ToRunner, ToGateway);

impl Codec for ToServerlessServer {
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        ToServerlessServer::decode(frame)
    }

    fn encode(&self) -> Frame {
        ToServerlessServer::encode(self)
    }
}

impl<Event, Ack> Codec for v6::ToServer<Event, Ack>
where
    Event: Serialize + DeserializeOwned,
    Ack: Serialize + DeserializeOwned,
{
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        let tunnel = |reader: &mut Reader<'_>| ToServerTunnelMessage::read(reader, Dialect::Published);
        read(frame, to_server::TUNNEL_MESSAGE, tunnel, v6::ToServer::TunnelMessage)
    }

    fn encode(&self) -> Frame {
        if let v6::ToServer::TunnelMessage(message) = self {
            return message.write(&[to_server::TUNNEL_MESSAGE]);
        }
        bare::encode(&[], self)
    }
}

impl<Command, Ack> Codec for v5::ToClient<Command, Ack>
where
    Command: Serialize + DeserializeOwned,
    Ack: Serialize + DeserializeOwned,
{
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        let tunnel = |reader: &mut Reader<'_>| ToClientTunnelMessage::read(reader, Dialect::Published);
        read(frame, to_client::TUNNEL_MESSAGE, tunnel, v5::ToClient::TunnelMessage)
    }

    fn encode(&self) -> Frame {
        if let v5::ToClient::TunnelMessage(message) = self {
            return message.write(&[to_client::TUNNEL_MESSAGE]);
        }
        bare::encode(&[], self)
    }
}

impl Codec for v4::ToRunner {
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        let tunnel = |reader: &mut Reader<'_>| ToClientTunnelMessage::read(reader, Dialect::Published);
        read(frame, to_runner::TUNNEL_MESSAGE, tunnel, v4::ToRunner::TunnelMessage)
    }

    fn encode(&self) -> Frame {
        if let v4::ToRunner::TunnelMessage(message) = self {
            return message.write(&[to_runner::TUNNEL_MESSAGE]);
        }
        bare::encode(&[], self)
    }
}

impl<Tunnel: Wire + Serialize + DeserializeOwned> Codec for v3::ToServer<Tunnel> {
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        read(frame, v3::TO_SERVER_TUNNEL_MESSAGE, Tunnel::read, v3::ToServer::TunnelMessage)
    }

    fn encode(&self) -> Frame {
        if let v3::ToServer::TunnelMessage(message) = self {
            return write(&[v3::TO_SERVER_TUNNEL_MESSAGE], message);
        }
        bare::encode(&[], self)
    }
}

impl<Start, Tunnel> Codec for v3::ToClient<Start, Tunnel>
where
    Start: Serialize + DeserializeOwned,
    Tunnel: Wire + Serialize + DeserializeOwned,
{
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        read(frame, v3::TO_CLIENT_TUNNEL_MESSAGE, Tunnel::read, v3::ToClient::TunnelMessage)
    }

    fn encode(&self) -> Frame {
        if let v3::ToClient::TunnelMessage(message) = self {
            return write(&[v3::TO_CLIENT_TUNNEL_MESSAGE], message);
        }
        bare::encode(&[], self)
    }
}

impl Codec for v3::ToRunner {
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        read(frame, v3::TO_RUNNER_TUNNEL_MESSAGE, Wire::read, v3::ToRunner::TunnelMessage)
    }

    fn encode(&self) -> Frame {
        if let v3::ToRunner::TunnelMessage(message) = self {
            return write(&[v3::TO_RUNNER_TUNNEL_MESSAGE], message);
        }
        bare::encode(&[], self)
    }
}

impl Codec for v3::ToGateway {
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        read(frame, to_gateway::TUNNEL_MESSAGE, Wire::read, v3::ToGateway::TunnelMessage)
    }

    fn encode(&self) -> Frame {
        if let v3::ToGateway::TunnelMessage(message) = self {
            return write(&[to_gateway::TUNNEL_MESSAGE], message);
        }
        bare::encode(&[], self)
    }
}

impl Codec for v3::ToServerlessServer {
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        let mut reader = Reader::new(frame);
        let message = front::read(&mut reader)?;
        reader.end()?;
        Ok(message)
    }

    fn encode(&self) -> Frame {
        bare::encode(&[], self)
    }
}

impl<Tunnel: Wire> Codec for v2::ToGateway<Tunnel> {
    fn decode(frame: &Frame) -> Result<Self, PeerError> {
        let mut reader = Reader::new(frame);
        let message = Tunnel::read(&mut reader)?;
        reader.end()?;
        Ok(v2::ToGateway { message })
    }

    fn encode(&self) -> Frame {
        write(&[], &self.message)
    }
}
