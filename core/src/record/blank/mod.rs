//! What is left out of recordings: what bodies, messages and values say, and the fields that let somebody in.
//!
//! A machine counts bytes, cuts them and hands them on, but does not look at them, so it does the same with others: its
//! actions are the recorded ones, blanked alike. What it does look at stays: whether a text is UTF-8, and whether a
//! field has a character that HTTP cannot carry.

mod doors;
mod tunnel;
mod unions;

use bytes::Bytes;
use bytestring::ByteString;
use hashbrown::HashMap;

use crate::gateway::{Open, OpenKind};
use crate::http::{Body, Headers, Message};
use crate::kv::{Call, Write};
use crate::protocol::DataList;
use crate::protocol::Version;

/// Leaves out of events and actions what a recording without bodies must not have.
#[derive(Debug, Default)]
pub struct Blanks {
    /// What the runners of a relay's connections speak.
    versions: HashMap<u64, Version>,
}

/// Something of which a part may not be written down.
pub(super) trait Blank {
    /// Leaves that part out; the length stays.
    fn blank(&mut self);
}

/// Fields whose names have one of these in them let somebody in, or may; in lower case. A client's sub-protocols are
/// among them, since pages in browsers can send tokens in no other field.
const SECRET: [&str; 8] = ["auth", "cookie", "jwt", "key", "password", "sec-websocket-protocol", "secret", "token"];

impl Blank for Bytes {
    fn blank(&mut self) {
        *self = vec![0; self.len()].into();
    }
}

impl<T: Blank> Blank for Option<T> {
    fn blank(&mut self) {
        if let Some(value) = self {
            value.blank();
        }
    }
}

/// The data of a message. Zeros are a text; what is none stays none.
fn blank_data(data: &mut Bytes, binary: bool) {
    let filler = if binary || core::str::from_utf8(data).is_ok() { 0 } else { u8::MAX };
    *data = vec![filler; data.len()].into();
}

impl Blank for Message {
    fn blank(&mut self) {
        match self {
            Message::Text(text) => *text = "\0".repeat(text.len()).into(),
            Message::Binary(data) => data.blank(),
        }
    }
}

impl Blank for Body {
    fn blank(&mut self) {
        match self {
            Body::Whole(bytes) => bytes.blank(),
            Body::None | Body::Stream => {}
        }
    }
}

impl Blank for Headers {
    fn blank(&mut self) {
        let is_secret = |name: &str| {
            let name = name.to_ascii_lowercase();
            SECRET.iter().any(|secret| name.contains(secret))
        };
        for (_, value) in self.0.iter_mut().filter(|(name, _)| is_secret(name)) {
            *value = asterisks(value);
        }
    }
}

/// As many bytes, of which those that HTTP cannot carry are left where they are.
fn asterisks(value: &str) -> ByteString {
    value.bytes().map(|byte| if byte.is_ascii_control() { char::from(byte) } else { '*' }).collect::<String>().into()
}

impl Blank for DataList {
    fn blank(&mut self) {
        *self = self.iter().map(|item| vec![0; item.len()]).collect();
    }
}

impl Blank for Open {
    fn blank(&mut self) {
        self.head.headers.blank();
        match &mut self.kind {
            OpenKind::Http(body) => body.blank(),
            OpenKind::WebSocket => {}
        }
    }
}

/// Keys stay: a store's ranges are compared.
impl Blank for Call {
    fn blank(&mut self) {
        match self {
            Call::Write(Write::Put { entries, .. }) => entries.values_mut().for_each(Blank::blank),
            Call::Read(_) | Call::Write(Write::Delete(_) | Write::DeleteRange(_) | Write::Drop) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Map;

    #[test]
    fn fields_that_let_somebody_in_are_asterisks() {
        let field = |name: &'static str, value: &'static str| (name.into(), value.into());
        let mut headers: Headers = Map(vec![
            field("Cookie", "a=é; b"),
            field("x-forwarded-for", "10.0.0.1"),
            field("set-cookie", "a=1\nb=2\u{1}"),
        ]);
        headers.blank();
        assert_eq!(
            headers,
            Map(vec![
                field("Cookie", "*******"),
                field("x-forwarded-for", "10.0.0.1"),
                field("set-cookie", "***\n***\u{1}"),
            ])
        );
    }

    #[test]
    fn what_is_a_text_stays_one_and_what_is_none_stays_none() {
        for (data, binary, blank) in
            [("é".as_bytes(), false, &[0, 0][..]), (b"\xc3", false, &[255]), (b"\xc3", true, &[0]), (b"", false, &[])]
        {
            let mut bytes = Bytes::copy_from_slice(data);
            blank_data(&mut bytes, binary);
            assert_eq!(bytes, blank, "{data:?} {binary}");
        }
    }
}
