//! What people should hear of a supervisor.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::directory::{ActorKey, RunnerId};

/// Something about actors that people should hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Notice {
    /// An actor ended without having been told to, and not well. It will be started again.
    #[error("actor {} crashed: {}", .actor.actor_id, .message.as_deref().unwrap_or("it did not say why"))]
    Crashed {
        /// Which.
        actor: ActorKey,
        /// What its runner said.
        message: Option<ByteString>,
    },
    /// An actor said nothing after its start. It is stopped, and will be started again.
    #[error("actor {} did not start in time", .0.actor_id)]
    StartTimeout(ActorKey),
    /// An actor did not end after its stop. It counts as ended.
    #[error("actor {} did not stop in time", .0.actor_id)]
    StopTimeout(ActorKey),
    /// An actor lived on here while it was placed elsewhere. It is stopped here.
    #[error("actor {} lives elsewhere by now", .0.actor_id)]
    Superseded(ActorKey),
    /// A runner stayed away. Its actors are placed anew.
    #[error("runner {0} is lost")]
    RunnerLost(RunnerId),
    /// There are more actors than the supervisor keeps in mind.
    #[error("more actors than this relay keeps in mind")]
    TooManyActors,
    /// There are more runners than the supervisor keeps in mind.
    #[error("more runners than this relay keeps in mind")]
    TooManyRunners,
    /// The directory did not take a record; it will be asked again.
    #[error("the directory is away: the record of actor {} is still to be changed", .0.actor_id)]
    DirectoryUnavailable(ActorKey),
    /// The registry did not answer; it will be asked again.
    #[error("the directory is away: it is not known which WebSockets of actor {} sleep", .0.actor_id)]
    RegistryUnavailable(ActorKey),
}
