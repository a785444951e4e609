//! What a store in a file promises besides.

use std::fs;

use tempfile::TempDir;
use underpass_core::protocol::kv::{KvEntries, KvRequestData, KvResponseData};
use underpass_store_redb::{Config, FILE, OpenError, RedbKv};

use crate::given::{Actor, delete, get, in_a_file, list_all, open, pair, put, range, wait};

#[test]
fn what_was_put_is_there_when_it_is_opened_again() {
    let (store, directory) = in_a_file();
    let mut kept = Actor::new(&store, "a");
    kept.limits.max_stored = 20;
    kept.put([("a", "1"), ("b", "2"), ("c", "3")]);
    assert_eq!(kept.answer(delete(["b"])), KvResponseData::Delete);
    let before = kept.answer(list_all());
    let dropped = Actor::new(&store, "b").generation(3);
    dropped.put([("a", "1")]);
    assert_eq!(dropped.answer(KvRequestData::Drop), KvResponseData::Drop);
    let limits = kept.limits;
    assert_eq!(store.newest_generation(), 0);
    drop((store, kept.store, dropped.store));

    let store = open(&directory);
    assert_eq!(store.newest_generation(), 3);
    let mut kept = Actor::new(&store, "a");
    kept.limits = limits;
    assert_eq!(kept.answer(list_all()), before);
    // Also how much it keeps, what its puts were, and who may use it.
    let told = "the store of this actor may have 20 bytes; it has 4, and would have 21";
    assert_eq!(kept.refused(put([("d", "0123456789abcdef")])), told);
    kept.put([("d", "4")]);
    let (KvResponseData::List(before), KvResponseData::Get(d)) = (before, kept.answer(get(["d"]))) else { panic!() };
    assert!(before.metadata.iter().all(|metadata| metadata.version < d.metadata[0].version));
    let dropped = Actor::new(&store, "b").generation(3);
    dropped.generation(2).refused(get(["a"]));
    assert_eq!(dropped.all(), []);
    // A new actor does not find another's entries.
    assert_eq!(Actor::new(&store, "c").all(), []);
}

#[test]
fn what_is_asked_while_it_writes_goes_to_disk_together() {
    let (store, _directory) = in_a_file();
    let actors: Vec<_> = (0..10).map(|n| Actor::new(&store, &n.to_string())).collect();
    let asked: Vec<_> = (0..1000).map(|n| actors[n % actors.len()].ask(put([(n.to_string(), "v")]))).collect();
    for answer in asked {
        assert_eq!(wait(answer), KvResponseData::Put);
    }
    let stats = store.stats();
    assert_eq!((stats.calls, stats.busy, stats.failed, stats.queued), (1000, 0, 0, 0));
    assert!(stats.commits < 500, "{stats:?}");
}

#[test]
fn reading_writes_nothing_once_the_generation_is_known() {
    let (store, _directory) = in_a_file();
    let actor = Actor::new(&store, "a");
    actor.put([("a", "1")]);
    let commits = store.stats().commits;
    for _ in 0..10 {
        assert_eq!(actor.get(["a"]), [pair("a", "1")]);
        assert_eq!(actor.keys(range("", "z", true)), [b"a"]);
    }
    assert_eq!(store.stats().commits, commits);
    let newer = actor.generation(2);
    assert_eq!(newer.all(), [pair("a", "1")]);
    assert_eq!(newer.all(), [pair("a", "1")]);
    assert_eq!(store.stats().commits, commits + 1);
}

#[test]
fn a_call_that_nobody_waits_for_is_made_all_the_same() {
    let (store, directory) = in_a_file();
    drop(Actor::new(&store, "a").ask(put([("a", "1")])));
    // So is what still waits when the store is dropped.
    drop(store);
    assert_eq!(Actor::new(&open(&directory), "a").all(), [pair("a", "1")]);
}

#[test]
fn a_call_that_has_no_room_is_refused_at_once() {
    let directory = TempDir::new().unwrap();
    let bytes = |value: usize| 256 + 1 + value;
    let config = Config { max_queued: bytes(1000), ..Config::default() };
    let store = RedbKv::open(directory.path(), config).unwrap();
    let actor = Actor::new(&store, "a");
    let put_of = |size: usize| put([("a", "v".repeat(size))]);
    assert_eq!(actor.answer(put_of(999)), KvResponseData::Put);
    assert_eq!(actor.answer(put_of(1000)), KvResponseData::Put);
    assert_eq!(actor.refused(put_of(1001)), "the store is busy");
    let stats = store.stats();
    assert_eq!((stats.calls, stats.busy, stats.queued), (2, 1, 0));
    assert_eq!(actor.get(["a"]), [pair("a", "v".repeat(1000))]);
}

#[test]
fn answers_larger_than_a_transaction_may_hold_are_told_in_turn() {
    let directory = TempDir::new().unwrap();
    let store = RedbKv::open(directory.path(), Config { max_batch: 5000, ..Config::default() }).unwrap();
    let actor = Actor::new(&store, "a");
    let value = "v".repeat(2000);
    // Each list stands behind a put of its actor, so it waits for the disk with it.
    let asked: Vec<_> = (0..50).map(|n| (actor.ask(put([(n.to_string(), &value)])), actor.ask(list_all()))).collect();
    for (n, (put, listed)) in asked.into_iter().enumerate() {
        assert_eq!(wait(put), KvResponseData::Put);
        let KvResponseData::List(KvEntries { keys, values, metadata }) = wait(listed) else { panic!() };
        assert_eq!((keys.len(), values.len(), metadata.len()), (n + 1, n + 1, n + 1));
    }
}

#[test]
fn a_file_is_open_once() {
    let (store, directory) = in_a_file();
    let again = RedbKv::open(directory.path(), Config::default());
    assert!(matches!(again, Err(OpenError::InUse { .. })), "{again:?}");
    let clone = store.clone();
    drop(store);
    assert!(matches!(RedbKv::open(directory.path(), Config::default()), Err(OpenError::InUse { .. })));
    drop(clone);
    open(&directory);
}

#[test]
fn a_directory_is_made_where_there_is_none() {
    let directory = TempDir::new().unwrap();
    let deep = directory.path().join("a/b");
    drop(RedbKv::open(&deep, Config::default()).unwrap());
    assert!(deep.join(FILE).is_file());
}

#[test]
fn what_is_no_store_is_left_as_it_is() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(FILE);
    let text = "a letter to a friend\n".repeat(1000);
    fs::write(&file, &text).unwrap();
    let refused = RedbKv::open(directory.path(), Config::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Database { .. }), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    let refused = RedbKv::open(&file, Config::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Directory { .. }), "{refused}");
}
