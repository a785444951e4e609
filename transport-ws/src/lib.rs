//! Underpass over sockets.
//!
//! Three loops, each driving one machine of [`underpass_core`]:
//!
//! - [`clients`]: HTTP and WebSocket in, for a gateway's clients;
//! - [`runners`]: the listener of a relay, to which runners dial;
//! - [`runner`]: the runner's end, which dials a relay and hands what comes to a service.
//!
//! What comes in may come within TLS: [`tls`].
//!
//! [`clients`] and [`runners`] work over any [`Bus`](underpass_core::bus::Bus) and
//! [`Directory`](underpass_core::directory::Directory). All of it runs on tokio; what is started ends when it has
//! drained, or when its handle is dropped.

pub mod clients;
pub mod runner;
pub mod runners;
pub mod tls;

mod bus;
mod driver;
mod gate;
mod listen;
mod observers;
mod outbox;
mod pump;
mod queue;
mod socket;
mod token;
mod wire;

pub use observers::Observers;
