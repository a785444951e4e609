//! What actors keep: a log for each in a stream of JetStream.

mod contents;
mod log;
mod record;
mod worker;

use core::fmt;
use core::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::stream;
use hashbrown::HashMap;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use underpass_core::directory::ActorKey;
use underpass_core::kv::{ActorStore, KvStore, Owner, Query, Read, StoreError, Write};
use underpass_core::protocol::kv::KvEntries;

use self::log::{Log, Logs};
use self::worker::Worker;
use crate::bucket::BucketError;
use crate::config::StoreConfig;
use crate::connection::Nats;
use crate::directory::text_of;
use crate::lock;
use crate::made::{Made, Missed, Upkeep};
use crate::task::Task;

/// What a call that waits takes besides what it carries, bytes.
const CALL_OVERHEAD: usize = 256;

/// The key-value stores of actors on NATS, in the stream `PREFIX-kv`, which has the subject
/// `PREFIX.kv.NAMESPACE.POOL.ACTOR` for each. Clones are the same store.
///
/// A put is one message, so it must fit into one, with its keys in base64: into the server's `max_payload`, which is
/// 1 MiB unless set. One that does not is answered [`TooLarge`](StoreError::TooLarge). All processes may use the store
/// of an actor; what one does is behind what it has seen of the others', or is done again. A process remembers the keys
/// of the stores that it uses, until they were quiet for a while.
#[derive(Clone)]
pub struct NatsKv {
    shared: Arc<Shared>,
}

struct Shared {
    /// Where stores have their turn, whoever asks.
    runtime: Handle,
    logs: Arc<Logs>,
    prefix: String,
    idle: Duration,
    /// What calls that wait may have together, bytes.
    room: Arc<Semaphore>,
    stores: Arc<Stores>,
    /// Has the stream made again when it is gone.
    _keeper: Task,
}

type Stores = Mutex<HashMap<ActorStore, mpsc::UnboundedSender<Job>>>;

/// The calls that wait for one store. When it goes, however that is, the store is no longer in the table.
struct Waiting {
    stores: Arc<Stores>,
    store: ActorStore,
    jobs: mpsc::UnboundedReceiver<Job>,
}

/// A call that waits.
struct Job {
    generation: u32,
    work: Work,
    _held: OwnedSemaphorePermit,
}

enum Work {
    Read(Read, Answer<KvEntries>),
    Write(Write, Answer<()>),
}

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;
type Answered<T> = oneshot::Receiver<Result<T, StoreError>>;

impl Nats {
    /// The key-value stores of actors. The stream is made if there is none.
    ///
    /// # Errors
    /// JetStream is not there, or the client may not make streams.
    pub async fn kv(&self) -> Result<NatsKv, BucketError> {
        let StoreConfig { replicas, answer, max_subject, make_again, kv_idle, kv_queued, .. } = self.config.store;
        let context = self.jetstream();
        let (name, prefix) = (format!("{}-kv", self.config.prefix), format!("{}.kv.", self.config.prefix));
        let config = stream::Config {
            name,
            description: Some("Underpass: what actors keep".into()),
            subjects: vec![format!("{prefix}>")],
            num_replicas: replicas,
            discard: stream::DiscardPolicy::New,
            allow_direct: true,
            ..stream::Config::default()
        };
        let (missed, connected) = (Missed::default(), self.storing_connected.clone());
        let made = Made::open(context.clone(), config, missed.clone()).await?;
        let stream = made.stream();
        let upkeep = Upkeep::new(vec![made], missed.clone(), connected.clone(), answer);
        let keeper = Task::spawn(upkeep.run(make_again));
        let logs = Arc::new(Logs { context, stream, missed, connected, answer, max_subject });
        let room = Arc::new(Semaphore::new(kv_queued.min(Semaphore::MAX_PERMITS)));
        let (runtime, stores) = (Handle::current(), Arc::default());
        let shared = Shared { runtime, logs, prefix, idle: kv_idle, room, stores, _keeper: keeper };
        Ok(NatsKv { shared: Arc::new(shared) })
    }
}

impl NatsKv {
    /// How many stores' keys are remembered.
    pub fn stores(&self) -> usize {
        lock(&self.shared.stores).len()
    }

