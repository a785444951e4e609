//! A relay reads little of what it carries, and that little as a full decoder does.

use bytes::Bytes;
use underpass_core::bus::{ConnectionId, RelayId, Subject};
use underpass_core::protocol::carry::{self, Carried, FromBus, FromRunner, ToClientWord};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use underpass_core::protocol::{
    Dialect, GatewayId, MessageId, RequestId, ToClient, ToGateway, ToRunner, ToServer, to_gateway,
};
use underpass_core::{Frame, Malformed, PeerError};
use underpass_tests::vectors;
use uuid::Uuid;

/// What a relay should make of a message for a runner that was read in full.
fn expected_from_bus(message: ToRunner) -> FromBus {
    match message {
        ToRunner::Ping(ping) => FromBus::Ping(ping),
        ToRunner::Close => FromBus::Close,
        ToRunner::Commands(commands) => FromBus::Commands(commands),
        ToRunner::AckEvents(acks) => FromBus::AckEvents(acks),
        ToRunner::Probe(probe) => FromBus::Probe(probe),
        ToRunner::LeftBehind(left_behind) => FromBus::LeftBehind(left_behind),
        ToRunner::TunnelMessage(message) => FromBus::Tunnel(Carried {
            message_id: message.message_id,
            word: ToClientWord::from(&message.message_kind),
            frame: ToClient::TunnelMessage(message).encode(),
        }),
    }
}

/// Whether it is one of the two rules that a relay leaves to the receiver.
fn is_for_the_receiver(error: &PeerError) -> bool {
    matches!(error.class, Malformed::BadUtf8 | Malformed::DuplicateMapKey)
}

/// Bytes that the bus may bring for a runner, from the vectors of each union that shares them.
fn for_runners(vectors: Vec<vectors::Vector>) -> impl Iterator<Item = (String, Bytes)> {
    vectors.into_iter().filter_map(|vector| {
        let is_tunnel = vector.hex.starts_with("04");
        let is_for_runners = vector.union == "ToRunner" || (vector.union == "ToClient" && is_tunnel);
        is_for_runners.then(|| (vector.id.clone(), vector.framed_bytes()))
    })
}

/// Bytes that a runner may send, from the vectors of each union that shares them.
fn from_runners(vectors: Vec<vectors::Vector>) -> impl Iterator<Item = (String, Bytes)> {
    vectors.into_iter().filter_map(|vector| match vector.union.as_str() {
        "ToServer" => Some((vector.id.clone(), vector.bytes())),
        "ToGateway" if vector.hex.starts_with("01") => {
            let mut bytes = vector.bytes().to_vec();
            bytes[0] = 6;
            Some((vector.id, bytes.into()))
        }
        _ => None,
    })
}

#[test]
fn only_a_tunnel_message_is_a_piece_of_a_request() {
    let connection = Subject::Connection(ConnectionId { relay: RelayId(Uuid::nil()), number: 1 });
    for (id, bytes) in for_runners(vectors::newest(vectors::valid())) {
        let frame = Frame::from(bytes);
        let expected = match ToRunner::decode_framed(&frame, Dialect::Published).expect("good bytes") {
            ToRunner::TunnelMessage(message) => Some((message.message_id.gateway_id, message.message_id.request_id)),
            ToRunner::Ping(_)
            | ToRunner::Close
            | ToRunner::Commands(_)
            | ToRunner::AckEvents(_)
            | ToRunner::Probe(_)
            | ToRunner::LeftBehind(_) => None,
        };
        assert_eq!(carry::request_of(&connection, &frame), expected, "{id}");
    }
    let message_id = MessageId { gateway_id: GatewayId([1; 4]), request_id: RequestId([2; 4]), message_index: 3 };
    let message =
        ToGateway::TunnelMessage(ToServerTunnelMessage { message_id, message_kind: to_server::Kind::ResponseAbort });
    let gateway = Subject::Gateway(message_id.gateway_id);
    let piece = message.encode_framed();
    assert_eq!(carry::request_of(&gateway, &piece), Some((message_id.gateway_id, message_id.request_id)));
    let pong = ToGateway::Pong(to_gateway::Pong { request_id: message_id.request_id, ts: 0 }).encode_framed();
    for other in [pong, piece.skip(1), Frame::from(Bytes::new())] {
        assert_eq!(carry::request_of(&gateway, &other), None);
    }
}

