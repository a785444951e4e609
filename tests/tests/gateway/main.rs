//! Stories of the gateway alone, told in synthetic events and virtual time.

mod bodies;
mod drain;
mod ends;
mod failures;
mod frames;
mod misuse;
mod opening;
