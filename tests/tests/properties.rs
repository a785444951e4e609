//! What holds for any value and any bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use underpass_core::protocol::carry;
use underpass_core::protocol::{Dialect, ToGateway, ToRunner};
use underpass_core::{Frame, Malformed, PeerError};
use underpass_tests::any_union::AnyUnion;
use underpass_tests::{strategies, vectors};

/// What a peer gets wrong: good bytes with a few of them changed, cut off or repeated.
fn damaged_bytes() -> impl Strategy<Value = (&'static str, Bytes)> {
    let good = strategies::any_union().prop_map(|value| (value.union_name(), value.encode().into_bytes()));
    let changes = vec((any::<Index>(), any::<u8>()), 0..3);
    (good, changes, any::<Index>(), vec(any::<u8>(), 0..2)).prop_map(|((union, good), changes, cut, more)| {
        let mut bytes = good.to_vec();
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
        (union, bytes.into())
    })
}

fn any_bytes() -> impl Strategy<Value = (&'static str, Bytes)> {
    (select(&AnyUnion::NAMES), vec(any::<u8>(), 0..200).prop_map(Bytes::from))
}

/// A value has one encoding, so whatever is taken is written as it was.
fn takes_only_what_it_would_write(union: &str, bytes: Bytes, dialect: Dialect) -> Result<(), TestCaseError> {
    let frame = Frame::from(bytes);
    match AnyUnion::decode(union, &frame, dialect) {
        Ok(value) => prop_assert_eq!(value.encode(), frame),
        Err(error) => prop_assert!(error.offset <= frame.len(), "{}", error),
    }
    Ok(())
}

/// A relay carries what a receiver can read, and refuses the rest but for what it leaves to the receiver.
fn carries_what_can_be_read<T>(carried: Result<T, PeerError>, read: Option<PeerError>) -> Result<(), TestCaseError> {
    match (carried, read) {
        (Ok(_), Some(error)) => {
            prop_assert!(matches!(error.class, Malformed::BadUtf8 | Malformed::DuplicateMapKey), "{}", error);
        }
        (Err(error), None) => prop_assert!(false, "not carried: {}", error),
        (Ok(_), None) | (Err(_), Some(_)) => {}
    }
    Ok(())
}

fn is_carried_if_read(union: &str, bytes: Bytes, dialect: Dialect) -> Result<(), TestCaseError> {
    let read = AnyUnion::decode(union, &Frame::from(bytes.clone()), dialect).err();
    match union {
        "ToServer" => carries_what_can_be_read(carry::from_runner(bytes, dialect), read),
        "ToRunner" => {
            let frame = Frame::new(&[7, 0], bytes, None);
            carries_what_can_be_read(carry::from_bus(frame, dialect), read)
        }
        _ => Ok(()),
    }
}

fn dialect() -> impl Strategy<Value = Dialect> {
    select(vec![Dialect::Published, Dialect::Underpass])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(value in strategies::any_union()) {
        let frame = value.encode();
        prop_assert_eq!(&frame.clone().into_bytes()[..], &value.encode_by_serde_bare()[..]);
        let read = AnyUnion::decode(value.union_name(), &frame, Dialect::Underpass);
        prop_assert_eq!(read, Ok(value));
    }

    #[test]
    fn what_the_bus_takes_it_brings(
        to_runner in strategies::to_client_tunnel_message().prop_map(ToRunner::TunnelMessage),
        to_gateway in strategies::to_server_tunnel_message().prop_map(ToGateway::TunnelMessage),
    ) {
        let frame = to_runner.encode_framed();
        prop_assert_eq!(frame.clone().skip(2), to_runner.encode());
        prop_assert_eq!(ToRunner::decode_framed(&frame, Dialect::Underpass), Ok(to_runner));
        let frame = to_gateway.encode_framed();
        prop_assert_eq!(frame.clone().skip(2), to_gateway.encode());
        prop_assert_eq!(ToGateway::decode_framed(&frame, Dialect::Underpass), Ok(to_gateway));
    }

    #[test]
    fn any_bytes_are_taken_or_refused((union, bytes) in any_bytes(), dialect in dialect()) {
        takes_only_what_it_would_write(union, bytes.clone(), dialect)?;
        is_carried_if_read(union, bytes, dialect)?;
    }

    #[test]
    fn damaged_bytes_are_taken_or_refused((union, bytes) in damaged_bytes(), dialect in dialect()) {
        takes_only_what_it_would_write(union, bytes.clone(), dialect)?;
        is_carried_if_read(union, bytes, dialect)?;
    }
}

/// Each byte of each vector, changed to the values that matter most to the encoding.
#[test]
fn vectors_with_one_byte_changed_are_taken_or_refused() {
    for vector in vectors::newest(vectors::valid()).into_iter().filter(|vector| vector.hex.len() < 240) {
        let good = vector.bytes();
        for place in 0..good.len() {
            for byte in [0, 1, 2, 4, 6, 7, 0x7f, 0x80, 0xff, good[place].wrapping_add(1)] {
                let mut bytes = good.to_vec();
                bytes[place] = byte;
                let bytes = Bytes::from(bytes);
                for dialect in [Dialect::Published, Dialect::Underpass] {
                    takes_only_what_it_would_write(&vector.union, bytes.clone(), dialect).expect("taken or refused");
                    is_carried_if_read(&vector.union, bytes.clone(), dialect).expect("carried or not");
                }
            }
        }
    }
}
