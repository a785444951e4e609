//! The listener's loop.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How many may ask at once; others wait.
const CONNECTIONS: usize = 64;
/// How long a question may take to come, and how long a connection may be without one.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may take in all; whoever follows events comes again.
const LIVES: Duration = Duration::from_secs(120);
/// How long to wait when the system has no sockets left.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(50);

/// Answers whoever comes.
pub(super) async fn all(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(one(stream, router.clone()))),
                Err(_) => tokio::time::sleep(OUT_OF_SOCKETS).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn one(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKED_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Whoever asks too slowly, or goes away, has had no answer.
    let _ = tokio::time::timeout(LIVES, connection).await;
}
