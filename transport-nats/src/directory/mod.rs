//! The directory in buckets of JetStream.

mod claims;
mod keys;
mod sockets;
mod standing;
mod watching;

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use underpass_core::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, Change, ChangeOutcome, Directory, DirectoryUnavailable,
    RegistryChange, Revision, RunnerChange, RunnerKey, RunnerRecord, Versioned,
};
use underpass_core::protocol::GatewayId;
use underpass_core::protocol::to_client::HibernatingRequest;

use self::claims::Claims;
use self::keys::Key;
use self::sockets::Sockets;
use self::standing::{Keeper, Told};
use self::watching::{Record, from_bytes, to_bytes};
use crate::bucket::{Away, Bucket, BucketError, Kind, Put};
use crate::connection::Nats;
use crate::made::{Missed, Upkeep};
use crate::task::Task;

pub use standing::Standing;
pub use watching::NatsWatch;

/// The directory on NATS: what it says is in key-value buckets of JetStream, named `PREFIX-runners`, `PREFIX-actors`,
/// `PREFIX-gateways` and `PREFIX-sockets`. Clones are the same directory.
///
/// Keys are the names of what they are about, values are JSON. What a gateway has claimed and entered is kept alive as
/// long as this lives, and written anew if a server has lost it; what nobody keeps alive goes by itself, a gateway's
/// claim after [`gateway_age`](crate::StoreConfig::gateway_age).
#[derive(Clone)]
pub struct NatsDirectory {
    runners: Bucket,
    actors: Bucket,
    claims: Arc<Claims>,
    sockets: Arc<Sockets>,
    standing: watch::Receiver<Standing>,
    /// Keeps alive what was claimed and entered here.
    _keeper: Arc<Task>,
}

impl Nats {
    /// The directory. Its buckets are made if there are none.
    ///
    /// # Errors
    /// JetStream is not there, or the client may not make buckets.
    pub async fn directory(&self) -> Result<NatsDirectory, BucketError> {
        let store = &self.config.store;
        let missed = Missed::default();
        let open = |name, description, age| Bucket::open(self, Kind { name, description, age }, missed.clone());
        let forever = Duration::ZERO;
        let runners = open("runners", "Underpass: runners", store.runner_age).await?;
        let actors = open("actors", "Underpass: actors", forever).await?;
        let gateways = open("gateways", "Underpass: gateways that live", store.gateway_age).await?;
        let sockets = open("sockets", "Underpass: WebSockets that can hibernate", store.socket_age).await?;
        let streams = [&runners, &actors, &gateways, &sockets].map(Bucket::made).to_vec();
        let upkeep = Upkeep::new(streams, missed, self.storing_connected.clone(), store.answer);
        let claims = Arc::new(Claims::new(gateways));
        let sockets = Arc::new(Sockets::new(sockets, store.socket_age));
        let (told, standing) = watch::channel(Standing::Kept);
        let keeper = Keeper {
            claims: claims.clone(),
            sockets: sockets.clone(),
            upkeep,
            every: store.gateway_age / 3,
            pause: store.make_again,
            standing: Told(told),
        };
        let keeper = Arc::new(Task::spawn(keeper.run()));
        Ok(NatsDirectory { runners, actors, claims, sockets, standing, _keeper: keeper })
    }
}

impl NatsDirectory {
    /// How it stands with what it keeps.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }
}

/// What an actor is called in subjects.
pub(crate) fn text_of(actor: &ActorKey) -> String {
    actor.to_text()
}

/// Makes a change if the record is as expected.
async fn change<K: Key, R: Record>(bucket: &Bucket, asked: Change<K, R>) -> ChangeOutcome<R> {
    let Change { key, expected, record } = asked;
    let key = key.to_text();
    let value = match &record {
        Some(record) => match to_bytes(record) {
            Some(value) => Some(value),
            None => return ChangeOutcome::Unavailable,
        },
        None => None,
    };
    let mut expected_there = expected.map(|Revision(revision)| revision);
    // What was removed has left its revision, so one that comes again needs a second try.
    loop {
        match bucket.put(&key, value.clone(), expected_there).await {
            Ok(Put::Stored(revision)) => return ChangeOutcome::Stored(Revision(revision)),
            Ok(Put::Unexpected) => {}
            Err(Away) => return ChangeOutcome::Unavailable,
        }
        match bucket.get(&key).await {
            Ok(Some(there)) => match there.value {
                Some(value) => {
                    let revision = Revision(there.revision);
                    let Some(record) = from_bytes(&key, &value) else { return ChangeOutcome::Unavailable };
                    return ChangeOutcome::Conflict(Some(Versioned { revision, record }));
                }
                None if expected.is_none() && expected_there != Some(there.revision) => {
                    expected_there = Some(there.revision);
                }
                None => return ChangeOutcome::Conflict(None),
            },
            Ok(None) if expected.is_none() && expected_there.is_some() => expected_there = None,
            Ok(None) => return ChangeOutcome::Conflict(None),
            Err(Away) => return ChangeOutcome::Unavailable,
        }
    }
}

impl Directory for NatsDirectory {
    type Watch = NatsWatch<RunnerKey, RunnerRecord>;
    type ActorWatch = NatsWatch<ActorKey, ActorRecord>;

    /// Zero is never free: it names no gateway.
    async fn claim_gateway(&self, id: GatewayId) -> Result<bool, DirectoryUnavailable> {
        if id == GatewayId::ZERO {
            return Ok(false);
        }
        self.claims.claim(id).await.map_err(|Away| DirectoryUnavailable)
    }

    async fn release_gateway(&self, id: GatewayId) -> Result<(), DirectoryUnavailable> {
        self.sockets.forget(id).await.map_err(|Away| DirectoryUnavailable)?;
        self.claims.release(id).await.map_err(|Away| DirectoryUnavailable)
    }

    async fn change_runner(&self, asked: RunnerChange) -> ChangeOutcome {
        change(&self.runners, asked).await
    }

    async fn watch_runners(&self) -> Result<Self::Watch, DirectoryUnavailable> {
        let (there, watch) = watching::begin(&self.runners).await?;
        watch.show(there);
        Ok(watch)
    }

    async fn change_actor(&self, asked: ActorChange) -> ChangeOutcome<ActorRecord> {
        change(&self.actors, asked).await
    }

    async fn watch_actors(&self) -> Result<(Vec<ActorSeen>, Self::ActorWatch), DirectoryUnavailable> {
        watching::begin(&self.actors).await
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<(), DirectoryUnavailable> {
        let changed = match change {
            RegistryChange::Enter(socket) => self.sockets.enter(socket).await,
            RegistryChange::Leave(socket) => self.sockets.leave(socket).await,
            RegistryChange::KeepAlive(gateway_id) => self.claims.keep_alive(gateway_id).await,
        };
        changed.map_err(|Away| DirectoryUnavailable)
    }

    async fn registered(&self, actor: ActorKey) -> Result<Vec<HibernatingRequest>, DirectoryUnavailable> {
        self.sockets.registered(&actor, &self.claims).await.map_err(|Away| DirectoryUnavailable)
    }
}

impl fmt::Debug for NatsDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsDirectory").finish_non_exhaustive()
    }
}
