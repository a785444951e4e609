//! What holds for any message of any version, and for any bytes.

use bytes::Bytes;
use proptest::prelude::*;
use underpass_core::Frame;
use underpass_core::protocol::any::Schema;
use underpass_core::protocol::{Memory, Version, json};
use underpass_tests::checks::{self, BESIDES, MOST_PER_BYTE};
use underpass_tests::{arbitrary, vectors};

/// The most that was allocated at a time while these bytes were read.
fn allocated(schema: Schema, bytes: &Bytes) -> u64 {
    let frame = Frame::from(bytes.clone());
    allocation_counter::measure(|| drop(schema.decode(&frame))).bytes_max
}

#[track_caller]
fn allocates_little(schema: Schema, bytes: &Bytes) {
    let (most, len) = (allocated(schema, bytes), bytes.len() as u64);
    assert!(most <= MOST_PER_BYTE * len + BESIDES, "{most} bytes for {len} of {schema}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(message in arbitrary::message()) {
        let frame = message.encode();
        let read = message.schema().decode(&frame);
        prop_assert_eq!(read.as_ref(), Ok(&message));
        let bytes = frame.into_bytes();
        prop_assert_eq!(&serde_bare::to_vec(&message).expect("protocol values are BARE")[..], &bytes[..]);
        prop_assert_eq!(&checks::by_serde_bare(message.schema(), &bytes).expect("good bytes"), &message);
        checks::bytes_of(message.schema(), &bytes).expect("good bytes");
    }

    #[test]
    fn the_json_form_of_a_message_says_it_all(message in arbitrary::message()) {
        let read = json::from_str(message.schema(), &json::to_string_pretty(&message)).expect("a form");
        prop_assert_eq!(json::to_string(&read), json::to_string(&message));
        let sorted = read.encode();
        prop_assert_eq!(sorted.len(), message.encode().len());
    }

    #[test]
    fn versions_4_to_6_lose_nothing_on_the_way_to_7_and_back(message in arbitrary::message()) {
        let version = message.schema().version();
        if version < Version::V4 {
            return Ok(());
        }
        let mut memory = Memory::stand_alone();
        let Ok(newest) = message.clone().translate(Version::V7, &mut memory) else { return Ok(()) };
        let back = newest.clone().translate(version, &mut memory).expect("it was said there");
        // An event of version 4 names its actor twice, and need not name the same.
        if version > Version::V4 {
            prop_assert_eq!(&back, &message);
        }
        prop_assert_eq!(back.translate(Version::V7, &mut memory), Ok(newest));
    }

    #[test]
    fn any_bytes_are_taken_or_refused((schema, bytes) in arbitrary::noise()) {
        allocates_little(schema, &bytes);
        let _ = checks::bytes_of(schema, &bytes);
    }

    #[test]
    fn damaged_bytes_are_taken_or_refused((schema, bytes) in arbitrary::damaged()) {
        allocates_little(schema, &bytes);
        let _ = checks::bytes_of(schema, &bytes);
    }
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    for vector in vectors::invalid().into_iter().filter(|vector| vector.error == "length_overflow") {
        let most = allocated(vector.schema(), &vector.bytes());
        assert!(most < BESIDES, "{} allocates {most} bytes", vector.id);
    }
}

/// Behind `head`, as many items as a million bytes hold, each the shortest that there is.
fn full_of(union: &str, version: u16, head: &str, items: impl Iterator<Item = Vec<u8>>, tail: &[u8]) -> (u64, u64) {
    let (mut body, mut count) = (Vec::new(), 0u64);
    for item in items {
        if body.len() > 1_000_000 {
            break;
        }
        body.extend(item);
        count += 1;
    }
    let count = serde_bare::to_vec(&serde_bare::Uint(count)).expect("a number");
    let bytes = Bytes::from([&vectors::bytes(head)[..], &count, &body, tail].concat());
    let schema = vectors::schema(union, version);
    schema.decode(&Frame::from(bytes.clone())).expect("good bytes");
    (allocated(schema, &bytes), bytes.len() as u64)
}

#[test]
fn lists_and_maps_of_the_shortest_items_cost_a_small_multiple_of_their_bytes() {
    let shortest = |item: &'static str| core::iter::repeat_with(move || vectors::bytes(item).to_vec());
    // Two or three letters make the shortest keys of which there are enough.
    let keys = |value: &'static [u8]| {
        (0u32..).map(move |number| {
            let letters = [number, number >> 7, number >> 14].map(|part| (part & 0x7f) as u8);
            [&[3], &letters[..], value].concat()
        })
    };
    let cases = [
        ("KvGetRequest.keys", full_of("ToServer", 7, "05000000000000", shortest("00"), &[]), 4),
        ("KvMetadata", full_of("ToClient", 7, "0300000000010000", shortest("000000000000000000"), &[]), 16),
        ("ToServerEvents", full_of("ToServer", 7, "01", shortest("000000000000000000000000000000"), &[]), 24),
        ("ToServerEvents of v1", full_of("ToServer", 1, "01", shortest("000000000000000000000000000000"), &[]), 24),
        ("ToClientCommands", full_of("ToClient", 7, "01", shortest("0000000000000000000000000001"), &[]), 24),
        ("ToServerAckCommands", full_of("ToServer", 7, "02", shortest("00000000000000000000000000"), &[]), 16),
        ("prepopulateActorNames", full_of("ToServer", 7, "0000000000000000000001", keys(&[0]), &[0]), MOST_PER_BYTE),
        ("headers", full_of("ToClient", 7, "0401020304000000000000030000", keys(&[0]), &[]), 24),
    ];
    for (name, (most, len), multiple) in cases {
        println!("{name}: {:.1}", most as f64 / len as f64);
        assert!(most <= multiple * len, "{name}: {most} bytes for {len}");
    }
}
