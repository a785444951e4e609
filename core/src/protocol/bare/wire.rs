//! Types that are read from a frame and written to one by hand, so that payloads stay slices of it.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{PutBare, Reader};
use crate::error::{Malformed, PeerError};
use crate::frame::Frame;
use crate::protocol::map::{Map, Pairs};

/// A type with a codec of its own. Strings and data that are read are slices of the frame.
pub(crate) trait Wire: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError>;
    fn write(&self, pieces: &mut Pieces);
}

/// A struct's fields, in the order of the wire. `for Kind, Struct<Kind>` is a struct that has a type parameter.
macro_rules! wire_struct {
    (for $inner:ident, $name:ty { $($field:ident),* $(,)? }) => {
        $crate::protocol::bare::wire_struct!(@ [$inner] $name { $($field),* });
    };
    (@ [$($inner:ident)?] $name:ty { $($field:ident),* }) => {
        impl $(<$inner: $crate::protocol::bare::Wire>)? $crate::protocol::bare::Wire for $name {
            fn read(
                reader: &mut $crate::protocol::bare::Reader<'_>,
            ) -> Result<Self, $crate::error::PeerError> {
                Ok(Self { $($field: $crate::protocol::bare::Wire::read(reader)?),* })
            }

            fn write(&self, pieces: &mut $crate::protocol::bare::Pieces) {
                let Self { $($field),* } = self;
                $($crate::protocol::bare::Wire::write($field, pieces);)*
            }
        }
    };
    ($name:ty { $($field:ident),* $(,)? }) => {
        $crate::protocol::bare::wire_struct!(@ [] $name { $($field),* });
    };
}

/// A union's members in the order of their tags, those that are void by themselves.
macro_rules! wire_union {
    ($name:ident { $($member:ident $(($value:ident))?),* $(,)? }) => {
        impl $crate::protocol::bare::Wire for $name {
            fn read(
                reader: &mut $crate::protocol::bare::Reader<'_>,
            ) -> Result<Self, $crate::error::PeerError> {
                #[derive(Clone, Copy)]
                enum Tag { $($member),* }
                const TAGS: &[Tag] = &[$(Tag::$member),*];
                let tag = reader.tag(TAGS.len(), "a tag that this version has")?;
                Ok(match TAGS[tag as usize] {
                    $(Tag::$member => {
                        $(let $value = $crate::protocol::bare::Wire::read(reader)?;)?
                        $name::$member $(($value))?
                    })*
                })
            }

            fn write(&self, pieces: &mut $crate::protocol::bare::Pieces) {
                enum Tag { $($member),* }
                match self {
                    $($name::$member $(($value))? => {
                        pieces.tag(Tag::$member as u8);
                        $($crate::protocol::bare::Wire::write($value, pieces);)?
                    })*
                }
            }
        }
    };
}

pub(crate) use {wire_struct, wire_union};

/// A frame in the making: the first payload becomes its body, what stands before and behind is put around it.
#[derive(Default)]
pub(crate) struct Pieces {
    head: BytesMut,
    body: Option<Bytes>,
    tail: BytesMut,
}

impl Pieces {
    /// Behind the bytes of `lead`.
    pub(crate) fn new(lead: &[u8]) -> Self {
        /// Enough for whatever has no headers.
        const USUAL: usize = 64;
        let mut head = BytesMut::with_capacity(USUAL);
        head.put_slice(lead);
        Pieces { head, ..Pieces::default() }
    }

    pub(crate) fn tag(&mut self, tag: u8) {
        self.plain().put_u8(tag);
    }

    pub(crate) fn into_frame(self) -> Frame {
        Frame::around(self.head.freeze(), self.body.unwrap_or_default(), &self.tail)
    }

    /// Where what is not payload goes.
    pub(crate) fn plain(&mut self) -> &mut BytesMut {
        if self.body.is_none() { &mut self.head } else { &mut self.tail }
    }
}

impl Wire for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        reader.bool()
    }

    fn write(&self, pieces: &mut Pieces) {
        pieces.plain().put_bool(*self);
    }
}

impl Wire for u16 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        reader.u16()
    }

    fn write(&self, pieces: &mut Pieces) {
        pieces.plain().put_u16_le(*self);
    }
}

impl Wire for i64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        reader.array("eight bytes").map(i64::from_le_bytes)
    }

    fn write(&self, pieces: &mut Pieces) {
        pieces.plain().put_i64_le(*self);
    }
}

impl Wire for Bytes {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        reader.data()
    }

    fn write(&self, pieces: &mut Pieces) {
        pieces.plain().put_length(self.len());
        match pieces.body {
            None => pieces.body = Some(self.clone()),
            Some(_) => pieces.tail.put_slice(self),
        }
    }
}

impl Wire for ByteString {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        reader.text()
    }

    fn write(&self, pieces: &mut Pieces) {
        pieces.plain().put_text(self);
    }
}

impl<T: Wire> Wire for Option<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        if reader.optional()? { T::read(reader).map(Some) } else { Ok(None) }
    }

    fn write(&self, pieces: &mut Pieces) {
        self.is_some().write(pieces);
        if let Some(value) = self {
            value.write(pieces);
        }
    }
}

impl Wire for Map<ByteString> {
    /// Steps over all pairs first, to make room for as many as there are and not for as many as are claimed.
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        let count = reader.length()?;
        let mut ahead = reader.clone();
        let is_whole = (0..2 * count).all(|_| ahead.skip_data().is_ok());
        let mut pairs = Pairs::with_room_for(if is_whole { count } else { 0 });
        for _ in 0..count {
            let start = reader.offset();
            let (key, value) = (reader.text()?, reader.text()?);
            pairs.push(key, value).map_err(|_| {
                reader.malformed(Malformed::DuplicateMapKey, start, "a header that the map does not have yet")
            })?;
        }
        Ok(pairs.into_map())
    }

    fn write(&self, pieces: &mut Pieces) {
        let head = pieces.plain();
        head.put_length(self.len());
        for (name, value) in self.iter() {
            head.put_text(name);
            head.put_text(value);
        }
    }
}
