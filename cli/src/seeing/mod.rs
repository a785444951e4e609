//! Seeing inside: who looks on at the machines of this process.

use underpass_core::{Gateway, Relay, Runner};
use underpass_transport_ws::Observers;

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
        Observers::default()
    }

    /// Who looks on at a relay.
    pub(crate) fn relay(&self) -> Observers<Relay> {
        Observers::default()
    }

    /// Who looks on at a runner.
    pub(crate) fn runner(&self) -> Observers<Runner> {
        Observers::default()
    }
}
