//! HTTP on a wire made of maps: heads of requests and answers, and what a gateway does to them.

mod admission;
mod fields;
mod websocket;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

pub use admission::{Admission, ClientRequest, Target};
pub use fields::{BadField, end_to_end, join_fields, split_fields};
pub use websocket::{Close, Message, select_subprotocol};

use crate::protocol::Map;

/// Header fields as the wire has them: one value a name, names in lower case.
pub type Headers = Map<ByteString>;

/// The head of a request, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// The method, as the client wrote it.
    pub method: ByteString,
    /// Path and query; starts with `/`.
    pub path: ByteString,
    /// One value a name.
    pub headers: Headers,
}

/// The head of an answer, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// One value a name.
    pub headers: Headers,
}

/// The body of a request or an answer, as its source has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// There is none, not even an empty one.
    None,
    /// All of it is here.
    Whole(bytes::Bytes),
    /// It follows in chunks; the last says so.
    Stream,
}
