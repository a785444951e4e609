//! Stories of the relay alone, told in synthetic events and virtual time.

mod backlog;
mod bus;
mod directory;
mod routes;
mod session;
