//! Stories of the relay alone, told in synthetic events and virtual time.

mod backlog;
mod bus;
mod directory;
mod drain;
mod ends;
mod gateways;
mod moving;
mod routes;
mod session;
