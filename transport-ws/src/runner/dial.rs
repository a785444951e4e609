//! Opening a WebSocket to a relay.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use bytestring::ByteString;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use underpass_core::handshake::dialect_of;
use underpass_core::protocol::Dialect;

use crate::pump::READ_OF_PEER;
use crate::tls::explain;
use crate::wire::Wire;

/// The most of a refusal's body that is told to people, bytes.
const REFUSAL: usize = 500;

/// Why no WebSocket was opened.
#[derive(Debug, Error)]
pub(super) enum DialError {
    /// The relay answered something else.
    #[error("it answered {status}: {message}")]
    Refused {
        status: u16,
        /// The first line that it said.
        message: ByteString,
    },
    #[error("{}", explain(.0))]
    Io(#[from] io::Error),
    #[error("{}", what_is_wrong(.0))]
    Http(#[from] hyper::Error),
    #[error("it does not speak WebSocket")]
    NoWebSocket,
}

fn what_is_wrong(error: &hyper::Error) -> String {
    if error.is_parse() {
        return "what it speaks is not HTTP: should it be dialled as wss://?".to_owned();
    }
    match std::error::Error::source(error).and_then(|source| source.downcast_ref()) {
        Some(error) => explain(error),
        None => error.to_string(),
    }
}

/// What is asked for, and of whom.
pub(super) struct Asked<'a> {
    /// The relay's host, as its URL has it.
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) subprotocols: HeaderValue,
}

/// Opens a WebSocket on a wire.
pub(super) async fn open(
    wire: Wire,
    asked: Asked<'_>,
    config: WebSocketConfig,
) -> Result<(WebSocketStream<Wire>, Dialect), DialError> {
    let key = generate_key();
    let request = Request::get(asked.path)
        .header(HOST, asked.host)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(SEC_WEBSOCKET_PROTOCOL, asked.subprotocols)
        .body(String::new())
        .map_err(io::Error::other)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
    // It ends with this.
    let mut connecting = JoinSet::new();
    connecting.spawn(connection.with_upgrades());
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status().as_u16();
        return Err(DialError::Refused { status, message: what_it_says(response).await });
    }
    let headers = response.headers();
    if headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|accept| *accept != derive_accept_key(key.as_bytes())) {
        return Err(DialError::NoWebSocket);
    }
    let chosen = headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(|chosen| chosen.to_str().ok());
    let dialect = dialect_of(chosen);
    let parts = hyper::upgrade::on(response).await?.downcast::<TokioIo<Wire>>();
    let parts = parts.unwrap_or_else(|_| unreachable!("it was dialled so"));
    // The room that it begins with is what tungstenite makes anew for later messages.
    let mut read = Vec::with_capacity(READ_OF_PEER);
    read.extend_from_slice(&parts.read_buf);
    let wire = parts.io.into_inner();
    Ok((WebSocketStream::from_partially_read(wire, read, Role::Client, Some(config)).await, dialect))
}

/// The first line of a refusal's body.
async fn what_it_says(refusal: Response<Incoming>) -> ByteString {
    let mut body = refusal.into_body();
    let mut said = Vec::new();
    while said.len() < REFUSAL
        && let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        said.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    said.truncate(REFUSAL);
    let text = String::from_utf8_lossy(&said);
    text.lines().next().unwrap_or_default().trim().into()
}
