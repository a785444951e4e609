//! WebSockets: one sends a number of messages, and the next ones as those come back.

use std::cell::Cell as Counter;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Cell, Span, body};

/// Measures one cell. How long each message took is told only if one is outstanding at a time.
///
/// # Errors
/// A message was not the right one, or the connection broke.
pub(crate) async fn load(
    address: SocketAddr,
    pool: &str,
    size: usize,
    outstanding: usize,
    duration: Duration,
) -> io::Result<Cell> {
    let (sink, stream) = Socket::open(address, pool).await?.stream.split();
    let message = body(size);
    let (due, more) = (Counter::new(outstanding), Notify::new());
    // What goes out may have to wait until what has come is read.
    tokio::select! {
        failed = send(sink, message.clone(), &due, &more) => Err(io::Error::other(failed)),
        measured = receive(stream, message, outstanding, Span::of(duration), || {
            due.set(due.get() + 1);
            more.notify_one();
        }) => measured,
    }
}

/// Sends all that is due, then flushes once.
async fn send(
    mut sink: SplitSink<WebSocketStream<TcpStream>, Message>,
    message: Bytes,
    due: &Counter<usize>,
    more: &Notify,
) -> Error {
    loop {
        while due.get() > 0 {
            due.set(due.get() - 1);
            if let Err(error) = sink.feed(Message::Binary(message.clone())).await {
                return error;
            }
        }
        if let Err(error) = sink.flush().await {
            return error;
        }
        more.notified().await;
    }
}

/// Counts what comes back, and tells of each.
async fn receive(
    mut stream: SplitStream<WebSocketStream<TcpStream>>,
    message: Bytes,
    outstanding: usize,
    span: Span,
    came: impl Fn(),
) -> io::Result<Cell> {
    let (mut times, mut count, mut begun) = (Vec::new(), 0_u64, Instant::now());
    loop {
        expect(stream.next().await, &message)?;
        let now = Instant::now();
        if span.has_ended(now) {
            let cell = Cell::of_times(times, span);
            return Ok(if outstanding == 1 { cell } else { Cell::of_count(count, span) });
        }
        if span.has_begun(now) {
            count += 1;
            if outstanding == 1 {
                times.push(u32::try_from((now - begun).as_nanos()).unwrap_or(u32::MAX));
            }
        }
        begun = now;
        came();
    }
}

fn expect(came: Option<Result<Message, Error>>, message: &Bytes) -> io::Result<()> {
    match came {
        Some(Ok(Message::Binary(same))) if same == *message => Ok(()),
        Some(Ok(other)) => Err(io::Error::other(format!("{} bytes that are not ours", other.len()))),
        Some(Err(error)) => Err(io::Error::other(error)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// An open WebSocket.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    /// Opens one.
    ///
    /// # Errors
    /// It was not taken.
    pub(crate) async fn open(address: SocketAddr, pool: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}/").into_client_request().map_err(io::Error::other)?;
        request.headers_mut().insert("x-underpass-pool", pool.parse().map_err(io::Error::other)?);
        let (stream, _) = tokio_tungstenite::client_async(request, stream).await.map_err(io::Error::other)?;
        Ok(Socket { stream })
    }

    /// Sends a message, and waits until it has come back.
    ///
    /// # Errors
    /// It was another that came back, or the connection broke.
    pub(crate) async fn round(&mut self, size: usize) -> io::Result<()> {
        let message = body(size);
        self.stream.send(Message::Binary(message.clone())).await.map_err(io::Error::other)?;
        expect(self.stream.next().await, &message)
    }
}
