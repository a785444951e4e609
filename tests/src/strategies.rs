//! Any value that the protocol can carry, for properties.

use bytes::Bytes;
use bytestring::ByteString;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::kv::{
    KvEntries, KvListQuery, KvMetadata, KvRequest, KvRequestData, KvResponse, KvResponseData,
};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage};
use underpass_core::protocol::{
    DataList, GatewayId, Map, MessageId, RequestId, ToClient, ToGateway, ToRunner, ToServer, ToServerlessServer,
    serverless, to_client, to_gateway, to_runner, to_server, tunnel,
};

use crate::any_union::AnyUnion;

fn text() -> impl Strategy<Value = ByteString> {
    ".{0,9}".prop_map(ByteString::from)
}

fn data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn key() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..5).prop_map(Bytes::from)
}

fn keys() -> impl Strategy<Value = DataList> {
    vec(key(), 0..9).prop_map(DataList::from_iter)
}

fn values() -> impl Strategy<Value = DataList> {
    vec(data(), 0..9).prop_map(DataList::from_iter)
}

fn map<V: Clone + core::fmt::Debug>(value: impl Strategy<Value = V>) -> impl Strategy<Value = Map<V>> {
    btree_map(".{0,3}", value, 0..40)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (ByteString::from(key), value)).collect())
}

fn headers() -> impl Strategy<Value = Map<ByteString>> {
    map(text())
}

fn checkpoint() -> impl Strategy<Value = ActorCheckpoint> {
    (text(), any::<u32>(), any::<i64>()).prop_map(|(actor_id, generation, index)| ActorCheckpoint {
        actor_id,
        generation,
        index,
    })
}

fn request_id() -> impl Strategy<Value = RequestId> {
    any::<[u8; 4]>().prop_map(RequestId)
}

fn gateway_id() -> impl Strategy<Value = GatewayId> {
    any::<[u8; 4]>().prop_map(GatewayId)
}

fn message_id() -> impl Strategy<Value = MessageId> {
    (gateway_id(), request_id(), any::<u16>()).prop_map(|(gateway_id, request_id, message_index)| MessageId {
        gateway_id,
        request_id,
        message_index,
    })
}

fn web_socket_message() -> impl Strategy<Value = tunnel::to_client::WebSocketMessage> {
    (data(), any::<bool>()).prop_map(|(data, binary)| tunnel::to_client::WebSocketMessage { data, binary })
}

fn credit() -> impl Strategy<Value = tunnel::to_client::Credit> {
    any::<u32>().prop_map(|total| tunnel::to_client::Credit { total })
}

/// A piece of a request, private words among them.
pub fn to_client_tunnel_message() -> impl Strategy<Value = ToClientTunnelMessage> {
    use tunnel::to_client::{Kind, RequestChunk, RequestStart, WebSocketClose, WebSocketOpen};

    let start = (text(), text(), text(), headers(), option::of(data()), any::<bool>()).prop_map(
        |(actor_id, method, path, headers, body, stream)| {
            Kind::RequestStart(RequestStart { actor_id, method, path, headers, body, stream })
        },
    );
    let chunk = (data(), any::<bool>()).prop_map(|(body, finish)| Kind::RequestChunk(RequestChunk { body, finish }));
    let open = (text(), text(), headers())
        .prop_map(|(actor_id, path, headers)| Kind::WebSocketOpen(WebSocketOpen { actor_id, path, headers }));
    let close = (option::of(any::<u16>()), option::of(text()))
        .prop_map(|(code, reason)| Kind::WebSocketClose(WebSocketClose { code, reason }));
    let kind = prop_oneof![
        start,
        chunk,
        Just(Kind::RequestAbort),
        open,
        web_socket_message().prop_map(Kind::WebSocketMessage),
        close,
        credit().prop_map(Kind::Credit),
    ];
    (message_id(), kind).prop_map(|(message_id, message_kind)| ToClientTunnelMessage { message_id, message_kind })
}

