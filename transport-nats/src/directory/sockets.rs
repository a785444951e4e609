//! The registry of WebSockets that can hibernate.
//!
//! Each gateway has one record for each actor: `GATEWAY.NAMESPACE.POOL.ACTOR`, a list of request ids. Nobody else
//! writes it, so nobody else need be asked what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use underpass_core::directory::{ActorKey, HibernatingSocket};
use underpass_core::protocol::to_client::HibernatingRequest;
use underpass_core::protocol::{GatewayId, RequestId};

use super::claims::Claims;
use super::keys::Key;
use super::standing::Standing;
use super::watching::{from_bytes, to_bytes};
use crate::bucket::{Away, Bucket};
use crate::lock;

/// The sockets that gateways of this process have entered, and those of others.
#[derive(Debug)]
pub(super) struct Sockets {
    bucket: Bucket,
    age: Duration,
    ours: Mutex<BTreeMap<(GatewayId, ActorKey), Arc<List>>>,
}

/// What one gateway has entered for one actor.
#[derive(Debug, Default)]
struct List {
    now: Mutex<Now>,
    /// As it was written; the lock is held while it is.
    written: tokio::sync::Mutex<Written>,
}

#[derive(Debug, Default)]
struct Now {
    sockets: BTreeSet<RequestId>,
    /// How often it was changed.
    changes: u64,
}

#[derive(Debug, Default)]
struct Written {
    /// As many changes are in it.
    changes: u64,
    at: Option<Instant>,
}

/// A record.
#[derive(Debug, Serialize, Deserialize)]
struct Entered {
    sockets: Vec<RequestId>,
}

impl Sockets {
    pub(super) fn new(bucket: Bucket, age: Duration) -> Self {
        Sockets { bucket, age, ours: Mutex::default() }
    }

    pub(super) async fn enter(&self, socket: HibernatingSocket) -> Result<(), Away> {
        let HibernatingSocket { actor, gateway_id, request_id } = socket;
        let (list, change) = {
            let mut ours = lock(&self.ours);
            let list = ours.entry((gateway_id, actor.clone())).or_default().clone();
            let change = list.change(|sockets| sockets.insert(request_id));
            (list, change)
        };
        self.write(gateway_id, &actor, &list, change).await
    }

    pub(super) async fn leave(&self, socket: HibernatingSocket) -> Result<(), Away> {
        let HibernatingSocket { actor, gateway_id, request_id } = socket;
        let Some(list) = lock(&self.ours).get(&(gateway_id, actor.clone())).cloned() else { return Ok(()) };
        let change = list.change(|sockets| sockets.remove(&request_id));
        self.write(gateway_id, &actor, &list, change).await
    }

    /// A gateway is gone, with all that it entered.
    pub(super) async fn forget(&self, gateway_id: GatewayId) -> Result<(), Away> {
        lock(&self.ours).retain(|(of, _), _| *of != gateway_id);
        self.bucket.purge(&format!("{}.>", gateway_id.to_text())).await
    }

    /// What is entered for an actor by gateways that live, in order.
    pub(super) async fn registered(&self, actor: &ActorKey, claims: &Claims) -> Result<Vec<HibernatingRequest>, Away> {
        let mut registered = Vec::new();
        for key in self.bucket.keys(&format!("*.{}", actor.to_text())).await? {
            let gateway = key.split_once('.').and_then(|(gateway, _)| GatewayId::from_text(gateway));
            let Some(gateway_id) = gateway else { continue };
            if !claims.is_claimed(gateway_id).await? {
                continue;
            }
            let Some(value) = self.bucket.get(&key).await?.and_then(|entry| entry.value) else { continue };
            let Some(Entered { sockets }) = from_bytes(&key, &value) else { continue };
            registered.extend(sockets.into_iter().map(|request_id| HibernatingRequest { gateway_id, request_id }));
        }
        registered.sort_unstable_by_key(|request| (request.gateway_id, request.request_id));
        Ok(registered)
    }

    /// What was written is gone.
    pub(super) async fn are_lost(&self) {
        let ours: Vec<_> = lock(&self.ours).values().cloned().collect();
        for list in ours {
            *list.written.lock().await = Written::default();
        }
    }

    /// Writes again what would run out, and what could not be written.
    pub(super) async fn say_again(&self) -> Standing {
        let ours: Vec<_> = lock(&self.ours).iter().map(|(key, list)| (key.clone(), list.clone())).collect();
        for ((gateway_id, actor), list) in ours {
            let changes = {
                let mut written = list.written.lock().await;
                if written.at.is_some_and(|at| at.elapsed() >= self.age / 3) {
                    *written = Written::default();
                }
                lock(&list.now).changes
            };
            if self.write(gateway_id, &actor, &list, changes).await.is_err() {
                tracing::warn!(%gateway_id, "the gateway's WebSockets that can hibernate could not be entered");
                return Standing::Away;
            }
        }
        Standing::Kept
    }

    /// Sees to it that a change is written. One write serves all that were made before it.
    async fn write(&self, gateway_id: GatewayId, actor: &ActorKey, list: &Arc<List>, change: u64) -> Result<(), Away> {
        let mut written = list.written.lock().await;
        if written.changes >= change {
            return Ok(());
        }
        let key = format!("{}.{}", gateway_id.to_text(), actor.to_text());
        let (entered, changes) = {
            let now = lock(&list.now);
            (Entered { sockets: now.sockets.iter().copied().collect() }, now.changes)
        };
        if entered.sockets.is_empty() {
            self.bucket.purge(&key).await?;
        } else {
            let value = to_bytes(&entered).ok_or(Away)?;
            self.bucket.put_any(&key, value).await?;
        }
        *written = Written { changes, at: Some(Instant::now()) };
        if entered.sockets.is_empty() {
            let mut ours = lock(&self.ours);
            // Unless somebody has entered a socket meanwhile.
            if lock(&list.now).changes == changes {
                ours.remove(&(gateway_id, actor.clone()));
            }
        }
        Ok(())
    }
}

impl List {
    /// Changes it: how many changes there were with this one.
    fn change(&self, work: impl FnOnce(&mut BTreeSet<RequestId>) -> bool) -> u64 {
        let mut now = lock(&self.now);
        // What is said again is written again: it may have been lost.
        work(&mut now.sockets);
        now.changes += 1;
        now.changes
    }
}
