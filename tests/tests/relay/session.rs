//! A connection, from its opening to its end.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::ApiMisuse::{ConnectionInUse, NoSuchConnection};
use underpass_core::directory::{Abilities, ChangeOutcome, Revision, RunnerState};
use underpass_core::handshake::Hello;
use underpass_core::protocol::kv::{KvRequest, KvRequestData, KvResponse, KvResponseData};
use underpass_core::protocol::to_server::{AckCommands, Init};
use underpass_core::protocol::tunnel::to_client;
use underpass_core::protocol::tunnel::to_server::Kind;
use underpass_core::protocol::{Dialect, ToClient, ToServer};
use underpass_core::relay::{Action, Config, Event, Notice};
use underpass_core::{ConfigError, Frame, Machine, PeerError, Relay, Time};
use underpass_tests::given::relay::{
    METADATA, calm, closes, greeting, hello, init, of_request, pings, pong, relay, relay_with, sends, small_config,
    start, tells,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{relay_id, runner_key};

const INIT: Duration = Duration::from_secs(5);
const PING: Duration = Duration::from_secs(3);
const PONG: Duration = Duration::from_secs(15);

fn one_microsecond() -> Duration {
    Duration::from_micros(1)
}

fn answer() -> ToServer {
    ToServer::decode(&Frame::from(frame_of_answer()), Dialect::Underpass).expect("a message of a runner")
}

fn frame_of_answer() -> Bytes {
    underpass_tests::wire::to_server(of_request(0), Kind::ResponseAbort).into_bytes()
}

fn kv() -> ToServer {
    ToServer::KvRequest(KvRequest { actor_id: "default".into(), request_id: 9, data: KvRequestData::Drop })
}

fn kv_refused() -> ToClient {
    let message = "this runner's actors have no key-value store".into();
    ToClient::KvResponse(KvResponse { request_id: 9, data: KvResponseData::Error { message } })
}

fn events() -> ToServer {
    ToServer::Events(Vec::new())
}

fn ack() -> ToServer {
    ToServer::AckCommands(AckCommands { last_command_checkpoints: Vec::new() })
}

#[test]
fn a_runner_must_say_who_it_is_within_its_deadline() {
    let mut story = relay_with(Config::default());
    story.connects(1, "a").expect([]).expect_timeout(Some(Time::ZERO + INIT));
    story.passes_in_silence_until(INIT);
    story.expect([tells(1, Notice::InitTimeout), closes(1, 1008, "relay.init_timeout")]);
    assert_eq!(story.machine.stats().timeouts.init, 1);
    // It is late now.
    story.says(1, init(Some(METADATA))).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
}

#[test]
fn a_runner_that_says_who_it_is_just_in_time_is_taken_in() {
    let mut story = relay_with(Config::default());
    story.connects(1, "a").expect([]);
    story.passes(INIT - one_microsecond()).expect([]);
    story.says(1, init(Some(METADATA))).expect_state(1, 0, Some(RunnerState::Full));
    story.passes(INIT).expect([]).expect_timeout(None);
    story.directory(1, ChangeOutcome::Stored(Revision(1)));
    assert_eq!(story.actions().len(), 2);
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 1, None);
    story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]).ends();
}

#[test]
fn before_it_says_who_it_is_a_runner_can_say_nothing_else() {
    for message in [answer(), events(), ack(), ToServer::Stopping, pong(), kv()] {
        let mut story = relay_with(Config::default());
        story.connects(1, "a").expect([]);
        story.says(1, message);
        let what = "something before ToServerInit";
        story.expect([tells(1, Notice::OutOfTurn(what)), closes(1, 1002, format!("relay.out_of_turn: {what}"))]);
        story.says(1, init(Some(METADATA))).expect([]);
        story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
    }
}

