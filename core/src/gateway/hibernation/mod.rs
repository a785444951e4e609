//! WebSockets that stay open while their actor sleeps.
//!
//! A WebSocket whose runner said that it can hibernate is *awake* while it is open on a runner's connection, and *asleep*
//! while it is not. It is entered in the directory's registry, so that the relay which starts its actor opens a route for
//! it. Awake, each message of its client is kept until it is acknowledged. It falls asleep when its actor does, or its
//! connection is lost; what is not acknowledged, and what its client says meanwhile, is kept, and the actor is wanted
//! for it. The relay's word that it has a route again wakes it, and nothing else does: then what was kept goes out,
//! under the numbers that it had.

mod actors;
mod awaited;
mod awake;
mod backlog;
mod registry;
mod requests;
mod sleep;
mod sleeper;
mod wake;

pub(super) use actors::{GroupKey, Groups};
pub(super) use awaited::Deadline;
pub(super) use awake::Hibernation;
pub(super) use backlog::Bounds;
pub(super) use registry::{Deadline as RegistryDeadline, Of as RegistryDeadlineOf, Registry};
pub(super) use requests::{Requests, Slot};
pub(super) use sleep::Because;
pub(super) use wake::Words;
