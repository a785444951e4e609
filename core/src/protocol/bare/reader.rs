//! Reading across the pieces of a frame.

use core::str::{self, Utf8Error};
use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use crate::error::{Malformed, PeerError};
use crate::frame::Frame;

/// The longest that anything in a frame can be. Lengths above are refused as such, lengths that merely this frame
/// cannot hold as truncation, as a frame that was cut would show them.
const LONGEST: u64 = i32::MAX as u64;

/// Reads one frame from front to back, refusing whatever a strict BARE decoder must refuse.
///
/// Nothing is allocated, nor looped over, by a length or count that the rest of the frame cannot hold. Each error
/// bears the offset of the value it is about.
#[derive(Clone)]
pub(crate) struct Reader<'f> {
    frame: &'f Frame,
    /// What is left of the piece that is being read.
    piece: &'f [u8],
    /// The pieces behind it.
    behind: [&'f [u8]; 2],
    offset: usize,
    end: usize,
}

impl<'f> Reader<'f> {
    #[inline]
    pub(crate) fn new(frame: &'f Frame) -> Self {
        let [piece, behind @ ..] = frame.pieces();
        let end = piece.len() + behind[0].len() + behind[1].len();
        Reader { frame, piece, behind, offset: 0, end }
    }

    /// How many bytes were read.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Nothing may be left over.
    #[inline]
    pub(crate) fn end(&self) -> Result<(), PeerError> {
        if self.offset < self.end {
            return Err(self.malformed(Malformed::Trailing, self.offset, "the end of the frame"));
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, PeerError> {
        self.array("two bytes").map(u16::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, PeerError> {
        self.array("four bytes").map(u32::from_le_bytes)
    }

    /// `data[N]`, or a number of fixed width.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], PeerError> {
        if let Some((array, rest)) = self.piece.split_first_chunk() {
            self.piece = rest;
            self.offset += N;
            return Ok(*array);
        }
        let start = self.offset;
        self.skip(N, expected)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.since(start));
        Ok(array)
    }

    #[inline]
    pub(crate) fn bool(&mut self) -> Result<bool, PeerError> {
        self.zero_or_one(Malformed::BadBool, "a bool, 0 or 1")
    }

    /// Whether the value of an optional follows.
    #[inline]
    pub(crate) fn optional(&mut self) -> Result<bool, PeerError> {
        self.zero_or_one(Malformed::BadOptional, "an optional's 0 or 1")
    }

    /// A number of variable length, in its shortest form.
    #[inline]
    pub(crate) fn uint(&mut self) -> Result<u64, PeerError> {
        let start = self.offset;
        let first = self.byte("a varint")?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte("a varint")?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte == 0 {
                return Err(self.malformed(Malformed::NonCanonicalVarint, start, "a varint in its shortest form"));
            }
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed(Malformed::VarintOverflow, start, "a varint of at most 64 bits"))
    }

    /// The tag of a union of so many members.
    #[inline]
    pub(crate) fn tag(&mut self, members: usize, expected: &'static str) -> Result<u64, PeerError> {
        let start = self.offset;
        let tag = self.uint()?;
        if tag >= members as u64 {
            return Err(self.malformed(Malformed::BadTag, start, expected));
        }
        Ok(tag)
    }

    /// Steps over a tag of one byte, if it is this one.
    #[inline]
    pub(crate) fn is_tag(&mut self, tag: u8) -> bool {
        self.begin_piece();
        let is_next = self.piece.first() == Some(&tag);
        self.step(usize::from(is_next));
        is_next
    }

    /// How many bytes, or items of a byte or more, follow.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<usize, PeerError> {
        let start = self.offset;
        let length = self.uint()?;
        if length > LONGEST {
            return Err(self.malformed(Malformed::LengthOverflow, start, "a length of less than 2 GiB"));
        }
        if length > (self.end - self.offset) as u64 {
            return Err(self.malformed(Malformed::Truncated, start, "as much as the length says"));
        }
        Ok(length as usize)
    }

    /// `data`, shared with the frame where one shared piece holds it.
    pub(crate) fn data(&mut self) -> Result<Bytes, PeerError> {
        let length = self.length()?;
        self.step(length);
        Ok(self.frame.slice(self.offset - length..self.offset))
    }

    /// `str`, shared with the frame where one shared piece holds it.
    pub(crate) fn text(&mut self) -> Result<ByteString, PeerError> {
        let data = self.data()?;
        let start = self.offset - data.len();
        ByteString::try_from(data).map_err(|error| self.bad_utf8(start, error))
    }

    /// Steps over a `str`, which must be UTF-8.
    pub(crate) fn check_text(&mut self) -> Result<(), PeerError> {
        let length = self.length()?;
        let start = self.offset;
        self.step(length);
        str::from_utf8(&self.since(start)).map_err(|error| self.bad_utf8(start, error))?;
        Ok(())
    }

    /// Steps over so many bytes.
    #[inline]
    pub(crate) fn skip(&mut self, count: usize, expected: &'static str) -> Result<(), PeerError> {
        if count > self.end - self.offset {
            return Err(self.malformed(Malformed::Truncated, self.offset, expected));
        }
        self.step(count);
        Ok(())
    }

    /// Steps over `data`, or over a `str` without looking at its bytes.
    #[inline]
    pub(crate) fn skip_data(&mut self) -> Result<(), PeerError> {
        let length = self.length()?;
        self.step(length);
        Ok(())
    }

