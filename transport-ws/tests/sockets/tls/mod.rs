//! The tunnel within TLS, over real sockets.

mod clients;
mod files;
mod given;
mod reload;
mod runners;
