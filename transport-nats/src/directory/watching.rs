//! A watch on the records of one bucket.

use core::future::poll_fn;
use core::mem;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use underpass_core::directory::{DirectoryUnavailable, Revision, Seen, Versioned, Watch};

use super::keys::Key;
use crate::bucket::{Away, Bucket, Entry, Following};
use crate::lock;

/// What a bucket keeps.
pub(crate) trait Record: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Record for T {}

/// How records are written: as JSON, so that one with a field more can be read by a program that does not know it.
pub(crate) fn to_bytes(record: &impl Record) -> Option<Bytes> {
    serde_json::to_vec(record).ok().map(Bytes::from)
}

/// Reads a record. None if another program wrote it.
pub(crate) fn from_bytes<R: Record>(key: &str, value: &[u8]) -> Option<R> {
    serde_json::from_slice(value)
        .inspect_err(|error| tracing::warn!(key, "a record that cannot be read is left out: {error}"))
        .ok()
}

/// A watch on the records of one kind of a directory on NATS: each as it is when one looks. What it holds is bounded by
/// the number of records. It ends when NATS was away.
#[derive(Debug)]
pub struct NatsWatch<Key, Record> {
    changed: Arc<Mutex<Changed<Key, Record>>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Changed<Key, Record> {
    seen: BTreeMap<Key, Option<Versioned<Record>>>,
    ended: bool,
    waiting: Option<Waker>,
}

/// Records that are there, as a watch shows them.
pub(crate) type There<Key, Record> = Vec<Seen<Key, Record>>;

/// Those that are there, and the watch that shows what changes from then on.
pub(super) async fn begin<K: Key, R: Record>(
    bucket: &Bucket,
) -> Result<(There<K, R>, NatsWatch<K, R>), DirectoryUnavailable> {
    let (entries, following) = bucket.follow().await.map_err(|Away| DirectoryUnavailable)?;
    // One may have changed while they were told.
    let seen: BTreeMap<_, _> = entries.into_iter().filter_map(seen).collect();
    let is_there = |(key, record): (K, Option<_>)| Some(Seen { key, record: Some(record?) });
    let there = seen.into_iter().filter_map(is_there).collect();
    let changed = Arc::new(Mutex::new(Changed { seen: BTreeMap::new(), ended: false, waiting: None }));
    let task = tokio::spawn(follow(following, Noting(changed.clone())));
    Ok((there, NatsWatch { changed, task }))
}

impl<K: Ord, R> NatsWatch<K, R> {
    /// Shows these as well.
    pub(super) fn show(&self, there: There<K, R>) {
        let mut changed = lock(&self.changed);
        for Seen { key, record } in there {
            // What has changed since is newer.
            changed.seen.entry(key).or_insert(record);
        }
    }
}

impl<K, R> Drop for NatsWatch<K, R> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K: Ord + Send + 'static, R: Send + 'static> Watch<Seen<K, R>> for NatsWatch<K, R> {
    /// Records come in the order of their keys.
    async fn changed(&mut self, seen: &mut Vec<Seen<K, R>>) -> Result<(), DirectoryUnavailable> {
        poll_fn(|context| lock(&self.changed).poll(seen, context)).await
    }
}

impl<K: Ord, R> Changed<K, R> {
    fn poll(&mut self, seen: &mut Vec<Seen<K, R>>, context: &Context<'_>) -> Poll<Result<(), DirectoryUnavailable>> {
        if !self.seen.is_empty() {
            seen.extend(mem::take(&mut self.seen).into_iter().map(|(key, record)| Seen { key, record }));
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Err(DirectoryUnavailable));
        }
        self.waiting = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Who notes what changes. When it goes, however that is, the watch has ended.
struct Noting<Key, Record>(Arc<Mutex<Changed<Key, Record>>>);

impl<K, R> Noting<K, R> {
    fn note(&self, work: impl FnOnce(&mut Changed<K, R>)) {
        let waker = {
            let mut changed = lock(&self.0);
            work(&mut changed);
            changed.waiting.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<K, R> Drop for Noting<K, R> {
    fn drop(&mut self) {
        self.note(|changed| changed.ended = true);
    }
}

/// Notes what changes, until NATS is away.
async fn follow<K: Key, R: Record>(mut following: Following, noting: Noting<K, R>) {
    while let Ok(entry) = following.next().await {
        noting.note(|changed| changed.seen.extend(seen(entry)));
    }
}

fn seen<K: Key, R: Record>(entry: Entry) -> Option<(K, Option<Versioned<R>>)> {
    let Entry { key: text, revision, value } = entry;
    let key = K::from_text(&text)?;
    let record = match value {
        Some(value) => Some(Versioned { revision: Revision(revision), record: from_bytes(&text, &value)? }),
        None => None,
    };
    Some((key, record))
}

#[cfg(test)]
mod tests {
    use underpass_core::protocol::GatewayId;

    use super::*;

    #[tokio::test]
    async fn a_watch_ends_when_nobody_notes_what_changes_any_more() {
        let changed =
            Arc::new(Mutex::new(Changed::<GatewayId, ()> { seen: BTreeMap::new(), ended: false, waiting: None }));
        let noting = Noting(changed.clone());
        let task = tokio::spawn(async move {
            let _noting = noting;
            tokio::task::yield_now().await;
            panic!("by a fault");
        });
        let mut watch = NatsWatch { changed, task };
        assert_eq!(watch.changed(&mut Vec::new()).await, Err(DirectoryUnavailable));
    }
}
