//! The runner's end: dials a relay, and hands requests to a service and WebSockets to a handler.

mod body;
mod link;
mod outlets;
mod request;
mod websocket;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;
use underpass_core::runner::{self, Event};
use underpass_core::{ConfigError, Time};
use uuid::Uuid;

use self::outlets::{Arrival, Handlers, Outlets, Status};
use self::request::Answering;
use crate::driver::{Driver, Task, keep_time};
use crate::queue::queue;
use crate::socket;

pub use body::{Body, BodyError};
pub use underpass_core::runner::StopReason;
pub use websocket::{
    Closed, Incoming, NoWebSockets, Pending, WebSocket, WebSocketHandler, WebSocketReceiver, WebSocketSender,
};

/// What a runner is told.
#[derive(Clone)]
pub struct Config {
    /// Who it is and what it can do; its machine's limits and deadlines.
    pub runner: runner::Config,
    /// Where relays listen, at least one: `ws://host:port`; a path is ignored. They are dialled in turn: the next one
    /// when a connection failed or broke, and when the relay drains.
    pub relay_urls: Vec<String>,
    /// By what it is known when it comes again; none: a random UUID.
    pub key: Option<String>,
    /// What the relay wants to see.
    pub token: Option<String>,
    /// How long a closing WebSocket may make no progress, until it is cut: from when its close is to be sent, or came,
    /// or more could be written. 30 s.
    pub close_within: Duration,
    /// How long a WebSocket whose peer broke a rule is still read, so that the peer can see the close. 2 s.
    pub linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            runner: runner::Config::default(),
            relay_urls: Vec::new(),
            key: None,
            token: None,
            close_within: socket::CLOSE_WITHIN,
            linger: socket::LINGER,
        }
    }
}

/// The token is not shown.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { runner, relay_urls, key, token, close_within, linger } = self;
        let token = token.as_ref().map(|_| "…");
        let mut shown = f.debug_struct("Config");
        shown.field("runner", runner).field("relay_urls", relay_urls).field("key", key).field("token", &token);
        shown.field("close_within", close_within).field("linger", linger).finish()
    }
}

/// Why a runner could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// The configuration could not work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No relay is named.
    #[error("no relay is named: ws://HOST:PORT is one")]
    NoRelay,
    /// A relay's URL is none.
    #[error("{url:?} is not a relay's URL: {problem}; ws://HOST:PORT is one")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A relay's URL asks for TLS.
    #[error("{url:?} needs TLS, which is not built in: use ws://, or a TLS proxy beside the runner")]
    Tls {
        /// What was given.
        url: String,
    },
    /// The token cannot be sent.
    #[error("the token has a character that does not fit into a WebSocket sub-protocol")]
    Token,
}

/// The actor that a request or a WebSocket is for: found among the extensions of its `http::Request`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor(pub ByteString);

/// A running runner. Clones are handles of the same one; with the last of them it ends, at once unless it has
/// [drained](Runner::drain).
#[derive(Clone)]
pub struct Runner {
    inner: Arc<Inner>,
}

struct Inner {
    driver: Arc<Driver<Outlets>>,
    status: watch::Receiver<Status>,
    /// The timer and the links.
    tasks: Mutex<JoinSet<()>>,
}

impl Inner {
    /// Ends everything.
    fn end(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        // Handlers stop when nothing can be told to them any more.
        let requests = self.driver.enter(|inside| {
            inside.outlets.over = true;
            std::mem::take(&mut inside.outlets.requests)
        });
        drop(requests);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("status", &*self.inner.status.borrow()).finish_non_exhaustive()
    }
}

