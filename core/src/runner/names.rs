//! By what a runner and its embedder know actors' lives, and WebSockets that outlive them.

use core::fmt;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::failure::RequestName;
use crate::machine::RequestKey;
use crate::protocol::to_client::HibernatingRequest;
use crate::protocol::{GatewayId, RequestId};

/// One life of an actor, from its start to its stop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActorLife {
    /// Which actor.
    pub actor_id: ByteString,
    /// Which of its lives: a later one has a greater number.
    pub generation: u32,
}

/// A client's WebSocket, as long as it is open: the same in each life of its actor, on whatever runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketId {
    /// Who holds the client's end.
    pub gateway_id: GatewayId,
    /// Its id there.
    pub request_id: RequestId,
}

/// The gateway's id and the request's, in hexadecimal.
impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.gateway_id, self.request_id)
    }
}

impl From<SocketId> for RequestName {
    fn from(SocketId { gateway_id, request_id }: SocketId) -> Self {
        RequestName { gateway_id, request_id }
    }
}

impl From<HibernatingRequest> for SocketId {
    fn from(HibernatingRequest { gateway_id, request_id }: HibernatingRequest) -> Self {
        SocketId { gateway_id, request_id }
    }
}

/// A WebSocket that slept, for its actor's next life to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleeping {
    /// Names it from here on.
    pub key: RequestKey,
    /// Which.
    pub socket: SocketId,
}