#[test]
fn what_the_bus_brings_is_carried_as_it_would_be_decoded() {
    for (id, bytes) in for_runners(vectors::newest(vectors::valid())) {
        let frame = Frame::from(bytes);
        let message = ToRunner::decode_framed(&frame, Dialect::Published).expect("good bytes");
        assert_eq!(carry::from_bus(frame, Dialect::Published), Ok(expected_from_bus(message)), "{id}");
    }
}

#[test]
fn what_a_runner_sends_is_carried_as_it_would_be_decoded() {
    for (id, bytes) in from_runners(vectors::newest(vectors::valid())) {
        let message = ToServer::decode(&Frame::from(bytes.clone()), Dialect::Published).expect("good bytes");
        assert_eq!(carry::from_runner(bytes, Dialect::Published), Ok(FromRunner::from(message)), "{id}");
    }
}

#[test]
fn malformed_frames_are_not_carried() {
    for (id, bytes) in for_runners(vectors::newest(vectors::invalid())) {
        let frame = Frame::from(bytes);
        let error = ToRunner::decode_framed(&frame, Dialect::Published).expect_err("malformed bytes");
        match carry::from_bus(frame, Dialect::Published) {
            Ok(FromBus::Tunnel(_)) => assert!(is_for_the_receiver(&error), "{id} is carried"),
            carried => assert_eq!(carried, Err(error), "{id}"),
        }
    }
    for (id, bytes) in from_runners(vectors::newest(vectors::invalid())) {
        let error = ToServer::decode(&Frame::from(bytes.clone()), Dialect::Published).expect_err("malformed bytes");
        match carry::from_runner(bytes, Dialect::Published) {
            Ok(FromRunner::Tunnel(_)) => assert!(is_for_the_receiver(&error), "{id} is carried"),
            carried => assert_eq!(carried, Err(error), "{id}"),
        }
    }
}

const MESSAGE_ID: MessageId =
    MessageId { gateway_id: GatewayId([1, 2, 3, 4]), request_id: RequestId([5, 6, 7, 8]), message_index: 0 };

#[test]
fn private_words_are_carried_only_between_those_who_know_them() {
    let credit = to_client::Credit { total: 262_144 };
    let to_runner = ToRunner::TunnelMessage(ToClientTunnelMessage {
        message_id: MESSAGE_ID,
        message_kind: to_client::Kind::Credit(credit),
    });
    let to_server = ToServer::TunnelMessage(ToServerTunnelMessage {
        message_id: MESSAGE_ID,
        message_kind: to_server::Kind::Credit(credit),
    });

    let frame = to_runner.encode_framed();
    let refused = carry::from_bus(frame.clone(), Dialect::Published).expect_err("unknown");
    assert_eq!((refused.class, refused.offset), (Malformed::BadTag, 13));
    assert_eq!(carry::from_bus(frame, Dialect::Underpass), Ok(expected_from_bus(to_runner)));

    let message = to_server.encode().into_bytes();
    let refused = carry::from_runner(message.clone(), Dialect::Published).expect_err("unknown");
    assert_eq!((refused.class, refused.offset), (Malformed::BadTag, 11));
    assert_eq!(carry::from_runner(message, Dialect::Underpass), Ok(FromRunner::from(to_server)));
}

#[test]
fn the_relay_tells_its_runner_of_draining_only_if_that_knows_the_word() {
    let frame = ToClient::Draining.encode();
    let refused = ToClient::decode(&frame, Dialect::Published).expect_err("unknown");
    assert_eq!((refused.class, refused.offset), (Malformed::BadTag, 0));
    assert_eq!(ToClient::decode(&frame, Dialect::Underpass), Ok(ToClient::Draining));
}

#[test]
fn the_bus_speaks_version_7_only() {
    for version in [0, 6, 8, 7 << 8] {
        let mut bytes = ToRunner::Close.encode_framed().into_bytes().to_vec();
        bytes[..2].copy_from_slice(&u16::to_le_bytes(version));
        let frame = Frame::from(Bytes::from(bytes));
        let error = ToRunner::decode_framed(&frame, Dialect::Underpass).expect_err("another version");
        assert_eq!((error.class, error.offset), (Malformed::BadVersion, 0));
        assert_eq!(carry::from_bus(frame, Dialect::Underpass), Err(error));
    }
}
