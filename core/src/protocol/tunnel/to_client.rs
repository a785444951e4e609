//! `ToClientTunnelMessageKind`: toward the runner.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::protocol::map::Map;

/// `ToClientTunnelMessageKind`, in the order of its tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `ToClientRequestStart`, tag 0.
    #[serde(rename = "ToClientRequestStart")]
    RequestStart(RequestStart),
    /// `ToClientRequestChunk`, tag 1.
    #[serde(rename = "ToClientRequestChunk")]
    RequestChunk(RequestChunk),
    /// `ToClientRequestAbort`, tag 2.
    #[serde(rename = "ToClientRequestAbort")]
    RequestAbort,
    /// `ToClientWebSocketOpen`, tag 3.
    #[serde(rename = "ToClientWebSocketOpen")]
    WebSocketOpen(WebSocketOpen),
    /// `ToClientWebSocketMessage`, tag 4.
    #[serde(rename = "ToClientWebSocketMessage")]
    WebSocketMessage(WebSocketMessage),
    /// `ToClientWebSocketClose`, tag 5.
    #[serde(rename = "ToClientWebSocketClose")]
    WebSocketClose(WebSocketClose),
    /// `ToClientCredit`, tag 6, private to `underpass.1`: what the answer may use.
    #[serde(rename = "ToClientCredit")]
    Credit(Credit),
}

/// `ToClientRequestStart`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestStart {
    /// Which actor shall answer.
    pub actor_id: ByteString,
    /// The method, as the client wrote it.
    pub method: ByteString,
    /// Path and query; starts with `/`.
    pub path: ByteString,
    /// One value a name.
    pub headers: Map<ByteString>,
    /// The whole body, unless it is streamed.
    pub body: Option<Bytes>,
    /// Whether chunks follow.
    pub stream: bool,
}

/// `ToClientRequestChunk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestChunk {
    /// The next bytes of the body.
    pub body: Bytes,
    /// Whether they are the last.
    pub finish: bool,
}

/// `ToClientWebSocketOpen`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketOpen {
    /// Which actor shall answer.
    pub actor_id: ByteString,
    /// Path and query; starts with `/`.
    pub path: ByteString,
    /// One value a name.
    pub headers: Map<ByteString>,
}

/// `ToClientWebSocketMessage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketMessage {
    /// The message.
    pub data: Bytes,
    /// Binary, not text.
    pub binary: bool,
}

/// `ToClientWebSocketClose`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketClose {
    /// The close code, if the client gave one.
    pub code: Option<u16>,
    /// Its reason.
    pub reason: Option<ByteString>,
}

/// `ToClientCredit` and `ToServerCredit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credit {
    /// Bytes granted since the request's open or its last wake, in all, wrapping.
    pub total: u32,
}
