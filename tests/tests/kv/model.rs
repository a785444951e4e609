//! Any requests, in any order, against a model: a map for each actor.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use underpass_core::kv::KvStore;
use underpass_core::protocol::DataList;
use underpass_core::protocol::kv::{KvEntries, KvListQuery, KvMetadata, KvRequestData, KvResponseData};
use underpass_transport_mem::MemKv;

use crate::given::{Actor, bytes, connect, in_a_file, on_nats, open, wait};

/// What the store of an actor of the model may have, bytes. Little, so that it is full now and then.
const MAX_STORED: u64 = 40;

/// A request of one of a few actors, in a generation, at a time.
#[derive(Clone, Debug)]
struct Asked {
    actor: usize,
    generation: u32,
    now: i64,
    request: KvRequestData,
}

/// Few bytes, the lowest and the highest among them, so that keys meet and are each other's prefixes.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(select(&[0, b'a', 0xfe, 0xff][..]), 0..4)
}

fn keys() -> impl Strategy<Value = DataList> {
    vec(key(), 0..5).prop_map(DataList::from_iter)
}

fn query() -> impl Strategy<Value = KvListQuery> {
    prop_oneof![
        Just(KvListQuery::All),
        (key(), key(), any::<bool>()).prop_map(|(start, end, exclusive)| KvListQuery::Range {
            start: start.into(),
            end: end.into(),
            exclusive
        }),
        key().prop_map(|key| KvListQuery::Prefix { key: key.into() }),
    ]
}