#[test]
fn what_a_runner_says_before_it_was_greeted_is_heard_afterwards_if_there_is_room_for_it() {
    let kv = || {
        let data = KvRequestData::Delete { keys: [[0; 100]].iter().collect() };
        ToServer::KvRequest(KvRequest { actor_id: "default".into(), request_id: 9, data })
    };
    let bytes = kv().encode().len() + 128;
    for most in [2 * bytes, 2 * bytes - 1] {
        let mut story = relay_with(Config { max_frame: most, max_buffered: most, ..calm() });
        let record = story.registers(1, "a");
        story.says(1, kv()).expect([]);
        assert_eq!(story.machine.stats().buffered, bytes);
        story.says(1, kv());
        if most == 2 * bytes {
            story.expect([]);
            story.directory(1, ChangeOutcome::Stored(Revision(1)));
            story.expect([sends(1, greeting(&record)), pings(1, 0), sends(1, kv_refused()), sends(1, kv_refused())]);
            assert_eq!(story.machine.stats().buffered, 0);
            continue;
        }
        let what = "too much before ToClientInit";
        story.expect([tells(1, Notice::OutOfTurn(what)), closes(1, 1002, format!("relay.out_of_turn: {what}"))]);
        story.directory(1, ChangeOutcome::Stored(Revision(1))).expect_state(1, 1, None);
        story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]);
        story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
    }
}

#[test]
fn until_its_first_pong_nothing_else_that_a_runner_says_counts_as_life() {
    let mut story = relay_with(calm());
    let record = story.registers(1, "a");
    story.directory(1, ChangeOutcome::Stored(Revision(1)));
    story.expect([sends(1, greeting(&record)), pings(1, 0)]);
    for _ in 0..14 {
        story.passes(Duration::from_secs(1)).actions();
        story.says(1, ToServer::Events(Vec::new())).expect([]);
        assert_eq!(story.machine.stats().connections, 1);
    }
    story.passes(Duration::from_secs(1));
    assert!(story.actions().contains(&closes(1, 1011, "relay.pong_timeout")));
    story.input(Event::Disconnected { connection: 1 });
}

#[test]
fn a_runner_says_only_once_who_it_is() {
    for step in 0..4 {
        let mut story = relay_with(Config::default());
        story.registers(1, "a");
        let mut revision = 0;
        let mut stored = |story: &mut Story<Relay>| {
            revision += 1;
            story.directory(1, ChangeOutcome::Stored(Revision(revision))).actions();
        };
        if step >= 1 {
            stored(&mut story);
        }
        if step >= 2 {
            story.says(1, pong()).actions();
            stored(&mut story);
        }
        if step >= 3 {
            story.says(1, ToServer::Stopping).actions();
            stored(&mut story);
        }
        story.says(1, init(Some(METADATA)));
        let what = "a second ToServerInit";
        let mut actions = story.actions();
        if step > 0 {
            assert!(matches!(actions.pop(), Some(Action::Directory { .. })));
        }
        let closed = [tells(1, Notice::OutOfTurn(what)), closes(1, 1002, format!("relay.out_of_turn: {what}"))];
        assert_eq!(actions, closed, "at step {step}");
        story.input(Event::Disconnected { connection: 1 }).expect([]);
        stored(&mut story);
        if step == 0 {
            stored(&mut story);
        }
        story.ends();
    }
}

#[test]
fn versions_that_the_relay_does_not_speak_are_closed_with_a_reason_that_names_both_sides() {
    for version in [0, 8, u16::MAX] {
        let mut story = relay_with(Config::default());
        let hello = Hello { protocol_version: version, ..hello("a", Dialect::Published) };
        story.input(Event::Connected { connection: 1, hello });
        let reason = format!("the runner speaks protocol version {version}, this relay speaks 1 to 7");
        assert!(reason.len() <= 123, "a close frame holds no more");
        let notice = Notice::UnsupportedVersion { runner: version, oldest: 1, newest: 7 };
        story.expect([closes(1, 1008, reason), tells(1, notice)]).expect_timeout(None);
        story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
    }
}

