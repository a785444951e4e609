//! The relay: holds runners' connections, carries frames, and decides who may answer.

mod config;
mod event;
pub mod handshake;
mod notice;
mod stats;

pub use config::Config;
pub use event::{Action, Event, Hello};
pub use notice::Notice;
pub use stats::Stats;

use crate::bus::RelayId;
use crate::error::{ApiMisuse, ConfigError};
use crate::machine::Machine;
use crate::time::Time;

/// The relay's machine.
#[derive(Debug)]
pub struct Relay {
    config: Config,
}

impl Relay {
    /// A relay with an id that it alone has, and a seed for the ids that it gives.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn new(config: Config, id: RelayId, seed: u64, now: Time) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Relay { config })
    }
}

impl Machine for Relay {
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
