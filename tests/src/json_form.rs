//! The protocol's JSON form, which names things as the schema does.
//!
//! A union is `{"tag": NAME, "val": …}` with `null` for void, a struct an object, an enum a string, data hex, a 64-bit
//! integer a decimal string, an absent optional `null`, a map a list of pairs sorted by key.

use bytes::Bytes;
use serde_json::{Value, json};
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::kv::{
    KvEntries, KvListQuery, KvMetadata, KvRequest, KvRequestData, KvResponse, KvResponseData,
};
use underpass_core::protocol::to_client::{ActorConfig, Command, CommandWrapper, HibernatingRequest};
use underpass_core::protocol::to_server::{ActorIntent, ActorName, ActorState, Event, EventWrapper, StopCode};
use underpass_core::protocol::tunnel::{self, ToClientTunnelMessage, ToServerTunnelMessage};
use underpass_core::protocol::{Map, MessageId, ToClient, ToGateway, ToRunner, ToServer, ToServerlessServer};

use crate::any_union::AnyUnion;

/// The JSON form of a value.
pub fn of(value: &AnyUnion) -> Value {
    match value {
        AnyUnion::ToServer(value) => to_server(value),
        AnyUnion::ToClient(value) => to_client(value),
        AnyUnion::ToRunner(value) => to_runner(value),
        AnyUnion::ToGateway(value) => to_gateway(value),
        AnyUnion::ToServerlessServer(ToServerlessServer::Init(init)) => member(
            "ToServerlessServerInit",
            json!({ "runnerId": &*init.runner_id, "runnerProtocolVersion": init.runner_protocol_version }),
        ),
    }
}

fn to_server(value: &ToServer) -> Value {
    match value {
        ToServer::Init(init) => {
            let actor_name = |name: &ActorName| json!({ "metadata": &*name.metadata });
            member(
                "ToServerInit",
                json!({
                    "name": &*init.name,
                    "version": init.version,
                    "totalSlots": init.total_slots,
                    "prepopulateActorNames": init.prepopulate_actor_names.as_ref().map(|names| map(names, actor_name)),
                    "metadata": init.metadata.as_deref(),
                }),
            )
        }
        ToServer::Events(events) => member("ToServerEvents", list(events, event_wrapper)),
        ToServer::AckCommands(acks) => member(
            "ToServerAckCommands",
            json!({ "lastCommandCheckpoints": list(&acks.last_command_checkpoints, checkpoint) }),
        ),
        ToServer::Stopping => void("ToServerStopping"),
        ToServer::Pong(pong) => member("ToServerPong", json!({ "ts": long(pong.ts) })),
        ToServer::KvRequest(request) => member("ToServerKvRequest", kv_request(request)),
        ToServer::TunnelMessage(message) => to_server_tunnel_message(message),
    }
}

fn to_client(value: &ToClient) -> Value {
    match value {
        ToClient::Init(init) => {
            let metadata = json!({
                "runnerLostThreshold": long(init.metadata.runner_lost_threshold),
                "actorStopThreshold": long(init.metadata.actor_stop_threshold),
                "serverlessDrainGracePeriod": init.metadata.serverless_drain_grace_period.map(long),
            });
            member("ToClientInit", json!({ "runnerId": &*init.runner_id, "metadata": metadata }))
        }
        ToClient::Commands(commands) => member("ToClientCommands", list(commands, command_wrapper)),
        ToClient::AckEvents(acks) => member(
            "ToClientAckEvents",
            json!({ "lastEventCheckpoints": list(&acks.last_event_checkpoints, checkpoint) }),
        ),
        ToClient::KvResponse(response) => member("ToClientKvResponse", kv_response(response)),
        ToClient::TunnelMessage(message) => to_client_tunnel_message(message),
        ToClient::Ping(ping) => member("ToClientPing", json!({ "ts": long(ping.ts) })),
        ToClient::Draining => void("ToClientDraining"),
    }
}

fn to_runner(value: &ToRunner) -> Value {
    match value {
        ToRunner::Ping(ping) => member(
            "ToRunnerPing",
            json!({
                "gatewayId": hex(&ping.gateway_id.0),
                "requestId": hex(&ping.request_id.0),
                "ts": long(ping.ts),
            }),
        ),
        ToRunner::Close => void("ToRunnerClose"),
        ToRunner::Commands(commands) => to_client(&ToClient::Commands(commands.clone())),
        ToRunner::AckEvents(acks) => to_client(&ToClient::AckEvents(acks.clone())),
        ToRunner::TunnelMessage(message) => to_client_tunnel_message(message),
    }
}

