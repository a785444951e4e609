//! How the file is laid out, and what calls do to it.
//!
//! Each actor has a number, so that its names stand in the file once: `stores` says it, and what is known of the actor
//! besides its entries; `entries` are in the order of number and key.

use core::ops::Bound;
use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use underpass_core::kv::{ActorStore, Found, Head, KeyRange, Owner, Query, Read, Stamp, StoreError, Write};
use underpass_core::protocol::kv::KvEntries;

/// The format that this program reads and writes.
pub(crate) const FORMAT: u64 = 1;

/// Namespace, pool and actor id.
type StoreKey = (&'static str, &'static str, &'static str);
/// Number, generation, puts, bytes stored.
type StoreValue = (u64, u32, u64, u64);
/// The actor's number, and the key.
type EntryKey = (u64, &'static [u8]);
/// Version, milliseconds since the Unix epoch, and the value.
type EntryValue = (u64, i64, &'static [u8]);

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const STORES: TableDefinition<StoreKey, StoreValue> = TableDefinition::new("stores");
const ENTRIES: TableDefinition<EntryKey, EntryValue> = TableDefinition::new("entries");

/// In `meta`: the file's format.
const FORMAT_KEY: &str = "format";
/// In `meta`: how many numbers were given.
const NUMBERS_KEY: &str = "numbers";

/// Why a call came to nothing.
pub(crate) enum Trouble {
    /// The caller's.
    Refused(StoreError),
    /// The file's. Nothing of the transaction stays.
    Broken(redb::Error),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Refused(error)
    }
}

impl From<redb::StorageError> for Trouble {
    fn from(error: redb::StorageError) -> Self {
        Trouble::Broken(error.into())
    }
}

/// Sees to it that a file that is new has its tables. Says the format of another that this program does not know.
pub(crate) fn prepare(database: &Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_write()?;
    let found = transaction.open_table(META)?.get(FORMAT_KEY)?.map(|found| found.value());
    if found.is_some() {
        transaction.abort()?;
        return Ok(found.filter(|&found| found != FORMAT));
    }
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.open_table(STORES)?;
    transaction.open_table(ENTRIES)?;
    transaction.commit()?;
    Ok(None)
}

/// The newest generation of all actors that have used their stores.
pub(crate) fn newest_generation(database: &Database) -> Result<u32, redb::Error> {
    let stores = database.begin_read()?.open_table(STORES)?;
    let mut newest = 0;
    for row in stores.iter()? {
        let (_, generation, _, _) = row?.1.value();
        newest = newest.max(generation);
    }
    Ok(newest)
}

/// An actor's row in `stores`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Row {
    number: u64,
    head: Head,
}

fn row(stores: &impl ReadableTable<StoreKey, StoreValue>, store: &ActorStore) -> Result<Option<Row>, Trouble> {
    Ok(stores.get(store_key(store))?.map(|row| {
        let (number, generation, puts, stored) = row.value();
        Row { number, head: Head { generation, puts, stored } }
    }))
}

fn store_key(ActorStore { pool, actor_id }: &ActorStore) -> (&str, &str, &str) {
    (&pool.namespace, &pool.name, actor_id)
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

/// Where keys start and end among those of all actors.
type Bounds<'r> = (Bound<(u64, &'r [u8])>, Bound<(u64, &'r [u8])>);

/// Where a range of an actor's keys does; none if it is empty.
fn bounds(number: u64, range: &KeyRange) -> Option<Bounds<'_>> {
    let (start, end) = range.bounds()?;
    let end = match end {
        Bound::Included(end) => Bound::Included((number, &end[..])),
        Bound::Excluded(end) => Bound::Excluded((number, &end[..])),
        Bound::Unbounded => Bound::Excluded((number + 1, &[][..])),
    };
    Some((start.map(|start| (number, &start[..])), end))
}

fn find(
    entries: &impl ReadableTable<EntryKey, EntryValue>,
    number: u64,
    Read { query, max_bytes }: &Read,
) -> Result<KvEntries, Trouble> {
    let mut found = Found::new(*max_bytes);
    let mut push = |key: &[u8], (version, update_ts, value): (u64, i64, &[u8])| {
        found.push(key, value, Stamp { version, update_ts })
    };
    match query {
        Query::Keys(keys) => {
            for key in keys.iter() {
                if let Some(entry) = entries.get((number, &key[..]))? {
                    push(&key, entry.value())?;
                }
            }
        }
        Query::Range { range, reverse, limit } => {
            if let Some(bounds) = bounds(number, range) {
                let mut range = entries.range(bounds)?;
                let next = || if *reverse { range.next_back() } else { range.next() };
                for entry in core::iter::from_fn(next).take(*limit) {
                    let (key, entry) = entry?;
                    push(key.value().1, entry.value())?;
                }
            }
        }
    }
    Ok(found.into())
}

/// The file as it was committed last.
pub(crate) struct Snapshot(ReadTransaction);

impl Snapshot {
    pub(crate) fn new(database: &Database) -> Result<Self, redb::Error> {
        Ok(Snapshot(database.begin_read()?))
    }

    /// Reads for an owner, unless it has yet to be noted that its generation uses the store.
    pub(crate) fn read(&self, owner: &Owner, read: &Read) -> Result<Option<KvEntries>, Trouble> {
        let stores = self.0.open_table(STORES).map_err(broken)?;
        let Some(Row { number, head }) = row(&stores, &owner.store)? else { return Ok(None) };
        let mut admitted = head;
        admitted.admit(owner.generation)?;
        if admitted != head {
            return Ok(None);
        }
        let entries = self.0.open_table(ENTRIES).map_err(broken)?;
        find(&entries, number, read).map(Some)
    }
}

/// The file in a transaction.
pub(crate) struct Tables<'t> {
    meta: Table<'t, &'static str, u64>,
    stores: Table<'t, StoreKey, StoreValue>,
    entries: Table<'t, EntryKey, EntryValue>,
}