#[test]
fn a_runner_with_a_name_that_is_too_long_is_not_taken_in() {
    let max_bytes = Config::default().max_name;
    let long = "n".repeat(max_bytes + 1);
    let of = |name: &str| {
        let given = |of: &str, or: &'static str| if name == of { long.as_str().into() } else { or.into() };
        let (namespace, runner_key) = (given("namespace", "default"), given("runner_key", "a"));
        let hello = Hello { namespace, runner_key, ..hello("a", Dialect::Underpass) };
        let ToServer::Init(init) = init(Some(METADATA)) else { unreachable!("it is one") };
        (hello, ToServer::Init(Init { name: given("name", "default"), ..init }))
    };
    for name in ["namespace", "runner_key", "name"] {
        let mut story = relay_with(Config::default());
        let (hello, init) = of(name);
        story.input(Event::Connected { connection: 1, hello }).expect([]);
        story.says(1, init);
        let notice = Notice::NameTooLong { name, bytes: max_bytes + 1, max_bytes };
        story.expect([tells(1, notice), closes(1, 1008, format!("relay.name_too_long: {name}"))]);
        story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
    }
}

#[test]
fn a_runner_is_entered_greeted_and_pinged_and_its_pong_makes_it_ready() {
    let mut story = relay_with(Config::default());
    story.input(Event::WallClock { unix_ms: 1_700_000_000_000 }).expect([]);
    story.connects(1, "a").expect([]);
    story.passes(Duration::from_millis(1_500)).expect([]);
    story.says(1, init(Some(METADATA)));
    let record = story.expect_state(1, 0, Some(RunnerState::Full)).record.expect("a record");
    assert_eq!((record.slots, record.protocol_version), (1, 7));
    assert_eq!(record.abilities, underpass_tests::wire::abilities(1_000));
    assert_eq!(record.id.0.get_version_num(), 4);

    story.directory(1, ChangeOutcome::Stored(Revision(7)));
    story.expect([sends(1, greeting(&record)), pings(1, 1_700_000_001_500)]);
    assert_eq!(story.machine.stats().ready, 0);
    story.says(1, pong());
    let mut actions = story.actions();
    assert_eq!(actions.remove(0), tells(1, Notice::Ready(runner_key("a"))));
    assert!(matches!(&actions[..], [Action::Directory { change, .. }]
        if change.expected == Some(Revision(7))
        && change.record.as_ref().is_some_and(|changed| changed.state == RunnerState::Ready && changed.id == record.id)));
    assert_eq!(story.machine.stats().ready, 1);
    // Another pong is only life.
    story.says(1, pong()).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.directory(1, ChangeOutcome::Stored(Revision(8))).expect_state(1, 8, None);
    story.directory(1, ChangeOutcome::Stored(Revision(9))).expect([]).ends();
}

#[test]
fn what_a_runner_announces_counts_only_if_it_speaks_the_dialect() {
    for (dialect, metadata, abilities) in [
        (Dialect::Published, Some(METADATA), Abilities::default()),
        (Dialect::Published, None, Abilities::default()),
        (Dialect::Underpass, Some("{"), Abilities { dialect: Dialect::Underpass, ..Abilities::default() }),
        (Dialect::Underpass, None, Abilities { dialect: Dialect::Underpass, ..Abilities::default() }),
    ] {
        let mut story = relay_with(Config::default());
        story.input(Event::Connected { connection: 1, hello: hello("a", dialect) }).expect([]);
        story.says(1, init(metadata));
        let record = story.expect_change(1).record.expect("a record");
        assert_eq!(record.abilities, abilities);
        story.directory(1, ChangeOutcome::Stored(Revision(1))).actions();
        // The runner of a pool with state stays known by its id.
        story.input(Event::Disconnected { connection: 1 });
        let away = story.expect_change(1).record.expect("the record stays");
        assert_eq!((away.connection, away.id), (None, record.id));
        story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]).ends();
    }
}

#[test]
fn a_runner_is_pinged_at_each_interval_from_its_greeting_on() {
    let mut story = relay();
    for ping in 1..=4 {
        story.passes_in_silence_until(PING);
        story.expect([pings(1, 3_000 * ping)]);
    }
    story.leaves_and_ends();
}

