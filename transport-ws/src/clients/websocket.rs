//! WebSockets of clients.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use underpass_core::bus::Bus;
use underpass_core::gateway::{Event, Open, OpenKind};
use underpass_core::http::{Close, Message, select_subprotocol};
use underpass_core::{Failure, FailureCode};

use super::Shared;
use super::connection::{Connection, Socket};
use super::exchange::{Exchange, Source};
use super::outlets::Delivery;
use super::request::{Client, admit};
use super::response::{ResponseBody, refused};
use crate::pump::{READ_OF_CLIENT, config, pump};
use crate::socket::{Link, Received};

/// Why a request that asks for a WebSocket cannot open one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadOpening {
    /// Its version of the WebSocket protocol is not 13.
    Version,
    /// Its key is not 16 bytes in base 64.
    Key,
}

impl BadOpening {
    /// How it is answered.
    pub(super) fn answer<B: Bus>(&self) -> Response<ResponseBody<B>> {
        match self {
            BadOpening::Version => {
                let mut response = refused(StatusCode::UPGRADE_REQUIRED, "the version of WebSockets here is 13");
                let headers = response.headers_mut();
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                response
            }
            BadOpening::Key => refused(StatusCode::BAD_REQUEST, "sec-websocket-key is not 16 bytes in base 64"),
        }
    }
}

/// The `sec-websocket-key` of a request that opens a WebSocket (RFC 6455, 4.2.1); none if it asks for none.
///
/// # Errors
/// It asks for one, but not as it must.
pub(super) fn asked_for<T>(request: &Request<T>) -> Result<Option<HeaderValue>, BadOpening> {
    let headers = request.headers();
    let asked = request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && lists(headers, header::CONNECTION, "upgrade")
        && lists(headers, header::UPGRADE, "websocket");
    if !asked {
        return Ok(None);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(BadOpening::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    key.cloned().map(Some).ok_or(BadOpening::Key)
}

/// Whether it looks like 16 bytes in base 64.
fn is_key(key: &[u8]) -> bool {
    let digits = key.strip_suffix(b"==");
    digits.is_some_and(|digits| {
        digits.len() == 22 && digits.iter().all(|digit| digit.is_ascii_alphanumeric() || b"+/".contains(digit))
    })
}

fn lists(headers: &HeaderMap, name: header::HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(wanted))
}

/// The socket of a client that has been answered 101.
async fn opened(upgraded: Upgraded, config: WebSocketConfig) -> WebSocketStream<Socket> {
    let parts = downcast::<TokioIo<Socket>>(upgraded).unwrap_or_else(|_| unreachable!("it is served so"));
    // The room that it begins with is what tungstenite makes anew for later messages. That of HTTP goes with its head.
    let mut read = Vec::with_capacity(READ_OF_CLIENT);
    read.extend_from_slice(&parts.read_buf);
    WebSocketStream::from_partially_read(parts.io.into_inner(), read, Role::Server, Some(config)).await
}

/// Opens a WebSocket, and answers 101 when the handler has taken it.
pub(super) async fn serve<B: Bus>(
    gateway: &Shared<B>,
    client: &Client,
    mut request: Request<Incoming>,
    key: HeaderValue,
    connection: Connection,
) -> Result<Response<ResponseBody<B>>, Failure> {
    let upgraded = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let (target, head) = admit(gateway, client, &parts, true)?;
    let subprotocol = head.headers.get("sec-websocket-protocol").and_then(|offered| select_subprotocol(offered));
    let subprotocol = subprotocol.and_then(|chosen| HeaderValue::from_str(chosen).ok());
    let open = Open { target, head, kind: OpenKind::WebSocket };
    let (mut exchange, Some(mut outgoing)) = Exchange::open(&gateway.driver, open)? else {
        unreachable!("what opens a WebSocket has a socket");
    };
    match exchange.next().await {
        Some(Delivery::Opened) => {}
        Some(Delivery::Failed(failure)) => return Err(failure),
        Some(Delivery::Start(..) | Delivery::Chunk { .. }) | None => {
            let message = "the WebSocket was given up".into();
            return Err(Failure { code: FailureCode::RunnerFailed, message, request: None });
        }
    }
    let (config, patience) = (config(gateway.max_message, READ_OF_CLIENT), gateway.patience);
    connection.upgrade(async move {
        match upgraded.await {
            Ok(upgraded) => {
                let socket = opened(upgraded, config).await;
                pump(socket, &mut outgoing, &exchange.source(), patience).await;
            }
            Err(error) => tracing::debug!("a WebSocket's client went away: {error}"),
        }
        // What was not closed was cut.
        drop(exchange);
    });
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).expect("base 64 is a header's value");
    let mut response = Response::new(ResponseBody::none());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    Ok(response)
}

impl<B: Bus> Link for Source<B> {
    fn received(&self, arrived: &mut VecDeque<Received>) -> Result<(), Close> {
        let key = self.key();
        let mut may_come = || if self.gate().is_open() { arrived.pop_front() } else { None };
        self.tell_all(std::iter::from_fn(|| {
            Some(match may_come()? {
                Received::Text(text) => Some(Event::WebSocketMessage { key, message: Message::Text(text) }),
                Received::Binary(data) => Some(Event::WebSocketMessage { key, message: Message::Binary(data) }),
                Received::Pong => None,
                Received::Close(close) => Some(Event::WebSocketClose { key, close }),
            })
        }));
        Ok(())
    }

    fn written(&self, bytes: usize) {
        self.tell(Event::Consumed { key: self.key(), bytes });
    }

    fn poll_may_read(&self, context: &mut Context<'_>) -> Poll<()> {
        self.gate().poll_pass(context)
    }
}
