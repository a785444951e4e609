//! Writing what stands around payloads.

use bytes::BufMut;

/// BARE's words for a buffer that has room enough.
pub(crate) trait PutBare: BufMut {
    /// The length in front of `data`, a `str`, a list or a map.
    fn put_length(&mut self, mut length: usize) {
        while length >= 0x80 {
            self.put_u8(length as u8 | 0x80);
            length >>= 7;
        }
        self.put_u8(length as u8);
    }

    fn put_bool(&mut self, value: bool) {
        self.put_u8(u8::from(value));
    }

    fn put_text(&mut self, text: &str) {
        self.put_length(text.len());
        self.put_slice(text.as_bytes());
    }
}

impl<B: BufMut> PutBare for B {}

/// How many bytes a length takes.
pub(crate) fn length_len(length: usize) -> usize {
    (length | 1).ilog2() as usize / 7 + 1
}

/// How many bytes `data` or a `str` of so many bytes takes, with its length.
pub(crate) fn data_len(length: usize) -> usize {
    length_len(length) + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_foretold() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152, usize::MAX] {
            let mut bytes = Vec::new();
            bytes.put_length(length);
            assert_eq!(bytes.len(), length_len(length), "{length}");
        }
    }
}
