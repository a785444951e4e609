//! How ids and addresses are written: adapters make subjects of them, and people read them.

use underpass_core::bus::{PublishError, Rejected, Subject};
use underpass_core::directory::RunnerId;
use underpass_core::protocol::Version;
use underpass_core::protocol::any::{Schema, Union};
use underpass_core::{Frame, Gateway, Relay, Time, gateway, relay};
use underpass_tests::wire::{GATEWAY, connection, relay_id};

const RELAY: &str = "00000000-0000-0000-0000-00000000abcd";

#[test]
fn subjects_and_addresses_are_words_with_dots_between() {
    let to_gateway = Subject::Gateway(GATEWAY);
    let to_connection = Subject::Connection(connection(7));
    assert_eq!(to_gateway.to_string(), "gateway.67617465");
    assert_eq!(to_gateway.address().to_string(), "gateway.67617465");
    assert_eq!(to_connection.to_string(), format!("relay.{RELAY}.7"));
    assert_eq!(to_connection.address().to_string(), format!("relay.{RELAY}.*"));
    assert_eq!(connection(7).to_string(), format!("{RELAY}.7"));
    assert_eq!(relay_id().to_string(), RELAY);
    assert_eq!(Time::from_micros(61_000_020).to_string(), "61.000020s");
    assert_eq!(RunnerId(uuid::Uuid::from_u128(0xabcd)).to_string(), RELAY);
}

#[test]
fn what_the_bus_gives_back_says_where_it_was_to_go_and_why_it_did_not() {
    let publication = underpass_core::bus::Publication {
        to: Subject::Gateway(GATEWAY),
        reply_to: None,
        frame: Frame::from(bytes::Bytes::new()),
    };
    let rejected = Rejected { publication, reason: PublishError::Full };
    assert_eq!(rejected.to_string(), "a frame to gateway.67617465 came back: no room left");
}

#[test]
fn a_type_of_message_is_a_union_of_a_version() {
    let schema = Schema::new(Union::ToRunner, Version::V7).expect("a schema");
    assert_eq!(schema.to_string(), "ToRunner of v7");
    assert_eq!(schema.union().to_string(), "ToRunner");
}

#[test]
fn a_machine_has_the_id_that_it_was_made_with() {
    let gateway = Gateway::new(gateway::Config::default(), GATEWAY, 1, Time::ZERO).expect("a gateway");
    assert_eq!(gateway.id(), GATEWAY);
    let relay = Relay::new(relay::Config::default(), relay_id(), 1, Time::ZERO).expect("a relay");
    assert_eq!(relay.id(), relay_id());
}

#[test]
fn fields_are_as_many_as_were_given() {
    let fields = |pairs| underpass_tests::wire::headers(pairs);
    assert!(fields(&[]).is_empty() && !fields(&[("x", "")]).is_empty());
    assert_eq!((fields(&[]).len(), fields(&[("x", ""), ("y", "")]).len()), (0, 2));
}

#[test]
fn a_frame_shows_how_long_it_is_and_how_it_begins() {
    let shown = |length| format!("{:?}", Frame::from(bytes::Bytes::from(vec![0xa1; length])));
    assert_eq!(shown(2), "Frame(2 bytes: a1a1)");
    assert_eq!(shown(48), format!("Frame(48 bytes: {})", "a1".repeat(48)));
    assert_eq!(shown(49), format!("Frame(49 bytes: {}…)", "a1".repeat(48)));
}