impl<'t> Tables<'t> {
    pub(crate) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Tables {
            meta: transaction.open_table(META)?,
            stores: transaction.open_table(STORES)?,
            entries: transaction.open_table(ENTRIES)?,
        })
    }

    pub(crate) fn read(&mut self, owner: &Owner, read: &Read) -> Result<KvEntries, Trouble> {
        self.enter(owner, |tables, row| find(&tables.entries, row.number, read))
    }

    pub(crate) fn write(&mut self, owner: &Owner, write: &Write) -> Result<(), Trouble> {
        self.enter(owner, |tables, Row { number, head }| match write {
            Write::Put { entries, update_ts, max_stored } => {
                tables.put(*number, head, entries, *update_ts, *max_stored)
            }
            Write::Delete(keys) => {
                for key in keys.iter() {
                    if let Some(gone) = tables.entries.remove((*number, &key[..]))? {
                        head.delete(size(&key, gone.value().2));
                    }
                }
                Ok(())
            }
            Write::DeleteRange(range) => tables.delete_range(*number, head, range),
            Write::Drop => tables.delete_range(*number, head, &KeyRange::all()),
        })
    }

    /// Does something with the store of an owner that may use it, and keeps what that changed in its row.
    fn enter<T>(
        &mut self,
        Owner { store, generation }: &Owner,
        work: impl FnOnce(&mut Self, &mut Row) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let kept = row(&self.stores, store)?;
        let mut row = match kept {
            Some(row) => row,
            None => Row { number: self.number()?, head: Head::default() },
        };
        row.head.admit(*generation)?;
        let outcome = work(self, &mut row);
        if kept != Some(row) {
            let Row { number, head: Head { generation, puts, stored } } = row;
            self.stores.insert(store_key(store), (number, generation, puts, stored))?;
        }
        outcome
    }

    /// A number that no actor had.
    fn number(&mut self) -> Result<u64, Trouble> {
        let number = self.meta.get(NUMBERS_KEY)?.map_or(0, |numbers| numbers.value());
        self.meta.insert(NUMBERS_KEY, number + 1)?;
        Ok(number)
    }

    fn put(
        &mut self,
        number: u64,
        head: &mut Head,
        entries: &BTreeMap<Bytes, Bytes>,
        update_ts: i64,
        max_stored: u64,
    ) -> Result<(), Trouble> {
        let (mut freed, mut added) = (0, 0);
        for (key, value) in entries {
            if let Some(old) = self.entries.get((number, &key[..]))? {
                freed += size(key, old.value().2);
            }
            added += size(key, value);
        }
        let Stamp { version, update_ts } = head.put(freed, added, update_ts, max_stored)?;
        for (key, value) in entries {
            self.entries.insert((number, &key[..]), (version, update_ts, &value[..]))?;
        }
        Ok(())
    }

    fn delete_range(&mut self, number: u64, head: &mut Head, range: &KeyRange) -> Result<(), Trouble> {
        let Some(bounds) = bounds(number, range) else { return Ok(()) };
        self.entries.retain_in(bounds, |(_, key), (_, _, value)| {
            head.delete(size(key, value));
            false
        })?;
        Ok(())
    }
}

fn broken(error: redb::TableError) -> Trouble {
    Trouble::Broken(error.into())
}
