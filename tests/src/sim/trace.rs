//! What happened: always as a digest, and when asked for, as text.

use core::fmt;

use underpass_core::Time;
use underpass_core::failure::RequestName;

use super::faults::Host;

/// The trace of a run.
#[derive(Debug, Default)]
pub struct Trace {
    digest: u64,
    /// What was handed to machines, and what they wanted done.
    pub inputs: u64,
    /// What they wanted done.
    pub actions: u64,
    /// Only if asked for.
    lines: Option<Vec<Line>>,
}

/// A line of a trace that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, by the network's clock.
    pub at: Time,
    /// Where; none for the world at large.
    pub host: Option<Host>,
    /// Which client's request it touches, if one's.
    pub client: Option<u32>,
    /// What happened.
    pub text: String,
}

/// Whose request something touches, as far as it is known where it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Nobody's in particular.
    Nobody,
    /// A client's.
    Client(u32),
    /// That of this name on the wire.
    Wire(RequestName),
}

impl Trace {
    /// One that keeps its lines, or not.
    pub fn new(keeps_lines: bool) -> Trace {
        Trace { lines: keeps_lines.then(Vec::new), ..Trace::default() }
    }

    /// Mixes what happened into the digest.
    pub fn mix(&mut self, at: Time, host: Option<Host>, what: u64) {
        let host = match host {
            None => 0,
            Some(Host::Published(index)) => 4 + 4 * index as u64,
            Some(Host::Gateway(index)) => 1 + 4 * index as u64,
            Some(Host::Relay(index)) => 2 + 4 * index as u64,
            Some(Host::Runner(index)) => 3 + 4 * index as u64,
        };
        for word in [at.as_micros(), host ^ what.rotate_left(16)] {
            self.digest = (self.digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    /// Whether text is wanted.
    pub fn keeps_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Keeps a line.
    pub fn line(&mut self, line: Line) {
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// All that happened, as one number.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The lines that were kept.
    pub fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.host {
            None => "world".into(),
            Some(Host::Gateway(index)) => format!("gateway {index}"),
            Some(Host::Relay(index)) => format!("relay {index}"),
            Some(Host::Runner(index)) => format!("runner {index}"),
            Some(Host::Published(index)) => format!("published {index}"),
        };
        write!(f, "{:>12} {host:<11} {}", self.at.to_string(), self.text)
    }
}
