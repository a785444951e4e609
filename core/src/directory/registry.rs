//! The registry of WebSockets that can hibernate: by it a relay tells an actor that starts which of its clients' sockets
//! are still open.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::ActorKey;
use crate::protocol::{GatewayId, RequestId};

/// For how long what a gateway has entered stays, from its last word: an entry, or that it lives.
pub const REGISTRY_EXPIRY: Duration = Duration::from_secs(90);

/// A client's WebSocket that can hibernate: it stays open at its gateway while its actor sleeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HibernatingSocket {
    /// Whose it is.
    pub actor: ActorKey,
    /// The gateway that holds it.
    pub gateway_id: GatewayId,
    /// What it is called there, for as long as it is open.
    pub request_id: RequestId,
}

/// What a gateway has the registry say. Each is true again when it is said again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RegistryChange {
    /// Enter a socket.
    Enter(HibernatingSocket),
    /// It is no more.
    Leave(HibernatingSocket),
    /// This gateway lives: what it has entered stays for another [`REGISTRY_EXPIRY`].
    KeepAlive(GatewayId),
}

impl RegistryChange {
    /// The gateway that says so.
    pub fn gateway_id(&self) -> GatewayId {
        match self {
            RegistryChange::Enter(socket) | RegistryChange::Leave(socket) => socket.gateway_id,
            RegistryChange::KeepAlive(gateway_id) => *gateway_id,
        }
    }
}
