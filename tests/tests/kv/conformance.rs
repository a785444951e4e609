//! What every store does.

use underpass_core::kv::{KvStore, Limits};
use underpass_core::protocol::kv::{KvListQuery, KvRequestData, KvResponseData};
use underpass_transport_mem::MemKv;

use crate::given::{
    Actor, delete, delete_range, get, in_a_file, list, list_all, on_nats, pair, prefix, put, range, wait,
};

/// Tells each story once over each store.
macro_rules! over_each_store {
    ($($story:ident),* $(,)?) => {
        mod in_memory {
            $(
                #[test]
                fn $story() {
                    super::$story(&super::MemKv::new());
                }
            )*
        }
        mod in_a_file {
            $(
                #[test]
                fn $story() {
                    let (store, _directory) = super::in_a_file();
                    super::$story(&store);
                    assert_eq!(store.stats().queued, 0);
                }
            )*
        }
        mod on_nats {
            $(
                #[test]
                fn $story() {
                    let (store, _server, _runtime) = super::on_nats();
                    super::$story(&store);
                }
            )*
        }
    };
}

over_each_store! {
    a_get_has_the_keys_that_exist_in_the_order_asked,
    a_put_overwrites_and_is_stamped,
    a_put_of_one_key_twice_keeps_the_last_value,
    keys_and_values_may_be_empty,
    requests_for_nothing_do_nothing,
    a_list_ascends_by_bytes_or_descends,
    a_list_stops_at_its_limit,
    a_range_has_its_start_and_maybe_its_end,
    a_prefix_has_all_keys_that_start_so,
    a_delete_takes_what_is_there,
    a_delete_of_a_range_leaves_its_end,
    a_drop_takes_all,
    each_actor_has_a_store_of_its_own,
    an_older_generation_is_refused,
    a_drop_does_not_let_an_older_generation_back,
    asking_takes_effect_in_order,
    a_request_over_a_limit_is_told_which,
    a_store_at_its_limit_takes_no_more,
    a_list_without_a_limit_has_one,
    an_answer_has_a_limit,
}

fn a_get_has_the_keys_that_exist_in_the_order_asked(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    actor.put([("a", "1"), ("b", "2"), ("c", "3")]);
    assert_eq!(actor.get(["c", "no", "a", "c"]), [pair("c", "3"), pair("a", "1"), pair("c", "3")]);
    assert_eq!(actor.get(["no"]), []);
}

fn a_put_overwrites_and_is_stamped(store: &impl KvStore) {
    let mut actor = Actor::new(store, "a");
    let metadata = |actor: &Actor<_>, key| match actor.answer(get([key])) {
        KvResponseData::Get(entries) => entries.metadata[0].clone(),
        other => panic!("{other:?}"),
    };
    actor.put([("a", "1"), ("b", "1")]);
    let first = metadata(&actor, "a");
    assert_eq!(first.update_ts, actor.now);
    assert_eq!(metadata(&actor, "b"), first);

    actor.now += 5;
    actor.put([("a", "2")]);
    assert_eq!(actor.all(), [pair("a", "2"), pair("b", "1")]);
    let second = metadata(&actor, "a");
    assert_eq!(second.update_ts, actor.now);
    assert_ne!(second.version, first.version);
    assert_eq!(metadata(&actor, "b"), first);

    // Made again, it does not have an old version.
    assert_eq!(actor.answer(KvRequestData::Drop), KvResponseData::Drop);
    actor.put([("a", "1")]);
    assert!(![first.version, second.version].contains(&metadata(&actor, "a").version));
}

fn a_put_of_one_key_twice_keeps_the_last_value(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    actor.put([("a", "1"), ("b", "2"), ("a", "3")]);
    assert_eq!(actor.all(), [pair("a", "3"), pair("b", "2")]);
}

fn keys_and_values_may_be_empty(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    actor.put([("", "none"), ("none", "")]);
    assert_eq!(actor.get(["none", ""]), [pair("none", ""), pair("", "none")]);
    assert_eq!(actor.keys(range("", "", false)), [b""]);
    assert_eq!(actor.answer(delete([""])), KvResponseData::Delete);
    assert_eq!(actor.all(), [pair("none", "")]);
}

fn requests_for_nothing_do_nothing(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    let none: [&str; 0] = [];
    assert_eq!(actor.get(none), []);
    assert_eq!(actor.all(), []);
    actor.put::<&str, &str>([]);
    assert_eq!(actor.answer(delete(none)), KvResponseData::Delete);
    assert_eq!(actor.answer(delete_range("a", "b")), KvResponseData::Delete);
    assert_eq!(actor.answer(KvRequestData::Drop), KvResponseData::Drop);
    assert_eq!(actor.all(), []);
}

