//! Bytes as hex digits.

use std::fmt;

use underpass_core::Frame;

/// Text that is not hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HexError {
    /// Not a digit, at this byte of the text.
    NoDigit(usize),
    /// A digit is missing at the end.
    OddDigits,
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HexError::NoDigit(place) => write!(f, "not hex: no digit at character {}", place + 1),
            HexError::OddDigits => f.write_str("not hex: an odd number of digits"),
        }
    }
}

/// The bytes that these digits write, in either case.
pub(super) fn read(text: &[u8]) -> Result<Vec<u8>, HexError> {
    let digit = |place: usize| {
        let digit = char::from(text[place]).to_digit(16);
        digit.map(|digit| digit as u8).ok_or(HexError::NoDigit(place))
    };
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for place in (0..text.len()).step_by(2) {
        let high = digit(place)?;
        if place + 1 == text.len() {
            return Err(HexError::OddDigits);
        }
        bytes.push(high << 4 | digit(place + 1)?);
    }
    Ok(bytes)
}

/// Appends a frame's bytes as lower-case digits.
pub(super) fn write(frame: &Frame, out: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.reserve(2 * frame.len());
    for byte in frame.pieces().into_iter().flatten() {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        write(&Frame::new(&bytes[..3], Bytes::copy_from_slice(&bytes[3..255]), Some(255)), &mut text);
        assert!(text.starts_with("000102") && text.ends_with("feff"));
        assert_eq!(read(text.as_bytes()), Ok(bytes.clone()));
        assert_eq!(read(text.to_uppercase().as_bytes()), Ok(bytes));
        assert_eq!(read(b""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_hex_is_found_where_it_stands() {
        assert_eq!(read(b"00x0"), Err(HexError::NoDigit(2)));
        assert_eq!(read(b"000"), Err(HexError::OddDigits));
        assert_eq!(read("00ä".as_bytes()), Err(HexError::NoDigit(2)));
    }
}
