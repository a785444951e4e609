//! Frames on their way: a few bytes of head, a body that is shared, and at most two bytes behind it.

use core::fmt;
use core::ops::Range;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Room for the longest head of a chunk or message: version, tags, message id and a length.
pub(crate) const INLINE: usize = 30;

/// What surrounds a payload at most, besides header fields, bytes: version, tags, ids, lengths, method, path.
pub const FRAME_OVERHEAD: usize = 16 * 1024;

/// One encoded frame, in up to three pieces.
///
/// The wire puts a length in front of a payload and a bool behind it (and toward runners of versions 1 and 2 one byte
/// more). A frame keeps the payload as the [`Bytes`] it
/// came in and holds what surrounds it beside it, so carrying a frame costs the same for any payload. An adapter that
/// can write pieces writes [`pieces`](Frame::pieces); one that can't joins them once with
/// [`into_bytes`](Frame::into_bytes).
#[derive(Clone)]
pub struct Frame {
    head: Head,
    body: Bytes,
    tail: Tail,
}

/// The bytes behind the body: those of `bytes` from `start` on.
#[derive(Clone, Copy)]
struct Tail {
    bytes: [u8; Tail::LONGEST],
    start: u8,
}

impl Tail {
    const LONGEST: usize = 2;
    const EMPTY: Tail = Tail { bytes: [0; Tail::LONGEST], start: Tail::LONGEST as u8 };

    fn new(tail: &[u8]) -> Self {
        let start = Tail::LONGEST - tail.len();
        let mut bytes = [0; Tail::LONGEST];
        bytes[start..].copy_from_slice(tail);
        Tail { bytes, start: start as u8 }
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

#[derive(Clone)]
enum Head {
    Inline { bytes: [u8; INLINE], start: u8, end: u8 },
    Shared(Bytes),
}

impl Head {
    const EMPTY: Head = Head::Inline { bytes: [0; INLINE], start: 0, end: 0 };

    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            Head::Inline { bytes, start, end } => &bytes[usize::from(*start)..usize::from(*end)],
            Head::Shared(bytes) => bytes,
        }
    }
}

impl Frame {
    /// A frame with a head of at most 30 bytes kept inline (a longer one is copied into a buffer), a body and a last
    /// byte.
    #[inline]
    pub fn new(head: &[u8], body: Bytes, tail: Option<u8>) -> Self {
        let head = if head.len() <= INLINE {
            let mut bytes = [0; INLINE];
            bytes[..head.len()].copy_from_slice(head);
            Head::Inline { bytes, start: 0, end: head.len() as u8 }
        } else {
            Head::Shared(Bytes::copy_from_slice(head))
        };
        Frame { head, body, tail: Tail::new(tail.as_slice()) }
    }

    /// A frame whose head is written in place; it has room for 30 bytes.
    #[inline]
    pub(crate) fn with_inline_head(body: Bytes, tail: Option<u8>, write: impl FnOnce(&mut &mut [u8])) -> Self {
        let mut bytes = [0; INLINE];
        let mut room = &mut bytes[..];
        write(&mut room);
        let end = (INLINE - room.len()) as u8;
        Frame { head: Head::Inline { bytes, start: 0, end }, body, tail: Tail::new(tail.as_slice()) }
    }

    /// A frame whose head carries headers and is therefore a buffer of its own.
    pub fn with_shared_head(head: Bytes, body: Bytes, tail: Option<u8>) -> Self {
        Frame { head: Head::Shared(head), body, tail: Tail::new(tail.as_slice()) }
    }

    /// A frame of a head, a body and what stands behind it, which is more than two bytes only where nobody minds that
    /// the body is copied.
    pub(crate) fn around(head: Bytes, body: Bytes, tail: &[u8]) -> Self {
        if tail.len() <= Tail::LONGEST {
            return Frame { head: Head::Shared(head), body, tail: Tail::new(tail) };
        }
        Frame::with_shared_head([&head, &body, tail].concat().into(), Bytes::new(), None)
    }

