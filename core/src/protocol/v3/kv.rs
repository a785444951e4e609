//! `KvMetadata` tells when a key was made, under the name `createTs`; version 4 tells the same as `updateTs`.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::protocol::{DataList, kv};

/// `ToClientKvResponse`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    #[serde(rename = "KvErrorResponse")]
    Error {
        /// For people.
        message: ByteString,
    },
    /// `KvGetResponse`: those of the keys that exist.
    #[serde(rename = "KvGetResponse")]
    Get(KvEntries),
    /// `KvListResponse`.
    #[serde(rename = "KvListResponse")]
    List(KvEntries),
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
pub struct KvEntries {
    /// Keys.
    pub keys: DataList,
    /// Their values.
    pub values: DataList,
    /// What is known of each.
    pub metadata: Vec<KvMetadata>,
}

/// `KvMetadata`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KvMetadata {
    /// Opaque.
    pub version: Bytes,
    /// When it was last written, whatever its name says: milliseconds since the Unix epoch.
    pub create_ts: i64,
}

impl From<KvResponse> for kv::KvResponse {
    fn from(KvResponse { request_id, data }: KvResponse) -> Self {
        let data = match data {
            KvResponseData::Error { message } => kv::KvResponseData::Error { message },
            KvResponseData::Get(entries) => kv::KvResponseData::Get(entries.into()),
            KvResponseData::List(entries) => kv::KvResponseData::List(entries.into()),
            KvResponseData::Put => kv::KvResponseData::Put,
            KvResponseData::Delete => kv::KvResponseData::Delete,
            KvResponseData::Drop => kv::KvResponseData::Drop,
        };
        kv::KvResponse { request_id, data }
    }
}

impl From<kv::KvResponse> for KvResponse {
    fn from(kv::KvResponse { request_id, data }: kv::KvResponse) -> Self {
        let data = match data {
            kv::KvResponseData::Error { message } => KvResponseData::Error { message },
            kv::KvResponseData::Get(entries) => KvResponseData::Get(entries.into()),
            kv::KvResponseData::List(entries) => KvResponseData::List(entries.into()),
            kv::KvResponseData::Put => KvResponseData::Put,
            kv::KvResponseData::Delete => KvResponseData::Delete,
            kv::KvResponseData::Drop => KvResponseData::Drop,
        };
        KvResponse { request_id, data }
    }
}

impl From<KvEntries> for kv::KvEntries {
    fn from(KvEntries { keys, values, metadata }: KvEntries) -> Self {
        let newer = |KvMetadata { version, create_ts }| kv::KvMetadata { version, update_ts: create_ts };
        kv::KvEntries { keys, values, metadata: metadata.into_iter().map(newer).collect() }
    }
}

impl From<kv::KvEntries> for KvEntries {
    fn from(kv::KvEntries { keys, values, metadata }: kv::KvEntries) -> Self {
        let older = |kv::KvMetadata { version, update_ts }| KvMetadata { version, create_ts: update_ts };
        KvEntries { keys, values, metadata: metadata.into_iter().map(older).collect() }
    }
}
