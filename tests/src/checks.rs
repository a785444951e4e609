//! What must hold of any bytes that claim to be a message. Property tests and fuzz targets ask the same.

use bytes::Bytes;
use serde::de::DeserializeSeed;
use serde_bare::de::{Deserializer, SliceRead};
use underpass_core::protocol::any::{Message, Schema};
use underpass_core::protocol::edge::Edge;
use underpass_core::protocol::{Dialect, Memory, Version, json};
use underpass_core::{Frame, PeerError};

/// How many bytes may be allocated for each byte of a frame, at most.
///
/// The price of an entry of a map with the shortest keys that differ, in a table that has just grown beside the old one.
pub const MOST_PER_BYTE: u64 = 64;

/// What may be allocated besides: errors, and the first few of anything.
pub const BESIDES: u64 = 4_096;

/// Reads the bytes as a message. If they are one, they are its only bytes, serde_bare agrees, its JSON form says as
/// much, and it goes or goes not into every other version and over an edge.
pub fn bytes_of(schema: Schema, bytes: &Bytes) -> Result<Message, PeerError> {
    let frame = Frame::from(bytes.clone());
    if schema.union().name() == "ToServer" {
        let mut edge = Edge::new(schema.version(), Dialect::Published, 1);
        let _ = edge.from_runner(bytes.clone());
    }
    let message = schema.decode(&frame).inspect_err(|error| assert!(error.offset <= bytes.len(), "{error}"))?;
    assert_eq!(message.schema(), schema);
    assert_eq!(message.encode(), frame);
    assert_eq!(by_serde_bare(schema, bytes).expect("good bytes"), message);
    let form = json::to_string(&message);
    let sorted = json::from_str(schema, &form).expect("a form");
    assert_eq!(json::to_string(&sorted), form);
    for to in Version::ALL {
        let mut memory = Memory::stand_alone();
        let Ok(there) = message.clone().translate(to, &mut memory) else { continue };
        assert_eq!(there.schema().decode(&there.encode()), Ok(there));
    }
    Ok(message)
}

/// Reads the bytes as serde_bare alone does, which is lenient but an independent witness for good bytes.
pub fn by_serde_bare(schema: Schema, bytes: &[u8]) -> Result<Message, serde_bare::error::Error> {
    schema.deserialize(&mut Deserializer::new(SliceRead::new(bytes)))
}
