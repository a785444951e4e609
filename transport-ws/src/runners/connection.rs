//! One connection of a runner.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Response, StatusCode, header};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WireError;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response as Accepted};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use underpass_core::bus::Bus;
use underpass_core::handshake::{Handshake, Hello};
use underpass_core::http::Close;
use underpass_core::relay::Event;

use super::{Shared, Tokens};
use crate::outbox::{Held, outbox};
use crate::pump::{READ_OF_PEER, config, pump};
use crate::socket::{Link, Received};
use crate::tls::explain;
use crate::wire::Wire;

/// Serves one connection to its end, over TLS if there is some.
pub(super) async fn serve<B: Bus>(
    relay: Arc<Shared<B>>,
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    address: SocketAddr,
) {
    let mut hello = None;
    // Its errors are answers, as tungstenite has them.
    #[allow(clippy::result_large_err)]
    let callback = |request: &Request, accepted: Accepted| {
        let (read, accepted) = open(&relay.tokens, relay.max_name, request, accepted)?;
        hello = Some(read);
        Ok(accepted)
    };
    let opening = async {
        let wire = match tls {
            Some(tls) => Wire::accept(stream, tls, relay.patience.linger).await?,
            None => Wire::Plain(stream),
        };
        accept_hdr_async(wire, callback).await
    };
    let opened = timeout(relay.open_within, opening).await;
    let (socket, hello) = match (opened, hello) {
        (Ok(Ok(socket)), Some(hello)) => (socket, hello),
        (Ok(Err(WireError::Io(error))), _) => {
            return tracing::warn!(%address, "a runner was not let in: {}", explain(&error));
        }
        (Ok(Err(error)), _) => return tracing::warn!(%address, "a runner was not let in: {error}"),
        (Ok(Ok(_)), None) | (Err(_), _) => return tracing::warn!(%address, "a runner took too long to connect"),
    };
    let (outbox, mut outgoing, held) = outbox(relay.outbox, relay.max_frame);
    let connection = relay.next_connection();
    tracing::debug!(%address, connection, runner = &*hello.runner_key, "a runner connected");
    relay.driver.enter(|inside| {
        inside.outlets.connections.insert(connection, outbox);
        inside.handle(Event::Connected { connection, hello });
    });
    let link = Connection { relay: &relay, connection, held };
    // A runner says nothing before it is answered. Only a socket made so reads as much again at once as at first.
    let config = config(relay.max_frame, READ_OF_PEER);
    let socket = WebSocketStream::from_raw_socket(socket.into_inner(), Role::Server, Some(config)).await;
    let close = pump(socket, &mut outgoing, &link, relay.patience).await;
    tracing::debug!(%address, connection, ?close, "a runner's connection ended");
}

/// Reads a runner's opening, and answers it.
#[allow(clippy::result_large_err)]
fn open(
    tokens: &Tokens,
    max_name: usize,
    request: &Request,
    mut accepted: Accepted,
) -> Result<(Hello, Accepted), ErrorResponse> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let handshake = Handshake::read(path, offered.into_iter().filter_map(|offer| offer.to_str().ok()))
        .and_then(|handshake| handshake.hello.check(max_name).map(|()| handshake))
        .map_err(|bad| refusal(bad.http_status(), &bad.to_string()))?;
    if !tokens.admit(handshake.token.as_deref()) {
        return Err(refusal(401, "the runner's token is none of this relay's"));
    }
    if let Some(subprotocol) = handshake.subprotocol {
        accepted.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    Ok((handshake.hello, accepted))
}

fn refusal(status: u16, message: &str) -> ErrorResponse {
    let body = format!("{message}\n");
    let mut response = Response::new(None);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    *response.body_mut() = Some(body);
    response
}

/// A runner's end of a socket. Dropping it tells the relay that the socket has ended.
struct Connection<'a, B: Bus> {
    relay: &'a Shared<B>,
    connection: u64,
    held: Held,
}

impl<B: Bus> Link for Connection<'_, B> {
    fn received(&self, arrived: &mut VecDeque<Received>) -> Result<(), Close> {
        let connection = self.connection;
        self.relay.driver.enter(|inside| {
            for received in arrived.drain(..) {
                match received {
                    Received::Binary(frame) => inside.handle(Event::FromRunner { connection, frame }),
                    Received::Text(_) => inside.handle(Event::TextFromRunner { connection }),
                    Received::Pong => inside.handle(Event::Ponged { connection }),
                    // That the socket has ended is said once, when it has.
                    Received::Close(_) => {}
                }
            }
        });
        Ok(())
    }

    fn written(&self, bytes: usize) {
        if !self.held.written(bytes) {
            return;
        }
        let connection = self.connection;
        self.relay.driver.enter(|inside| {
            if inside.outlets.connections.get_mut(&connection).is_some_and(|outbox| outbox.unblock()) {
                inside.handle(Event::PeerWritable { connection });
            }
        });
    }

    fn poll_may_read(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl<B: Bus> Drop for Connection<'_, B> {
    fn drop(&mut self) {
        let connection = self.connection;
        self.relay.driver.enter(|inside| {
            inside.outlets.connections.remove(&connection);
            inside.handle(Event::Disconnected { connection });
        });
    }
}
