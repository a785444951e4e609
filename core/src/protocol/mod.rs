//! The runner protocol, version 7.

mod bare;
mod bus;
pub mod carry;
pub mod control;
pub mod ids;
pub mod kv;
pub mod map;
pub mod serverless;
pub mod to_client;
pub mod to_gateway;
pub mod to_runner;
pub mod to_server;
pub mod tunnel;

/// The version that everything here speaks: the newest published one, and the only one on the bus.
pub const VERSION: u16 = 7;

pub use ids::{GatewayId, MessageId, MessageIndex, RequestId};
pub use map::Map;
pub use serverless::ToServerlessServer;
pub use to_client::ToClient;
pub use to_gateway::ToGateway;
pub use to_runner::ToRunner;
pub use to_server::ToServer;
pub use tunnel::Dialect;
