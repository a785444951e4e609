//! Passes requests and WebSockets on to a server (`--to`).

mod http;
mod websocket;

use std::time::Duration;

use ::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use underpass_transport_ws::runner::Actor;

pub(crate) use self::http::HttpProxy;
pub(crate) use self::websocket::WebSocketProxy;

/// The field that tells the server which actor a request is for.
const ACTOR: HeaderName = HeaderName::from_static("x-underpass-actor");

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a connection is kept for the next request: less than the 5 s after which many servers close one, so that
/// a request seldom meets a connection that is about to end.
const IDLE: Duration = Duration::from_secs(4);

/// A client for one server, whose connections are used again.
fn client<B>() -> Client<HttpConnector, B>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .build(connector)
}

/// Tells the server which actor a request is for.
fn name_actor(headers: &mut HeaderMap, extensions: &Extensions) {
    let named = extensions.get::<Actor>().and_then(|Actor(actor)| HeaderValue::from_bytes(actor.as_bytes()).ok());
    match named {
        Some(actor) => drop(headers.insert(ACTOR, actor)),
        // A name that no field can hold; nor may a client put another in its place.
        None => drop(headers.remove(ACTOR)),
    }
}

/// Takes the fields off that concern one hop only.
fn end_to_end(headers: HeaderMap) -> HeaderMap {
    let fields: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let kept = || underpass_core::http::end_to_end(fields.iter().copied());
    // Mostly there is none of them.
    if kept().count() == headers.len() {
        return headers;
    }
    let parsed = |(name, value): (&str, &[u8])| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    kept().filter_map(parsed).collect()
}
