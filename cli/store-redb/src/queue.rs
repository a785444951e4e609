//! What waits for the thread that does the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use tokio::sync::oneshot;
use underpass_core::kv::{Owner, Query, Read, StoreError, Write};
use underpass_core::protocol::DataList;
use underpass_core::protocol::kv::KvEntries;

/// What a call takes besides its keys and values, bytes.
const CALL_OVERHEAD: usize = 256;

/// Counters and gauges of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Calls that were taken.
    pub calls: u64,
    /// Calls that were refused because too much waited.
    pub busy: u64,
    /// Transactions that went to disk.
    pub commits: u64,
    /// Transactions that failed.
    pub failed: u64,
    /// What waits or is being worked on, bytes.
    pub queued: usize,
}

/// The same, as two threads count.
#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    busy: AtomicU64,
    commits: AtomicU64,
    failed: AtomicU64,
    queued: AtomicUsize,
}

/// Who waits for a call.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What a call wants, and who waits for it.
pub(crate) enum Work {
    Read(Read, Answer<KvEntries>),
    Write(Write, Answer<()>),
}

/// A call.
pub(crate) struct Job {
    pub(crate) owner: Owner,
    pub(crate) work: Work,
    pub(crate) held: Held,
}

/// What a call takes of the queue. Dropped before the answer is told.
pub(crate) struct Held {
    bytes: usize,
    counters: Arc<Counters>,
}

/// Where calls are put.
pub(crate) struct Queue {
    jobs: Sender<Job>,
    counters: Arc<Counters>,
    max_queued: usize,
}

/// Where they are taken.
pub(crate) struct Waiting {
    jobs: Receiver<Job>,
    counters: Arc<Counters>,
}

/// Both ends. At most so many bytes wait.
pub(crate) fn queue(max_queued: usize) -> (Queue, Waiting) {
    let (sender, receiver) = mpsc::channel();
    let counters = Arc::<Counters>::default();
    (Queue { jobs: sender, counters: counters.clone(), max_queued }, Waiting { jobs: receiver, counters })
}

impl Queue {
    pub(crate) fn push(&self, owner: Owner, work: Work) -> Result<(), StoreError> {
        let bytes = CALL_OVERHEAD + work.bytes();
        let Counters { calls, busy, commits: _, failed: _, queued } = &*self.counters;
        let room = |queued: usize| queued.checked_add(bytes).filter(|&queued| queued <= self.max_queued);
        if queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            busy.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Busy);
        }
        calls.fetch_add(1, Ordering::Relaxed);
        let held = Held { bytes, counters: self.counters.clone() };
        self.jobs.send(Job { owner, work, held }).map_err(|_| StoreError::Unavailable)
    }

    pub(crate) fn stats(&self) -> Stats {
        let Counters { calls, busy, commits, failed, queued } = &*self.counters;
        Stats {
            calls: calls.load(Ordering::Relaxed),
            busy: busy.load(Ordering::Relaxed),
            commits: commits.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            queued: queued.load(Ordering::Relaxed),
        }
    }
}

impl Waiting {
    /// Waits for a call, then takes what else waits, until they have so many bytes together. None when nobody can ask
    /// any more.
    pub(crate) fn take(&self, max_batch: usize) -> Option<Vec<Job>> {
        let first = self.jobs.recv().ok()?;
        let mut bytes = first.held.bytes;
        let mut jobs = vec![first];
        while bytes < max_batch
            && let Ok(job) = self.jobs.try_recv()
        {
            bytes += job.held.bytes;
            jobs.push(job);
        }
        Some(jobs)
    }

    pub(crate) fn committed(&self) {
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counters.queued.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Work {
    /// What the call's keys and values have.
    fn bytes(&self) -> usize {
        let all = |keys: &DataList| keys.iter().map(|key| key.len()).sum();
        match self {
            Work::Read(Read { query: Query::Keys(keys), max_bytes: _ }, _) | Work::Write(Write::Delete(keys), _) => {
                all(keys)
            }
            Work::Write(Write::Put { entries, update_ts: _, max_stored: _ }, _) => {
                entries.iter().map(|(key, value)| key.len() + value.len()).sum()
            }
            Work::Read(Read { query: Query::Range { .. }, max_bytes: _ }, _)
            | Work::Write(Write::DeleteRange(_) | Write::Drop, _) => 0,
        }
    }
}
