//! Golden bytes of the protocol, one JSON object a line.

use bytes::Bytes;
use serde::Deserialize;
use underpass_core::protocol::Version;
use underpass_core::protocol::any::Schema;

/// A line of `vectors/valid.jsonl` or `vectors/invalid.jsonl`.
#[derive(Deserialize)]
pub struct Vector {
    /// What it is about.
    pub id: String,
    /// Which version the bytes are of.
    pub version: u16,
    /// Which union they are of.
    pub union: String,
    /// The bytes, without a version in front.
    pub hex: String,
    /// What they say, in the protocol's JSON form; null for malformed bytes.
    #[serde(default)]
    pub value: serde_json::Value,
    /// Which rule they break; empty for good bytes.
    #[serde(default)]
    pub error: String,
}

/// A line of `vectors/conversions.jsonl`.
#[derive(Deserialize)]
pub struct Conversion {
    /// What it is about.
    pub id: String,
    /// Which union the bytes are of.
    pub union: String,
    /// Their version.
    pub from_version: u16,
    /// The bytes.
    pub from_hex: String,
    /// Another version.
    pub to_version: u16,
    /// The bytes there; empty if it cannot say so.
    #[serde(default)]
    pub to_hex: String,
    /// Why not, in other words than ours.
    #[serde(default)]
    pub error: String,
}

impl Vector {
    /// The bytes.
    pub fn bytes(&self) -> Bytes {
        bytes(&self.hex)
    }

    /// The bytes as the bus carries them, if it carries this union: version 7 in front.
    pub fn framed_bytes(&self) -> Bytes {
        [&[7, 0], &self.bytes()[..]].concat().into()
    }

    /// The type of its message.
    pub fn schema(&self) -> Schema {
        schema(&self.union, self.version)
    }
}

/// The type of a union's messages in a version.
pub fn schema(union: &str, version: u16) -> Schema {
    Schema::new(union.parse().expect("a union"), Version::try_from(version).expect("a version")).expect("a schema")
}

/// The bytes that these digits write.
pub fn bytes(hex: &str) -> Bytes {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hex digit") as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Bytes that mean something, of all versions.
pub fn valid() -> Vec<Vector> {
    parse(include_str!("../vectors/valid.jsonl"))
}

/// Bytes that are malformed, of all versions.
pub fn invalid() -> Vec<Vector> {
    parse(include_str!("../vectors/invalid.jsonl"))
}

/// Bytes of one version that mean the same as others of another.
pub fn conversions() -> Vec<Conversion> {
    parse(include_str!("../vectors/conversions.jsonl"))
}

/// Those of version 7, which the machines speak.
pub fn newest(vectors: Vec<Vector>) -> Vec<Vector> {
    vectors.into_iter().filter(|vector| vector.version == 7).collect()
}

fn parse<T: for<'a> Deserialize<'a>>(lines: &str) -> Vec<T> {
    lines.lines().map(|line| serde_json::from_str(line).expect("a vector")).collect()
}
