//! Gateway ids, each claimed by one that lives.

use std::collections::BTreeMap;

use bytes::Bytes;
use underpass_core::protocol::GatewayId;

use super::keys::Key;
use crate::bucket::{Away, Bucket, Put};

/// What a claim says. Who has it shows by its revision.
const CLAIMED: Bytes = Bytes::from_static(b"{}");

/// The claims of this process, and those of others.
#[derive(Debug)]
pub(super) struct Claims {
    bucket: Bucket,
    /// The revisions of our own. The lock is held while one is changed.
    ours: tokio::sync::Mutex<BTreeMap<GatewayId, u64>>,
}

impl Claims {
    pub(super) fn new(bucket: Bucket) -> Self {
        Claims { bucket, ours: tokio::sync::Mutex::default() }
    }

    /// Claims an id: whether it was free.
    pub(super) async fn claim(&self, id: GatewayId) -> Result<bool, Away> {
        let mut ours = self.ours.lock().await;
        let claimed = self.put_where_none_is(id).await?;
        ours.extend(claimed.map(|revision| (id, revision)));
        Ok(claimed.is_some())
    }

    /// Gives an id back. Another's stays.
    pub(super) async fn release(&self, id: GatewayId) -> Result<(), Away> {
        let mut ours = self.ours.lock().await;
        if let Some(revision) = ours.get(&id).copied() {
            self.bucket.put(&id.to_text(), None, Some(revision)).await?;
            ours.remove(&id);
        }
        Ok(())
    }

    /// Whether anybody has it.
    pub(super) async fn is_claimed(&self, id: GatewayId) -> Result<bool, Away> {
        Ok(self.bucket.get(&id.to_text()).await?.is_some_and(|entry| entry.value.is_some()))
    }

    /// A gateway says that it lives.
    pub(super) async fn keep_alive(&self, id: GatewayId) -> Result<(), Away> {
        let mut ours = self.ours.lock().await;
        let Some(revision) = ours.get(&id).copied() else { return Ok(()) };
        let again = match self.bucket.put(&id.to_text(), Some(CLAIMED), Some(revision)).await? {
            Put::Stored(revision) => Some(revision),
            // It has run out, while NATS was away.
            Put::Unexpected => self.put_where_none_is(id).await?,
        };
        match again {
            Some(revision) => drop(ours.insert(id, revision)),
            None => {
                tracing::error!(%id, "another gateway has this one's id");
                ours.remove(&id);
            }
        }
        Ok(())
    }

    /// Keeps all of ours alive.
    pub(super) async fn say_again(&self) {
        let ours: Vec<_> = self.ours.lock().await.keys().copied().collect();
        for id in ours {
            if self.keep_alive(id).await.is_err() {
                tracing::warn!(%id, "the gateway's claim could not be renewed");
            }
        }
    }

    /// Puts a claim where none is: its revision.
    async fn put_where_none_is(&self, id: GatewayId) -> Result<Option<u64>, Away> {
        let key = id.to_text();
        if let Put::Stored(revision) = self.bucket.put(&key, Some(CLAIMED), None).await? {
            return Ok(Some(revision));
        }
        // One that was given back has left its revision.
        let released = self.bucket.get(&key).await?.filter(|entry| entry.value.is_none());
        let Some(released) = released else { return Ok(None) };
        match self.bucket.put(&key, Some(CLAIMED), Some(released.revision)).await? {
            Put::Stored(revision) => Ok(Some(revision)),
            Put::Unexpected => Ok(None),
        }
    }
}
