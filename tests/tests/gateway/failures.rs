//! How failures look to a client, and how cookies come apart.

use underpass_core::failure::RequestName;
use underpass_core::gateway::Action;
use underpass_core::http::{Body, Close, ResponseHead, split_fields};
use underpass_core::protocol::tunnel::to_server::{Kind, ResponseStart};
use underpass_core::protocol::{GatewayId, RequestId};
use underpass_core::{Failure, FailureCode};
use underpass_tests::given::gateway::gateway;
use underpass_tests::wire::{headers, open};

/// Code, HTTP status, close code: as the design has them.
const CODES: [(FailureCode, &str, u16, u16); 18] = [
    (FailureCode::BadTarget, "bad_target", 400, 1008),
    (FailureCode::BodyTooLarge, "body_too_large", 413, 1009),
    (FailureCode::MessageTooLarge, "message_too_large", 413, 1009),
    (FailureCode::NoRunner, "no_runner", 503, 1013),
    (FailureCode::ActorStartTimeout, "actor_start_timeout", 503, 1013),
    (FailureCode::Overloaded, "overloaded", 503, 1013),
    (FailureCode::Draining, "draining", 503, 1001),
    (FailureCode::RunnerFailed, "runner_failed", 502, 1011),
    (FailureCode::RunnerLost, "runner_lost", 502, 1011),
    (FailureCode::MessageLost, "message_lost", 502, 1011),
    (FailureCode::BusLost, "bus_lost", 502, 1011),
    (FailureCode::ResponseStartTimeout, "response_start_timeout", 504, 1011),
    (FailureCode::WebSocketOpenTimeout, "websocket_open_timeout", 504, 1011),
    (FailureCode::WebSocketAckTimeout, "websocket_ack_timeout", 504, 1011),
    (FailureCode::IdleTimeout, "idle_timeout", 504, 1011),
    (FailureCode::PingTimeout, "ping_timeout", 504, 1011),
    (FailureCode::Refused, "refused", 403, 1008),
    (FailureCode::EndedByOperator, "ended_by_operator", 503, 1013),
];

fn named() -> Option<RequestName> {
    Some(RequestName { gateway_id: GatewayId([0, 1, 2, 255]), request_id: RequestId([0xab; 4]) })
}

#[test]
fn each_failure_has_its_code_its_status_and_its_close() {
    assert_eq!(CODES.map(|(code, ..)| code), FailureCode::ALL);
    for (code, name, status, close_code) in CODES {
        assert_eq!((code.as_str(), code.http_status(), code.close_code()), (name, status, close_code));
        assert_eq!(code.to_string(), name);
        let failure = Failure { code, message: "what happened".into(), request: named() };
        let (head, body) = failure.http_answer();
        assert_eq!(head.status, status);
        let field = |field| head.headers.get(field).map(|value| value.to_string());
        assert_eq!(field("content-type").as_deref(), Some("application/json"));
        assert_eq!(field("content-length"), Some(body.len().to_string()));
        assert_eq!(field("x-underpass-error").as_deref(), Some(name));
        assert_eq!(field("x-underpass-request").as_deref(), Some("000102ff-abababab"));
        assert_eq!(field("retry-after").as_deref(), (status == 503).then_some("1"), "{code}");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("a failure's body is JSON");
        let expected = serde_json::json!({
            "code": name,
            "message": "what happened",
            "request": "000102ff-abababab",
        });
        assert_eq!(body, expected);
        assert_eq!(failure.close(), Close::new(close_code, format!("{name}#000102ff-abababab")));
        assert!(failure.close().on_the_socket().is_some(), "{close_code} may be sent");
        assert_eq!(failure.to_string(), format!("{name}: what happened (request 000102ff-abababab)"));
    }
}

#[test]
fn a_failure_of_a_request_without_a_name_does_not_name_one() {
    let failure = Failure { code: FailureCode::BadTarget, message: "\"quoted\"".into(), request: None };
    let (head, body) = failure.http_answer();
    assert_eq!(head.headers.get("x-underpass-request"), None);
    let body: serde_json::Value = serde_json::from_slice(&body).expect("a failure's body is JSON");
    assert_eq!(body, serde_json::json!({ "code": "bad_target", "message": "\"quoted\"", "request": null }));
    assert_eq!(failure.close(), Close::new(1008, "bad_target"));
}

#[test]
fn cookies_that_a_handler_set_come_apart_at_their_line_feeds() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    let headers = headers(&[("set-cookie", "a=1; Path=/\nb=2, c"), ("x", "y")]);
    let start = ResponseStart { status: 200, headers: headers.clone(), body: None, stream: false };
    story.hears(asked, 0, Kind::ResponseStart(start));
    let head = ResponseHead { status: 200, headers };
    story.expect([Action::ResponseStart { key: asked.key, head: head.clone(), body: Body::None }]);
    let fields: Vec<_> = split_fields(&head.headers)
        .map(|field| field.expect("HTTP can carry it"))
        .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let expected = [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2, c"), ("x", "y")];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    story.ends();
}