    /// Has a call wait for its turn, behind those that were asked before.
    fn ask<T>(
        &self,
        owner: Owner,
        size: usize,
        work: impl FnOnce(Answer<T>) -> Work,
    ) -> Result<Answered<T>, StoreError> {
        let Owner { store, generation } = owner;
        let size = u32::try_from(size.saturating_add(CALL_OVERHEAD)).unwrap_or(u32::MAX);
        let held = self.shared.room.clone().try_acquire_many_owned(size).map_err(|_| StoreError::Busy)?;
        let (answer, answered) = oneshot::channel();
        let job = Job { generation, work: work(answer), _held: held };
        let (sent, new) = {
            let mut stores = lock(&self.shared.stores);
            match stores.get(&store) {
                Some(jobs) => (jobs.send(job), None),
                None => {
                    let (sender, jobs) = mpsc::unbounded_channel();
                    let sent = sender.send(job);
                    stores.insert(store.clone(), sender);
                    (sent, Some(Waiting { stores: self.shared.stores.clone(), store, jobs }))
                }
            }
        };
        if let Some(waiting) = new {
            self.shared.runtime.spawn(work_for(self.shared.clone(), waiting));
        }
        // Whoever takes them leaves the table before it ends, unless it fails.
        sent.map_err(|_| StoreError::Unavailable)?;
        Ok(answered)
    }
}

/// Does what is asked of one store, until nothing is for a while.
async fn work_for(shared: Arc<Shared>, mut waiting: Waiting) {
    let ActorStore { pool, actor_id } = waiting.store.clone();
    let subject = format!("{}{}", shared.prefix, text_of(&ActorKey { pool, actor_id }));
    let mut worker = Worker::new(Log { logs: shared.logs.clone(), subject });
    loop {
        let Ok(Some(Job { generation, work, _held })) = timeout(shared.idle, waiting.jobs.recv()).await else {
            if waiting.leave() {
                return;
            }
            continue;
        };
        // Whoever asked may be gone.
        match work {
            Work::Read(read, answer) => drop(answer.send(worker.read(generation, &read).await)),
            Work::Write(write, answer) => drop(answer.send(worker.write(generation, &write).await)),
        }
        worker.tidy().await;
    }
}

impl Waiting {
    /// Leaves the table if nothing waits.
    fn leave(&mut self) -> bool {
        let mut stores = lock(&self.stores);
        let is_idle = self.jobs.is_empty();
        if is_idle {
            stores.remove(&self.store);
        }
        is_idle
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.jobs.close();
        let mut stores = lock(&self.stores);
        // Another may be there already.
        if stores.get(&self.store).is_some_and(mpsc::UnboundedSender::is_closed) {
            stores.remove(&self.store);
        }
    }
}

async fn outcome<T>(asked: Result<Answered<T>, StoreError>) -> Result<T, StoreError> {
    asked?.await.unwrap_or(Err(StoreError::Unavailable))
}

impl KvStore for NatsKv {
    fn read(
        &self,
        owner: Owner,
        read: Read,
    ) -> impl Future<Output = Result<KvEntries, StoreError>> + Send + 'static + use<> {
        let size = match &read.query {
            Query::Keys(keys) => keys.iter().map(|key| key.len()).sum(),
            Query::Range { .. } => 0,
        };
        outcome(self.ask(owner, size, |answer| Work::Read(read, answer)))
    }

    fn write(
        &self,
        owner: Owner,
        write: Write,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static + use<> {
        let size = match &write {
            Write::Put { entries, .. } => entries.iter().map(|(key, value)| key.len() + value.len()).sum(),
            Write::Delete(keys) => keys.iter().map(|key| key.len()).sum(),
            Write::DeleteRange(_) | Write::Drop => 0,
        };
        outcome(self.ask(owner, size, |answer| Work::Write(write, answer)))
    }
}

impl fmt::Debug for NatsKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsKv").field("stores", &self.stores()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use underpass_core::directory::Pool;

    use super::*;

    #[test]
    fn a_store_leaves_the_table_with_whoever_works_for_it_and_not_with_one_that_was_before() {
        let stores = Arc::new(Stores::default());
        let pool = Pool { namespace: "default".into(), name: "default".into() };
        let store = ActorStore { pool, actor_id: "a".into() };
        let sit_down = || {
            let (sender, jobs) = mpsc::unbounded_channel();
            lock(&stores).insert(store.clone(), sender);
            Waiting { stores: stores.clone(), store: store.clone(), jobs }
        };
        drop(sit_down());
        assert!(lock(&stores).is_empty());
        let mut before = sit_down();
        assert!(before.leave());
        let now = sit_down();
        drop(before);
        assert_eq!(lock(&stores).len(), 1);
        drop(now);
        assert!(lock(&stores).is_empty());
    }
}
