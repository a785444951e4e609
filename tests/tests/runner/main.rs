//! Stories of the runner alone, told in synthetic events and virtual time.

mod answers;
mod drain;
mod link;
mod misuse;
mod moves;
mod pace;
mod requests;
