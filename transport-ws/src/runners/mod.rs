//! The relay's side: runners dial in by WebSocket.

mod changes;
mod connection;
mod directory;
mod outlets;
mod store;
mod tokens;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use underpass_core::bus::{Address, AttachError, Bus, RelayId};
use underpass_core::directory::Directory;
use underpass_core::kv::KvStore;
use underpass_core::relay::{self, Event};
use underpass_core::{ConfigError, Relay};
use uuid::Uuid;

use self::outlets::Outlets;
use self::store::Store;
use crate::bus::take_in;
use crate::driver::{Driver, keep_time, made};
use crate::listen::{self, Progress};
use crate::observers::Observers;
use crate::queue::queue;
use crate::socket::{self, Patience};
use crate::tls::{ServerTls, Spoken};

pub use self::tokens::{BadTokens, Tokens};

/// What a relay is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its machine's limits and deadlines. What the bus carries at most is asked of the bus.
    pub relay: relay::Config,
    /// What runners must bring. They can be [replaced](Tokens::replace) while the relay runs. [None](Tokens::none).
    pub tokens: Tokens,
    /// How long a runner may take to open its WebSocket, with the TLS handshake before. 10 s.
    pub open_within: Duration,
    /// How long a closing WebSocket may make no progress, until it is cut: from when its close is to be sent, or came,
    /// or more could be written. 30 s.
    pub close_within: Duration,
    /// How long a WebSocket whose peer broke a rule is still read, so that the peer can see the close. 2 s.
    pub linger: Duration,
    /// Who looks on at its machine.
    pub observers: Observers<Relay>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            relay: relay::Config::default(),
            tokens: Tokens::none(),
            open_within: Duration::from_secs(10),
            close_within: socket::CLOSE_WITHIN,
            linger: socket::LINGER,
            observers: Observers::default(),
        }
    }
}

/// Why a relay could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// The configuration could not work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The bus did not give the relay its address.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

/// A running relay. Clones are handles of the same one; with the last of them it ends, at once unless it has
/// [drained](Runners::drain).
pub struct Runners<B: Bus, D: Directory> {
    inner: Arc<Inner<B>>,
    directory: PhantomData<fn() -> D>,
}

struct Inner<B: Bus> {
    id: RelayId,
    shared: Arc<Shared<B>>,
    /// The timer, the bus, the directory: they end with this.
    _tasks: JoinSet<()>,
}

/// What connections need.
struct Shared<B: Bus> {
    driver: Arc<Driver<Outlets<B>>>,
    progress: Arc<Progress>,
    connections: AtomicU64,
    tokens: Tokens,
    max_frame: usize,
    max_name: usize,
    outbox: usize,
    open_within: Duration,
    patience: Patience,
}

impl<B: Bus> Shared<B> {
    /// A number that no connection had before.
    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }
}

impl<B: Bus, D: Directory> Clone for Runners<B, D> {
    fn clone(&self) -> Self {
        Runners { inner: self.inner.clone(), directory: PhantomData }
    }
}

impl<B: Bus, D: Directory> fmt::Debug for Runners<B, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runners").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

impl<B: Bus, D: Directory> Runners<B, D> {
    /// Starts a relay with an id of its own, attached to the bus. It has no key-value store, which is right for runners
    /// whose actors have no state.
    ///
    /// # Errors
    /// The configuration could not work, or the bus is away.
    pub async fn start(config: Config, bus: B, directory: D) -> Result<Self, StartError> {
        Self::start_over(config, bus, directory, Store::none()).await
    }

    /// The same with a store for actors that have state. All relays of a bus must use the same one.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn start_with_store(
        config: Config,
        bus: B,
        directory: D,
        store: impl KvStore,
    ) -> Result<Self, StartError> {
        Self::start_over(config, bus, directory, Store::new(store)).await
    }

    async fn start_over(config: Config, bus: B, directory: D, store: Store) -> Result<Self, StartError> {
        let Config { mut relay, tokens, open_within, close_within, linger, observers } = config;
        let patience = Patience { close_within, linger };
        relay.bus_largest_message = bus.largest_message();
        let (max_frame, max_name, outbox) = (relay.max_frame, relay.max_name, relay.outbox);
        let id = RelayId(Uuid::new_v4());
        let seed = Uuid::new_v4().as_u64_pair().1;
        let machine = made(relay::Origin { config: relay, id, seed }, observers)?;
        let address = Address::Relay(id);
        let inbox = bus.attach(address).await?;
        let progress = Arc::new(Progress::default());
        let (sender, receiver) = queue();
        let connections = HashMap::new();
        let driver = Arc::new_cyclic(|driver| {
            let (driver, bus, progress) = (driver.clone(), bus.clone(), progress.clone());
            Driver::new(machine, Outlets { driver, bus, store, connections, changes: sender, progress })
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_time(Arc::downgrade(&driver)));
        tasks.spawn(take_in(driver.clone(), bus, address, inbox, outlets::from_bus));
        tasks.spawn(changes::make(driver.clone(), directory.clone(), receiver));
        tasks.spawn(directory::watch(driver.clone(), directory));
        let connections = AtomicU64::new(1);
        let shared =
            Shared { driver, progress, connections, tokens, max_frame, max_name, outbox, open_within, patience };
        let inner = Inner { id, shared: Arc::new(shared), _tasks: tasks };
        Ok(Runners { inner: Arc::new(inner), directory: PhantomData })
    }

    /// Takes runners in from a listener, until the relay [drains](Self::drain) and the last of these connections has
    /// ended. Dropping the future cuts them.
    pub async fn serve(&self, listener: TcpListener) {
        let shared = &self.inner.shared;
        listen::serve(listener, shared.progress.clone(), |stream, address| {
            connection::serve(shared.clone(), stream, None, address)
        })
        .await;
    }

    /// The same over TLS, for runners that dial `wss://`. The certificate is looked at again while this goes on.
    pub async fn serve_tls(&self, listener: TcpListener, tls: ServerTls) {
        let shared = &self.inner.shared;
        let serving = listen::serve(listener, shared.progress.clone(), |stream, address| {
            connection::serve(shared.clone(), stream, Some(tls.config(Spoken::WebSocket)), address)
        });
        tokio::select! {
            () = serving => {}
            () = tls.keep_fresh() => {}
        }
    }

    /// Takes no new runners, sends those that there are elsewhere, and waits until what is open has ended and their
    /// connections with it. How long that may take is in the relay's configuration.
    pub async fn drain(&self) {
        let shared = &self.inner.shared;
        shared.progress.drain();
        shared.driver.drive(Event::Drain);
        let connections = shared.progress.connections();
        if connections > 0 {
            let close_within = shared.patience.close_within;
            tracing::info!(connections, ?close_within, "draining: waiting for runners' connections to end");
        }
        shared.progress.ended().await;
    }

    /// Has one runner's connection drain: nothing new goes to it, what is open ends, and its runner comes again by
    /// another. The number is the one of its record in the directory.
    pub fn drain_runner(&self, connection: u64) {
        self.inner.shared.driver.drive(Event::DrainRunner { connection });
    }

    /// The relay's counters and gauges.
    pub fn stats(&self) -> relay::Stats {
        self.inner.shared.driver.stats()
    }

    /// The relay's id.
    pub fn id(&self) -> RelayId {
        self.inner.id
    }
}
