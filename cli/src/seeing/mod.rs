//! Seeing inside: who looks on at the machines of this process.

pub(crate) mod bodies;
pub(crate) mod controls;
pub(crate) mod fleet;
mod hop;
mod record;
pub(crate) mod spans;
pub(crate) mod table;

use std::sync::Arc;

use serde_json::Value;
use underpass_core::observe::{Journal, Observer, Sink};
use underpass_core::record::Recordable;
use underpass_core::{Gateway, Relay, Runner};
use underpass_transport_ws::Observers;

use self::bodies::Bodies;
use self::controls::Controls;
use self::fleet::Fleet;
pub(crate) use self::hop::Hop;
use self::record::Recording;
use self::spans::Spans;
use self::table::Table;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::options::Process;

/// Those who hear of requests.
type Sinks = Vec<Box<dyn Sink>>;

/// What looks on. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeing {
    metrics: Option<Metrics>,
    inspector: Option<Inspector>,
    recording: Option<Arc<Recording>>,
}

/// What the inspector shows, and what it can have done.
#[derive(Clone, Debug)]
pub(crate) struct Inspector {
    pub(crate) table: Table,
    pub(crate) fleet: Fleet,
    pub(crate) controls: Controls,
    /// Whether what requests carry is shown.
    pub(crate) shows_bodies: bool,
    /// Whether it is there for others than this host, too.
    pub(crate) is_open: bool,
}

impl Seeing {
    /// What the options ask for.
    ///
    /// # Errors
    /// A file can't be written.
    pub(crate) fn new(process: &Process) -> Result<Self, Error> {
        let has_admin = process.admin.is_some();
        Ok(Seeing {
            metrics: has_admin.then(Metrics::new),
            inspector: has_admin.then(|| Inspector::new(process)),
            recording: Recording::begin(&process.recording)?.map(Arc::new),
        })
    }

    /// Who looks on at a gateway.
    pub(crate) fn gateway(&self) -> Observers<Gateway> {
        let mut observers = self.observers(Hop::Gateway);
        if let Some(metrics) = &self.metrics {
            metrics.look_on_at_gateway(&mut observers);
        }
        if let Some(Inspector { table, fleet, shows_bodies, .. }) = &self.inspector {
            observers.add(fleet.clone());
            if *shows_bodies {
                observers.add(Bodies::new(table.clone()));
            }
        }
        observers
    }

    /// Who looks on at a relay.
    pub(crate) fn relay(&self) -> Observers<Relay> {
        let mut observers = self.observers(Hop::Relay);
        if let Some(metrics) = &self.metrics {
            metrics.look_on_at_relay(&mut observers);
        }
        if let Some(Inspector { fleet, .. }) = &self.inspector {
            observers.add(fleet.clone());
        }
        observers
    }

    /// Who looks on at a runner.
    pub(crate) fn runner(&self) -> Observers<Runner> {
        let mut observers = self.observers(Hop::Runner);
        if let Some(metrics) = &self.metrics {
            metrics.look_on_at_runner(&mut observers);
        }
        observers
    }

    /// Those who look on at any machine: who hears of its requests, and who records.
    fn observers<M: Recordable>(&self, hop: Hop) -> Observers<M>
    where
        Journal<Sinks>: Observer<M>,
    {
        let mut sinks = Sinks::new();
        if let Some(spans) = Spans::at(hop.as_str()) {
            sinks.push(Box::new(spans));
        }
        if let Some(metrics) = &self.metrics {
            sinks.push(Box::new(metrics.requests(hop)));
        }
        if let Some(inspector) = &self.inspector {
            sinks.push(Box::new(inspector.table.at(hop)));
        }
        let mut observers = Observers::default();
        if !sinks.is_empty() {
            observers.add(Journal::new(sinks));
        }
        if let Some(recording) = &self.recording {
            observers.add(recording.recorder());
        }
        observers
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

    /// What the inspector shows, if it was asked for.
    pub(crate) fn inspector(&self) -> Option<&Inspector> {
        self.inspector.as_ref()
    }

    /// What can be had done to the machines, if that was asked for.
    pub(crate) fn controls(&self) -> Controls {
        self.inspector.as_ref().map(|inspector| inspector.controls.clone()).unwrap_or_default()
    }
}

impl Inspector {
    fn new(process: &Process) -> Self {
        Inspector {
            table: Table::new(),
            fleet: Fleet::default(),
            controls: Controls::default(),
            shows_bodies: process.inspect_bodies,
            is_open: process.admin_open,
        }
    }
}