/// In the order of their bytes.
const KEYS: [&[u8]; 9] = [b"", b"\0", b"a", b"a\0", b"aa", b"a\xff", b"b", b"\xff", b"\xff\xff"];

fn put_keys(actor: &Actor<impl KvStore>) {
    actor.put(KEYS.iter().rev().map(|key| (key, "v")));
}

fn a_list_ascends_by_bytes_or_descends(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    put_keys(&actor);
    let mut expected = KEYS.map(|key| pair(key, "v")).to_vec();
    assert_eq!(actor.list(KvListQuery::All, None, None), expected);
    assert_eq!(actor.list(KvListQuery::All, Some(false), None), expected);
    expected.reverse();
    assert_eq!(actor.list(KvListQuery::All, Some(true), None), expected);
}

fn a_list_stops_at_its_limit(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    put_keys(&actor);
    for limit in 0..=KEYS.len() + 1 {
        let expected: Vec<_> = KEYS.iter().take(limit).map(|key| pair(key, "v")).collect();
        assert_eq!(actor.list(KvListQuery::All, None, Some(limit as u64)), expected);
        let expected: Vec<_> = KEYS.iter().rev().take(limit).map(|key| pair(key, "v")).collect();
        assert_eq!(actor.list(KvListQuery::All, Some(true), Some(limit as u64)), expected);
    }
    assert_eq!(actor.list(KvListQuery::All, None, Some(u64::MAX)).len(), KEYS.len());
    let within = range("a", "b", false);
    assert_eq!(actor.list(within.clone(), None, Some(1)), [pair("a", "v")]);
    assert_eq!(actor.list(within, Some(true), Some(1)), [pair("b", "v")]);
}

fn a_range_has_its_start_and_maybe_its_end(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    put_keys(&actor);
    let keys = |query| actor.keys(query);
    assert_eq!(keys(range("a", "b", false)), KEYS[2..7]);
    assert_eq!(keys(range("a", "b", true)), KEYS[2..6]);
    // Neither bound need be there.
    assert_eq!(keys(range("A", "az", false)), KEYS[2..5]);
    assert_eq!(keys(range("a", "a", false)), [b"a"]);
    for empty in [range("a", "a", true), range("b", "a", false), range("b", "a", true), range("c", "d", false)] {
        assert_eq!(keys(empty.clone()), [b""; 0], "{empty:?}");
    }
}

fn a_prefix_has_all_keys_that_start_so(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    put_keys(&actor);
    assert_eq!(actor.keys(prefix("a")), KEYS[2..6]);
    assert_eq!(actor.keys(prefix(b"a\xff")), KEYS[5..6]);
    assert_eq!(actor.keys(prefix(b"\xff")), KEYS[7..]);
    assert_eq!(actor.keys(prefix("")), KEYS);
    assert_eq!(actor.keys(prefix("c")), [b""; 0]);
}

fn a_delete_takes_what_is_there(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    actor.put([("a", "1"), ("b", "2"), ("c", "3")]);
    assert_eq!(actor.answer(delete(["c", "no", "a", "a"])), KvResponseData::Delete);
    assert_eq!(actor.all(), [pair("b", "2")]);
}

fn a_delete_of_a_range_leaves_its_end(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    put_keys(&actor);
    for empty in [delete_range("b", "a"), delete_range("a", "a"), delete_range("c", "d")] {
        assert_eq!(actor.answer(empty), KvResponseData::Delete);
    }
    assert_eq!(actor.keys(KvListQuery::All), KEYS);
    assert_eq!(actor.answer(delete_range("a", "b")), KvResponseData::Delete);
    assert_eq!(actor.keys(KvListQuery::All), [&KEYS[..2], &KEYS[6..]].concat());
}

fn a_drop_takes_all(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    put_keys(&actor);
    assert_eq!(actor.answer(KvRequestData::Drop), KvResponseData::Drop);
    assert_eq!(actor.all(), []);
    actor.put([("a", "1")]);
    assert_eq!(actor.all(), [pair("a", "1")]);
}

