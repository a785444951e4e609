//! `ToServerTunnelMessageKind`: toward the gateway.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

pub use super::to_client::{Credit, WebSocketMessage};
use crate::protocol::ids::MessageIndex;
use crate::protocol::map::Map;

/// `ToServerTunnelMessageKind`, in the order of its tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `ToServerResponseStart`, tag 0.
    #[serde(rename = "ToServerResponseStart")]
    ResponseStart(ResponseStart),
    /// `ToServerResponseChunk`, tag 1.
    #[serde(rename = "ToServerResponseChunk")]
    ResponseChunk(ResponseChunk),
    /// `ToServerResponseAbort`, tag 2.
    #[serde(rename = "ToServerResponseAbort")]
    ResponseAbort,
    /// `ToServerWebSocketOpen`, tag 3.
    #[serde(rename = "ToServerWebSocketOpen")]
    WebSocketOpen(WebSocketOpen),
    /// `ToServerWebSocketMessage`, tag 4.
    #[serde(rename = "ToServerWebSocketMessage")]
    WebSocketMessage(WebSocketMessage),
    /// `ToServerWebSocketMessageAck`, tag 5.
    #[serde(rename = "ToServerWebSocketMessageAck")]
    WebSocketMessageAck(WebSocketMessageAck),
    /// `ToServerWebSocketClose`, tag 6.
    #[serde(rename = "ToServerWebSocketClose")]
    WebSocketClose(WebSocketClose),
    /// `ToServerCredit`, tag 7, private to `underpass.1`: what the request may use.
    #[serde(rename = "ToServerCredit")]
    Credit(Credit),
}

/// `ToServerResponseStart`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseStart {
    /// The status code.
    pub status: u16,
    /// One value a name.
    pub headers: Map<ByteString>,
    /// The whole body, unless it is streamed.
    pub body: Option<Bytes>,
    /// Whether chunks follow.
    pub stream: bool,
}

/// `ToServerResponseChunk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseChunk {
    /// The next bytes of the body.
    pub body: Bytes,
    /// Whether they are the last.
    pub finish: bool,
}

/// `ToServerWebSocketOpen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketOpen {
    /// Whether the client's socket may stay open while the actor sleeps.
    pub can_hibernate: bool,
}

/// `ToServerWebSocketMessageAck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketMessageAck {
    /// The last message taken.
    pub index: MessageIndex,
}

/// `ToServerWebSocketClose`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketClose {
    /// The close code.
    pub code: Option<u16>,
    /// Its reason.
    pub reason: Option<ByteString>,
    /// Whether the client's socket stays open for the actor's next life.
    pub hibernate: bool,
}