/// A piece of an answer, private words among them.
pub fn to_server_tunnel_message() -> impl Strategy<Value = ToServerTunnelMessage> {
    use tunnel::to_server::{Kind, ResponseChunk, ResponseStart, WebSocketClose, WebSocketMessageAck, WebSocketOpen};

    let start =
        (any::<u16>(), headers(), option::of(data()), any::<bool>()).prop_map(|(status, headers, body, stream)| {
            Kind::ResponseStart(ResponseStart { status, headers, body, stream })
        });
    let chunk = (data(), any::<bool>()).prop_map(|(body, finish)| Kind::ResponseChunk(ResponseChunk { body, finish }));
    let close = (option::of(any::<u16>()), option::of(text()), any::<bool>())
        .prop_map(|(code, reason, hibernate)| Kind::WebSocketClose(WebSocketClose { code, reason, hibernate }));
    let kind = prop_oneof![
        start,
        chunk,
        Just(Kind::ResponseAbort),
        any::<bool>().prop_map(|can_hibernate| Kind::WebSocketOpen(WebSocketOpen { can_hibernate })),
        web_socket_message().prop_map(Kind::WebSocketMessage),
        any::<u16>().prop_map(|index| Kind::WebSocketMessageAck(WebSocketMessageAck { index })),
        close,
        credit().prop_map(Kind::Credit),
    ];
    (message_id(), kind).prop_map(|(message_id, message_kind)| ToServerTunnelMessage { message_id, message_kind })
}

fn event() -> impl Strategy<Value = to_server::Event> {
    use to_server::{ActorIntent, ActorState, Event, StopCode, Stopped};

    let code = prop_oneof![Just(StopCode::Ok), Just(StopCode::Error)];
    prop_oneof![
        prop_oneof![Just(ActorIntent::Sleep), Just(ActorIntent::Stop)].prop_map(|intent| Event::ActorIntent { intent }),
        Just(Event::ActorStateUpdate { state: ActorState::Running }),
        (code, option::of(text())).prop_map(|(code, message)| Event::ActorStateUpdate {
            state: ActorState::Stopped(Stopped { code, message })
        }),
        option::of(any::<i64>()).prop_map(|alarm_ts| Event::ActorSetAlarm { alarm_ts }),
    ]
}

fn kv_request() -> impl Strategy<Value = KvRequest> {
    let query = prop_oneof![
        Just(KvListQuery::All),
        (key(), key(), any::<bool>()).prop_map(|(start, end, exclusive)| KvListQuery::Range { start, end, exclusive }),
        key().prop_map(|key| KvListQuery::Prefix { key }),
    ];
    let data = prop_oneof![
        keys().prop_map(|keys| KvRequestData::Get { keys }),
        (query, option::of(any::<bool>()), option::of(any::<u64>()))
            .prop_map(|(query, reverse, limit)| KvRequestData::List { query, reverse, limit }),
        (keys(), values()).prop_map(|(keys, values)| KvRequestData::Put { keys, values }),
        keys().prop_map(|keys| KvRequestData::Delete { keys }),
        (key(), key()).prop_map(|(start, end)| KvRequestData::DeleteRange { start, end }),
        Just(KvRequestData::Drop),
    ];
    (text(), any::<u32>(), data).prop_map(|(actor_id, request_id, data)| KvRequest { actor_id, request_id, data })
}

fn kv_response() -> impl Strategy<Value = KvResponse> {
    let entries = || {
        let metadata = (key(), any::<i64>()).prop_map(|(version, update_ts)| KvMetadata { version, update_ts });
        (keys(), values(), vec(metadata, 0..9)).prop_map(|(keys, values, metadata)| KvEntries {
            keys,
            values,
            metadata,
        })
    };
    let data = prop_oneof![
        text().prop_map(|message| KvResponseData::Error { message }),
        entries().prop_map(KvResponseData::Get),
        entries().prop_map(KvResponseData::List),
        Just(KvResponseData::Put),
        Just(KvResponseData::Delete),
        Just(KvResponseData::Drop),
    ];
    (any::<u32>(), data).prop_map(|(request_id, data)| KvResponse { request_id, data })
}

