//! Gateway ids, each claimed by one that lives.

use std::collections::BTreeMap;

use bytes::Bytes;
use underpass_core::protocol::GatewayId;

use super::keys::Key;
use super::standing::Standing;
use crate::bucket::{Away, Bucket, Put};
use crate::random;

/// The claims of this process, and those of others.
#[derive(Debug)]
pub(super) struct Claims {
    bucket: Bucket,
    /// What our claims say: nobody else's do. So one is known that was stored though no answer came.
    token: Bytes,
    /// The lock is held while one is changed.
    ours: tokio::sync::Mutex<BTreeMap<GatewayId, Claim>>,
}

/// A claim of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// Its revision, as it was last told.
    Held(u64),
    /// It ran out, and another has claimed the id.
    Taken,
}

/// What is known of an id.
enum Known {
    /// Nobody has it. What was given back has left its revision.
    Free(Option<u64>),
    /// We have it.
    Ours(u64),
    /// Another has it.
    Theirs,
}

impl Claims {
    pub(super) fn new(bucket: Bucket) -> Self {
        let token = format!(r#"{{"holder":"{:016x}{:016x}"}}"#, random::number(), random::number());
        Claims { bucket, token: token.into(), ours: tokio::sync::Mutex::default() }
    }

    /// Claims an id: whether it was free.
    pub(super) async fn claim(&self, id: GatewayId) -> Result<bool, Away> {
        let mut ours = self.ours.lock().await;
        if let Some(Claim::Held(_)) = ours.get(&id) {
            return Ok(false);
        }
        let claim = self.put(id, None).await?;
        if let Claim::Held(_) = claim {
            ours.insert(id, claim);
        }
        Ok(claim != Claim::Taken)
    }

    /// Gives an id back. Another's stays.
    pub(super) async fn release(&self, id: GatewayId) -> Result<(), Away> {
        let mut ours = self.ours.lock().await;
        if let Some(Claim::Held(mut revision)) = ours.get(&id).copied() {
            while let Put::Unexpected = self.bucket.put(&id.to_text(), None, Some(revision)).await? {
                let Known::Ours(newer) = self.known(id).await? else { break };
                revision = newer;
            }
        }
        ours.remove(&id);
        Ok(())
    }

    /// Whether anybody has it.
    pub(super) async fn is_claimed(&self, id: GatewayId) -> Result<bool, Away> {
        Ok(self.bucket.get(&id.to_text()).await?.is_some_and(|entry| entry.value.is_some()))
    }

    /// A gateway says that it lives.
    ///
    /// # Errors
    /// NATS is away, or another gateway has the id.
    pub(super) async fn keep_alive(&self, id: GatewayId) -> Result<(), Away> {
        let mut ours = self.ours.lock().await;
        let expected = match ours.get(&id) {
            Some(Claim::Held(revision)) => Some(*revision),
            // The other may go.
            Some(Claim::Taken) => None,
            None => return Ok(()),
        };
        let claim = self.put(id, expected).await?;
        ours.insert(id, claim);
        match claim {
            Claim::Held(_) => Ok(()),
            Claim::Taken => {
                tracing::error!(%id, "another gateway has this one's id: one of them must be started again");
                Err(Away)
            }
        }
    }

    /// Keeps all of ours alive.
    pub(super) async fn say_again(&self) -> Standing {
        let ours: Vec<_> = self.ours.lock().await.keys().copied().collect();
        let mut standing = Standing::Kept;
        for id in ours {
            if self.keep_alive(id).await.is_err() {
                tracing::warn!(%id, "the gateway's claim could not be renewed");
                let is_taken = self.ours.lock().await.get(&id) == Some(&Claim::Taken);
                standing = standing.max(if is_taken { Standing::Taken } else { Standing::Away });
            }
        }
        standing
    }

    /// Puts a claim where the expected one is, or one of ours, or none.
    async fn put(&self, id: GatewayId, mut expected: Option<u64>) -> Result<Claim, Away> {
        loop {
            if let Put::Stored(revision) = self.bucket.put(&id.to_text(), Some(self.token.clone()), expected).await? {
                return Ok(Claim::Held(revision));
            }
            expected = match self.known(id).await? {
                // It has run out while NATS was away, or was given back.
                Known::Free(revision) => revision,
                // It was stored, but the answer to that did not come.
                Known::Ours(revision) => Some(revision),
                Known::Theirs => return Ok(Claim::Taken),
            };
        }
    }

    async fn known(&self, id: GatewayId) -> Result<Known, Away> {
        let there = self.bucket.get(&id.to_text()).await?;
        Ok(match there.map(|entry| (entry.revision, entry.value)) {
            None => Known::Free(None),
            Some((revision, None)) => Known::Free(Some(revision)),
            Some((revision, Some(value))) if value == self.token => Known::Ours(revision),
            Some((_, Some(_))) => Known::Theirs,
        })
    }
}
