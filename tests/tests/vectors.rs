//! The golden bytes of version 7: what each codec makes of them.

use underpass_core::Frame;
use underpass_core::protocol::Dialect;
use underpass_tests::any_union::AnyUnion;
use underpass_tests::{json_form, vectors};

const DIALECTS: [Dialect; 2] = [Dialect::Published, Dialect::Underpass];

#[test]
fn good_bytes_are_decoded_and_encoded_to_the_same_bytes() {
    for vector in vectors::valid() {
        for dialect in DIALECTS {
            let frame = Frame::from(vector.bytes());
            let value = AnyUnion::decode(&vector.union, &frame, dialect)
                .unwrap_or_else(|error| panic!("{}: {error}", vector.id));
            assert_eq!(value.encode(), frame, "{}", vector.id);
        }
    }
}

#[test]
fn good_bytes_mean_what_the_vector_says() {
    for vector in vectors::valid() {
        let value = AnyUnion::decode(&vector.union, &Frame::from(vector.bytes()), Dialect::Published);
        assert_eq!(json_form::of(&value.expect("good bytes")), vector.value, "{}", vector.id);
    }
}

#[test]
fn both_codecs_agree_on_good_bytes() {
    for vector in vectors::valid() {
        let bytes = vector.bytes();
        let value = AnyUnion::decode(&vector.union, &Frame::from(bytes.clone()), Dialect::Published);
        let witness = AnyUnion::decode_by_serde_bare(&vector.union, &bytes).expect("good bytes");
        assert_eq!(value.as_ref(), Ok(&witness), "{}", vector.id);
        assert_eq!(witness.encode_by_serde_bare(), bytes, "{}", vector.id);
    }
}

#[test]
fn malformed_bytes_are_refused_for_what_is_wrong_with_them() {
    for vector in vectors::invalid() {
        let frame = Frame::from(vector.bytes());
        let error =
            AnyUnion::decode(&vector.union, &frame, Dialect::Published).expect_err(&format!("{} decodes", vector.id));
        assert_eq!(error.class.to_string(), vector.error, "{}: {error}", vector.id);
        assert!(error.offset <= frame.len(), "{}: {error}", vector.id);
    }
}
