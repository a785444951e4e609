//! Moving away from a relay that drains: two connections side by side, and what each of them may end.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::http::{Body, Close};
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::{Dialect, ToClient, ToServer, to_server};
use underpass_core::runner::{Action, Event, StopReason};
use underpass_core::{Machine, RequestKey, Runner};
use underpass_tests::given::gateway::zeros;
use underpass_tests::given::relay::start;
use underpass_tests::given::runner::{
    answers_on, calm, dialling, dials, greeting, hangs_up_on, leaves_on, of, ping, runner, says_on,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{response_start, status};

const SILENT: Duration = Duration::from_secs(15);
/// Longer than the first wait before dialling again, and shorter than the second.
const FIRST_WAIT: Duration = Duration::from_millis(130);

const LEAVE_IDLE: Duration = Duration::from_secs(1);

fn moved() -> Action {
    leaves_on(1, 1000, "runner.moved")
}

fn stopped_by_eviction() -> Action {
    Action::Stopped(StopReason::Evicted(Close::new(1000, "ws.eviction#taken_over")))
}

/// A runner with a request that came over a relay which drains now. It dials another.
fn moving() -> (Story<Runner>, RequestKey) {
    let mut story = runner();
    let key = story.is_asked(1);
    story.hears(ToClient::Draining).expect([dials(2)]);
    (story, key)
}

/// The same, ready at the other relay.
fn beside() -> (Story<Runner>, RequestKey) {
    let (mut story, key) = moving();
    story.becomes_ready(Dialect::Underpass).expect([]);
    (story, key)
}

#[track_caller]
fn answer(story: &mut Story<Runner>, connection: u64, request: u8, key: RequestKey) {
    story.input(Event::ResponseStart { key, head: status(204), body: Body::None });
    let sent = story.machine.poll_action();
    assert_eq!(sent, Some(answers_on(connection, of(request, 0), response_start(204, None, false))));
}

/// Nothing was open on the first connection for a while.
#[track_caller]
fn leaves_the_old_one(story: &mut Story<Runner>) {
    story.expect([]);
    story.passes_in_silence_until(LEAVE_IDLE).expect([moved()]);
}

/// Nothing is open on the last connection; the story ends.
#[track_caller]
fn is_alone_and_ends(mut story: Story<Runner>) {
    assert_eq!(story.machine.stats().connections, 1);
    story.drains_and_ends();
}

#[test]
fn requests_belong_to_the_connection_that_they_came_on_until_the_old_one_is_empty() {
    let (mut story, first) = beside();
    // One that was on its way.
    let second = story.is_asked_on(1, 2);
    let third = story.is_asked_on(2, 3);
    answer(&mut story, 1, 1, first);
    answer(&mut story, 2, 3, third);
    answer(&mut story, 1, 2, second);
    leaves_the_old_one(&mut story);
    assert_eq!((story.machine.stats().connections, story.machine.stats().moves), (2, 1));
    // What came meanwhile is not taken.
    story.asks_on(1, of(4, 0), start(None)).expect([]);
    story.loses(1).expect([]);
    let fourth = story.is_asked_on(2, 4);
    answer(&mut story, 2, 4, fourth);
    is_alone_and_ends(story);
}

#[test]
fn with_nothing_open_it_leaves_when_it_is_ready_at_the_new_relay_and_not_before() {
    let mut story = runner();
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.is_connected(Dialect::Underpass);
    assert_eq!(story.actions().len(), 1);
    story.hears(greeting()).expect([]);
    let pong = || says_on(2, ToServer::Pong(to_server::Pong { ts: 7 }));
    story.hears(ping(7)).expect([pong()]);
    assert!(story.machine.stats().ready, "it is, at the old relay");
    story.hears(ping(7));
    let ready = Action::Ready { runner_id: underpass_tests::given::runner::RUNNER_ID.into() };
    story.expect([pong(), ready]);
    leaves_the_old_one(&mut story);
    story.loses(1).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn a_request_that_comes_just_before_it_leaves_is_served_and_the_wait_starts_anew() {
    let (mut story, key) = beside();
    answer(&mut story, 1, 1, key);
    story.expect([]);
    story.passes(LEAVE_IDLE - Duration::from_micros(1)).expect([]);
    let key = story.is_asked_on(1, 2);
    story.passes(LEAVE_IDLE * 2).expect([]);
    answer(&mut story, 1, 2, key);
    // What goes over the new one changes nothing.
    let other = story.is_asked_on(2, 3);
    leaves_the_old_one(&mut story);
    answer(&mut story, 2, 3, other);
    story.loses(1).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn if_the_new_connection_ends_while_it_is_about_to_leave_the_old_one_it_stays() {
    let (mut story, key) = beside();
    answer(&mut story, 1, 1, key);
    story.passes(LEAVE_IDLE - Duration::from_micros(1)).expect([]);
    story.loses(2).expect([]);
    story.passes(FIRST_WAIT).expect([dials(3)]);
    story.becomes_ready(Dialect::Underpass);
    leaves_the_old_one(&mut story);
    story.loses(1).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn it_is_told_once() {
    let (mut story, key) = moving();
    story.hears_on(1, ToClient::Draining).expect([]);
    story.is_lost().expect([]);
    story.hears_on(1, ToClient::Draining).expect([]);
    story.passes(FIRST_WAIT).expect([dials(3)]);
    story.becomes_ready(Dialect::Underpass).expect([]);
    story.hears_on(1, ToClient::Draining).expect([]);
    answer(&mut story, 1, 1, key);
    leaves_the_old_one(&mut story);
    story.loses(1).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn a_relay_that_drains_before_it_has_greeted_is_moved_away_from_once_it_has() {
    let mut story = dialling(calm());
    story.is_connected(Dialect::Underpass).actions();
    story.hears(ToClient::Draining).expect([]);
    story.hears(greeting()).expect([dials(2)]);
    story.loses(1).expect([]);
    story.becomes_ready(Dialect::Underpass);
    is_alone_and_ends(story);
}

#[test]
fn to_become_ready_at_a_relay_that_drains_is_no_move() {
    let mut story = dialling(calm());
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([]);
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.hears_on(1, ping(0)).actions();
    story.hears_on(1, ping(1));
    assert!(matches!(story.actions()[..], [Action::Send { connection: 1, .. }, Action::Ready { .. }]));
    assert_eq!(story.machine.stats().moves, 0);
    story.loses(1).expect([]);
    story.becomes_ready(Dialect::Underpass);
    is_alone_and_ends(story);
}

#[test]
fn while_no_other_takes_it_in_it_backs_off_and_goes_on_with_what_it_has() {
    let (mut story, key) = moving();
    let fails: [fn(&mut Story<Runner>); 5] = [
        |story| _ = story.is_refused(503),
        // No reason to stop: it was taken in once.
        |story| _ = story.is_refused(401),
        |story| _ = story.is_closed(1008, "no"),
        |story| _ = story.is_lost(),
        |story| _ = story.is_closed(1001, "relay.draining"),
    ];
    let mut wait = Duration::from_millis(100);
    for (connection, fails) in (3..).zip(fails) {
        fails(&mut story);
        story.expect([]);
        story.hears_on(1, ping(1));
        assert_eq!(story.actions().len(), 1);
        assert!(story.machine.stats().ready && story.machine.stats().dials_again);
        story.passes(wait - Duration::from_micros(1)).expect([]);
        story.passes(wait / 4 + Duration::from_micros(1)).expect([dials(connection)]);
        wait *= 2;
    }
    story.becomes_ready(Dialect::Underpass).expect([]);
    answer(&mut story, 1, 1, key);
    leaves_the_old_one(&mut story);
    story.loses(1).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn an_old_connection_that_ends_first_loses_its_requests_and_the_new_one_is_the_only_one() {
    for closed in [false, true] {
        let ends = |story: &mut Story<Runner>| {
            if closed {
                story.is_closed_on(1, 1001, "relay.draining")
            } else {
                story.loses(1)
            };
        };
        // While it is dialled.
        let (mut story, key) = moving();
        ends(&mut story);
        story.expect([Action::Aborted { key }]);
        story.becomes_ready(Dialect::Underpass);
        is_alone_and_ends(story);
        // When it is ready.
        let (mut story, key) = beside();
        let other = story.is_asked_on(2, 2);
        ends(&mut story);
        story.expect([Action::Aborted { key }]);
        answer(&mut story, 2, 2, other);
        assert_eq!((story.machine.stats().lost, story.machine.stats().answered), (1, 1));
        is_alone_and_ends(story);
    }
    // While it waits to dial again: it does not start anew with that.
    let (mut story, key) = moving();
    story.is_lost().expect([]);
    let due = story.machine.poll_timeout();
    story.loses(1).expect([Action::Aborted { key }]).expect_timeout(due);
    story.passes(FIRST_WAIT).expect([dials(3)]);
    story.becomes_ready(Dialect::Underpass);
    is_alone_and_ends(story);
}

#[test]
fn a_new_connection_that_ends_loses_its_requests_only_and_another_is_dialled() {
    let (mut story, key) = beside();
    let other = story.is_asked_on(2, 2);
    story.loses(2).expect([Action::Aborted { key: other }]);
    assert!(story.machine.stats().ready);
    story.passes(FIRST_WAIT).expect([dials(3)]);
    story.becomes_ready(Dialect::Underpass).expect([]);
    answer(&mut story, 1, 1, key);
    leaves_the_old_one(&mut story);
    story.loses(1).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn a_new_relay_that_drains_too_is_left_for_a_third_when_the_old_connection_has_ended() {
    let (mut story, key) = beside();
    let other = story.is_asked_on(2, 2);
    story.hears_on(2, ToClient::Draining).expect([]);
    // Two at most.
    story.passes(Duration::from_secs(10)).expect([]);
    answer(&mut story, 1, 1, key);
    leaves_the_old_one(&mut story);
    story.passes(Duration::from_secs(1)).expect([]);
    story.loses(1).expect([dials(3)]);
    story.becomes_ready(Dialect::Underpass).expect([]);
    answer(&mut story, 2, 2, other);
    story.passes_in_silence_until(LEAVE_IDLE).expect([leaves_on(2, 1000, "runner.moved")]);
    story.loses(2).expect([]);
    assert_eq!(story.machine.stats().moves, 2);
    is_alone_and_ends(story);
}

#[test]
fn relays_that_all_drain_are_not_dialled_in_turn_without_a_pause() {
    let mut story = runner();
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([]);
    story.hears(ToClient::Draining).expect([]);
    story.loses(1).expect([]);
    story.passes(Duration::from_millis(100) - Duration::from_micros(1)).expect([]);
    story.passes(FIRST_WAIT).expect([dials(3)]);
    story.becomes_ready(Dialect::Underpass).expect([]);
    story.passes_in_silence_until(LEAVE_IDLE).expect([leaves_on(2, 1000, "runner.moved")]);
    story.loses(2).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn requests_of_one_id_on_two_connections_are_two() {
    let (mut story, first) = beside();
    let second = story.is_asked_on(2, 1);
    assert_ne!(first, second);
    story.asks_on(2, of(1, 9), Piece::RequestAbort).expect([Action::Aborted { key: second }]);
    story.asks_on(2, of(1, 9), Piece::RequestAbort).expect([]);
    assert_eq!(story.machine.stats().late, 1);
    answer(&mut story, 1, 1, first);
    leaves_the_old_one(&mut story);
    story.loses(1).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn an_outbox_without_room_holds_up_the_requests_of_its_connection_only() {
    let (mut story, first) = beside();
    let second = story.is_asked_on(2, 1);
    for key in [first, second] {
        story.input(Event::ResponseStart { key, head: status(200), body: Body::Stream }).actions();
    }
    story.input(Event::PeerBlocked { connection: 1 }).expect([]);
    let chunk = |key| Event::ResponseChunk { key, bytes: zeros(3), finish: true };
    story.input(chunk(first)).expect([]);
    story.input(chunk(second));
    assert!(matches!(story.actions()[..], [Action::Send { connection: 2, .. }]));
    story.input(Event::PeerWritable { connection: 2 }).expect([]);
    story.input(Event::PeerWritable { connection: 1 });
    assert!(matches!(&story.actions()[..], [Action::Send { connection: 1, .. }]));
    leaves_the_old_one(&mut story);
    story.loses(1).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn an_eviction_of_the_old_connection_before_the_new_one_is_greeted_stops_it() {
    let (mut story, key) = moving();
    story.is_closed_on(1, 1000, "ws.eviction#taken_over").expect([Action::Aborted { key }, hangs_up_on(2)]);
    // It had come to something just then.
    story.input(Event::Connected { connection: 2, dialect: Dialect::Underpass }).expect([]);
    story.loses(2).expect([stopped_by_eviction()]).ends();
}

#[test]
fn an_eviction_of_the_old_connection_after_the_new_one_is_greeted_may_be_its_own_work() {
    let (mut story, key) = moving();
    story.is_connected(Dialect::Underpass).actions();
    story.is_closed_on(1, 1000, "ws.eviction#taken_over").expect([Action::Aborted { key }]);
    story.hears(greeting()).expect([]).is_told_ready();
    is_alone_and_ends(story);

    // Also if the new one has ended since.
    let (mut story, key) = moving();
    story.is_connected(Dialect::Underpass).actions();
    story.is_lost().expect([]);
    story.is_closed_on(1, 1000, "ws.eviction#taken_over").expect([Action::Aborted { key }]);
    story.passes(FIRST_WAIT).expect([dials(3)]);
    story.becomes_ready(Dialect::Underpass);
    is_alone_and_ends(story);
}

#[test]
fn an_eviction_of_the_new_connection_stops_it_and_the_old_one_goes_too() {
    let (mut story, key) = beside();
    let other = story.is_asked_on(2, 2);
    story.is_closed_on(2, 1000, "ws.eviction#taken_over");
    story.expect([Action::Aborted { key: other }, Action::Aborted { key }, hangs_up_on(1)]);
    story.input(Event::Drain).expect([]);
    story.loses(1).expect([stopped_by_eviction()]).ends();
}

#[test]
fn what_breaks_the_rules_on_one_connection_ends_that_one() {
    let (mut story, key) = beside();
    let bytes = Bytes::from_static(&[9]);
    story.input(Event::Received { connection: 1, frame: bytes.clone().into() });
    assert!(matches!(story.actions()[..], [Action::Aborted { .. }, Action::Disconnect { connection: 1, .. }]));
    story.loses(1).expect([]);
    is_alone_and_ends(story);

    let (mut story, other) = beside();
    assert_eq!(key, other);
    story.input(Event::Received { connection: 2, frame: bytes.into() });
    assert!(matches!(story.actions()[..], [Action::Disconnect { connection: 2, .. }]));
    // Two at most.
    story.passes(Duration::from_secs(10)).expect([]);
    story.loses(2).expect([dials(3)]);
    story.becomes_ready(Dialect::Underpass).expect([]);
    answer(&mut story, 1, 1, other);
    leaves_the_old_one(&mut story);
    story.loses(1).expect([]);
    is_alone_and_ends(story);
}

#[test]
fn each_connection_has_its_own_silence() {
    let (mut story, key) = beside();
    story.passes(SILENT - Duration::from_micros(1)).expect([]);
    story.hears_on(2, ping(1));
    assert_eq!(story.actions().len(), 1);
    story.passes(Duration::from_micros(1));
    story.expect([Action::Aborted { key }, leaves_on(1, 1011, "runner.relay_silent")]);
    story.loses(1).expect([]);
    assert_eq!(story.machine.stats().timeouts.relay_silent, 1);
    is_alone_and_ends(story);
}

#[test]
fn a_connection_that_was_left_and_does_not_end_does_not_hold_up_the_next() {
    let mut story = runner();
    story.passes(SILENT).expect([leaves_on(1, 1011, "runner.relay_silent")]);
    story.passes(FIRST_WAIT).expect([dials(2)]);
    story.becomes_ready(Dialect::Underpass);
    // Its relay learns late that its place was taken.
    story.is_closed_on(1, 1000, "ws.eviction#taken_over").expect([]);
    is_alone_and_ends(story);

    // Two at most.
    let mut story = runner();
    story.passes(SILENT).expect([leaves_on(1, 1011, "runner.relay_silent")]);
    story.passes(FIRST_WAIT).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.passes(Duration::from_secs(5)).expect([leaves_on(2, 1002, "runner.init_timeout")]).expect_timeout(None);
    story.passes(Duration::from_secs(60)).expect([]);
    story.loses(1).expect([dials(3)]);
    story.loses(2).expect([]);
    story.becomes_ready(Dialect::Underpass);
    is_alone_and_ends(story);
}

#[test]
fn a_runner_that_drains_says_so_on_both_connections_and_ends_when_both_are_empty() {
    let (mut story, first) = beside();
    let second = story.is_asked_on(2, 2);
    story.input(Event::Drain).expect([says_on(1, ToServer::Stopping), says_on(2, ToServer::Stopping)]);
    answer(&mut story, 2, 2, second);
    story.expect([]);
    answer(&mut story, 1, 1, first);
    story.expect([hangs_up_on(1), hangs_up_on(2)]);
    story.loses(2).expect([]);
    story.loses(1).expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn a_runner_that_drains_while_it_moves_gives_up_the_new_connection() {
    let (mut story, key) = moving();
    story.input(Event::Drain).expect([says_on(1, ToServer::Stopping), hangs_up_on(2)]);
    story.loses(2).expect([]);
    answer(&mut story, 1, 1, key);
    story.expect([hangs_up_on(1)]);
    story.loses(1).expect([Action::Stopped(StopReason::Drained)]).ends();

    // A relay that drains is not moved away from any more.
    let mut story = runner();
    let key = story.is_asked(1);
    story.input(Event::Drain).expect([says_on(1, ToServer::Stopping)]);
    story.hears(ToClient::Draining).expect([]);
    story.passes(Duration::from_secs(1)).expect([]);
    answer(&mut story, 1, 1, key);
    story.expect([hangs_up_on(1)]);
    story.loses(1).expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn an_hour_that_passes_at_once_ends_both_connections_once() {
    let (mut story, key) = beside();
    story.passes(Duration::from_secs(3_600));
    let silent = |connection| leaves_on(connection, 1011, "runner.relay_silent");
    story.expect([Action::Aborted { key }, silent(1), silent(2)]).expect_timeout(None);
    story.passes(Duration::from_secs(3_600)).expect([]);
    story.loses(1).expect([dials(3)]);
    story.passes(Duration::from_secs(3_600)).expect([leaves_on(3, 1002, "runner.dial_timeout")]);
    story.loses(3).expect([]);
    story.loses(2).expect([]);
    story.passes(Duration::from_secs(3_600)).expect([dials(4)]);
    let stats = story.machine.stats();
    assert_eq!((stats.timeouts.relay_silent, stats.timeouts.dial, stats.lost), (2, 1, 1));
    story.becomes_ready(Dialect::Underpass);
    is_alone_and_ends(story);
}
