//! The load balancer in front of the gateways: they get connections in turn, another one if one refuses, or drains.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{BREATH, World};
use crate::ledger::Failed;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A connection to a gateway for requests; dropping it cuts it.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    task: AbortHandle,
    gateway: usize,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The head of an answer, with what the rest comes over.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) connection: Connection,
    /// When the request was handed to the gateway that answered.
    pub(super) begun: Instant,
}

impl Answer {
    pub(super) fn failed(&self, what: impl Into<String>) -> Failed {
        Failed { gateway: self.connection.gateway, begun: self.begun, what: what.into() }
    }
}

/// A WebSocket, and which gateway has it since when.
pub(super) struct Socket {
    pub(super) stream: WebSocketStream<TcpStream>,
    gateway: usize,
    pub(super) begun: Instant,
}

impl Socket {
    pub(super) fn failed(&self, what: impl Into<String>) -> Failed {
        Failed { gateway: self.gateway, begun: self.begun, what: what.into() }
    }

    /// It has ended; how, by what came of it last.
    pub(super) fn ended(&self, last: Option<Result<Message, tungstenite::Error>>) -> Failed {
        match last {
            Some(Ok(Message::Close(Some(close)))) => {
                let code = close.reason.split('#').next().unwrap_or_default();
                self.failed(format!("{} {code}", u16::from(close.code)))
            }
            Some(Ok(Message::Close(None))) => self.failed("closed"),
            Some(Ok(other)) => self.failed(format!("{other:?}")),
            Some(Err(_)) | None => self.failed("cut"),
        }
    }
}

impl World {
    /// The next gateway that takes a connection. It goes on looking for one.
    async fn connect(&self) -> (TcpStream, usize) {
        loop {
            for _ in &self.gateways {
                let gateway = self.turn.fetch_add(1, Ordering::Relaxed) % self.gateways.len();
                match TcpStream::connect(self.gateways[gateway]).await {
                    Ok(stream) => {
                        // If it has ended already, that will be seen.
                        stream.set_nodelay(true).ok();
                        return (stream, gateway);
                    }
                    Err(_) => self.ledger.elsewhere(),
                }
            }
            sleep(BREATH).await;
        }
    }

    /// Sends a request, over the connection that was kept if there is one.
    pub(super) async fn send(
        &self,
        kept: &mut Option<Connection>,
        request: impl Fn() -> Request<Body>,
    ) -> Result<Answer, Failed> {
        loop {
            let mut connection = match kept.take() {
                Some(kept) if !kept.sender.is_closed() => kept,
                Some(_) | None => {
                    let (stream, gateway) = self.connect().await;
                    let Ok((sender, connection)) = handshake(TokioIo::new(stream)).await else { continue };
                    // How it ends is seen at its requests.
                    let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
                    Connection { sender, task, gateway }
                }
            };
            let (begun, gateway) = (Instant::now(), connection.gateway);
            if connection.sender.ready().await.is_err() {
                continue;
            }
            match connection.sender.send_request(request()).await {
                Ok(response) if code(response.headers()) == Some("draining") => {
                    self.ledger.elsewhere();
                    sleep(BREATH).await;
                }
                Ok(response) => return Ok(Answer { response, connection, begun }),
                // The connection had ended before any of it was sent.
                Err(error) if error.is_canceled() => self.ledger.elsewhere(),
                Err(_) => return Err(Failed { gateway, begun, what: "cut".to_owned() }),
            }
        }
    }

    /// Opens a WebSocket.
    pub(super) async fn open(&self, path: &str, fields: &[(&'static str, String)]) -> Result<Socket, Failed> {
        loop {
            let (stream, gateway) = self.connect().await;
            let begun = Instant::now();
            let failed = |what: String| Failed { gateway, begun, what };
            let Ok(mut request) = format!("ws://fleet{path}").into_client_request() else {
                return Err(failed(format!("{path} is no path")));
            };
            for (name, value) in fields {
                let value = HeaderValue::from_str(value).map_err(|error| failed(error.to_string()))?;
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
            match client_async(request, stream).await {
                Ok((stream, _)) => return Ok(Socket { stream, gateway, begun }),
                Err(tungstenite::Error::Http(response)) => match code(response.headers()) {
                    Some("draining") => {
                        self.ledger.elsewhere();
                        sleep(BREATH).await;
                    }
                    Some(code) => return Err(failed(code.to_owned())),
                    None => return Err(failed(response.status().to_string())),
                },
                Err(_) => return Err(failed("cut".to_owned())),
            }
        }
    }
}

/// Why a gateway says that a request failed.
pub(super) fn code(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-underpass-error")?.to_str().ok()
}
