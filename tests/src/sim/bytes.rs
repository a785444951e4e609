//! Bytes that say whose they are: a body of sixteen-byte lines, each of which names its request, its direction and its
//! place. So whatever a client sees can be told apart from anything else. And what else both ends of it know.

use bytes::Bytes;
use underpass_core::http::{Close, Message};

use crate::wire;

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

/// How a handler closes the WebSocket of a client.
pub fn farewell(client: u32) -> Close {
    Close::new(4_000, format!("client {client}"))
}

/// Whether a source that is told to pause had taken its next piece already, and hands it in all the same.
pub fn has_taken_already(piece: usize) -> bool {
    piece % 3 == 1
}

/// Every third message is text.
pub fn is_text_message(place: usize) -> bool {
    place.is_multiple_of(3)
}

/// A message at its place among those of its direction.
pub fn message(place: usize, bytes: Bytes) -> Message {
    if is_text_message(place) {
        Message::Text(bytes.try_into().expect("bodies are text"))
    } else {
        Message::Binary(bytes)
    }
}

/// What a client says at a place of a WebSocket that can hibernate, in so many bytes.
pub fn spoken(client: u32, place: u32, length: usize) -> Message {
    let mut text = format!("c{client} m{place} ");
    text.extend(core::iter::repeat_n('.', length.saturating_sub(text.len())));
    if is_text_message(place as usize) { Message::Text(text.into()) } else { Message::Binary(text.into_bytes().into()) }
}

/// A pool of the fleet.
pub fn pool(index: usize) -> underpass_core::directory::Pool {
    underpass_core::directory::Pool { name: format!("pool{index}").into(), ..wire::pool() }
}

/// The actor that a client's request is for.
pub fn actor(client: u32) -> bytestring::ByteString {
    format!("actor{}", client % 3).into()
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
