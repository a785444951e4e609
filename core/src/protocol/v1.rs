//! Version 1: WebSocket messages have no numbers, no acknowledgements and no hibernation. What is not here is
//! version 2's.

use serde::{Deserialize, Serialize};

use super::bare::wire_union;
use super::translate::{Translate, Untranslatable};
use super::tunnel::to_client::{RequestChunk, RequestStart, WebSocketClose, WebSocketMessage, WebSocketOpen};
use super::tunnel::to_server;
use super::v2::{ToClientWebSocketMessage, ToServerWebSocketClose, ToServerWebSocketOpen};
use super::{Memory, Version, v2, v3};

pub use super::v2::ToServerlessServer;

/// `ToServer` of version 1.
pub type ToServer = v3::ToServer<ToServerTunnelMessage>;

/// `ToClient` of version 1.
pub type ToClient = v3::ToClient<v2::StartActor, ToClientTunnelMessage>;

/// `ToGateway` of version 1.
pub type ToGateway = v2::ToGateway<ToServerTunnelMessage>;

/// `ToClientTunnelMessage` of version 1.
pub type ToClientTunnelMessage = v2::ToClientTunnelMessage<ToClientKind>;

/// `ToServerTunnelMessage` of version 1.
pub type ToServerTunnelMessage = v2::ToServerTunnelMessage<ToServerKind>;

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
    WebSocketMessage(WebSocketMessage),
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
    /// `ToServerWebSocketOpen`, which is void.
    #[serde(rename = "ToServerWebSocketOpen")]
    WebSocketOpen,
    /// `ToServerWebSocketMessage`.
    #[serde(rename = "ToServerWebSocketMessage")]
    WebSocketMessage(WebSocketMessage),
    /// `ToServerWebSocketClose`, with the fields of `ToClientWebSocketClose`.
    #[serde(rename = "ToServerWebSocketClose")]
    WebSocketClose(WebSocketClose),
}

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
    WebSocketOpen,
    WebSocketMessage(message),
    WebSocketClose(close),
});

impl Translate<v2::ToServer> for ToServer {
    fn translate(self, memory: &mut Memory) -> Result<v2::ToServer, Untranslatable> {
        v2::to_server(self, memory)
    }
}

impl Translate<ToServer> for v2::ToServer {
    fn translate(self, memory: &mut Memory) -> Result<ToServer, Untranslatable> {
        v2::to_server(self, memory)
    }
}

impl Translate<v2::ToClient> for ToClient {
    fn translate(self, memory: &mut Memory) -> Result<v2::ToClient, Untranslatable> {
        v2::to_client(self, memory)
    }
}

impl Translate<ToClient> for v2::ToClient {
    fn translate(self, memory: &mut Memory) -> Result<ToClient, Untranslatable> {
        v2::to_client(self, memory)
    }
}

impl Translate<v2::ToGateway> for ToGateway {
    fn translate(self, memory: &mut Memory) -> Result<v2::ToGateway, Untranslatable> {
        Ok(v2::ToGateway { message: self.message.translate(memory)? })
    }
}

impl Translate<ToGateway> for v2::ToGateway {
    fn translate(self, memory: &mut Memory) -> Result<ToGateway, Untranslatable> {
        Ok(ToGateway { message: self.message.translate(memory)? })
    }
}

impl Translate<v2::ToClientTunnelMessage> for ToClientTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<v2::ToClientTunnelMessage, Untranslatable> {
        use v2::ToClientKind as Newer;

        let v2::ToClientTunnelMessage { request_id, message_id, message_kind, gateway_reply_to } = self;
        let message_kind = match message_kind {
            ToClientKind::TunnelAck => return Err(v2::ACKNOWLEDGEMENT),
            ToClientKind::RequestStart(start) => Newer::RequestStart(start),
            ToClientKind::RequestChunk(chunk) => Newer::RequestChunk(chunk),
            ToClientKind::RequestAbort => Newer::RequestAbort,
            ToClientKind::WebSocketOpen(open) => Newer::WebSocketOpen(open),
            ToClientKind::WebSocketMessage(WebSocketMessage { data, binary }) => {
                let index = message_id.message()?.message_index;
                Newer::WebSocketMessage(ToClientWebSocketMessage { index, data, binary })
            }
            ToClientKind::WebSocketClose(close) => Newer::WebSocketClose(close),
        };
        Ok(v2::ToClientTunnelMessage { request_id, message_id, message_kind, gateway_reply_to })
    }
}

