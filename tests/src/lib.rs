//! What the stories of `tests/` share.

pub mod any_union;
pub mod vectors;
