//! From a value of the protocol to its form.

use core::fmt::Write as _;

use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    Serializer,
};

use super::form::Form;
use super::{ENUMS, JsonError};

/// Serializes a value into its form.
pub(super) struct ToForm;

fn no_such_type<T>() -> Result<T, JsonError> {
    Err(JsonError::new("the protocol has no such type"))
}

fn union(tag: &'static str, val: Form) -> Form {
    Form::Object(vec![("tag".into(), Form::Text(tag.to_owned())), ("val".into(), val)])
}

fn hex(bytes: &[u8]) -> Form {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("memory takes it");
    }
    Form::Text(digits)
}

impl Serializer for ToForm {
    type Ok = Form;
    type Error = JsonError;
    type SerializeSeq = List;
    type SerializeTuple = Tuple;
    type SerializeTupleStruct = Impossible<Form, JsonError>;
    type SerializeTupleVariant = Impossible<Form, JsonError>;
    type SerializeMap = Pairs;
    type SerializeStruct = Object;
    type SerializeStructVariant = Object;

    fn serialize_bool(self, value: bool) -> Result<Form, JsonError> {
        Ok(Form::Bool(value))
    }

    fn serialize_u8(self, value: u8) -> Result<Form, JsonError> {
        Ok(Form::Number(value.into()))
    }

    fn serialize_u16(self, value: u16) -> Result<Form, JsonError> {
        Ok(Form::Number(value.into()))
    }

    fn serialize_u32(self, value: u32) -> Result<Form, JsonError> {
        Ok(Form::Number(value.into()))
    }

    fn serialize_u64(self, value: u64) -> Result<Form, JsonError> {
        Ok(Form::Text(value.to_string()))
    }

    fn serialize_i64(self, value: i64) -> Result<Form, JsonError> {
        Ok(Form::Text(value.to_string()))
    }

    fn serialize_i8(self, _: i8) -> Result<Form, JsonError> {
        no_such_type()
    }

    fn serialize_i16(self, _: i16) -> Result<Form, JsonError> {
        no_such_type()
    }

    fn serialize_i32(self, _: i32) -> Result<Form, JsonError> {
        no_such_type()
    }

    fn serialize_f32(self, _: f32) -> Result<Form, JsonError> {
        no_such_type()
    }

    fn serialize_f64(self, _: f64) -> Result<Form, JsonError> {
        no_such_type()
    }

    fn serialize_char(self, _: char) -> Result<Form, JsonError> {
        no_such_type()
    }

    fn serialize_str(self, text: &str) -> Result<Form, JsonError> {
        Ok(Form::Text(text.to_owned()))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Form, JsonError> {
        Ok(hex(bytes))
    }

    fn serialize_none(self) -> Result<Form, JsonError> {
        Ok(Form::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Form, JsonError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Form, JsonError> {
        Ok(Form::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Form, JsonError> {
        Ok(Form::Null)
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, member: &'static str) -> Result<Form, JsonError> {
        if ENUMS.contains(&name) { Ok(Form::Text(member.to_owned())) } else { Ok(union(member, Form::Null)) }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Form, JsonError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        member: &'static str,
        value: &T,
    ) -> Result<Form, JsonError> {
        Ok(union(member, value.serialize(self)?))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<List, JsonError> {
        Ok(List(Vec::with_capacity(len.unwrap_or_default())))
    }

    fn serialize_tuple(self, len: usize) -> Result<Tuple, JsonError> {
        Ok(Tuple(Vec::with_capacity(len)))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, JsonError> {
        no_such_type()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, JsonError> {
        no_such_type()
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Pairs, JsonError> {
        Ok(Pairs { pairs: Vec::with_capacity(len.unwrap_or_default()), key: None })
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Object, JsonError> {
        Ok(Object { fields: Vec::with_capacity(len), member: None })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        member: &'static str,
        len: usize,
    ) -> Result<Object, JsonError> {
        Ok(Object { fields: Vec::with_capacity(len), member: Some(member) })
    }
}

pub(super) struct List(Vec<Form>);

impl SerializeSeq for List {
    type Ok = Form;
    type Error = JsonError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.0.push(value.serialize(ToForm)?);
        Ok(())
    }

    fn end(self) -> Result<Form, JsonError> {
        Ok(Form::List(self.0))
    }
}

/// The only tuples of the protocol are those of bytes, `data[N]`.
pub(super) struct Tuple(Vec<Form>);

impl SerializeTuple for Tuple {
    type Ok = Form;
    type Error = JsonError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.0.push(value.serialize(ToForm)?);
        Ok(())
    }

    fn end(self) -> Result<Form, JsonError> {
        let byte = |form: &Form| match form {
            Form::Number(number) => u8::try_from(*number).ok(),
            Form::Null | Form::Bool(_) | Form::Text(_) | Form::List(_) | Form::Object(_) => None,
        };
        let bytes: Option<Vec<u8>> = self.0.iter().map(byte).collect();
        bytes.map_or_else(no_such_type, |bytes| Ok(hex(&bytes)))
    }
}

pub(super) struct Pairs {
    pairs: Vec<(String, Form)>,
    key: Option<String>,
}

impl SerializeMap for Pairs {
    type Ok = Form;
    type Error = JsonError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        match key.serialize(ToForm)? {
            Form::Text(key) => self.key = Some(key),
            Form::Null | Form::Bool(_) | Form::Number(_) | Form::List(_) | Form::Object(_) => return no_such_type(),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        let key = self.key.take().map_or_else(no_such_type, Ok)?;
        self.pairs.push((key, value.serialize(ToForm)?));
        Ok(())
    }

    fn end(mut self) -> Result<Form, JsonError> {
        self.pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let pair = |(key, value)| Form::List(vec![Form::Text(key), value]);
        Ok(Form::List(self.pairs.into_iter().map(pair).collect()))
    }
}

pub(super) struct Object {
    fields: Vec<(std::borrow::Cow<'static, str>, Form)>,
    /// The member of a union that has these fields.
    member: Option<&'static str>,
}

impl SerializeStruct for Object {
    type Ok = Form;
    type Error = JsonError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), JsonError> {
        self.fields.push((name.into(), value.serialize(ToForm)?));
        Ok(())
    }

    fn end(self) -> Result<Form, JsonError> {
        let fields = Form::Object(self.fields);
        Ok(match self.member {
            Some(member) => union(member, fields),
            None => fields,
        })
    }
}

impl SerializeStructVariant for Object {
    type Ok = Form;
    type Error = JsonError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), JsonError> {
        SerializeStruct::serialize_field(self, name, value)
    }

    fn end(self) -> Result<Form, JsonError> {
        SerializeStruct::end(self)
    }
}
