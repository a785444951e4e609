//! Errors, each type saying whose fault it is.

use thiserror::Error;

/// A peer sent bytes that break the protocol.
///
/// Machines never return it: what a peer sends becomes actions and counters. Decoders do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{class} at byte {offset}: {expected}")]
pub struct PeerError {
    /// Which rule the bytes break.
    pub class: Malformed,
    /// Where the value that breaks it starts, bytes from the front of the frame.
    pub offset: usize,
    /// What was expected there.
    pub expected: &'static str,
}

/// The ways in which a frame can be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Malformed {
    /// The frame ends within a value, or before the end that a length or a count promises.
    #[error("truncated")]
    Truncated,
    /// Bytes are left over behind the value.
    #[error("trailing")]
    Trailing,
    /// A union's tag, or an enum's value, that this version does not have.
    #[error("bad_tag")]
    BadTag,
    /// A bool other than 0 and 1.
    #[error("bad_bool")]
    BadBool,
    /// An optional whose first byte is neither 0 nor 1.
    #[error("bad_optional")]
    BadOptional,
    /// A string that is not UTF-8.
    #[error("bad_utf8")]
    BadUtf8,
    /// A length or a count of 2 GiB or more: no frame holds it, so it was never the length of anything.
    #[error("length_overflow")]
    LengthOverflow,
    /// A variable-length integer of more than 64 bits.
    #[error("varint_overflow")]
    VarintOverflow,
    /// A variable-length integer with a superfluous zero byte.
    #[error("non_canonical_varint")]
    NonCanonicalVarint,
    /// A map with the same key twice.
    #[error("duplicate_map_key")]
    DuplicateMapKey,
    /// A frame of the bus with another version than 7 in front.
    #[error("bad_version")]
    BadVersion,
}

/// The embedder asked a machine for something that makes no sense in its state. The machine has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ApiMisuse {
    /// A connection number that is in use already.
    #[error("connection {0} is open already")]
    ConnectionInUse(u64),
    /// An event about a connection that the machine was never told of, or that has ended.
    #[error("no connection {0} is open")]
    NoSuchConnection(u64),
    /// A body or a message behind the end of its direction, or of the wrong kind for its request.
    #[error("{0}")]
    OutOfTurn(&'static str),
}

/// A configuration that could not work, refused when the machine is made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A bound that could not hold the largest message that another setting allows.
    #[error("{bound} is {bound_bytes} bytes, less than the {needed} bytes that {largest} may need")]
    BoundBelowLargest {
        /// The setting that is too small.
        bound: &'static str,
        /// Its value, bytes.
        bound_bytes: usize,
        /// The setting that needs more.
        largest: &'static str,
        /// What it needs, bytes.
        needed: usize,
    },
    /// A setting that must not be zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// A setting beyond what its counters can tell apart.
    #[error("{setting} must be at most {most}")]
    TooLarge {
        /// The setting.
        setting: &'static str,
        /// The most that it can be.
        most: u64,
    },
    /// A gateway id of four zero bytes, which names no gateway.
    #[error("a gateway id must not be zero")]
    ZeroGatewayId,
    /// A setting that must be smaller than another.
    #[error("{smaller} must be less than {larger}")]
    Order {
        /// The setting that should be smaller.
        smaller: &'static str,
        /// The setting that should be larger.
        larger: &'static str,
    },
}
