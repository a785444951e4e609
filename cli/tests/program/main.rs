//! The program as a whole.

mod client;
mod fleet;
mod harness;
mod inspect;
mod metrics;
mod up;
mod websocket;
mod wrong_use;
