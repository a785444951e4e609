//! Taking connections in, until told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long to wait when the system has no sockets left, and only a connection's end can help.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(50);

/// How far a machine and its connections are on their way from serving to having drained.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Whether new connections are taken no more.
    draining: watch::Sender<bool>,
    /// Whether the machine said that nothing is open any more.
    drained: watch::Sender<bool>,
    /// Connections open.
    connections: watch::Sender<usize>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            draining: watch::Sender::new(false),
            drained: watch::Sender::new(false),
            connections: watch::Sender::new(0),
        }
    }
}

impl Progress {
    /// Takes no new connections from here on.
    pub(crate) fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// The machine said so.
    pub(crate) fn machine_drained(&self) {
        self.drained.send_replace(true);
    }

    /// Connections open.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits for the drain's beginning.
    pub(crate) async fn draining(&self) {
        self.draining.subscribe().wait_for(|draining| *draining).await.ok();
    }

    /// Waits until the machine has drained, and all connections have ended.
    pub(crate) async fn ended(&self) {
        self.drained.subscribe().wait_for(|drained| *drained).await.ok();
        self.connections.subscribe().wait_for(|connections| *connections == 0).await.ok();
    }
}

/// A connection, counted while it lives.
struct Counted(Arc<Progress>);

impl Counted {
    fn new(progress: Arc<Progress>) -> Self {
        progress.connections.send_modify(|connections| *connections += 1);
        Counted(progress)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.send_modify(|connections| *connections -= 1);
    }
}

/// Serves the connections of a listener until the drain begins and they have ended. Dropping the future cuts them.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    progress: Arc<Progress>,
    mut serve_one: impl FnMut(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut draining = std::pin::pin!(progress.draining());
    loop {
        tokio::select! {
            () = &mut draining => break,
            (stream, address) = accept(&listener) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%address, "a connection went away at once: {error}");
                    continue;
                }
                let served = serve_one(stream, address);
                let counted = Counted::new(progress.clone());
                connections.spawn(async move {
                    let _counted = counted;
                    served.await;
                });
            }
            // So that what ended is forgotten.
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // That one connection is gone.
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!("no connection can be taken in: {error}");
                tokio::time::sleep(OUT_OF_SOCKETS).await;
            }
        }
    }
}

fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_the_connections_that_there_are() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let progress = Arc::new(Progress::default());
        let serving = tokio::spawn(serve(listener, progress.clone(), |mut stream, _| async move {
            stream.write_all(b"!").await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        }));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        progress.drain();
        progress.machine_drained();
        let ended = progress.ended();
        tokio::pin!(ended);
        assert!(tokio::time::timeout(Duration::ZERO, &mut ended).await.is_err());
        drop(client);
        ended.await;
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
