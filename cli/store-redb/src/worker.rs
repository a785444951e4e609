//! The thread that does the work.

use std::collections::{BTreeSet, VecDeque};

use redb::Database;
use underpass_core::kv::StoreError;
use underpass_core::protocol::kv::KvEntries;

use crate::queue::{Answer, Job, Waiting, Work};
use crate::tables::{Snapshot, Tables, Trouble};

/// Takes calls, a batch at a time. One that is dropped is answered [`StoreError::Unavailable`] by that.
pub(crate) struct Worker {
    database: Database,
    waiting: Waiting,
    max_batch: usize,
}

/// A call that is done, but for telling.
enum Done {
    Read(Answer<KvEntries>, Result<KvEntries, StoreError>),
    Write(Answer<()>, Result<(), StoreError>),
}

impl Worker {
    pub(crate) fn new(database: Database, waiting: Waiting, max_batch: usize) -> Self {
        Worker { database, waiting, max_batch }
    }

    /// Works until nobody can ask any more and all is done.
    pub(crate) fn run(self) {
        while let Some(jobs) = self.waiting.take(self.max_batch) {
            if let Err(error) = self.work(jobs) {
                self.waiting.failed();
                tracing::error!("the key-value store failed: {error}");
            }
        }
    }

    fn work(&self, jobs: Vec<Job>) -> Result<(), redb::Error> {
        let mut left = self.read(jobs)?;
        while !left.is_empty() {
            self.write(&mut left)?;
        }
        Ok(())
    }

    /// Answers what only reads, so that it need not wait for the disk. What is left is in order: also what reads behind
    /// something that its actor writes.
    fn read(&self, jobs: Vec<Job>) -> Result<VecDeque<Job>, redb::Error> {
        let snapshot = Snapshot::new(&self.database)?;
        let mut left = VecDeque::new();
        let mut writing = BTreeSet::new();
        for Job { owner, work, held } in jobs {
            let work = match work {
                Work::Read(read, answer) if !writing.contains(&owner.store) => {
                    match settle(snapshot.read(&owner, &read))?.transpose() {
                        Some(found) => {
                            drop(held);
                            Done::Read(answer, found).tell();
                            continue;
                        }
                        None => Work::Read(read, answer),
                    }
                }
                work @ (Work::Read(..) | Work::Write(..)) => work,
            };
            writing.insert(owner.store.clone());
            left.push_back(Job { owner, work, held });
        }
        Ok(left)
    }

    /// Does as many as fit into one transaction, and tells when they are on disk.
    fn write(&self, jobs: &mut VecDeque<Job>) -> Result<(), redb::Error> {
        let (mut done, mut all_held) = (Vec::new(), Vec::new());
        let transaction = self.database.begin_write()?;
        {
            let mut tables = Tables::open(&transaction)?;
            let mut found = 0;
            while found < self.max_batch
                && let Some(Job { owner, work, held }) = jobs.pop_front()
            {
                all_held.push(held);
                done.push(match work {
                    Work::Read(read, answer) => {
                        let entries = settle(tables.read(&owner, &read))?;
                        found += entries.as_ref().map_or(0, bytes);
                        Done::Read(answer, entries)
                    }
                    Work::Write(write, answer) => Done::Write(answer, settle(tables.write(&owner, &write))?),
                });
            }
        }
        transaction.commit()?;
        self.waiting.committed();
        drop(all_held);
        done.into_iter().for_each(Done::tell);
        Ok(())
    }
}

/// Tells apart what the caller shall hear and what ends the transaction.
fn settle<T>(outcome: Result<T, Trouble>) -> Result<Result<T, StoreError>, redb::Error> {
    match outcome {
        Ok(done) => Ok(Ok(done)),
        Err(Trouble::Refused(refused)) => Ok(Err(refused)),
        Err(Trouble::Broken(error)) => Err(error),
    }
}

/// What an answer has.
fn bytes(entries: &KvEntries) -> usize {
    entries.keys.iter().chain(entries.values.iter()).map(|item| item.len()).sum()
}

impl Done {
    fn tell(self) {
        // Whoever asked may be gone.
        match self {
            Done::Read(answer, found) => drop(answer.send(found)),
            Done::Write(answer, written) => drop(answer.send(written)),
        }
    }
}
