//! Golden bytes of the protocol, one JSON object a line.

use bytes::Bytes;
use serde::Deserialize;

/// A line of `vectors/*.jsonl`.
#[derive(Deserialize)]
pub struct Vector {
    /// What it is about.
    pub id: String,
    /// Which union the bytes are of.
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

impl Vector {
    /// The bytes.
    pub fn bytes(&self) -> Bytes {
        let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hex digit") as u8;
        self.hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    /// The bytes as the bus carries them, if it carries this union: version 7 in front.
    pub fn framed_bytes(&self) -> Bytes {
        [&[7, 0], &self.bytes()[..]].concat().into()
    }
}

/// Bytes that mean something.
pub fn valid() -> Vec<Vector> {
    parse(include_str!("../vectors/v7-valid.jsonl"))
}

/// Bytes that are malformed.
pub fn invalid() -> Vec<Vector> {
    parse(include_str!("../vectors/v7-invalid.jsonl"))
}

fn parse(lines: &str) -> Vec<Vector> {
    lines.lines().map(|line| serde_json::from_str(line).expect("a vector")).collect()
}
