//! From a form to the value that has it.

use core::str;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::form::Form;
use super::{ENUMS, JsonError};

fn expected<T>(what: &str) -> Result<T, JsonError> {
    Err(JsonError::new(format!("expected {what}")))
}

impl Form {
    fn text(self) -> Result<String, JsonError> {
        match self {
            Form::Text(text) => Ok(text),
            Form::Null | Form::Bool(_) | Form::Number(_) | Form::List(_) | Form::Object(_) => expected("a string"),
        }
    }

    fn bytes(self) -> Result<Vec<u8>, JsonError> {
        const WHAT: &str = "lower-case hex, two digits a byte";
        let text = self.text().or_else(|_| expected(WHAT))?;
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
        let bytes: Option<_> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.map_or_else(|| expected(WHAT), Ok)
    }

    fn list(self, what: &str) -> Result<Vec<Form>, JsonError> {
        match self {
            Form::List(items) => Ok(items),
            Form::Null | Form::Bool(_) | Form::Number(_) | Form::Text(_) | Form::Object(_) => expected(what),
        }
    }

    /// The fields of an object in this order: all of them and no other.
    fn fields(self, names: &'static [&'static str]) -> Result<Vec<Form>, JsonError> {
        let Form::Object(mut fields) = self else { return expected("an object") };
        let mut values = Vec::with_capacity(names.len());
        for name in names {
            let Some(place) = fields.iter().position(|(field, _)| field == name) else {
                return Err(JsonError::new(format!("the field `{name}` is missing")));
            };
            values.push(fields.swap_remove(place).1);
        }
        match fields.first() {
            Some((name, _)) => Err(JsonError::new(format!("there is no field `{name}`"))),
            None => Ok(values),
        }
    }

    /// An integer in its one decimal form.
    fn long<T: str::FromStr + ToString>(self) -> Result<T, JsonError> {
        let text = self.text().unwrap_or_default();
        match text.parse::<T>() {
            Ok(value) if value.to_string() == text => Ok(value),
            Ok(_) | Err(_) => expected("an integer of 64 bits as a string"),
        }
    }
}

impl<'de> Deserializer<'de> for Form {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self {
            Form::Null => visitor.visit_unit(),
            Form::Bool(value) => visitor.visit_bool(value),
            Form::Number(value) => visitor.visit_u64(value),
            Form::Text(text) => visitor.visit_string(text),
            Form::List(_) | Form::Object(_) => expected("a bool, a number or a string"),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 u8 u16 u32 f32 f64 char identifier ignored_any
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_i64(self.long()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_u64(self.long()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_byte_buf(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_byte_buf(self.bytes()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self == Form::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self == Form::Null { visitor.visit_unit() } else { expected("null") }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, JsonError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_seq(Items::numbered(self.list("a list")?))
    }

    /// The only tuples of the protocol are those of bytes, `data[N]`.
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, JsonError> {
        let bytes = self.bytes()?;
        if bytes.len() != len {
            return expected(&format!("{len} bytes of hex"));
        }
        visitor.visit_seq(Items::numbered(bytes.into_iter().map(|byte| Form::Number(byte.into())).collect()))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, _: V) -> Result<V::Value, JsonError> {
        Err(JsonError::custom("the protocol has no such type"))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let pairs = self.list("a list of pairs")?;
        visitor.visit_map(Pairs { pairs: pairs.into_iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        visitor.visit_seq(Items { names: fields, next: 0, items: self.fields(fields)?.into_iter() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        let (tag, val) = if ENUMS.contains(&name) {
            (self.text()?, Form::Null)
        } else {
            let not_a_union = |_| JsonError::new("expected {\"tag\": …, \"val\": …}");
            let mut parts = self.fields(&["tag", "val"]).map_err(not_a_union)?.into_iter();
            let tag = parts.next().unwrap_or(Form::Null).text().map_err(not_a_union)?;
            (tag, parts.next().unwrap_or(Form::Null))
        };
        match members.iter().position(|member| *member == tag) {
            Some(place) => visitor
                .visit_enum(Member { place, val })
                .map_err(|error| if ENUMS.contains(&name) { error } else { error.within(tag) }),
            None => Err(JsonError::new(format!("there is no `{tag}`, but `{}`", members.join("`, `")))),
        }
    }
}

/// The items of a list, or the values of a struct's fields.
struct Items {
    names: &'static [&'static str],
    next: usize,
    items: std::vec::IntoIter<Form>,
}

impl Items {
    fn numbered(items: Vec<Form>) -> Self {
        Items { names: &[], next: 0, items: items.into_iter() }
    }
}

impl<'de> SeqAccess<'de> for Items {
    type Error = JsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, JsonError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let place = self.next;
        self.next += 1;
        let value = seed.deserialize(item).map_err(|error| match self.names.get(place) {
            Some(name) => error.within(*name),
            None => error.within(format!("[{place}]")),
        })?;
        Ok(Some(value))
    }
}

struct Pairs {
    pairs: std::vec::IntoIter<Form>,
    value: Option<(String, Form)>,
}

impl<'de> MapAccess<'de> for Pairs {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, JsonError> {
        const WHAT: &str = "a pair [key, value]";
        let Some(pair) = self.pairs.next() else { return Ok(None) };
        let Ok([key, value]) = <[Form; 2]>::try_from(pair.list(WHAT)?) else { return expected(WHAT) };
        let key = key.text()?;
        self.value = Some((key.clone(), value));
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, JsonError> {
        let (key, value) = self.value.take().unwrap_or((String::new(), Form::Null));
        seed.deserialize(value).map_err(|error| error.within(key))
    }
}

/// A member of a union by its place, and what it holds.
struct Member {
    place: usize,
    val: Form,
}

impl<'de> EnumAccess<'de> for Member {
    type Error = JsonError;
    type Variant = Form;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Form), JsonError> {
        let place: serde::de::value::U64Deserializer<JsonError> = (self.place as u64).into_deserializer();
        Ok((seed.deserialize(place)?, self.val))
    }
}

impl<'de> VariantAccess<'de> for Form {
    type Error = JsonError;

    fn unit_variant(self) -> Result<(), JsonError> {
        if self == Form::Null { Ok(()) } else { expected("null") }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, JsonError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, JsonError> {
        Err(JsonError::custom("the protocol has no such type"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        self.deserialize_struct("", fields, visitor)
    }
}
