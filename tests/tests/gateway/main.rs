//! Stories of the gateway alone, told in synthetic events and virtual time.

mod again;
mod bodies;
mod directory;
mod drain;
mod ending;
mod ends;
mod failures;
mod frames;
mod misuse;
mod opening;
mod pings;
mod waits;
