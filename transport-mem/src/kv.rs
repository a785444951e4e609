//! The key-value store: ordered maps.

use core::fmt;
use core::future::{Future, ready};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use underpass_core::kv::{ActorStore, Found, Head, KeyRange, KvStore, Owner, Query, Read, Stamp, StoreError, Write};
use underpass_core::protocol::kv::KvEntries;

use crate::lock;

/// A key-value store within the process. Clones are the same store. It is never away, and answers at once.
///
/// What an actor keeps is bounded by the limits of the calls. Which generation used a store last is known as long as
/// the process lives, also of an actor that keeps nothing any more.
#[derive(Clone, Default)]
pub struct MemKv {
    actors: Arc<Mutex<BTreeMap<ActorStore, Actor>>>,
}

#[derive(Default)]
struct Actor {
    head: Head,
    entries: BTreeMap<Bytes, Entry>,
}

struct Entry {
    value: Bytes,
    stamp: Stamp,
}

impl MemKv {
    /// An empty store of its own.
    pub fn new() -> Self {
        MemKv::default()
    }

    /// Does something with the store of an owner that may use it.
    fn enter<T>(
        &self,
        Owner { store, generation }: Owner,
        work: impl FnOnce(&mut Actor) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut actors = lock(&self.actors);
        let actor = actors.entry(store).or_default();
        actor.head.admit(generation)?;
        work(actor)
    }
}

impl Actor {
    fn read(&self, Read { query, max_bytes }: Read) -> Result<KvEntries, StoreError> {
        let mut found = Found::new(max_bytes);
        match query {
            Query::Keys(keys) => {
                for key in keys.iter() {
                    if let Some(Entry { value, stamp }) = self.entries.get(&key) {
                        found.push(&key, value, *stamp)?;
                    }
                }
            }
            Query::Range { range, reverse, limit } => {
                if let Some(bounds) = range.bounds() {
                    let mut entries = self.entries.range::<Bytes, _>(bounds);
                    let next = || if reverse { entries.next_back() } else { entries.next() };
                    for (key, Entry { value, stamp }) in core::iter::from_fn(next).take(limit) {
                        found.push(key, value, *stamp)?;
                    }
                }
            }
        }
        Ok(found.into())
    }

    fn write(&mut self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Put { entries, update_ts, max_stored } => self.put(entries, update_ts, max_stored)?,
            Write::Delete(keys) => {
                for key in keys.iter() {
                    if let Some(Entry { value, stamp: _ }) = self.entries.remove(&key) {
                        self.head.delete(size(&key, &value));
                    }
                }
            }
            Write::DeleteRange(range) => self.delete_range(&range),
            Write::Drop => self.delete_range(&KeyRange::all()),
        }
        Ok(())
    }

    fn put(&mut self, entries: BTreeMap<Bytes, Bytes>, update_ts: i64, max_stored: u64) -> Result<(), StoreError> {
        let there = |key: &Bytes| self.entries.get(key).map_or(0, |Entry { value, stamp: _ }| size(key, value));
        let freed = entries.keys().map(there).sum();
        let added = entries.iter().map(|(key, value)| size(key, value)).sum();
        let stamp = self.head.put(freed, added, update_ts, max_stored)?;
        for (key, value) in entries {
            // Copied: a slice would keep the whole frame that it came in.
            let value = Bytes::copy_from_slice(&value);
            self.entries.insert(Bytes::copy_from_slice(&key), Entry { value, stamp });
        }
        Ok(())
    }

    fn delete_range(&mut self, range: &KeyRange) {
        let Some(bounds) = range.bounds() else { return };
        for (key, Entry { value, stamp: _ }) in self.entries.extract_if(bounds, |_, _| true) {
            self.head.delete(size(&key, &value));
        }
    }
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

impl KvStore for MemKv {
    fn read(
        &self,
        owner: Owner,
        read: Read,
    ) -> impl Future<Output = Result<KvEntries, StoreError>> + Send + 'static + use<> {
        ready(self.enter(owner, |actor| actor.read(read)))
    }

    fn write(
        &self,
        owner: Owner,
        write: Write,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static + use<> {
        ready(self.enter(owner, |actor| actor.write(write)))
    }
}

impl fmt::Debug for MemKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actors = lock(&self.actors);
        f.debug_map().entries(actors.iter().map(|(store, actor)| (store, &actor.head))).finish()
    }
}
