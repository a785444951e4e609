//! Seeing inside: who looks on at the machines of this process.

pub(crate) mod spans;

use underpass_core::observe::{Journal, Observer};
use underpass_core::{Gateway, Machine, Relay, Runner};
use underpass_transport_ws::Observers;

use self::spans::Spans;
use crate::error::Error;
use crate::options::Process;

/// What looks on. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeing {}

impl Seeing {
    /// What the options ask for.
    ///
    /// # Errors
    /// A file can't be written.
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn new(_process: &Process) -> Result<Self, Error> {
        Ok(Seeing {})
    }

    /// Who looks on at a gateway.
    pub(crate) fn gateway(&self) -> Observers<Gateway> {
        spans("gateway")
    }

    /// Who looks on at a relay.
    pub(crate) fn relay(&self) -> Observers<Relay> {
        spans("relay")
    }

    /// Who looks on at a runner.
    pub(crate) fn runner(&self) -> Observers<Runner> {
        spans("runner")
    }
}

/// Whoever makes spans of requests at a hop, if the log or a collector wants them.
fn spans<M: Machine>(hop: &'static str) -> Observers<M>
where
    Journal<Spans>: Observer<M>,
{
    let mut observers = Observers::default();
    if let Some(spans) = Spans::at(hop) {
        observers.add(Journal::new(spans));
    }
    observers
}
