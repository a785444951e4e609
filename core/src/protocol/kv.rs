//! Calls on an actor's key-value store, and their answers.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::data_list::DataList;

/// `ToServerKvRequest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    #[serde(rename = "KvGetRequest")]
    Get {
        /// In the order in which the answer shall have them.
        keys: DataList,
    },
    /// `KvListRequest`: the keys of a range, ascending by bytes.
    #[serde(rename = "KvListRequest")]
    List {
        /// Which.
        query: KvListQuery,
        /// Descending instead.
        reverse: Option<bool>,
        /// At most so many.
        limit: Option<u64>,
    },
    /// `KvPutRequest`: the n-th key gets the n-th value.
    #[serde(rename = "KvPutRequest")]
    Put {
        /// Keys.
        keys: DataList,
        /// As many values.
        values: DataList,
    },
    /// `KvDeleteRequest`: these keys.
    #[serde(rename = "KvDeleteRequest")]
    Delete {
        /// Keys; missing ones do no harm.
        keys: DataList,
    },
    /// `KvDeleteRangeRequest`, since version 7: from `start` up to but without `end`.
    #[serde(rename = "KvDeleteRangeRequest")]
    DeleteRange {
        /// The first key that goes.
        start: Bytes,
        /// The first key that stays.
        end: Bytes,
    },
    /// `KvDropRequest`: all keys of the actor.
    #[serde(rename = "KvDropRequest")]
    Drop,
}

/// `KvListQuery`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvListQuery {
    /// `KvListAllQuery`.
    #[serde(rename = "KvListAllQuery")]
    All,
    /// `KvListRangeQuery`.
    #[serde(rename = "KvListRangeQuery")]
    Range {
        /// The first key.
        start: Bytes,
        /// The last key.
        end: Bytes,
        /// Whether `end` itself is left out.
        exclusive: bool,
    },
    /// `KvListPrefixQuery`.
    #[serde(rename = "KvListPrefixQuery")]
    Prefix {
        /// What keys start with.
        key: Bytes,
    },
}

/// `ToClientKvResponse`; version 3 puts in its own metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KvResponse<Metadata = KvMetadata> {
    /// The call's.
    pub request_id: u32,
    /// The answer.
    pub data: KvResponseData<Metadata>,
}

/// `KvResponseData`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvResponseData<Metadata = KvMetadata> {
    /// `KvErrorResponse`.
    #[serde(rename = "KvErrorResponse")]
    Error {
        /// For people.
        message: ByteString,
    },
    /// `KvGetResponse`: those of the keys that exist.
    #[serde(rename = "KvGetResponse")]
    Get(KvEntries<Metadata>),
    /// `KvListResponse`.
    #[serde(rename = "KvListResponse")]
    List(KvEntries<Metadata>),
    /// `KvPutResponse`.
    #[serde(rename = "KvPutResponse")]
    Put,
    /// `KvDeleteResponse`.
    #[serde(rename = "KvDeleteResponse")]
    Delete,
    /// `KvDropResponse`.
    #[serde(rename = "KvDropResponse")]
    Drop,
}

/// The fields of `KvGetResponse` and `KvListResponse`: three lists of one length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KvEntries<Metadata = KvMetadata> {
    /// Keys.
    pub keys: DataList,
    /// Their values.
    pub values: DataList,
    /// What is known of each.
    pub metadata: Vec<Metadata>,
}

/// `KvMetadata`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KvMetadata {
    /// Opaque.
    pub version: Bytes,
    /// When it was last written, milliseconds since the Unix epoch.
    pub update_ts: i64,
}

impl<Metadata> KvResponse<Metadata> {
    /// The same with what another version knows of each key.
    pub(crate) fn with_metadata<Other>(self, translate: impl Fn(Metadata) -> Other) -> KvResponse<Other> {
        let entries = |KvEntries { keys, values, metadata }| KvEntries {
            keys,
            values,
            metadata: metadata.into_iter().map(&translate).collect(),
        };
        let data = match self.data {
            KvResponseData::Error { message } => KvResponseData::Error { message },
            KvResponseData::Get(found) => KvResponseData::Get(entries(found)),
            KvResponseData::List(found) => KvResponseData::List(entries(found)),
            KvResponseData::Put => KvResponseData::Put,
            KvResponseData::Delete => KvResponseData::Delete,
            KvResponseData::Drop => KvResponseData::Drop,
        };
        KvResponse { request_id: self.request_id, data }
    }
}
