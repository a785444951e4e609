//! Seeing inside: who looks on at the machines of this process.

pub(crate) mod bodies;
pub(crate) mod controls;
pub(crate) mod fleet;
pub(crate) mod spans;
pub(crate) mod table;

use underpass_core::observe::{Journal, Note, Observer, Sink};
use underpass_core::{Gateway, Machine, Relay, Runner, Time};
use underpass_transport_ws::Observers;

use self::bodies::Bodies;
use self::controls::Controls;
use self::fleet::Fleet;
use self::spans::Spans;
use self::table::{Hop, Table};
use crate::error::Error;
use crate::options::Process;

/// What looks on. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeing {
    inspector: Option<Inspector>,
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
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn new(process: &Process) -> Result<Self, Error> {
        let inspector = process.admin.is_some().then(|| Inspector::new(process));
        Ok(Seeing { inspector })
    }

    /// Who looks on at a gateway.
    pub(crate) fn gateway(&self) -> Observers<Gateway> {
        let mut observers = self.requests(Hop::Gateway);
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
        let mut observers = self.requests(Hop::Relay);
        if let Some(Inspector { fleet, .. }) = &self.inspector {
            observers.add(fleet.clone());
        }
        observers
    }

    /// Who looks on at a runner.
    pub(crate) fn runner(&self) -> Observers<Runner> {
        self.requests(Hop::Runner)
    }

    /// Whoever hears of requests at a hop, by one journal; no journal if that is nobody.
    fn requests<M: Machine>(&self, hop: Hop) -> Observers<M>
    where
        Journal<Sinks>: Observer<M>,
    {
        let mut sinks = Sinks::default();
        sinks.add(Spans::at(hop.as_str()));
        sinks.add(self.inspector.as_ref().map(|inspector| inspector.table.at(hop)));
        let mut observers = Observers::default();
        if !sinks.0.is_empty() {
            observers.add(Journal::new(sinks));
        }
        observers
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

/// Who hears of the requests of one machine.
#[derive(Default)]
struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    fn add(&mut self, sink: Option<impl Sink + 'static>) {
        self.0.extend(sink.map(|sink| Box::new(sink) as Box<dyn Sink>));
    }
}

impl Sink for Sinks {
    fn note(&mut self, note: &Note<'_>, now: Time) {
        for sink in &mut self.0 {
            sink.note(note, now);
        }
    }
}
