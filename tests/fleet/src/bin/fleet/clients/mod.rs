//! The clients at work.

mod calls;
mod connection;
mod http;
mod plain;
mod sleeper;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Failure;
use crate::ledger::{Failed, Kind, Ledger};

/// What takes longer than this has no end: the longest that a gateway has anything wait is much less, but for answers
/// that do not begin, on which it waits for five minutes.
const PATIENCE: Duration = Duration::from_secs(90);

/// Between two attempts, where one failed.
const BREATH: Duration = Duration::from_millis(20);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// How many clients of each kind.
    pub(crate) clients: [usize; Kind::ALL.len()],
    /// The largest body that travels whole, bytes. Most are much smaller.
    pub(crate) whole: usize,
    /// The largest streamed body, bytes.
    pub(crate) streamed: u64,
}

impl Traffic {
    /// Fifty clients.
    pub(crate) const FIFTY: Traffic = Traffic { clients: [16, 8, 6, 8, 12], whole: 256 * 1024, streamed: 1024 * 1024 };
}

/// What all clients share.
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) traffic: Traffic,
    gateways: Vec<SocketAddr>,
    turn: AtomicUsize,
    numbers: AtomicU64,
    stopping: watch::Sender<bool>,
}

impl World {
    pub(crate) fn new(gateways: Vec<SocketAddr>, traffic: Traffic) -> Arc<World> {
        Arc::new(World {
            ledger: Ledger::default(),
            traffic,
            gateways,
            turn: AtomicUsize::new(0),
            numbers: AtomicU64::new(1),
            stopping: watch::Sender::new(false),
        })
    }

    /// A request's number, which no other one has.
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// The clients. Dropping it cuts them off.
pub(crate) struct Clients {
    world: Arc<World>,
    working: JoinSet<()>,
}

impl Clients {
    pub(crate) fn start(world: Arc<World>) -> Clients {
        let mut working = JoinSet::new();
        for kind in Kind::ALL {
            for place in 0..world.traffic.clients[kind as usize] {
                let world = world.clone();
                match kind {
                    Kind::Whole => working.spawn(work(world.clone(), http::Whole::new(world))),
                    Kind::Streamed => working.spawn(work(world.clone(), http::Streamed::new(world))),
                    Kind::Calls => working.spawn(work(world.clone(), calls::Calls::new(world, place))),
                    Kind::Plain => working.spawn(work(world.clone(), plain::Plain::new(world))),
                    Kind::Sleeper => working.spawn(sleeper::Sleeper::new(world, place).work()),
                };
            }
        }
        Clients { world, working }
    }

    /// Has all of them finish what they do.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        self.world.stopping.send_replace(true);
        while let Some(ended) = self.working.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// Why something did not come to a good end.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It was said that it failed, or cut.
    Failed(Failed),
    /// What must never be.
    Wrong(String),
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        Trouble::Failed(failed)
    }
}

/// A client that does one thing after another.
trait Client: Send {
    const KIND: Kind;
    /// Between two of them.
    const PACE: Duration;

    /// Does it once, under a number.
    fn act(&mut self, number: u64) -> impl Future<Output = Result<(), Trouble>> + Send;
}

async fn work<C: Client>(world: Arc<World>, mut client: C) {
    while !world.is_stopping() {
        let (number, begun) = (world.number(), Instant::now());
        let acted = timeout(PATIENCE, client.act(number)).await;
        let took = begun.elapsed();
        let kind = C::KIND.name();
        match acted {
            Ok(Ok(())) => world.ledger.right(C::KIND, number, begun),
            Ok(Err(Trouble::Failed(failed))) => world.ledger.failed(C::KIND, number, failed),
            Ok(Err(Trouble::Wrong(what))) => world.ledger.wrong(format!("{kind} {number}, after {took:.1?}: {what}")),
            Err(_) => world.ledger.wrong(format!("{kind} {number} hangs: nothing after {PATIENCE:?}")),
        }
        sleep(C::PACE.saturating_sub(took).max(BREATH)).await;
    }
}
