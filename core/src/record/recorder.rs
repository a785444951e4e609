//! Writing records.

use core::marker::PhantomData;

use serde::Serialize;

use super::blank::{Blank, Blanks};
use super::layout::{Head, Lead, MachineName, What, append, put};
use super::machines::Recordable;
use crate::failure::Failure;
use crate::gateway::Open;
use crate::machine::RequestKey;
use crate::observe::Observer;
use crate::time::Time;

/// Where records go: behind a [`Heading`](super::Heading).
pub trait Log: Send {
    /// One more record, all of it.
    fn append(&mut self, record: &[u8]);
}

impl Log for Vec<u8> {
    fn append(&mut self, record: &[u8]) {
        self.extend_from_slice(record);
    }
}

/// Writes down what passes the doors of a machine.
#[derive(Debug)]
pub struct Recorder<M, L> {
    log: L,
    number: u32,
    /// Leaves out what must not be there; none if all may be.
    blanks: Option<Blanks>,
    /// Kept for its room.
    record: Vec<u8>,
    machine: PhantomData<fn(&M)>,
}

impl<M: Recordable, L: Log> Recorder<M, L> {
    /// For a machine that has this number among those of the log, with or without bodies, as the log's heading says.
    pub fn new(log: L, number: u32, bodies: bool) -> Self {
        let blanks = (!bodies).then(Blanks::default);
        Recorder { log, number, blanks, record: Vec::new(), machine: PhantomData }
    }

    /// What it wrote to.
    pub fn into_log(self) -> L {
        self.log
    }

    fn write(&mut self, what: What, value: &impl Serialize, at: Time) {
        /// What is kept of the room, bytes: most frames fit.
        const ROOM: usize = 128 * 1024;
        let machine = MachineName { kind: M::KIND, number: self.number };
        self.record.clear();
        append(&mut self.record, |record| {
            put(record, &Lead::Head(Head { machine, at, what }));
            put(record, value);
        });
        self.log.append(&self.record);
        self.record.shrink_to(ROOM);
    }
}

impl<M: Recordable, L: Log> Observer<M> for Recorder<M, L> {
    fn made(&mut self, origin: &M::Origin, now: Time) {
        self.write(What::Made, origin, now);
    }

    fn event(&mut self, _machine: &M, event: &M::Event, now: Time) {
        match &mut self.blanks {
            Some(blanks) => {
                let mut event = event.clone();
                M::blank_event(blanks, &mut event);
                self.write(What::Event, &event, now);
            }
            None => self.write(What::Event, event, now),
        }
    }

    fn action(&mut self, _machine: &M, action: &M::Action, now: Time) {
        match &mut self.blanks {
            Some(blanks) => {
                let mut action = action.clone();
                M::blank_action(blanks, &mut action);
                self.write(What::Action, &action, now);
            }
            None => self.write(What::Action, action, now),
        }
    }

    fn opens(&mut self, _machine: &M, open: &Open, now: Time) {
        if self.blanks.is_none() {
            return self.write(What::Opens, open, now);
        }
        let mut open = open.clone();
        open.blank();
        self.write(What::Opens, &open, now);
    }

    fn opened(&mut self, _machine: &M, outcome: Result<RequestKey, &Failure>, now: Time) {
        self.write(What::Opened, &outcome, now);
    }
}
