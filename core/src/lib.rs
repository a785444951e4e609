//! Underpass: a reverse tunnel as state machines without IO.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod bus;
pub mod directory;
pub mod error;
pub mod failure;
pub mod frame;
pub mod gateway;
pub mod http;
pub mod machine;
pub mod protocol;
pub mod relay;
pub mod runner;
pub mod time;

pub use error::{ApiMisuse, ConfigError, Malformed, PeerError};
pub use failure::{Failure, FailureCode};
pub use frame::Frame;
pub use gateway::Gateway;
pub use machine::{Machine, RequestKey};
pub use relay::Relay;
pub use runner::Runner;
pub use time::Time;
