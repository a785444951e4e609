//! The gateway's side: clients come in by HTTP and WebSocket.
//!
//! A client that closes its sending direction behind its request (a TCP half-close) is taken for gone: its request
//! ends, and its handler with it. Of a client that went away nothing else is to be seen, and nobody shall work for it.

mod actors;
mod connection;
mod exchange;
mod outlets;
mod request;
mod response;
mod websocket;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hashbrown::HashMap;
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto::Builder;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use underpass_core::bus::{Address, AttachError, Bus};
use underpass_core::directory::{Directory, DirectoryUnavailable, Pool, Watch};
use underpass_core::failure::RequestName;
use underpass_core::gateway::{self, Event};
use underpass_core::http::Admission;
use underpass_core::protocol::GatewayId;
use underpass_core::{ConfigError, Gateway};
use uuid::Uuid;

use self::outlets::Outlets;
use crate::bus::{AGAIN_AFTER, take_in};
use crate::driver::{Driver, keep_time, made};
use crate::listen::{self, Progress};
use crate::observers::Observers;
use crate::queue::queue;
use crate::socket::{self, Patience};
use crate::tls::{ServerTls, Spoken};
use crate::wire::Wire;

/// How many ids are tried before giving up.
const IDS_TRIED: usize = 16;

/// What a gateway is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its machine's limits and deadlines. What the bus carries at most is asked of the bus.
    pub gateway: gateway::Config,
    /// How requests are taken in.
    pub admission: Admission,
    /// How long a client may take to send a request's head, or the first byte of a connection. 30 s.
    pub head_within: Duration,
    /// How long a TLS handshake may take. 10 s.
    pub handshake_within: Duration,
    /// How long a closing WebSocket may make no progress, until it is cut: from when its close is to be sent, or came,
    /// or more could be written. 30 s.
    pub close_within: Duration,
    /// How long a WebSocket whose peer broke a rule is still read, so that the peer can see the close. 2 s.
    pub linger: Duration,
    /// Who looks on at its machine.
    pub observers: Observers<Gateway>,
    /// How many requests may be open on one HTTP/2 connection. 256.
    pub http2_streams: u32,
    /// The flow-control window of an HTTP/2 stream, and the most of an answer that waits to be sent on one, bytes.
    /// 64 KiB.
    pub http2_stream_window: u32,
    /// The flow-control window of an HTTP/2 connection, bytes. 1 MiB.
    pub http2_connection_window: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            gateway: gateway::Config::default(),
            admission: Admission::default(),
            head_within: Duration::from_secs(30),
            handshake_within: Duration::from_secs(10),
            close_within: socket::CLOSE_WITHIN,
            linger: socket::LINGER,
            observers: Observers::default(),
            http2_streams: 256,
            http2_stream_window: 64 * 1024,
            http2_connection_window: 1024 * 1024,
        }
    }
}

/// What a gateway holds for its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Connections that have not ended.
    pub connections: usize,
    /// Requests and WebSockets whose clients are to be told more.
    pub requests: usize,
}

/// Why a gateway could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// The configuration could not work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No id could be claimed, or runners and actors cannot be watched.
    #[error(transparent)]
    Directory(#[from] DirectoryUnavailable),
    /// The bus did not give the gateway its address.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Every id that was tried is in use.
    #[error("no free gateway id was found")]
    NoFreeId,
}

/// A running gateway. Clones are handles of the same one; with the last of them it ends, at once unless it has
/// [drained](Clients::drain).
pub struct Clients<B: Bus, D: Directory> {
    inner: Arc<Inner<B, D>>,
}

struct Inner<B: Bus, D: Directory> {
    id: GatewayId,
    shared: Arc<Shared<B>>,
    directory: D,
    /// How often the directory told of runners.
    directory_told: watch::Receiver<u64>,
    /// The timer, the bus, the directory: they end with this.
    _tasks: JoinSet<()>,
}

/// What connections need.
struct Shared<B: Bus> {
    driver: Arc<Driver<Outlets<B>>>,
    admission: Admission,
    hyper: Builder<TokioExecutor>,
    progress: Arc<Progress>,
    max_chunk: usize,
    max_message: usize,
    head_within: Duration,
    handshake_within: Duration,
    patience: Patience,
}

impl<B: Bus, D: Directory> Clone for Clients<B, D> {
    fn clone(&self) -> Self {
        Clients { inner: self.inner.clone() }
    }
}

impl<B: Bus, D: Directory> fmt::Debug for Clients<B, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

