//! How large requests, stores and answers may be.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::found::ENTRY_OVERHEAD;
use super::{Call, KeyRange, Query, Read, Write};
use crate::error::ConfigError;
use crate::protocol::DataList;
use crate::protocol::kv::{KvListQuery, KvRequestData};

/// The limits of actors' stores. Sizes are in bytes. The defaults are those of the published server, which has no limit
/// to an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest key, also where a key only bounds a range.
    pub max_key: usize,
    /// The largest value.
    pub max_value: usize,
    /// The most keys that a request may name. A range may hold more.
    pub max_keys: usize,
    /// The most that the keys and values of one put may have together.
    pub max_put: usize,
    /// The most that all keys and values of one actor may have.
    pub max_stored: u64,
    /// How many entries a list has that was asked for without a limit.
    pub list_limit: usize,
    /// The most that an answer may have, counting 96 bytes for each entry besides its key and value.
    pub max_answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_key: 2 * 1024,
            max_value: 128 * 1024,
            max_keys: 128,
            max_put: 976 * 1024,
            max_stored: 10 * 1024 * 1024 * 1024,
            list_limit: 16_384,
            max_answer: 20 * 1024 * 1024,
        }
    }
}

/// A request over a limit, or one that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestRefused {
    /// Over `max_keys`.
    #[error("a request may name {most} keys, not {keys}")]
    Keys {
        /// What it names.
        keys: usize,
        /// The limit.
        most: usize,
    },
    /// Over `max_key`.
    #[error("a {what} may have {most} bytes, not {bytes}")]
    Key {
        /// What the key is: a key, or the bound of a range.
        what: &'static str,
        /// What it has.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// Over `max_value`.
    #[error("a value may have {most} bytes, not {bytes}")]
    Value {
        /// What it has.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// Over `max_put`.
    #[error("the keys and values of one put may have {most} bytes together, not {bytes}")]
    Put {
        /// What they have.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// A put of keys without values, or the other way round.
    #[error("a put has {keys} keys, but {values} values")]
    Unpaired {
        /// How many keys.
        keys: usize,
        /// How many values.
        values: usize,
    },
}

impl Limits {
    /// Whether these limits go together.
    ///
    /// # Errors
    /// One is zero, or an answer or a put could not hold what other limits allow.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [("max_key", self.max_key), ("max_keys", self.max_keys), ("list_limit", self.list_limit)] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        let entry = self.max_key.saturating_add(self.max_value);
        let get = entry.saturating_add(ENTRY_OVERHEAD).saturating_mul(self.max_keys);
        for (bound, bound_bytes, largest, needed) in
            [("max_put", self.max_put, "max_value", entry), ("max_answer", self.max_answer, "max_keys", get)]
        {
            if bound_bytes < needed {
                return Err(ConfigError::BoundBelowLargest { bound, bound_bytes, largest, needed });
            }
        }
        Ok(())
    }

    /// Makes a call of a request. `now` is what a put is stamped with, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// It is over a limit; [`error_response`](super::error_response) tells the runner.
    pub fn call(&self, request: KvRequestData, now: i64) -> Result<Call, RequestRefused> {
        Ok(match request {
            KvRequestData::Get { keys } => {
                self.keys(&keys)?;
                Call::Read(Read { query: Query::Keys(keys), max_bytes: self.max_answer })
            }
            KvRequestData::List { query, reverse, limit } => {
                let limit = limit.map_or(self.list_limit, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
                let query = Query::Range { range: self.range(query)?, reverse: reverse.unwrap_or(false), limit };
                Call::Read(Read { query, max_bytes: self.max_answer })
            }
            KvRequestData::Put { keys, values } => {
                let entries = self.entries(&keys, &values)?;
                Call::Write(Write::Put { entries, update_ts: now, max_stored: self.max_stored })
            }
            KvRequestData::Delete { keys } => {
                self.keys(&keys)?;
                Call::Write(Write::Delete(keys))
            }
            KvRequestData::DeleteRange { start, end } => {
                self.bounds(&start, &end)?;
                Call::Write(Write::DeleteRange(KeyRange::until(start, end)))
            }
            KvRequestData::Drop => Call::Write(Write::Drop),
        })
    }

    fn range(&self, query: KvListQuery) -> Result<KeyRange, RequestRefused> {
        Ok(match query {
            KvListQuery::All => KeyRange::all(),
            KvListQuery::Range { start, end, exclusive } => {
                self.bounds(&start, &end)?;
                if exclusive { KeyRange::until(start, end) } else { KeyRange::through(start, end) }
            }
            KvListQuery::Prefix { key } => {
                self.key("prefix", &key)?;
                KeyRange::prefix(key)
            }
        })
    }

    /// A key that comes twice has its last value.
    fn entries(&self, keys: &DataList, values: &DataList) -> Result<BTreeMap<Bytes, Bytes>, RequestRefused> {
        if keys.len() != values.len() {
            return Err(RequestRefused::Unpaired { keys: keys.len(), values: values.len() });
        }
        self.keys(keys)?;
        let mut bytes = 0;
        for (key, value) in keys.iter().zip(values.iter()) {
            if value.len() > self.max_value {
                return Err(RequestRefused::Value { bytes: value.len(), most: self.max_value });
            }
            bytes += key.len() + value.len();
        }
        if bytes > self.max_put {
            return Err(RequestRefused::Put { bytes, most: self.max_put });
        }
        Ok(keys.iter().zip(values.iter()).collect())
    }

    fn keys(&self, keys: &DataList) -> Result<(), RequestRefused> {
        if keys.len() > self.max_keys {
            return Err(RequestRefused::Keys { keys: keys.len(), most: self.max_keys });
        }
        keys.iter().try_for_each(|key| self.key("key", &key))
    }

    fn bounds(&self, start: &[u8], end: &[u8]) -> Result<(), RequestRefused> {
        self.key("start of a range", start)?;
        self.key("end of a range", end)
    }

    fn key(&self, what: &'static str, key: &[u8]) -> Result<(), RequestRefused> {
        if key.len() > self.max_key {
            return Err(RequestRefused::Key { what, bytes: key.len(), most: self.max_key });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_go_together() {
        assert_eq!(Limits::default().validate(), Ok(()));
    }

    #[test]
    fn a_limit_is_not_zero() {
        for (name, zero) in [
            ("max_key", Limits { max_key: 0, ..Limits::default() }),
            ("max_keys", Limits { max_keys: 0, ..Limits::default() }),
            ("list_limit", Limits { list_limit: 0, ..Limits::default() }),
        ] {
            assert_eq!(zero.validate(), Err(ConfigError::Zero(name)));
        }
    }

    #[test]
    fn a_put_has_room_for_the_largest_entry_and_an_answer_for_a_whole_get() {
        let fitting =
            Limits { max_key: 10, max_value: 90, max_keys: 2, max_put: 100, max_answer: 392, ..Limits::default() };
        assert_eq!(fitting.validate(), Ok(()));
        for (bound, largest, needed, small) in [
            ("max_put", "max_value", 100, Limits { max_put: 99, ..fitting.clone() }),
            ("max_answer", "max_keys", 392, Limits { max_answer: 391, ..fitting }),
        ] {
            let below = ConfigError::BoundBelowLargest { bound, bound_bytes: needed - 1, largest, needed };
            assert_eq!(small.validate(), Err(below));
        }
    }
}