fn commands() -> impl Strategy<Value = Vec<to_client::CommandWrapper>> {
    use to_client::{ActorConfig, Command, CommandWrapper, HibernatingRequest, StartActor};

    let config = (text(), option::of(text()), any::<i64>(), option::of(data()))
        .prop_map(|(name, key, create_ts, input)| ActorConfig { name, key, create_ts, input });
    let hibernating =
        (gateway_id(), request_id()).prop_map(|(gateway_id, request_id)| HibernatingRequest { gateway_id, request_id });
    let command = prop_oneof![
        (config, vec(hibernating, 0..9)).prop_map(|(config, hibernating_requests)| {
            Command::StartActor(StartActor { config, hibernating_requests }.into())
        }),
        Just(Command::StopActor),
    ];
    vec((checkpoint(), command).prop_map(|(checkpoint, inner)| CommandWrapper { checkpoint, inner }), 0..9)
}

fn ack_events() -> impl Strategy<Value = to_client::AckEvents> {
    vec(checkpoint(), 0..9).prop_map(|last_event_checkpoints| to_client::AckEvents { last_event_checkpoints })
}

fn to_server() -> impl Strategy<Value = ToServer> {
    use to_server::{AckCommands, ActorName, EventWrapper, Init, Pong};

    let names = map(text().prop_map(|metadata| ActorName { metadata }));
    let init = (text(), any::<u32>(), any::<u32>(), option::of(names), option::of(text())).prop_map(
        |(name, version, total_slots, prepopulate_actor_names, metadata)| {
            ToServer::Init(Init { name, version, total_slots, prepopulate_actor_names, metadata })
        },
    );
    let event = (checkpoint(), event()).prop_map(|(checkpoint, inner)| EventWrapper { checkpoint, inner });
    let acks = vec(checkpoint(), 0..9).prop_map(|last_command_checkpoints| AckCommands { last_command_checkpoints });
    prop_oneof![
        init,
        vec(event, 0..9).prop_map(ToServer::Events),
        acks.prop_map(ToServer::AckCommands),
        Just(ToServer::Stopping),
        any::<i64>().prop_map(|ts| ToServer::Pong(Pong { ts })),
        kv_request().prop_map(ToServer::KvRequest),
        to_server_tunnel_message().prop_map(ToServer::TunnelMessage),
    ]
}

fn to_client() -> impl Strategy<Value = ToClient> {
    use to_client::{Init, Ping, ProtocolMetadata};

    let init = (text(), any::<i64>(), any::<i64>(), option::of(any::<i64>())).prop_map(
        |(runner_id, runner_lost_threshold, actor_stop_threshold, serverless_drain_grace_period)| {
            let metadata =
                ProtocolMetadata { runner_lost_threshold, actor_stop_threshold, serverless_drain_grace_period };
            ToClient::Init(Init { runner_id, metadata })
        },
    );
    prop_oneof![
        init,
        commands().prop_map(ToClient::Commands),
        ack_events().prop_map(ToClient::AckEvents),
        kv_response().prop_map(ToClient::KvResponse),
        to_client_tunnel_message().prop_map(ToClient::TunnelMessage),
        any::<i64>().prop_map(|ts| ToClient::Ping(Ping { ts })),
        Just(ToClient::Draining),
    ]
}

