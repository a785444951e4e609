//! HTTP/1.1: connections that send the next request when they have the answer to the last.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Cell, Span, body};
use crate::handler::HELLO;

/// What is sent, and what must come back.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    request: Request<Full<Bytes>>,
    answer: Bytes,
}

impl Exchange {
    /// `GET /`.
    pub(crate) fn get(pool: &str) -> Self {
        Exchange { request: request(Method::GET, "/", pool, Bytes::new()), answer: HELLO.into() }
    }

    /// `POST /count` with a body of this many bytes.
    pub(crate) fn post(pool: &str, size: usize) -> Self {
        Exchange { request: request(Method::POST, "/count", pool, body(size)), answer: size.to_string().into() }
    }

    /// `POST /echo`, likewise.
    pub(crate) fn echo(pool: &str, size: usize) -> Self {
        Exchange { request: request(Method::POST, "/echo", pool, body(size)), answer: body(size) }
    }
}

fn request(method: Method, path: &str, pool: &str, body: Bytes) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    request.header("x-underpass-pool", pool).body(Full::new(body)).expect("a request that can be sent")
}

/// Measures one cell.
///
/// # Errors
/// An answer was not the right one, or a connection broke.
pub(crate) async fn load(
    address: SocketAddr,
    exchange: &Exchange,
    connections: usize,
    duration: Duration,
) -> io::Result<Cell> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let span = Span::of(duration);
    let mut running = JoinSet::new();
    for connection in open {
        running.spawn(exchanges(connection, exchange.clone(), span));
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        times.append(&mut done??);
    }
    Ok(Cell::of_times(times, span))
}

/// How many nanoseconds each exchange took that ended within the span.
async fn exchanges(mut connection: Connection, exchange: Exchange, span: Span) -> io::Result<Vec<u32>> {
    let mut times = Vec::new();
    let mut begun = Instant::now();
    loop {
        connection.exchange(&exchange).await?;
        let now = Instant::now();
        if span.has_ended(now) {
            return Ok(times);
        }
        if span.has_begun(now) {
            times.push(u32::try_from((now - begun).as_nanos()).unwrap_or(u32::MAX));
        }
        begun = now;
    }
}

/// A connection that is kept.
pub(crate) struct Connection {
    requests: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// Nobody takes it.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Who waits for an answer hears of an error, too.
        tokio::spawn(connection);
        Ok(Connection { requests })
    }

    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// It was not the right one, or none.
    pub(crate) async fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.requests.ready().await.map_err(io::Error::other)?;
        let answer = self.requests.send_request(exchange.request.clone()).await.map_err(io::Error::other)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        if status == StatusCode::OK && body == exchange.answer {
            Ok(())
        } else {
            let shown = String::from_utf8_lossy(&body[..body.len().min(200)]);
            Err(io::Error::other(format!("a wrong answer: {status}, {} bytes: {shown}", body.len())))
        }
    }
}
