//! What the machines are measured by: copying a payload, and decoding and encoding its message as a whole.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use underpass_core::Frame;

use crate::measure::{self, Cost};

/// What a memcpy of so many bytes costs.
pub(crate) fn copy(bytes: usize) -> Cost {
    let from = vec![7_u8; bytes];
    let mut to = vec![0_u8; bytes];
    measure::one(|| std::hint::black_box(&mut to).copy_from_slice(std::hint::black_box(&from)))
}

/// What reading a frame with serde_bare and writing it again costs.
pub(crate) fn decode_and_encode(frame: &Frame) -> Cost {
    let bytes = frame.clone().into_bytes();
    let pass = || {
        let message: Message = serde_bare::from_slice(&bytes).expect("a message of a WebSocket");
        serde_bare::to_vec(&message).expect("it was read")
    };
    assert_eq!(pass(), bytes);
    measure::one(pass)
}

/// A WebSocket's message on the bus: the version, the tag of the tunnel, the ids and the number, the tag of the kind.
#[derive(Serialize, Deserialize)]
struct Message {
    version: u16,
    tunnel: u8,
    gateway_id: [u8; 4],
    request_id: [u8; 4],
    number: u16,
    kind: u8,
    data: Bytes,
    binary: bool,
}