fn each_actor_has_a_store_of_its_own(store: &impl KvStore) {
    let mut actors = vec![Actor::new(store, "a"), Actor::new(store, "b"), Actor::new(store, "")];
    let mut elsewhere = Actor::new(store, "a");
    elsewhere.owner.store.pool.namespace = "elsewhere".into();
    actors.push(elsewhere.clone());
    elsewhere.owner.store.pool.name = "elsewhere".into();
    actors.push(elsewhere);
    // The names are not strung together.
    let mut alike = Actor::new(store, "lta");
    alike.owner.store.pool.name = "defau".into();
    actors.push(alike);

    for (number, actor) in actors.iter().enumerate() {
        actor.put([("", number.to_string()), ("k", number.to_string()), ("\u{10ffff}", number.to_string())]);
    }
    let whole = |number: usize| {
        let number = number.to_string();
        vec![pair("", &number), pair("k", &number), pair("\u{10ffff}", &number)]
    };
    for gone in 0..actors.len() {
        for (number, actor) in actors.iter().enumerate() {
            let expected = if number < gone { vec![] } else { whole(number) };
            assert_eq!(actor.all(), expected);
            assert_eq!(actor.list(prefix(""), Some(true), None).len(), expected.len());
        }
        assert_eq!(actors[gone].answer(KvRequestData::Drop), KvResponseData::Drop);
    }
}

/// One request of each kind.
fn of_each_kind() -> [KvRequestData; 6] {
    [get(["a"]), list_all(), put([("a", "9")]), delete(["a"]), delete_range("", "z"), KvRequestData::Drop]
}

fn an_older_generation_is_refused(store: &impl KvStore) {
    let first = Actor::new(store, "a");
    first.put([("a", "1")]);
    // Each kind of request is a use of the store.
    for (kind, request) in of_each_kind().into_iter().enumerate() {
        let newer = first.generation(2 + kind as u32);
        assert!(!matches!(newer.answer(request.clone()), KvResponseData::Error { .. }), "{request:?}");
        newer.put([("a", "kept")]);
        let older = newer.generation(newer.owner.generation - 1);
        for request in of_each_kind() {
            let (old, new) = (older.owner.generation, newer.owner.generation);
            let told = format!("generation {old} of this actor may not use its store: generation {new} has");
            assert_eq!(older.refused(request), told);
        }
        assert_eq!(newer.all(), [pair("a", "kept")]);
    }
    // Another actor's generations are its own.
    Actor::new(store, "b").put([("a", "1")]);
}

fn a_drop_does_not_let_an_older_generation_back(store: &impl KvStore) {
    let newer = Actor::new(store, "a").generation(2);
    newer.put([("a", "1")]);
    assert_eq!(newer.answer(KvRequestData::Drop), KvResponseData::Drop);
    newer.generation(1).refused(put([("a", "late")]));
    assert_eq!(newer.all(), []);
}

fn asking_takes_effect_in_order(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    actor.put([("before", "it")]);
    let asked: Vec<_> = (0..100)
        .flat_map(|n| {
            let value = n.to_string();
            [put([("k", &value)]), get(["k"]), delete(["k"]), get(["k"])].map(|request| actor.ask(request))
        })
        .collect();
    // Polled the other way round.
    for (place, answer) in asked.into_iter().enumerate().rev() {
        let (value, step) = ((place / 4).to_string(), place % 4);
        match (step, wait(answer)) {
            (0, KvResponseData::Put) | (2, KvResponseData::Delete) => {}
            (1, KvResponseData::Get(found)) => assert_eq!(found.values, list([value])),
            (3, KvResponseData::Get(found)) => assert_eq!(found.values, list([""; 0])),
            (step, other) => panic!("{step}: {other:?}"),
        }
    }
}

fn a_request_over_a_limit_is_told_which(store: &impl KvStore) {
    let mut actor = Actor::new(store, "a");
    actor.limits = Limits { max_key: 4, max_value: 6, max_keys: 3, max_put: 20, ..Limits::default() };
    let keys = |count: usize| (0..count).map(|n| n.to_string());
    let pairs = |count| keys(count).map(|key| (key, "v"));
    let fits = |actor: &Actor<_>, request: KvRequestData| {
        let answer = actor.answer(request.clone());
        assert!(!matches!(answer, KvResponseData::Error { .. }), "{request:?} {answer:?}");
    };

    for count in [2, 3] {
        fits(&actor, get(keys(count)));
        fits(&actor, put(pairs(count)));
        fits(&actor, delete(keys(count)));
    }
    for request in [get(keys(4)), put(pairs(4)), delete(keys(4))] {
        assert_eq!(actor.refused(request), "a request may name 3 keys, not 4");
    }

    let listed = |query| KvRequestData::List { query, reverse: None, limit: None };
    for key in ["abc", "abcd"] {
        for request in [get([key]), put([(key, "v")]), delete([key]), delete_range(key, key)] {
            fits(&actor, request);
        }
        fits(&actor, listed(range(key, key, false)));
        fits(&actor, listed(prefix(key)));
    }
    let long = "abcde";
    for (request, what) in [
        (get(["a", long]), "key"),
        (put([("a", "v"), (long, "v")]), "key"),
        (delete(["a", long]), "key"),
        (listed(prefix(long)), "prefix"),
        (listed(range(long, "a", false)), "start of a range"),
        (listed(range("a", long, true)), "end of a range"),
        (delete_range(long, "a"), "start of a range"),
        (delete_range("a", long), "end of a range"),
    ] {
        assert_eq!(actor.refused(request), format!("a {what} may have 4 bytes, not 5"));
    }

    fits(&actor, put([("a", "12345")]));
    fits(&actor, put([("a", "123456")]));
    assert_eq!(actor.refused(put([("a", "1234567")])), "a value may have 6 bytes, not 7");

    fits(&actor, put([("a", "123456"), ("b", "123456"), ("c", "1234")]));
    fits(&actor, put([("a", "123456"), ("b", "123456"), ("c", "12345")]));
    let told = "the keys and values of one put may have 20 bytes together, not 21";
    assert_eq!(actor.refused(put([("a", "123456"), ("b", "123456"), ("c", "123456")])), told);

    let unpaired = KvRequestData::Put { keys: list(["a", "b"]), values: list(["1"]) };
    assert_eq!(actor.refused(unpaired), "a put has 2 keys, but 1 values");

    // What was refused has changed nothing.
    assert_eq!(actor.get(["a", "b", "c"]), [pair("a", "123456"), pair("b", "123456"), pair("c", "12345")]);
    assert_eq!(actor.all().iter().filter(|(key, _)| key.len() > 4).count(), 0);
}

