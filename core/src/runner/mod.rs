//! The runner: dials out to a relay and hands what comes to the user's handlers.

mod config;
mod event;
mod stats;

pub use config::Config;
pub use event::{Action, Event, StopReason};
pub use stats::Stats;

use bytestring::ByteString;

use crate::error::{ApiMisuse, ConfigError};
use crate::machine::Machine;
use crate::relay::Hello;
use crate::time::Time;

/// The runner's machine.
#[derive(Debug)]
pub struct Runner {
    config: Config,
}

impl Runner {
    /// A runner with the key by which it is known when it comes again, and a seed for the jitter of its dialling. Its
    /// first action is to dial.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn new(config: Config, key: ByteString, seed: u64, now: Time) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Runner { config })
    }

    /// What the opening of its WebSocket says.
    pub fn hello(&self) -> Hello {
        unimplemented!()
    }
}

impl Machine for Runner {
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
