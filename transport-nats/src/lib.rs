//! The bus, the directory and the key-value store of Underpass on NATS, for gateways and relays that are processes of
//! their own.
//!
//! [`Nats::connect`] makes a connection, which has a [`NatsBus`] on core NATS, a [`NatsDirectory`] in buckets of
//! JetStream and a [`NatsKv`] in a stream of it. It connects again by itself; what may be lost meanwhile is told, or
//! comes back.
//!
//! Subjects are `PREFIX.gateway.ID` for a gateway, `PREFIX.relay.RELAY.NUMBER` for a runner's connection, and
//! `PREFIX.back.BUS.…` for word of what was published. What a client must be allowed is in `cli/docs/fleet.md`, "What
//! each NATS user must be allowed".

mod bucket;
mod bus;
mod config;
mod connection;
mod directory;
mod kv;
mod made;
mod random;
mod task;

pub use bucket::BucketError;
pub use bus::{NatsBus, NatsInbox, Stats};
pub use config::{BusConfig, Config, Credentials, StoreConfig, Tls};
pub use connection::{ConnectError, Connected, Nats};
pub use directory::{NatsDirectory, NatsWatch, Standing};
pub use kv::NatsKv;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A thread that panicked while it held the lock left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
