//! The golden bytes of all versions: what they say, and what other versions make of them.

use std::collections::HashSet;

use underpass_core::Frame;
use underpass_core::protocol::any::{Message, Schema};
use underpass_core::protocol::{Memory, Untranslatable, Version, json};
use underpass_tests::vectors::{self, Conversion};

fn frame(hex: &str) -> Frame {
    Frame::from(vectors::bytes(hex))
}

#[test]
fn there_are_vectors_of_every_union_in_every_version() {
    let seen: HashSet<Schema> = vectors::valid().iter().map(|vector| vector.schema()).collect();
    assert!(Schema::all().all(|schema| seen.contains(&schema)));
}

#[test]
fn good_bytes_say_what_the_vector_says_and_are_written_as_they_were() {
    for vector in vectors::valid() {
        let bytes = Frame::from(vector.bytes());
        let message = vector.schema().decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", vector.id));
        assert_eq!(message.encode(), bytes, "{}", vector.id);
        let form: serde_json::Value = serde_json::from_str(&json::to_string(&message)).expect("JSON");
        assert_eq!(form, vector.value, "{}", vector.id);
    }
}

#[test]
fn what_the_vector_says_is_written_as_its_bytes() {
    for vector in vectors::valid() {
        let message = json::from_str(vector.schema(), &vector.value.to_string());
        let message = message.unwrap_or_else(|error| panic!("{}: {error}", vector.id));
        assert_eq!(message.encode(), Frame::from(vector.bytes()), "{}", vector.id);
    }
}

#[test]
fn malformed_bytes_are_refused_for_what_is_wrong_with_them() {
    for vector in vectors::invalid() {
        let bytes = Frame::from(vector.bytes());
        let error = vector.schema().decode(&bytes).expect_err(&format!("{} decodes", vector.id));
        assert_eq!(error.class.to_string(), vector.error, "{}: {error}", vector.id);
        assert!(error.offset <= bytes.len(), "{}: {error}", vector.id);
    }
}

#[test]
fn a_frame_of_the_bus_is_refused_for_the_same_two_bytes_further_on() {
    for vector in vectors::invalid().into_iter().filter(|vector| ["ToRunner", "ToGateway"].contains(&&*vector.union)) {
        let error = vector.schema().decode(&Frame::from(vector.bytes())).expect_err("malformed");
        let framed = [&vector.version.to_le_bytes(), &vector.bytes()[..]].concat();
        let framed = vector.schema().decode_framed(&Frame::from(bytes::Bytes::from(framed))).expect_err("malformed");
        assert_eq!((framed.offset, &framed.class), (error.offset + 2, &error.class), "{}", vector.id);
    }
}

/// The gateway ids in a message's JSON.
fn gateways(form: &mut serde_json::Value) -> Vec<&mut serde_json::Value> {
    use serde_json::Value;
    match form {
        Value::Object(fields) => fields
            .iter_mut()
            .flat_map(|(name, value)| if name == "gatewayId" { vec![value] } else { gateways(value) })
            .collect(),
        Value::Array(items) => items.iter_mut().flat_map(gateways).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn whatever_names_the_zero_gateway_is_said_in_no_other_version() {
    let zero = Err(Untranslatable::ZeroGatewayId);
    // Below version 3 gateways have no ids of their own.
    for mut vector in vectors::valid().into_iter().filter(|vector| vector.version >= 3) {
        let schema = vector.schema();
        let translate = |form: &serde_json::Value| {
            let message = json::from_str(schema, &form.to_string()).expect("a message");
            let to = if schema.version() == Version::V7 { Version::V6 } else { Version::V7 };
            message.translate(to, &mut Memory::stand_alone())
        };
        let count = gateways(&mut vector.value).len();
        for place in (0..count).chain([count]) {
            let mut form = vector.value.clone();
            for (index, id) in gateways(&mut form).into_iter().enumerate() {
                *id = if index == place { "00000000" } else { "a1a2a3a4" }.into();
            }
            assert_eq!(translate(&form) == zero, place < count, "{}: gateway {place}", vector.id);
        }
    }
}

#[test]
fn a_message_of_version_2_bears_the_id_of_the_request_that_its_own_was_made_from() {
    let newer = r#"{"tag":"ToClientTunnelMessage","val":{"messageId":{"gatewayId":"a1a2a3a4","requestId":"b1b2b3b4","messageIndex":3},"messageKind":{"tag":"ToClientRequestAbort","val":null}}}"#;
    let schema = |version| vectors::schema("ToClient", version);
    let translate = |version, form: &str, to| {
        json::from_str(schema(version), form).expect("a message").translate(to, &mut Memory::stand_alone())
    };
    let older = json::to_string(&translate(3, newer, Version::V2).expect("sayable"));
    let request = "a1a2a3a4b1b240b380b4000000000000";
    assert!(older.contains(request), "{older}");
    assert_eq!(translate(2, &older, Version::V3).map(|message| json::to_string(&message)), Ok(newer.to_owned()));
    let other = older.replace(request, "a1a2a3a4b1b240b380b5000000000000");
    assert_eq!(translate(2, &other, Version::V3), Err(Untranslatable::NeverIssued { field: "requestId" }));
}

#[test]
fn an_answer_of_version_2_reaches_its_gateway_in_any_version() {
    let newest = r#"{"tag":"ToServerTunnelMessage","val":{"messageId":{"gatewayId":"a1a2a3a4","requestId":"b1b2b3b4","messageIndex":0},"messageKind":{"tag":"ToServerResponseAbort","val":null}}}"#;
    let message = json::from_str(vectors::schema("ToGateway", 7), newest).expect("a message");
    for version in Version::ALL {
        let there = message.clone().translate(version, &mut Memory::stand_alone()).expect("sayable");
        let back = there.translate(Version::V7, &mut Memory::stand_alone()).expect("sayable");
        assert_eq!(json::to_string(&back), newest, "{version}");
    }
}

#[test]
fn without_a_session_a_runner_of_version_3_is_told_that_no_event_was_taken() {
    let metadata = r#"{"runnerLostThreshold":"1","actorStopThreshold":"2","serverlessDrainGracePeriod":null}"#;
    let init = format!(r#"{{"tag":"ToClientInit","val":{{"runnerId":"r","metadata":{metadata}}}}}"#);
    let init = json::from_str(vectors::schema("ToClient", 7), &init).expect("a message");
    let older = json::to_string(&init.translate(Version::V3, &mut Memory::stand_alone()).expect("sayable"));
    assert!(older.contains(r#""lastEventIdx":"-1""#), "{older}");
}

fn translate(conversion: &Conversion) -> Result<Message, Untranslatable> {
    let message = vectors::schema(&conversion.union, conversion.from_version).decode(&frame(&conversion.from_hex));
    let to = Version::try_from(conversion.to_version).expect("a version");
    message.unwrap_or_else(|error| panic!("{}: {error}", conversion.id)).translate(to, &mut Memory::stand_alone())
}

#[test]
fn conversions_give_what_the_vector_gives() {
    for conversion in vectors::conversions() {
        match translate(&conversion) {
            Ok(message) => assert_eq!(message.encode(), frame(&conversion.to_hex), "{}", conversion.id),
            Err(Untranslatable::Needs { message, .. }) => {
                assert!(conversion.error.starts_with(message), "{}: {message}", conversion.id);
            }
            Err(error) => panic!("{}: {error}", conversion.id),
        }
    }
}
