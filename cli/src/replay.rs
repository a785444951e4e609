//! `underpass replay`: what was recorded, once more.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};

use underpass_core::record::{BadRecording, Line, MachineKind, Record, Recording, Replays, Step, What};

use crate::error::Error;
use crate::options::Replay;
use crate::{Ended, tell};

/// Enough for some hundred lines.
const BUFFER: usize = 256 * 1024;

/// Prints what the machines do, up to the first that does something else.
pub(crate) fn run(Replay { machine, events, file }: Replay) -> Result<Ended, Error> {
    let bytes = fs::read(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
    let bad = |source: BadRecording| Error::Recording { path: file.clone(), source };
    let recording = Recording::read(bytes.into()).map_err(bad)?;
    let kind = machine.map(MachineKind::from);
    let mut output = Output::new(events);
    let mut replays = Replays::of(&recording);
    let (mut machines, mut records) = (BTreeSet::new(), 0u64);
    for line in recording.lines() {
        match line.map_err(bad)? {
            Line::Record(record) if kind.is_none_or(|kind| kind == record.machine.kind) => {
                let step = replays.step(&record).map_err(Box::new);
                match step {
                    Ok(step) => output.print(&record, &step)?,
                    Err(error) => {
                        output.finish()?;
                        return Err(error.into());
                    }
                }
                machines.insert(record.machine);
                records += 1;
            }
            Line::Record(_) => {}
            Line::End(end) => {
                output.finish()?;
                let machines = machines.len();
                tell(&format!("{records} records of {machines} machines, each action as recorded; the end: {end}"));
            }
        }
    }
    Ok(Ended::Drained)
}

/// Standard output, until nobody reads it any more.
struct Output {
    out: Option<BufWriter<io::Stdout>>,
    events: bool,
}

impl Output {
    fn new(events: bool) -> Self {
        Output { out: Some(BufWriter::with_capacity(BUFFER, io::stdout())), events }
    }

    fn print(&mut self, record: &Record, step: &Step) -> Result<(), Error> {
        let sign = match record.what {
            What::Action => "->",
            What::Made if self.events => "=",
            What::Event | What::Opens if self.events => "<-",
            What::Opened if self.events => "->",
            What::Made | What::Event | What::Opens | What::Opened => return Ok(()),
        };
        self.write(|out| writeln!(out, "{} {} {sign} {step:?}", record.at, record.machine))
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.write(Write::flush)
    }

    /// Whoever reads may stop reading when they have seen enough; the rest is compared all the same.
    fn write(&mut self, write: impl FnOnce(&mut BufWriter<io::Stdout>) -> io::Result<()>) -> Result<(), Error> {
        let Some(out) = &mut self.out else { return Ok(()) };
        match write(out) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                // What is left in the buffer has nobody to go to.
                let _ = self.out.take().map(BufWriter::into_parts);
                Ok(())
            }
            Err(error) => Err(Error::Announce(error)),
        }
    }
}
