//! The server behind the runners. It takes its time, and notes when it hears that nobody waits any more.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::Heard;

/// What the spare runner's handler says to a request that the other runner's handler thinks about for ever.
pub(crate) const ANSWER: &str = "answered";

/// Between two pieces of a stream.
const PIECE_EVERY: Duration = Duration::from_millis(20);

/// A handler that was called.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// What it heard at the end.
    pub(crate) end: Option<Heard>,
}

/// A listening server, which runners reach under `/victim` and `/spare`.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) calls: watch::Receiver<Vec<Call>>,
    _serving: JoinSet<()>,
}

type Calls = watch::Sender<Vec<Call>>;

impl Target {
    pub(crate) async fn listen() -> io::Result<Target> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (calls, seen) = watch::channel(Vec::new());
        let router = Router::new()
            .route("/{runner}/think", any(think))
            .route("/{runner}/stream", get(stream_pieces))
            .route("/{runner}/websocket", get(echo))
            .with_state(calls);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // It serves until it is dropped.
            axum::serve(listener, router).await.ok();
        });
        Ok(Target { address, calls: seen, _serving: serving })
    }

    /// Waits until the first call has ended.
    pub(crate) async fn heard(&self) -> Option<Heard> {
        let mut calls = self.calls.clone();
        let ended = |calls: &Vec<Call>| calls.first().is_some_and(|call| call.end.is_some());
        let calls = calls.wait_for(ended).await.ok()?;
        calls.first()?.end.clone()
    }
}

/// A call, which ends when it is dropped.
struct Running {
    calls: Calls,
    number: usize,
    how: String,
}

impl Running {
    fn begin(calls: Calls, method: Method) -> Running {
        let mut number = 0;
        calls.send_modify(|calls| {
            number = calls.len();
            calls.push(Call { method, end: None });
        });
        Running { calls, number, how: "dropped".to_owned() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let end = Heard { at: Instant::now(), what: std::mem::take(&mut self.how) };
        self.calls.send_modify(|calls| calls[self.number].end = Some(end));
    }
}

/// Thinks for ever, if it is the victim's.
async fn think(State(calls): State<Calls>, Path(runner): Path<String>, method: Method, _body: Bytes) -> String {
    let _running = Running::begin(calls, method);
    if runner == "victim" {
        std::future::pending::<()>().await;
    }
    ANSWER.to_owned()
}

async fn stream_pieces(State(calls): State<Calls>, method: Method) -> Response {
    let running = Running::begin(calls, method);
    let pieces = stream::unfold(running, |running| async {
        tokio::time::sleep(PIECE_EVERY).await;
        Some((Ok::<_, Infallible>("piece"), running))
    });
    Body::from_stream(pieces).into_response()
}

async fn echo(State(calls): State<Calls>, method: Method, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move { echo_until_closed(socket, Running::begin(calls, method)).await })
}

async fn echo_until_closed(mut socket: WebSocket, mut running: Running) {
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Close(Some(close)) => running.how = format!("{} {}", close.code, close.reason),
            Message::Close(None) | Message::Ping(_) | Message::Pong(_) => {}
            message @ (Message::Text(_) | Message::Binary(_)) => drop(socket.send(message).await),
        }
    }
}
