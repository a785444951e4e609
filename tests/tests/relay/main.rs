//! Stories of the relay alone, told in synthetic events and virtual time.

mod acknowledged;
mod actors;
mod backlog;
mod bus;
mod directory;
mod drain;
mod drain_runner;
mod ends;
mod forgetting;
mod gateways;
mod held;
mod hibernation;
mod kinds;
mod kv;
mod lost;
mod moving;
mod routes;
mod session;
mod versions;
