//! Stories of the gateway alone, told in synthetic events and virtual time.

mod actors;
mod actors_lost;
mod again;
mod bodies;
mod directory;
mod drain;
mod ended_by_operator;
mod ending;
mod ends;
mod failures;
mod frames;
mod hibernation;
mod kept;
mod lost;
mod misuse;
mod opening;
mod pings;
mod waits;
