//! A connection's bytes, as they are or within TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// A connection.
pub(crate) enum Wire {
    /// Anybody between the two can read it.
    Plain(TcpStream),
    /// Nobody can.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Shakes hands with somebody who connected. Whoever is not let in has this long to read why.
    ///
    /// # Errors
    /// They did not agree.
    pub(crate) async fn accept(stream: TcpStream, config: Arc<ServerConfig>, linger: Duration) -> io::Result<Self> {
        match TlsAcceptor::from(config).accept(stream).into_fallible().await {
            Ok(stream) => Ok(Wire::Tls(Box::new(stream.into()))),
            Err((error, mut stream)) => {
                // As soon as a socket with something unread is closed, its peer may lose what was sent to it.
                let lingering = async {
                    stream.shutdown().await.ok();
                    let mut discarded = [0; 4096];
                    while stream.read(&mut discarded).await.is_ok_and(|bytes| bytes > 0) {}
                };
                timeout(linger, lingering).await.ok();
                Err(error)
            }
        }
    }

    /// Shakes hands with whom one dialled.
    ///
    /// # Errors
    /// They did not agree.
    pub(crate) async fn connect(
        stream: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Wire::Tls(Box::new(stream.into())))
    }

    /// Whether nobody can read it on its way.
    pub(crate) fn is_secret(&self) -> bool {
        match self {
            Wire::Plain(_) => false,
            Wire::Tls(_) => true,
        }
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
