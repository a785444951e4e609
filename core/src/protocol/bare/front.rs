//! The strict front of serde_bare.
//!
//! serde_bare by itself takes bytes left over, varints with superfluous zeros, and bools and optionals other than 0
//! and 1, and cannot say where it failed. So a [`Reader`] goes first: it checks the extent of each primitive value and
//! hands exactly those bytes on. Lists, maps, optionals and unions are counted here.
//!
//! Strings and data become copies on this way. Control messages are kept for long, and should not keep a large frame.

use core::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde_bare::de::{Deserializer as BareDeserializer, SliceRead};

use super::Reader;
use crate::error::{Malformed, PeerError};

/// The value that starts where the reader stands.
pub(crate) fn read<'f, T: Deserialize<'f>>(reader: &mut Reader<'f>) -> Result<T, PeerError> {
    let start = reader.offset();
    T::deserialize(&mut Front { reader }).map_err(|fault| match fault {
        Fault::Malformed(error) => error,
        Fault::Refused => reader.malformed(Malformed::BadTag, start, "a value of this type"),
    })
}

struct Front<'r, 'f> {
    reader: &'r mut Reader<'f>,
}

/// Why serde gave up.
#[derive(Debug)]
enum Fault {
    /// The front found the bytes to break the protocol.
    Malformed(PeerError),
    /// The bytes are good BARE, but the type will not have the value.
    Refused,
}

impl From<PeerError> for Fault {
    fn from(error: PeerError) -> Self {
        Fault::Malformed(error)
    }
}

impl From<serde_bare::error::Error> for Fault {
    fn from(_: serde_bare::error::Error) -> Self {
        Fault::Refused
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Malformed(error) => error.fmt(f),
            Fault::Refused => f.write_str("a value that its type refuses"),
        }
    }
}

impl core::error::Error for Fault {}

/// The words of serde's refusals are lost, so that a hostile peer cannot make us format them.
impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Fault::Refused
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Fault::Refused
    }
}

impl<'f> Front<'_, 'f> {
    /// Lets `check` find the extent of a primitive value, and serde_bare decode those bytes.
    fn hand_on<V>(
        &mut self,
        check: impl FnOnce(&mut Reader<'f>) -> Result<(), PeerError>,
        decode: impl FnOnce(&mut BareDeserializer<SliceRead<'_>>) -> Result<V, serde_bare::error::Error>,
    ) -> Result<V, Fault> {
        let start = self.reader.offset();
        check(self.reader)?;
        let checked = self.reader.since(start);
        Ok(decode(&mut BareDeserializer::new(SliceRead::new(&checked)))?)
    }
}

macro_rules! hand_on {
    ($($deserialize:ident: $check:expr;)*) => {$(
        fn $deserialize<V: Visitor<'f>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.hand_on($check, |bare| bare.$deserialize(visitor))
        }
    )*};
}

impl<'f> Deserializer<'f> for &mut Front<'_, 'f> {
    type Error = Fault;

    hand_on! {
        deserialize_bool: |reader| reader.bool().map(drop);
        deserialize_i8: |reader| reader.skip(1, "one byte");
        deserialize_i16: |reader| reader.skip(2, "two bytes");
        deserialize_i32: |reader| reader.skip(4, "four bytes");
        deserialize_i64: |reader| reader.skip(8, "eight bytes");
        deserialize_u8: |reader| reader.skip(1, "one byte");
        deserialize_u16: |reader| reader.skip(2, "two bytes");
        deserialize_u32: |reader| reader.skip(4, "four bytes");
        deserialize_u64: |reader| reader.skip(8, "eight bytes");
        deserialize_f32: |reader| reader.skip(4, "four bytes");
        deserialize_f64: |reader| reader.skip(8, "eight bytes");
        deserialize_char: |reader| reader.skip(4, "four bytes");
        deserialize_str: Reader::check_text;
        deserialize_string: Reader::check_text;
        deserialize_bytes: Reader::skip_data;
        deserialize_byte_buf: Reader::skip_data;
    }

