//! Header fields: many of a name to one, and back.

use std::borrow::Cow;

use bytestring::ByteString;
use thiserror::Error;

use super::Headers;
use crate::protocol::Map;

/// A header field that HTTP cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the header field {name:?} {problem}")]
pub struct BadField {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Names of fields that concern one hop only (RFC 9110, 7.6.1), besides those that `connection` lists.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Takes the fields off that concern one hop only: the known ones, and those that a `connection` field names.
///
/// `trailer` goes with them, since trailers do not travel.
pub fn end_to_end<'a>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let named: Vec<&'a str> = fields
        .clone()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .filter_map(|(_, value)| core::str::from_utf8(value).ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    fields.filter(move |(name, _)| {
        let listed = |names: &[&str]| names.iter().any(|other| other.eq_ignore_ascii_case(name));
        !listed(&HOP_BY_HOP) && !name.eq_ignore_ascii_case("trailer") && !listed(&named)
    })
}

/// Joins fields into one value a name: with a comma as RFC 9110 (5.3) allows, `cookie` with `; `, and `set-cookie`,
/// which must not be joined, with a line feed, which no value can hold.
///
/// Names become lower case; order is that of their first appearance. A value travels as the text that it is in UTF-8
/// if a character of it is beyond Latin-1, and else as one code point a byte: so any bytes come out as they went in.
pub fn join_fields<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Headers {
    let mut joined: Vec<(ByteString, Cow<'a, [u8]>)> = Vec::new();
    let mut places: hashbrown::HashMap<ByteString, usize> = hashbrown::HashMap::new();
    for (name, value) in fields {
        let name = lower_case(name);
        match places.get(&name) {
            Some(place) => {
                let whole = joined[*place].1.to_mut();
                whole.extend_from_slice(separator(&name).as_bytes());
                whole.extend_from_slice(value);
            }
            None => {
                places.insert(name.clone(), joined.len());
                joined.push((name, Cow::Borrowed(value)));
            }
        }
    }
    Map(joined.into_iter().map(|(name, value)| (name, to_text(&value))).collect())
}

/// Takes headers apart again into fields that HTTP can carry: `set-cookie` at its line feeds, the others whole. Values
/// come out as the bytes that [`join_fields`] took.
///
/// # Errors
/// For a field that HTTP cannot carry: a name that is none, or a value with a control character other than a tab.
pub fn split_fields(headers: &Headers) -> impl Iterator<Item = Result<(&str, Cow<'_, [u8]>), BadField>> {
    headers.iter().flat_map(|(name, value)| {
        let lines = name.eq_ignore_ascii_case("set-cookie");
        let latin1 = is_latin1(value);
        value.split(move |c| lines && c == '\n').map(move |value| {
            let bad = |problem| BadField { name: name.to_owned(), problem };
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(bad("has a name that is none"));
            }
            if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return Err(bad("has a control character in its value"));
            }
            Ok((name, to_bytes(value, latin1)))
        })
    })
}

fn lower_case(name: &str) -> ByteString {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

fn separator(name: &str) -> &'static str {
    match name {
        "cookie" => "; ",
        "set-cookie" => "\n",
        _ => ", ",
    }
}

/// A token's byte (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_latin1(text: &str) -> bool {
    text.chars().all(|c| u32::from(c) <= 0xff)
}

fn to_text(value: &[u8]) -> ByteString {
    match core::str::from_utf8(value) {
        Ok(text) if text.is_ascii() || !is_latin1(text) => text.into(),
        Ok(_) | Err(_) => value.iter().copied().map(char::from).collect::<String>().into(),
    }
}

fn to_bytes(value: &str, latin1: bool) -> Cow<'_, [u8]> {
    if latin1 && !value.is_ascii() {
        Cow::Owned(value.chars().map(|c| c as u8).collect())
    } else {
        Cow::Borrowed(value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(fields: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
        let headers = join_fields(fields.iter().copied());
        split_fields(&headers).map(|field| field.unwrap()).map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn fields_of_one_name_are_joined_as_rfc_9110_allows() {
        let fields: [(&str, &[u8]); 5] =
            [("Accept", b"a"), ("cookie", b"x=1"), ("accept", b"b"), ("cookie", b"y=2"), ("ACCEPT", b"c")];
        let headers = join_fields(fields.into_iter());
        let pairs: Vec<_> = headers.iter().map(|(name, value)| (name, &**value)).collect();
        assert_eq!(pairs, [("accept", "a, b, c"), ("cookie", "x=1; y=2")]);
    }

    #[test]
    fn cookies_that_are_set_come_apart_again() {
        let back = there_and_back(&[("set-cookie", b"a=1, b"), ("x", b"y"), ("set-cookie", b"c=2")]);
        let set = |value: &[u8]| ("set-cookie".to_owned(), value.to_vec());
        assert_eq!(back, [set(b"a=1, b"), set(b"c=2"), ("x".to_owned(), b"y".to_vec())]);
    }

    #[test]
    fn any_bytes_come_out_as_they_went_in() {
        for value in
            ["é".as_bytes(), b"\xe9", "€ é".as_bytes(), b"\xe9 \xe2\x82\xac", "Ã©".as_bytes(), b"\xff\xfe", b""]
        {
            assert_eq!(there_and_back(&[("x", value)]), [("x".to_owned(), value.to_vec())]);
        }
        // What is text beyond Latin-1 travels as it is.
        let travels = join_fields([("x", "€ é".as_bytes())].into_iter());
        assert_eq!(travels.get("x").map(|value| &**value), Some("€ é"));
        let joined = there_and_back(&[("x", b"\xe9"), ("x", "€".as_bytes())]);
        assert_eq!(joined, [("x".to_owned(), b"\xe9, \xe2\x82\xac".to_vec())]);
    }

    #[test]
    fn what_http_cannot_carry_is_refused() {
        for (name, value) in
            [("x", "a\nb"), ("x", "a\rb"), ("x", "a\u{1}"), ("set-cookie", "a\r\nb"), ("x\n", "a"), ("", "a")]
        {
            let headers = Map(vec![(name.into(), value.into())]);
            assert!(split_fields(&headers).any(|field| field.is_err()), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn what_concerns_one_hop_stays_there() {
        let fields: [(&str, &[u8]); 5] = [
            ("Connection", b"close, X-Mine"),
            ("x-mine", b"1"),
            ("te", b"trailers"),
            ("x-yours", b"2"),
            ("Upgrade", b"h2c"),
        ];
        let kept: Vec<_> = end_to_end(fields.into_iter()).collect();
        assert_eq!(kept, [("x-yours", &b"2"[..])]);
    }
}
