//! What stands in front of a frame on NATS.
//!
//! ```text
//! 1 byte   0x10 and the kind
//! from     0: nobody; 1: a gateway, 4 bytes; 2: a connection, 16 bytes of its relay and 8 of its number
//! kind 0   frames:              strand 8, number of the first 8, and the frames (see `pack`)
//! kind 1   a large frame comes: its id 8, its length 4
//! kind 2   a piece of it:       its id 8, offset 4, and the piece
//! kind 3   is anybody there?    nothing
//! kind 4   said to oneself:     token 8
//! ```
//! Numbers are big-endian. It is no NATS header, since headers are text that is built and parsed in maps: with one, a
//! bus carries half as many small frames.

use bytes::{Buf, BufMut, Bytes};
use underpass_core::bus::{ConnectionId, RelayId, Subject};
use underpass_core::protocol::GatewayId;
use uuid::Uuid;

/// The first four bits of the first byte: this format.
const FORMAT: u8 = 0x10;

/// The longest, bytes.
pub(crate) const LONGEST: usize = 1 + 1 + 16 + 8 + 8 + 8;

/// What stands in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// What the publisher said that it is.
    pub(crate) from: Option<Subject>,
    pub(crate) kind: Kind,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Frames, and the place of the first.
    Frames(Count),
    /// Nothing yet: a large frame is to come in pieces.
    Large {
        /// What its publisher calls it; nothing else is ever called so.
        id: u64,
        /// Bytes.
        length: u32,
    },
    /// A piece of a large frame.
    Piece {
        /// Of which.
        id: u64,
        /// Where it belongs, bytes.
        offset: u32,
    },
    /// Nothing: the server is asked whether anybody is there.
    Ask,
    /// Nothing: an inbox makes sure that it hears what is published.
    Attached(u64),
}

/// The place of a frame among those from one publisher to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Which publisher and address; nothing else is ever called so.
    pub(crate) strand: u64,
    /// How many went before.
    pub(crate) number: u64,
}

impl Label {
    pub(crate) fn write(&self, buffer: &mut impl BufMut) {
        buffer.put_u8(FORMAT | self.kind.tag());
        match self.from {
            None => buffer.put_u8(0),
            Some(Subject::Gateway(GatewayId(id))) => {
                buffer.put_u8(1);
                buffer.put_slice(&id);
            }
            Some(Subject::Connection(ConnectionId { relay, number })) => {
                buffer.put_u8(2);
                buffer.put_slice(relay.0.as_bytes());
                buffer.put_u64(number);
            }
        }
        match self.kind {
            Kind::Frames(Count { strand, number }) => {
                buffer.put_u64(strand);
                buffer.put_u64(number);
            }
            Kind::Large { id, length } => {
                buffer.put_u64(id);
                buffer.put_u32(length);
            }
            Kind::Piece { id, offset } => {
                buffer.put_u64(id);
                buffer.put_u32(offset);
            }
            Kind::Ask => {}
            Kind::Attached(token) => buffer.put_u64(token),
        }
    }

    /// Takes it from the front of a message. None if it is none that this program writes.
    pub(crate) fn read(message: &mut Bytes) -> Option<Self> {
        let tag = message.try_get_u8().ok()?;
        let from = match message.try_get_u8().ok()? {
            0 => None,
            1 => Some(Subject::Gateway(GatewayId(array(message)?))),
            2 => {
                let relay = RelayId(Uuid::from_bytes(array(message)?));
                Some(Subject::Connection(ConnectionId { relay, number: message.try_get_u64().ok()? }))
            }
            _ => return None,
        };
        let mut u64 = || message.try_get_u64().ok();
        let kind = match tag ^ FORMAT {
            0 => Kind::Frames(Count { strand: u64()?, number: u64()? }),
            1 => Kind::Large { id: u64()?, length: message.try_get_u32().ok()? },
            2 => Kind::Piece { id: u64()?, offset: message.try_get_u32().ok()? },
            3 => Kind::Ask,
            4 => Kind::Attached(u64()?),
            _ => return None,
        };
        Some(Label { from, kind })
    }
}

impl Kind {
    fn tag(self) -> u8 {
        match self {
            Kind::Frames(_) => 0,
            Kind::Large { .. } => 1,
            Kind::Piece { .. } => 2,
            Kind::Ask => 3,
            Kind::Attached(_) => 4,
        }
    }
}

