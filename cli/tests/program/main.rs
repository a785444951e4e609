//! The program as a whole.

mod harness;
mod up;
mod websocket;
mod wrong_use;
