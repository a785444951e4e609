//! Who does what one actor asks of its store, one after the other.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use underpass_core::kv::{Found, Head, KeyRange, Query, Read, StoreError, Write};
use underpass_core::protocol::kv::KvEntries;

use super::contents::{Contents, Place};
use super::log::{Appended, Log, Logged};
use super::record::{Key, Record, What};
use crate::bucket::Away;

/// How often a call is tried while others use the same store, which they do only as long as an actor moves.
const TRIES: usize = 100;
/// How many messages are asked for at a time.
const AT_ONCE: usize = 16;

/// What word of a move has besides its entries, bytes at most: numbers and names.
const MOVED_RECORD: usize = 192;
/// What it has for each entry besides key and value, bytes at most: numbers and signs.
const MOVED_ENTRY: usize = 64;

/// One store.
#[derive(Debug)]
pub(super) struct Worker {
    log: Log,
    /// None until the log was read, and again when it is not known what became of a change.
    contents: Option<Contents>,
    /// How often NATS was away when it was read.
    times_away: u64,
    /// The server said last that something else was appended.
    overtaken: bool,
}

/// Why a call is not done.
enum Trouble {
    /// The caller's.
    Refused(StoreError),
    /// Another has appended something: it must be looked at again.
    Behind,
    /// Another has taken away what is looked for.
    Gone,
    Away,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Refused(error)
    }
}

impl From<Away> for Trouble {
    fn from(Away: Away) -> Self {
        Trouble::Away
    }
}

impl Worker {
    pub(super) fn new(log: Log) -> Self {
        Worker { log, contents: None, times_away: 0, overtaken: false }
    }

    pub(super) async fn read(&mut self, generation: u32, read: &Read) -> Result<KvEntries, StoreError> {
        for _ in 0..TRIES {
            let found = self.try_read(generation, read).await;
            if let Some(done) = self.settle(found) {
                return done;
            }
        }
        self.busy()
    }