#[test]
fn a_runner_that_is_silent_is_dropped_at_its_deadline_and_not_before() {
    for ready in [false, true] {
        let mut story = relay_with(calm());
        if ready {
            story.takes_in(1, "a")
        } else {
            story.greets(1, "a")
        };
        for _ in 0..4 {
            story.passes(PING);
            assert_eq!(story.actions().len(), 1);
        }
        story.passes_in_silence_until(PING);
        let mut actions = story.actions();
        assert!(matches!(actions.pop(), Some(Action::Directory { change, .. }) if change.record.is_none()));
        actions.retain(|action| !matches!(action, Action::Send { .. }));
        assert_eq!(actions, [tells(1, Notice::PongTimeout), closes(1, 1011, "relay.pong_timeout")]);
        assert_eq!(story.machine.stats().timeouts.pong, 1);
        story.expect_timeout(None);
        story.directory(1, ChangeOutcome::Stored(Revision(3))).expect([]);
        story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
    }
}

#[test]
fn whatever_a_runner_says_is_a_sign_of_life_and_what_the_bus_brings_is_none() {
    for message in [pong(), events(), ack(), kv(), answer(), ToServer::Stopping] {
        let mut story = relay();
        story.passes(PONG - one_microsecond()).actions();
        story.says(1, message.clone()).actions();
        story.passes(PONG - one_microsecond());
        let dropped = |actions: &[Action]| actions.contains(&closes(1, 1011, "relay.pong_timeout"));
        assert!(!dropped(&story.actions()), "{message:?}");
        story.passes(one_microsecond());
        assert!(dropped(&story.actions()), "{message:?}");
    }
    let mut story = relay();
    story.passes(PONG - one_microsecond()).actions();
    story.opens_route(of_request(0), start(None));
    story.passes(one_microsecond());
    assert!(story.actions().contains(&closes(1, 1011, "relay.pong_timeout")));
}

#[test]
fn a_relay_that_is_full_closes_who_comes_next() {
    let mut story = relay_with(Config { max_connections: 1, ..Config::default() });
    story.takes_in(1, "a");
    story.connects(2, "b").expect([closes(2, 1013, "relay.full")]);
    story.input(Event::Disconnected { connection: 2 }).expect([]);
    story.leaves(1);
    story.takes_in(3, "b");
    story.leaves(3).ends();
}

#[test]
fn records_that_the_directory_does_not_take_back_do_not_heap_up() {
    let mut story = relay_with(Config { max_connections: 1, ..Config::default() });
    for number in [1, 2] {
        story.registers(number, "a");
        story.input(Event::Disconnected { connection: number }).expect([]);
        story.directory(number, ChangeOutcome::Unavailable).expect([tells(number, Notice::DirectoryUnavailable)]);
    }
    assert_eq!(story.machine.stats().registrations, 2);
    story.connects(3, "a").expect([closes(3, 1013, "relay.full")]);
    story.input(Event::Disconnected { connection: 3 }).expect([]);
    // The directory is there again.
    story.passes(Duration::from_secs(1)).actions();
    for number in [1, 2] {
        story.directory(number, ChangeOutcome::Conflict(None)).expect([]);
    }
    story.takes_in(4, "a");
    story.leaves(4).ends();
}

#[test]
fn a_frame_over_the_limit_closes_its_connection_and_one_at_the_limit_does_not() {
    let mut story = relay_with(Config { max_frame: 1_000, ..Config::default() });
    story.takes_in(1, "a");
    let message = |length: usize| {
        let body = Bytes::from(vec![0; length - 15]);
        let chunk = underpass_core::protocol::tunnel::to_server::ResponseChunk { body, finish: false };
        let frame = underpass_tests::wire::to_server(of_request(0), Kind::ResponseChunk(chunk)).into_bytes();
        assert_eq!(frame.len(), length);
        Event::FromRunner { connection: 1, frame }
    };
    story.input(message(1_000)).expect([]);
    assert_eq!(story.machine.stats().unrouted, 1);
    story.input(message(1_001));
    let mut actions = story.actions();
    assert!(matches!(actions.pop(), Some(Action::Directory { .. })));
    let too_large = tells(1, Notice::FrameTooLarge { bytes: 1_001 });
    assert_eq!(actions, [too_large, closes(1, 1009, "relay.frame_too_large")]);
    story.directory(1, ChangeOutcome::Stored(Revision(3))).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
}

