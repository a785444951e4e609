//! The runner protocol: its words, and their bytes, in every published version.
//!
//! Version 7 is here, and what the machines and the bus speak. Versions 1 to 6 are runners': [`v6`] to [`v1`] each say how
//! they differ from the next newer one, an [`Edge`] stands between a relay's session and a runner of any of them, and
//! [`any`] is for tools that learn the version only when they run.
//!
//! # What travels where
//!
//! | union | from → to | carried by | read and written by |
//! | --- | --- | --- | --- |
//! | [`ToServer`] | runner → relay | the runner's WebSocket, one value a binary message | [`decode`](ToServer::decode), [`encode`](ToServer::encode); the relay's way is [`Edge::from_runner`] |
//! | [`ToClient`] | relay → runner | the same WebSocket | [`decode`](ToClient::decode), [`encode`](ToClient::encode); the relay's way is [`Edge::to_runner`] |
//! | [`ToRunner`] | gateway, control plane → relay | the bus, on the runner's subject: [`VERSION`] as `u16`, then the value | [`decode_framed`](ToRunner::decode_framed), [`encode_framed`](ToRunner::encode_framed); the relay's way is [`Edge::from_bus`] |
//! | [`ToGateway`] | relay → gateway | the bus, on the gateway's subject, framed alike | [`decode_framed`](ToGateway::decode_framed), [`encode_framed`](ToGateway::encode_framed) |
//! | [`ToServerlessServer`] | control plane → serverless runner | the control plane's own way | [`decode`](ToServerlessServer::decode), [`encode`](ToServerlessServer::encode) |
//!
//! On a runner's WebSocket the version is the connection's `protocol_version`. On the bus it is always 7; a frame of
//! another is malformed there.
//!
//! Requests and answers travel as [tunnel messages](tunnel), which are a member of the first four. They are the hot
//! path: their payloads are slices of the frame that was read, and pieces of the [`Frame`](crate::Frame) that is
//! written. Whoever keeps one keeps the frame. All other messages are copied out of the frame.
//!
//! # How versions differ
//!
//! | version | what the next newer one has and this one has not |
//! | --- | --- |
//! | [6](v6) | `KvDeleteRangeRequest` |
//! | [5](v5) | `actorStopThreshold` and `serverlessDrainGracePeriod` in `ProtocolMetadata` |
//! | [4](v4) | a generation in each `ActorCheckpoint`; events and commands have it in their payload, acknowledgements not at all |
//! | [3](v3) | checkpoints: one count a direction orders all events and commands of a connection. `ToClientPing` (the runner sends `ToServerPing`, unanswered). `updateTs` is called `createTs`. Tunnel messages begin with a `DeprecatedTunnelAck` |
//! | [2](v2) | ids in fields of their own: they travel [inside UUIDs](v2::Uuid). Numbers of a runner's messages. Hibernating requests in starts. `ToRunner`. Each tunnel message waits for a `TunnelAck` |
//! | [1](v1) | numbers of messages to WebSockets, their acknowledgements, hibernation |
//!
//! Between versions messages are [translated](translate) by meaning. What an older one does not have is an error that
//! names the message and the version, [`Untranslatable`]; dropped are only `hibernatingRequests` (1, 2), `canHibernate`
//! and `hibernate` (1), generations of acknowledgements (4), the two thresholds (5 and older), `runnerProtocolVersion`
//! (3 and older), and on the way up what newer versions know otherwise: `lastCommandIdx`, `lastEventIdx`,
//! `gatewayReplyTo`, `lastMsgIndex`, a second `index`. Acknowledgements of tunnel messages are neither translated nor
//! made up; a gateway id of zero passes nowhere.
//!
//! [`next_version`] says how to add one, [`moving_a_fleet`] how to bring runners from one to another while they run.
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
//! | [`ToGateway::ConnectionEnded`] | 2 of `ToGateway` |
//! | [`ToGateway::Refused`] | 3 of `ToGateway` |
//! | [`ToGateway::RouteOpen`] | 4 of `ToGateway` |
//! | [`ToGateway::Restored`] | 5 of `ToGateway` |
//! | [`ToGateway::Probed`] | 6 of `ToGateway` |
//! | [`ToGateway::Lost`] | 7 of `ToGateway` |
//! | [`ToGateway::Doubted`] | 8 of `ToGateway` |
//! | [`ToRunner::Probe`] | 5 of `ToRunner` |
//! | [`ToRunner::LeftBehind`] | 6 of `ToRunner` |
//!
//! Those of `ToGateway` and `ToRunner` are between relays and gateways alone, whatever a runner's connection chose.

pub mod any;
pub(crate) mod bare;
mod bus;
pub mod carry;
mod codec;
pub mod control;
pub(crate) mod data_list;
pub mod edge;
pub mod glance;
mod ids;
pub mod json;
pub mod kv;
pub mod map;
pub(crate) mod mention;
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

#[doc = include_str!("docs/moving_a_fleet.md")]
pub mod moving_a_fleet {}

#[doc = include_str!("docs/next_version.md")]
pub mod next_version {}

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

/// The version that the machines speak: the newest published one, and the only one on the bus.
pub const VERSION: u16 = 7;
