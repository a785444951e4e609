//! How recordings are written.

use core::fmt;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// In front of everything.
pub(super) const MAGIC: &[u8] = b"underpass recording\n";

/// The version of the layout that stands behind [`MAGIC`].
pub(super) const LAYOUT: u8 = 1;

/// Bytes of the length in front of the heading and of each record.
pub(super) const LENGTH: usize = size_of::<u32>();

/// What stands in front of all records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// The version of this crate that wrote it: no other reads it.
    pub version: ByteString,
    /// Whether bodies are in it as they were, and fields that let somebody in.
    pub bodies: bool,
}

/// The kinds of machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MachineKind {
    /// A [`Gateway`](crate::Gateway).
    Gateway,
    /// A [`Relay`](crate::Relay).
    Relay,
    /// A [`Runner`](crate::Runner).
    Runner,
}

/// A machine of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MachineName {
    /// What it is.
    pub kind: MachineKind,
    /// A number of its own among the machines of the recording.
    pub number: u32,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum What {
    /// Of what the machine was made.
    Made,
    /// An event that was handed in.
    Event,
    /// A request that was handed to a gateway.
    Opens,
    /// What the gateway said to it: the request's key, or a failure.
    Opened,
    /// An action that was taken out.
    Action,
}

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum End {
    /// Its process ended as it should.
    Finished,
    /// It was as large as it may be. What happened later is not in it.
    Full,
    /// It breaks off: its process was killed, or still runs.
    Cut,
}

/// What stands in front of what a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) machine: MachineName,
    pub(super) at: Time,
    pub(super) what: What,
}

/// What stands in front of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Lead {
    /// The value follows.
    Head(Head),
    /// Nothing follows.
    End(End),
}

impl Heading {
    /// The heading of a recording that this version writes.
    pub fn new(bodies: bool) -> Self {
        Heading { version: ByteString::from_static(env!("CARGO_PKG_VERSION")), bodies }
    }

    /// What a recording starts with.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [MAGIC, &[LAYOUT]].concat();
        append(&mut bytes, |bytes| put(bytes, self));
        bytes
    }
}

impl End {
    /// What a recording ends with.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        append(&mut bytes, |bytes| put(bytes, &Lead::End(self)));
        bytes
    }
}

/// Appends a value as BARE writes it.
pub(super) fn put(bytes: &mut Vec<u8>, value: &impl Serialize) {
    serde_bare::to_writer(bytes, value).expect("writing to memory works, and each list knows its length");
}

/// Appends what `write` writes, behind its length.
pub(super) fn append(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend([0; LENGTH]);
    write(bytes);
    let length = u32::try_from(bytes.len() - start - LENGTH).expect("a record has less than 4 GiB");
    bytes[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
}

impl fmt::Display for MachineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MachineKind::Gateway => "gateway",
            MachineKind::Relay => "relay",
            MachineKind::Runner => "runner",
        })
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.number)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Finished => "its process ended",
            End::Full => "it was as large as it may be, and what came later is not in it",
            End::Cut => "it breaks off",
        })
    }
}