impl Runner {
    /// Starts a runner: it dials its relays until one has taken it in, again whenever the connection breaks, and until
    /// it is drained, dropped or refused for good. To be called within a tokio runtime.
    ///
    /// An axum `Router` is such a service. Of a failing service, or one that panics, the client sees a 502, or a broken
    /// body if the answer had begun. When the client goes away, the future of the service is dropped, or the body of
    /// its answer.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn start<S, B, W>(config: Config, service: S, websockets: W) -> Result<Self, StartError>
    where
        S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
        S::Error: fmt::Display,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: fmt::Display,
        W: WebSocketHandler,
    {
        let relays = link::Relays::new(&config)?;
        let Config { runner, key, .. } = config;
        let handlers = Box::new(UserHandlers { service, websockets, max_chunk: runner.max_chunk });
        let key = ByteString::from(key.unwrap_or_else(|| Uuid::new_v4().to_string()));
        let machine = runner::Runner::new(runner, key, Uuid::new_v4().as_u64_pair().1, Time::ZERO)?;
        let (status, status_seen) = watch::channel(Status::default());
        let (dials, dials_seen) = queue();
        let driver = Arc::new_cyclic(|driver| {
            let (driver, lines, requests) = (driver.clone(), HashMap::new(), HashMap::new());
            Driver::new(machine, Outlets { driver, handlers, lines, dials, requests, status, over: false })
        });
        // So that what it wants done at once is done.
        driver.drive(Event::Tick);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_time(Arc::downgrade(&driver)));
        tasks.spawn(link::keep(driver.clone(), dials_seen, relays));
        Ok(Runner { inner: Arc::new(Inner { driver, status: status_seen, tasks: Mutex::new(tasks) }) })
    }

    /// Waits until the relay has taken the runner in; comes back at once while it has.
    ///
    /// # Errors
    /// Why the runner stopped instead.
    pub async fn ready(&self) -> Result<(), StopReason> {
        let status = self.wait_for(|status| status.ready || status.stopped.is_some()).await;
        status.stopped.map_or(Ok(()), Err)
    }

    /// Waits until the runner has stopped for good.
    pub async fn stopped(&self) -> StopReason {
        // Whoever waits keeps what it waits for, so this says nothing new.
        self.wait_for(|status| status.stopped.is_some()).await.stopped.unwrap_or(StopReason::Drained)
    }

    /// Finishes what is open, takes nothing new, and goes.
    pub async fn drain(&self) -> StopReason {
        self.inner.driver.drive(Event::Drain);
        let handlers = self.handlers();
        if handlers > 0 {
            tracing::info!(handlers, "draining: waiting for handlers to finish");
        }
        let reason = self.stopped().await;
        self.inner.end();
        reason
    }

    /// The runner's counters and gauges.
    pub fn stats(&self) -> runner::Stats {
        self.inner.driver.stats()
    }

    /// Requests and WebSockets whose handlers are at work.
    pub fn handlers(&self) -> usize {
        self.inner.driver.enter(|inside| inside.outlets.requests.len())
    }

    async fn wait_for(&self, reached: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.inner.status.clone();
        let seen = status.wait_for(reached).await;
        seen.map_or_else(|_| Status::default(), |status| status.clone())
    }
}

/// The user's service and the user's handler of WebSockets.
struct UserHandlers<S, W> {
    service: S,
    websockets: W,
    max_chunk: usize,
}

impl<S, B, W> Handlers for UserHandlers<S, W>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: fmt::Display,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
    W: WebSocketHandler,
{
    fn request(&mut self, arrival: Arrival, body: Body, answering: Answering) -> Task {
        Box::pin(request::answer(self.service.clone(), arrival, body, answering, self.max_chunk))
    }

    fn websocket(&mut self, arrival: Arrival, socket: Pending) -> Task {
        let websockets = self.websockets.clone();
        let handler = socket.handler();
        Box::pin(async move {
            let request = match request::request(arrival, ()) {
                Ok(request) => request,
                Err(problem) => return tracing::warn!("a WebSocket was not handed on: {problem}"),
            };
            tokio::select! {
                biased;
                () = handler.stop.pass() => {}
                () = websockets.open(request, socket) => {}
            }
        })
    }
}