impl<B: Bus, D: Directory> Clients<B, D> {
    /// Starts a gateway: claims an id in the directory, attaches to the bus, watches runners and actors.
    ///
    /// # Errors
    /// The configuration could not work, or bus or directory are away.
    pub async fn start(config: Config, bus: B, directory: D) -> Result<Self, StartError> {
        let hyper = connection::builder(&config);
        let Config { mut gateway, admission, head_within, handshake_within, close_within, linger, observers, .. } =
            config;
        let patience = Patience { close_within, linger };
        gateway.bus_largest_message = bus.largest_message();
        let (max_chunk, max_message) = (gateway.max_chunk, gateway.max_message);
        let id = claim_id(&directory).await?;
        let started = async {
            let seed = Uuid::new_v4().as_u64_pair().1;
            let machine = made(gateway::Origin { config: gateway, id, seed }, observers)?;
            let address = Address::Gateway(id);
            let inbox = bus.attach(address).await?;
            let mut watch = directory.watch_runners().await?;
            let mut all_runners = Vec::new();
            if let Some(seen) = watch.changed(&mut all_runners).now_or_never() {
                seen?;
            }
            let (all_actors, actor_watch) = directory.watch_actors().await?;
            let progress = Arc::new(Progress::default());
            let (sender, changes) = queue();
            let requests = HashMap::new();
            let outlets = Outlets { bus: bus.clone(), requests, changes: sender, progress: progress.clone() };
            let driver = Arc::new(Driver::new(machine, outlets));
            // The first request may find them.
            driver.enter(|inside| all_runners.drain(..).for_each(|seen| inside.handle(Event::Directory(seen))));
            driver.drive(Event::Actors(all_actors));
            let (told, directory_told) = watch::channel(0);
            let mut tasks = JoinSet::new();
            tasks.spawn(keep_time(Arc::downgrade(&driver)));
            tasks.spawn(take_in(driver.clone(), bus.clone(), address, inbox, outlets::from_bus));
            tasks.spawn(watch_runners(driver.clone(), directory.clone(), watch, told));
            tasks.spawn(actors::watch(driver.clone(), directory.clone(), actor_watch));
            tasks.spawn(actors::change(driver.clone(), directory.clone(), changes));
            let shared = Arc::new(Shared {
                driver,
                admission,
                hyper,
                progress,
                max_chunk,
                max_message,
                head_within,
                handshake_within,
                patience,
            });
            Ok(Inner { id, shared, directory: directory.clone(), directory_told, _tasks: tasks })
        };
        match started.await {
            Ok(inner) => Ok(Clients { inner: Arc::new(inner) }),
            Err(error) => {
                directory.release_gateway(id).await.ok();
                Err(error)
            }
        }
    }

    /// Takes clients in from a listener, until the gateway [drains](Self::drain) and the last of these connections has
    /// ended. Dropping the future cuts them.
    pub async fn serve(&self, listener: TcpListener) {
        let shared = &self.inner.shared;
        listen::serve(listener, shared.progress.clone(), |stream, address| {
            connection::serve(shared.clone(), Wire::Plain(stream), address)
        })
        .await;
    }

    /// The same over TLS, for `https://` and `wss://`. The certificate is looked at again while this goes on.
    pub async fn serve_tls(&self, listener: TcpListener, tls: ServerTls) {
        let shared = &self.inner.shared;
        let serving = listen::serve(listener, shared.progress.clone(), |stream, address| {
            connection::serve_tls(shared.clone(), tls.config(Spoken::Http), stream, address)
        });
        tokio::select! {
            () = serving => {}
            () = tls.keep_fresh() => {}
        }
    }

    /// Takes nothing new, waits until what is open has ended, and gives the gateway's id back.
    pub async fn drain(&self) {
        let shared = &self.inner.shared;
        shared.progress.drain();
        shared.driver.drive(Event::Drain);
        let Held { connections, requests } = self.held();
        if connections > 0 {
            let close_within = shared.patience.close_within;
            tracing::info!(connections, requests, ?close_within, "draining: waiting for clients' connections to end");
        }
        shared.progress.ended().await;
        if self.inner.directory.release_gateway(self.inner.id).await.is_err() {
            tracing::warn!("the gateway's id could not be given back: the directory is away");
        }
    }

    /// Ends an open request at both ends, as `ended_by_operator`. Whether there is one that people call so.
    pub fn end_request(&self, name: RequestName) -> bool {
        self.inner.shared.driver.enter(|inside| {
            let key = inside.machine.request_named(name);
            key.inspect(|key| inside.handle(Event::EndRequest { key: *key })).is_some()
        })
    }

    /// Waits until a runner of this pool takes requests.
    pub async fn runner_ready(&self, pool: &Pool) {
        let ready = || self.inner.shared.driver.enter(|inside| inside.machine.ready_runners(pool)) > 0;
        // The channel is closed only with the gateway.
        self.inner.directory_told.clone().wait_for(|_| ready()).await.ok();
    }

    /// The gateway's counters and gauges.
    pub fn stats(&self) -> gateway::Stats {
        self.inner.shared.driver.stats()
    }

    /// What is held for clients.
    pub fn held(&self) -> Held {
        let shared = &self.inner.shared;
        let requests = shared.driver.enter(|inside| inside.outlets.requests.len());
        Held { connections: shared.progress.connections(), requests }
    }

    /// The gateway's id.
    pub fn id(&self) -> GatewayId {
        self.inner.id
    }
}

async fn claim_id(directory: &impl Directory) -> Result<GatewayId, StartError> {
    for _ in 0..IDS_TRIED {
        let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
        let id = GatewayId([a, b, c, d]);
        if id != GatewayId::ZERO && directory.claim_gateway(id).await? {
            return Ok(id);
        }
    }
    Err(StartError::NoFreeId)
}

/// Hands in what the directory tells of runners.
async fn watch_runners<B: Bus, D: Directory>(
    driver: Arc<Driver<Outlets<B>>>,
    directory: D,
    mut watch: D::Watch,
    told: watch::Sender<u64>,
) {
    let mut seen = Vec::new();
    loop {
        if watch.changed(&mut seen).await.is_ok() {
            driver.enter(|inside| seen.drain(..).for_each(|seen| inside.handle(Event::Directory(seen))));
            told.send_modify(|told| *told += 1);
            continue;
        }
        tracing::warn!("nothing is heard of runners: the directory is away");
        driver.drive(Event::DirectoryAway);
        watch = loop {
            tokio::time::sleep(AGAIN_AFTER).await;
            if let Ok(watch) = directory.watch_runners().await {
                break watch;
            }
        };
        driver.drive(Event::DirectoryBack);
    }
}
