//! `/api`: what the inspector shows, as JSON.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use underpass_core::directory::RunnerId;
use underpass_core::failure::RequestName;
use underpass_core::observe::Kind;
use underpass_core::protocol::{GatewayId, RequestId};
use uuid::Uuid;

use super::{rows, said, serve};
use crate::seeing::Inspector;
use crate::seeing::fleet::First;
use crate::seeing::table::Request;

/// How many rows are told of, unless somebody wants fewer.
const ROWS: usize = 1_000;
/// How often whoever follows is told that something changed, at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often whoever follows hears something though nothing changes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long whoever follows is told; then it comes again.
const FOLLOWS: Duration = Duration::from_secs(90);
/// How soon it comes again.
const COMES_AGAIN: Duration = Duration::from_secs(1);
/// How many may follow at once.
const FOLLOWERS: usize = 16;

pub(super) fn router(inspector: Inspector) -> Router {
    Router::new()
        .route("/api", get(description))
        .route("/api/", get(description))
        .route("/api/runners", get(runners))
        .route("/api/actors", get(actors))
        .route("/api/requests", get(requests))
        .route("/api/websockets", get(websockets))
        .route("/api/finished", get(finished))
        .route("/api/requests/{name}", get(request))
        .route("/api/events", get(events).layer(Extension(Arc::new(Semaphore::new(FOLLOWERS)))))
        .route("/api/runners/{id}/drain", post(drain))
        .route("/api/requests/{name}/end", post(end))
        .with_state(inspector)
}

async fn description(State(inspector): State<Inspector>) -> Response {
    let has_relay = inspector.controls.relay().is_some();
    let answer = json!({
        "description": "What this process of Underpass sees. Times are microseconds; those named unix_ms are \
                        milliseconds since the Unix epoch. Lists take ?limit=NUMBER, up to 1,000, and say how many they \
                        leave out.",
        "version": env!("CARGO_PKG_VERSION"),
        "can": { "drain_runners": has_relay, "end_requests": inspector.controls.is_gateway() },
        "resources": {
            "GET /api/runners": "the runners of the fleet, as its directory says; `here`: this process can drain them",
            "GET /api/actors": "actors with state, and where they run",
            "GET /api/requests": "HTTP requests that are open, the newest first",
            "GET /api/websockets": "WebSockets that are open, the newest first",
            "GET /api/finished": "requests and WebSockets that have ended, the last 1,000 of them, the last first",
            "GET /api/requests/NAME": "one of them with its timeline, and its frames without what they carry",
            "GET /api/events": "Server-Sent Events: `changed` says how often each table has changed",
            "POST /api/runners/ID/drain": "nothing new goes to that connection; the runner comes again by another",
            "POST /api/requests/NAME/end": "ends a request at both ends, as ended_by_operator",
        },
    });
    said(StatusCode::OK, &answer)
}

/// How many rows somebody wants.
#[derive(Clone, Copy)]
struct Limit(usize);

impl Limit {
    fn of(query: &[(String, String)]) -> Self {
        let limit = query.iter().find(|(name, _)| name == "limit").and_then(|(_, limit)| limit.parse().ok());
        Limit(limit.map_or(ROWS, |limit: usize| limit.min(ROWS)))
    }
}

type Asked = Query<Vec<(String, String)>>;

async fn runners(State(inspector): State<Inspector>, Query(query): Asked) -> Response {
    let relay = inspector.controls.relay();
    let First { rows, left_out, has_more } = inspector.fleet.runners(Limit::of(&query).0);
    let rows: Value = rows.iter().map(|(key, row)| rows::runner(key, row, relay)).collect();
    said(StatusCode::OK, &json!({ "runners": rows, "left_out": left_out, "has_more": has_more }))
}

async fn actors(State(inspector): State<Inspector>, Query(query): Asked) -> Response {
    let First { rows, left_out, has_more } = inspector.fleet.actors(Limit::of(&query).0);
    let rows: Value = rows.iter().map(|(key, row)| rows::actor(key, row)).collect();
    said(StatusCode::OK, &json!({ "actors": rows, "left_out": left_out, "has_more": has_more }))
}

async fn requests(State(inspector): State<Inspector>, Query(query): Asked) -> Response {
    said(StatusCode::OK, &open(&inspector, "requests", Kind::Http, Limit::of(&query)))
}

async fn websockets(State(inspector): State<Inspector>, Query(query): Asked) -> Response {
    said(StatusCode::OK, &open(&inspector, "websockets", Kind::WebSocket, Limit::of(&query)))
}

