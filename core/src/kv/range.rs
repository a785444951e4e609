//! Ranges of keys.

use core::ops::Bound;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Keys that follow each other, ascending by bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// The first key that can be in it.
    start: Bytes,
    /// Where it ends.
    end: Bound<Bytes>,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> Self {
        KeyRange { start: Bytes::new(), end: Bound::Unbounded }
    }

    /// From `start` to `end`, both included.
    pub fn through(start: Bytes, end: Bytes) -> Self {
        KeyRange { start, end: Bound::Included(end) }
    }

    /// From `start` up to but without `end`.
    pub fn until(start: Bytes, end: Bytes) -> Self {
        KeyRange { start, end: Bound::Excluded(end) }
    }

    /// All keys that start so.
    pub fn prefix(prefix: Bytes) -> Self {
        // The first key behind them: the last byte that can be raised is, and what follows it goes.
        let end = match prefix.iter().rposition(|&byte| byte < u8::MAX) {
            Some(last) => {
                let mut end = BytesMut::from(&prefix[..=last]);
                end[last] += 1;
                Bound::Excluded(end.freeze())
            }
            None => Bound::Unbounded,
        };
        KeyRange { start: prefix, end }
    }

    /// Where it starts and ends; none if no key can be in it, and then its bounds may be the wrong way round.
    pub fn bounds(&self) -> Option<(Bound<&Bytes>, Bound<&Bytes>)> {
        let empty = match &self.end {
            Bound::Included(end) => self.start > *end,
            Bound::Excluded(end) => self.start >= *end,
            Bound::Unbounded => false,
        };
        (!empty).then_some((Bound::Included(&self.start), self.end.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use core::ops::RangeBounds;

    use super::*;

    fn has(range: &KeyRange, key: &[u8]) -> bool {
        range.bounds().is_some_and(|bounds| RangeBounds::<Bytes>::contains(&bounds, &Bytes::copy_from_slice(key)))
    }

    #[test]
    fn a_range_has_its_start_and_its_end_if_it_is_said_so() {
        let (b, d) = (Bytes::from_static(b"b"), Bytes::from_static(b"d"));
        for (key, through, until) in [
            (&b""[..], false, false),
            (b"a\xff", false, false),
            (b"b", true, true),
            (b"c", true, true),
            (b"d", true, false),
            (b"d\0", false, false),
        ] {
            assert_eq!(has(&KeyRange::through(b.clone(), d.clone()), key), through, "{key:?}");
            assert_eq!(has(&KeyRange::until(b.clone(), d.clone()), key), until, "{key:?}");
            assert!(has(&KeyRange::all(), key));
        }
    }

    #[test]
    fn a_range_whose_end_is_before_its_start_is_empty() {
        let (b, d) = (Bytes::from_static(b"b"), Bytes::from_static(b"d"));
        assert_eq!(KeyRange::through(d.clone(), b.clone()).bounds(), None);
        assert_eq!(KeyRange::until(d, b.clone()).bounds(), None);
        assert_eq!(KeyRange::until(b.clone(), b.clone()).bounds(), None);
        assert!(has(&KeyRange::through(b.clone(), b), b"b"));
    }

    #[test]
    fn a_prefix_of_the_highest_bytes_has_keys_behind_all_others() {
        for (prefix, inside, outside) in [
            (&b"a"[..], &[&b"a"[..], b"a\0", b"a\xff\xff"][..], &[&b""[..], b"`\xff", b"b"][..]),
            (b"a\xff", &[b"a\xff", b"a\xff\xff\xff"], &[b"a", b"a\xfe\xff", b"b"]),
            (b"\xff\xff", &[b"\xff\xff", b"\xff\xff\xff"], &[b"\xff", b"\xff\xfe\xff"]),
            (b"", &[b"", b"\0", b"\xff\xff"], &[]),
        ] {
            let range = KeyRange::prefix(Bytes::copy_from_slice(prefix));
            for key in inside {
                assert!(has(&range, key), "{prefix:?} {key:?}");
            }
            for key in outside {
                assert!(!has(&range, key), "{prefix:?} {key:?}");
            }
        }
    }
}
