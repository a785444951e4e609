//! Bytes that say whose they are: a body of sixteen-byte lines, each of which names its request, its direction and its
//! place. So whatever a client sees can be told apart from anything else.

use bytes::Bytes;

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the handler.
    Up,
    /// From the handler to the client.
    Down,
}

const LINE: usize = 16;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// All that a request ever says in one direction.
pub fn body(client: u32, way: Way, length: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(length.next_multiple_of(LINE));
    let letter = match way {
        Way::Up => b'u',
        Way::Down => b'd',
    };
    for line in 0..length.div_ceil(LINE) as u32 {
        let mut text = [letter; LINE];
        for digit in 0..6 {
            text[digit] = DIGITS[(client >> (20 - 4 * digit)) as usize & 15];
        }
        for digit in 0..8 {
            text[7 + digit] = DIGITS[(line >> (28 - 4 * digit)) as usize & 15];
        }
        text[LINE - 1] = b'\n';
        bytes.extend_from_slice(&text);
    }
    bytes.truncate(length);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_its_request_its_direction_and_its_place() {
        assert_eq!(body(0x12, Way::Up, 32), "000012u00000000\n000012u00000001\n");
        assert_eq!(body(0x12, Way::Down, 20), "000012d00000000\n0000");
        assert!(body(1, Way::Up, 0).is_empty());
    }
}
