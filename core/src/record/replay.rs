//! Doing again what was recorded.

use core::fmt;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::blank::Blanks;
use super::layout::{MachineKind, MachineName, What, put};
use super::machines::Recordable;
use super::recording::{Record, Recording, value};
use crate::error::{ConfigError, PeerError};
use crate::failure::Failure;
use crate::gateway::Open;
use crate::machine::RequestKey;
use crate::time::Time;
use crate::{Gateway, Relay, Runner};

/// A record at which a replay went another way, or could not go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{machine}, at {at}, record at byte {offset}: {trouble}")]
pub struct ReplayError {
    /// Whose record.
    pub machine: MachineName,
    /// Its time.
    pub at: Time,
    /// Where it starts, bytes from the front of the recording.
    pub offset: usize,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// Its value is malformed.
    #[error("it can't be read: {0}")]
    Malformed(PeerError),
    /// It makes no sense there.
    #[error("{0}")]
    OutOfPlace(&'static str),
    /// The machine refuses what it was made of.
    #[error("the machine is not made: {0}")]
    NotMade(ConfigError),
    /// The machine does something else.
    #[error("byte {byte} differs; recorded: {recorded}; now: {replayed}")]
    Differs {
        /// The first byte of the value that differs.
        byte: usize,
        /// What it did then.
        recorded: String,
        /// What it does now.
        replayed: String,
    },
}

/// What a record said, and the replay did.
pub struct Step(Box<dyn fmt::Debug>);

/// The doors of a recorded machine, again.
#[derive(Debug)]
pub struct Replay<M> {
    machine: Option<M>,
    /// What the machine said to a request; it is compared when its record comes.
    outcome: Option<Result<RequestKey, Failure>>,
    /// Leaves out what the recording has not.
    blanks: Option<Blanks>,
    at: Time,
}

/// The doors of all machines of a recording, again.
#[derive(Debug)]
pub struct Replays {
    bodies: bool,
    machines: BTreeMap<MachineName, AnyReplay>,
}

#[derive(Debug)]
enum AnyReplay {
    Gateway(Box<Replay<Gateway>>),
    Relay(Box<Replay<Relay>>),
    Runner(Box<Replay<Runner>>),
}

impl Replays {
    /// Nothing has happened yet.
    pub fn of(recording: &Recording) -> Self {
        Replays { bodies: recording.heading().bodies, machines: BTreeMap::new() }
    }

    /// Does what the next record says, or finds that the machine does it.
    ///
    /// # Errors
    /// The record can't be read, makes no sense, or the machine does something else. Its further records mean nothing
    /// then.
    pub fn step(&mut self, record: &Record) -> Result<Step, ReplayError> {
        let machine = self.machines.entry(record.machine).or_insert_with(|| match record.machine.kind {
            MachineKind::Gateway => AnyReplay::Gateway(Box::new(Replay::new(self.bodies))),
            MachineKind::Relay => AnyReplay::Relay(Box::new(Replay::new(self.bodies))),
            MachineKind::Runner => AnyReplay::Runner(Box::new(Replay::new(self.bodies))),
        });
        match machine {
            AnyReplay::Gateway(replay) => replay.step(record),
            AnyReplay::Relay(replay) => replay.step(record),
            AnyReplay::Runner(replay) => replay.step(record),
        }
    }
}

impl<M: Recordable> Replay<M> {
    /// A machine of a recording with or without bodies, before its first record.
    pub fn new(bodies: bool) -> Self {
        let blanks = (!bodies).then(Blanks::default);
        Replay { machine: None, outcome: None, blanks, at: Time::ZERO }
    }

    /// The machine, as the records so far left it; none before it was made.
    pub fn machine(&self) -> Option<&M> {
        self.machine.as_ref()
    }

