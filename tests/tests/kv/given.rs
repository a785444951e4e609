//! An actor at its store.

use std::future::Future;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use underpass_core::directory::Pool;
use underpass_core::kv::{ActorStore, KvStore, Limits, Owner, error_response};
use underpass_core::protocol::DataList;
use underpass_core::protocol::kv::{KvEntries, KvListQuery, KvRequestData, KvResponseData};
use underpass_nats_server::NatsServer;
use underpass_store_redb::{Config, RedbKv};
use underpass_transport_nats::{Nats, NatsKv};

/// A store in a directory that is gone with it.
pub(crate) fn in_a_file() -> (RedbKv, TempDir) {
    let directory = TempDir::new().unwrap();
    (open(&directory), directory)
}

/// A store on a server of its own, both of which are gone with it.
pub(crate) fn on_nats() -> (NatsKv, NatsServer, Runtime) {
    let server = NatsServer::start();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    (connect(&server, &runtime), server, runtime)
}

/// The store as another process has it.
pub(crate) fn connect(server: &NatsServer, runtime: &Runtime) -> NatsKv {
    let config = underpass_transport_nats::Config { servers: vec![server.url()], ..Default::default() };
    runtime.block_on(async { Nats::connect(config).await.unwrap().kv().await.unwrap() })
}

pub(crate) fn open(directory: &TempDir) -> RedbKv {
    RedbKv::open(directory.path(), Config::default()).unwrap()
}

/// Waits for it on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    Builder::new_current_thread().build().unwrap().block_on(future)
}

/// One generation of an actor, which asks its store.
#[derive(Clone)]
pub(crate) struct Actor<S> {
    pub(crate) store: S,
    pub(crate) limits: Limits,
    pub(crate) owner: Owner,
    /// Milliseconds since the Unix epoch.
    pub(crate) now: i64,
}

/// Key and value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

impl<S: KvStore> Actor<S> {
    pub(crate) fn new(store: &S, actor_id: &str) -> Self {
        let pool = Pool { namespace: "default".into(), name: "default".into() };
        let store_of = ActorStore { pool, actor_id: actor_id.into() };
        let owner = Owner { store: store_of, generation: 1 };
        Actor { store: store.clone(), limits: Limits::default(), owner, now: 1_700_000_000_000 }
    }

    pub(crate) fn generation(&self, generation: u32) -> Self {
        let mut actor = self.clone();
        actor.owner.generation = generation;
        actor
    }

    /// Asks at once; what comes of it can wait.
    pub(crate) fn ask(&self, request: KvRequestData) -> impl Future<Output = KvResponseData> + 'static + use<S> {
        let asked = self.limits.call(request, self.now).map(|call| call.carry_out(&self.store, self.owner.clone()));
        async move {
            match asked {
                Ok(answered) => answered.await,
                Err(refused) => error_response(refused),
            }
        }
    }

    pub(crate) fn answer(&self, request: KvRequestData) -> KvResponseData {
        wait(self.ask(request))
    }

    #[track_caller]
    pub(crate) fn put<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, entries: impl IntoIterator<Item = (K, V)>) {
        assert_eq!(self.answer(put(entries)), KvResponseData::Put);
    }

    #[track_caller]
    pub(crate) fn get<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Pair> {
        match self.answer(get(keys)) {
            KvResponseData::Get(entries) => pairs(&entries),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn list(&self, query: KvListQuery, reverse: Option<bool>, limit: Option<u64>) -> Vec<Pair> {
        match self.answer(KvRequestData::List { query, reverse, limit }) {
            KvResponseData::List(entries) => pairs(&entries),
            other => panic!("{other:?}"),
        }
    }

    /// The keys of a list, ascending.
    #[track_caller]
    pub(crate) fn keys(&self, query: KvListQuery) -> Vec<Vec<u8>> {
        self.list(query, None, None).into_iter().map(|(key, _)| key).collect()
    }

    /// All that there is.
    #[track_caller]
    pub(crate) fn all(&self) -> Vec<Pair> {
        self.list(KvListQuery::All, None, None)
    }

    #[track_caller]
    pub(crate) fn refused(&self, request: KvRequestData) -> String {
        match self.answer(request) {
            KvResponseData::Error { message } => message.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn list<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> DataList {
    items.into_iter().collect()
}

pub(crate) fn bytes(data: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(data.as_ref())
}

pub(crate) fn get<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> KvRequestData {
    KvRequestData::Get { keys: list(keys) }
}

pub(crate) fn put<K: AsRef<[u8]>, V: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, V)>) -> KvRequestData {
    let (keys, values): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
    KvRequestData::Put { keys: list(keys), values: list(values) }
}

pub(crate) fn delete<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> KvRequestData {
    KvRequestData::Delete { keys: list(keys) }
}

pub(crate) fn delete_range(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> KvRequestData {
    KvRequestData::DeleteRange { start: bytes(start), end: bytes(end) }
}

pub(crate) fn list_all() -> KvRequestData {
    KvRequestData::List { query: KvListQuery::All, reverse: None, limit: None }
}

pub(crate) fn range(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>, exclusive: bool) -> KvListQuery {
    KvListQuery::Range { start: bytes(start), end: bytes(end), exclusive }
}

pub(crate) fn prefix(key: impl AsRef<[u8]>) -> KvListQuery {
    KvListQuery::Prefix { key: bytes(key) }
}

fn pairs(KvEntries { keys, values, metadata }: &KvEntries) -> Vec<Pair> {
    assert_eq!((keys.len(), values.len()), (metadata.len(), metadata.len()));
    keys.iter().zip(values.iter()).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// As answers have it.
pub(crate) fn pair(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Pair {
    (key.as_ref().to_vec(), value.as_ref().to_vec())
}
