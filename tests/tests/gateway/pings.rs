//! Whether runners' connections live: pings, pongs, and silence.

use std::time::Duration;

use underpass_core::bus::{Publication, PublishError, Subject};
use underpass_core::directory::RunnerState;
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::Body;
use underpass_core::protocol::tunnel::to_client;
use underpass_core::protocol::tunnel::to_server::Kind;
use underpass_core::protocol::{ToGateway, ToRunner, to_gateway as control, to_runner};
use underpass_core::{FailureCode, Gateway, Machine, Time};
use underpass_tests::given::gateway::{
    Asked, aborts, closes, credit, finds_nobody_ready, gateway_with, give_back, publishes,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{
    GATEWAY, abilities, connection, open, open_websocket, pool, record, response_chunk, response_start, seen,
};

const INTERVAL: Duration = Duration::from_secs(3);
const PONG: Duration = Duration::from_secs(30);

/// A gateway with the usual pings, that sends nothing again.
fn pinging() -> Story<Gateway> {
    gateway_with(
        Config { max_tries: 1, response_start: Duration::from_secs(10_000), ..Config::default() },
        abilities(1 << 20),
    )
}

fn asks(story: &mut Story<Gateway>) -> Asked {
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    asked
}

/// A ping to connection 1 that names a request, said at a time.
fn ping(asked: Asked, at: Duration) -> Action {
    let ts = i64::try_from(at.as_millis()).expect("a time");
    let ping = to_runner::Ping { gateway_id: GATEWAY, request_id: asked.id, ts };
    Action::Publish(Publication {
        to: Subject::Connection(connection(1)),
        reply_to: Some(Subject::Gateway(GATEWAY)),
        frame: ToRunner::Ping(ping).encode_framed(),
    })
}

fn pong(asked: Asked, at: Duration) -> Event {
    let ts = i64::try_from(at.as_millis()).expect("a time");
    Event::Received { from: None, frame: ToGateway::Pong(control::Pong { request_id: asked.id, ts }).encode_framed() }
}

#[test]
fn a_connection_with_requests_is_pinged_at_each_interval_and_one_without_is_not() {
    let mut story = pinging();
    story.expect_timeout(None);
    let asked = asks(&mut story);
    story.expect_timeout(Some(Time::ZERO + INTERVAL));
    story.passes_in_silence_until(INTERVAL).expect([ping(asked, INTERVAL)]);
    story.input(pong(asked, INTERVAL)).expect([]);
    story.passes_in_silence_until(INTERVAL).expect([ping(asked, 2 * INTERVAL)]);
    // The pong of a request that has ended finds nothing to be counted for.
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.expect_timeout(None).input(pong(asked, 2 * INTERVAL)).expect([]);
    assert_eq!(story.machine.stats().stale, 1);
    story.ends();
}

#[test]
fn requests_are_named_in_turn() {
    let mut story = pinging();
    let asked = [asks(&mut story), asks(&mut story), asks(&mut story)];
    for (turn, asked) in (1..).zip([asked[0], asked[1], asked[2], asked[0]]) {
        story.passes(INTERVAL).expect([ping(asked, turn * INTERVAL)]);
        story.input(pong(asked, turn * INTERVAL)).expect([]);
    }
    for asked in asked {
        story.input(Event::ClientGone { key: asked.key }).actions();
    }
    story.ends();
}

#[test]
fn what_a_relay_has_forgotten_ends_one_right_behind_another_and_not_one_each_interval() {
    let mut story = pinging();
    let asked = [asks(&mut story), asks(&mut story), asks(&mut story)];
    story.passes(INTERVAL).expect([ping(asked[0], INTERVAL)]);
    // The last takes the first one's place among them, and is named after the second.
    for (forgotten, next) in [(asked[0], Some(asked[1])), (asked[1], Some(asked[2])), (asked[2], None)] {
        story.input(pong(forgotten, INTERVAL)).expect([]);
        story.hears(forgotten, 0, Kind::ResponseAbort);
        let failed = story.actions();
        assert!(matches!(&failed[0], Action::Failed { key, .. } if *key == forgotten.key), "{failed:?}");
        assert_eq!(failed[1..], next.map(|next| ping(next, INTERVAL)).into_iter().collect::<Vec<_>>());
    }
    story.ends();
}

#[test]
fn an_abort_brings_no_ping_unless_the_last_one_named_its_request_and_was_answered() {
    let mut story = pinging();
    let asked = [asks(&mut story), asks(&mut story), asks(&mut story)];
    story.passes(INTERVAL).expect([ping(asked[0], INTERVAL)]);
    // The handler failed, before the pong and behind it.
    story.hears(asked[0], 0, Kind::ResponseAbort).expect_failed(asked[0], FailureCode::RunnerFailed, []);
    story.input(pong(asked[0], INTERVAL)).expect([]);
    story.hears(asked[1], 0, Kind::ResponseAbort).expect_failed(asked[1], FailureCode::RunnerFailed, []);
    story.passes_in_silence_until(INTERVAL).expect([ping(asked[2], 2 * INTERVAL)]);
    story.hears(asked[2], 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn a_ping_without_an_answer_is_said_again_even_if_its_request_has_ended() {
    let mut story = pinging();
    let [first, second] = [asks(&mut story), asks(&mut story)];
    story.passes(INTERVAL).expect([ping(first, INTERVAL)]);
    story.hears(first, 0, response_start(200, None, false)).actions();
    story.passes(INTERVAL).expect([ping(first, INTERVAL)]);
    // An answer to another ping is none.
    story.input(pong(first, 2 * INTERVAL)).expect([]);
    story.input(pong(second, INTERVAL)).expect([]);
    assert_eq!(story.machine.stats().stale, 2);
    story.passes(INTERVAL).expect([ping(first, INTERVAL)]);
    story.input(pong(first, INTERVAL)).expect([]);
    story.passes(INTERVAL).expect([ping(second, 4 * INTERVAL)]);
    story.hears(second, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn the_requests_of_a_connection_that_is_silent_for_too_long_end_and_it_gets_no_more() {
    let mut story = pinging();
    let waiting = asks(&mut story);
    let socket = story.opens_websocket();
    story.passes(INTERVAL).expect([ping(waiting, INTERVAL)]);
    for _ in 1..10 {
        story.passes(INTERVAL).expect([ping(waiting, INTERVAL)]);
    }
    story.passes_in_silence_until(INTERVAL);
    let failed = story.actions();
    let tells: Vec<_> = failed.iter().filter(|action| matches!(action, Action::Publish(_))).cloned().collect();
    assert_eq!(tells, [aborts(waiting, 1), closes(socket, 1, FailureCode::PingTimeout)]);
    assert_eq!(failed.len(), 4);
    let stats = story.machine.stats();
    assert_eq!((stats.timeouts.pong, stats.failures.with(FailureCode::PingTimeout)), (1, 2));
    finds_nobody_ready(&mut story);
    // The directory says that it is there.
    story.input(Event::Directory(seen("a", record(1, abilities(1 << 20), RunnerState::Ready)))).expect([]);
    assert_eq!(story.machine.ready_runners(&pool()), 1);
    story.ends();
}

#[test]
fn a_pong_at_the_last_instant_counts_from_the_first_ping_without_an_answer() {
    let mut story = pinging();
    let asked = asks(&mut story);
    story.passes(INTERVAL).actions();
    story.passes(PONG - Duration::from_micros(1)).expect([ping(asked, INTERVAL)]);
    story.input(pong(asked, INTERVAL)).expect([]);
    // The time of the next begins with the next.
    story.passes(INTERVAL).actions();
    story.passes(PONG - Duration::from_micros(1)).actions();
    assert_eq!(story.machine.stats().failed, 0);
    story.passes(Duration::from_micros(1)).expect_failed(asked, FailureCode::PingTimeout, [aborts(asked, 1)]);
    story.ends();
}

#[test]
fn a_clock_that_jumps_an_hour_pings_once_and_then_ends_each_request_once() {
    let mut story = pinging();
    let asked = [asks(&mut story), asks(&mut story)];
    story.long_after().expect([ping(asked[0], Duration::from_secs(3_600))]);
    story.long_after();
    let failed = story.actions().iter().filter(|action| matches!(action, Action::Failed { .. })).count();
    assert_eq!((failed, story.machine.stats().timeouts.pong), (2, 1));
    story.ends();
}

#[test]
fn what_was_granted_is_told_again_with_each_ping_until_the_answer_ends() {
    let mut story = gateway_with(Config { max_tries: 1, ..Config::default() }, abilities(256));
    let asked = asks(&mut story);
    story.hears(asked, 0, response_start(200, None, true)).actions();
    story.passes(INTERVAL).expect([ping(asked, INTERVAL)]);
    story.hears(asked, 1, response_chunk(b"chunk", false)).actions();
    let grant = || publishes(asked, 0, to_client::Kind::Credit(credit(64)));
    story.input(Event::Consumed { key: asked.key, bytes: 5 }).expect([grant()]);
    story.passes(INTERVAL).expect([ping(asked, INTERVAL), grant()]);
    // The bus may refuse it: the next ping is there for that.
    story.input(give_back(grant(), PublishError::Full)).expect([]);
    story.passes(INTERVAL).expect([ping(asked, INTERVAL), grant()]);
    story.hears(asked, 2, response_chunk(b"", true)).actions();
    story.ends();
}

#[test]
fn a_ping_that_the_bus_refuses_is_said_again_and_one_that_finds_nobody_loses_the_connection() {
    let mut story = pinging();
    let asked = asks(&mut story);
    story.passes(INTERVAL).expect([ping(asked, INTERVAL)]);
    for reason in [PublishError::Full, PublishError::Disconnected] {
        story.input(give_back(ping(asked, INTERVAL), reason)).expect([]);
    }
    story.passes(INTERVAL).expect([ping(asked, INTERVAL)]);
    story.input(give_back(ping(asked, INTERVAL), PublishError::NoResponders));
    story.expect_failed(asked, FailureCode::RunnerLost, []).ends();
}

#[test]
fn a_body_that_is_collected_is_not_named_in_pings() {
    let config = Config { max_tries: 1, ..Config::default() };
    let mut story = gateway_with(config, underpass_tests::given::gateway::published_abilities());
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.expect_timeout(None).long_after().expect([]);
    story.input(Event::ClientGone { key: asked.key }).expect([]).ends();
}

#[test]
fn each_connection_has_pings_of_its_own() {
    let mut story = pinging();
    let first = asks(&mut story);
    story.input(Event::Directory(seen("b", record(2, abilities(1_000), RunnerState::Ready)))).expect([]);
    let second = story.opens(open_websocket("/"));
    assert_eq!(story.actions().len(), 1);
    story.passes(INTERVAL);
    assert_eq!(story.actions().len(), 2);
    story.input(pong(second, INTERVAL)).expect([]);
    // One is silent, the other goes on.
    for _ in 0..9 {
        story.passes(INTERVAL).actions();
        let at = story.now().since(Time::ZERO);
        story.input(pong(second, at)).actions();
    }
    story.passes(INTERVAL);
    let failed: Vec<_> = story
        .actions()
        .into_iter()
        .filter_map(|action| if let Action::Failed { key, .. } = action { Some(key) } else { None })
        .collect();
    assert_eq!(failed[0], first.key);
    story.input(Event::ClientGone { key: second.key }).actions();
    story.ends();
}
