//! Underpass: a reverse tunnel as state machines without IO.
//!
//! ```text
//! client ──HTTP/WS──▶ gateway ──bus──▶ relay ◀──one WebSocket── runner ──▶ actor (the user's handler)
//! ```
//!
//! [`Gateway`] owns its clients' requests, [`Relay`] carries frames and decides who may answer, [`Runner`] dials out
//! and hands requests to handlers. Each is a [`Machine`]: events go in, actions come out, and it says when it wants to
//! be told the time. A [`Supervisor`], in each relay, starts and stops the actors of runners with state. Nothing here
//! has a socket, a clock, a thread or a random number of its own, so any runtime can drive it, and a test can let a day
//! pass in a moment.
//!
//! The [`guide`] tells how they are driven, what they go through, what may be relied on, and who is trusted with what.
//!
//! Whoever embeds a machine carries out its actions: [`bus`] and [`directory`] say what gateways and relays need
//! between them, [`kv`] what actors keep, [`protocol`] is what travels, [`http`] is how HTTP fits into it, and
//! [`failure`] is what clients are told when something goes wrong. How WebSockets outlive their actor's sleep is told in
//! [`hibernation`].
#![warn(clippy::wildcard_enum_match_arm, clippy::iter_over_hash_type)]

pub mod bus;
pub mod directory;
pub mod error;
pub mod failure;
pub mod frame;
pub mod gateway;
pub mod guide;
pub mod handshake;
pub mod http;
pub mod kv;
pub mod machine;
pub mod observe;
pub mod protocol;
pub mod record;
pub mod relay;
pub mod runner;
pub mod supervisor;
pub mod time;

#[doc = include_str!("docs/hibernation.md")]
pub mod hibernation {}

pub use error::{ApiMisuse, ConfigError, Malformed, PeerError};
pub use failure::{Failure, FailureCode};
pub use frame::Frame;
pub use gateway::Gateway;
pub use machine::{Machine, RequestKey};
pub use relay::Relay;
pub use runner::Runner;
pub use supervisor::Supervisor;
pub use time::Time;