fn open(inspector: &Inspector, what: &str, kind: Kind, limit: Limit) -> Value {
    let mut answer = list(inspector, what, |request| request.kind == kind && !request.is_over(), limit);
    answer["never_kept"] = inspector.table.left_out(kind).into();
    answer
}

async fn finished(State(inspector): State<Inspector>, Query(query): Asked) -> Response {
    said(StatusCode::OK, &list(&inspector, "finished", Request::is_over, Limit::of(&query)))
}

fn list(inspector: &Inspector, what: &str, wanted: impl Fn(&Request) -> bool, limit: Limit) -> Value {
    let table = &inspector.table;
    let (rows, in_all) = table.list(wanted, limit.0, |request| rows::request(table, request));
    let left_out = in_all.saturating_sub(rows.len());
    json!({ what: rows, "left_out": left_out })
}

async fn request(State(inspector): State<Inspector>, Path(name): Path<String>) -> Response {
    match named(&name).and_then(|name| inspector.table.get(name)) {
        Some(request) => said(StatusCode::OK, &rows::whole_request(&inspector.table, &request, inspector.shows_bodies)),
        None => no("no request of this name is known here"),
    }
}

/// Says how often each table has changed: at once, and whenever that is more. It ends by itself, before the connection
/// is cut.
async fn events(State(inspector): State<Inspector>, Extension(followers): Extension<Arc<Semaphore>>) -> Response {
    let Ok(place) = followers.try_acquire_owned() else {
        return said(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "as many follow already as may" }));
    };
    let look = tokio::time::interval(LOOK_EVERY);
    let changes = stream::unfold((inspector, look, None, place), async |(inspector, mut look, told, place)| {
        loop {
            look.tick().await;
            let changes = (inspector.table.changes(), inspector.fleet.changes());
            if told != Some(changes) {
                let (requests, fleet) = changes;
                let data = json!({ "requests": requests, "fleet": fleet }).to_string();
                let event = Event::default().event("changed").retry(COMES_AGAIN).data(data);
                return Some((Ok::<_, Infallible>(event), (inspector, look, Some(changes), place)));
            }
        }
    });
    let changes = changes.take_until(tokio::time::sleep(FOLLOWS));
    let mut answer = Sse::new(changes).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    answer.extensions_mut().insert(serve::Lasts);
    answer
}

async fn drain(State(inspector): State<Inspector>, Path(id): Path<String>) -> Response {
    let record = id.parse::<Uuid>().ok().and_then(|id| inspector.fleet.runner(RunnerId(id)));
    let Some(record) = record else { return no("no runner with this id is known here") };
    let here = record.connection.filter(|connection| inspector.controls.relay() == Some(connection.relay));
    let Some(connection) = here else {
        return said(
            StatusCode::CONFLICT,
            &json!({ "error": "the runner is not connected to a relay of this process" }),
        );
    };
    tracing::warn!(runner = %record.id, connection = connection.number, "an operator has a runner drain");
    inspector.controls.drain_runner(connection.number);
    said(StatusCode::ACCEPTED, &json!({ "draining": record.id.to_string() }))
}

async fn end(State(inspector): State<Inspector>, Path(text): Path<String>) -> Response {
    let Some(name) = named(&text) else { return no("no request has such a name") };
    if !inspector.controls.is_gateway() {
        return said(StatusCode::CONFLICT, &json!({ "error": "only the gateway of a request can end it" }));
    }
    // One that was sent again has another name by now.
    let called = inspector.table.get(name).and_then(|request| request.again.last().copied()).unwrap_or(name);
    if !inspector.controls.end_request(called) {
        return no("no request of this name is open here");
    }
    tracing::warn!(request = %name, "a request was ended because an operator wanted it");
    said(StatusCode::OK, &json!({ "ended": name.to_string() }))
}

fn no(what: &str) -> Response {
    said(StatusCode::NOT_FOUND, &json!({ "error": what }))
}

/// The request that people call so.
fn named(text: &str) -> Option<RequestName> {
    let (gateway, request) = text.split_once('-')?;
    let id = |text: &str| (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok()).flatten().map(u32::to_be_bytes);
    Some(RequestName { gateway_id: GatewayId(id(gateway)?), request_id: RequestId(id(request)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_found_by_its_name() {
        let name = RequestName { gateway_id: GatewayId([0xab, 0, 1, 2]), request_id: RequestId([0, 0, 0, 9]) };
        assert_eq!(named(&name.to_string()), Some(name));
        for wrong in ["", "-", "ab000102", "ab000102-", "ab000102-000000091", "ab000102-+0000009", "ab000102-0000000g"]
        {
            assert_eq!(named(wrong).filter(|found| found.to_string() == *wrong), None, "{wrong}");
        }
    }
}