fn to_gateway(value: &ToGateway) -> Value {
    match value {
        ToGateway::Pong(pong) => {
            member("ToGatewayPong", json!({ "requestId": hex(&pong.request_id.0), "ts": long(pong.ts) }))
        }
        ToGateway::TunnelMessage(message) => to_server_tunnel_message(message),
    }
}

fn to_client_tunnel_message(message: &ToClientTunnelMessage) -> Value {
    use tunnel::to_client::Kind;

    let kind = match &message.message_kind {
        Kind::RequestStart(start) => member(
            "ToClientRequestStart",
            json!({
                "actorId": &*start.actor_id,
                "method": &*start.method,
                "path": &*start.path,
                "headers": map(&start.headers, |value| json!(&**value)),
                "body": start.body.as_ref().map(data),
                "stream": start.stream,
            }),
        ),
        Kind::RequestChunk(chunk) => {
            member("ToClientRequestChunk", json!({ "body": data(&chunk.body), "finish": chunk.finish }))
        }
        Kind::RequestAbort => void("ToClientRequestAbort"),
        Kind::WebSocketOpen(open) => member(
            "ToClientWebSocketOpen",
            json!({
                "actorId": &*open.actor_id,
                "path": &*open.path,
                "headers": map(&open.headers, |value| json!(&**value)),
            }),
        ),
        Kind::WebSocketMessage(message) => member("ToClientWebSocketMessage", web_socket_message(message)),
        Kind::WebSocketClose(close) => {
            member("ToClientWebSocketClose", json!({ "code": close.code, "reason": close.reason.as_deref() }))
        }
        Kind::Credit(credit) => member("ToClientCredit", json!({ "total": credit.total })),
    };
    member("ToClientTunnelMessage", json!({ "messageId": message_id(&message.message_id), "messageKind": kind }))
}

fn to_server_tunnel_message(message: &ToServerTunnelMessage) -> Value {
    use tunnel::to_server::Kind;

    let kind = match &message.message_kind {
        Kind::ResponseStart(start) => member(
            "ToServerResponseStart",
            json!({
                "status": start.status,
                "headers": map(&start.headers, |value| json!(&**value)),
                "body": start.body.as_ref().map(data),
                "stream": start.stream,
            }),
        ),
        Kind::ResponseChunk(chunk) => {
            member("ToServerResponseChunk", json!({ "body": data(&chunk.body), "finish": chunk.finish }))
        }
        Kind::ResponseAbort => void("ToServerResponseAbort"),
        Kind::WebSocketOpen(open) => member("ToServerWebSocketOpen", json!({ "canHibernate": open.can_hibernate })),
        Kind::WebSocketMessage(message) => member("ToServerWebSocketMessage", web_socket_message(message)),
        Kind::WebSocketMessageAck(ack) => member("ToServerWebSocketMessageAck", json!({ "index": ack.index })),
        Kind::WebSocketClose(close) => member(
            "ToServerWebSocketClose",
            json!({ "code": close.code, "reason": close.reason.as_deref(), "hibernate": close.hibernate }),
        ),
        Kind::Credit(credit) => member("ToServerCredit", json!({ "total": credit.total })),
    };
    member("ToServerTunnelMessage", json!({ "messageId": message_id(&message.message_id), "messageKind": kind }))
}

fn web_socket_message(message: &tunnel::to_client::WebSocketMessage) -> Value {
    json!({ "data": data(&message.data), "binary": message.binary })
}

fn message_id(id: &MessageId) -> Value {
    json!({
        "gatewayId": hex(&id.gateway_id.0),
        "requestId": hex(&id.request_id.0),
        "messageIndex": id.message_index,
    })
}

fn checkpoint(checkpoint: &ActorCheckpoint) -> Value {
    json!({
        "actorId": &*checkpoint.actor_id,
        "generation": checkpoint.generation,
        "index": long(checkpoint.index),
    })
}

fn event_wrapper(event: &EventWrapper) -> Value {
    let inner = match &event.inner {
        Event::ActorIntent(intent) => {
            let intent = match intent {
                ActorIntent::Sleep => void("ActorIntentSleep"),
                ActorIntent::Stop => void("ActorIntentStop"),
            };
            member("EventActorIntent", json!({ "intent": intent }))
        }
        Event::ActorStateUpdate(state) => {
            let state = match state {
                ActorState::Running => void("ActorStateRunning"),
                ActorState::Stopped(stopped) => {
                    let code = match stopped.code {
                        StopCode::Ok => "OK",
                        StopCode::Error => "ERROR",
                    };
                    member("ActorStateStopped", json!({ "code": code, "message": stopped.message.as_deref() }))
                }
            };
            member("EventActorStateUpdate", json!({ "state": state }))
        }
        Event::ActorSetAlarm(alarm) => member("EventActorSetAlarm", json!({ "alarmTs": alarm.map(long) })),
    };
    json!({ "checkpoint": checkpoint(&event.checkpoint), "inner": inner })
}