    /// The bytes read since an offset: borrowed from the piece that holds them all, or else a copy.
    pub(crate) fn since(&self, start: usize) -> Cow<'f, [u8]> {
        match self.contiguous(start, self.offset - start) {
            Some(bytes) => Cow::Borrowed(bytes),
            None => Cow::Owned(self.frame.slice(start..self.offset).to_vec()),
        }
    }

    pub(crate) fn malformed(&self, class: Malformed, offset: usize, expected: &'static str) -> PeerError {
        PeerError { class, offset, expected }
    }

    fn bad_utf8(&self, start: usize, error: Utf8Error) -> PeerError {
        self.malformed(Malformed::BadUtf8, start + error.valid_up_to(), "UTF-8")
    }

    #[inline]
    fn byte(&mut self, expected: &'static str) -> Result<u8, PeerError> {
        self.begin_piece();
        let Some((byte, rest)) = self.piece.split_first() else {
            return Err(self.malformed(Malformed::Truncated, self.offset, expected));
        };
        self.piece = rest;
        self.offset += 1;
        Ok(*byte)
    }

    #[inline]
    fn zero_or_one(&mut self, class: Malformed, expected: &'static str) -> Result<bool, PeerError> {
        let start = self.offset;
        match self.byte(expected)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed(class, start, expected)),
        }
    }

    /// Steps over so many bytes, which are there.
    #[inline]
    fn step(&mut self, count: usize) {
        self.offset += count;
        match self.piece.get(count..) {
            Some(rest) => self.piece = rest,
            None => self.step_behind(count - self.piece.len()),
        }
    }

    /// Steps over what is left of the piece, and so many bytes behind it.
    fn step_behind(&mut self, mut count: usize) {
        for piece in self.behind {
            self.next_piece();
            if let Some(rest) = piece.get(count..) {
                self.piece = rest;
                return;
            }
            count -= piece.len();
        }
    }

    /// Goes to where the next byte is, if there is one.
    #[inline]
    fn begin_piece(&mut self) {
        while self.piece.is_empty() && self.offset < self.end {
            self.next_piece();
        }
    }

    #[inline]
    fn next_piece(&mut self) {
        let [next, last] = self.behind;
        (self.piece, self.behind) = (next, [last, &[]]);
    }

    /// So many bytes from an offset, if one piece holds them all.
    fn contiguous(&self, mut start: usize, count: usize) -> Option<&'f [u8]> {
        for piece in self.frame.pieces() {
            if let Some(bytes) = piece.get(start..).and_then(|rest| rest.get(..count)) {
                return Some(bytes);
            }
            start = start.checked_sub(piece.len())?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_and_offset<T: core::fmt::Debug>(result: Result<T, PeerError>) -> (Malformed, usize) {
        let error = result.expect_err("malformed");
        (error.class, error.offset)
    }

    /// What reading a varint behind one other byte gives.
    fn uint(bytes: &[u8]) -> Result<u64, PeerError> {
        let frame = Frame::new(&[0], Bytes::copy_from_slice(bytes), None);
        let mut reader = Reader::new(&frame);
        reader.skip(1, "a byte").expect("there");
        reader.uint()
    }

    #[test]
    fn a_varint_has_one_form_of_at_most_64_bits() {
        assert_eq!(uint(&[0x7f]), Ok(127));
        assert_eq!(uint(&[0x80, 1]), Ok(128));
        assert_eq!(uint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Ok(u64::MAX));
        assert_eq!(class_and_offset(uint(&[0x80, 0])), (Malformed::NonCanonicalVarint, 1));
        assert_eq!(class_and_offset(uint(&[0x80; 11])), (Malformed::VarintOverflow, 1));
        let bit_65 = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert_eq!(class_and_offset(uint(&bit_65)), (Malformed::VarintOverflow, 1));
        assert_eq!(class_and_offset(uint(&[0x80, 0x80])), (Malformed::Truncated, 3));
    }

    #[test]
    fn a_length_is_believed_only_if_the_rest_of_the_frame_holds_it() {
        let length = |bytes: &'static [u8]| Reader::new(&Frame::from(Bytes::from_static(bytes))).length();
        assert_eq!(length(&[2, 0, 0]), Ok(2));
        assert_eq!(class_and_offset(length(&[3, 0, 0])), (Malformed::Truncated, 0));
        assert_eq!(class_and_offset(length(&[0xff, 0xff, 0xff, 0xff, 7])), (Malformed::Truncated, 0));
        assert_eq!(class_and_offset(length(&[0x80, 0x80, 0x80, 0x80, 8])), (Malformed::LengthOverflow, 0));
    }

    #[test]
    fn bad_utf8_is_found_where_it_starts() {
        let frame = Frame::new(&[4, b'a'], Bytes::from_static(&[b'b', 0xff]), Some(b'c'));
        assert_eq!(class_and_offset(Reader::new(&frame).text()), (Malformed::BadUtf8, 3));
        assert_eq!(class_and_offset(Reader::new(&frame).check_text()), (Malformed::BadUtf8, 3));
    }

    #[test]
    fn values_are_read_across_pieces_and_shared_within_one() {
        let frame = Frame::new(&[2, b'a'], Bytes::from_static(b"b\x03xyz\x01"), Some(1));
        let mut reader = Reader::new(&frame);
        assert_eq!(reader.text().as_deref(), Ok("ab"));
        let data = reader.data().expect("data");
        assert_eq!((&data[..], data.as_ptr()), (&b"xyz"[..], frame.body()[2..].as_ptr()));
        assert_eq!(reader.u16(), Ok(0x0101));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn leftovers_are_malformed_where_they_start() {
        let frame = Frame::from(Bytes::from_static(&[1, 0]));
        let mut reader = Reader::new(&frame);
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(class_and_offset(reader.end()), (Malformed::Trailing, 1));
    }
}
