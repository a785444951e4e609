//! Numbers that nobody else has.

use std::hash::{BuildHasher, RandomState};

/// A number that differs from process to process, and from call to call.
pub(crate) fn number() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