fn array<const N: usize>(message: &mut Bytes) -> Option<[u8; N]> {
    let mut array = [0; N];
    message.try_copy_to_slice(&mut array).ok()?;
    Some(array)
}

/// What the joiner of a large frame tells its publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Of which.
    pub(crate) id: u64,
    pub(crate) word: Word,
}

/// How it stands with a large frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// So many of its bytes may have been sent; none while others are joined.
    Granted(u32),
    /// It is whole.
    Joined,
    /// A piece is missing, or did not come in time.
    Missing,
    /// There is no room for it.
    Full,
    /// It is larger than an inbox takes.
    TooLarge,
}

impl Receipt {
    pub(crate) fn to_bytes(self) -> Bytes {
        let (tag, granted) = match self.word {
            Word::Granted(granted) => (0, granted),
            Word::Joined => (1, 0),
            Word::Missing => (2, 0),
            Word::Full => (3, 0),
            Word::TooLarge => (4, 0),
        };
        let mut bytes = Vec::with_capacity(13);
        bytes.put_u8(FORMAT | tag);
        bytes.put_u64(self.id);
        bytes.put_u32(granted);
        bytes.into()
    }

    pub(crate) fn read(mut message: Bytes) -> Option<Self> {
        let tag = message.try_get_u8().ok()?;
        let id = message.try_get_u64().ok()?;
        let granted = message.try_get_u32().ok()?;
        let word = match tag ^ FORMAT {
            0 => Word::Granted(granted),
            1 => Word::Joined,
            2 => Word::Missing,
            3 => Word::Full,
            4 => Word::TooLarge,
            _ => return None,
        };
        Some(Receipt { id, word })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn everybody() -> [Option<Subject>; 3] {
        let connection = ConnectionId { relay: RelayId(Uuid::from_u128(u128::MAX - 7)), number: u64::MAX - 5 };
        [None, Some(Subject::Gateway(GatewayId([1, 2, 3, 4]))), Some(Subject::Connection(connection))]
    }

    #[test]
    fn a_label_is_read_as_it_was_written_and_what_follows_is_left() {
        let kinds = [
            Kind::Frames(Count { strand: u64::MAX, number: 7 }),
            Kind::Large { id: 1, length: u32::MAX },
            Kind::Piece { id: 2, offset: 3 },
            Kind::Ask,
            Kind::Attached(9),
        ];
        for from in everybody() {
            for kind in kinds {
                let label = Label { from, kind };
                let mut bytes = Vec::new();
                label.write(&mut bytes);
                assert!(bytes.len() <= LONGEST, "{label:?}");
                for cut in 0..bytes.len() {
                    assert_eq!(Label::read(&mut Bytes::copy_from_slice(&bytes[..cut])), None, "{label:?} of {cut}");
                }
                bytes.extend(b"frame");
                let mut message = Bytes::from(bytes);
                assert_eq!(Label::read(&mut message), Some(label));
                assert_eq!(message, &b"frame"[..]);
            }
        }
    }

    #[test]
    fn what_is_no_label_is_none() {
        for bytes in [&b""[..], b"NATS/1.0", &[FORMAT, 3], &[FORMAT | 5, 0], &[0x20, 0], &[0x23, 0]] {
            assert_eq!(Label::read(&mut Bytes::from_static(bytes)), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_a_stranger_are_a_label_that_would_be_written_so_or_none(
            tag in FORMAT..FORMAT + 6,
            bytes in proptest::collection::vec(0..4_u8, 0..60),
        ) {
            let all = Bytes::from([&[tag], &bytes[..]].concat());
            let mut rest = all.clone();
            if let Some(label) = Label::read(&mut rest) {
                let mut written = Vec::new();
                label.write(&mut written);
                written.extend_from_slice(&rest);
                prop_assert_eq!(&written[..], &all[..]);
            }
            let _ = Receipt::read(all);
        }
    }

    #[test]
    fn a_receipt_is_read_as_it_was_written() {
        for word in [Word::Granted(u32::MAX), Word::Joined, Word::Missing, Word::Full, Word::TooLarge] {
            let receipt = Receipt { id: u64::MAX - 1, word };
            assert_eq!(Receipt::read(receipt.to_bytes()), Some(receipt));
        }
        assert_eq!(Receipt::read(Bytes::from_static(b"NATS/1.0 503\r\n\r\n")), None);
        assert_eq!(Receipt::read(Bytes::new()), None);
    }
}
