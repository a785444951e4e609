//! The published versions.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// A published version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1.
    V1 = 1,
    /// 2.
    V2,
    /// 3.
    V3,
    /// 4.
    V4,
    /// 5.
    V5,
    /// 6.
    V6,
    /// 7, which the bus and the machines speak.
    V7,
}

/// No version of that number was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such version, but 1 to 7")]
pub struct NoSuchVersion;

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Version; 7] =
        [Version::V1, Version::V2, Version::V3, Version::V4, Version::V5, Version::V6, Version::V7];

    /// Its number.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl TryFrom<u16> for Version {
    type Error = NoSuchVersion;

    fn try_from(number: u16) -> Result<Self, NoSuchVersion> {
        Version::ALL.into_iter().find(|version| version.number() == number).ok_or(NoSuchVersion)
    }
}

impl FromStr for Version {
    type Err = NoSuchVersion;

    /// Its number, with or without a `v`.
    fn from_str(text: &str) -> Result<Self, NoSuchVersion> {
        let number: u16 = text.strip_prefix('v').unwrap_or(text).parse().map_err(|_| NoSuchVersion)?;
        Version::try_from(number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.number())
    }
}