fn request() -> impl Strategy<Value = KvRequestData> {
    prop_oneof![
        4 => keys().prop_map(|keys| KvRequestData::Get { keys }),
        6 => (query(), option::of(any::<bool>()), option::of(0..5u64))
            .prop_map(|(query, reverse, limit)| KvRequestData::List { query, reverse, limit }),
        12 => vec((key(), vec(any::<u8>(), 0..9)), 0..4).prop_map(|entries| {
            let (keys, values): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
            KvRequestData::Put { keys: keys.into_iter().collect(), values: values.into_iter().collect() }
        }),
        3 => keys().prop_map(|keys| KvRequestData::Delete { keys }),
        2 => (key(), key())
            .prop_map(|(start, end)| KvRequestData::DeleteRange { start: start.into(), end: end.into() }),
        1 => Just(KvRequestData::Drop),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    // A generation seldom is another, or all would soon be the highest.
    let generation = prop_oneof![8 => Just(3), 1 => 2..6u32];
    (0..3usize, generation, 0..9i64, request()).prop_map(|(actor, generation, now, request)| Asked {
        actor,
        generation,
        now,
        request,
    })
}

/// An actor's store as the protocol has it: what each key holds, and its metadata.
#[derive(Default)]
struct Model {
    generation: u32,
    puts: u64,
    entries: BTreeMap<Vec<u8>, (Vec<u8>, KvMetadata)>,
}

impl Model {
    /// The answer; none is an error.
    fn answer(&mut self, Asked { actor: _, generation, now, request }: &Asked) -> Option<KvResponseData> {
        if *generation < self.generation {
            return None;
        }
        self.generation = *generation;
        Some(match request {
            KvRequestData::Get { keys } => {
                KvResponseData::Get(self.entries(keys.iter().filter(|key| self.entries.contains_key(&key[..]))))
            }
            KvRequestData::List { query, reverse, limit } => {
                let mut keys: Vec<_> = self.entries.keys().filter(|key| is_in(key, query)).map(bytes).collect();
                if *reverse == Some(true) {
                    keys.reverse();
                }
                keys.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
                KvResponseData::List(self.entries(keys))
            }
            KvRequestData::Put { keys, values } => {
                let mut entries = self.entries.clone();
                let metadata = KvMetadata { version: (self.puts + 1).to_be_bytes().to_vec().into(), update_ts: *now };
                for (key, value) in keys.iter().zip(values.iter()) {
                    entries.insert(key.to_vec(), (value.to_vec(), metadata.clone()));
                }
                if stored(&entries) > MAX_STORED && stored(&entries) > stored(&self.entries) {
                    return None;
                }
                self.entries = entries;
                self.puts += 1;
                KvResponseData::Put
            }
            KvRequestData::Delete { keys } => {
                self.entries.retain(|key, _| !keys.iter().any(|gone| gone == key[..]));
                KvResponseData::Delete
            }
            KvRequestData::DeleteRange { start, end } => {
                self.entries.retain(|key, _| !(start[..] <= key[..] && key[..] < end[..]));
                KvResponseData::Delete
            }
            KvRequestData::Drop => {
                self.entries.clear();
                KvResponseData::Drop
            }
        })
    }

    fn entries<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> KvEntries {
        let keys: Vec<_> = keys.into_iter().collect();
        let of = |key: &K| &self.entries[key.as_ref()];
        KvEntries {
            keys: keys.iter().collect(),
            values: keys.iter().map(|key| &of(key).0).collect(),
            metadata: keys.iter().map(|key| of(key).1.clone()).collect(),
        }
    }
}

fn stored(entries: &BTreeMap<Vec<u8>, (Vec<u8>, KvMetadata)>) -> u64 {
    entries.iter().map(|(key, (value, _))| (key.len() + value.len()) as u64).sum()
}

fn is_in(key: &[u8], query: &KvListQuery) -> bool {
    match query {
        KvListQuery::All => true,
        KvListQuery::Range { start, end, exclusive } => {
            start[..] <= *key && if *exclusive { *key < end[..] } else { *key <= end[..] }
        }
        KvListQuery::Prefix { key: prefix } => key.starts_with(prefix),
    }
}

/// Asks all at once; then the answers are those of the model, one after the other.
fn answers_as_the_model(store: &impl KvStore, asked: &[Asked], models: &mut [Model]) -> Result<(), TestCaseError> {
    let answers: Vec<_> = asked
        .iter()
        .map(|Asked { actor, generation, now, request }| {
            let mut actor = Actor::new(store, &actor.to_string()).generation(*generation);
            actor.limits.max_stored = MAX_STORED;
            actor.now = *now;
            actor.ask(request.clone())
        })
        .collect();
    for (asked, answer) in asked.iter().zip(answers) {
        match (wait(answer), models[asked.actor].answer(asked)) {
            (KvResponseData::Error { .. }, None) => {}
            (answer, expected) => prop_assert_eq!(Some(answer), expected, "{:?}", asked),
        }
    }
    Ok(())
}

fn models() -> [Model; 3] {
    [(); 3].map(|()| Model::default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn a_store_in_memory_answers_as_the_model(asked in vec(asked(), 0..80)) {
        answers_as_the_model(&MemKv::new(), &asked, &mut models())?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn a_store_in_a_file_answers_as_the_model_also_when_it_is_opened_again(
        before in vec(asked(), 0..80),
        after in vec(asked(), 0..80),
    ) {
        let (store, directory) = in_a_file();
        let mut models = models();
        answers_as_the_model(&store, &before, &mut models)?;
        drop(store);
        answers_as_the_model(&open(&directory), &after, &mut models)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]
    #[test]
    fn a_store_on_nats_answers_as_the_model_whichever_process_is_asked(
        asked in vec((asked(), 0..3usize), 0..80),
        again in vec(asked(), 0..20),
    ) {
        let (store, server, runtime) = on_nats();
        let stores = [store, connect(&server, &runtime), connect(&server, &runtime)];
        let mut models = models();
        for (asked, process) in asked {
            answers_as_the_model(&stores[process], &[asked], &mut models)?;
        }
        drop(stores);
        answers_as_the_model(&connect(&server, &runtime), &again, &mut models)?;
    }
}
