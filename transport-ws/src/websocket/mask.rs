//! Masks of what a client sends.

use std::hash::{BuildHasher, RandomState};

/// Masks that nobody can foresee: a keyed hash of a counter, whose key is the system's.
#[derive(Debug, Default)]
pub(super) struct Masks {
    key: RandomState,
    count: u64,
}

impl Masks {
    /// The next one.
    pub(super) fn next(&mut self) -> [u8; 4] {
        self.count += 1;
        (self.key.hash_one(self.count) as u32).to_ne_bytes()
    }
}

/// Masks a payload, or takes its mask away.
pub(super) fn apply(payload: &mut [u8], mask: [u8; 4]) {
    let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    rest.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_masked_by_its_place_and_twice_is_not_at_all() {
        for len in 0..70 {
            let payload: Vec<u8> = (0..len).collect();
            let mask = [0xA5, 0x01, 0xFF, 0x70];
            let mut masked = payload.clone();
            apply(&mut masked, mask);
            assert!(masked.iter().enumerate().all(|(at, byte)| *byte == payload[at] ^ mask[at % 4]));
            apply(&mut masked, mask);
            assert_eq!(masked, payload);
        }
    }

    #[test]
    fn masks_differ_from_one_to_the_next_and_between_sockets() {
        let (mut one, mut other) = (Masks::default(), Masks::default());
        assert_ne!((one.next(), one.next()), (other.next(), other.next()));
    }
}