fn to_runner() -> impl Strategy<Value = ToRunner> {
    let ping = (gateway_id(), request_id(), any::<i64>()).prop_map(|(gateway_id, request_id, ts)| to_runner::Ping {
        gateway_id,
        request_id,
        ts,
    });
    let sent = (request_id(), any::<u16>()).prop_map(|(request_id, next)| to_runner::Sent { request_id, next });
    prop_oneof![
        ping.prop_map(ToRunner::Ping),
        Just(ToRunner::Close),
        commands().prop_map(ToRunner::Commands),
        ack_events().prop_map(ToRunner::AckEvents),
        to_client_tunnel_message().prop_map(ToRunner::TunnelMessage),
        (gateway_id(), any::<u32>(), vec(sent, 0..9))
            .prop_map(|(gateway_id, number, requests)| to_runner::Probe { gateway_id, number, requests })
            .prop_map(ToRunner::Probe),
        (gateway_id(), request_id(), text(), any::<u32>())
            .prop_map(|(gateway_id, request_id, actor_id, generation)| to_runner::LeftBehind {
                gateway_id,
                request_id,
                actor_id,
                generation
            })
            .prop_map(ToRunner::LeftBehind),
    ]
}

fn to_gateway() -> impl Strategy<Value = ToGateway> {
    use to_gateway::{Came, Connection, Counted, Doubted, Lost, Probed, Refused, RefusedReason, Restored, RouteOpen};
    let pong = (request_id(), any::<i64>()).prop_map(|(request_id, ts)| to_gateway::Pong { request_id, ts });
    let connection = || (any::<[u8; 16]>(), any::<u64>()).prop_map(|(relay, number)| Connection { relay, number });
    let reason =
        proptest::sample::select(vec![RefusedReason::ConnectionEnded, RefusedReason::Draining, RefusedReason::Full]);
    let refused = (gateway_id(), request_id(), reason).prop_map(|(gateway_id, request_id, reason)| Refused {
        gateway_id,
        request_id,
        reason,
    });
    let route = (gateway_id(), request_id(), connection()).prop_map(|(gateway_id, request_id, connection)| RouteOpen {
        gateway_id,
        request_id,
        connection,
    });
    let restored = (gateway_id(), request_id(), connection(), any::<u32>()).prop_map(
        |(gateway_id, request_id, connection, generation)| Restored { gateway_id, request_id, connection, generation },
    );
    let came = prop_oneof![Just(Came::All), any::<u16>().prop_map(Came::Until), Just(Came::Nothing)];
    let counted = (request_id(), came, any::<u32>(), any::<u32>())
        .prop_map(|(request_id, came, carried, granted)| Counted { request_id, came, carried, granted });
    let probed = (gateway_id(), any::<u32>(), connection(), vec(counted, 0..9))
        .prop_map(|(gateway_id, number, connection, requests)| Probed { gateway_id, number, connection, requests });
    let lost = (gateway_id(), request_id(), connection()).prop_map(|(gateway_id, request_id, connection)| Lost {
        gateway_id,
        request_id,
        connection,
    });
    let doubted = (gateway_id(), connection(), vec(request_id(), 0..9))
        .prop_map(|(gateway_id, connection, requests)| Doubted { gateway_id, connection, requests });
    prop_oneof![
        pong.prop_map(ToGateway::Pong),
        to_server_tunnel_message().prop_map(ToGateway::TunnelMessage),
        connection().prop_map(ToGateway::ConnectionEnded),
        refused.prop_map(ToGateway::Refused),
        route.prop_map(ToGateway::RouteOpen),
        restored.prop_map(ToGateway::Restored),
        probed.prop_map(ToGateway::Probed),
        lost.prop_map(ToGateway::Lost),
        doubted.prop_map(ToGateway::Doubted),
    ]
}

fn to_serverless_server() -> impl Strategy<Value = ToServerlessServer> {
    (text(), any::<u16>()).prop_map(|(runner_id, runner_protocol_version)| {
        ToServerlessServer::Init(serverless::Init { runner_id, runner_protocol_version })
    })
}

/// A value of any union, private words among them.
pub fn any_union() -> impl Strategy<Value = AnyUnion> {
    prop_oneof![
        to_server().prop_map(AnyUnion::ToServer),
        to_client().prop_map(AnyUnion::ToClient),
        to_runner().prop_map(AnyUnion::ToRunner),
        to_gateway().prop_map(AnyUnion::ToGateway),
        to_serverless_server().prop_map(AnyUnion::ToServerlessServer),
    ]
}
