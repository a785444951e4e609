//! The protocol's JSON form: what a frame says, for people and tools.
//!
//! | type | JSON |
//! | --- | --- |
//! | union | `{"tag": NAME, "val": …}`, and `null` where the member is void |
//! | struct | an object, with the names of the schema |
//! | enum | its name, a string |
//! | `data`, ids | lower-case hex, a string |
//! | `i64`, `u64` | decimal, a string |
//! | other integers, `bool` | a number, a bool |
//! | optional | `null`, or the value |
//! | list | a list |
//! | map | a list of `[key, value]`, sorted by key |
//!
//! Reading is as strict as the wire's: an object has all of its fields and no other, each once.

use core::fmt;

use serde::Serialize;
use serde::de::DeserializeSeed;
use thiserror::Error;

mod form;
mod read;
mod write;

use form::Form;

/// The schema's enums. serde has one word for them and for unions all of whose members are void.
const ENUMS: [&str; 1] = ["StopCode"];

/// The form of a value of the protocol, on one line.
pub fn to_string(value: &impl Serialize) -> String {
    serde_json::to_string(&Form::of(value)).expect("a form is JSON")
}

/// The form of a value of the protocol, indented for people.
pub fn to_string_pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(&Form::of(value)).expect("a form is JSON")
}

/// The value that has this form; `seed` says of which type, a [`Schema`](super::any::Schema) or `PhantomData::<T>`.
///
/// # Errors
/// The text is not JSON, or not the form of a value of this type; which part of it is wrong.
pub fn from_str<'de, T: DeserializeSeed<'de>>(seed: T, text: &str) -> Result<T::Value, JsonError> {
    let form: Form = serde_json::from_str(text).map_err(|error| JsonError::new(format!("not JSON: {error}")))?;
    seed.deserialize(form)
}

/// JSON that is not the form of a value of the type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct JsonError {
    /// The way to what is wrong, from the inside out.
    path: Vec<String>,
    problem: String,
}

impl JsonError {
    fn new(problem: impl Into<String>) -> Self {
        JsonError { path: Vec::new(), problem: problem.into() }
    }

    /// The same problem, within a field or an item.
    fn within(mut self, place: impl Into<String>) -> Self {
        self.path.push(place.into());
        self
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.path.iter().rev() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl serde::de::Error for JsonError {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        JsonError::new(problem.to_string())
    }
}

impl serde::ser::Error for JsonError {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        JsonError::new(problem.to_string())
    }
}

#[cfg(test)]
mod tests {
    use core::marker::PhantomData;

    use bytes::Bytes;
    use serde::Deserialize;

    use super::*;
    use crate::protocol::kv::{KvListQuery, KvRequestData};
    use crate::protocol::to_server::{ActorIntent, StopCode, Stopped};
    use crate::protocol::{GatewayId, Map};

    #[track_caller]
    fn is<T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(value: &T, json: &str) {
        assert_eq!(to_string(value), json);
        assert_eq!(from_str(PhantomData::<T>, json).as_ref(), Ok(value));
    }

    #[track_caller]
    fn refused<T: for<'de> Deserialize<'de> + fmt::Debug>(json: &str) -> String {
        from_str(PhantomData::<T>, json).expect_err("refused").to_string()
    }

    #[test]
    fn each_type_has_its_form() {
        is(&ActorIntent::Stop, r#"{"tag":"ActorIntentStop","val":null}"#);
        is(&StopCode::Ok, r#""OK""#);
        is(&GatewayId([0, 1, 0xab, 255]), r#""0001abff""#);
        is(&Bytes::from_static(b"\x0f"), r#""0f""#);
        is(&i64::MIN, r#""-9223372036854775808""#);
        is(&u64::MAX, r#""18446744073709551615""#);
        is(&vec![Some(7u32), None], "[7,null]");
        is(&true, "true");
        is(&Stopped { code: StopCode::Error, message: Some("null".into()) }, r#"{"code":"ERROR","message":"null"}"#);
        let query = KvListQuery::Prefix { key: Bytes::new() };
        is(
            &KvRequestData::List { query, reverse: None, limit: Some(3) },
            r#"{"tag":"KvListRequest","val":{"query":{"tag":"KvListPrefixQuery","val":{"key":""}},"reverse":null,"limit":"3"}}"#,
        );
    }

    #[test]
    fn maps_are_sorted() {
        let map: Map<u16> = [("b".into(), 1), ("a".into(), 2)].into_iter().collect();
        assert_eq!(to_string(&map), r#"[["a",2],["b",1]]"#);
        assert_eq!(from_str(PhantomData, r#"[["b",1],["a",2]]"#), Ok(map));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(refused::<Stopped>(r#"{"code":"OK"}"#), "the field `message` is missing");
        assert_eq!(refused::<Stopped>(r#"{"code":"OK","message":null,"more":1}"#), "there is no field `more`");
        assert_eq!(
            refused::<Stopped>(r#"{"code":"OK","code":"OK"}"#),
            "not JSON: `code` twice in one object at line 1 column 19"
        );
        assert_eq!(
            refused::<Stopped>(r#"{"code":"FINE","message":null}"#),
            "code: there is no `FINE`, but `OK`, `ERROR`"
        );
        assert_eq!(refused::<Map<u16>>(r#"[["a",1],["a",1]]"#), "a repeated map key");
        assert_eq!(refused::<Vec<u16>>("[1,65536]"), "[1]: invalid value: integer `65536`, expected u16");
        assert_eq!(refused::<Bytes>(r#""0F""#), "expected lower-case hex, two digits a byte");
        assert_eq!(refused::<GatewayId>(r#""00""#), "expected 4 bytes of hex");
        assert_eq!(refused::<i64>("1"), "expected an integer of 64 bits as a string");
        assert_eq!(refused::<i64>(r#""01""#), "expected an integer of 64 bits as a string");
        assert_eq!(refused::<ActorIntent>(r#"{"tag":"ActorIntentStop","val":{}}"#), "ActorIntentStop: expected null");
        assert_eq!(refused::<ActorIntent>("7"), "expected {\"tag\": …, \"val\": …}");
    }
}
