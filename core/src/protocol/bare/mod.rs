//! BARE, read strictly and written plainly.
//!
//! Tunnel messages have a codec of their own, [`Wire`], which shares payloads with the frame; those of version 4 and
//! newer are written by hand, with [`PutBare`]. Everything else goes through serde, read by [`front::read`] and written
//! by [`encode`].

use bytes::Bytes;
use serde::Serialize;

use crate::frame::Frame;

pub(crate) mod front;
mod reader;
mod wire;
mod writer;

pub(crate) use reader::Reader;
pub(crate) use wire::{Pieces, Wire, wire_struct, wire_union};
pub(crate) use writer::{PutBare, data_len, length_len};

/// A value as serde_bare writes it, behind the bytes of `lead`.
pub(crate) fn encode(lead: &[u8], value: &impl Serialize) -> Frame {
    let mut bytes = lead.to_vec();
    serde_bare::to_writer(&mut bytes, value).expect("writing to memory works, and each list knows its length");
    Frame::from(Bytes::from(bytes))
}
