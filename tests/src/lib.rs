//! Stories that cross the crates of Underpass, and what they are told with.

pub mod any_union;
pub mod arbitrary;
pub mod carrying;
pub mod checks;
pub mod fuzz;
pub mod given;
pub mod noise;
pub mod recorded;
pub mod short;
pub mod sim;
pub mod sleepers;
pub mod snapshot;
pub mod story;
pub mod strategies;
pub mod talking;
pub mod trio;
pub mod vectors;
pub mod watched;
pub mod wire;

/// The README's examples compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