    /// Takes the frame out, and leaves an empty one.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        core::mem::replace(self, Frame { head: Head::EMPTY, body: Bytes::new(), tail: Tail::EMPTY })
    }

    /// How many bytes the frame has.
    #[inline]
    pub fn len(&self) -> usize {
        self.head.as_slice().len() + self.body.len() + self.tail.as_slice().len()
    }

    /// Whether the frame has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes before the body.
    #[inline]
    pub fn head(&self) -> &[u8] {
        self.head.as_slice()
    }

    /// The shared payload.
    #[inline]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The bytes behind the body, two at most.
    #[inline]
    pub fn tail(&self) -> &[u8] {
        self.tail.as_slice()
    }

    /// The pieces in order; some may be empty.
    #[inline]
    pub fn pieces(&self) -> [&[u8]; 3] {
        [self.head.as_slice(), &self.body, self.tail.as_slice()]
    }

    /// The bytes of a range: a slice of the shared piece that holds them all, or else a copy.
    ///
    /// # Panics
    /// If the frame ends before the range does.
    pub(crate) fn slice(&self, range: Range<usize>) -> Bytes {
        let head = self.head.as_slice().len();
        if range.start >= head && range.end <= head + self.body.len() {
            return self.body.slice(range.start - head..range.end - head);
        }
        if let Head::Shared(bytes) = &self.head
            && range.end <= head
        {
            return bytes.slice(range);
        }
        let mut copy = BytesMut::with_capacity(range.len());
        let mut start = 0;
        for piece in self.pieces() {
            let end = start + piece.len();
            if range.start < end && start < range.end {
                copy.put_slice(&piece[range.start.saturating_sub(start)..range.end.min(end) - start]);
            }
            start = end;
        }
        assert!(range.end <= start, "a range past the end of a frame");
        copy.freeze()
    }

    /// As [`slice`](Self::slice), of a frame that is of no more use.
    #[inline]
    pub(crate) fn into_slice(mut self, range: Range<usize>) -> Bytes {
        let head = self.head.as_slice().len();
        if range.start < head || range.end > head + self.body.len() {
            return self.slice(range);
        }
        self.body.truncate(range.end - head);
        self.body.advance(range.start - head);
        self.body
    }

    /// The same frame as one piece: nothing is copied if it is one already.
    pub fn into_bytes(self) -> Bytes {
        match (&self.head, self.body.is_empty(), self.tail.as_slice()) {
            (head, false, []) if head.as_slice().is_empty() => self.body,
            (Head::Shared(head), true, []) => head.clone(),
            _ => {
                let mut joined = BytesMut::with_capacity(self.len());
                for piece in self.pieces() {
                    joined.put_slice(piece);
                }
                joined.freeze()
            }
        }
    }

    /// The frame without its first `count` bytes. Nothing is copied.
    ///
    /// # Panics
    /// If the frame is shorter than that.
    #[inline]
    #[must_use]
    pub fn skip(mut self, count: usize) -> Frame {
        self.advance(count);
        self
    }

    /// Takes the first `count` bytes off.
    ///
    /// # Panics
    /// If the frame is shorter than that.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "skip past the end of a frame");
        let of_head = count.min(self.head.as_slice().len());
        match &mut self.head {
            Head::Inline { start, .. } => *start += of_head as u8,
            Head::Shared(bytes) => bytes.advance(of_head),
        }
        let of_body = (count - of_head).min(self.body.len());
        if of_body > 0 {
            self.body.advance(of_body);
        }
        self.tail.start += (count - of_head - of_body) as u8;
    }
}

impl From<Bytes> for Frame {
    fn from(body: Bytes) -> Self {
        Frame { head: Head::EMPTY, body, tail: Tail::EMPTY }
    }
}

/// Frames are equal if their bytes are, wherever the pieces are cut.
impl PartialEq for Frame {
    fn eq(&self, other: &Frame) -> bool {
        let mine = self.pieces().into_iter().flatten();
        self.len() == other.len() && mine.eq(other.pieces().into_iter().flatten())
    }
}

