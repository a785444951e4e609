//! The program as a whole.

mod client;
mod fleet;
mod harness;
mod inspect;
mod inspector;
mod manual;
mod metrics;
mod replay;
mod up;
mod websocket;
mod wrong_use;
