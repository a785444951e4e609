//! Stories of the runner alone, told in synthetic events and virtual time.

mod actors;
mod answers;
mod drain;
mod hibernation;
mod kv;
mod link;
mod misuse;
mod moves;
mod pace;
mod requests;
