//! What a store does when its disk fails, and when its file is of another program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend, TableDefinition};
use tempfile::TempDir;
use tokio::runtime::Builder;
use underpass_core::directory::Pool;
use underpass_core::kv::{ActorStore, KvStore, Owner, Query, Read, StoreError, Write};

use crate::{Config, FILE, OpenError, RedbKv, tables};

/// A disk in memory.
#[derive(Clone, Debug, Default)]
struct Disk {
    memory: Arc<InMemoryBackend>,
    syncs: Arc<AtomicUsize>,
    full: Arc<AtomicBool>,
    /// It takes what is written, but does not say that it will keep it.
    forgetful: Arc<AtomicBool>,
}

fn fails_if(failing: &AtomicBool) -> io::Result<()> {
    if failing.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        fails_if(&self.full)?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        fails_if(&self.forgetful)?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        fails_if(&self.full)?;
        self.memory.write(offset, data)
    }
}

fn given(disk: &Disk) -> RedbKv {
    let database = Database::builder().create_with_backend(disk.clone()).unwrap();
    assert_eq!(tables::prepare(&database).unwrap(), None);
    RedbKv::start(database, 0, &Config::default()).unwrap()
}

fn owner() -> Owner {
    let pool = Pool { namespace: "default".into(), name: "default".into() };
    Owner { store: ActorStore { pool, actor_id: "a".into() }, generation: 1 }
}

fn put(key: &'static str) -> Write {
    Write::Put { entries: [(key.into(), "value".into())].into(), update_ts: 0, max_stored: u64::MAX }
}

fn write(store: &RedbKv, write: Write) -> Result<(), StoreError> {
    Builder::new_current_thread().build().unwrap().block_on(store.write(owner(), write))
}

#[test]
fn each_change_is_synced_before_it_is_told() {
    let disk = Disk::default();
    let store = given(&disk);
    for _ in 0..10 {
        let before = disk.syncs.load(Ordering::Relaxed);
        assert_eq!(write(&store, put("a")), Ok(()));
        assert!(disk.syncs.load(Ordering::Relaxed) > before);
    }
}

#[test]
fn a_change_that_the_disk_does_not_keep_is_not_told_as_made() {
    for disk_is_full in [true, false] {
        let disk = Disk::default();
        let store = given(&disk);
        assert_eq!(write(&store, put("a")), Ok(()));

        let broken = if disk_is_full { &disk.full } else { &disk.forgetful };
        broken.store(true, Ordering::Relaxed);
        assert_eq!(write(&store, put("b")), Err(StoreError::Unavailable));
        // All others hear the same, and nobody waits for ever.
        assert_eq!(write(&store, put("c")), Err(StoreError::Unavailable));
        let asked: Vec<_> = (0..100).map(|_| store.write(owner(), Write::Drop)).collect();
        Builder::new_current_thread().build().unwrap().block_on(async {
            for answer in asked {
                assert_eq!(answer.await, Err(StoreError::Unavailable));
            }
            let read = Read { query: Query::Keys(["a"].into_iter().collect()), max_bytes: 1000 };
            // A file that failed may still be read, or may not.
            let _ = store.read(owner(), read).await;
        });
        let stats = store.stats();
        assert!(stats.failed > 1, "{stats:?}");
        assert_eq!((stats.commits, stats.queued), (1, 0));
    }
}

#[test]
fn a_file_of_another_format_is_refused_as_it_is() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(FILE);
    let table = TableDefinition::<&str, u64>::new("meta");
    {
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(table).unwrap().insert("format", tables::FORMAT + 1).unwrap();
        transaction.commit().unwrap();
    }
    let refused = RedbKv::open(directory.path(), Config::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Format { found, .. } if found == tables::FORMAT + 1), "{refused}");
}
