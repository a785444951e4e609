//! The gateway's side: clients come in by HTTP and WebSocket.

use std::marker::PhantomData;

use thiserror::Error;
use tokio::net::TcpListener;
use underpass_core::ConfigError;
use underpass_core::bus::{AttachError, Bus};
use underpass_core::directory::{Directory, DirectoryUnavailable, Pool};
use underpass_core::gateway;
use underpass_core::http::Admission;
use underpass_core::protocol::GatewayId;

/// What a gateway is told.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Its machine's limits and deadlines. What the bus carries at most is asked of the bus.
    pub gateway: gateway::Config,
    /// How requests are taken in.
    pub admission: Admission,
}

/// Why a gateway could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// The configuration could not work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No id could be claimed.
    #[error(transparent)]
    Directory(#[from] DirectoryUnavailable),
    /// The bus did not give the gateway its address.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Every id that was tried is in use.
    #[error("no free gateway id was found")]
    NoFreeId,
}

/// A running gateway. Clones are handles of the same one; it ends with the last of them.
#[derive(Debug)]
pub struct Clients<B, D> {
    todo: PhantomData<fn() -> (B, D)>,
}

impl<B, D> Clone for Clients<B, D> {
    fn clone(&self) -> Self {
        Clients { todo: PhantomData }
    }
}

impl<B: Bus, D: Directory> Clients<B, D> {
    /// Starts a gateway: claims an id in the directory, attaches to the bus, watches the runners.
    ///
    /// # Errors
    /// The configuration could not work, or bus or directory are away.
    pub async fn start(config: Config, bus: B, directory: D) -> Result<Self, StartError> {
        unimplemented!()
    }

    /// Takes clients in from a listener, until [`drain`](Self::drain) and the last of their connections has ended.
    /// Dropping the future cuts them.
    pub async fn serve(&self, listener: TcpListener) {
        unimplemented!()
    }

    /// Takes nothing new, finishes what is open, gives the gateway's id back.
    pub async fn drain(&self) {
        unimplemented!()
    }

    /// Waits until a runner of this pool takes requests.
    pub async fn runner_ready(&self, pool: &Pool) {
        unimplemented!()
    }

    /// The gateway's counters and gauges.
    pub fn stats(&self) -> gateway::Stats {
        unimplemented!()
    }

    /// The gateway's id.
    pub fn id(&self) -> GatewayId {
        unimplemented!()
    }
}
