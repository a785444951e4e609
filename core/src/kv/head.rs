//! What a store knows of an actor besides its entries.

use super::StoreError;

/// Who used an actor's store last, and how much is in it. A store keeps one for each actor and changes it in the same
/// transaction as the entries; the one of an actor that never used its store is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The newest generation that has used the store.
    pub generation: u32,
    /// How often something was put.
    pub puts: u64,
    /// The bytes of all keys and values.
    pub stored: u64,
}

/// When an entry was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which put of its actor it was, counted from 1; never one twice.
    pub version: u64,
    /// Milliseconds since the Unix epoch.
    pub update_ts: i64,
}

impl Head {
    /// A generation wants to use the store.
    ///
    /// # Errors
    /// A newer one has: [`StoreError::Fenced`].
    pub fn admit(&mut self, generation: u32) -> Result<(), StoreError> {
        if generation < self.generation {
            return Err(StoreError::Fenced { generation, newest: self.generation });
        }
        self.generation = generation;
        Ok(())
    }

    /// Entries of `added` bytes take the place of entries of `freed` bytes. Says their stamp.
    ///
    /// # Errors
    /// The store would grow over its limit: [`StoreError::Full`], and nothing has changed.
    pub fn put(&mut self, freed: u64, added: u64, update_ts: i64, max_stored: u64) -> Result<Stamp, StoreError> {
        let wanted = self.stored - freed + added;
        if wanted > max_stored && wanted > self.stored {
            return Err(StoreError::Full { stored: self.stored, wanted, max_stored });
        }
        self.stored = wanted;
        self.puts += 1;
        Ok(Stamp { version: self.puts, update_ts })
    }

    /// Entries of `freed` bytes are gone.
    pub fn delete(&mut self, freed: u64) {
        self.stored -= freed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_over_its_limit_may_still_shrink() {
        let mut head = Head { stored: 100, ..Head::default() };
        assert_eq!(head.put(10, 11, 0, 50), Err(StoreError::Full { stored: 100, wanted: 101, max_stored: 50 }));
        assert_eq!(head, Head { stored: 100, ..Head::default() });
        assert_eq!(head.put(10, 10, 7, 50), Ok(Stamp { version: 1, update_ts: 7 }));
        assert_eq!(head.put(90, 0, 8, 50), Ok(Stamp { version: 2, update_ts: 8 }));
        assert_eq!(head.stored, 10);
    }
}