    fn deserialize_option<V: Visitor<'f>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.reader.optional()? { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'f>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'f>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'f>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'f>>(self, visitor: V) -> Result<V::Value, Fault> {
        let left = self.reader.length()?;
        visitor.visit_seq(Items { front: self, left })
    }

    fn deserialize_tuple<V: Visitor<'f>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Items { front: self, left: len })
    }

    fn deserialize_tuple_struct<V: Visitor<'f>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'f>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    /// The only thing that a map's visitor refuses by itself is a repeated key.
    fn deserialize_map<V: Visitor<'f>>(self, visitor: V) -> Result<V::Value, Fault> {
        let left = self.reader.length()?;
        let mut pairs = Pairs { key_offset: self.reader.offset(), left, front: self };
        visitor.visit_map(&mut pairs).map_err(|fault| match fault {
            Fault::Malformed(_) => fault,
            Fault::Refused => {
                let expected = "a key that the map does not have yet";
                pairs.front.reader.malformed(Malformed::DuplicateMapKey, pairs.key_offset, expected).into()
            }
        })
    }

    fn deserialize_enum<V: Visitor<'f>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(Member { front: self, members: variants.len() })
    }

    fn deserialize_any<V: Visitor<'f>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::custom("BARE does not describe itself"))
    }

    fn deserialize_identifier<V: Visitor<'f>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'f>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

struct Items<'a, 'r, 'f> {
    front: &'a mut Front<'r, 'f>,
    left: usize,
}

impl<'f> SeqAccess<'f> for Items<'_, '_, 'f> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'f>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.front).map(Some)
    }
}

struct Pairs<'a, 'r, 'f> {
    front: &'a mut Front<'r, 'f>,
    left: usize,
    key_offset: usize,
}

impl<'f> MapAccess<'f> for &mut Pairs<'_, '_, 'f> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'f>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.key_offset = self.front.reader.offset();
        seed.deserialize(&mut *self.front).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'f>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        seed.deserialize(&mut *self.front)
    }
}

struct Member<'a, 'r, 'f> {
    front: &'a mut Front<'r, 'f>,
    members: usize,
}

impl<'f> EnumAccess<'f> for Member<'_, '_, 'f> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'f>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let members = self.members;
        let check = |reader: &mut Reader<'f>| reader.tag(members, "a tag or value that this version has").map(drop);
        let tag = self.front.hand_on(check, |bare| seed.deserialize(bare))?;
        Ok((tag, self))
    }
}

impl<'f> VariantAccess<'f> for Member<'_, '_, 'f> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'f>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self.front)
    }

    fn tuple_variant<V: Visitor<'f>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.front.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'f>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.front.deserialize_tuple(fields.len(), visitor)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use bytestring::ByteString;

    use super::*;
    use crate::frame::Frame;
    use crate::protocol::map::Map;

    fn read_all<T: for<'f> Deserialize<'f>>(bytes: &[u8]) -> Result<T, (Malformed, usize)> {
        let frame = Frame::from(Bytes::copy_from_slice(bytes));
        read(&mut Reader::new(&frame)).map_err(|error| (error.class, error.offset))
    }

    #[test]
    fn what_serde_bare_lets_pass_is_refused_where_it_stands() {
        assert_eq!(read_all::<(u8, bool)>(&[9, 2]), Err((Malformed::BadBool, 1)));
        assert_eq!(read_all::<(u8, Option<u8>)>(&[9, 2, 1]), Err((Malformed::BadOptional, 1)));
        assert_eq!(read_all::<Vec<u8>>(&[0x81, 0, 9]), Err((Malformed::NonCanonicalVarint, 0)));
        assert_eq!(read_all::<(u8, u32)>(&[9, 1, 2, 3]), Err((Malformed::Truncated, 1)));
    }

    #[test]
    fn a_repeated_key_is_found_where_it_repeats() {
        let few = b"\x03\x01a\x00\x01b\x00\x01a\x00";
        assert_eq!(read_all::<Map<ByteString>>(few), Err((Malformed::DuplicateMapKey, 7)));

        for repeated in [0, 50, 98] {
            let mut many = vec![100];
            for key in (0..99).chain([repeated]) {
                many.extend([1, key, 0]);
            }
            assert_eq!(read_all::<Map<ByteString>>(&many), Err((Malformed::DuplicateMapKey, 1 + 99 * 3)));
        }
    }

    #[test]
    fn a_malformed_value_within_a_map_keeps_its_own_name() {
        assert_eq!(read_all::<Map<bool>>(b"\x01\x01a\x02"), Err((Malformed::BadBool, 3)));
    }

    #[test]
    fn items_without_bytes_cannot_be_counted_up() {
        assert_eq!(read_all::<Vec<()>>(&[0xff, 0xff, 0xff, 0xff, 7]), Err((Malformed::Truncated, 0)));
    }

    #[test]
    fn a_tag_is_compared_before_it_is_narrowed() {
        let two_to_the_32 = [0x80, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(read_all::<Result<(), ()>>(&two_to_the_32), Err((Malformed::BadTag, 0)));
    }
}