impl Translate<ToClientTunnelMessage> for v2::ToClientTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<ToClientTunnelMessage, Untranslatable> {
        use v2::ToClientKind as Newer;

        let v2::ToClientTunnelMessage { request_id, message_id, message_kind, gateway_reply_to } = self;
        let message_kind = match message_kind {
            Newer::TunnelAck => return Err(v2::ACKNOWLEDGEMENT),
            Newer::RequestStart(start) => ToClientKind::RequestStart(start),
            Newer::RequestChunk(chunk) => ToClientKind::RequestChunk(chunk),
            Newer::RequestAbort => ToClientKind::RequestAbort,
            Newer::WebSocketOpen(open) => ToClientKind::WebSocketOpen(open),
            Newer::WebSocketMessage(ToClientWebSocketMessage { data, binary, .. }) => {
                ToClientKind::WebSocketMessage(WebSocketMessage { data, binary })
            }
            Newer::WebSocketClose(close) => ToClientKind::WebSocketClose(close),
        };
        Ok(ToClientTunnelMessage { request_id, message_id, message_kind, gateway_reply_to })
    }
}

impl Translate<v2::ToServerTunnelMessage> for ToServerTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<v2::ToServerTunnelMessage, Untranslatable> {
        use v2::ToServerKind as Newer;

        let v2::ToServerTunnelMessage { request_id, message_id, message_kind } = self;
        let message_kind = match message_kind {
            ToServerKind::TunnelAck => return Err(v2::ACKNOWLEDGEMENT),
            ToServerKind::ResponseStart(start) => Newer::ResponseStart(start),
            ToServerKind::ResponseChunk(chunk) => Newer::ResponseChunk(chunk),
            ToServerKind::ResponseAbort => Newer::ResponseAbort,
            ToServerKind::WebSocketOpen => {
                Newer::WebSocketOpen(ToServerWebSocketOpen { can_hibernate: false, last_msg_index: v2::NO_MESSAGE })
            }
            ToServerKind::WebSocketMessage(message) => Newer::WebSocketMessage(message),
            ToServerKind::WebSocketClose(WebSocketClose { code, reason }) => {
                Newer::WebSocketClose(ToServerWebSocketClose { code, reason, retry: false })
            }
        };
        Ok(v2::ToServerTunnelMessage { request_id, message_id, message_kind })
    }
}

impl Translate<ToServerTunnelMessage> for v2::ToServerTunnelMessage {
    fn translate(self, _: &mut Memory) -> Result<ToServerTunnelMessage, Untranslatable> {
        use v2::ToServerKind as Newer;

        let v2::ToServerTunnelMessage { request_id, message_id, message_kind } = self;
        let message_kind = match message_kind {
            Newer::TunnelAck => return Err(v2::ACKNOWLEDGEMENT),
            Newer::ResponseStart(start) => ToServerKind::ResponseStart(start),
            Newer::ResponseChunk(chunk) => ToServerKind::ResponseChunk(chunk),
            Newer::ResponseAbort => ToServerKind::ResponseAbort,
            Newer::WebSocketOpen(_) => ToServerKind::WebSocketOpen,
            Newer::WebSocketMessage(message) => ToServerKind::WebSocketMessage(message),
            Newer::WebSocketMessageAck(_) => {
                let message = "ToServerWebSocketMessageAck";
                return Err(Untranslatable::Needs { message, version: Version::V2 });
            }
            Newer::WebSocketClose(ToServerWebSocketClose { code, reason, .. }) => {
                ToServerKind::WebSocketClose(WebSocketClose { code, reason })
            }
        };
        Ok(ToServerTunnelMessage { request_id, message_id, message_kind })
    }
}
