//! Actions in a few words, for tables that people read.

use underpass_core::bus::Subject;
use underpass_core::directory::{ActorChange, ActorState, RegistryChange};
use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::kv::KvResponseData;
use underpass_core::protocol::to_client::{Command, CommandWrapper};
use underpass_core::protocol::to_server::{ActorIntent, ActorState as Said, Event, EventWrapper, StopCode};
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::protocol::{Dialect, MessageId, ToClient, ToGateway, ToRunner, ToServer};
use underpass_core::{gateway, relay, runner, supervisor};

/// What a gateway wants.
pub fn gateway(action: &gateway::Action) -> String {
    use gateway::Action;
    match action {
        Action::Publish(publication) => {
            match ToRunner::decode_framed(&publication.frame, Dialect::Underpass).expect("a frame for a relay") {
                ToRunner::TunnelMessage(message) => {
                    format!("→runner {}", piece(message.message_id, &message.message_kind))
                }
                ToRunner::Ping(_) => "→relay Ping".into(),
                ToRunner::Probe(probe) => format!("→relay Probe {}", probe.requests.len()),
                ToRunner::LeftBehind(_) => "→relay LeftBehind".into(),
                other @ (ToRunner::Close | ToRunner::Commands(_) | ToRunner::AckEvents(_)) => {
                    format!("→relay {other:?}")
                }
            }
        }
        Action::ResponseStart { head, body: content, .. } => format!("→client answer {}{}", head.status, body(content)),
        Action::ResponseChunk { bytes, finish, .. } => format!("→client chunk {}{}", bytes.len(), last(*finish)),
        Action::WebSocketOpened { .. } => "→client opened".into(),
        Action::WebSocketMessage { message, .. } => format!("→client {}", text(message)),
        Action::WebSocketClose { close, .. } => format!("→client {}", closed(close)),
        Action::Failed { failure, .. } => format!("→client failed {}", failure.code),
        Action::PauseSource { .. } => "pause client".into(),
        Action::ResumeSource { .. } => "resume client".into(),
        Action::Actor(change) => match &change.record {
            None => "actor's record removed".into(),
            Some(record) => format!("actor {}", actor_state(record.state)),
        },
        Action::Registry(RegistryChange::Enter(_)) => "registry: enter".into(),
        Action::Registry(RegistryChange::Leave(_)) => "registry: leave".into(),
        Action::Registry(RegistryChange::KeepAlive(_)) => "registry: keep alive".into(),
        Action::Drained => "drained".into(),
    }
}

/// What a relay wants.
pub fn relay(action: &relay::Action) -> String {
    use relay::Action;
    match action {
        Action::Send { frame, .. } => {
            match ToClient::decode(frame, Dialect::Underpass).expect("a frame for a runner") {
                ToClient::TunnelMessage(message) => {
                    format!("→runner {}", piece(message.message_id, &message.message_kind))
                }
                ToClient::Init(_) => "→runner Init".into(),
                ToClient::Ping(_) => "→runner Ping".into(),
                ToClient::KvResponse(_) => "→runner KvResponse".into(),
                ToClient::Commands(_) => "→runner Commands".into(),
                ToClient::AckEvents(_) => "→runner AckEvents".into(),
                ToClient::Draining => "→runner Draining".into(),
            }
        }
        Action::Close { close, .. } => closed(close),
        Action::Publish(publication) => match publication.to {
            Subject::Connection(connection) => format!("→connection {} Close", connection.number),
            Subject::Gateway(_) => {
                match ToGateway::decode_framed(&publication.frame, Dialect::Underpass).expect("a frame for a gateway") {
                    ToGateway::Pong(_) => "→gateway Pong".into(),
                    ToGateway::TunnelMessage(message) => {
                        format!("→gateway {}", answer(message.message_id, &message.message_kind))
                    }
                    ToGateway::ConnectionEnded(connection) => format!("→gateway ConnectionEnded {}", connection.number),
                    ToGateway::Refused(refused) => format!("→gateway Refused {:?}", refused.reason),
                    ToGateway::RouteOpen(_) => "→gateway RouteOpen".into(),
                    ToGateway::Restored(_) => "→gateway Restored".into(),
                    ToGateway::Probed(probed) => format!("→gateway Probed {}", probed.requests.len()),
                    ToGateway::Lost(_) => "→gateway Lost".into(),
                    ToGateway::Doubted(doubted) => format!("→gateway Doubted {}", doubted.requests.len()),
                }
            }
        },
        Action::Directory { change, .. } => match &change.record {
            None => "record removed".into(),
            Some(record) if record.connection.is_none() => "record away".into(),
            Some(record) => {
                format!("record {:?}{}", record.state, if record.moving.is_some() { " moving" } else { "" })
            }
        },
        Action::Forget(_) => "record forgotten".into(),
        Action::ShowActors => "show actors".into(),
        Action::Registered { .. } => "ask the registry".into(),
        Action::Ping { .. } => "ping".into(),
        Action::Actor(change) => format!("actor {}", actor(change)),
        Action::Kv { owner, .. } => format!("store of {}:{}", owner.store.actor_id, owner.generation),
        Action::LogActors(notice) => logged(notice),
        Action::Log { notice, .. } => logged(notice),
        Action::Drained => "drained".into(),
    }
}

