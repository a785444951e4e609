//! The program as a whole.

mod client;
mod fleet;
mod harness;
mod inspect;
mod manual;
mod up;
mod websocket;
mod wrong_use;
