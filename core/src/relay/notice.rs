//! What people should hear of a relay.

use serde::de::Error as _;
use serde::{Deserializer, Serializer};
use thiserror::Error;

use super::pools::PoolKind;
use crate::directory::RunnerKey;
use crate::protocol::edge::EdgeError;
use crate::protocol::{GatewayId, MessageId};

/// Something about a connection that people should hear.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Notice {
    /// The runner was taken in.
    #[error("runner {} is ready", .0.key)]
    Ready(RunnerKey),
    /// It speaks a version that this relay does not.
    #[error("the runner speaks protocol version {runner}, this relay speaks {oldest} to {newest}")]
    UnsupportedVersion {
        /// The runner's.
        runner: u16,
        /// The oldest that the relay speaks.
        oldest: u16,
        /// The newest that the relay speaks.
        newest: u16,
    },
    /// No Init came in time.
    #[error("no ToServerInit came in time")]
    InitTimeout,
    /// It said nothing for too long.
    #[error("the runner was silent for too long")]
    PongTimeout,
    /// It sent something that the protocol does not allow.
    #[error("the runner sent a malformed frame: {0}")]
    Malformed(EdgeError),
    /// It sent a frame over the limit.
    #[error("the runner sent a frame of {bytes} bytes")]
    FrameTooLarge {
        /// What the frame has.
        bytes: usize,
    },
    /// It sent a text message.
    #[error("the runner sent a text message")]
    Text,
    /// It sent something that makes no sense at that point.
    #[error("the runner sent {0} out of turn")]
    OutOfTurn(&'static str),
    /// It answered what it was not asked.
    #[error("the runner sent a frame without a route: {0:?}")]
    Unrouted(Option<MessageId>),
    /// It acknowledges what it is sent. Nobody waits for that, and nothing more is said of it.
    #[error("the runner acknowledges tunnel messages, which is ignored")]
    AcknowledgementIgnored,
    /// One of its names is longer than may be.
    #[error("the {name} of the runner has {bytes} bytes, {max_bytes} are allowed")]
    NameTooLong {
        /// Which of them.
        name: &'static str,
        /// What it has.
        bytes: usize,
        /// What it may have.
        max_bytes: usize,
    },
    /// Its pool has runners of the other kind.
    #[error("the actors of this runner are {mine}, those of its pool are {theirs}")]
    OtherKind {
        /// The runner's kind.
        mine: PoolKind,
        /// Its pool's.
        theirs: PoolKind,
    },
    /// A gateway that has requests open on it said nothing for too long, or nobody listens there.
    #[error("gateway {0} is gone, what it had open is aborted")]
    GatewayLost(GatewayId),
    /// Another connection of the same runner took its place.
    #[error("another connection took this runner over")]
    TakenOver,
    /// While its record waited for the directory the runner came to another relay, or had been there before: it may
    /// come again.
    #[error("another relay has this runner, which came here while the directory was away")]
    GaveWay,
    /// The directory did not take its record; it will be asked again.
    #[error("the directory is away")]
    DirectoryUnavailable,
}

/// Writes a notice as the text that people are told.
pub(super) fn write<S: Serializer>(notice: &Notice, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(notice)
}

/// No notice can be made of its text.
pub(super) fn read<'de, D: Deserializer<'de>>(_: D) -> Result<Notice, D::Error> {
    Err(D::Error::custom("a notice is a text for people"))
}