#[test]
fn a_malformed_frame_closes_its_connection_and_says_where_it_is_wrong() {
    let good = frame_of_answer();
    let mut bad: Vec<Bytes> = (0..good.len()).map(|length| good.slice(..length)).collect();
    bad.push([&good[..], &[0]].concat().into());
    bad.push(Bytes::from_static(&[7]));
    bad.push(Bytes::from_static(&[255; 12]));
    for frame in bad {
        let mut story = relay();
        let error: PeerError =
            ToServer::decode(&Frame::from(frame.clone()), Dialect::Underpass).expect_err("malformed");
        story.input(Event::FromRunner { connection: 1, frame });
        let mut actions = story.actions();
        assert!(matches!(actions.pop(), Some(Action::Directory { .. })));
        let reason = format!("relay.malformed: {error}");
        assert_eq!(actions, [tells(1, Notice::Malformed(error.into())), closes(1, 1002, reason)]);
        assert_eq!(story.machine.stats().malformed, 1);
        story.directory(1, ChangeOutcome::Stored(Revision(3))).expect([]);
        story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
    }
}

#[test]
fn private_words_are_malformed_from_a_runner_of_the_published_protocol() {
    let mut story = relay_with(Config::default());
    story.input(Event::Connected { connection: 1, hello: hello("a", Dialect::Published) }).expect([]);
    story.says(1, init(None)).actions();
    story.directory(1, ChangeOutcome::Stored(Revision(1))).actions();
    let credit = Kind::Credit(underpass_tests::given::gateway::credit(1));
    story.answers(1, of_request(0), credit.clone());
    assert!(matches!(&story.actions()[..], [Action::Log { .. }, Action::Close { close, .. }, Action::Directory { .. }]
        if close.code == Some(1002)));
    // Of another it is only unrouted.
    let mut story = relay();
    story.answers(1, of_request(0), credit).expect([]);
    assert_eq!((story.machine.stats().unrouted, story.machine.stats().malformed), (1, 0));
    story.leaves_and_ends();
}

#[test]
fn a_call_on_a_store_is_refused() {
    let mut story = relay();
    let refusal = kv_refused();
    story.says(1, kv()).expect([sends(1, refusal.clone())]);
    story.says(1, ToServer::Stopping).expect_state(1, 2, Some(RunnerState::Draining));
    story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]);
    story.says(1, kv()).expect([sends(1, refusal)]);
    story.leaves_and_ends();
}

#[test]
fn events_and_acknowledgements_of_actors_without_state_change_nothing() {
    let mut story = relay();
    story.says(1, events()).expect([]);
    story.says(1, ack()).expect([]);
    story.leaves_and_ends();
}

#[test]
fn a_runner_that_says_goodbye_takes_nothing_new_and_is_not_made_ready_again() {
    let mut story = relay_with(Config::default());
    story.greets(1, "a");
    story.says(1, ToServer::Stopping).expect_state(1, 1, Some(RunnerState::Draining));
    story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]);
    story.says(1, pong()).expect([]);
    story.says(1, ToServer::Stopping).expect([]);
    assert_eq!(story.machine.stats().ready, 0);
    story.leaves_and_ends();
}

