//! Recordings of the machines of a story, and replaying them when the story has ended.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use underpass_core::record::{End, Heading, Line, Log, Recordable, Recorder, Recording, Replays};

/// What the machines of a story are recorded on: once with bodies and once without.
#[derive(Debug)]
pub struct Tapes {
    whole: Tape,
    blanked: Tape,
    machines: u32,
}

/// A recording in the making.
#[derive(Clone, Debug)]
pub(crate) struct Tape(Arc<Mutex<Vec<u8>>>);

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

    /// Those who write down what happens to one more machine.
    pub(crate) fn recorders<M: Recordable>(&mut self) -> [Recorder<M, Tape>; 2] {
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
