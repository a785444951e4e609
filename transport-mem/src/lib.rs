//! The in-process bus, directory and key-value store of Underpass.
//!
//! [`MemBus`] and [`MemDirectory`] join gateways and relays that live in one process, and [`MemKv`] keeps what their
//! actors put, as long as the process lives. They need no runtime: locks and wakers of the standard library, so that they
//! work under any executor.
//!
//! ```
//! use underpass_core::Frame;
//! use underpass_core::bus::{Address, Bus, Delivery, Inbox, Publication, PublishError, Subject};
//! use underpass_core::protocol::GatewayId;
//! use underpass_transport_mem::{Config, MemBus};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = MemBus::new(Config::default())?;
//! let gateway = GatewayId([0, 0, 0, 7]);
//! let publication =
//!     Publication { to: Subject::Gateway(gateway), reply_to: None, frame: Frame::new(b"hello", "world".into(), None) };
//!
//! // Nobody listens yet, and the publisher hears of it.
//! assert_eq!(bus.publish(publication.clone()).unwrap_err().reason, PublishError::NoResponders);
//!
//! let mut inbox = bus.attach(Address::Gateway(gateway)).await?;
//! bus.publish(publication.clone())?;
//! let mut deliveries = Vec::new();
//! inbox.receive(&mut deliveries).await?;
//! assert_eq!(deliveries, [Delivery::Frame { to: publication.to, reply_to: None, frame: publication.frame }]);
//! # Ok(())
//! # }
//! ```

mod bus;
mod directory;
mod kv;
mod registry;
pub mod sim;
#[cfg(test)]
mod testing;

pub use bus::{Config, MemBus, MemInbox, Stats};
pub use directory::{MemDirectory, MemWatch};
pub use kv::MemKv;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Locks. A thread that panicked while it held the lock left nothing half done: no foreign code but a waker's clone
/// runs under it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers whom to wake.
fn wait(waiting: &mut Option<Waker>, context: &Context<'_>) {
    match waiting {
        Some(waker) => waker.clone_from(context.waker()),
        None => *waiting = Some(context.waker().clone()),
    }
}
