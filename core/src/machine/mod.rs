//! What the three machines have in common: their doors, and the parts that they are made of.

pub(crate) mod deadline;
pub(crate) mod flow;
pub(crate) mod random;
pub(crate) mod table;

pub use table::RequestKey;

use core::fmt;

use crate::error::{ApiMisuse, ConfigError};
use crate::observe::News;
use crate::time::Time;

/// The doors of a state machine.
///
/// Hand in what happened with [`handle`](Machine::handle), take out what to do with
/// [`poll_action`](Machine::poll_action) until there is no more, and come back at
/// [`poll_timeout`](Machine::poll_timeout). A machine has no clock, no IO and no task of its own; every machine is
/// made by its own `new`, which refuses a configuration that could not work.
pub trait Machine: Sized {
    /// What it is made of: all that decides what it will do, besides what happens to it.
    type Origin: Clone + fmt::Debug;
    /// What can happen to it.
    type Event: fmt::Debug;
    /// What it can want done.
    type Action: fmt::Debug + PartialEq;
    /// Its counters and gauges.
    type Stats: fmt::Debug;

    /// Makes one.
    ///
    /// # Errors
    /// The configuration could not work.
    fn made_of(origin: Self::Origin, now: Time) -> Result<Self, ConfigError>;

    /// Something happened.
    ///
    /// # Errors
    /// Only for what the embedder does wrong. What a peer sends turns into actions and counters.
    fn handle(&mut self, event: Self::Event, now: Time) -> Result<(), ApiMisuse>;

    /// What to do next, in order.
    fn poll_action(&mut self) -> Option<Self::Action>;

    /// When to come back with a tick, if any time: at once ([`Time::ZERO`]) while actions are queued. A late or
    /// needless tick does no harm.
    fn poll_timeout(&self) -> Option<Time>;

    /// What became of requests by the last event, or by the last opening at a gateway, in order. Who looks on hears of
    /// them here; there is none for machines that have no requests.
    fn news(&self) -> &[News] {
        &[]
    }

    /// Counters and gauges, as plain data.
    fn stats(&self) -> Self::Stats;
}