impl Eq for Frame {}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 48;
        write!(f, "Frame({} bytes: ", self.len())?;
        for byte in self.pieces().into_iter().flatten().take(SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(if self.len() > SHOWN { "…)" } else { ")" })
    }
}

/// As data: where the pieces are cut is not told.
impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.clone().into_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Frame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::deserialize(deserializer).map(Frame::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::new(&[1, 2, 3], Bytes::from_static(&[4, 5, 6]), Some(7))
    }

    #[test]
    fn a_frame_of_one_piece_is_not_copied() {
        let bytes = Bytes::from(vec![1; 100]);
        for frame in [Frame::from(bytes.clone()), Frame::with_shared_head(bytes.clone(), Bytes::new(), None)] {
            assert!(!frame.is_empty());
            assert_eq!(frame.into_bytes().as_ptr(), bytes.as_ptr());
        }
        assert!(Frame::from(Bytes::new()).is_empty());
        assert_eq!((frame().head(), &frame().body()[..], frame().tail()), (&[1, 2, 3][..], &[4, 5, 6][..], &[7][..]));
    }

    #[test]
    fn frames_are_equal_if_their_bytes_are() {
        assert_eq!(frame(), Frame::from(Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7])));
        for other in [&[1, 2, 3, 4, 5, 6, 8][..], &[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5, 6, 7, 8], &[]] {
            assert_ne!(frame(), Frame::from(Bytes::copy_from_slice(other)));
        }
    }

    #[test]
    fn skipping_takes_from_head_body_and_tail_in_turn() {
        let whole = [1, 2, 3, 4, 5, 6, 7];
        for count in 0..=whole.len() {
            let rest = frame().skip(count);
            assert_eq!(rest.len(), whole.len() - count);
            assert_eq!(&rest.into_bytes()[..], &whole[count..], "after {count}");
        }
    }

    #[test]
    fn two_bytes_behind_a_body_are_kept_beside_it_and_more_are_joined() {
        let body = Bytes::from(vec![4, 5, 6]);
        let around = |tail: &[u8]| Frame::around(Bytes::from_static(&[1, 2, 3]), body.clone(), tail);
        assert_eq!(around(&[7, 8]).body().as_ptr(), body.as_ptr());
        for tail in [&[7, 8][..], &[7, 8, 9]] {
            let whole = [&[1, 2, 3, 4, 5, 6], tail].concat();
            for count in 0..=whole.len() {
                assert_eq!(&around(tail).skip(count).into_bytes()[..], &whole[count..], "after {count}");
            }
        }
    }

    #[test]
    fn a_frame_of_one_piece_is_joined_without_a_copy() {
        let bytes = Bytes::from(vec![9; 100]);
        assert_eq!(Frame::from(bytes.clone()).into_bytes().as_ptr(), bytes.as_ptr());
        assert_eq!(Frame::from(bytes.clone()).skip(3).into_bytes().as_ptr(), bytes[3..].as_ptr());
    }

    #[test]
    fn a_range_is_shared_within_a_shared_piece_and_copied_across_pieces() {
        let body = Bytes::from(vec![4, 5, 6]);
        let head = Bytes::from(vec![1, 2, 3]);
        let frame = Frame::with_shared_head(head.clone(), body.clone(), Some(7));
        let whole = [1, 2, 3, 4, 5, 6, 7];
        for start in 0..=whole.len() {
            for end in start..=whole.len() {
                assert_eq!(frame.slice(start..end), &whole[start..end]);
            }
        }
        assert_eq!(frame.slice(1..3).as_ptr(), head[1..].as_ptr());
        assert_eq!(frame.slice(4..6).as_ptr(), body[1..].as_ptr());
    }

    #[test]
    fn equality_does_not_see_where_the_pieces_are_cut() {
        assert_eq!(frame(), Frame::from(frame().into_bytes()));
        assert_ne!(frame(), frame().skip(1));
    }
}