/// What a runner wants.
pub fn runner(action: &runner::Action) -> String {
    use runner::Action;
    match action {
        Action::Dial { connection } => format!("dial {connection}"),
        Action::Send { frame, .. } => match ToServer::decode(frame, Dialect::Underpass).expect("a frame for a relay") {
            ToServer::TunnelMessage(message) => {
                format!("→gateway {}", answer(message.message_id, &message.message_kind))
            }
            ToServer::Init(_) => "→relay Init".into(),
            ToServer::Stopping => "→relay Stopping".into(),
            ToServer::Pong(_) => "→relay Pong".into(),
            ToServer::Events(events) => format!("→relay {}", events.iter().map(event).collect::<Vec<_>>().join(" ")),
            ToServer::AckCommands(taken) => {
                let command = |checkpoint: &ActorCheckpoint| format!("{} #{}", life(checkpoint), checkpoint.index);
                let commands: Vec<_> = taken.last_command_checkpoints.iter().map(command).collect();
                format!("→relay took {}", commands.join(" "))
            }
            ToServer::KvRequest(request) => format!("→relay store of {}", request.actor_id),
        },
        Action::Disconnect { connection, close } => format!("hang up {connection} {}", closed(close)),
        Action::Ready { .. } => "ready".into(),
        Action::Request { body: content, .. } => format!("→handler request{}", body(content)),
        Action::RequestChunk { bytes, finish, .. } => format!("→handler chunk {}{}", bytes.len(), last(*finish)),
        Action::Aborted { .. } => "→handler aborted".into(),
        Action::WebSocketOpen { .. } => "→handler websocket".into(),
        Action::WebSocketMessage { message, .. } => format!("→handler {}", text(message)),
        Action::WebSocketClose { close, .. } => format!("→handler {}", closed(close)),
        Action::WebSocketAsleep { .. } => "→handler asleep".into(),
        Action::StartActor { actor, sockets, .. } => format!("start {}{}", actor.generation, slept(sockets.len())),
        Action::StopActor { actor } => format!("stop {}", actor.generation),
        Action::KvAnswered { answer, .. } => format!("→handler {}", stored(answer)),
        Action::PauseSource { .. } => "pause handler".into(),
        Action::ResumeSource { .. } => "resume handler".into(),
        Action::Stopped(reason) => {
            let reason = format!("{reason:?}");
            format!("stopped {}", reason.split(['(', ' ']).next().unwrap_or_default())
        }
    }
}

fn event(event: &EventWrapper) -> String {
    let EventWrapper { checkpoint, inner } = event;
    let said = match inner {
        Event::ActorStateUpdate { state: Said::Running } => "runs",
        Event::ActorStateUpdate { state: Said::Stopped(stopped) } => match stopped.code {
            StopCode::Ok => "stopped",
            StopCode::Error => "crashed",
        },
        Event::ActorIntent { intent: ActorIntent::Sleep } => "would sleep",
        Event::ActorIntent { intent: ActorIntent::Stop } => "would end",
        Event::ActorSetAlarm { .. } => "alarm",
    };
    let index = if checkpoint.index == i64::MAX { "last".into() } else { checkpoint.index.to_string() };
    format!("{} {said} #{index}", life(checkpoint))
}

fn slept(sockets: usize) -> String {
    if sockets == 0 { String::new() } else { format!(" with {sockets} that slept") }
}

fn stored(answer: &KvResponseData) -> String {
    match answer {
        KvResponseData::Error { message } => format!("store: {message}"),
        KvResponseData::Get(_) | KvResponseData::List(_) => "store: found".into(),
        KvResponseData::Put | KvResponseData::Delete | KvResponseData::Drop => "store: done".into(),
    }
}

