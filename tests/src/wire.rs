//! Short words for frames, ids and heads, for stories.

use bytes::Bytes;
use bytestring::ByteString;
use underpass_core::bus::{ConnectionId, Publication, RelayId, Subject};
use underpass_core::directory::{
    Abilities, Pool, Revision, RunnerId, RunnerKey, RunnerRecord, RunnerSeen, RunnerState, Versioned,
};
use underpass_core::gateway::{Open, OpenKind};
use underpass_core::http::{Body, RequestHead, ResponseHead, Target};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use underpass_core::protocol::{
    Dialect, GatewayId, Map, MessageId, RequestId, ToClient, ToGateway, ToRunner, ToServer,
};
use underpass_core::{Frame, RequestKey};

/// The gateway of most stories.
pub const GATEWAY: GatewayId = GatewayId(*b"gate");

/// The relay of most stories.
pub fn relay_id() -> RelayId {
    RelayId(uuid::Uuid::from_u128(0xabcd))
}

/// A connection of that relay.
pub fn connection(number: u64) -> ConnectionId {
    ConnectionId { relay: relay_id(), number }
}

/// The pool of most stories.
pub fn pool() -> Pool {
    Pool { namespace: "default".into(), name: "default".into() }
}

/// A runner of that pool.
pub fn runner_key(key: &str) -> RunnerKey {
    RunnerKey { pool: pool(), key: key.into() }
}

/// What Underpass's own runners can do, with so much credit.
pub fn abilities(credit: u32) -> Abilities {
    Abilities { dialect: Dialect::Underpass, streams: true, numbers: true, credit: Some(credit), stateless: true }
}

/// A record of a runner on a connection.
pub fn record(number: u64, abilities: Abilities, state: RunnerState) -> RunnerRecord {
    RunnerRecord {
        id: RunnerId(uuid::Uuid::from_u128(0x1234)),
        slots: 1,
        protocol_version: 7,
        abilities,
        connection: Some(connection(number)),
        moving: None,
        entered: None,
        state,
    }
}

/// The directory shows a runner.
pub fn seen(key: &str, record: RunnerRecord) -> RunnerSeen {
    RunnerSeen { key: runner_key(key), record: Some(Versioned { revision: Revision(1), record }) }
}

/// The directory shows that a runner is gone.
pub fn gone(key: &str) -> RunnerSeen {
    RunnerSeen { key: runner_key(key), record: None }
}

/// Headers of the wire.
pub fn headers(pairs: &[(&'static str, &'static str)]) -> Map<ByteString> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// The head of a request without header fields.
pub fn head(method: &'static str, path: &'static str) -> RequestHead {
    RequestHead { method: method.into(), path: path.into(), headers: Map::default() }
}

/// The head of an answer without header fields.
pub fn status(status: u16) -> ResponseHead {
    ResponseHead { status, headers: Map::default() }
}

/// A request to the actor `default`.
pub fn open(method: &'static str, path: &'static str, body: Body) -> Open {
    let target = Target { pool: pool(), actor_id: "default".into() };
    Open { target, head: head(method, path), kind: OpenKind::Http(body) }
}

/// A WebSocket to the actor `default`.
pub fn open_websocket(path: &'static str) -> Open {
    let target = Target { pool: pool(), actor_id: "default".into() };
    Open { target, head: head("GET", path), kind: OpenKind::WebSocket }
}

/// The start of a request, as it travels.
pub fn request_start(
    method: &'static str,
    path: &'static str,
    body: Option<&'static [u8]>,
    stream: bool,
) -> to_client::Kind {
    to_client::Kind::RequestStart(to_client::RequestStart {
        actor_id: "default".into(),
        method: method.into(),
        path: path.into(),
        headers: Map::default(),
        body: body.map(Bytes::from_static),
        stream,
    })
}

/// The start of an answer, as it travels.
pub fn response_start(status: u16, body: Option<&'static [u8]>, stream: bool) -> to_server::Kind {
    let body = body.map(Bytes::from_static);
    to_server::Kind::ResponseStart(to_server::ResponseStart { status, headers: Map::default(), body, stream })
}

/// A piece of an answer's body, as it travels.
pub fn response_chunk(body: &'static [u8], finish: bool) -> to_server::Kind {
    to_server::Kind::ResponseChunk(to_server::ResponseChunk { body: Bytes::from_static(body), finish })
}

/// A piece of a request's body, as it travels.
pub fn request_chunk(body: &'static [u8], finish: bool) -> to_client::Kind {
    to_client::Kind::RequestChunk(to_client::RequestChunk { body: Bytes::from_static(body), finish })
}

/// A message of a WebSocket, as it travels.
pub fn message(data: &'static [u8], binary: bool) -> to_client::WebSocketMessage {
    to_client::WebSocketMessage { data: Bytes::from_static(data), binary }
}

/// The id of a message of the gateway of most stories.
pub fn message_id(request: RequestId, message_index: u16) -> MessageId {
    MessageId { gateway_id: GATEWAY, request_id: request, message_index }
}

/// A piece of a request on the bus.
pub fn to_runner(number: u64, id: MessageId, kind: to_client::Kind) -> Publication {
    let message = ToRunner::TunnelMessage(ToClientTunnelMessage { message_id: id, message_kind: kind });
    Publication {
        to: Subject::Connection(connection(number)),
        reply_to: Some(Subject::Gateway(id.gateway_id)),
        frame: message.encode_framed(),
    }
}

/// A piece of an answer on the bus.
pub fn to_gateway(id: MessageId, kind: to_server::Kind) -> Frame {
    ToGateway::TunnelMessage(ToServerTunnelMessage { message_id: id, message_kind: kind }).encode_framed()
}

/// A piece of an answer on the runner's WebSocket.
pub fn to_server(id: MessageId, kind: to_server::Kind) -> Frame {
    ToServer::TunnelMessage(ToServerTunnelMessage { message_id: id, message_kind: kind }).encode()
}

/// A piece of a request on the runner's WebSocket.
pub fn to_client(id: MessageId, kind: to_client::Kind) -> Frame {
    ToClient::TunnelMessage(ToClientTunnelMessage { message_id: id, message_kind: kind }).encode()
}

/// What the request of a key is called on the wire.
pub fn request_id(gateway: &underpass_core::Gateway, key: RequestKey) -> RequestId {
    gateway.request_name(key).expect("the request is open").request_id
}
