//! The runner protocol, version 7: its words, and their bytes.
//!
//! # What travels where
//!
//! | union | from → to | carried by | read and written by |
//! | --- | --- | --- | --- |
//! | [`ToServer`] | runner → relay | the runner's WebSocket, one value a binary message | [`decode`](ToServer::decode), [`encode`](ToServer::encode); the relay's way is [`carry::from_runner`] |
//! | [`ToClient`] | relay → runner | the same WebSocket | [`decode`](ToClient::decode), [`encode`](ToClient::encode) |
//! | [`ToRunner`] | gateway, control plane → relay | the bus, on the runner's subject: [`VERSION`] as `u16`, then the value | [`decode_framed`](ToRunner::decode_framed), [`encode_framed`](ToRunner::encode_framed); the relay's way is [`carry::from_bus`] |
//! | [`ToGateway`] | relay → gateway | the bus, on the gateway's subject, framed alike | [`decode_framed`](ToGateway::decode_framed), [`encode_framed`](ToGateway::encode_framed) |
//! | [`ToServerlessServer`] | control plane → serverless runner | the control plane's own way | [`decode`](ToServerlessServer::decode), [`encode`](ToServerlessServer::encode) |
//!
//! Requests and answers travel as [tunnel messages](tunnel), which are a member of the first four. They are the hot
//! path: their payloads are slices of the frame that was read, and pieces of the [`Frame`](crate::Frame) that is
//! written. Whoever keeps one keeps the frame. All other messages are copied out of the frame.
//!
//! # The encoding
//!
//! BARE. A number of variable length is unsigned LEB128, all others are little endian and of fixed width.
//!
//! | type | bytes |
//! | --- | --- |
//! | union, enum | the tag, variable, counted from 0 in the order listed here; then that member |
//! | struct | its fields in order |
//! | `bool` | 0 or 1 |
//! | optional | 0, or 1 and the value |
//! | string, data | the length, variable; then the bytes, of a string UTF-8 |
//! | list, map | the count, variable; then the items, or pairs of key and value |
//! | id | its four bytes |
//!
//! Reading is strict: a value has one encoding only, but for the order of a map, and a frame holds one value. Whatever
//! else comes is a [`PeerError`](crate::PeerError) that says [what](crate::Malformed) is wrong and where, before
//! anything is allocated by a length that the frame cannot hold.
//!
//! # Private words
//!
//! Both ends may have agreed on the sub-protocol `underpass.1`, or neither has; [`Dialect`] says which, and a decoder
//! of [`Dialect::Published`] refuses them as it refuses any unknown tag.
//!
//! | word | tag |
//! | --- | --- |
//! | [`ToClient::Draining`] | 6 of `ToClient` |
//! | [`tunnel::to_client::Kind::Credit`] | 6 of `ToClientTunnelMessageKind` |
//! | [`tunnel::to_server::Kind::Credit`] | 7 of `ToServerTunnelMessageKind` |

pub mod any;
mod bare;
mod bus;
pub mod carry;
mod codec;
pub mod control;
mod data_list;
pub mod edge;
pub mod ids;
pub mod json;
pub mod kv;
pub mod map;
pub mod serverless;
pub mod to_client;
pub mod to_gateway;
pub mod to_runner;
pub mod to_server;
pub mod translate;
pub mod tunnel;
pub mod v1;
pub mod v2;
pub mod v3;
pub mod v4;
pub mod v5;
pub mod v6;
mod version;

pub use data_list::DataList;
pub use edge::Edge;
pub use ids::{GatewayId, MessageId, MessageIndex, RequestId};
pub use map::Map;
pub use serverless::ToServerlessServer;
pub use to_client::ToClient;
pub use to_gateway::ToGateway;
pub use to_runner::ToRunner;
pub use to_server::ToServer;
pub use translate::{Memory, Untranslatable};
pub use tunnel::Dialect;
pub use version::{NoSuchVersion, Version};

/// The version that everything here speaks: the newest published one, and the only one on the bus.
pub const VERSION: u16 = 7;
