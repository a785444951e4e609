//! Bytes that both ends know: of a request, by its number. None of another request, or from another place, passes for
//! them.

use bytes::{BufMut, Bytes, BytesMut};

/// Every so many bytes differ from all others.
const WORD: u64 = 8;

/// The bytes that belong to one request, in one direction. They have no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    /// What the client of a request sends.
    pub fn asked(request: u64) -> Pattern {
        Pattern { seed: request << 1 }
    }

    /// What it is answered.
    pub fn answered(request: u64) -> Pattern {
        Pattern { seed: (request << 1) | 1 }
    }

    /// A piece of it.
    pub fn piece(self, from: u64, length: usize) -> Bytes {
        let skipped = (from % WORD) as usize;
        let mut piece = BytesMut::with_capacity(skipped + length + WORD as usize);
        let mut place = from / WORD;
        while piece.len() < skipped + length {
            piece.put_u64(self.word(place));
            place += 1;
        }
        piece.freeze().slice(skipped..skipped + length)
    }

    fn word(self, place: u64) -> u64 {
        scramble(self.seed.wrapping_mul(0xd6e8_feb8_6659_fd93).wrapping_add(place))
    }
}

/// Looks at a body as it comes.
#[derive(Clone, Debug)]
pub struct Check {
    pattern: Pattern,
    came: u64,
}

impl Check {
    /// It is to be this.
    pub fn of(pattern: Pattern) -> Check {
        Check { pattern, came: 0 }
    }

    /// The next piece.
    ///
    /// # Errors
    /// It is another one; where.
    pub fn next(&mut self, piece: &[u8]) -> Result<(), String> {
        let right = self.pattern.piece(self.came, piece.len());
        if let Some(place) = piece.iter().zip(&right[..]).position(|(came, right)| came != right) {
            return Err(format!("the byte {} is a wrong one", self.came + place as u64));
        }
        self.came += piece.len() as u64;
        Ok(())
    }

    /// How many bytes came.
    pub fn came(&self) -> u64 {
        self.came
    }

    /// It has come to its end.
    ///
    /// # Errors
    /// Some is missing, or it was too long.
    pub fn end(&self, length: u64) -> Result<(), String> {
        if self.came == length { Ok(()) } else { Err(format!("{} bytes for {length}, and a clean end", self.came)) }
    }
}

/// A number that tells nothing of the one that it was made from (splitmix64).
pub fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole_wherever_it_is_cut() {
        let whole = Pattern::asked(7).piece(0, 100);
        for cut in 0..100 {
            let (first, second) = (Pattern::asked(7).piece(0, cut), Pattern::asked(7).piece(cut as u64, 100 - cut));
            assert_eq!([first, second].concat(), whole);
        }
    }

    #[test]
    fn what_is_missing_twice_or_anothers_is_seen() {
        let (right, anothers) = (Pattern::asked(7), Pattern::answered(7));
        let mut check = Check::of(right);
        check.next(&right.piece(0, 64)).unwrap();
        for wrong in [right.piece(72, 8), right.piece(56, 8), anothers.piece(64, 8)] {
            assert_eq!(check.next(&wrong), Err("the byte 64 is a wrong one".to_owned()));
        }
        check.next(&right.piece(64, 8)).unwrap();
        assert_eq!(check.end(72), Ok(()));
        assert_eq!(check.end(80), Err("72 bytes for 80, and a clean end".to_owned()));
    }
}
