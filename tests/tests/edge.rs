//! What a relay's session and a runner of an older version make of each other's words.

use bytes::Bytes;
use underpass_core::Frame;
use underpass_core::protocol::any::{Message, Schema, Union};
use underpass_core::protocol::carry::{Carried, FromBus, FromRunner};
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::edge::{Edge, EdgeError, Heard, Word};
use underpass_core::protocol::{
    Dialect, GatewayId, RequestId, ToClient, ToGateway, ToRunner, Untranslatable, Version, json, to_client,
};
use underpass_tests::vectors;

const GATEWAY: GatewayId = GatewayId([0xa1, 0xa2, 0xa3, 0xa4]);
const REQUEST: RequestId = RequestId([0xb1, 0xb2, 0xb3, 0xb4]);
/// Both of them, as versions 1 and 2 have them.
const REQUEST_UUID: &str = "a1a2a3a4b1b240b380b4000000000000";
const RANDOM_UUID: &str = "f47ac10b58cc4372a5670e02b2c3d479";

const OLD: [Version; 3] = [Version::V1, Version::V2, Version::V3];
const WITH_UUIDS: [Version; 2] = [Version::V1, Version::V2];

fn edge(version: Version) -> Edge {
    Edge::new(version, Dialect::Published, 2)
}

/// Carries a tunnel message of the bus to the runner.
fn carry(edge: &mut Edge, frame: Frame) -> Result<Frame, EdgeError> {
    let FromBus::Tunnel(Carried { mut frame, .. }) = edge.from_bus(frame)? else { panic!("a tunnel message") };
    edge.carry(&mut frame)?;
    Ok(frame)
}

/// A message of any version, from its JSON.
fn message(union: Union, version: Version, form: &str) -> Message {
    let schema = Schema::new(union, version).expect("a schema");
    json::from_str(schema, form).unwrap_or_else(|error| panic!("{form}: {error}"))
}

fn bytes(union: Union, version: Version, form: &str) -> Bytes {
    message(union, version, form).encode().into_bytes()
}

fn form(union: Union, version: Version, frame: &Frame) -> String {
    json::to_string(&Schema::new(union, version).expect("a schema").decode(frame).expect("good bytes"))
}

