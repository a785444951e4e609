//! What a recording must know of each machine.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::blank::Blanks;
use super::layout::MachineKind;
use crate::failure::Failure;
use crate::gateway::Open;
use crate::machine::{Machine, RequestKey};
use crate::time::Time;
use crate::{Gateway, Relay, Runner};

/// A machine whose doors can be written down.
pub trait Recordable:
    Machine<
        Origin: Serialize + DeserializeOwned + 'static,
        Event: Clone + Serialize + DeserializeOwned + 'static,
        Action: Clone + Serialize + DeserializeOwned + 'static,
    > + 'static
{
    /// What it is.
    const KIND: MachineKind;

    /// Takes a request in, if it has a door for that.
    fn take_in(&mut self, _open: Open, _now: Time) -> Option<Result<RequestKey, Failure>> {
        None
    }

    /// Leaves out of an event what a recording without bodies must not have.
    fn blank_event(blanks: &mut Blanks, event: &mut Self::Event);

    /// Leaves out of an action what a recording without bodies must not have.
    fn blank_action(blanks: &mut Blanks, action: &mut Self::Action);
}

impl Recordable for Gateway {
    const KIND: MachineKind = MachineKind::Gateway;

    fn take_in(&mut self, open: Open, now: Time) -> Option<Result<RequestKey, Failure>> {
        Some(self.open(open, now).map_err(|refused| refused.0))
    }

    fn blank_event(blanks: &mut Blanks, event: &mut Self::Event) {
        blanks.gateway_event(event);
    }

    fn blank_action(blanks: &mut Blanks, action: &mut Self::Action) {
        blanks.gateway_action(action);
    }
}

impl Recordable for Relay {
    const KIND: MachineKind = MachineKind::Relay;

    fn blank_event(blanks: &mut Blanks, event: &mut Self::Event) {
        blanks.relay_event(event);
    }

    fn blank_action(blanks: &mut Blanks, action: &mut Self::Action) {
        blanks.relay_action(action);
    }
}

impl Recordable for Runner {
    const KIND: MachineKind = MachineKind::Runner;

    fn blank_event(blanks: &mut Blanks, event: &mut Self::Event) {
        blanks.runner_event(event);
    }

    fn blank_action(blanks: &mut Blanks, action: &mut Self::Action) {
        blanks.runner_action(action);
    }
}
