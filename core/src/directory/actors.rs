//! What the directory says of actors.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{Change, Pool, RunnerId, Seen};

/// An actor: what clients call it, in the pool whose runners can host it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActorKey {
    /// The runners that can host it.
    pub pool: Pool,
    /// Its id on the wire.
    pub actor_id: ByteString,
}

/// What the directory says of an actor. One without a record sleeps, and has never lived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRecord {
    /// When it was first wanted, milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Its last life; zero if it had none. Each start is a new one.
    pub generation: u32,
    /// How many of its last lives crashed one after another. The next start waits the longer for it.
    pub crashes: u32,
    /// When it is to be woken, milliseconds since the Unix epoch.
    pub alarm: Option<i64>,
    /// What it does.
    pub state: ActorState,
}

/// What an actor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActorState {
    /// Somebody needs it, and no runner has it yet.
    Wanted,
    /// This runner was chosen, and is told to start it.
    Starting(RunnerId),
    /// It takes requests.
    Running(RunnerId),
    /// It ends what it has, and takes nothing new.
    Stopping(RunnerId),
    /// No runner has it, and nobody needs it.
    Sleeping,
}

/// A compare-and-set of an actor's record.
pub type ActorChange = Change<ActorKey, ActorRecord>;

/// An actor's record as a watcher sees it.
pub type ActorSeen = Seen<ActorKey, ActorRecord>;

impl ActorState {
    /// The runner that has it.
    pub fn runner(self) -> Option<RunnerId> {
        match self {
            ActorState::Starting(runner) | ActorState::Running(runner) | ActorState::Stopping(runner) => Some(runner),
            ActorState::Wanted | ActorState::Sleeping => None,
        }
    }
}

impl ActorRecord {
    /// What a gateway makes of `record` when it needs the actor, at this Unix time in milliseconds. None: what it says
    /// already leads to the actor's start, or to its sleep, after which to ask again.
    pub fn wanted(record: Option<&ActorRecord>, unix_ms: i64) -> Option<ActorRecord> {
        let Some(record) = record else {
            return Some(ActorRecord {
                created_at: unix_ms,
                generation: 0,
                crashes: 0,
                alarm: None,
                state: ActorState::Wanted,
            });
        };
        match record.state {
            ActorState::Sleeping => Some(ActorRecord { state: ActorState::Wanted, ..record.clone() }),
            ActorState::Wanted | ActorState::Starting(_) | ActorState::Running(_) | ActorState::Stopping(_) => None,
        }
    }
}
