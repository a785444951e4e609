//! Calls on an actor's key-value store, and their answers.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// `ToServerKvRequest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvRequest {
    /// Whose store.
    pub actor_id: ByteString,
    /// Repeated in the answer.
    pub request_id: u32,
    /// What to do.
    pub data: KvRequestData,
}

/// `KvRequestData`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvRequestData {
    /// `KvGetRequest`: these keys.
    Get {
        /// In the order in which the answer shall have them.
        keys: Vec<Bytes>,
    },
    /// `KvListRequest`: the keys of a range, ascending by bytes.
    List {
        /// Which.
        query: KvListQuery,
        /// Descending instead.
        reverse: Option<bool>,
        /// At most so many.
        limit: Option<u64>,
    },
    /// `KvPutRequest`: the n-th key gets the n-th value.
    Put {
        /// Keys.
        keys: Vec<Bytes>,
        /// As many values.
        values: Vec<Bytes>,
    },
    /// `KvDeleteRequest`: these keys.
    Delete {
        /// Keys; missing ones do no harm.
        keys: Vec<Bytes>,
    },
    /// `KvDeleteRangeRequest`, since version 7: from `start` up to but without `end`.
    DeleteRange {
        /// The first key that goes.
        start: Bytes,
        /// The first key that stays.
        end: Bytes,
    },
    /// `KvDropRequest`: all keys of the actor.
    Drop,
}

/// `KvListQuery`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvListQuery {
    /// `KvListAllQuery`.
    All,
    /// `KvListRangeQuery`.
    Range {
        /// The first key.
        start: Bytes,
        /// The last key.
        end: Bytes,
        /// Whether `end` itself is left out.
        exclusive: bool,
    },
    /// `KvListPrefixQuery`.
    Prefix {
        /// What keys start with.
        key: Bytes,
    },
}

/// `ToClientKvResponse`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvResponse {
    /// The call's.
    pub request_id: u32,
    /// The answer.
    pub data: KvResponseData,
}

/// `KvResponseData`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvResponseData {
    /// `KvErrorResponse`.
    Error {
        /// For people.
        message: ByteString,
    },
    /// `KvGetResponse`: those of the keys that exist.
    Get(KvEntries),
    /// `KvListResponse`.
    List(KvEntries),
    /// `KvPutResponse`.
    Put,
    /// `KvDeleteResponse`.
    Delete,
    /// `KvDropResponse`.
    Drop,
}

/// The fields of `KvGetResponse` and `KvListResponse`: three lists of one length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvEntries {
    /// Keys.
    pub keys: Vec<Bytes>,
    /// Their values.
    pub values: Vec<Bytes>,
    /// What is known of each.
    pub metadata: Vec<KvMetadata>,
}

/// `KvMetadata`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvMetadata {
    /// Opaque.
    pub version: Bytes,
    /// When it was last written, milliseconds since the Unix epoch.
    pub update_ts: i64,
}
