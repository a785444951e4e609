//! What each machine does about each event in each state, compared with the tables in `snapshots/`.
//!
//! With `UPDATE_SNAPSHOTS=1` in the environment the tables are written anew.

mod gateway;
mod hosting;
mod relay;
mod runner;
mod supervisor;
