//! Ids inside UUIDs: versions 1 and 2 have room for nothing else.
//!
//! ```text
//! byte of the UUID   0  1  2  3  4  5   6    7   8    9 10 11 12 13 14 15
//! holds              gateway id   req. 0x40  r. 0x80  r. index   0  …
//! ```

use core::fmt;

use bytes::BufMut;
use serde::{Deserialize, Serialize};

use crate::error::PeerError;
use crate::protocol::bare::{Pieces, Reader, Wire};
use crate::protocol::ids::{GatewayId, MessageId, MessageIndex, RequestId};
use crate::protocol::translate::Untranslatable;

/// `RequestId` and `MessageId` of versions 1 and 2.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Uuid(pub [u8; 16]);

/// What a UUID can hold.
const PAYLOAD: usize = 14;
const VERSION: u8 = 0x40;
const VARIANT: u8 = 0x80;

impl Uuid {
    /// The `requestId` that a relay gives such a runner; it comes back with the answers.
    pub fn of_request(gateway_id: GatewayId, request_id: RequestId) -> Self {
        let mut payload = [0; PAYLOAD];
        payload[..4].copy_from_slice(&gateway_id.0);
        payload[4..8].copy_from_slice(&request_id.0);
        Uuid::holding(payload)
    }

    /// The `messageId` that a relay gives such a runner.
    pub fn of_message(id: MessageId) -> Self {
        let mut payload = [0; PAYLOAD];
        payload[..4].copy_from_slice(&id.gateway_id.0);
        payload[4..8].copy_from_slice(&id.request_id.0);
        payload[8..10].copy_from_slice(&id.message_index.to_le_bytes());
        Uuid::holding(payload)
    }

    /// The ids in a `requestId`.
    ///
    /// # Errors
    /// No relay put ids there, or those of a gateway that is none.
    pub fn request(self) -> Result<(GatewayId, RequestId), Untranslatable> {
        let (gateway_id, request_id, rest) = self.ids("requestId")?;
        if rest != [0; 6] {
            return Err(Untranslatable::NeverIssued { field: "requestId" });
        }
        Ok((gateway_id, request_id))
    }

    /// The ids in a `messageId` that a relay made. Those of runners are random and tell nothing.
    ///
    /// # Errors
    /// No relay put ids there, or those of a gateway that is none.
    pub fn message(self) -> Result<MessageId, Untranslatable> {
        let (gateway_id, request_id, [low, high, rest @ ..]) = self.ids("messageId")?;
        if rest != [0; 4] {
            return Err(Untranslatable::NeverIssued { field: "messageId" });
        }
        Ok(MessageId { gateway_id, request_id, message_index: MessageIndex::from_le_bytes([low, high]) })
    }

    fn holding(payload: [u8; PAYLOAD]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&payload[..6]);
        bytes[6] = VERSION;
        bytes[7] = payload[6];
        bytes[8] = VARIANT;
        bytes[9..].copy_from_slice(&payload[7..]);
        Uuid(bytes)
    }

    fn ids(self, field: &'static str) -> Result<(GatewayId, RequestId, [u8; 6]), Untranslatable> {
        let [g0, g1, g2, g3, r0, r1, version, r2, variant, r3, rest @ ..] = self.0;
        if version != VERSION || variant != VARIANT {
            return Err(Untranslatable::NeverIssued { field });
        }
        let gateway_id = GatewayId([g0, g1, g2, g3]);
        if gateway_id == GatewayId::ZERO {
            return Err(Untranslatable::ZeroGatewayId);
        }
        Ok((gateway_id, RequestId([r0, r1, r2, r3]), rest))
    }
}

impl Wire for Uuid {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        reader.array("an id of sixteen bytes").map(Uuid)
    }

    fn write(&self, pieces: &mut Pieces) {
        pieces.plain().put_slice(&self.0);
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: MessageId = MessageId {
        gateway_id: GatewayId([0xa1, 0xa2, 0xa3, 0xa4]),
        request_id: RequestId([0xb1, 0xb2, 0xb3, 0xb4]),
        message_index: 0x0100,
    };

    #[test]
    fn ids_go_around_the_version_and_the_variant() {
        let message = Uuid::of_message(ID);
        assert_eq!(message.to_string(), "a1a2a3a4b1b240b380b4000100000000");
        assert_eq!(message.message(), Ok(ID));
        let request = Uuid::of_request(ID.gateway_id, ID.request_id);
        assert_eq!(request.to_string(), "a1a2a3a4b1b240b380b4000000000000");
        assert_eq!(request.request(), Ok((ID.gateway_id, ID.request_id)));
    }

    #[test]
    fn what_no_relay_issued_is_refused() {
        let request = Uuid::of_request(ID.gateway_id, ID.request_id);
        for (place, byte) in [(6, 0x41), (6, 0), (8, 0x81), (8, 0xc0), (10, 1), (15, 1)] {
            let mut bytes = request.0;
            bytes[place] = byte;
            assert_eq!(Uuid(bytes).request(), Err(Untranslatable::NeverIssued { field: "requestId" }));
        }
        let mut message = Uuid::of_message(ID);
        message.0[12] = 1;
        assert_eq!(message.message(), Err(Untranslatable::NeverIssued { field: "messageId" }));
        let zero = Uuid::of_request(GatewayId::ZERO, ID.request_id);
        assert_eq!(zero.request(), Err(Untranslatable::ZeroGatewayId));
    }
}
