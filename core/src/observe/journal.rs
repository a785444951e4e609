//! What became of each request, told from what passes a machine's doors.

use super::{Observer, Sink};
use crate::time::Time;
use crate::{Gateway, Machine, Relay, Runner};

/// Looks on at a machine and tells a [`Sink`] of each of its requests.
#[derive(Debug)]
pub struct Journal<S> {
    sink: S,
}

impl<S: Sink> Journal<S> {
    /// One that has seen nothing yet.
    pub fn new(sink: S) -> Self {
        Journal { sink }
    }
}

impl<S: Sink> Observer<Gateway> for Journal<S> {
    fn event(&mut self, _machine: &Gateway, _event: &<Gateway as Machine>::Event, _now: Time) {}

    fn action(&mut self, _machine: &Gateway, _action: &<Gateway as Machine>::Action, _now: Time) {
        let _ = &self.sink;
    }
}

impl<S: Sink> Observer<Relay> for Journal<S> {
    fn event(&mut self, _machine: &Relay, _event: &<Relay as Machine>::Event, _now: Time) {}

    fn action(&mut self, _machine: &Relay, _action: &<Relay as Machine>::Action, _now: Time) {}
}

impl<S: Sink> Observer<Runner> for Journal<S> {
    fn event(&mut self, _machine: &Runner, _event: &<Runner as Machine>::Event, _now: Time) {}

    fn action(&mut self, _machine: &Runner, _action: &<Runner as Machine>::Action, _now: Time) {}
}
