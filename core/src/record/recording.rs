//! Reading records.

use bytes::{Buf, Bytes};
use bytestring::ByteString;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::layout::{End, Head, Heading, LAYOUT, LENGTH, Lead, MAGIC, MachineName, What};
use crate::error::PeerError;
use crate::frame::Frame;
use crate::protocol::bare::{Reader, front};
use crate::time::Time;

/// A recording that can't be read, or no further.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadRecording {
    /// It does not begin like one.
    #[error("this is no recording")]
    None,
    /// Another version wrote it.
    #[error("version {0} wrote this recording, and only that version can replay it")]
    OtherVersion(ByteString),
    /// Another layout than this version's.
    #[error("the layout of this recording is {0}, and this version reads {LAYOUT}")]
    OtherLayout(u8),
    /// A record is malformed.
    #[error("the record at byte {offset} of the recording can't be read: {error}")]
    Malformed {
        /// Where the record starts, bytes from the front of the recording.
        offset: usize,
        /// What is wrong with it, and where in the record.
        error: PeerError,
    },
    /// Something stands behind the end.
    #[error("at byte {offset} of the recording, something stands behind its end")]
    BehindTheEnd {
        /// Where, bytes from the front of the recording.
        offset: usize,
    },
}

/// A recording, whose heading has been read.
#[derive(Clone, Debug)]
pub struct Recording {
    heading: Heading,
    /// All that stands behind the heading.
    records: Bytes,
    /// Where that starts.
    offset: usize,
}

/// What stands in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A record.
    Record(Record),
    /// The end, once and last.
    End(End),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it starts, bytes from the front of the recording.
    pub offset: usize,
    /// Whose it is.
    pub machine: MachineName,
    /// When it happened, by the clock of its machine.
    pub at: Time,
    /// What happened.
    pub what: What,
    /// The event, the action or whatever else it was.
    pub(super) value: Bytes,
}

impl Recording {
    /// Reads the heading.
    ///
    /// # Errors
    /// It is no recording, or another version's.
    pub fn read(mut bytes: Bytes) -> Result<Self, BadRecording> {
        let whole = bytes.len();
        if !bytes.starts_with(MAGIC) {
            return Err(BadRecording::None);
        }
        bytes.advance(MAGIC.len());
        if !bytes.has_remaining() {
            return Err(BadRecording::None);
        }
        match bytes.get_u8() {
            LAYOUT => {}
            other => return Err(BadRecording::OtherLayout(other)),
        }
        let heading = take(&mut bytes).ok_or(BadRecording::None)?;
        let heading: Heading = value(heading).map_err(|_| BadRecording::None)?;
        if heading.version != env!("CARGO_PKG_VERSION") {
            return Err(BadRecording::OtherVersion(heading.version));
        }
        Ok(Recording { heading, offset: whole - bytes.len(), records: bytes })
    }

    /// What it says of itself.
    pub fn heading(&self) -> &Heading {
        &self.heading
    }

    /// What stands in it, in order: the last is the end, or an error behind which nothing can be read.
    pub fn lines(&self) -> impl Iterator<Item = Result<Line, BadRecording>> + use<> {
        Lines { rest: self.records.clone(), offset: self.offset, has_ended: false }
    }
}

struct Lines {
    rest: Bytes,
    /// Where the rest starts.
    offset: usize,
    has_ended: bool,
}

impl Lines {
    fn read(&mut self) -> Result<Line, BadRecording> {
        let (offset, before) = (self.offset, self.rest.len());
        let Some(mut bytes) = take(&mut self.rest) else { return Ok(Line::End(End::Cut)) };
        self.offset += before - self.rest.len();
        let malformed = |error| BadRecording::Malformed { offset, error };
        match first(&mut bytes).map_err(malformed)? {
            Lead::Head(Head { machine, at, what }) => {
                Ok(Line::Record(Record { offset, machine, at, what, value: bytes }))
            }
            Lead::End(end) if bytes.is_empty() && self.rest.is_empty() => Ok(Line::End(end)),
            Lead::End(_) => Err(BadRecording::BehindTheEnd { offset: self.offset - bytes.len() }),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line, BadRecording>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let line = self.read();
        self.has_ended = !matches!(line, Ok(Line::Record(_)));
        Some(line)
    }
}

/// Takes what stands behind its length; none if not all of it is there.
fn take(bytes: &mut Bytes) -> Option<Bytes> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<LENGTH>()?);
    let end = LENGTH.checked_add(usize::try_from(length).ok()?)?;
    if bytes.len() < end {
        return None;
    }
    bytes.advance(LENGTH);
    Some(bytes.split_to(end - LENGTH))
}

/// Takes the value that the bytes begin with.
fn first<T: DeserializeOwned>(bytes: &mut Bytes) -> Result<T, PeerError> {
    let frame = Frame::from(bytes.clone());
    let mut reader = Reader::new(&frame);
    let value = front::read(&mut reader)?;
    bytes.advance(reader.offset());
    Ok(value)
}

/// The value that the bytes are.
pub(super) fn value<T: DeserializeOwned>(bytes: Bytes) -> Result<T, PeerError> {
    let frame = Frame::from(bytes);
    let mut reader = Reader::new(&frame);
    let value = front::read(&mut reader)?;
    reader.end()?;
    Ok(value)
}
