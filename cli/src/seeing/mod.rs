//! Seeing inside: who looks on at the machines of this process.

use serde_json::Value;
use underpass_core::{Gateway, Relay, Runner};
use underpass_transport_ws::Observers;

use crate::error::Error;
use crate::metrics::Metrics;
use crate::options::Process;

/// What looks on. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeing {
    metrics: Option<Metrics>,
}

impl Seeing {
    /// What the options ask for.
    ///
    /// # Errors
    /// A file can't be written.
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn new(process: &Process) -> Result<Self, Error> {
        let metrics = process.admin.is_some().then(Metrics::new);
        Ok(Seeing { metrics })
    }

    /// What is told at `/metrics`, if anything is.
    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// What is asked for metrics: what each machine counts, under its name.
    pub(crate) fn counts(&self, counted: impl Fn() -> Vec<Value> + Send + 'static) {
        if let Some(metrics) = &self.metrics {
            metrics.count(counted);
        }
    }

    /// Who looks on at a gateway.
    pub(crate) fn gateway(&self) -> Observers<Gateway> {
        let mut observers = Observers::default();
        if let Some(metrics) = &self.metrics {
            metrics.look_on_at_gateway(&mut observers);
        }
        observers
    }

    /// Who looks on at a relay.
    pub(crate) fn relay(&self) -> Observers<Relay> {
        let mut observers = Observers::default();
        if let Some(metrics) = &self.metrics {
            metrics.look_on_at_relay(&mut observers);
        }
        observers
    }

    /// Who looks on at a runner.
    pub(crate) fn runner(&self) -> Observers<Runner> {
        let mut observers = Observers::default();
        if let Some(metrics) = &self.metrics {
            metrics.look_on_at_runner(&mut observers);
        }
        observers
    }
}
