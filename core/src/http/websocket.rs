//! What is particular to WebSockets.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::protocol::tunnel::to_client::{WebSocketClose, WebSocketMessage};

/// A message of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A text message: UTF-8.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// Its length, bytes.
    pub fn len(&self) -> usize {
        match self {
            Message::Text(text) => text.len(),
            Message::Binary(data) => data.len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message as it travels.
    pub fn into_wire(self) -> WebSocketMessage {
        match self {
            Message::Text(text) => WebSocketMessage { data: text.into_bytes(), binary: false },
            Message::Binary(data) => WebSocketMessage { data, binary: true },
        }
    }

    /// The message that travelled; none if it is a text that is not UTF-8. Nothing is copied.
    pub fn from_wire(message: WebSocketMessage) -> Option<Message> {
        match message {
            WebSocketMessage { data, binary: true } => Some(Message::Binary(data)),
            WebSocketMessage { data, binary: false } => ByteString::try_from(data).ok().map(Message::Text),
        }
    }
}

/// How a WebSocket ended: a close frame's code and reason, as far as there were any.
///
/// The code 1006 stands for an end without a close frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The code.
    pub code: Option<u16>,
    /// The reason, at most 123 bytes where it goes to a socket.
    pub reason: Option<ByteString>,
}

impl Close {
    /// A close with code and reason.
    pub fn new(code: u16, reason: impl Into<ByteString>) -> Self {
        Close { code: Some(code), reason: Some(reason.into()) }
    }

    /// The end of a socket that was cut: 1006.
    pub fn abnormal() -> Self {
        Close { code: Some(1006), reason: None }
    }

    /// The close as it travels to a runner.
    pub fn into_wire(self) -> WebSocketClose {
        WebSocketClose { code: self.code, reason: self.reason }
    }

    /// What can be written in a close frame: the code, unless there is none or it must not be sent (RFC 6455, 7.4),
    /// and the reason, cut to 123 bytes.
    pub fn on_the_socket(&self) -> Option<(u16, &str)> {
        let code = self.code?;
        let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let reason = self.reason.as_deref().unwrap_or_default();
        may_be_sent.then(|| (code, &reason[..reason.floor_char_boundary(123)]))
    }
}

/// The sub-protocol that a client's WebSocket gets of those that it offered, in the order of the offer: `rivet` if it
/// is among them, else the first; none if it offered none.
///
/// The same for gateway and handler, so both know it from the field `sec-websocket-protocol`.
pub fn select_subprotocol(offered: &str) -> Option<&str> {
    let mut names = offered.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.clone().find(|name| *name == "rivet").or_else(|| names.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_bytes_of_its_text_or_data() {
        for (message, bytes) in [(Message::Text("é".into()), 2), (Message::Binary(Bytes::from_static(&[0])), 1)] {
            assert_eq!((message.len(), message.is_empty()), (bytes, false));
        }
        assert!(Message::Text("".into()).is_empty() && Message::Binary(Bytes::new()).is_empty());
    }

    #[test]
    fn a_close_frame_has_a_code_that_may_be_sent_and_a_reason_that_fits() {
        assert_eq!(Close::new(1000, "bye").on_the_socket(), Some((1000, "bye")));
        assert_eq!(Close { code: Some(4999), reason: None }.on_the_socket(), Some((4999, "")));
        assert_eq!(Close::default().on_the_socket(), None);
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(Close::new(code, "").on_the_socket(), None, "{code}");
        }
        for (reason, fits) in [("x".repeat(124), 123), ("x".repeat(123), 123), ("x".repeat(122) + "é", 122)] {
            assert_eq!(Close::new(1000, reason.clone()).on_the_socket(), Some((1000, &reason[..fits])));
        }
    }

    #[test]
    fn rivet_is_preferred_and_else_the_first_is_taken() {
        assert_eq!(select_subprotocol("chat, rivet"), Some("rivet"));
        assert_eq!(select_subprotocol(" ,chat,superchat"), Some("chat"));
        assert_eq!(select_subprotocol(""), None);
    }
}
