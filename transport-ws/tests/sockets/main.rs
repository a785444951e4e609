//! The whole tunnel in one process, over real sockets.

mod actors;
mod drops;
mod hibernation;
mod hosted;
mod hosts;
mod http;
mod moves;
mod runners;
mod tls;
mod tokens;
mod tunnel;
mod websocket;