fn a_store_at_its_limit_takes_no_more(store: &impl KvStore) {
    let mut actor = Actor::new(store, "a");
    actor.limits.max_stored = 10;
    actor.put([("a", "1234"), ("b", "123")]);
    actor.put([("b", "1234")]);
    let told = "the store of this actor may have 10 bytes; it has 10, and would have 11";
    assert_eq!(actor.refused(put([("b", "12345")])), told);
    assert_eq!(actor.refused(put([("a", ""), ("b", "123456789")])), told);
    assert_eq!(actor.refused(put([("c", "")])), told);
    assert_eq!(actor.all(), [pair("a", "1234"), pair("b", "1234")]);
    // One may grow for another.
    actor.put([("a", "12345"), ("b", "123")]);

    // Whatever makes room makes as much as there was.
    for request in [delete(["a", "b", "no"]), delete_range("", "z"), KvRequestData::Drop] {
        assert!(!matches!(actor.answer(request), KvResponseData::Error { .. }));
        actor.put([("a", "12345"), ("b", "123")]);
        actor.refused(put([("c", "")]));
    }
    // Another actor's limit is its own.
    Actor::new(store, "b").put([("a", "12345")]);
}

fn put_many(actor: &Actor<impl KvStore>, count: usize, value: &str) {
    let keys: Vec<_> = (0..count).map(|n| format!("{n:08}")).collect();
    let puts: Vec<_> = keys.chunks(128).map(|keys| actor.ask(put(keys.iter().map(|key| (key, value))))).collect();
    for answer in puts {
        assert_eq!(wait(answer), KvResponseData::Put);
    }
}

fn a_list_without_a_limit_has_one(store: &impl KvStore) {
    let actor = Actor::new(store, "a");
    put_many(&actor, 16_385, "v");
    let keys = actor.keys(KvListQuery::All);
    assert_eq!(keys.len(), 16_384);
    assert!(keys.is_sorted());
    assert_eq!(actor.list(KvListQuery::All, None, Some(20_000)).len(), 16_385);
    assert_eq!(actor.list(KvListQuery::All, Some(true), Some(1)), [pair("00016384", "v")]);
    assert_eq!(actor.answer(delete_range("00000001", "00016384")), KvResponseData::Delete);
    assert_eq!(actor.keys(KvListQuery::All), [b"00000000", b"00016384"]);
}

fn an_answer_has_a_limit(store: &impl KvStore) {
    let mut actor = Actor::new(store, "a");
    let value = "v".repeat(100_000);
    put_many(&actor, 9, &value);
    let bytes = |count: usize| count * (8 + 100_000 + 96);
    let told =
        |most| format!("the answer would have more than the {most} bytes that it may have: ask for less at a time");
    for (most, fit) in [(bytes(9) + 1, true), (bytes(9), true), (bytes(9) - 1, false)] {
        actor.limits.max_answer = most;
        if fit {
            assert_eq!(actor.all().len(), 9);
        } else {
            assert_eq!(actor.refused(list_all()), told(most));
        }
    }
    assert_eq!(actor.list(KvListQuery::All, None, Some(8)).len(), 8);
    actor.limits.max_answer = bytes(2);
    assert_eq!(actor.get(["00000000", "00000001"]).len(), 2);
    assert_eq!(actor.refused(get(["00000000", "00000001", "00000002"])), told(bytes(2)));
}
