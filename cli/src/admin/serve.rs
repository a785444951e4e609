//! The listener's loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_service::Service;

/// How many may ask at once; others wait.
const CONNECTIONS: usize = 64;
/// How long a question may take to come, and how long a connection may be without one.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection takes questions.
const TAKES_QUESTIONS: Duration = Duration::from_secs(4);
/// How much longer the answer to the last one may take.
const LAST_ANSWER: Duration = Duration::from_secs(1);
/// How much longer again, if it is one that lasts: longer than it lasts by itself.
const LASTING_ANSWER: Duration = Duration::from_secs(95);
/// How long to wait when the system has no sockets left.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(50);

/// Said of an answer that takes its time. Whoever gives it sees to it that there are few at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lasts;

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
    let lasts = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (mut router, lasts) = (router.clone(), lasts.clone());
        async move {
            let answer: Result<Response, _> = router.call(request).await;
            let answer_lasts = answer.as_ref().is_ok_and(|answer| answer.extensions().get::<Lasts>().is_some());
            lasts.store(answer_lasts, Ordering::Relaxed);
            answer
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(ASKED_WITHIN)
            .serve_connection(TokioIo::new(stream), service)
    );
    // Whoever asks too slowly, or goes away, has had no answer.
    if timeout(TAKES_QUESTIONS, connection.as_mut()).await.is_ok() {
        return;
    }
    connection.as_mut().graceful_shutdown();
    if timeout(LAST_ANSWER, connection.as_mut()).await.is_err() && lasts.load(Ordering::Relaxed) {
        let _ = timeout(LASTING_ANSWER, connection).await;
    }
}
