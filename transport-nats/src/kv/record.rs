//! What a store's log says.
//!
//! Each message says what an actor did to its store: in a header, so that the log can be read without the values, which
//! are the message's payload, one behind the other.

use core::ops::Bound;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use underpass_core::kv::{Head, KeyRange};

/// The header.
pub(super) const HEADER: &str = "Underpass-Record";

/// One change, and how the store stands after it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// How many there were before it.
    pub(super) number: u64,
    generation: u32,
    puts: u64,
    stored: u64,
    pub(super) what: What,
}

/// A change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// A generation uses the store.
    Used,
    /// These got values.
    Put {
        /// Milliseconds since the Unix epoch.
        update_ts: i64,
        /// Keys and the lengths of their values.
        entries: Vec<(Key, u32)>,
    },
    /// These have the values that they had.
    Moved {
        /// Keys, the lengths of their values, and when they were put.
        entries: Vec<(Key, u32, u64, i64)>,
    },
    /// These are gone.
    Deleted {
        /// Keys.
        keys: Vec<Key>,
    },
    /// Those from one key to another are gone.
    DeletedRange {
        /// The first.
        start: Bound<Key>,
        /// The last.
        end: Bound<Key>,
    },
}

/// A key, in base64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) Bytes);

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        BASE64.decode(&*text).map(|key| Key(key.into())).map_err(serde::de::Error::custom)
    }
}

impl Record {
    pub(super) fn new(number: u64, head: Head, what: What) -> Self {
        let Head { generation, puts, stored } = head;
        Record { number, generation, puts, stored, what }
    }

    /// How the store stands after it.
    pub(super) fn head(&self) -> Head {
        Head { generation: self.generation, puts: self.puts, stored: self.stored }
    }
}

impl What {
    /// That a range is gone; none if no key can be in it.
    pub(super) fn deleted_range(range: &KeyRange) -> Option<Self> {
        let (start, end) = range.bounds()?;
        let key = |bound: Bound<&Bytes>| bound.map(|key| Key(key.clone()));
        Some(What::DeletedRange { start: key(start), end: key(end) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_and_is_read_as_it_was_written() {
        let key = |bytes: &'static [u8]| Key(Bytes::from_static(bytes));
        let head = Head { generation: 1, puts: 2, stored: 3 };
        let records = [
            What::Used,
            What::Put { update_ts: 5, entries: vec![(key(b"\0\r\n\xff"), 7)] },
            What::Moved { entries: vec![(key(b""), 7, 1, 5)] },
            What::Deleted { keys: vec![key(b"a"), key(b"b")] },
            What::deleted_range(&KeyRange::until(Bytes::from_static(b"a"), Bytes::from_static(b"b"))).unwrap(),
            What::deleted_range(&KeyRange::all()).unwrap(),
        ]
        .map(|what| Record::new(9, head, what));
        for record in records {
            let text = serde_json::to_string(&record).unwrap();
            assert!(text.chars().all(|letter| letter.is_ascii() && !letter.is_control()), "{text}");
            let again: Record = serde_json::from_str(&text).unwrap();
            assert_eq!(format!("{again:?}"), format!("{record:?}"));
            assert_eq!(again.head(), head);
        }
    }
}
