//! One connection of a client: HTTP/1.1 or HTTP/2, and after an upgrade a WebSocket.

use std::future::{Future, pending};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use underpass_core::bus::Bus;
use underpass_core::frame::FRAME_OVERHEAD;

use super::request::Client;
use super::{Config, Shared, request};
use crate::tls::explain;
use crate::wire::Wire;

/// The largest flow-control window that HTTP/2 has, bytes (RFC 9113, 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// The first bytes of an HTTP/2 connection, by which it is known from HTTP/1.1.
const PREFACE: usize = 24;

/// Read and write buffers of HTTP/1.1, bytes; they are no smaller than a request's head.
const BUFFER: usize = 64 * 1024;

/// What a connection's requests and its socket tell whoever serves it.
#[derive(Clone, Default)]
pub(super) struct Connection(Arc<State>);

#[derive(Default)]
struct State {
    /// What goes on with it after hyper has handed it over.
    upgraded: Mutex<Option<Upgraded>>,
    /// How many bytes were read of it.
    read: AtomicUsize,
    /// Whether a request came.
    asked: AtomicBool,
    /// Whether it is to end with a reset.
    reset: AtomicBool,
}

type Upgraded = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Connection {
    /// Goes on so when hyper has handed it over.
    pub(super) fn upgrade(&self, upgraded: impl Future<Output = ()> + Send + 'static) {
        *self.0.upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(upgraded));
    }

    /// Ends with a reset, so that nobody takes for whole what only the connection's end delimits.
    pub(super) fn reset(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    fn upgraded(&self) -> Option<Upgraded> {
        self.0.upgraded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Comes back if until then nobody could know what the client wants. Behind that hyper minds the time.
    async fn silent(&self, head_within: Duration) {
        sleep(head_within).await;
        let State { read, asked, .. } = &*self.0;
        if asked.load(Ordering::Relaxed) || read.load(Ordering::Relaxed) >= PREFACE {
            pending().await
        }
    }
}

/// A connection's socket.
pub(super) struct Socket {
    stream: Wire,
    connection: Connection,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.0.reset.load(Ordering::Relaxed) {
            self.stream.socket().set_zero_linger().ok();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.connection.0.read.fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How hyper serves: buffers bounded, and a client that goes away is noticed also while there is nothing to write.
pub(super) fn builder(config: &Config) -> Builder<TokioExecutor> {
    let head = config.admission.max_header_bytes + FRAME_OVERHEAD;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .half_close(false)
        .max_buf_size(head.max(BUFFER))
        .header_read_timeout(config.head_within)
        .timer(TokioTimer::new());
    builder
        .http2()
        .initial_stream_window_size(config.http2_stream_window.min(LARGEST_WINDOW))
        .initial_connection_window_size(config.http2_connection_window.min(LARGEST_WINDOW))
        .adaptive_window(false)
        .max_send_buf_size(config.http2_stream_window as usize)
        .max_concurrent_streams(config.http2_streams)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .timer(TokioTimer::new());
    builder
}

/// Serves one connection over TLS.
pub(super) async fn serve_tls<B: Bus>(
    gateway: Arc<Shared<B>>,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    address: SocketAddr,
) {
    let accepting = timeout(gateway.handshake_within, Wire::accept(stream, config, gateway.patience.linger));
    let accepted = tokio::select! {
        accepted = accepting => accepted,
        // Nothing was asked for.
        () = gateway.progress.draining() => return,
    };
    match accepted {
        Ok(Ok(stream)) => serve(gateway, stream, address).await,
        Ok(Err(error)) => tracing::debug!(%address, "a client's TLS handshake failed: {}", explain(&error)),
        Err(_) => tracing::debug!(%address, "a client's TLS handshake took too long"),
    }
}

/// Serves one connection to its end. All that it does it does in this task, but for streamed uploads and the requests
/// of HTTP/2, which end with it.
pub(super) async fn serve<B: Bus>(gateway: Arc<Shared<B>>, stream: Wire, address: SocketAddr) {
    let scheme = if stream.is_secret() { "https" } else { "http" };
    let client = Client { address: address.ip().to_string().into(), scheme };
    let connection = Connection::default();
    let service = service_fn(|request| {
        connection.0.asked.store(true, Ordering::Relaxed);
        request::serve(gateway.clone(), client.clone(), request, connection.clone())
    });
    {
        let socket = Socket { stream, connection: connection.clone() };
        let serving = gateway.hyper.serve_connection_with_upgrades(TokioIo::new(socket), service);
        // It is large, and gone when the connection goes on as a WebSocket.
        let mut serving = Box::pin(serving);
        let served = tokio::select! {
            served = serving.as_mut() => served,
            () = gateway.progress.draining() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
            () = connection.silent(gateway.head_within) => return,
        };
        if let Err(error) = served {
            tracing::debug!(%address, "a client's connection broke: {error}");
        }
    }
    if let Some(upgraded) = connection.upgraded() {
        upgraded.await;
    }
}
