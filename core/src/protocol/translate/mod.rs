//! Translating between neighbouring versions, by meaning.
//!
//! Each version's module says how its messages become those of the next newer version and how they come of them; what
//! two versions share is not translated at all. Longer ways are made of such steps by [`any`](super::any). What a step
//! must know beyond the message itself is in a [`Memory`].

use thiserror::Error;

use super::Version;

mod gateways;
mod generations;
mod indexes;
mod memory;
mod numbers;

pub(crate) use gateways::NamesGateways;
pub use memory::Memory;

/// One step: the same message in the words of a neighbouring version.
pub(crate) trait Translate<To> {
    fn translate(self, memory: &mut Memory) -> Result<To, Untranslatable>;
}

/// What two versions share.
impl<T> Translate<T> for T {
    fn translate(self, _: &mut Memory) -> Result<T, Untranslatable> {
        Ok(self)
    }
}

/// Translates each item of a list.
pub(crate) fn each<From: Translate<To>, To>(items: Vec<From>, memory: &mut Memory) -> Result<Vec<To>, Untranslatable> {
    items.into_iter().map(|item| item.translate(memory)).collect()
}

/// Why a message has no equal in another version, or none that may be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Untranslatable {
    /// Older versions do not have it.
    #[error("{message} needs {version}")]
    Needs {
        /// Its name in the schema.
        message: &'static str,
        /// The oldest version that has it.
        version: Version,
    },
    /// Newer versions do not have it.
    #[error("{message} ended with {version}")]
    EndedWith {
        /// Its name in the schema.
        message: &'static str,
        /// The newest version that has it.
        version: Version,
    },
    /// It is counted differently on the two sides, and only the session of a relay knows both counts.
    #[error("{message} between v3 and v4 needs the state of a relay's session")]
    NeedsSession {
        /// Its name in the schema.
        message: &'static str,
    },
    /// An acknowledgement between a relay and its runner, which goes no further.
    #[error("{message} is between a relay and its runner alone, and is not translated")]
    Acknowledgement {
        /// Its name in the schema.
        message: &'static str,
    },
    /// A word of the sub-protocol `underpass.1`, which no older version has.
    #[error("{message} is private to underpass.1 and needs v7")]
    Private {
        /// Its name.
        message: &'static str,
    },
    /// A UUID of version 1 or 2 that does not hold ids as a relay puts them there.
    #[error("{field} was never issued by a relay")]
    NeverIssued {
        /// The field's name in the schema.
        field: &'static str,
    },
    /// A gateway id of four zero bytes.
    #[error("a gatewayId of 00000000 names no gateway")]
    ZeroGatewayId,
    /// More requests are open on the connection than may be.
    #[error("too many requests are open")]
    TooManyRequests,
}