    /// Does what the machine's next record says, or finds that the machine does it.
    ///
    /// # Errors
    /// The record can't be read, makes no sense, or the machine does something else.
    pub fn step(&mut self, record: &Record) -> Result<Step, ReplayError> {
        let step = match record.what {
            What::Made => self.make(record),
            What::Event => self.event(record),
            What::Opens => self.opens(record),
            What::Opened => self.opened(record),
            What::Action => self.action(record),
        };
        step.map_err(|trouble| {
            let Record { machine, at, offset, .. } = *record;
            ReplayError { machine, at, offset, trouble }
        })
    }

    fn make(&mut self, record: &Record) -> Result<Step, Trouble> {
        if self.machine.is_some() {
            return Err(Trouble::OutOfPlace("the machine was made before"));
        }
        let origin: M::Origin = read(record)?;
        let step = Step(Box::new(origin.clone()));
        self.at = record.at;
        self.machine = Some(M::made_of(origin, record.at).map_err(Trouble::NotMade)?);
        Ok(step)
    }

    fn event(&mut self, record: &Record) -> Result<Step, Trouble> {
        let mut event: M::Event = read(record)?;
        let step = Step(Box::new(event.clone()));
        // Nothing is left to leave out. They take note of what they must know of it.
        if let Some(blanks) = &mut self.blanks {
            M::blank_event(blanks, &mut event);
        }
        // A misuse was one at the time, and changed nothing.
        let _ = self.machine_at(record.at)?.handle(event, record.at);
        Ok(step)
    }

    fn opens(&mut self, record: &Record) -> Result<Step, Trouble> {
        let open: Open = read(record)?;
        let step = Step(Box::new(open.clone()));
        self.outcome = self.machine_at(record.at)?.take_in(open, record.at);
        match self.outcome {
            Some(_) => Ok(step),
            None => Err(Trouble::OutOfPlace("this machine has no door for requests")),
        }
    }

    fn opened(&mut self, record: &Record) -> Result<Step, Trouble> {
        let Some(outcome) = self.outcome.take() else { return Err(Trouble::OutOfPlace("no request was opened")) };
        compare(record, &outcome)?;
        Ok(Step(Box::new(outcome)))
    }

    fn action(&mut self, record: &Record) -> Result<Step, Trouble> {
        let Some(mut action) = self.machine_at(record.at)?.poll_action() else {
            let recorded = recorded::<M::Action>(record);
            return Err(Trouble::Differs { byte: 0, recorded, replayed: "nothing".to_owned() });
        };
        if let Some(blanks) = &mut self.blanks {
            M::blank_action(blanks, &mut action);
        }
        compare(record, &action)?;
        Ok(Step(Box::new(action)))
    }

    /// The machine, when it is this time.
    fn machine_at(&mut self, at: Time) -> Result<&mut M, Trouble> {
        let Some(machine) = &mut self.machine else {
            return Err(Trouble::OutOfPlace("the machine has not been made"));
        };
        if at < self.at {
            return Err(Trouble::OutOfPlace("time goes backwards"));
        }
        self.at = at;
        Ok(machine)
    }
}

fn read<T: DeserializeOwned>(record: &Record) -> Result<T, Trouble> {
    value(record.value.clone()).map_err(Trouble::Malformed)
}

/// Finds whether the record says just that.
fn compare<T: Serialize + DeserializeOwned + fmt::Debug>(record: &Record, replayed: &T) -> Result<(), Trouble> {
    let mut bytes = Vec::with_capacity(record.value.len());
    put(&mut bytes, replayed);
    if bytes == record.value {
        return Ok(());
    }
    let byte = bytes.iter().zip(&record.value).take_while(|(replayed, recorded)| replayed == recorded).count();
    Err(Trouble::Differs { byte, recorded: recorded::<T>(record), replayed: format!("{replayed:?}") })
}

/// What a record says, for people. Some notices are there as text only.
fn recorded<T: DeserializeOwned + fmt::Debug>(record: &Record) -> String {
    match value::<T>(record.value.clone()) {
        Ok(recorded) => format!("{recorded:?}"),
        Err(_) => format!("{:?}", String::from_utf8_lossy(&record.value)),
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
