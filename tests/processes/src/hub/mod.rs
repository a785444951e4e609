//! A bus and a directory for gateways and relays that are processes of their own.
//!
//! The [`Hub`] listens; [`HubBus`] and [`HubDirectory`] dial it. It behaves as the message bus of a real fleet does: at
//! most once, in order per publisher, a subscriber that is slow loses what comes, and a publisher that wants to know
//! hears when nobody is attached where it publishes. Who is attached it knows by their connections: a process that is
//! killed is gone at once; of one that is stopped, or cut off, nothing is to be seen.
//!
//! Each connection is for one thing, which its first message says: an inbox, publishing, one question to the directory,
//! or a watch. So no message needs a number.

mod bus;
mod directory;
mod server;
mod wire;

pub use bus::{HubBus, HubInbox};
pub use directory::{HubDirectory, HubWatch};
pub use server::Hub;
