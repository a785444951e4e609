//! Who is in the fleet, and what happens to them.

use std::fmt;
use std::time::Instant;

/// How many of each there are.
pub(crate) const GATEWAYS: usize = 2;
pub(crate) const RELAYS: usize = 2;
pub(crate) const RUNNERS: usize = 3;

/// One process, whichever stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Member {
    Gateway(usize),
    Relay(usize),
    Runner(usize),
}

impl Member {
    pub(crate) fn all() -> impl Iterator<Item = Member> {
        let gateways = (0..GATEWAYS).map(Member::Gateway);
        gateways.chain((0..RELAYS).map(Member::Relay)).chain((0..RUNNERS).map(Member::Runner))
    }

    /// How many can do what it does, itself included.
    pub(crate) fn peers(self) -> usize {
        match self {
            Member::Gateway(_) => GATEWAYS,
            Member::Relay(_) => RELAYS,
            Member::Runner(_) => RUNNERS,
        }
    }

    /// Whether the other does the same.
    pub(crate) fn is_peer_of(self, other: Member) -> bool {
        matches!(
            (self, other),
            (Member::Gateway(_), Member::Gateway(_))
                | (Member::Relay(_), Member::Relay(_))
                | (Member::Runner(_), Member::Runner(_))
        )
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Gateway(number) => write!(f, "gateway {number}"),
            Member::Relay(number) => write!(f, "relay {number}"),
            Member::Runner(number) => write!(f, "runner {number}"),
        }
    }
}

/// What happens to one. Then it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum How {
    /// `kill -9`.
    Killed,
    /// SIGTERM: it finishes what is open.
    Drained,
}

impl How {
    pub(crate) const ALL: [How; 2] = [How::Killed, How::Drained];
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::Killed => "killed",
            How::Drained => "drained",
        })
    }
}

/// Who it shall happen to.
pub(crate) type Plan = (Member, How);

/// It happened.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    pub(crate) member: Member,
    pub(crate) how: How,
    pub(crate) at: Instant,
    /// When the next process in its place was ready.
    pub(crate) back: Instant,
    /// The runners that were connected to it, if it is a relay.
    pub(crate) had: Vec<usize>,
}

/// NATS was away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}
