//! A fleet in one thread and in virtual time, from one seed: gateways, relays, runners, a bus, sockets and a directory,
//! clients whose every byte is known, and faults. Then the faults stop, and the fleet must recover and come to rest.
//!
//! | file | concern |
//! | --- | --- |
//! | `schedule`, `workload`, `faults` | what a seed decides: the fleet, what clients and handlers do, what goes wrong |
//! | `world`, `fleet/`, `mischief` | letting it happen: one file of `fleet/` joins a machine to the world |
//! | `client`, `handler`, `bytes` | the model: both ends of each request know every byte that they may see |
//! | `stateful`, `lives` | the pool whose actors have state: what a seed decides of it, and how its actors may live |
//! | `hibernation/` | WebSockets that can hibernate: their clients, their handlers, and what must hold of them |
//! | `checks`, `rest`, `rest_of_actors` | what must hold: on the wire, in the tables, when nothing should be open |
//! | `trace`, `shrink`, `report` | finding out why not |
//!
//! A feature that comes later adds its clients to [`workload::Wish`], what they may see to `client` and `handler`, and
//! its faults to [`faults::Kind`]; the compiler names the places.

pub mod bytes;
pub mod checks;
pub mod client;
pub mod faults;
mod fleet;
pub mod handler;
pub mod hibernation;
pub mod lives;
mod mischief;
pub mod report;
mod rest;
mod rest_of_actors;
pub mod schedule;
pub mod seeds;
pub mod shrink;
pub mod stateful;
pub mod trace;
pub mod turn;
pub mod workload;
mod world;

pub use schedule::Schedule;
pub use world::{Outcome, run, run_recorded};
