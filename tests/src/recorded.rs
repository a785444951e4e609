//! A machine that is recorded while a story is told, and replayed when the story has ended.

use std::ops::Deref;

use underpass_core::gateway::{Open, Refused};
use underpass_core::observe::Observer;
use underpass_core::record::{End, Heading, Line, Recordable, Recorder, Recording, Replays};
use underpass_core::{ApiMisuse, ConfigError, Gateway, RequestKey, Time};

/// A machine, recorded with bodies and without.
#[derive(Debug)]
pub struct Recorded<M> {
    machine: M,
    whole: Recorder<M, Vec<u8>>,
    blanked: Recorder<M, Vec<u8>>,
}

impl<M: Recordable> Recorded<M> {
    /// Makes it.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn made_of(origin: M::Origin, now: Time) -> Result<Self, ConfigError> {
        let recorder = |bodies| Recorder::new(Heading::new(bodies).to_bytes(), 0, bodies);
        let (mut whole, mut blanked) = (recorder(true), recorder(false));
        whole.made(&origin, now);
        blanked.made(&origin, now);
        Ok(Recorded { machine: M::made_of(origin, now)?, whole, blanked })
    }

    /// Something happened.
    ///
    /// # Errors
    /// As the machine says.
    pub fn handle(&mut self, event: M::Event, now: Time) -> Result<(), ApiMisuse> {
        self.whole.event(&self.machine, &event, now);
        self.blanked.event(&self.machine, &event, now);
        self.machine.handle(event, now)
    }

    /// What to do next.
    pub fn poll_action(&mut self, now: Time) -> Option<M::Action> {
        let action = self.machine.poll_action()?;
        self.whole.action(&self.machine, &action, now);
        self.blanked.action(&self.machine, &action, now);
        Some(action)
    }

    /// What was recorded: with bodies, and without.
    pub fn into_recordings(self) -> [Vec<u8>; 2] {
        [self.whole.into_log(), self.blanked.into_log()]
    }

    /// Ends the story: the machine does the same again, byte for byte.
    #[track_caller]
    pub fn finish(self) {
        for recording in self.into_recordings() {
            replay(recording);
        }
    }
}

impl Recorded<Gateway> {
    /// A request comes.
    ///
    /// # Errors
    /// The gateway refuses it.
    pub fn open(&mut self, open: Open, now: Time) -> Result<RequestKey, Refused> {
        self.whole.opens(&self.machine, &open, now);
        self.blanked.opens(&self.machine, &open, now);
        let outcome = self.machine.open(open, now);
        let told = outcome.as_ref().map(|key| *key).map_err(|refused| &refused.0);
        self.whole.opened(&self.machine, told, now);
        self.blanked.opened(&self.machine, told, now);
        outcome
    }
}

impl<M> Deref for Recorded<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

/// Replays a recording that was not ended: its machines do the same again. How many records it has.
#[track_caller]
pub fn replay(recording: Vec<u8>) -> usize {
    let recording = Recording::read(recording.into()).expect("a recording");
    let mut replays = Replays::of(&recording);
    let mut records = 0;
    for line in recording.lines() {
        match line.expect("a whole record") {
            Line::Record(record) => {
                records += 1;
                if let Err(error) = replays.step(&record) {
                    panic!("record {records}: {error}");
                }
            }
            Line::End(end) => assert_eq!(end, End::Cut),
        }
    }
    records
}
