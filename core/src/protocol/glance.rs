//! Chunks and messages, of which there are most, read at a glance: as their senders write them, ids and length stand
//! together in one piece of the frame. Whatever looks otherwise is read in full, and refused there if it must be.

use core::ops::Range;

use super::ids::{GatewayId, MessageId, RequestId};

/// A payload and a bool behind it, of a request.
pub(super) struct Glance {
    pub(super) message_id: MessageId,
    /// Of the kind; whether such a kind is a payload and a bool is not known here.
    pub(super) tag: u8,
    /// Where the payload stands in the frame.
    pub(super) payload: Range<usize>,
    /// What stands behind the payload.
    pub(super) last: bool,
}

/// Looks at the pieces of a frame that starts with the bytes of `lead`.
#[inline]
pub(super) fn glance([head, body, tail]: [&[u8]; 3], lead: &[u8]) -> Option<Glance> {
    let front = if head.is_empty() { body } else { head };
    let (ids, rest) = front.strip_prefix(lead)?.split_first_chunk::<11>()?;
    let (length, taken) = short_length(rest)?;
    let start = lead.len() + ids.len() + taken;
    let payload = start..start + length;
    if payload.end + 1 != head.len() + body.len() + tail.len() {
        return None;
    }
    let last = match (tail, body) {
        ([last], _) | ([], [.., last]) => *last,
        ([], []) | ([_, _, ..], _) => return None,
    };
    let &[g0, g1, g2, g3, r0, r1, r2, r3, n0, n1, tag] = ids;
    let message_id = MessageId {
        gateway_id: GatewayId([g0, g1, g2, g3]),
        request_id: RequestId([r0, r1, r2, r3]),
        message_index: u16::from_le_bytes([n0, n1]),
    };
    (last <= 1).then_some(Glance { message_id, tag, payload, last: last == 1 })
}

/// A length of up to four bytes, in its shortest form, and how many bytes it took.
#[inline]
fn short_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return (*byte > 0 || index == 0).then_some((length, index + 1));
        }
    }
    None
}