fn command_wrapper(command: &CommandWrapper) -> Value {
    let inner = match &command.inner {
        Command::StartActor(start) => member(
            "CommandStartActor",
            json!({
                "config": actor_config(&start.config),
                "hibernatingRequests": list(&start.hibernating_requests, hibernating_request),
            }),
        ),
        Command::StopActor => void("CommandStopActor"),
    };
    json!({ "checkpoint": checkpoint(&command.checkpoint), "inner": inner })
}

fn actor_config(config: &ActorConfig) -> Value {
    json!({
        "name": &*config.name,
        "key": config.key.as_deref(),
        "createTs": long(config.create_ts),
        "input": config.input.as_ref().map(data),
    })
}

fn hibernating_request(request: &HibernatingRequest) -> Value {
    json!({ "gatewayId": hex(&request.gateway_id.0), "requestId": hex(&request.request_id.0) })
}

fn kv_request(request: &KvRequest) -> Value {
    let call = match &request.data {
        KvRequestData::Get { keys } => member("KvGetRequest", json!({ "keys": list(keys, data) })),
        KvRequestData::List { query, reverse, limit } => member(
            "KvListRequest",
            json!({ "query": kv_list_query(query), "reverse": reverse, "limit": limit.map(|limit| limit.to_string()) }),
        ),
        KvRequestData::Put { keys, values } => {
            member("KvPutRequest", json!({ "keys": list(keys, data), "values": list(values, data) }))
        }
        KvRequestData::Delete { keys } => member("KvDeleteRequest", json!({ "keys": list(keys, data) })),
        KvRequestData::DeleteRange { start, end } => {
            member("KvDeleteRangeRequest", json!({ "start": data(start), "end": data(end) }))
        }
        KvRequestData::Drop => void("KvDropRequest"),
    };
    json!({ "actorId": &*request.actor_id, "requestId": request.request_id, "data": call })
}

fn kv_list_query(query: &KvListQuery) -> Value {
    match query {
        KvListQuery::All => void("KvListAllQuery"),
        KvListQuery::Range { start, end, exclusive } => {
            member("KvListRangeQuery", json!({ "start": data(start), "end": data(end), "exclusive": exclusive }))
        }
        KvListQuery::Prefix { key } => member("KvListPrefixQuery", json!({ "key": data(key) })),
    }
}

fn kv_response(response: &KvResponse) -> Value {
    let answer = match &response.data {
        KvResponseData::Error { message } => member("KvErrorResponse", json!({ "message": &**message })),
        KvResponseData::Get(entries) => member("KvGetResponse", kv_entries(entries)),
        KvResponseData::List(entries) => member("KvListResponse", kv_entries(entries)),
        KvResponseData::Put => void("KvPutResponse"),
        KvResponseData::Delete => void("KvDeleteResponse"),
        KvResponseData::Drop => void("KvDropResponse"),
    };
    json!({ "requestId": response.request_id, "data": answer })
}

fn kv_entries(entries: &KvEntries) -> Value {
    let metadata =
        |metadata: &KvMetadata| json!({ "version": data(&metadata.version), "updateTs": long(metadata.update_ts) });
    json!({
        "keys": list(&entries.keys, data),
        "values": list(&entries.values, data),
        "metadata": list(&entries.metadata, metadata),
    })
}

fn member(tag: &str, val: Value) -> Value {
    json!({ "tag": tag, "val": val })
}

fn void(tag: &str) -> Value {
    member(tag, Value::Null)
}

fn long(number: i64) -> Value {
    number.to_string().into()
}

fn data(bytes: &Bytes) -> Value {
    hex(bytes)
}

fn hex(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn list<T>(items: &[T], item: impl Fn(&T) -> Value) -> Value {
    items.iter().map(item).collect()
}

fn map<V>(map: &Map<V>, value: impl Fn(&V) -> Value) -> Value {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by_key(|(key, _)| *key);
    pairs.into_iter().map(|(key, item)| json!([key, value(item)])).collect()
}
