//! `KvMetadata` tells when a key was last written under the name `createTs`; version 4 calls it `updateTs`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::protocol::kv;

/// `ToClientKvResponse`.
pub type KvResponse = kv::KvResponse<KvMetadata>;

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
    fn from(older: KvResponse) -> Self {
        older.with_metadata(|KvMetadata { version, create_ts }| kv::KvMetadata { version, update_ts: create_ts })
    }
}

impl From<kv::KvResponse> for KvResponse {
    fn from(newer: kv::KvResponse) -> Self {
        newer.with_metadata(|kv::KvMetadata { version, update_ts }| KvMetadata { version, create_ts: update_ts })
    }
}
