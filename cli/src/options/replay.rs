//! What `underpass replay` is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use underpass_core::record::MachineKind;

pub(super) const EXAMPLES: &str = "\
Examples:
  underpass up --record today.recording
      Writes down what happens to the gateway, the relay and the runner of this process.
  underpass replay today.recording
      Has the same machines do it again, prints what they want done, and compares that with what they wanted then.
  underpass replay --machine gateway --events today.recording
      The gateway alone, with what happened to it.

A line is the machine's time in seconds, its name, and what it wanted done (->), what happened to it (<-) or of what it
was made (=). The exit status is 1 if a machine does something else than it did: the first difference goes to standard
error.";

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Only the machines of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) machine: Option<Machine>,
    /// Print what happened to the machines, too
    #[arg(long)]
    pub(crate) events: bool,
    /// What --record wrote, by this version of the program
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// The kinds of machines, as they are called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Machine {
    Gateway,
    Relay,
    Runner,
}

impl From<Machine> for MachineKind {
    fn from(machine: Machine) -> Self {
        match machine {
            Machine::Gateway => MachineKind::Gateway,
            Machine::Relay => MachineKind::Relay,
            Machine::Runner => MachineKind::Runner,
        }
    }
}
