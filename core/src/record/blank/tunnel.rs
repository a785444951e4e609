//! Tunnel messages, of all versions.

use super::{Blank, blank_data};
use crate::protocol::tunnel::to_client::{RequestChunk, RequestStart, WebSocketMessage, WebSocketOpen};
use crate::protocol::tunnel::to_server::{ResponseChunk, ResponseStart};
use crate::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use crate::protocol::{v1, v2, v3};

impl Blank for RequestStart {
    fn blank(&mut self) {
        self.headers.blank();
        self.body.blank();
    }
}

impl Blank for RequestChunk {
    fn blank(&mut self) {
        self.body.blank();
    }
}

impl Blank for WebSocketOpen {
    fn blank(&mut self) {
        self.headers.blank();
    }
}

impl Blank for WebSocketMessage {
    fn blank(&mut self) {
        blank_data(&mut self.data, self.binary);
    }
}

impl Blank for v2::ToClientWebSocketMessage {
    fn blank(&mut self) {
        blank_data(&mut self.data, self.binary);
    }
}

impl Blank for ResponseStart {
    fn blank(&mut self) {
        self.headers.blank();
        self.body.blank();
    }
}

impl Blank for ResponseChunk {
    fn blank(&mut self) {
        self.body.blank();
    }
}

/// Kinds of tunnel messages: those that carry something, and the others.
macro_rules! kinds {
    ($($kind:ty { $($carries:ident)* } others { $($other:pat,)* })*) => {$(
        const _: () = {
            type Kind = $kind;

            impl Blank for Kind {
                fn blank(&mut self) {
                    match self {
                        $(Kind::$carries(message) => message.blank(),)*
                        $($other)|* => {}
                    }
                }
            }
        };
    )*};
}

kinds! {
    to_client::Kind { RequestStart RequestChunk WebSocketOpen WebSocketMessage }
    others { Kind::RequestAbort, Kind::WebSocketClose(_), Kind::Credit(_), }

    to_server::Kind { ResponseStart ResponseChunk WebSocketMessage }
    others {
        Kind::ResponseAbort,
        Kind::WebSocketOpen(_),
        Kind::WebSocketMessageAck(_),
        Kind::WebSocketClose(_),
        Kind::Credit(_),
    }

    v3::ToClientKind { RequestStart RequestChunk WebSocketOpen WebSocketMessage }
    others { Kind::DeprecatedTunnelAck, Kind::RequestAbort, Kind::WebSocketClose(_), }

    v3::ToServerKind { ResponseStart ResponseChunk WebSocketMessage }
    others {
        Kind::DeprecatedTunnelAck,
        Kind::ResponseAbort,
        Kind::WebSocketOpen(_),
        Kind::WebSocketMessageAck(_),
        Kind::WebSocketClose(_),
    }

    v2::ToClientKind { RequestStart RequestChunk WebSocketOpen WebSocketMessage }
    others { Kind::TunnelAck, Kind::RequestAbort, Kind::WebSocketClose(_), }

    v2::ToServerKind { ResponseStart ResponseChunk WebSocketMessage }
    others {
        Kind::TunnelAck,
        Kind::ResponseAbort,
        Kind::WebSocketOpen(_),
        Kind::WebSocketMessageAck(_),
        Kind::WebSocketClose(_),
    }

    v1::ToClientKind { RequestStart RequestChunk WebSocketOpen WebSocketMessage }
    others { Kind::TunnelAck, Kind::RequestAbort, Kind::WebSocketClose(_), }

    v1::ToServerKind { ResponseStart ResponseChunk WebSocketMessage }
    others { Kind::TunnelAck, Kind::ResponseAbort, Kind::WebSocketOpen, Kind::WebSocketClose(_), }
}

impl Blank for ToClientTunnelMessage {
    fn blank(&mut self) {
        self.message_kind.blank();
    }
}

impl Blank for ToServerTunnelMessage {
    fn blank(&mut self) {
        self.message_kind.blank();
    }
}

impl Blank for v3::ToClientTunnelMessage {
    fn blank(&mut self) {
        self.message_kind.blank();
    }
}

impl Blank for v3::ToServerTunnelMessage {
    fn blank(&mut self) {
        self.message_kind.blank();
    }
}

impl<Kind: Blank> Blank for v2::ToClientTunnelMessage<Kind> {
    fn blank(&mut self) {
        self.message_kind.blank();
    }
}

impl<Kind: Blank> Blank for v2::ToServerTunnelMessage<Kind> {
    fn blank(&mut self) {
        self.message_kind.blank();
    }
}
