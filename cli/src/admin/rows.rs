//! What the inspector says of a thing, in JSON. Times are microseconds, or Unix milliseconds if their names say so.

use std::time::Duration;

use serde_json::{Value, json};
use underpass_core::bus::{ConnectionId, RelayId};
use underpass_core::directory::{ActorKey, ActorRecord, ActorState, RunnerKey, RunnerRecord, RunnerState};
use underpass_core::observe::{Frame, Kind};

use crate::seeing::Hop;
use crate::seeing::fleet::Row;
use crate::seeing::table::{AtHop, Beginning, Request, Table, direction};

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn unix_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A request, as in a list.
pub(super) fn request(table: &Table, request: &Request) -> Value {
    let nearest = request.nearest();
    let ended = nearest.and_then(|seen| seen.ended).filter(|_| request.is_over());
    let now = ended.map_or_else(|| table.now(), |(at, _)| at);
    let answered = nearest.and_then(|seen| seen.answered);
    let [to_runner, to_gateway] = nearest.map_or([(0, 0); 2], |seen| seen.frames);
    let (last_at, last) = request.last;
    json!({
        "name": request.name.to_string(),
        "called_again": request.again.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "kind": match request.kind { Kind::Http => "http", Kind::WebSocket => "websocket" },
        "actor": request.actor_id,
        "method": request.method,
        "path": request.path,
        "state": state(request),
        "status": request.status,
        "opened_unix_ms": unix_ms(table.unix(request.opened)),
        "duration": micros(now.saturating_sub(request.opened)),
        "answered_after": answered.map(|at| micros(at.saturating_sub(request.opened))),
        "end": ended.map(|(_, end)| end),
        "frames": { "to_runner": to_runner.0, "to_gateway": to_gateway.0 },
        "bytes": { "to_runner": to_runner.1, "to_gateway": to_gateway.1 },
        "last": { "what": last, "unix_ms": unix_ms(table.unix(last_at)) },
        "hops": hops(request),
    })
}

fn state(request: &Request) -> &'static str {
    let has_ended = request.nearest().is_some_and(|seen| seen.ended.is_some());
    match request.status {
        _ if request.is_over() => "ended",
        // Another machine of this process has not heard of it.
        _ if has_ended => "ending",
        _ if request.asleep => "asleep",
        Some(_) => "answered",
        None => "waiting",
    }
}

/// When each machine of this process that saw it did so, after its opening here.
fn hops(request: &Request) -> Value {
    let after = |at: Duration| micros(at.saturating_sub(request.opened));
    let hop = |hop: Hop| {
        let AtHop { opened, answered, ended, .. } = request.hops[hop as usize].as_ref()?;
        Some(json!({
            "hop": hop.as_str(),
            "opened": after(*opened),
            "answered": answered.map(after),
            "ended": ended.map(|(at, _)| after(at)),
            "end": ended.map(|(_, end)| end),
        }))
    };
    Hop::ALL.into_iter().filter_map(hop).collect()
}

/// A request with all that is known of it; what it carries only if that is wanted.
pub(super) fn whole_request(table: &Table, whole: &Request, bodies: bool) -> Value {
    let after = |at: Duration| micros(at.saturating_sub(whole.opened));
    let frame = |(at, hop, frame): &(Duration, Hop, Frame)| {
        let Frame { direction: way, kind, message_index, bytes } = frame;
        json!({
            "at": after(*at),
            "hop": hop.as_str(),
            "direction": direction(*way),
            "kind": kind,
            "index": message_index,
            "bytes": bytes,
        })
    };
    let mut row = request(table, whole);
    row["timeline"] = whole
        .timeline
        .iter()
        .map(|(at, hop, what)| json!({ "at": after(*at), "hop": hop.as_str(), "what": what }))
        .collect();
    row["frame_headers"] = json!({
        "first": whole.frames.first.iter().map(frame).collect::<Vec<_>>(),
        "left_out": whole.frames.left_out,
        "last": whole.frames.last.iter().map(frame).collect::<Vec<_>>(),
    });
    if bodies {
        let [to_runner, to_gateway] = [0, 1].map(|way| {
            let Beginning { bytes, left_out } = &whole.bodies[way];
            json!({ "text": String::from_utf8_lossy(bytes), "left_out": left_out })
        });
        row["bodies"] = json!({ "to_runner": to_runner, "to_gateway": to_gateway });
    }
    row
}

/// A runner; `relay` is the one of this process, which can have it drain.
pub(super) fn runner(key: &RunnerKey, row: &Row<RunnerRecord>, relay: Option<RelayId>) -> Value {
    let Row { record, first, last } = row;
    let state = match (record.connection, record.state) {
        (None, _) => "away",
        (Some(_), RunnerState::Ready) => "ready",
        (Some(_), RunnerState::Full) => "full",
        (Some(_), RunnerState::Draining) => "draining",
        (Some(_), RunnerState::Moving) => "moving",
    };
    let place =
        |connection: ConnectionId| json!({ "relay": connection.relay.to_string(), "number": connection.number });
    json!({
        "id": record.id.to_string(),
        "key": &*key.key,
        "namespace": &*key.pool.namespace,
        "pool": &*key.pool.name,
        "state": state,
        "connection": record.connection.map(place),
        "moving_from": record.moving.map(place),
        "here": record.connection.is_some_and(|connection| Some(connection.relay) == relay),
        "protocol_version": record.protocol_version,
        "slots": record.slots,
        "stateless": record.abilities.stateless,
        "seen_unix_ms": unix_ms(*first),
        "last": { "what": "record", "unix_ms": unix_ms(*last) },
    })
}

/// An actor with state.
pub(super) fn actor(key: &ActorKey, row: &Row<ActorRecord>) -> Value {
    let Row { record, first, last } = row;
    let state = match record.state {
        ActorState::Wanted => "wanted",
        ActorState::Starting(_) => "starting",
        ActorState::Running(_) => "running",
        ActorState::Stopping(_) => "stopping",
        ActorState::Sleeping => "sleeping",
    };
    json!({
        "id": &*key.actor_id,
        "namespace": &*key.pool.namespace,
        "pool": &*key.pool.name,
        "state": state,
        "runner": record.state.runner().map(|runner| runner.to_string()),
        "generation": record.generation,
        "crashes": record.crashes,
        "created_unix_ms": record.created_at,
        "alarm_unix_ms": record.alarm,
        "seen_unix_ms": unix_ms(*first),
        "last": { "what": "record", "unix_ms": unix_ms(*last) },
    })
}