/// A frame of the bus with a tunnel message of this kind.
fn from_gateway(number: u16, kind: &str) -> Frame {
    let id = format!(r#"{{"gatewayId":"{GATEWAY}","requestId":"{REQUEST}","messageIndex":{number}}}"#);
    let form = format!(r#"{{"tag":"ToClientTunnelMessage","val":{{"messageId":{id},"messageKind":{kind}}}}}"#);
    Frame::new(&[7, 0], bytes(Union::ToRunner, Version::V7, &form), None)
}

const OPEN: &str = r#"{"tag":"ToClientWebSocketOpen","val":{"actorId":"a","path":"/","headers":[]}}"#;
const CLOSE: &str = r#"{"tag":"ToClientWebSocketClose","val":{"code":null,"reason":null}}"#;

/// A tunnel message of a runner of version 1 or 2.
fn with_uuids(version: Version, request: &str, kind: &str) -> Bytes {
    let form = format!(
        r#"{{"tag":"ToServerTunnelMessage","val":{{"requestId":"{request}","messageId":"{RANDOM_UUID}","messageKind":{kind}}}}}"#
    );
    bytes(Union::ToServer, version, &form)
}

const SAYS: &str = r#"{"tag":"ToServerWebSocketMessage","val":{"data":"00","binary":true}}"#;
const ABORTS: &str = r#"{"tag":"ToServerResponseAbort","val":null}"#;
const ACKNOWLEDGES: &str = r#"{"tag":"TunnelAck","val":null}"#;

#[track_caller]
fn number(heard: &Heard) -> u16 {
    match &heard.word {
        Word::Message(FromRunner::Tunnel(carried)) => {
            assert_eq!((carried.message_id.gateway_id, carried.message_id.request_id), (GATEWAY, REQUEST));
            let frame = ToGateway::decode_framed(&carried.frame, Dialect::Published).expect("a frame of the bus");
            let ToGateway::TunnelMessage(message) = frame else { panic!("{frame:?}") };
            assert_eq!(message.message_id, carried.message_id);
            carried.message_id.message_index
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_of_versions_1_and_2_are_numbered_as_they_arrive_while_their_request_is_open() {
    for version in WITH_UUIDS {
        let mut edge = edge(version);
        carry(&mut edge, from_gateway(0, OPEN)).expect("carried");
        for expected in 0..3 {
            let heard = edge.from_runner(with_uuids(version, REQUEST_UUID, SAYS)).expect("taken");
            assert_eq!(number(&heard), expected);
        }
        assert_eq!(edge.requests(), 1);
        let heard = edge.from_runner(with_uuids(version, REQUEST_UUID, ABORTS)).expect("taken");
        assert_eq!((number(&heard), edge.requests()), (3, 0));
        // What comes late has no number.
        let heard = edge.from_runner(with_uuids(version, REQUEST_UUID, SAYS)).expect("taken");
        assert_eq!((number(&heard), edge.requests()), (0, 0));
    }
}

#[test]
fn nothing_is_left_of_a_request_however_it_ends() {
    let ends = [
        ABORTS,
        r#"{"tag":"ToServerResponseStart","val":{"status":200,"headers":[],"body":null,"stream":false}}"#,
        r#"{"tag":"ToServerResponseChunk","val":{"body":"","finish":true}}"#,
    ];
    for version in WITH_UUIDS {
        for end in ends {
            let mut edge = edge(version);
            carry(&mut edge, from_gateway(0, OPEN)).expect("carried");
            edge.from_runner(with_uuids(version, REQUEST_UUID, end)).expect("taken");
            assert_eq!(edge.requests(), 0, "{end}");
        }
        let mut edge = edge(version);
        carry(&mut edge, from_gateway(0, OPEN)).expect("carried");
        carry(&mut edge, from_gateway(1, CLOSE)).expect("carried");
        assert_eq!(edge.requests(), 0);
        carry(&mut edge, from_gateway(0, OPEN)).expect("carried");
        edge.forget(GATEWAY, REQUEST);
        assert_eq!(edge.requests(), 0);
    }
}

#[test]
fn a_runner_of_version_1_or_2_gets_an_acknowledgement_with_its_own_ids() {
    for version in WITH_UUIDS {
        let heard = edge(version).from_runner(with_uuids(version, REQUEST_UUID, SAYS)).expect("taken");
        let expected = format!(
            r#"{{"tag":"ToClientTunnelMessage","val":{{"requestId":"{REQUEST_UUID}","messageId":"{RANDOM_UUID}","messageKind":{ACKNOWLEDGES},"gatewayReplyTo":null}}}}"#
        );
        assert_eq!(form(Union::ToClient, version, &heard.answer.expect("an answer")), expected);
    }
}

#[test]
fn acknowledgements_of_runners_end_at_the_edge() {
    let nothing = Heard { word: Word::Acknowledgement, answer: None };
    for version in WITH_UUIDS {
        let mut edge = edge(version);
        carry(&mut edge, from_gateway(0, OPEN)).expect("carried");
        assert_eq!(edge.from_runner(with_uuids(version, REQUEST_UUID, ACKNOWLEDGES)), Ok(nothing.clone()));
        assert_eq!(edge.requests(), 1);
    }
    let deprecated = "06a1a2a3a4b1b2b3b4000000";
    assert_eq!(edge(Version::V3).from_runner(vectors::bytes(deprecated)), Ok(nothing));
}

#[test]
fn requests_that_no_relay_issued_are_refused() {
    for version in WITH_UUIDS {
        for (request, error) in [
            ("a1a2a3a4b1b241b380b4000000000000", Untranslatable::NeverIssued { field: "requestId" }),
            ("a1a2a3a4b1b240b390b4000000000000", Untranslatable::NeverIssued { field: "requestId" }),
            ("00000000b1b240b380b4000000000000", Untranslatable::ZeroGatewayId),
        ] {
            let heard = edge(version).from_runner(with_uuids(version, request, SAYS));
            assert_eq!(heard, Err(EdgeError::Untranslatable(error)));
        }
    }
}

#[test]
fn a_zero_gateway_id_passes_in_no_version_and_neither_direction() {
    let mut from_bus = from_gateway(0, OPEN).into_bytes().to_vec();
    from_bus[3..7].fill(0);
    for version in Version::ALL {
        let refused = edge(version).from_bus(Frame::from(Bytes::from(from_bus.clone())));
        assert_eq!(refused, Err(EdgeError::Untranslatable(Untranslatable::ZeroGatewayId)), "{version}");
    }
    for (version, abort) in [(3, 3), (4, 2), (5, 2), (6, 2), (7, 2)] {
        let message = vectors::bytes(&format!("0600000000b1b2b3b40000{abort:02}"));
        let refused = edge(Version::try_from(version).expect("a version")).from_runner(message);
        assert_eq!(refused, Err(EdgeError::Untranslatable(Untranslatable::ZeroGatewayId)), "{version}");
    }
}

#[test]
fn no_more_requests_are_open_than_may_be() {
    let mut edge = edge(Version::V2);
    let open = |request: u8| {
        let mut frame = from_gateway(0, OPEN).into_bytes().to_vec();
        frame[7] = request;
        Frame::from(Bytes::from(frame))
    };
    carry(&mut edge, open(1)).expect("carried");
    carry(&mut edge, open(2)).expect("carried");
    assert_eq!(carry(&mut edge, open(3)), Err(EdgeError::Untranslatable(Untranslatable::TooManyRequests)));
    assert_eq!(edge.requests(), 2);
}

#[test]
fn no_socket_hibernates_below_version_3() {
    let open = with_uuids(
        Version::V2,
        REQUEST_UUID,
        r#"{"tag":"ToServerWebSocketOpen","val":{"canHibernate":true,"lastMsgIndex":"-1"}}"#,
    );
    let heard = edge(Version::V2).from_runner(open).expect("taken");
    let Word::Message(FromRunner::Tunnel(carried)) = heard.word else { panic!("{heard:?}") };
    assert!(carried.frame.into_bytes().ends_with(&[3, 0]));
}

#[test]
fn a_socket_of_version_3_may_hibernate() {
    let id = format!(r#"{{"gatewayId":"{GATEWAY}","requestId":"{REQUEST}","messageIndex":0}}"#);
    let kind = r#"{"tag":"ToServerWebSocketOpen","val":{"canHibernate":true}}"#;
    let form = format!(r#"{{"tag":"ToServerTunnelMessage","val":{{"messageId":{id},"messageKind":{kind}}}}}"#);
    let heard = edge(Version::V3).from_runner(bytes(Union::ToServer, Version::V3, &form)).expect("taken");
    let Word::Message(FromRunner::Tunnel(carried)) = heard.word else { panic!("{heard:?}") };
    assert!(carried.frame.into_bytes().ends_with(&[3, 1]));
}

#[test]
fn tunnel_messages_of_version_4_and_newer_are_carried_as_they_are() {
    let payload = Bytes::from(vec![7; 60_000]);
    let head = vectors::bytes("06a1a2a3a4b1b2b3b4000001e0d403");
    let message = Bytes::from([&head[..], &payload[..], &[1]].concat());
    for version in [Version::V4, Version::V5, Version::V6, Version::V7] {
        let heard = edge(version).from_runner(message.clone()).expect("taken");
        let Word::Message(FromRunner::Tunnel(carried)) = heard.word else { panic!("{heard:?}") };
        assert_eq!(carried.frame.body().as_ptr(), message[1..].as_ptr());
    }
}

#[test]
fn payloads_of_versions_1_to_3_are_shared() {
    let payload = "07".repeat(60_000);
    let chunk = format!(r#"{{"tag":"ToClientRequestChunk","val":{{"body":"{payload}","finish":true}}}}"#);
    for version in OLD {
        let down = from_gateway(1, &chunk);
        let carried = carry(&mut edge(version), down.clone()).expect("carried");
        assert!(down.body().as_ptr_range().contains(&carried.body().as_ptr()), "{version}");
        let said = form(Union::ToClient, version, &carried);
        assert!(said.contains(&format!(r#""messageKind":{chunk}"#)), "{version}");
    }
    let kind = format!(r#"{{"tag":"ToServerResponseChunk","val":{{"body":"{payload}","finish":true}}}}"#);
    for version in WITH_UUIDS {
        let up = with_uuids(version, REQUEST_UUID, &kind);
        let heard = edge(version).from_runner(up.clone()).expect("taken");
        let Word::Message(FromRunner::Tunnel(carried)) = heard.word else { panic!("{heard:?}") };
        assert!(up.as_ptr_range().contains(&carried.frame.body().as_ptr()), "{version}");
    }
}

fn commands(checkpoints: &[(&'static str, u32, i64)]) -> ToClient {
    let command = |&(actor_id, generation, index): &(&'static str, u32, i64)| to_client::CommandWrapper {
        checkpoint: ActorCheckpoint { actor_id: actor_id.into(), generation, index },
        inner: to_client::Command::StopActor,
    };
    ToClient::Commands(checkpoints.iter().map(command).collect())
}

#[test]
fn generations_of_version_4_acknowledgements_are_those_that_were_spoken_of() {
    let mut edge = edge(Version::V4);
    edge.to_runner(commands(&[("sent", 3, 0)])).expect("sayable");
    let event = r#"{"tag":"ToServerEvents","val":[{"checkpoint":{"actorId":"heard","index":"0"},"inner":{"tag":"EventActorStateUpdate","val":{"actorId":"heard","generation":5,"state":{"tag":"ActorStateRunning","val":null}}}}]}"#;
    edge.from_runner(bytes(Union::ToServer, Version::V4, event)).expect("taken");
    let acks = r#"{"tag":"ToServerAckCommands","val":{"lastCommandCheckpoints":[{"actorId":"sent","index":"0"},{"actorId":"heard","index":"1"},{"actorId":"never","index":"2"}]}}"#;
    let heard = edge.from_runner(bytes(Union::ToServer, Version::V4, acks)).expect("taken");
    let Word::Message(FromRunner::AckCommands(acks)) = heard.word else { panic!("{heard:?}") };
    let generations: Vec<_> = acks.last_command_checkpoints.iter().map(|checkpoint| checkpoint.generation).collect();
    assert_eq!(generations, [3, 5, 0]);
}

#[test]
fn actors_that_stopped_are_forgotten_when_many_have_stopped_since() {
    let mut edge = edge(Version::V4);
    for actor in 0..=1_024 {
        let event = format!(
            r#"{{"tag":"ToServerEvents","val":[{{"checkpoint":{{"actorId":"{actor}","index":"0"}},"inner":{{"tag":"EventActorStateUpdate","val":{{"actorId":"{actor}","generation":5,"state":{{"tag":"ActorStateStopped","val":{{"code":"OK","message":null}}}}}}}}}}]}}"#
        );
        edge.from_runner(bytes(Union::ToServer, Version::V4, &event)).expect("taken");
    }
    let acks = r#"{"tag":"ToServerAckCommands","val":{"lastCommandCheckpoints":[{"actorId":"0","index":"0"},{"actorId":"1","index":"1"}]}}"#;
    let heard = edge.from_runner(bytes(Union::ToServer, Version::V4, acks)).expect("taken");
    let Word::Message(FromRunner::AckCommands(acks)) = heard.word else { panic!("{heard:?}") };
    let generations: Vec<_> = acks.last_command_checkpoints.iter().map(|checkpoint| checkpoint.generation).collect();
    assert_eq!(generations, [0, 5]);
}

#[test]
fn one_count_of_version_3_stands_for_the_checkpoints_of_all_actors() {
    for version in OLD {
        let mut edge = edge(version);
        let init = r#"{"tag":"ToServerInit","val":{"name":"n","version":1,"totalSlots":1,"lastCommandIdx":"41","prepopulateActorNames":null,"metadata":null}}"#;
        edge.from_runner(bytes(Union::ToServer, version, init)).expect("taken");
        let sent = edge.to_runner(commands(&[("one", 2, 0), ("other", 1, 7)])).expect("sayable");
        let sent = form(Union::ToClient, version, &sent);
        assert!(sent.contains(r#""index":"42""#) && sent.contains(r#""index":"43""#), "{sent}");

        let acks = r#"{"tag":"ToServerAckCommands","val":{"lastCommandIdx":"43"}}"#;
        let heard = edge.from_runner(bytes(Union::ToServer, version, acks)).expect("taken");
        let Word::Message(FromRunner::AckCommands(acks)) = heard.word else { panic!("{heard:?}") };
        let ToClient::Commands(expected) = commands(&[("one", 2, 0), ("other", 1, 7)]) else { unreachable!() };
        let expected: Vec<_> = expected.into_iter().map(|command| command.checkpoint).collect();
        assert_eq!(acks.last_command_checkpoints, expected);

        let event = |index: u8, actor: &str| {
            format!(
                r#"{{"index":"{index}","inner":{{"tag":"EventActorIntent","val":{{"actorId":"{actor}","generation":2,"intent":{{"tag":"ActorIntentSleep","val":null}}}}}}}}"#
            )
        };
        let events = format!(r#"{{"tag":"ToServerEvents","val":[{},{}]}}"#, event(4, "one"), event(5, "other"));
        let heard = edge.from_runner(bytes(Union::ToServer, version, &events)).expect("taken");
        let Word::Message(FromRunner::Events(events)) = heard.word else { panic!("{heard:?}") };
        for (event, last) in events.into_iter().rev().zip([3, 5]) {
            let acks = to_client::AckEvents { last_event_checkpoints: vec![event.checkpoint] };
            let sent = edge.to_runner(ToClient::AckEvents(acks)).expect("sayable");
            let expected = format!(r#"{{"tag":"ToClientAckEvents","val":{{"lastEventIdx":"{last}"}}}}"#);
            assert_eq!(form(Union::ToClient, version, &sent), expected);
        }
    }
}

#[test]
fn a_runner_of_version_3_is_told_at_first_that_no_event_was_taken() {
    let metadata = to_client::ProtocolMetadata {
        runner_lost_threshold: 1,
        actor_stop_threshold: 2,
        serverless_drain_grace_period: None,
    };
    for version in OLD {
        let init = to_client::Init { runner_id: "r".into(), metadata };
        let sent = edge(version).to_runner(ToClient::Init(init)).expect("sayable");
        let sent = form(Union::ToClient, version, &sent);
        assert!(sent.contains(r#""lastEventIdx":"-1""#), "{sent}");

        // Also one that spoke before: nothing of it was taken on this connection.
        let mut edge = edge(version);
        let event = r#"{"index":"4","inner":{"tag":"EventActorIntent","val":{"actorId":"a","generation":2,"intent":{"tag":"ActorIntentSleep","val":null}}}}"#;
        let events = format!(r#"{{"tag":"ToServerEvents","val":[{event}]}}"#);
        edge.from_runner(bytes(Union::ToServer, version, &events)).expect("taken");
        let init = to_client::Init { runner_id: "r".into(), metadata };
        let sent = form(Union::ToClient, version, &edge.to_runner(ToClient::Init(init)).expect("sayable"));
        assert!(sent.contains(r#""lastEventIdx":"-1""#), "{sent}");
    }
}

#[test]
fn pings_of_a_version_are_not_heard_by_the_other() {
    for version in OLD {
        let ping = bytes(Union::ToServer, version, r#"{"tag":"ToServerPing","val":{"ts":"1"}}"#);
        assert_eq!(edge(version).from_runner(ping), Ok(Heard { word: Word::Ping, answer: None }));
        assert!(!edge(version).answers_pings());
        let refused = edge(version).to_runner(ToClient::Ping(to_client::Ping { ts: 1 }));
        assert_eq!(refused, Err(Untranslatable::Needs { message: "ToClientPing", version: Version::V4 }));
    }
}

#[test]
fn runners_of_version_4_and_newer_answer_pings() {
    for version in Version::ALL {
        assert_eq!(edge(version).answers_pings(), !OLD.contains(&version), "{version}");
    }
}

#[test]
fn whatever_the_bus_brings_passes_the_edge_of_every_version() {
    let frames = vectors::newest(vectors::valid()).into_iter().filter(|vector| vector.union == "ToRunner");
    for vector in frames {
        let frame = Frame::from(vector.framed_bytes());
        let whole = ToRunner::decode_framed(&frame, Dialect::Published).expect("good bytes");
        for version in Version::ALL {
            let mut edge = edge(version);
            match (edge.from_bus(frame.clone()), &whole) {
                (Ok(FromBus::Tunnel(Carried { message_id, mut frame, .. })), ToRunner::TunnelMessage(message)) => {
                    assert_eq!(message_id, message.message_id);
                    edge.carry(&mut frame).expect("carried");
                    let said = form(Union::ToClient, version, &frame);
                    assert!(said.starts_with(r#"{"tag":"ToClientTunnelMessage""#), "{said}");
                }
                (
                    Ok(_),
                    ToRunner::Ping(_)
                    | ToRunner::Close
                    | ToRunner::Commands(_)
                    | ToRunner::AckEvents(_)
                    | ToRunner::Probe(_)
                    | ToRunner::LeftBehind(_),
                ) => {}
                (Err(EdgeError::Untranslatable(Untranslatable::ZeroGatewayId)), _) => {}
                (other, _) => panic!("{} in {version}: {other:?}", vector.id),
            }
        }
    }
}
