//! What commands and events are counted by.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// `ActorCheckpoint`: a place in the order of an actor's events or commands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActorCheckpoint {
    /// Which actor.
    pub actor_id: ByteString,
    /// Which of its lives.
    pub generation: u32,
    /// Which event or command of that life.
    pub index: i64,
}
