//! What actors keep: a key-value store for each, as an adapter must offer it.
//!
//! A request of a runner is held against the [`Limits`], which makes a [`Call`] of it or says what is wrong with it. A
//! call is carried out on a [`KvStore`], and its outcome is the answer. What lists hold, where ranges end and who may
//! use a store is decided here; a store brings ordered keys and transactions.

mod call;
mod found;
mod head;
mod limits;
mod range;

use core::future::Future;
use std::collections::BTreeMap;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::directory::Pool;
use crate::protocol::DataList;
use crate::protocol::kv::KvEntries;

pub use call::{Call, error_response};
pub use found::Found;
pub use head::{Head, Stamp};
pub use limits::{Limits, RequestRefused};
pub use range::KeyRange;

/// Whose store it is. It outlives the actor's generations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActorStore {
    /// The actor's namespace and pool.
    pub pool: Pool,
    /// The actor's id.
    pub actor_id: ByteString,
}

/// Who uses a store: one generation of its actor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Which store.
    pub store: ActorStore,
    /// Which generation. One that is older than another that has used the store is refused.
    pub generation: u32,
}

/// Asks for entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Which.
    pub query: Query,
    /// The most bytes that the answer may have, as [`Found`] counts them.
    pub max_bytes: usize,
}

/// Which entries are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Those of these keys that exist, in this order.
    Keys(DataList),
    /// Those of a range.
    Range {
        /// Which keys.
        range: KeyRange,
        /// Descending by bytes instead of ascending.
        reverse: bool,
        /// At most so many, the first in that order.
        limit: usize,
    },
}

/// Changes a store: all of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// Each key gets its value.
    Put {
        /// Keys and values.
        entries: BTreeMap<Bytes, Bytes>,
        /// What time it is, milliseconds since the Unix epoch.
        update_ts: i64,
        /// The most bytes that the store may have afterwards, if it grows.
        max_stored: u64,
    },
    /// These keys go; missing ones do no harm.
    Delete(DataList),
    /// The keys of a range go.
    DeleteRange(KeyRange),
    /// All keys go. That the actor's generation has used the store is still known.
    Drop,
}

/// Why a store did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The actor has moved on.
    #[error("generation {generation} of this actor may not use its store: generation {newest} has")]
    Fenced {
        /// The caller's.
        generation: u32,
        /// The newest that has used the store.
        newest: u32,
    },
    /// The store would grow beyond its limit.
    #[error("the store of this actor may have {max_stored} bytes; it has {stored}, and would have {wanted}")]
    Full {
        /// What it has, bytes.
        stored: u64,
        /// What it would have, bytes.
        wanted: u64,
        /// What it may have, bytes.
        max_stored: u64,
    },
    /// More was found than an answer may hold.
    #[error("the answer would have more than the {max_bytes} bytes that it may have: ask for less at a time")]
    AnswerTooLarge {
        /// What an answer may have, bytes.
        max_bytes: usize,
    },
    /// A change is larger than the store takes at once.
    #[error("this has {bytes} bytes, and the store takes {max_bytes} at once: put less at a time")]
    TooLarge {
        /// What it has, as the store writes it, bytes.
        bytes: usize,
        /// What it may have, bytes.
        max_bytes: usize,
    },
    /// Too many calls wait.
    #[error("the store is busy")]
    Busy,
    /// The store failed, or has been closed. What became of a change is not known.
    #[error("the store is away")]
    Unavailable,
}

/// The key-value stores of all actors.
///
/// The calls of one store take effect in the order in which these functions were called, not in which their futures
/// are polled; so one can ask for a value that is still being put. A future dropped early takes nothing back.
pub trait KvStore: Clone + Send + Sync + 'static {
    /// Finds entries.
    ///
    /// # Errors
    /// The owner is fenced, the answer is too large, or the store does not serve.
    fn read(
        &self,
        owner: Owner,
        read: Read,
    ) -> impl Future<Output = Result<KvEntries, StoreError>> + Send + 'static + use<Self>;

    /// Makes a change. When it says so, the change is there for good: a durable store has it on disk.
    ///
    /// # Errors
    /// The owner is fenced, the store is full, or it does not serve. But for [`StoreError::Unavailable`], nothing has
    /// changed.
    fn write(
        &self,
        owner: Owner,
        write: Write,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static + use<Self>;
}
