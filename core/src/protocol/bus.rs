//! What the bus puts in front of a value: the version, always 7.

use super::VERSION;
use super::bare::Reader;
use crate::error::{Malformed, PeerError};

/// [`VERSION`] as it stands in front of each frame.
pub(super) const VERSION_BYTES: [u8; 2] = VERSION.to_le_bytes();

/// What stands in front of the member of a union with this tag.
pub(super) const fn lead(tag: u8) -> [u8; 3] {
    let [low, high] = VERSION_BYTES;
    [low, high, tag]
}

pub(super) fn read_version(reader: &mut Reader<'_>) -> Result<(), PeerError> {
    if reader.u16()? == VERSION {
        return Ok(());
    }
    Err(reader.malformed(Malformed::BadVersion, 0, "version 7"))
}
