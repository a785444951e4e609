//! What records are called: words with dots between them, of letters, digits, `-`, `_` and `=HH` for any other byte.

use core::fmt::Write;

use bytestring::ByteString;
use underpass_core::directory::{ActorKey, Pool, RunnerKey};
use underpass_core::protocol::GatewayId;

/// A key of records.
pub(crate) trait Key: Ord + Clone + Send + 'static {
    /// How it is written.
    fn to_text(&self) -> String;

    /// Reads what was written so.
    fn from_text(text: &str) -> Option<Self>;
}

impl Key for RunnerKey {
    fn to_text(&self) -> String {
        written(&[&self.pool.namespace, &self.pool.name, &self.key])
    }

    fn from_text(text: &str) -> Option<Self> {
        let [namespace, name, key] = read(text)?;
        Some(RunnerKey { pool: Pool { namespace, name }, key })
    }
}

impl Key for ActorKey {
    fn to_text(&self) -> String {
        written(&[&self.pool.namespace, &self.pool.name, &self.actor_id])
    }

    fn from_text(text: &str) -> Option<Self> {
        let [namespace, name, actor_id] = read(text)?;
        Some(ActorKey { pool: Pool { namespace, name }, actor_id })
    }
}

impl Key for GatewayId {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        let id = u32::from_str_radix(text, 16).ok()?;
        (text.len() == 8).then(|| GatewayId(id.to_be_bytes()))
    }
}

fn written(words: &[&str]) -> String {
    let mut text = String::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        // A word has at least one letter.
        if word.is_empty() {
            text.push('=');
        }
        for byte in word.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
                text.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _ = write!(text, "={byte:02x}");
            }
        }
    }
    text
}

fn read<const N: usize>(text: &str) -> Option<[ByteString; N]> {
    let words: Vec<ByteString> = text.split('.').map(word).collect::<Option<_>>()?;
    words.try_into().ok()
}

fn word(text: &str) -> Option<ByteString> {
    if text == "=" {
        return Some(ByteString::new());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('=');
    bytes.extend(parts.next()?.bytes());
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend(rest.bytes());
    }
    ByteString::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str, actor_id: &str) -> ActorKey {
        ActorKey { pool: Pool { namespace: namespace.into(), name: name.into() }, actor_id: actor_id.into() }
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        for (key, text) in [
            (key("default", "games", "chess-7_a"), "default.games.chess-7_a"),
            (key("", "a.b", "*>"), "=.a=2eb.=2a=3e"),
            (key("ä", "a b", "=/\u{0}"), "=c3=a4.a=20b.=3d=2f=00"),
        ] {
            assert_eq!(key.to_text(), text);
            assert_eq!(ActorKey::from_text(text), Some(key.clone()));
            let ActorKey { pool, actor_id } = key;
            let runner = RunnerKey { pool, key: actor_id };
            assert_eq!(RunnerKey::from_text(&runner.to_text()), Some(runner));
        }
        let id = GatewayId([0, 0xa, 0, 1]);
        assert_eq!(GatewayId::from_text(&id.to_text()), Some(id));
    }

    #[test]
    fn what_nobody_wrote_is_not_read() {
        for text in ["", "a.b", "a.b.c.d", "a.b.=f", "a.b.=xx", "a.b.=ff", "a.b.=2"] {
            assert_eq!(ActorKey::from_text(text), None, "{text}");
        }
        for text in ["", "123", "0123456789", "xxxxxxxx"] {
            assert_eq!(GatewayId::from_text(text), None, "{text}");
        }
    }
}
