//! Seeing inside: who looks on at the machines of this process.

mod record;
pub(crate) mod spans;

use std::sync::Arc;

use underpass_core::observe::{Journal, Observer};
use underpass_core::record::Recordable;
use underpass_core::{Gateway, Relay, Runner};
use underpass_transport_ws::Observers;

use self::record::Recording;
use self::spans::Spans;
use crate::error::Error;
use crate::options::Process;

/// What looks on. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeing {
    recording: Option<Arc<Recording>>,
}

impl Seeing {
    /// What the options ask for.
    ///
    /// # Errors
    /// A file can't be written.
    pub(crate) fn new(process: &Process) -> Result<Self, Error> {
        Ok(Seeing { recording: Recording::begin(&process.recording)?.map(Arc::new) })
    }

    /// Who looks on at a gateway.
    pub(crate) fn gateway(&self) -> Observers<Gateway> {
        self.observers("gateway")
    }

    /// Who looks on at a relay.
    pub(crate) fn relay(&self) -> Observers<Relay> {
        self.observers("relay")
    }

    /// Who looks on at a runner.
    pub(crate) fn runner(&self) -> Observers<Runner> {
        self.observers("runner")
    }

    /// Whoever makes spans of requests at a hop, if the log or a collector wants them, and whoever records.
    fn observers<M: Recordable>(&self, hop: &'static str) -> Observers<M>
    where
        Journal<Spans>: Observer<M>,
    {
        let mut observers = Observers::default();
        if let Some(spans) = Spans::at(hop) {
            observers.add(Journal::new(spans));
        }
        if let Some(recording) = &self.recording {
            observers.add(recording.recorder());
        }
        observers
    }
}
