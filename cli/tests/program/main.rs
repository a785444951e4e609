//! The program as a whole.

mod harness;
mod inspect;
mod up;
mod websocket;
mod wrong_use;
