//! The runner's end: dials a relay, and hands requests to a service and WebSockets to a handler.
//!
//! [`Runner::start`] is for what keeps nothing: any runner of the pool may answer. [`Runner::host`] is for actors with
//! state, which are started and stopped by the relay, one life at a time in the whole pool.

mod actors;
mod body;
mod config;
mod dial;
mod handler;
mod hibernating;
mod hosting;
mod link;
mod outlets;
mod request;
mod service;
mod socket;
mod websocket;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use bytestring::ByteString;
use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;
use underpass_core::runner::{self, Event};
use uuid::Uuid;

use self::actors::Lives;
use self::hosting::Hosting;
use self::outlets::{Handlers, Outlets, Status};
use self::service::Serving;
use crate::driver::{Driver, keep_time, made};
use crate::queue::queue;

pub use actors::{ActorContext, ActorHandler, Host, Kv, KvError};
pub use body::{Body, BodyError};
pub use config::{Config, StartError};
pub use hibernating::{HibernatingIncoming, HibernatingReceiver, HibernatingWebSocket, SleepingSocket};
pub use underpass_core::protocol::MessageIndex;
pub use underpass_core::protocol::kv::KvListQuery;
pub use underpass_core::protocol::to_client::ActorConfig;
pub use underpass_core::runner::{SocketId, StopReason};
pub use websocket::{
    Closed, Incoming, NoWebSockets, Pending, WebSocket, WebSocketHandler, WebSocketReceiver, WebSocketSender,
};

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
        let ended = self.driver.enter(|inside| {
            inside.outlets.over = true;
            (std::mem::take(&mut inside.outlets.requests), std::mem::take(&mut inside.outlets.lives))
        });
        drop(ended);
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
    /// it is drained, dropped or refused for good. To be called within a tokio runtime. What TLS is spoken with is read
    /// here from its files, which are small.
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
        let max_chunk = config.runner.max_chunk;
        Self::begin(config, Box::new(Serving { service, websockets, max_chunk }))
    }

    /// Starts a runner whose actors have state, as [`start`](Runner::start) does without. Whatever the configuration
    /// says of that, it is not [`stateless`](runner::Config::stateless); it has room for
    /// [`total_slots`](runner::Config::total_slots) actors.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn host(mut config: Config, host: impl Host) -> Result<Self, StartError> {
        config.runner.stateless = false;
        let max_chunk = config.runner.max_chunk;
        Self::begin(config, Box::new(Hosting { host: Arc::new(host), max_chunk }))
    }

    fn begin(config: Config, handlers: Box<dyn Handlers>) -> Result<Self, StartError> {
        let relays = link::Relays::new(&config)?;
        let Config { runner, key, observers, .. } = config;
        let key = ByteString::from(key.unwrap_or_else(|| Uuid::new_v4().to_string()));
        let seed = Uuid::new_v4().as_u64_pair().1;
        let machine = made(runner::Origin { config: runner, key, seed }, observers)?;
        let (status, status_seen) = watch::channel(Status::default());
        let (dials, dials_seen) = queue();
        let driver = Arc::new_cyclic(|driver| {
            let (driver, lines, requests, lives) = (driver.clone(), HashMap::new(), HashMap::new(), Lives::default());
            Driver::new(machine, Outlets { driver, handlers, lines, dials, requests, lives, status, over: false })
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

    /// Actors that live here, those that are being started and stopped included.
    pub fn actors(&self) -> usize {
        self.inner.driver.enter(|inside| inside.outlets.lives.len())
    }

    async fn wait_for(&self, reached: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.inner.status.clone();
        let seen = status.wait_for(reached).await;
        seen.map_or_else(|_| Status::default(), |status| status.clone())
    }
}
