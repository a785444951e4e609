//! Dialling, backing off, greeting, silence, refusal, eviction.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::http::{Body, Close};
use underpass_core::protocol::kv::{KvResponse, KvResponseData};
use underpass_core::protocol::to_client::AckEvents;
use underpass_core::protocol::{Dialect, ToClient, ToServer, to_server};
use underpass_core::runner::{Action, Config, Event, StopReason};
use underpass_core::{ConfigError, Frame, Machine, Runner, Time};
use underpass_tests::given::runner::{
    calm, dialling, dials, greeting, init, leaves, leaves_on, ping, ready_with, runner, says, seeded, small_config,
};
use underpass_tests::story::Story;
use underpass_tests::wire::status;

const DIAL: Duration = Duration::from_secs(10);
const INIT: Duration = Duration::from_secs(5);
const SILENT: Duration = Duration::from_secs(15);

fn one_microsecond() -> Duration {
    Duration::from_micros(1)
}

/// How long the runner waits before it dials again; then it does.
#[track_caller]
fn waits(story: &mut Story<Runner>) -> Duration {
    let due = story.machine.poll_timeout().expect("it will dial again");
    let wait = due - story.now();
    story.passes_in_silence_until(wait);
    let next = story.connection();
    story.expect([dials(next)]);
    wait
}

