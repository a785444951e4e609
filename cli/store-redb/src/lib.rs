//! The durable key-value store of Underpass: one file, written by this process alone.
//!
//! A change is on disk before [`RedbKv`] says that it is made, so it outlives a process that is killed. One thread does
//! the work: what is asked while it writes waits, and then goes to disk together, in one transaction and with one sync.
//!
//! ```
//! use underpass_core::directory::Pool;
//! use underpass_core::kv::{ActorStore, Limits, Owner};
//! use underpass_core::protocol::kv::{KvRequestData, KvResponseData};
//! use underpass_store_redb::{Config, RedbKv};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let store = RedbKv::open(directory.path(), Config::default())?;
//! let pool = Pool { namespace: "default".into(), name: "games".into() };
//! let owner = Owner { store: ActorStore { pool, actor_id: "chess".into() }, generation: 1 };
//!
//! let request = KvRequestData::Put {
//!     keys: ["white"].iter().collect(),
//!     values: ["to move"].iter().collect(),
//! };
//! let call = Limits::default().call(request, 1_700_000_000_000)?;
//! assert_eq!(call.carry_out(&store, owner).await, KvResponseData::Put);
//! # Ok(())
//! # }
//! ```

mod queue;
mod tables;
mod worker;

#[cfg(test)]
mod tests;

use core::fmt;
use core::future::Future;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use redb::{Database, DatabaseError};
use thiserror::Error;
use tokio::sync::oneshot;
use underpass_core::kv::{KvStore, Owner, Read, StoreError, Write};
use underpass_core::protocol::kv::KvEntries;

use crate::queue::{Answer, Queue, Work, queue};
use crate::worker::Worker;

pub use queue::Stats;

/// The name of the file in the directory that a store is opened in.
pub const FILE: &str = "kv.redb";

/// What a store may use. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The memory in which it keeps parts of the file.
    pub cache: usize,
    /// What calls that wait may have together, each with 256 bytes for itself; more are answered
    /// [`StoreError::Busy`].
    pub max_queued: usize,
    /// What the calls of one transaction may have together, and what their answers may. The last of them may pass it.
    pub max_batch: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { cache: 64 * 1024 * 1024, max_queued: 64 * 1024 * 1024, max_batch: 16 * 1024 * 1024 }
    }
}

/// Why a store did not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory cannot be made, or is none.
    #[error("cannot use {} as a directory: {source}", .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another store, here or in another process, has it open.
    #[error("{} is in use by another process", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is of another kind than this program knows.
    #[error("{} has the format {found}, and this program knows {}", .path.display(), tables::FORMAT)]
    Format {
        /// The file.
        path: PathBuf,
        /// What it says that it is.
        found: u64,
    },
    /// It cannot be read, or is no store.
    #[error("cannot open {}: {source}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: redb::Error,
    },
    /// The operating system gave no thread.
    #[error("cannot start the thread of the store: {0}")]
    Thread(#[source] io::Error),
}

/// A key-value store in a file. Clones are the same store.
///
/// When the last of them is dropped, what was asked is finished first and the file closed.
#[derive(Clone)]
pub struct RedbKv {
    open: Arc<Open>,
}

struct Open {
    /// Only none while it is dropped.
    queue: Option<Queue>,
    thread: Option<JoinHandle<()>>,
    newest_generation: u32,
}

impl RedbKv {
    /// Opens the store in a directory, or makes both. After a crash this looks through the whole file, so it can take
    /// a while; it blocks.
    ///
    /// # Errors
    /// The directory or the file cannot be used.
    pub fn open(directory: &Path, config: Config) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Directory { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(unusable)?;
        let path = directory.join(FILE);
        let broken = |source| OpenError::Database { path: path.clone(), source };
        let database = Database::builder().set_cache_size(config.cache).create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: path.clone() },
            error => broken(error.into()),
        })?;
        if let Some(found) = tables::prepare(&database).map_err(broken)? {
            return Err(OpenError::Format { path, found });
        }
        // The file's name is on disk, too.
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(unusable)?;
        let newest_generation = tables::newest_generation(&database).map_err(broken)?;
        RedbKv::start(database, newest_generation, &config).map_err(OpenError::Thread)
    }

    fn start(database: Database, newest_generation: u32, config: &Config) -> io::Result<Self> {
        let (queue, waiting) = queue(config.max_queued);
        let worker = Worker::new(database, waiting, config.max_batch);
        let thread = thread::Builder::new().name("underpass-kv".into()).spawn(|| worker.run())?;
        Ok(RedbKv { open: Arc::new(Open { queue: Some(queue), thread: Some(thread), newest_generation }) })
    }

    /// The newest generation of all actors that had used their stores when it was opened; 0 if none had. Actors that
    /// start anew, without what a directory knew of them, must start with a newer one.
    pub fn newest_generation(&self) -> u32 {
        self.open.newest_generation
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        self.open.queue.as_ref().map(Queue::stats).unwrap_or_default()
    }

    fn ask<T>(&self, owner: Owner, work: impl FnOnce(Answer<T>) -> Work) -> Result<Answered<T>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let queue = self.open.queue.as_ref().ok_or(StoreError::Unavailable)?;
        queue.push(owner, work(answer))?;
        Ok(answered)
    }
}

type Answered<T> = oneshot::Receiver<Result<T, StoreError>>;

async fn outcome<T>(asked: Result<Answered<T>, StoreError>) -> Result<T, StoreError> {
    // What was given up, because the file failed, is answered by nobody.
    asked?.await.unwrap_or(Err(StoreError::Unavailable))
}

impl KvStore for RedbKv {
    fn read(
        &self,
        owner: Owner,
        read: Read,
    ) -> impl Future<Output = Result<KvEntries, StoreError>> + Send + 'static + use<> {
        outcome(self.ask(owner, |answer| Work::Read(read, answer)))
    }

    fn write(
        &self,
        owner: Owner,
        write: Write,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static + use<> {
        outcome(self.ask(owner, |answer| Work::Write(write, answer)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been told where it happened.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for RedbKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbKv").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
