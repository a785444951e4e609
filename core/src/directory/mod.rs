//! The directory: what gateways and relays must agree on, as the adapters must offer it.
//!
//! Records are changed by compare-and-set on their revision, and watched. In memory it is a shared table, on a message
//! bus a key-value bucket. It holds the runners, the [actors](ActorRecord) of pools with state, the [registry](HibernatingSocket) of their
//! WebSockets that can hibernate, and the gateway ids.

mod actors;
mod registry;

pub use actors::{ActorChange, ActorKey, ActorRecord, ActorSeen, ActorState};
pub use registry::{HibernatingSocket, REGISTRY_EXPIRY, RegistryChange};

use core::fmt;
use core::future::Future;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::bus::ConnectionId;
use crate::protocol::to_client::HibernatingRequest;
use crate::protocol::{Dialect, GatewayId};

/// A runner's id: the same across its reconnects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunnerId(pub Uuid);

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Runners of one kind: they share its requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pool {
    /// The namespace that the runners connected to.
    pub namespace: ByteString,
    /// The `name` of their Init.
    pub name: ByteString,
}

/// What a runner is known by when it comes again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunnerKey {
    /// Where it belongs.
    pub pool: Pool,
    /// The `runner_key` of its connection.
    pub key: ByteString,
}

/// What a runner can do beyond the published protocol. All off for a published one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Abilities {
    /// Which words its connection knows.
    pub dialect: Dialect,
    /// It takes a streamed request body and may stream its answer.
    pub streams: bool,
    /// It numbers the messages of a request from 0 without a gap.
    pub numbers: bool,
    /// Bytes that each side may send per request and direction beyond what the other has granted.
    pub credit: Option<u32>,
    /// Its actors keep nothing: any runner of the pool may answer.
    pub stateless: bool,
}

/// Whether a runner takes new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunnerState {
    /// It does.
    Ready,
    /// It has as many as it may.
    Full,
    /// It finishes what it has.
    Draining,
    /// Its relay drains: the runner finishes what it has there, and comes again at another relay. That is no takeover.
    Moving,
}

/// What the directory says of a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerRecord {
    /// Its id.
    pub id: RunnerId,
    /// How many actors it has room for.
    pub slots: u32,
    /// The version of the protocol that it speaks.
    pub protocol_version: u16,
    /// What it can do besides.
    pub abilities: Abilities,
    /// Where it is; none while it is away.
    pub connection: Option<ConnectionId>,
    /// Where it was before its relay drained, until what is open there has ended.
    pub moving: Option<ConnectionId>,
    /// Whether it takes new requests.
    pub state: RunnerState,
    /// The revision with which it was entered; none: this one. By it all agree who came first.
    pub entered: Option<Revision>,
}

/// The count of a record's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision(pub u64);

/// A record and its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned<Record> {
    /// Its count of changes.
    pub revision: Revision,
    /// What it says.
    pub record: Record,
}

impl Versioned<RunnerRecord> {
    /// The revision with which the runner was entered.
    pub fn entered(&self) -> Revision {
        self.record.entered.unwrap_or(self.revision)
    }
}

/// A compare-and-set of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<Key, Record> {
    /// Whose.
    pub key: Key,
    /// Only if the record has this revision; none: only if there is no record.
    pub expected: Option<Revision>,
    /// The new record; none removes it.
    pub record: Option<Record>,
}

/// A compare-and-set of a runner's record.
pub type RunnerChange = Change<RunnerKey, RunnerRecord>;

/// What became of a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeOutcome<Record = RunnerRecord> {
    /// It was made; the revision that it made.
    Stored(Revision),
    /// The record is another than expected: this one, or none.
    Conflict(Option<Versioned<Record>>),
    /// The directory is away; nothing is known.
    Unavailable,
}

/// A record as a watcher sees it: as it is now, or gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen<Key, Record> {
    /// Whose.
    pub key: Key,
    /// What it says now.
    pub record: Option<Versioned<Record>>,
}

/// A runner's record as a watcher sees it.
pub type RunnerSeen = Seen<RunnerKey, RunnerRecord>;

/// The directory did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("the directory is away")]
pub struct DirectoryUnavailable;

/// The directory.
pub trait Directory: Clone + Send + Sync + 'static {
    /// Tells of changes to runners.
    type Watch: Watch<RunnerSeen>;
    /// Tells of changes to actors.
    type ActorWatch: Watch<ActorSeen>;

    /// Claims a gateway id: whether it was free.
    ///
    /// # Errors
    /// The directory did not answer.
    fn claim_gateway(&self, id: GatewayId) -> impl Future<Output = Result<bool, DirectoryUnavailable>> + Send;

    /// Gives a gateway id back. What it entered into the registry is no more.
    ///
    /// # Errors
    /// The directory did not answer.
    fn release_gateway(&self, id: GatewayId) -> impl Future<Output = Result<(), DirectoryUnavailable>> + Send;

    /// Changes a runner's record if it is as expected.
    fn change_runner(&self, change: RunnerChange) -> impl Future<Output = ChangeOutcome> + Send;

    /// Watches all runners: first those that are there, then each change; a record that changes often may be seen
    /// only as it last was.
    ///
    /// # Errors
    /// The directory did not answer.
    fn watch_runners(&self) -> impl Future<Output = Result<Self::Watch, DirectoryUnavailable>> + Send;

    /// Changes an actor's record if it is as expected.
    fn change_actor(&self, change: ActorChange) -> impl Future<Output = ChangeOutcome<ActorRecord>> + Send;

    /// Watches all actors: those that are there, and the watch that shows each change from then on; a record that
    /// changes often may be seen only as it last was.
    ///
    /// # Errors
    /// The directory did not answer.
    fn watch_actors(
        &self,
    ) -> impl Future<Output = Result<(Vec<ActorSeen>, Self::ActorWatch), DirectoryUnavailable>> + Send;

    /// Changes the registry of WebSockets that can hibernate. Whoever asks for the [registered](Self::registered) after
    /// the answer finds it changed.
    ///
    /// # Errors
    /// The directory did not answer; nothing is known.
    fn change_registry(&self, change: RegistryChange) -> impl Future<Output = Result<(), DirectoryUnavailable>> + Send;

    /// The WebSockets of an actor that are in the registry, but for those of gateways of which nothing was heard for
    /// [`REGISTRY_EXPIRY`].
    ///
    /// # Errors
    /// The directory did not answer.
    fn registered(
        &self,
        actor: ActorKey,
    ) -> impl Future<Output = Result<Vec<HibernatingRequest>, DirectoryUnavailable>> + Send;
}

/// A watch on records of one kind.
pub trait Watch<Seen = RunnerSeen>: Send + 'static {
    /// Waits until something changed, then appends what did. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The watch ended: begin a new one.
    fn changed(&mut self, seen: &mut Vec<Seen>) -> impl Future<Output = Result<(), DirectoryUnavailable>> + Send;
}
