//! The whole tunnel in one process, over real sockets.

mod drops;
mod http;
mod moves;
mod runners;
mod tunnel;
mod websocket;
