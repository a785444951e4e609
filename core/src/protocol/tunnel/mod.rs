//! Tunnel messages: the pieces of requests and answers, and the hot path of everything.
//!
//! Between versions 4 and 7 they have the same bytes.

use serde::{Deserialize, Serialize};

use super::ids::MessageId;

mod decode;
mod encode;
pub(super) mod tag;
pub mod to_client;
pub mod to_server;

/// `ToClientTunnelMessage`: a piece of a request, on its way to the runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToClientTunnelMessage {
    /// Whose, and which.
    pub message_id: MessageId,
    /// What.
    pub message_kind: to_client::Kind,
}

/// `ToServerTunnelMessage`: a piece of an answer, on its way to the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToServerTunnelMessage {
    /// Whose, and which.
    pub message_id: MessageId,
    /// What.
    pub message_kind: to_server::Kind,
}

/// Which words a connection knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dialect {
    /// The published protocol (sub-protocol `rivet`): private tags are malformed.
    #[default]
    Published,
    /// Sub-protocol `underpass.1`: credit and `ToClientDraining` besides.
    Underpass,
}