#[test]
fn a_runner_that_says_goodbye_before_it_was_greeted_is_watched_like_any_other() {
    let mut story = relay_with(Config::default());
    let record = story.registers(1, "a");
    story.says(1, ToServer::Stopping).expect([]);
    story.directory(1, ChangeOutcome::Stored(Revision(1)));
    let actions = story.actions();
    assert!(
        matches!(&actions[..], [Action::Directory { change, .. }, ..]
        if change.record.as_ref().is_some_and(|record| record.state == RunnerState::Draining)),
        "{actions:?}"
    );
    assert_eq!(actions[1..], [sends(1, greeting(&record)), pings(1, 0)]);
    story.directory(1, ChangeOutcome::Stored(Revision(2))).expect([]);
    story.says(1, pong()).expect([]);
    assert_eq!(story.machine.stats().ready, 0);
    story.passes(PONG);
    assert!(story.actions().contains(&closes(1, 1011, "relay.pong_timeout")));
}

#[test]
fn a_number_is_used_once_and_a_connection_ends_once() {
    let mut story = relay_with(Config::default());
    let again = || Event::Connected { connection: 1, hello: hello("b", Dialect::Underpass) };
    story.misuse(Event::Disconnected { connection: 1 }, NoSuchConnection(1));
    story.takes_in(1, "a");
    story.misuse(again(), ConnectionInUse(1));
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 2, None);
    story.misuse(Event::Disconnected { connection: 1 }, NoSuchConnection(1));
    // Its record is still to be removed.
    story.misuse(again(), ConnectionInUse(1));
    story.directory(1, ChangeOutcome::Stored(Revision(3))).expect([]).ends();
}

#[test]
fn what_comes_for_a_connection_that_has_ended_is_ignored() {
    let mut story = relay_with(Config::default());
    story.input(Event::FromRunner { connection: 1, frame: Bytes::from_static(&[255]) }).expect([]);
    story.input(Event::PeerBlocked { connection: 1 }).expect([]);
    story.input(Event::PeerWritable { connection: 1 }).expect([]);
    story.directory(1, ChangeOutcome::Stored(Revision(1))).expect([]);
    story.directory(1, ChangeOutcome::Unavailable).expect([]);
    story.asks(1, of_request(1), to_client::Kind::RequestAbort).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.late, stats.malformed), (1, 0));
    story.ends();
}

#[test]
fn a_configuration_that_could_not_work_is_refused() {
    let refused = |config| Relay::new(config, relay_id(), 1, Time::ZERO).expect_err("a wrong configuration");
    for (name, config) in [
        ("max_connections", Config { max_connections: 0, ..Config::default() }),
        ("max_routes_per_connection", Config { max_routes_per_connection: 0, ..Config::default() }),
        ("max_frame", Config { max_frame: 0, ..Config::default() }),
        ("ping_interval", Config { ping_interval: Duration::ZERO, ..Config::default() }),
        ("refresh", Config { refresh: Duration::ZERO, ..Config::default() }),
        ("gateway_silent", Config { gateway_silent: Duration::ZERO, ..Config::default() }),
        ("abort_again", Config { abort_again: Duration::ZERO, ..Config::default() }),
        ("directory_retry", Config { directory_retry: Duration::ZERO, ..Config::default() }),
        // Less than the clock can tell is nothing, too.
        ("ping_interval", Config { ping_interval: Duration::from_nanos(999), ..Config::default() }),
        ("refresh", Config { refresh: Duration::from_nanos(999), ..Config::default() }),
    ] {
        assert_eq!(refused(config), ConfigError::Zero(name));
    }
    for (name, config) in [
        ("outbox", Config { outbox: 99, ..small_config() }),
        ("max_buffered", Config { max_buffered: 99, ..small_config() }),
        ("max_backlog", Config { max_backlog: 99, ..small_config() }),
        ("bus_largest_message", Config { bus_largest_message: 101, ..small_config() }),
    ] {
        let error = refused(config);
        assert!(matches!(error, ConfigError::BoundBelowLargest { bound, .. } if bound == name), "{error}");
    }
    let order = Config { ping_interval: PONG, ..Config::default() };
    assert_eq!(refused(order), ConfigError::Order { smaller: "ping_interval", larger: "pong" });
    let order = Config { abort_again: Duration::from_secs(10), ..Config::default() };
    assert_eq!(refused(order), ConfigError::Order { smaller: "abort_again", larger: "abort_give_up" });
}
