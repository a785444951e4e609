//! Machines that are recorded while a story is told, and replayed when the story has ended.

use std::mem;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use underpass_core::gateway::{Open, Refused};
use underpass_core::observe::{Journal, Observer};
use underpass_core::record::{End, Heading, Line, Log, Recordable, Recorder, Recording, Replays};
use underpass_core::{ApiMisuse, ConfigError, Gateway, RequestKey, Time};

use crate::watched::{HasRequests, Judge, Watched};

/// What the machines of a story are recorded on: once with bodies and once without.
#[derive(Debug)]
pub struct Tapes {
    whole: Tape,
    blanked: Tape,
    machines: u32,
}

/// A recording in the making.
#[derive(Clone, Debug)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Default for Tapes {
    fn default() -> Self {
        let tape = |bodies| Tape(Arc::new(Mutex::new(Heading::new(bodies).to_bytes())));
        Tapes { whole: tape(true), blanked: tape(false), machines: 0 }
    }
}

impl Tapes {
    /// What was recorded: with bodies, and without.
    pub fn take(&mut self) -> [Vec<u8>; 2] {
        [&self.whole, &self.blanked].map(|tape| mem::take(&mut *tape.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// All machines do the same again, byte for byte. How much they did.
    #[track_caller]
    pub fn replay(&mut self) -> usize {
        let [whole, blanked] = self.take().map(replay);
        assert_eq!(whole, blanked);
        whole
    }

    fn recorders<M: Recordable>(&mut self) -> [Recorder<M, Tape>; 2] {
        self.machines += 1;
        let recorder = |tape: &Tape, bodies| Recorder::new(tape.clone(), self.machines, bodies);
        [recorder(&self.whole, true), recorder(&self.blanked, false)]
    }
}

impl Log for Tape {
    fn append(&mut self, record: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(record);
    }
}

/// A machine that may be recorded.
#[derive(Debug)]
pub struct Recorded<M> {
    machine: Watched<M>,
    recorders: Option<[Recorder<M, Tape>; 2]>,
    now: Time,
}

impl<M: Recordable + HasRequests> Recorded<M>
where
    Journal<Judge>: Observer<M>,
{
    /// Makes it.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn made_of(origin: M::Origin, now: Time, tapes: Option<&mut Tapes>) -> Result<Self, ConfigError> {
        let mut recorders = tapes.map(Tapes::recorders);
        recorders.iter_mut().flatten().for_each(|recorder| recorder.made(&origin, now));
        Ok(Recorded { machine: M::made_of(origin, now)?.into(), recorders, now })
    }

    /// Something happened.
    ///
    /// # Errors
    /// As the machine says.
    pub fn handle(&mut self, event: M::Event, now: Time) -> Result<(), ApiMisuse> {
        self.now = now;
        self.recorders.iter_mut().flatten().for_each(|recorder| recorder.event(&self.machine, &event, now));
        self.machine.handle(event, now)
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<M::Action> {
        let action = self.machine.poll_action()?;
        self.recorders.iter_mut().flatten().for_each(|recorder| recorder.action(&self.machine, &action, self.now));
        Some(action)
    }

    /// What was told of its requests since it was last asked; nothing the first time.
    pub fn told(&mut self) -> Vec<String> {
        self.machine.told()
    }

    /// What does not hold of what was told, once all actions have been taken out.
    pub fn wrong(&self) -> Option<String> {
        self.machine.wrong()
    }
}

impl Recorded<Gateway> {
    /// A request comes.
    ///
    /// # Errors
    /// The gateway refuses it.
    pub fn open(&mut self, open: Open, now: Time) -> Result<RequestKey, Refused> {
        self.now = now;
        self.recorders.iter_mut().flatten().for_each(|recorder| recorder.opens(&self.machine, &open, now));
        let outcome = self.machine.open(open, now);
        let told = outcome.as_ref().copied().map_err(|refused| &refused.0);
        self.recorders.iter_mut().flatten().for_each(|recorder| recorder.opened(&self.machine, told, now));
        outcome
    }
}

impl<M> Deref for Recorded<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

/// Replays a recording that nobody ended. How many records it has.
///
/// # Panics
/// A machine does something else.
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
