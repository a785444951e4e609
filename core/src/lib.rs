//! Underpass: a reverse tunnel as state machines without IO.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod error;
pub mod frame;
pub mod machine;
pub mod protocol;
pub mod time;

pub use error::{ApiMisuse, ConfigError, Malformed, PeerError};
pub use frame::Frame;
pub use machine::Machine;
pub use time::Time;
