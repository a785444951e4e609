//! Who looks on at the machines of this crate.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use underpass_core::gateway::Open;
use underpass_core::observe::Observer;
use underpass_core::{Failure, Machine, RequestKey, Time};

/// Those who look on at a machine; none unless some are added. They are called while the machine's lock is held, so they
/// must not wait, and must not ask its handle for anything. Clones are the same observers.
pub struct Observers<M: Machine>(Vec<Arc<Mutex<dyn Observer<M>>>>);

impl<M: Machine> Observers<M> {
    /// Has another look on.
    pub fn add(&mut self, observer: impl Observer<M> + 'static) {
        self.0.push(Arc::new(Mutex::new(observer)));
    }

    /// The same with another one.
    #[must_use]
    pub fn with(mut self, observer: impl Observer<M> + 'static) -> Self {
        self.add(observer);
        self
    }

    pub(crate) fn made(&self, origin: &M::Origin, now: Time) {
        self.each(|observer| observer.made(origin, now));
    }

    pub(crate) fn event(&self, machine: &M, event: &M::Event, now: Time) {
        self.each(|observer| observer.event(machine, event, now));
    }

    pub(crate) fn handled(&self, machine: &M, now: Time) {
        self.each(|observer| observer.handled(machine, now));
    }

    pub(crate) fn settled(&self, machine: &M, now: Time) {
        self.each(|observer| observer.settled(machine, now));
    }

    pub(crate) fn action(&self, machine: &M, action: &M::Action, now: Time) {
        self.each(|observer| observer.action(machine, action, now));
    }

    pub(crate) fn opens(&self, machine: &M, open: &Open, now: Time) {
        self.each(|observer| observer.opens(machine, open, now));
    }

    pub(crate) fn opened(&self, machine: &M, outcome: Result<RequestKey, &Failure>, now: Time) {
        self.each(|observer| observer.opened(machine, outcome, now));
    }

    fn each(&self, tell: impl Fn(&mut MutexGuard<'_, dyn Observer<M> + 'static>)) {
        for observer in &self.0 {
            tell(&mut observer.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl<M: Machine> Default for Observers<M> {
    fn default() -> Self {
        Observers(Vec::new())
    }
}

impl<M: Machine> Clone for Observers<M> {
    fn clone(&self) -> Self {
        Observers(self.0.clone())
    }
}

impl<M: Machine> fmt::Debug for Observers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observers").field(&self.0.len()).finish()
    }
}
