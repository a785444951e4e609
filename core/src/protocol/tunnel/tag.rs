//! The tags of the kinds of tunnel messages, the private ones last.

use super::Dialect;
use crate::error::PeerError;
use crate::protocol::bare::Reader;

macro_rules! tags {
    ($(#[$doc:meta])* $name:ident { published: $($published:ident)*, private: $private:ident }) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) enum $name {
            $($published,)*
            $private,
        }

        impl $name {
            const PUBLISHED: &[$name] = &[$($name::$published),*];
            const UNDERPASS: &[$name] = &[$($name::$published,)* $name::$private];

            #[inline]
            pub(crate) fn read(reader: &mut Reader<'_>, dialect: Dialect) -> Result<Self, PeerError> {
                let tags = match dialect {
                    Dialect::Published => $name::PUBLISHED,
                    Dialect::Underpass => $name::UNDERPASS,
                };
                let tag = reader.tag(tags.len(), "a kind of tunnel message that the connection knows")?;
                Ok(tags[tag as usize])
            }
        }
    };
}

tags! {
    /// Of `ToClientTunnelMessageKind`.
    ToClientTag {
        published: RequestStart RequestChunk RequestAbort WebSocketOpen WebSocketMessage WebSocketClose,
        private: Credit
    }
}

tags! {
    /// Of `ToServerTunnelMessageKind`.
    ToServerTag {
        published: ResponseStart ResponseChunk ResponseAbort WebSocketOpen WebSocketMessage WebSocketMessageAck
            WebSocketClose,
        private: Credit
    }
}
