//! Tunnel messages of version 3: an acknowledgement stands at tag 0, all else is version 4's, one tag up.

use serde::{Deserialize, Serialize};

use crate::protocol::bare::{wire_struct, wire_union};
use crate::protocol::ids::MessageId;
use crate::protocol::translate::{NamesGateways, Translate, Untranslatable};
use crate::protocol::tunnel::to_client::{RequestChunk, RequestStart, WebSocketClose, WebSocketMessage, WebSocketOpen};
use crate::protocol::tunnel::{self, to_client, to_server};
use crate::protocol::{GatewayId, Memory};

/// `ToClientTunnelMessage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToClientTunnelMessage {
    /// Whose, and which.
    pub message_id: MessageId,
    /// What.
    pub message_kind: ToClientKind,
}

/// `ToServerTunnelMessage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToServerTunnelMessage {
    /// Whose, and which.
    pub message_id: MessageId,
    /// What.
    pub message_kind: ToServerKind,
}

/// `ToClientTunnelMessageKind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClientKind {
    /// `DeprecatedTunnelAck`.
    DeprecatedTunnelAck,
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
    WebSocketMessage(WebSocketMessage),
    /// `ToClientWebSocketClose`.
    #[serde(rename = "ToClientWebSocketClose")]
    WebSocketClose(WebSocketClose),
}

/// `ToServerTunnelMessageKind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServerKind {
    /// `DeprecatedTunnelAck`.
    DeprecatedTunnelAck,
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
    WebSocketOpen(to_server::WebSocketOpen),
    /// `ToServerWebSocketMessage`.
    #[serde(rename = "ToServerWebSocketMessage")]
    WebSocketMessage(WebSocketMessage),
    /// `ToServerWebSocketMessageAck`.
    #[serde(rename = "ToServerWebSocketMessageAck")]
    WebSocketMessageAck(to_server::WebSocketMessageAck),
    /// `ToServerWebSocketClose`.
    #[serde(rename = "ToServerWebSocketClose")]
    WebSocketClose(to_server::WebSocketClose),
}

wire_struct!(ToClientTunnelMessage { message_id, message_kind });
wire_struct!(ToServerTunnelMessage { message_id, message_kind });
wire_union!(ToClientKind {
    DeprecatedTunnelAck,
    RequestStart(start),
    RequestChunk(chunk),
    RequestAbort,
    WebSocketOpen(open),
    WebSocketMessage(message),
    WebSocketClose(close),
});
wire_union!(ToServerKind {
    DeprecatedTunnelAck,
    ResponseStart(start),
    ResponseChunk(chunk),
    ResponseAbort,
    WebSocketOpen(open),
    WebSocketMessage(message),
    WebSocketMessageAck(ack),
    WebSocketClose(close),
});

impl NamesGateways for ToClientTunnelMessage {
    fn names_zero(&self) -> bool {
        self.message_id.gateway_id == GatewayId::ZERO
    }
}

impl NamesGateways for ToServerTunnelMessage {
    fn names_zero(&self) -> bool {
        self.message_id.gateway_id == GatewayId::ZERO
    }
}

/// Goes no further than the connection it came on.
const ACKNOWLEDGEMENT: Untranslatable = Untranslatable::Acknowledgement { message: "DeprecatedTunnelAck" };

impl Translate<tunnel::ToClientTunnelMessage> for ToClientTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<tunnel::ToClientTunnelMessage, Untranslatable> {
        use to_client::Kind;

        let message_kind = match self.message_kind {
            ToClientKind::DeprecatedTunnelAck => return Err(ACKNOWLEDGEMENT),
            ToClientKind::RequestStart(start) => Kind::RequestStart(start),
            ToClientKind::RequestChunk(chunk) => Kind::RequestChunk(chunk),
            ToClientKind::RequestAbort => Kind::RequestAbort,
            ToClientKind::WebSocketOpen(open) => Kind::WebSocketOpen(open),
            ToClientKind::WebSocketMessage(message) => Kind::WebSocketMessage(message),
            ToClientKind::WebSocketClose(close) => Kind::WebSocketClose(close),
        };
        Ok(tunnel::ToClientTunnelMessage { message_id: self.message_id, message_kind })
    }
}

impl Translate<ToClientTunnelMessage> for tunnel::ToClientTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<ToClientTunnelMessage, Untranslatable> {
        use to_client::Kind;

        let message_kind = match self.message_kind {
            Kind::RequestStart(start) => ToClientKind::RequestStart(start),
            Kind::RequestChunk(chunk) => ToClientKind::RequestChunk(chunk),
            Kind::RequestAbort => ToClientKind::RequestAbort,
            Kind::WebSocketOpen(open) => ToClientKind::WebSocketOpen(open),
            Kind::WebSocketMessage(message) => ToClientKind::WebSocketMessage(message),
            Kind::WebSocketClose(close) => ToClientKind::WebSocketClose(close),
            Kind::Credit(_) => return Err(Untranslatable::Private { message: "ToClientCredit" }),
        };
        Ok(ToClientTunnelMessage { message_id: self.message_id, message_kind })
    }
}

impl Translate<tunnel::ToServerTunnelMessage> for ToServerTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<tunnel::ToServerTunnelMessage, Untranslatable> {
        use to_server::Kind;

        let message_kind = match self.message_kind {
            ToServerKind::DeprecatedTunnelAck => return Err(ACKNOWLEDGEMENT),
            ToServerKind::ResponseStart(start) => Kind::ResponseStart(start),
            ToServerKind::ResponseChunk(chunk) => Kind::ResponseChunk(chunk),
            ToServerKind::ResponseAbort => Kind::ResponseAbort,
            ToServerKind::WebSocketOpen(open) => Kind::WebSocketOpen(open),
            ToServerKind::WebSocketMessage(message) => Kind::WebSocketMessage(message),
            ToServerKind::WebSocketMessageAck(ack) => Kind::WebSocketMessageAck(ack),
            ToServerKind::WebSocketClose(close) => Kind::WebSocketClose(close),
        };
        Ok(tunnel::ToServerTunnelMessage { message_id: self.message_id, message_kind })
    }
}

impl Translate<ToServerTunnelMessage> for tunnel::ToServerTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<ToServerTunnelMessage, Untranslatable> {
        use to_server::Kind;

        let message_kind = match self.message_kind {
            Kind::ResponseStart(start) => ToServerKind::ResponseStart(start),
            Kind::ResponseChunk(chunk) => ToServerKind::ResponseChunk(chunk),
            Kind::ResponseAbort => ToServerKind::ResponseAbort,
            Kind::WebSocketOpen(open) => ToServerKind::WebSocketOpen(open),
            Kind::WebSocketMessage(message) => ToServerKind::WebSocketMessage(message),
            Kind::WebSocketMessageAck(ack) => ToServerKind::WebSocketMessageAck(ack),
            Kind::WebSocketClose(close) => ToServerKind::WebSocketClose(close),
            Kind::Credit(_) => return Err(Untranslatable::Private { message: "ToServerCredit" }),
        };
        Ok(ToServerTunnelMessage { message_id: self.message_id, message_kind })
    }
}
