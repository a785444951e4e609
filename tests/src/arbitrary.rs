//! Any message of any version, made of any bytes: its type asks for what it needs, and the bytes decide.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde::de::value::{Error, U64Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use underpass_core::protocol::any::{Message, Schema};

/// A message of any union in any version, without private words.
pub fn message() -> impl Strategy<Value = Message> {
    let schemas: Vec<Schema> = Schema::all().collect();
    (select(schemas), vec(any::<u8>(), 0..400)).prop_map(|(schema, bytes)| message_of(schema, &bytes))
}

/// The message of a type that these bytes decide on.
pub fn message_of(schema: Schema, bytes: &[u8]) -> Message {
    schema.deserialize(&mut Choices(bytes)).expect("choices fit each type")
}

/// What a peer gets wrong: good bytes with a few of them changed, cut off or repeated.
pub fn damaged() -> impl Strategy<Value = (Schema, Bytes)> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (message(), changes, any::<prop::sample::Index>(), vec(any::<u8>(), 0..2)).prop_map(|(good, changes, cut, more)| {
        let mut bytes = good.encode().into_bytes().to_vec();
        for (place, byte) in changes {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes.extend(more);
        (good.schema(), bytes.into())
    })
}

/// Any bytes for any type.
pub fn noise() -> impl Strategy<Value = (Schema, Bytes)> {
    let schemas: Vec<Schema> = Schema::all().collect();
    (select(schemas), vec(any::<u8>(), 0..200).prop_map(Bytes::from))
}

/// Bytes that decide; when they are used up, zeros do.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        let bytes = [(); 8].map(|()| self.byte());
        // Small numbers, and those at the ends, are the ones that matter.
        match bytes[0] {
            0..=99 => u64::from(bytes[1]),
            100..=119 => u64::MAX,
            120..=139 => 1 << (bytes[1] % 64),
            140..=255 => u64::from_le_bytes(bytes),
        }
    }

    /// Mostly short, sometimes past where a length takes two bytes.
    fn length(&mut self) -> usize {
        match self.byte() {
            250..=255 => 120 + usize::from(self.byte() % 16),
            few => usize::from(few % 6),
        }
    }

    fn text(&mut self) -> String {
        const LETTERS: [char; 8] = ['a', 'b', '"', '\\', '\0', 'ß', '\u{2028}', '𝄞'];
        (0..self.length()).map(|_| LETTERS[usize::from(self.byte() % 8)]).collect()
    }
}

macro_rules! numbers {
    ($($deserialize:ident $visit:ident $type:ty;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.number() as $type)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Choices<'_> {
    type Error = Error;

    numbers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i64 visit_i64 i64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("the protocol has no such type"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.byte() % 2 == 1)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf((0..self.length()).map(|_| self.byte()).collect())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.byte().is_multiple_of(2) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.length();
        visitor.visit_seq(Items { choices: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { choices: self, left })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.length();
        visitor.visit_map(Items { choices: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        const PRIVATE: [&str; 12] = [
            "ToClientDraining",
            "ToClientCredit",
            "ToServerCredit",
            "ToGatewayConnectionEnded",
            "ToGatewayRefused",
            "ToGatewayRouteOpen",
            "ToGatewayRestored",
            "ToGatewayProbed",
            "ToGatewayLost",
            "ToGatewayDoubted",
            "ToRunnerProbe",
            "ToRunnerLeftBehind",
        ];
        let published = members.iter().filter(|member| !PRIVATE.contains(member)).count();
        let place = usize::from(self.byte()) % published;
        visitor.visit_enum(Member { choices: self, place })
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 f32 f64 char unit_struct tuple_struct identifier ignored_any
    }
}

struct Items<'c, 'a> {
    choices: &'c mut Choices<'a>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.choices).map(Some)
    }
}

/// The only maps are those with strings for keys. What is left makes each key its own.
impl<'de> MapAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let key = format!("{}{}", self.choices.text(), self.left);
        self.left -= 1;
        let key: serde::de::value::StringDeserializer<Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.choices)
    }
}

struct Member<'c, 'a> {
    choices: &'c mut Choices<'a>,
    place: usize,
}

impl<'de, 'c, 'a> EnumAccess<'de> for Member<'c, 'a> {
    type Error = Error;
    type Variant = &'c mut Choices<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Error> {
        let place: U64Deserializer<Error> = (self.place as u64).into_deserializer();
        Ok((seed.deserialize(place)?, self.choices))
    }
}

impl<'de> VariantAccess<'de> for &mut Choices<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}
