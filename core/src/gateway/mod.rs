//! The gateway: owns its clients' requests, from their opening to their one end.

mod config;
mod event;
mod stats;

pub use config::Config;
pub(crate) use config::FRAME_OVERHEAD;
pub use event::{Action, Event, Open, OpenKind};
pub use stats::Stats;

use thiserror::Error;

use crate::directory::Pool;
use crate::error::{ApiMisuse, ConfigError};
use crate::failure::Failure;
use crate::machine::{Machine, RequestKey};
use crate::protocol::GatewayId;
use crate::time::Time;

/// A request that a gateway did not take in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refused(pub Failure);

/// The gateway's machine.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
}

impl Gateway {
    /// A gateway with an id that it alone has, and a seed from which its request ids start.
    ///
    /// # Errors
    /// The configuration could not work, or the id is zero.
    pub fn new(config: Config, id: GatewayId, seed: u64, now: Time) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Gateway { config })
    }

    /// Takes a request in.
    ///
    /// # Errors
    /// It was refused; the failure is ready to be told to the client.
    pub fn open(&mut self, open: Open, now: Time) -> Result<RequestKey, Refused> {
        unimplemented!()
    }

    /// How many runners of a pool would take a request now.
    pub fn ready_runners(&self, pool: &Pool) -> usize {
        0
    }
}

impl Machine for Gateway {
    type Event = Event;
    type Action = Action;
    type Stats = Stats;

    fn handle(&mut self, event: Event, now: Time) -> Result<(), ApiMisuse> {
        unimplemented!()
    }

    fn poll_action(&mut self) -> Option<Action> {
        unimplemented!()
    }

    fn poll_timeout(&self) -> Option<Time> {
        unimplemented!()
    }

    fn stats(&self) -> Stats {
        unimplemented!()
    }
}
