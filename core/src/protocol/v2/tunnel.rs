//! Tunnel messages of version 2.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::Uuid;
use crate::protocol::bare::{wire_struct, wire_union};
use crate::protocol::ids::{MessageId, MessageIndex};
use crate::protocol::translate::{NamesGateways, Translate, Untranslatable};
use crate::protocol::tunnel::to_client::{RequestChunk, RequestStart, WebSocketClose, WebSocketMessage, WebSocketOpen};
use crate::protocol::tunnel::to_server;
use crate::protocol::{Memory, v3};

/// `ToClientTunnelMessage` of versions 1 and 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToClientTunnelMessage<Kind = ToClientKind> {
    /// Whose: holds the ids of gateway and request.
    pub request_id: Uuid,
    /// Which: holds the number as well.
    pub message_id: Uuid,
    /// What.
    pub message_kind: Kind,
    /// Where a gateway wants the answer; what newer versions say by the gateway's id.
    pub gateway_reply_to: Option<ByteString>,
}

/// `ToServerTunnelMessage` of versions 1 and 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToServerTunnelMessage<Kind = ToServerKind> {
    /// Whose: what the runner was given.
    pub request_id: Uuid,
    /// Which: random.
    pub message_id: Uuid,
    /// What.
    pub message_kind: Kind,
}

/// `ToClientTunnelMessageKind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClientKind {
    /// `TunnelAck`.
    TunnelAck,
    /// `ToClientRequestStart`.
    #[serde(rename = "ToClientRequestStart")]
    RequestStart(RequestStart),
    /// `ToClientRequestChunk`.
    #[serde(rename = "ToClientRequestChunk")]
    RequestChunk(RequestChunk),
    /// `ToClientRequestAbort`.
    #[serde(rename = "ToClientRequestAbort")]
    RequestAbort,
    /// `ToClientWebSocketOpen`.
    #[serde(rename = "ToClientWebSocketOpen")]
    WebSocketOpen(WebSocketOpen),
    /// `ToClientWebSocketMessage`.
    #[serde(rename = "ToClientWebSocketMessage")]
    WebSocketMessage(ToClientWebSocketMessage),
    /// `ToClientWebSocketClose`.
    #[serde(rename = "ToClientWebSocketClose")]
    WebSocketClose(WebSocketClose),
}

/// `ToServerTunnelMessageKind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServerKind {
    /// `TunnelAck`.
    TunnelAck,
    /// `ToServerResponseStart`.
    #[serde(rename = "ToServerResponseStart")]
    ResponseStart(to_server::ResponseStart),
    /// `ToServerResponseChunk`.
    #[serde(rename = "ToServerResponseChunk")]
    ResponseChunk(to_server::ResponseChunk),
    /// `ToServerResponseAbort`.
    #[serde(rename = "ToServerResponseAbort")]
    ResponseAbort,
    /// `ToServerWebSocketOpen`.
    #[serde(rename = "ToServerWebSocketOpen")]
    WebSocketOpen(ToServerWebSocketOpen),
    /// `ToServerWebSocketMessage`.
    #[serde(rename = "ToServerWebSocketMessage")]
    WebSocketMessage(WebSocketMessage),
    /// `ToServerWebSocketMessageAck`.
    #[serde(rename = "ToServerWebSocketMessageAck")]
    WebSocketMessageAck(to_server::WebSocketMessageAck),
    /// `ToServerWebSocketClose`.
    #[serde(rename = "ToServerWebSocketClose")]
    WebSocketClose(ToServerWebSocketClose),
}

/// `ToClientWebSocketMessage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToClientWebSocketMessage {
    /// The message's number once more.
    pub index: MessageIndex,
    /// The message.
    pub data: Bytes,
    /// Binary, not text.
    pub binary: bool,
}

/// `ToServerWebSocketOpen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToServerWebSocketOpen {
    /// Whether the client's socket may stay open while the actor sleeps.
    pub can_hibernate: bool,
    /// The last message that the actor knows; −1 for none.
    pub last_msg_index: i64,
}

