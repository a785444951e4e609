//! Records of one kind, changed by compare-and-set.

use std::collections::BTreeMap;

use underpass_core::directory::{Change, ChangeOutcome, Revision, Seen, Versioned};

/// The records, in the order of their keys.
#[derive(Debug)]
pub(super) struct Table<Key, Record> {
    records: BTreeMap<Key, Versioned<Record>>,
    revision: u64,
}

impl<Key, Record> Default for Table<Key, Record> {
    fn default() -> Self {
        Table { records: BTreeMap::new(), revision: 0 }
    }
}

impl<Key: Clone + Ord, Record: Clone> Table<Key, Record> {
    /// Makes a change, if the record is as expected: then watchers see it.
    pub(super) fn apply(
        &mut self,
        Change { key, expected, record }: Change<Key, Record>,
    ) -> (ChangeOutcome<Record>, Option<Seen<Key, Record>>) {
        let current = self.records.get(&key);
        if current.map(|current| current.revision) != expected {
            return (ChangeOutcome::Conflict(current.cloned()), None);
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        let record = record.map(|record| Versioned { revision, record });
        match &record {
            Some(record) => drop(self.records.insert(key.clone(), record.clone())),
            None => drop(self.records.remove(&key)),
        }
        (ChangeOutcome::Stored(revision), Some(Seen { key, record }))
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.records.contains_key(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Versioned<Record>)> {
        self.records.iter()
    }

    /// All that is there, as a watcher sees it.
    pub(super) fn seen(&self) -> Vec<Seen<Key, Record>> {
        self.iter().map(|(key, record)| Seen { key: key.clone(), record: Some(record.clone()) }).collect()
    }
}
