//! What a runner shows to be let in: it travels as the name of a WebSocket sub-protocol.

/// Whether it can travel so. A name in a list has neither spaces nor commas.
pub(crate) fn fits(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}