/// What a supervisor wants.
pub fn supervisor(action: &supervisor::Action) -> String {
    use supervisor::Action;
    match action {
        Action::Commands { commands, .. } => {
            let command = |command: &CommandWrapper| match &command.inner {
                Command::StartActor(start) if start.hibernating_requests.is_empty() => {
                    format!("start {}", life(&command.checkpoint))
                }
                Command::StartActor(start) => {
                    format!("start {} sockets {}", life(&command.checkpoint), start.hibernating_requests.len())
                }
                Command::StopActor => format!("stop {}", life(&command.checkpoint)),
            };
            format!("→runner {}", commands.iter().map(command).collect::<Vec<_>>().join(" "))
        }
        Action::AckEvents { acknowledged, .. } => {
            let event = |checkpoint: &ActorCheckpoint| format!("{} #{}", life(checkpoint), checkpoint.index);
            let events: Vec<_> = acknowledged.last_event_checkpoints.iter().map(event).collect();
            format!("→runner ack {}", events.join(" "))
        }
        Action::Change(change) => actor(change),
        Action::Restore { generation, sockets, left_out, .. } => {
            format!("restore {generation} sockets {} left out {}", sockets.len(), left_out.len())
        }
        Action::FinishRoutes { generation, .. } => format!("finish routes {generation}"),
        Action::EndRoutes { generation, .. } => format!("end routes {generation}"),
        Action::ShowActors => "show actors".into(),
        Action::Registered { .. } => "ask the registry".into(),
        Action::Log(notice) => logged(notice),
    }
}

fn actor_state(state: ActorState) -> &'static str {
    match state {
        ActorState::Wanted => "Wanted",
        ActorState::Starting(_) => "Starting",
        ActorState::Running(_) => "Running",
        ActorState::Stopping(_) => "Stopping",
        ActorState::Sleeping => "Sleeping",
    }
}

fn actor(change: &ActorChange) -> String {
    let Some(record) = &change.record else { return "record removed".into() };
    let state = actor_state(record.state);
    let alarm = if record.alarm.is_some() { " alarm" } else { "" };
    let crashes = if record.crashes > 0 { format!(" crashes {}", record.crashes) } else { String::new() };
    format!("record {state} {}{alarm}{crashes}", record.generation)
}

fn logged(notice: &impl core::fmt::Debug) -> String {
    let notice = format!("{notice:?}");
    format!("log {}", notice.split(['(', ' ']).next().unwrap_or_default())
}

fn life(checkpoint: &ActorCheckpoint) -> String {
    format!("{}:{}", checkpoint.actor_id, checkpoint.generation)
}

fn piece(id: MessageId, kind: &to_client::Kind) -> String {
    use to_client::Kind;
    let what = match kind {
        Kind::RequestStart(start) if start.stream => "RequestStart streamed".into(),
        Kind::RequestStart(_) => "RequestStart".into(),
        Kind::RequestChunk(chunk) => format!("RequestChunk {}{}", chunk.body.len(), last(chunk.finish)),
        Kind::RequestAbort => "RequestAbort".into(),
        Kind::WebSocketOpen(_) => "WebSocketOpen".into(),
        Kind::WebSocketMessage(message) => format!("WebSocketMessage {}", message.data.len()),
        Kind::WebSocketClose(close) => format!("WebSocketClose {}", code(close.code)),
        Kind::Credit(credit) => format!("Credit {}", credit.total),
    };
    format!("{what} #{}", id.message_index)
}

fn answer(id: MessageId, kind: &to_server::Kind) -> String {
    use to_server::Kind;
    let what = match kind {
        Kind::ResponseStart(start) if start.stream => format!("ResponseStart {} streamed", start.status),
        Kind::ResponseStart(start) => format!("ResponseStart {}", start.status),
        Kind::ResponseChunk(chunk) => format!("ResponseChunk {}{}", chunk.body.len(), last(chunk.finish)),
        Kind::ResponseAbort => "ResponseAbort".into(),
        Kind::WebSocketOpen(_) => "WebSocketOpen".into(),
        Kind::WebSocketMessage(message) => format!("WebSocketMessage {}", message.data.len()),
        Kind::WebSocketMessageAck(_) => "WebSocketMessageAck".into(),
        Kind::WebSocketClose(close) => format!("WebSocketClose {}", code(close.code)),
        Kind::Credit(credit) => format!("Credit {}", credit.total),
    };
    format!("{what} #{}", id.message_index)
}

fn body(body: &Body) -> String {
    match body {
        Body::None => String::new(),
        Body::Whole(bytes) => format!(" with {}", bytes.len()),
        Body::Stream => " streamed".into(),
    }
}

fn last(finish: bool) -> &'static str {
    if finish { " last" } else { "" }
}

fn text(message: &Message) -> String {
    format!("message {}", message.len())
}

fn code(code: Option<u16>) -> String {
    code.map_or("-".into(), |code| code.to_string())
}

fn closed(close: &Close) -> String {
    let reason = close.reason.as_deref().unwrap_or_default();
    let word = reason.split([':', '#']).next().unwrap_or_default();
    format!("close {}{}{word}", code(close.code), if word.is_empty() { "" } else { " " })
}
