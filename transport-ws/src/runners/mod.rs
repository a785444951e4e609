//! The relay's side: runners dial in by WebSocket.

use std::marker::PhantomData;

use thiserror::Error;
use tokio::net::TcpListener;
use underpass_core::ConfigError;
use underpass_core::bus::{AttachError, Bus, RelayId};
use underpass_core::directory::Directory;
use underpass_core::relay;

/// What a relay is told.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Its machine's limits and deadlines. What the bus carries at most is asked of the bus.
    pub relay: relay::Config,
    /// What runners must bring; none: they must bring none.
    pub token: Option<String>,
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

/// A running relay. Clones are handles of the same one; it ends with the last of them.
#[derive(Debug)]
pub struct Runners<B, D> {
    todo: PhantomData<fn() -> (B, D)>,
}

impl<B, D> Clone for Runners<B, D> {
    fn clone(&self) -> Self {
        Runners { todo: PhantomData }
    }
}

impl<B: Bus, D: Directory> Runners<B, D> {
    /// Starts a relay with an id of its own, attached to the bus.
    ///
    /// # Errors
    /// The configuration could not work, or the bus is away.
    pub async fn start(config: Config, bus: B, directory: D) -> Result<Self, StartError> {
        unimplemented!()
    }

    /// Takes runners in from a listener, until [`drain`](Self::drain) and the last of their connections has ended.
    /// Dropping the future cuts them.
    pub async fn serve(&self, listener: TcpListener) {
        unimplemented!()
    }

    /// Takes no new runners, and closes the connections that there are.
    pub async fn drain(&self) {
        unimplemented!()
    }

    /// The relay's counters and gauges.
    pub fn stats(&self) -> relay::Stats {
        unimplemented!()
    }

    /// The relay's id.
    pub fn id(&self) -> RelayId {
        unimplemented!()
    }
}