/// `ToServerWebSocketClose`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToServerWebSocketClose {
    /// The close code, if the actor gave one.
    pub code: Option<u16>,
    /// Its reason.
    pub reason: Option<ByteString>,
    /// What newer versions call `hibernate`.
    pub retry: bool,
}

/// `lastMsgIndex` where nothing is known.
pub(crate) const NO_MESSAGE: i64 = -1;

wire_struct!(ToClientWebSocketMessage { index, data, binary });
wire_struct!(ToServerWebSocketOpen { can_hibernate, last_msg_index });
wire_struct!(ToServerWebSocketClose { code, reason, retry });
wire_struct!(for Kind, ToClientTunnelMessage<Kind> { request_id, message_id, message_kind, gateway_reply_to });
wire_struct!(for Kind, ToServerTunnelMessage<Kind> { request_id, message_id, message_kind });
wire_union!(ToClientKind {
    TunnelAck,
    RequestStart(start),
    RequestChunk(chunk),
    RequestAbort,
    WebSocketOpen(open),
    WebSocketMessage(message),
    WebSocketClose(close),
});
wire_union!(ToServerKind {
    TunnelAck,
    ResponseStart(start),
    ResponseChunk(chunk),
    ResponseAbort,
    WebSocketOpen(open),
    WebSocketMessage(message),
    WebSocketMessageAck(ack),
    WebSocketClose(close),
});

/// Gateways are looked at when their ids are taken out of the UUIDs.
impl<Kind> NamesGateways for ToClientTunnelMessage<Kind> {
    fn names_zero(&self) -> bool {
        false
    }
}

impl<Kind> NamesGateways for ToServerTunnelMessage<Kind> {
    fn names_zero(&self) -> bool {
        false
    }
}

/// Goes no further than the connection it came on.
pub(crate) const ACKNOWLEDGEMENT: Untranslatable = Untranslatable::Acknowledgement { message: "TunnelAck" };

impl Translate<v3::ToClientTunnelMessage> for ToClientTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<v3::ToClientTunnelMessage, Untranslatable> {
        use v3::ToClientKind as Newer;

        let message_kind = match self.message_kind {
            ToClientKind::TunnelAck => return Err(ACKNOWLEDGEMENT),
            ToClientKind::RequestStart(start) => Newer::RequestStart(start),
            ToClientKind::RequestChunk(chunk) => Newer::RequestChunk(chunk),
            ToClientKind::RequestAbort => Newer::RequestAbort,
            ToClientKind::WebSocketOpen(open) => Newer::WebSocketOpen(open),
            ToClientKind::WebSocketMessage(ToClientWebSocketMessage { data, binary, .. }) => {
                Newer::WebSocketMessage(WebSocketMessage { data, binary })
            }
            ToClientKind::WebSocketClose(close) => Newer::WebSocketClose(close),
        };
        let message_id = self.message_id.message()?;
        if self.request_id != Uuid::of_request(message_id.gateway_id, message_id.request_id) {
            return Err(Untranslatable::NeverIssued { field: "requestId" });
        }
        Ok(v3::ToClientTunnelMessage { message_id, message_kind })
    }
}

