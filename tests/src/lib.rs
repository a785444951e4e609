//! Stories that cross the crates of Underpass, and what they are told with.

pub mod any_union;
pub mod given;
pub mod noise;
pub mod short;
pub mod snapshot;
pub mod story;
pub mod trio;
pub mod vectors;
pub mod wire;
