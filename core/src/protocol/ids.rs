//! The ids that tunnel messages bear.

use core::fmt;
use core::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

macro_rules! four_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub [u8; 4]);

        /// As one number: an array is hashed as a slice, which takes several times as long.
        impl Hash for $name {
            #[inline]
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write_u32(u32::from_ne_bytes(self.0));
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:08x}", u32::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

four_bytes! {
    /// A gateway, as long as its process lives. All zero names no gateway.
    GatewayId
}

four_bytes! {
    /// A request of one gateway: an HTTP exchange or a WebSocket.
    RequestId
}

impl GatewayId {
    /// Four zero bytes: no gateway.
    pub const ZERO: GatewayId = GatewayId([0; 4]);
}

/// The number of a message within its request and direction. It wraps.
pub type MessageIndex = u16;

/// What every tunnel message starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageId {
    /// Whose request it is.
    pub gateway_id: GatewayId,
    /// Which of the gateway's requests.
    pub request_id: RequestId,
    /// Which message of that request in this direction.
    pub message_index: MessageIndex,
}
