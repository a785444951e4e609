//! What the bus puts in front of a value: the version, always 7.

use super::bare::Reader;
use super::{VERSION, Version};
use crate::error::{Malformed, PeerError};

/// [`VERSION`] as it stands in front of each frame.
pub(super) const VERSION_BYTES: [u8; 2] = VERSION.to_le_bytes();

/// What stands in front of the member of a union with this tag.
pub(super) const fn lead(tag: u8) -> [u8; 3] {
    let [low, high] = VERSION_BYTES;
    [low, high, tag]
}

/// Steps over the version, which must be this one.
pub(super) fn read_version(reader: &mut Reader<'_>, version: Version) -> Result<(), PeerError> {
    if reader.u16()? == version.number() {
        return Ok(());
    }
    let expected = match version {
        Version::V1 => "version 1",
        Version::V2 => "version 2",
        Version::V3 => "version 3",
        Version::V4 => "version 4",
        Version::V5 => "version 5",
        Version::V6 => "version 6",
        Version::V7 => "version 7",
    };
    Err(reader.malformed(Malformed::BadVersion, 0, expected))
}
