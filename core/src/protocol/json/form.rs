//! JSON as a tree, whose objects keep the order of their fields and have each once.

use core::fmt;
use std::borrow::Cow;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::write::ToForm;

/// The JSON that the protocol's form uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Null,
    Bool(bool),
    Number(u64),
    Text(String),
    List(Vec<Form>),
    Object(Vec<(Cow<'static, str>, Form)>),
}

impl Form {
    /// The form of a value of the protocol.
    pub(super) fn of(value: &(impl Serialize + ?Sized)) -> Form {
        value.serialize(ToForm).expect("the protocol has no type without a form")
    }
}

impl Serialize for Form {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Form::Null => serializer.serialize_unit(),
            Form::Bool(value) => serializer.serialize_bool(*value),
            Form::Number(value) => serializer.serialize_u64(*value),
            Form::Text(text) => serializer.serialize_str(text),
            Form::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Form::Object(fields) => {
                let mut object = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    object.serialize_entry(name, value)?;
                }
                object.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = Form;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a bool, a natural number, a string, a list or an object")
    }

    fn visit_unit<E>(self) -> Result<Form, E> {
        Ok(Form::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Form, E> {
        Ok(Form::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Form, E> {
        Ok(Form::Number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Form, E> {
        Ok(Form::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Form, E> {
        Ok(Form::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Form, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Form::List(items))
    }

    /// No object of the protocol has many fields, so they are simply compared with one another.
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Form, A::Error> {
        const MOST: usize = 100;
        let mut fields: Vec<(Cow<'static, str>, Form)> = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!("`{name}` twice in one object")));
            }
            if fields.len() == MOST {
                return Err(A::Error::custom("an object of too many fields"));
            }
            fields.push((name.into(), access.next_value()?));
        }
        Ok(Form::Object(fields))
    }
}