#[test]
fn it_greets_a_relay_of_underpass_with_all_that_it_can() {
    let config = Config { credit: 1_000, ..calm() };
    let mut story = dialling(config);
    story.is_connected(Dialect::Underpass);
    story.expect([init(r#"{"underpass":{"streams":true,"numbers":true,"credit":1000,"stateless":true}}"#)]);
    assert!(!story.machine.stats().ready);
    story.hears(greeting()).expect([]);
    assert!(!story.machine.stats().ready, "its relay has not told the gateways");
    story.is_told_ready();
    assert!(story.machine.stats().ready);
    story.drains_and_ends();
}

#[test]
fn it_claims_no_abilities_toward_a_relay_of_the_published_protocol() {
    let mut story = dialling(calm());
    story.is_connected(Dialect::Published);
    story.expect([init(r#"{"underpass":{"streams":false,"numbers":false,"stateless":false}}"#)]);
    story.hears(greeting()).expect([]).is_told_ready();
    story.drains_and_ends();
}

#[test]
fn it_says_who_it_is_as_it_was_configured() {
    let config = Config {
        namespace: "space".into(),
        name: "pool".into(),
        version: 9,
        total_slots: 12,
        stateless: false,
        credit: 7,
        ..Config::default()
    };
    let mut story = dialling(config);
    let hello = story.machine.hello();
    assert_eq!((hello.protocol_version, &*hello.namespace, &*hello.runner_key), (7, "space", "key"));
    story.is_connected(Dialect::Underpass);
    let metadata = r#"{"underpass":{"streams":true,"numbers":true,"credit":7,"stateless":false}}"#;
    story.expect([says(ToServer::Init(to_server::Init {
        name: "pool".into(),
        version: 9,
        total_slots: 12,
        prepopulate_actor_names: None,
        metadata: Some(metadata.into()),
    }))]);
    story.is_lost().expect([]);
    story.input(Event::Drain).expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn it_backs_off_twice_as_long_each_time_up_to_the_most_with_up_to_a_quarter_more() {
    let mut story = dialling(calm());
    let mut bases = [100, 200, 400, 800, 1_600, 3_200].map(Duration::from_millis).to_vec();
    bases.extend([Duration::from_secs(5); 4]);
    let mut jitters = Vec::new();
    for base in bases {
        story.is_lost().expect([]);
        let wait = waits(&mut story);
        assert!((base..base * 5 / 4).contains(&wait), "{wait:?} for {base:?}");
        jitters.push(wait - base);
    }
    jitters.dedup();
    assert!(jitters.len() > 5, "there is jitter: {jitters:?}");
    assert_eq!(story.machine.stats().dials, 11);
}

#[test]
fn its_jitter_is_that_of_its_seed() {
    let waited = |seed| {
        let mut story = seeded(Config::default(), seed);
        (0..5)
            .map(|_| {
                story.is_lost().expect([]);
                waits(&mut story)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(waited(1), waited(1));
    assert_ne!(waited(1), waited(2));
}

#[test]
fn once_taken_in_it_backs_off_from_the_first_wait_again() {
    let mut story = dialling(calm());
    for _ in 0..5 {
        story.is_lost().expect([]);
        waits(&mut story);
    }
    story.becomes_ready(Dialect::Underpass);
    story.is_lost().expect([]);
    assert!(waits(&mut story) < Duration::from_millis(125));
    // Being connected is not being taken in.
    story.is_connected(Dialect::Underpass).actions();
    story.is_lost().expect([]);
    assert!(waits(&mut story) >= Duration::from_millis(200));
}

#[test]
fn a_status_that_says_no_before_it_was_ever_taken_in_stops_it() {
    for code in [400, 401, 403, 404] {
        let mut story = dialling(calm());
        story.is_refused(code);
        story.expect([Action::Stopped(StopReason::Refused { code, message: "no".into() })]).ends();
    }
}

#[test]
fn other_statuses_and_those_after_it_was_taken_in_make_it_dial_again() {
    for code in [200, 301, 399, 408, 425, 429, 500, 503] {
        let mut story = dialling(calm());
        story.is_refused(code).expect([]);
        assert!(waits(&mut story) < Duration::from_millis(125));
    }
    let mut story = runner();
    story.is_lost().expect([]);
    waits(&mut story);
    story.is_refused(401).expect([]);
    waits(&mut story);
}

#[test]
fn a_close_1008_before_it_was_ever_taken_in_stops_it_and_later_does_not() {
    let mut story = dialling(calm());
    story.is_connected(Dialect::Underpass).actions();
    story.is_closed(1008, "the runner speaks protocol version 7");
    let message = "the runner speaks protocol version 7".into();
    story.expect([Action::Stopped(StopReason::Refused { code: 1008, message })]).ends();

    let mut story = runner();
    story.is_closed(1008, "relay.unrouted").expect([]);
    waits(&mut story);
    story.is_closed(1008, "relay.init_timeout").expect([]);
    waits(&mut story);
}

#[test]
fn other_closes_make_it_dial_again() {
    for (code, reason) in [(1000, ""), (1001, "relay.draining"), (1011, "relay.pong_timeout"), (1013, "relay.full")] {
        let mut story = dialling(calm());
        story.is_connected(Dialect::Underpass).actions();
        story.is_closed(code, reason).expect([]);
        waits(&mut story);
        story.becomes_ready(Dialect::Underpass);
        story.is_closed(code, reason).expect([]);
        waits(&mut story);
    }
}

#[test]
fn an_eviction_stops_it_whenever_it_comes() {
    let evicted = Close::new(1000, "ws.eviction#taken_over");
    for ready in [false, true] {
        let mut story = dialling(calm());
        if ready {
            story.becomes_ready(Dialect::Underpass);
        } else {
            story.is_connected(Dialect::Underpass).actions();
        }
        story.is_closed(1000, "ws.eviction#taken_over");
        story.expect([Action::Stopped(StopReason::Evicted(evicted.clone()))]);
        story.is_lost().expect([]);
        story.input(Event::Drain).expect([]).ends();
    }
}

#[test]
fn a_dial_must_come_to_something_within_the_deadline() {
    let mut story = dialling(calm());
    story.expect_timeout(Some(Time::ZERO + DIAL));
    story.passes_in_silence_until(DIAL);
    story.expect([leaves(1002, "runner.dial_timeout")]);
    assert_eq!(story.machine.stats().timeouts.dial, 1);
    // It comes to something too late.
    story.is_connected(Dialect::Underpass).expect([]);
    story.hears(greeting()).expect([]);
    waits(&mut story);
    story.loses(1).expect([]);
    story.becomes_ready(Dialect::Underpass);
    story.drains_and_ends();
}

#[test]
fn a_dial_that_comes_to_something_just_in_time_does() {
    for early in [one_microsecond(), Duration::ZERO] {
        let mut story = dialling(calm());
        if early == Duration::ZERO {
            // The adapter is told the time and of the connection in one.
            story.after(DIAL, Event::Connected { connection: 1, dialect: Dialect::Underpass });
            assert_eq!(story.actions().len(), 1);
        } else {
            story.passes(DIAL - early).expect([]);
            story.is_connected(Dialect::Underpass).actions();
        }
        story.passes(INIT - one_microsecond()).expect([]);
        story.hears(greeting()).expect([]).is_told_ready();
        story.drains_and_ends();
    }
}

#[test]
fn dials_that_are_given_up_back_off_too() {
    let mut story = dialling(calm());
    for wait in [100, 200, 400].map(Duration::from_millis) {
        let connection = story.connection();
        story.passes(DIAL).actions();
        story.loses(connection).expect([]);
        assert!((wait..wait * 5 / 4).contains(&waits(&mut story)));
    }
}

#[test]
fn an_hour_that_passes_at_once_ends_each_wait_once() {
    let hour = Duration::from_secs(3_600);
    let mut story = dialling(calm());
    story.passes(hour).expect([leaves(1002, "runner.dial_timeout")]);
    story.loses(1).expect([]);
    story.passes(hour).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.passes(hour).expect([leaves_on(2, 1002, "runner.init_timeout")]);
    story.loses(2).expect([]);
    story.passes(hour).expect([dials(3)]);
    story.becomes_ready(Dialect::Underpass);
    let key = story.is_asked(1);
    story.passes(hour).expect([Action::Aborted { key }, leaves_on(3, 1011, "runner.relay_silent")]);
    story.loses(3).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.timeouts.dial, stats.timeouts.init, stats.timeouts.relay_silent, stats.lost), (1, 1, 1, 1));
    story.input(Event::Drain).expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn an_eviction_after_a_relay_that_never_answered_may_be_its_own_work_once() {
    let mut story = dialling(calm());
    story.is_connected(Dialect::Underpass).actions();
    story.passes(INIT).expect([leaves(1002, "runner.init_timeout")]);
    story.loses(1).expect([]);
    waits(&mut story);
    story.becomes_ready(Dialect::Underpass);
    // The first relay has come to enter it only now.
    story.is_closed(1000, "ws.eviction#taken_over").expect([]);
    waits(&mut story);
    story.becomes_ready(Dialect::Underpass);
    story.is_closed(1000, "ws.eviction#taken_over");
    let evicted = Close::new(1000, "ws.eviction#taken_over");
    story.expect([Action::Stopped(StopReason::Evicted(evicted))]).ends();
}

#[test]
fn a_relay_must_greet_it_within_the_deadline() {
    let mut story = dialling(calm());
    story.is_connected(Dialect::Underpass).actions();
    story.expect_timeout(Some(Time::ZERO + INIT));
    // A ping is answered, and is no greeting.
    story.hears(ping(5)).expect([says(ToServer::Pong(to_server::Pong { ts: 5 }))]);
    story.passes_in_silence_until(INIT);
    story.expect([leaves(1002, "runner.init_timeout")]);
    assert_eq!(story.machine.stats().timeouts.init, 1);
    // The greeting comes too late.
    story.hears(greeting()).expect([]);
    story.is_lost().expect([]);
    waits(&mut story);
}

#[test]
fn a_greeting_just_in_time_is_one() {
    let mut story = dialling(calm());
    story.is_connected(Dialect::Underpass).actions();
    story.passes(INIT - one_microsecond()).expect([]);
    story.hears(greeting()).expect([]);
    // Greeted twice: the first holds.
    story.hears(greeting()).expect([]);
    story.drains_and_ends();
}

#[test]
fn a_relay_that_is_silent_is_left_at_the_deadline_and_not_before() {
    let mut story = runner();
    story.passes(SILENT - one_microsecond()).expect([]);
    story.hears(ping(1));
    assert_eq!(story.actions().len(), 1);
    story.passes_in_silence_until(SILENT);
    story.expect([leaves(1011, "runner.relay_silent")]);
    assert_eq!(story.machine.stats().timeouts.relay_silent, 1);
    story.is_lost().expect([]);
    waits(&mut story);
}

#[test]
fn whatever_the_relay_says_is_a_sign_of_life() {
    let requested = |story: &mut Story<Runner>| {
        story.asks(underpass_tests::given::runner::of(1, 0), underpass_tests::given::relay::start(None));
    };
    let said: [fn(&mut Story<Runner>); 4] = [
        |story| _ = story.hears(ping(0)),
        |story| _ = story.hears(ToClient::Commands(Vec::new())),
        |story| _ = story.hears(ToClient::AckEvents(AckEvents { last_event_checkpoints: Vec::new() })),
        requested,
    ];
    for says in said {
        let mut story = runner();
        story.passes(SILENT - one_microsecond()).expect([]);
        says(&mut story);
        story.actions();
        story.passes(SILENT - one_microsecond()).expect([]);
    }
}

#[test]
fn what_is_for_actors_with_state_changes_nothing() {
    let mut story = runner();
    story.hears(ToClient::Commands(Vec::new())).expect([]);
    story.hears(ToClient::AckEvents(AckEvents { last_event_checkpoints: Vec::new() })).expect([]);
    story.hears(ToClient::KvResponse(KvResponse { request_id: 1, data: KvResponseData::Drop })).expect([]);
    story.drains_and_ends();
}

#[test]
fn a_malformed_frame_makes_it_hang_up_and_dial_again() {
    let good = ping(1).encode().into_bytes();
    let mut bad: Vec<Bytes> = (0..good.len()).map(|length| good.slice(..length)).collect();
    bad.push([&good[..], &[0]].concat().into());
    bad.push(Bytes::from_static(&[7]));
    for frame in bad {
        let mut story = runner();
        let error = ToClient::decode(&Frame::from(frame.clone()), Dialect::Underpass).expect_err("malformed");
        story.hears_bytes(frame);
        story.expect([leaves(1002, format!("runner.malformed: {error}"))]);
        assert_eq!(story.machine.stats().malformed, 1);
        story.is_lost().expect([]);
        waits(&mut story);
    }
}

#[test]
fn private_words_are_malformed_from_a_relay_of_the_published_protocol() {
    let mut story = ready_with(calm(), Dialect::Published);
    story.hears(ToClient::Draining);
    assert!(matches!(&story.actions()[..], [Action::Disconnect { close, .. }] if close.code == Some(1002)));
}

#[test]
fn frames_of_a_connection_that_it_has_left_are_ignored() {
    let mut story = runner();
    story.passes(SILENT).expect([leaves(1011, "runner.relay_silent")]);
    story.hears(ping(1)).expect([]);
    story.hears_bytes(Bytes::from_static(&[255])).expect([]);
    assert_eq!(story.machine.stats().malformed, 0);
    story.input(Event::Drain).expect([]);
    story.is_lost().expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn the_loss_of_the_connection_ends_all_that_is_open_and_its_answers_go_nowhere() {
    for hang_up in [false, true] {
        let mut story = ready_with(small_config(5), Dialect::Underpass);
        let request = story.is_asked(1);
        let responding = story.is_asked(2);
        let body = Body::Stream;
        story.input(Event::ResponseStart { key: responding, head: status(200), body }).actions();
        let asking = story.is_asked_for_websocket(3);
        let socket = story.opens_websocket(4);
        let closing = story.opens_websocket(5);
        let message = || underpass_core::http::Message::Binary(Bytes::from_static(b"12345"));
        for _ in 0..2 {
            story.input(Event::WebSocketMessage { key: closing, message: message() }).actions();
        }
        story.input(Event::WebSocketClose { key: closing, close: Close::new(1000, "") }).expect([]);
        assert_eq!(story.machine.stats().open, 5);
        let close = Close::abnormal;
        let ended = [
            Action::Aborted { key: request },
            Action::Aborted { key: responding },
            Action::WebSocketClose { key: asking, close: close() },
            Action::WebSocketClose { key: socket, close: close() },
        ];
        if hang_up {
            story.passes(SILENT);
            let silent = leaves(1011, "runner.relay_silent");
            story.expect(ended.into_iter().chain([silent]));
            story.is_lost().expect([]);
        } else {
            story.is_lost().expect(ended);
        }
        assert_eq!((story.machine.stats().open, story.machine.stats().lost), (0, 5));
        story.input(Event::ResponseStart { key: request, head: status(200), body: Body::None }).expect([]);
        story.input(Event::HandlerFailed { key: responding }).expect([]);
        story.input(Event::WebSocketAccept { key: asking, can_hibernate: false }).expect([]);
        story.input(Event::WebSocketMessage { key: socket, message: message() }).expect([]);
        waits(&mut story);
        story.becomes_ready(Dialect::Underpass);
        story.drains_and_ends();
    }
}

#[test]
fn what_was_blocked_is_not_on_a_new_connection() {
    let mut story = runner();
    let key = story.is_asked(1);
    story.is_blocked().expect([]);
    story.input(Event::ResponseStart { key, head: status(200), body: Body::Stream }).actions();
    let bytes = Bytes::from_static(b"waits");
    story.input(Event::ResponseChunk { key, bytes: bytes.clone(), finish: false });
    story.expect([Action::PauseSource { key }]);
    story.is_lost().expect([Action::Aborted { key }]);
    waits(&mut story);
    story.becomes_ready(Dialect::Underpass);
    let key = story.is_asked(1);
    story.input(Event::ResponseStart { key, head: status(200), body: Body::Stream }).actions();
    story.input(Event::ResponseChunk { key, bytes, finish: true });
    assert_eq!(story.actions().len(), 1);
    story.is_writable().expect([]);
    story.drains_and_ends();
}

#[test]
fn the_first_action_is_due_at_once() {
    let story = Story::given(Runner::new(Config::default(), "key".into(), 1, Time::ZERO).expect("a configuration"));
    assert_eq!(story.machine.poll_timeout(), Some(Time::ZERO));
}

#[test]
fn the_largest_frame_has_room_for_the_largest_payload_the_fields_and_what_is_around() {
    let config = Config { max_whole_body: 5, max_message: 7, max_chunk: 6, max_header_bytes: 10, ..calm() };
    assert_eq!(config.largest_frame(), 7 + 10 + 16 * 1024);
}

#[test]
fn a_configuration_that_could_not_work_is_refused() {
    let refused = |config| Runner::new(config, "key".into(), 1, Time::ZERO).expect_err("a wrong configuration");
    for (name, config) in [
        ("max_requests", Config { max_requests: 0, ..calm() }),
        ("max_chunk", Config { max_chunk: 0, ..calm() }),
        ("credit", Config { credit: 0, ..calm() }),
        ("backoff_first", Config { backoff_first: Duration::ZERO, ..calm() }),
        ("dial", Config { dial: Duration::ZERO, ..calm() }),
        ("init", Config { init: Duration::ZERO, ..calm() }),
        ("relay_silent", Config { relay_silent: Duration::ZERO, ..calm() }),
        ("max_actors", Config { max_actors: 0, ..calm() }),
        ("ack_every", Config { ack_every: 0, ..calm() }),
        ("max_kv_calls", Config { max_kv_calls: 0, ..calm() }),
        ("max_kv_bytes", Config { max_kv_bytes: 0, ..calm() }),
    ] {
        assert_eq!(refused(config), ConfigError::Zero(name));
    }
    let most = Config { ack_every: 16_385, ..calm() };
    assert_eq!(refused(most), ConfigError::TooLarge { setting: "ack_every", most: 16_384 });
    let order = Config { backoff_first: Duration::from_secs(6), ..calm() };
    assert_eq!(refused(order), ConfigError::Order { smaller: "backoff_first", larger: "backoff_most" });
    let as_long = Config { backoff_most: calm().backoff_first, ..calm() };
    assert!(Runner::new(as_long, "key".into(), 1, Time::ZERO).is_ok());
    let small = small_config(1).max_buffered - 1;
    for (name, config) in [
        ("max_buffered", Config { max_buffered: small, ..small_config(1) }),
        ("outbox", Config { outbox: small, ..small_config(1) }),
        ("max_buffered", Config { max_message: usize::MAX, ..calm() }),
    ] {
        let error = refused(config);
        assert!(matches!(error, ConfigError::BoundBelowLargest { bound, .. } if bound == name), "{error}");
    }
}
