//! What the stories of `tests/` share.

pub mod any_union;
pub mod strategies;
pub mod vectors;