impl Translate<ToClientTunnelMessage> for v3::ToClientTunnelMessage {
    fn translate(self, memory: &mut Memory) -> Result<ToClientTunnelMessage, Untranslatable> {
        use v3::ToClientKind as Newer;

        let MessageId { gateway_id, request_id, message_index } = self.message_id;
        let request = (gateway_id, request_id);
        let message_kind = match self.message_kind {
            Newer::DeprecatedTunnelAck => {
                return Err(Untranslatable::Acknowledgement { message: "DeprecatedTunnelAck" });
            }
            Newer::RequestStart(start) => {
                memory.open(request)?;
                ToClientKind::RequestStart(start)
            }
            Newer::RequestChunk(chunk) => ToClientKind::RequestChunk(chunk),
            Newer::RequestAbort => {
                memory.close(request);
                ToClientKind::RequestAbort
            }
            Newer::WebSocketOpen(open) => {
                memory.open(request)?;
                ToClientKind::WebSocketOpen(open)
            }
            Newer::WebSocketMessage(WebSocketMessage { data, binary }) => {
                ToClientKind::WebSocketMessage(ToClientWebSocketMessage { index: message_index, data, binary })
            }
            Newer::WebSocketClose(close) => {
                memory.close(request);
                ToClientKind::WebSocketClose(close)
            }
        };
        Ok(ToClientTunnelMessage {
            request_id: Uuid::of_request(gateway_id, request_id),
            message_id: Uuid::of_message(self.message_id),
            message_kind,
            gateway_reply_to: None,
        })
    }
}

impl Translate<v3::ToServerTunnelMessage> for ToServerTunnelMessage {
    fn translate(self, memory: &mut Memory) -> Result<v3::ToServerTunnelMessage, Untranslatable> {
        use v3::ToServerKind as Newer;

        let mut is_last = false;
        let message_kind = match self.message_kind {
            ToServerKind::TunnelAck => return Err(ACKNOWLEDGEMENT),
            ToServerKind::ResponseStart(start) => {
                is_last = !start.stream;
                Newer::ResponseStart(start)
            }
            ToServerKind::ResponseChunk(chunk) => {
                is_last = chunk.finish;
                Newer::ResponseChunk(chunk)
            }
            ToServerKind::ResponseAbort => {
                is_last = true;
                Newer::ResponseAbort
            }
            ToServerKind::WebSocketOpen(ToServerWebSocketOpen { can_hibernate, .. }) => {
                Newer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate })
            }
            ToServerKind::WebSocketMessage(message) => Newer::WebSocketMessage(message),
            ToServerKind::WebSocketMessageAck(ack) => Newer::WebSocketMessageAck(ack),
            ToServerKind::WebSocketClose(ToServerWebSocketClose { code, reason, retry }) => {
                is_last = true;
                Newer::WebSocketClose(to_server::WebSocketClose { code, reason, hibernate: retry })
            }
        };
        let (gateway_id, request_id) = self.request_id.request()?;
        let message_index = memory.number((gateway_id, request_id));
        if is_last {
            memory.close((gateway_id, request_id));
        }
        Ok(v3::ToServerTunnelMessage { message_id: MessageId { gateway_id, request_id, message_index }, message_kind })
    }
}

impl Translate<ToServerTunnelMessage> for v3::ToServerTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<ToServerTunnelMessage, Untranslatable> {
        use v3::ToServerKind as Newer;

        let message_kind = match self.message_kind {
            Newer::DeprecatedTunnelAck => {
                return Err(Untranslatable::Acknowledgement { message: "DeprecatedTunnelAck" });
            }
            Newer::ResponseStart(start) => ToServerKind::ResponseStart(start),
            Newer::ResponseChunk(chunk) => ToServerKind::ResponseChunk(chunk),
            Newer::ResponseAbort => ToServerKind::ResponseAbort,
            Newer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate }) => {
                ToServerKind::WebSocketOpen(ToServerWebSocketOpen { can_hibernate, last_msg_index: NO_MESSAGE })
            }
            Newer::WebSocketMessage(message) => ToServerKind::WebSocketMessage(message),
            Newer::WebSocketMessageAck(ack) => ToServerKind::WebSocketMessageAck(ack),
            Newer::WebSocketClose(to_server::WebSocketClose { code, reason, hibernate }) => {
                ToServerKind::WebSocketClose(ToServerWebSocketClose { code, reason, retry: hibernate })
            }
        };
        let MessageId { gateway_id, request_id, .. } = self.message_id;
        Ok(ToServerTunnelMessage {
            request_id: Uuid::of_request(gateway_id, request_id),
            message_id: Uuid::of_message(self.message_id),
            message_kind,
        })
    }
}
