//! One connection of a client: HTTP/1.1 or HTTP/2, and after an upgrade a WebSocket.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::timeout;
use underpass_core::bus::Bus;
use underpass_core::frame::FRAME_OVERHEAD;

use super::{Shared, request};

/// How long a client may take to send a request's head, or the first byte of a connection.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// Write buffers, and flow-control windows of HTTP/2 streams, bytes.
const BUFFER: usize = 64 * 1024;

/// Flow-control window of an HTTP/2 connection, bytes.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What goes on with a connection after hyper has handed it over.
#[derive(Clone, Default)]
pub(super) struct Upgrade(Arc<Mutex<Option<Upgraded>>>);

type Upgraded = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Upgrade {
    /// Goes on so.
    pub(super) fn set(&self, upgraded: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(upgraded));
    }

    fn take(&self) -> Option<Upgraded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How hyper serves: buffers bounded, and a client that goes away is noticed also while there is nothing to write.
pub(super) fn builder(max_header_bytes: usize) -> Builder<TokioExecutor> {
    let head = max_header_bytes + FRAME_OVERHEAD;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .half_close(false)
        .max_buf_size(head.max(BUFFER))
        .header_read_timeout(HEAD_WITHIN)
        .timer(TokioTimer::new());
    builder
        .http2()
        .initial_stream_window_size(BUFFER as u32)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .adaptive_window(false)
        .max_send_buf_size(BUFFER)
        .max_concurrent_streams(256)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .timer(TokioTimer::new());
    builder
}

/// Serves one connection to its end. All that it does it does in this task, but for streamed uploads and the requests
/// of HTTP/2, which end with it.
pub(super) async fn serve<B: Bus>(gateway: Arc<Shared<B>>, stream: TcpStream, address: SocketAddr) {
    let begun = tokio::select! {
        begun = timeout(HEAD_WITHIN, stream.readable()) => matches!(begun, Ok(Ok(()))),
        () = gateway.progress.draining() => false,
    };
    if !begun {
        return;
    }
    let upgrade = Upgrade::default();
    let service = service_fn(|request| request::serve(gateway.clone(), address.ip(), request, upgrade.clone()));
    {
        let connection = gateway.hyper.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = gateway.progress.draining() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%address, "a client's connection broke: {error}");
        }
    }
    if let Some(upgraded) = upgrade.take() {
        upgraded.await;
    }
}
