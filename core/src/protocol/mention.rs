//! Whose a frame is, and what, for those who look on: no more is read than stands at its front.

use super::bare::{Reader, Wire};
use super::tunnel::Dialect;
use super::tunnel::tag::{ToClientTag, ToServerTag};
use super::{MessageId, Version, bus, to_client, to_gateway, to_runner, to_server};
use crate::error::PeerError;
use crate::frame::Frame;

/// What a tunnel message toward a runner says at its front.
pub(crate) struct ToClientMention {
    pub(crate) message_id: MessageId,
    pub(crate) tag: ToClientTag,
}

/// What a tunnel message toward a gateway says at its front.
pub(crate) struct ToServerMention {
    pub(crate) message_id: MessageId,
    pub(crate) tag: ToServerTag,
    /// The status with which the answer begins, or 101 of a WebSocket that is taken.
    pub(crate) answered: Option<u16>,
}

impl ToClientMention {
    /// Of a frame of the bus, if it is of a request.
    pub(crate) fn of_bus(frame: &Frame) -> Option<Self> {
        let mut reader = Reader::new(frame);
        bus::read_version(&mut reader, Version::V7).ok()?;
        reader.is_tag(to_runner::TUNNEL_MESSAGE).then(|| Self::read(&mut reader).ok()).flatten()
    }

    /// Of a message of a runner's WebSocket, version 7.
    pub(crate) fn of_socket(frame: &Frame) -> Option<Self> {
        let mut reader = Reader::new(frame);
        reader.is_tag(to_client::TUNNEL_MESSAGE).then(|| Self::read(&mut reader).ok()).flatten()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        let message_id = MessageId::read(reader)?;
        Ok(ToClientMention { message_id, tag: ToClientTag::read(reader, Dialect::Underpass)? })
    }

    /// What the protocol calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.tag {
            ToClientTag::RequestStart => "ToClientRequestStart",
            ToClientTag::RequestChunk => "ToClientRequestChunk",
            ToClientTag::RequestAbort => "ToClientRequestAbort",
            ToClientTag::WebSocketOpen => "ToClientWebSocketOpen",
            ToClientTag::WebSocketMessage => "ToClientWebSocketMessage",
            ToClientTag::WebSocketClose => "ToClientWebSocketClose",
            ToClientTag::Credit => "ToClientCredit",
        }
    }

    /// Whether it opens a request.
    pub(crate) fn opens(&self) -> bool {
        match self.tag {
            ToClientTag::RequestStart | ToClientTag::WebSocketOpen => true,
            ToClientTag::RequestChunk
            | ToClientTag::RequestAbort
            | ToClientTag::WebSocketMessage
            | ToClientTag::WebSocketClose
            | ToClientTag::Credit => false,
        }
    }

    /// Whether it breaks a request off.
    pub(crate) fn aborts(&self) -> bool {
        matches!(self.tag, ToClientTag::RequestAbort)
    }
}

impl ToServerMention {
    /// Of a frame of the bus, if it is of a request.
    pub(crate) fn of_bus(frame: &Frame) -> Option<Self> {
        let mut reader = Reader::new(frame);
        bus::read_version(&mut reader, Version::V7).ok()?;
        reader.is_tag(to_gateway::TUNNEL_MESSAGE).then(|| Self::read(&mut reader).ok()).flatten()
    }

    /// Of a message of a runner's WebSocket, version 7.
    pub(crate) fn of_socket(frame: &Frame) -> Option<Self> {
        let mut reader = Reader::new(frame);
        reader.is_tag(to_server::TUNNEL_MESSAGE).then(|| Self::read(&mut reader).ok()).flatten()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        let message_id = MessageId::read(reader)?;
        let tag = ToServerTag::read(reader, Dialect::Underpass)?;
        let answered = match tag {
            ToServerTag::ResponseStart => Some(reader.u16()?),
            ToServerTag::WebSocketOpen => Some(101),
            ToServerTag::ResponseChunk
            | ToServerTag::ResponseAbort
            | ToServerTag::WebSocketMessage
            | ToServerTag::WebSocketMessageAck
            | ToServerTag::WebSocketClose
            | ToServerTag::Credit => None,
        };
        Ok(ToServerMention { message_id, tag, answered })
    }

    /// What the protocol calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.tag {
            ToServerTag::ResponseStart => "ToServerResponseStart",
            ToServerTag::ResponseChunk => "ToServerResponseChunk",
            ToServerTag::ResponseAbort => "ToServerResponseAbort",
            ToServerTag::WebSocketOpen => "ToServerWebSocketOpen",
            ToServerTag::WebSocketMessage => "ToServerWebSocketMessage",
            ToServerTag::WebSocketMessageAck => "ToServerWebSocketMessageAck",
            ToServerTag::WebSocketClose => "ToServerWebSocketClose",
            ToServerTag::Credit => "ToServerCredit",
        }
    }

    /// Whether it breaks a request off.
    pub(crate) fn aborts(&self) -> bool {
        matches!(self.tag, ToServerTag::ResponseAbort)
    }
}