    pub(super) async fn write(&mut self, generation: u32, write: &Write) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let written = self.try_write(generation, write).await;
            if let Some(done) = self.settle(written) {
                return done;
            }
        }
        self.busy()
    }

    /// Takes away what of the log is not needed any more, after the caller has its answer.
    pub(super) async fn tidy(&mut self) {
        match self.shorten().await {
            // What is behind is found out with the next call.
            Ok(()) | Err(Trouble::Behind) => {}
            Err(Trouble::Refused(error)) => {
                tracing::warn!("what an actor keeps takes more room than it needs: {error}")
            }
            Err(Trouble::Gone | Trouble::Away) => self.contents = None,
        }
    }

    /// Others don't let it through. The next call looks at everything again.
    fn busy<T>(&mut self) -> Result<T, StoreError> {
        self.contents = None;
        Err(StoreError::Busy)
    }

    /// None: it is to be tried again.
    fn settle<T>(&mut self, outcome: Result<T, Trouble>) -> Option<Result<T, StoreError>> {
        match outcome {
            Ok(done) => Some(Ok(done)),
            Err(Trouble::Refused(error)) => Some(Err(error)),
            Err(Trouble::Behind) => {
                self.overtaken = true;
                None
            }
            Err(Trouble::Gone) => {
                self.contents = None;
                None
            }
            Err(Trouble::Away) => {
                self.contents = None;
                Some(Err(StoreError::Unavailable))
            }
        }
    }

    async fn try_read(&mut self, generation: u32, Read { query, max_bytes }: &Read) -> Result<KvEntries, Trouble> {
        let contents = self.enter(generation).await?;
        let places: Vec<(Bytes, Place)> = match query {
            Query::Keys(keys) => keys.iter().filter_map(|key| Some((key.clone(), contents.get(&key)?))).collect(),
            Query::Range { range, reverse, limit } => {
                let of = |(key, place): (&Bytes, &Place)| (key.clone(), *place);
                match range.bounds() {
                    Some((start, end)) if *reverse => contents.range(start, end).rev().take(*limit).map(of).collect(),
                    Some((start, end)) => contents.range(start, end).take(*limit).map(of).collect(),
                    None => Vec::new(),
                }
            }
        };
        let mut found = Found::new(*max_bytes);
        // Neighbours are often in one message, which is asked for once.
        let mut together: Vec<(u64, Vec<(Bytes, Place)>)> = Vec::new();
        for (key, place) in places {
            match together.last_mut() {
                Some((sequence, entries)) if *sequence == place.sequence => entries.push((key, place)),
                _ => together.push((place.sequence, vec![(key, place)])),
            }
        }
        let log = &self.log;
        let asked = together
            .into_iter()
            .map(|(sequence, entries)| async move { log.values(sequence).await.map(|values| (values, entries)) });
        let mut answers = stream::iter(asked).buffered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            let (values, entries) = answer?;
            let values = values.ok_or(Trouble::Gone)?;
            for (key, place) in entries {
                found.push(&key, value(&values, place)?, place.stamp)?;
            }
        }
        Ok(found.into())
    }

    async fn try_write(&mut self, generation: u32, write: &Write) -> Result<(), Trouble> {
        self.enter(generation).await?;
        match write {
            Write::Put { entries, update_ts, max_stored } => self.put(entries, *update_ts, *max_stored).await,
            Write::Delete(keys) => {
                let mut there: Vec<_> = keys.iter().map(|key| Key(Bytes::copy_from_slice(&key))).collect();
                there.sort_unstable();
                there.dedup();
                let contents = self.known()?;
                there.retain(|Key(key)| contents.get(key).is_some());
                let freed = there.iter().map(|Key(key)| contents.size(key)).sum();
                self.delete(freed, there.is_empty(), What::Deleted { keys: there }).await
            }
            Write::DeleteRange(range) => self.delete_range(range).await,
            Write::Drop => self.delete_range(&KeyRange::all()).await,
        }
    }

    async fn put(&mut self, entries: &BTreeMap<Bytes, Bytes>, update_ts: i64, max_stored: u64) -> Result<(), Trouble> {
        let contents = self.known()?;
        let mut head = contents.head;
        let freed = entries.keys().map(|key| contents.size(key)).sum();
        let added = entries.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        head.put(freed, added, update_ts, max_stored)?;
        let mut values = BytesMut::with_capacity(entries.values().map(Bytes::len).sum());
        entries.values().for_each(|value| values.extend_from_slice(value));
        // Copied: a slice would keep the whole frame that it came in.
        let length = |value: &Bytes| u32::try_from(value.len()).unwrap_or(u32::MAX);
        let entries = entries.iter().map(|(key, value)| (Key(Bytes::copy_from_slice(key)), length(value))).collect();
        self.append(head, What::Put { update_ts, entries }, values.freeze()).await
    }

    async fn delete_range(&mut self, range: &KeyRange) -> Result<(), Trouble> {
        let (Some((start, end)), Some(what)) = (range.bounds(), What::deleted_range(range)) else { return Ok(()) };
        let contents = self.known()?;
        let (mut freed, mut is_empty) = (0, true);
        for (key, place) in contents.range(start, end) {
            freed += (key.len() + place.length) as u64;
            is_empty = false;
        }
        self.delete(freed, is_empty, what).await
    }

    async fn delete(&mut self, freed: u64, is_empty: bool, what: What) -> Result<(), Trouble> {
        if is_empty {
            return Ok(());
        }
        let mut head = self.known()?.head;
        head.delete(freed);
        self.append(head, what, Bytes::new()).await
    }

    /// The contents as they are now, for a generation that may use them.
    async fn enter(&mut self, generation: u32) -> Result<&Contents, Trouble> {
        // The server may have come back with another log.
        let times_away = self.log.times_away();
        if self.times_away != times_away {
            (self.times_away, self.contents) = (times_away, None);
        }
        let overtaken = core::mem::take(&mut self.overtaken);
        let contents = match &mut self.contents {
            Some(contents) => {
                let last = contents.last;
                // Another process may have used the store.
                while let Some(logged) = self.log.behind(contents.last).await? {
                    // One that nobody needs any more may be gone, but whoever has not seen it may need it.
                    if logged.record.number == contents.records {
                        contents.apply(logged);
                    } else {
                        *contents = read(&self.log).await?;
                    }
                }
                // Something else is last, and nothing is behind what was: the stream was made anew.
                if overtaken && contents.last == last {
                    *contents = read(&self.log).await?;
                }
                contents
            }
            None => self.contents.insert(read(&self.log).await?),
        };
        let mut head = contents.head;
        head.admit(generation)?;
        if head != contents.head {
            self.append(head, What::Used, Bytes::new()).await?;
        }
        self.known()
    }

    fn known(&self) -> Result<&Contents, Trouble> {
        self.contents.as_ref().ok_or(Trouble::Away)
    }

    async fn append(&mut self, head: Head, what: What, values: Bytes) -> Result<(), Trouble> {
        let contents = self.contents.as_mut().ok_or(Trouble::Away)?;
        let record = Record::new(contents.records, head, what);
        let size = values.len() as u64;
        match self.log.append(&record, values, contents.last).await? {
            Appended::At(sequence) => {
                contents.apply(Logged { sequence, record, size });
                Ok(())
            }
            Appended::Behind => Err(Trouble::Behind),
            Appended::TooLarge { bytes, max_bytes } => Err(Trouble::Refused(StoreError::TooLarge { bytes, max_bytes })),
        }
    }

    async fn shorten(&mut self) -> Result<(), Trouble> {
        let Some(contents) = &mut self.contents else { return Ok(()) };
        for dead in contents.take_dead() {
            // In this order: word of a removal goes behind what it is about.
            self.log.delete(dead).await?;
        }
        let Some((sequence, mut entries)) = contents.to_move() else { return Ok(()) };
        // Those that do not fit have their turn the next time.
        let mut room = self.log.room().saturating_sub(MOVED_RECORD);
        entries.retain(|(key, place)| {
            let left = room.checked_sub(key.len().div_ceil(3) * 4 + place.length + MOVED_ENTRY);
            room = left.unwrap_or(0);
            left.is_some()
        });
        if entries.is_empty() {
            return Ok(());
        }
        let head = contents.head;
        let all = self.log.values(sequence).await?.ok_or(Trouble::Gone)?;
        let mut values = BytesMut::new();
        let mut moved = Vec::with_capacity(entries.len());
        for (key, place) in entries {
            let value = value(&all, place)?;
            values.extend_from_slice(value);
            let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
            moved.push((Key(key), length, place.stamp.version, place.stamp.update_ts));
        }
        self.append(head, What::Moved { entries: moved }, values.freeze()).await
    }
}

/// What a log says.
async fn read(log: &Log) -> Result<Contents, Away> {
    let mut contents = Contents::default();
    log.read().await?.into_iter().for_each(|logged| contents.apply(logged));
    Ok(contents)
}

/// A value among those of its message.
fn value(values: &Bytes, place: Place) -> Result<&[u8], Away> {
    values.get(place.offset..place.offset + place.length).ok_or(Away)
}
