//! A fleet of Underpass on NATS: gateways, relays and runners as processes, with clients at work while they die, drain
//! and come again.
//!
//! The program `fleet` starts them, lets things happen to them, and judges what the clients saw. The program `host` is a
//! runner: it answers what [`pattern`] lets both ends check, and tells `fleet` of each request that it was given, in
//! [`note`]s.

pub mod note;
pub mod pattern;

/// The field that bears a request's number.
pub const REQUEST: &str = "x-fleet-request";

/// The field that says how many bytes a request's body has, and its answer's.
pub const LENGTH: &str = "x-fleet-length";

/// The field that says for how many milliseconds the handler thinks.
pub const THINK: &str = "x-fleet-think";

/// The field that names a pool to a gateway.
pub const POOL: &str = "x-underpass-pool";

/// The pool of those that keep nothing.
pub const WORK: &str = "work";

/// The pool of actors that count.
pub const COUNTERS: &str = "counters";
