//! What actors keep: a log for each in a stream of JetStream.

mod contents;
mod log;
mod record;
mod worker;

use core::fmt;
use core::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
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

/// What a call that waits takes besides what it carries, bytes.
const CALL_OVERHEAD: usize = 256;

/// The key-value stores of actors on NATS, in the stream `PREFIX-kv`, which has the subject `PREFIX.kv.NAMESPACE.POOL.ACTOR`
/// for each. Clones are the same store.
///
/// A put is one message, so it must fit into one: into the server's `max_payload`, which is 1 MiB unless set. All
/// processes may use the store of an actor; what one does is behind what it has seen of the others', or is done again.
/// A process remembers the keys of the stores that it uses, until they were quiet for a while.
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
    stores: Mutex<HashMap<ActorStore, mpsc::UnboundedSender<Job>>>,
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
        let StoreConfig { replicas, answer, kv_idle, kv_queued, .. } = self.config.store;
        let context = ContextBuilder::new().timeout(answer).ack_timeout(answer).build(self.storing_client.clone());
        let (name, prefix) = (format!("{}-kv", self.config.prefix), format!("{}.kv.", self.config.prefix));
        let config = stream::Config {
            name: name.clone(),
            description: Some("Underpass: what actors keep".into()),
            subjects: vec![format!("{prefix}>")],
            num_replicas: replicas,
            discard: stream::DiscardPolicy::New,
            allow_direct: true,
            ..stream::Config::default()
        };
        let made = context.get_or_create_stream(config).await;
        let stream = made.map_err(|source| BucketError { name, source })?;
        let logs = Arc::new(Logs { context, stream, connected: self.storing_connected.clone(), answer });
        let room = Arc::new(Semaphore::new(kv_queued.min(Semaphore::MAX_PERMITS)));
        let shared = Shared { runtime: Handle::current(), logs, prefix, idle: kv_idle, room, stores: Mutex::default() };
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
        let mut stores = lock(&self.shared.stores);
        let jobs = stores.entry(store).or_insert_with_key(|store| {
            let (jobs, waiting) = mpsc::unbounded_channel();
            self.shared.runtime.spawn(work_for(self.shared.clone(), store.clone(), waiting));
            jobs
        });
        // Whoever takes them leaves the table before it ends.
        jobs.send(job).map_err(|_| StoreError::Unavailable)?;
        Ok(answered)
    }
}

/// Does what is asked of one store, until nothing is for a while.
async fn work_for(shared: Arc<Shared>, store: ActorStore, mut waiting: mpsc::UnboundedReceiver<Job>) {
    let ActorStore { pool, actor_id } = store.clone();
    let subject = format!("{}{}", shared.prefix, text_of(&ActorKey { pool, actor_id }));
    let mut worker = Worker::new(Log { logs: shared.logs.clone(), subject });
    loop {
        let Ok(Some(Job { generation, work, _held })) = timeout(shared.idle, waiting.recv()).await else {
            let mut stores = lock(&shared.stores);
            if waiting.is_empty() {
                stores.remove(&store);
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
