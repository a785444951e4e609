//! Entries on their way into an answer.

use bytes::Bytes;

use super::{Stamp, StoreError};
use crate::protocol::data_list::Growing;
use crate::protocol::kv::{KvEntries, KvMetadata};

/// What an entry takes in an answer besides its key and its value: lengths and metadata, in memory, bytes.
pub(super) const ENTRY_OVERHEAD: usize = 96;

/// Entries that a store found, up to a limit in bytes. Each counts with its key, its value and 96 bytes more.
#[derive(Clone, Debug)]
pub struct Found {
    keys: Growing,
    values: Growing,
    metadata: Vec<KvMetadata>,
    bytes: usize,
    max_bytes: usize,
}

impl Found {
    /// Nothing yet; at most so many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Found { keys: Growing::default(), values: Growing::default(), metadata: Vec::new(), bytes: 0, max_bytes }
    }

    /// How many entries were found.
    pub fn len(&self) -> usize {
        self.metadata.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.metadata.is_empty()
    }

    /// One more.
    ///
    /// # Errors
    /// It does not fit: [`StoreError::AnswerTooLarge`].
    pub fn push(&mut self, key: &[u8], value: &[u8], stamp: Stamp) -> Result<(), StoreError> {
        self.bytes = self.bytes.saturating_add(key.len() + value.len() + ENTRY_OVERHEAD);
        if self.bytes > self.max_bytes {
            return Err(StoreError::AnswerTooLarge { max_bytes: self.max_bytes });
        }
        self.keys.push(key);
        self.values.push(value);
        let Stamp { version, update_ts } = stamp;
        self.metadata.push(KvMetadata { version: Bytes::copy_from_slice(&version.to_be_bytes()), update_ts });
        Ok(())
    }
}

impl From<Found> for KvEntries {
    fn from(Found { keys, values, metadata, bytes: _, max_bytes: _ }: Found) -> Self {
        KvEntries { keys: keys.into_list(), values: values.into_list(), metadata }
    }
}
