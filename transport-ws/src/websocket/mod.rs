//! WebSocket frames (RFC 6455, section 5), without IO.
//!
//! What is read is parsed where it lies, a wake-up's worth at a time, and what is written is gathered for one write.
//! Neither end holds a buffer while nothing is under way, so that an idle WebSocket costs its socket and little more.

mod answered;
mod header;
mod mask;
mod reader;
mod writer;

pub(crate) use self::answered::Answered;
pub(crate) use self::reader::{Incoming, Reader};
pub(crate) use self::writer::{Kind, Writer};

/// Which end of a WebSocket this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one that dialled: it masks what it sends.
    Client,
    /// The one that was dialled.
    Server,
}
