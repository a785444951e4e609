//! The golden bytes of version 7: what each codec makes of them, in either dialect.

use underpass_core::Frame;
use underpass_core::protocol::Dialect;
use underpass_tests::any_union::AnyUnion;
use underpass_tests::vectors;

const DIALECTS: [Dialect; 2] = [Dialect::Published, Dialect::Underpass];

#[test]
fn good_bytes_are_decoded_and_encoded_to_the_same_bytes() {
    for vector in vectors::newest(vectors::valid()) {
        for dialect in DIALECTS {
            let frame = Frame::from(vector.bytes());
            let value = AnyUnion::decode(&vector.union, &frame, dialect)
                .unwrap_or_else(|error| panic!("{}: {error}", vector.id));
            assert_eq!(value.encode(), frame, "{}", vector.id);
        }
    }
}

#[test]
fn both_codecs_agree_on_good_bytes() {
    for vector in vectors::newest(vectors::valid()) {
        let bytes = vector.bytes();
        let value = AnyUnion::decode(&vector.union, &Frame::from(bytes.clone()), Dialect::Published);
        let witness = AnyUnion::decode_by_serde_bare(&vector.union, &bytes).expect("good bytes");
        assert_eq!(value.as_ref(), Ok(&witness), "{}", vector.id);
        assert_eq!(witness.encode_by_serde_bare(), bytes, "{}", vector.id);
    }
}
