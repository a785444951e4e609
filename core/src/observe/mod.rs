//! Looking on at a machine, without a hand in what it does.
//!
//! Whoever embeds a machine may show an [`Observer`] what passes its doors: each event before it is handed in, each
//! action after it was taken out. That is all there is to know of a machine that is made of its [`Origin`] and does
//! nothing by itself, so what is written down of it can be replayed. What became of each request by an event the machine
//! tells as [`News`]: a [`Journal`] makes [`Note`]s of both, and tells a [`Sink`].
//!
//! [`Origin`]: Machine::Origin

mod journal;
mod news;
mod note;

use crate::failure::Failure;
use crate::gateway::Open;
use crate::machine::{Machine, RequestKey};
use crate::time::Time;

pub use journal::Journal;
pub(crate) use news::Latest;
pub use news::News;
pub use note::{Direction, End, Frame, Kind, Note, Opened, Sink};

/// Who looks on at the doors of a machine.
pub trait Observer<M: Machine>: Send {
    /// The machine has been made, at this time, of this.
    fn made(&mut self, _origin: &M::Origin, _now: Time) {}

    /// An event is about to be handed in.
    fn event(&mut self, machine: &M, event: &M::Event, now: Time);

    /// That event was handed in. What the machine wants done for it is yet to be taken out.
    fn handled(&mut self, _machine: &M, _now: Time) {}

    /// An action has been taken out.
    fn action(&mut self, machine: &M, action: &M::Action, now: Time);

    /// All that the machine wants done for now has been taken out.
    fn settled(&mut self, _machine: &M, _now: Time) {}

    /// A request is about to be handed to a gateway, by its other door.
    fn opens(&mut self, _machine: &M, _open: &Open, _now: Time) {}

    /// That request was taken in, or refused.
    fn opened(&mut self, _machine: &M, _outcome: Result<RequestKey, &Failure>, _now: Time) {}
}
