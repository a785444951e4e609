//! What the stories of `tests/` share.

pub mod any_union;
pub mod json_form;
pub mod strategies;
pub mod vectors;
