//! Records that are written anew, and runners that come again: here, elsewhere, from a relay that drains.

use std::time::Duration;

use underpass_core::Relay;
use underpass_core::bus::{ConnectionId, RelayId};
use underpass_core::directory::{ChangeOutcome, Revision, RunnerRecord, RunnerState, Versioned};
use underpass_core::relay::{Action, Config, Event, Notice};
use underpass_core::{Machine, Time};
use underpass_tests::given::relay::{
    closes, greeting, init, of_request, pings, pong, relay, relay_with, sends, sends_piece, start, tells, tells_of_end,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{abilities, connection, record, response_start};

const REFRESH: Duration = Duration::from_secs(5);

fn stored(revision: u64) -> ChangeOutcome {
    ChangeOutcome::Stored(Revision(revision))
}

fn conflict(revision: u64, record: &RunnerRecord) -> ChangeOutcome {
    ChangeOutcome::Conflict(Some(Versioned { revision: Revision(revision), record: record.clone() }))
}

/// A connection of another relay.
fn elsewhere() -> ConnectionId {
    ConnectionId { relay: RelayId(uuid::Uuid::from_u128(0xef)), number: 1 }
}

/// The record of a runner at another relay.
fn record_there(state: RunnerState) -> RunnerRecord {
    RunnerRecord { connection: Some(elsewhere()), ..record(1, abilities(1_000), state) }
}

/// A relay that writes records anew, and pings nobody.
fn refreshing() -> Story<Relay> {
    let day = Duration::from_secs(86_400);
    let mut story = relay_with(Config { ping_interval: day, pong: 2 * day, ..Config::default() });
    story.takes_in(1, "a");
    story
}

#[test]
fn a_record_is_written_anew_every_five_seconds_and_the_runner_is_not_disturbed() {
    let mut story = refreshing();
    for revision in 2..6 {
        story.passes_in_silence_until(REFRESH).expect_state(1, revision, Some(RunnerState::Ready));
        story.directory(1, stored(revision + 1)).expect([]);
    }
    assert_eq!(story.machine.stats().refreshed, 4);
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 6, None);
    story.directory(1, stored(7)).expect([]).ends();
}

#[test]
fn a_record_that_is_being_changed_is_not_written_anew_besides() {
    let mut story = refreshing();
    story.says(1, underpass_core::protocol::ToServer::Stopping).expect_state(1, 2, Some(RunnerState::Draining));
    story.passes(REFRESH).expect([]);
    story.directory(1, ChangeOutcome::Unavailable).expect([tells(1, Notice::DirectoryUnavailable)]);
    story.passes(Duration::from_secs(1)).expect_state(1, 2, Some(RunnerState::Draining));
    story.directory(1, stored(3)).expect([]);
    story.passes_in_silence_until(REFRESH - Duration::from_secs(1)).expect_state(1, 3, Some(RunnerState::Draining));
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.directory(1, stored(4)).expect_state(1, 4, None);
    story.directory(1, stored(5)).expect([]).ends();
}

#[test]
fn a_clock_that_goes_an_hour_at_once_writes_a_record_once() {
    let mut story = refreshing();
    story.passes(Duration::from_secs(3_600)).expect_state(1, 2, Some(RunnerState::Ready));
    story.expect_timeout(Some(Time::ZERO + Duration::from_secs(3_605)));
    story.directory(1, stored(3)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 3, None);
    story.directory(1, stored(4)).expect([]).ends();
}

#[test]
fn a_takeover_that_nobody_told_of_is_found_when_the_record_is_written_anew() {
    let mut story = refreshing();
    story.opens_route(of_request(0), start(None));
    story.passes(REFRESH).expect_state(1, 2, Some(RunnerState::Ready));
    story.directory(1, conflict(5, &record_there(RunnerState::Ready)));
    let evicted = closes(1, 1000, "ws.eviction#taken_over");
    story.expect([tells(1, Notice::TakenOver), evicted, tells_of_end(1, of_request(0))]);
    // No frame of it reaches anybody any more.
    story.answers(1, of_request(0), response_start(200, None, false)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
}

/// A runner connects here while its record says something; it is entered with what it `moves` from.
#[track_caller]
fn comes_from(there: &RunnerRecord, moves: Option<ConnectionId>) -> (Story<Relay>, RunnerRecord) {
    let day = Duration::from_secs(86_400);
    let mut story = relay_with(Config { refresh: day, ..Config::default() });
    story.registers(1, "a");
    story.directory(1, conflict(7, there));
    let mine = story.expect_state(1, 7, Some(RunnerState::Full)).record.expect("a record");
    assert_eq!((mine.id, mine.moving), (there.id, moves));
    story.directory(1, stored(8)).expect([sends(1, greeting(&mine)), pings(1, 0)]);
    story.says(1, pong());
    assert_eq!(story.actions().len(), 2, "a notice, and a change to ready");
    story.directory(1, stored(9)).expect([pings(1, 0)]);
    (story, mine)
}

#[test]
fn a_runner_that_comes_from_a_relay_that_drains_takes_nothing_over() {
    let (mut story, mine) = comes_from(&record_there(RunnerState::Moving), Some(elsewhere()));
    // The old relay has taken its connection out of the record.
    story.says(1, underpass_core::protocol::ToServer::Stopping).expect_state(1, 9, Some(RunnerState::Draining));
    let alone = RunnerRecord { moving: None, state: RunnerState::Ready, ..mine };
    story.directory(1, conflict(10, &alone));
    let change = story.expect_state(1, 10, Some(RunnerState::Draining));
    assert_eq!(change.record.and_then(|record| record.moving), None);
    story.directory(1, stored(11)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 11, None);
    story.directory(1, stored(12)).expect([]).ends();
}

/// How long a record that says `away` may say that its runner moves.
const MOVING: Duration = Duration::from_secs(20);

/// A runner that moves here from a relay, and whose connection here ends first: its record says so.
fn ends_while_it_moves() -> Story<Relay> {
    let (mut story, _) = comes_from(&record_there(RunnerState::Moving), Some(elsewhere()));
    story.input(Event::Disconnected { connection: 1 });
    let left = story.expect_change(1).record.expect("the record stays");
    assert_eq!((left.connection, left.moving), (None, Some(elsewhere())));
    story.directory(1, stored(10)).expect([]);
    story
}

#[test]
fn a_connection_that_ends_before_the_one_that_its_runner_moves_from_leaves_that_in_the_record_for_a_while() {
    let mut story = ends_while_it_moves();
    // The relay there would have taken it out: it is gone.
    story.passes_in_silence_until(MOVING).expect_state(1, 10, None);
    assert_eq!(story.machine.stats().timeouts.moving, 1);
    story.directory(1, stored(11)).expect([]).ends();
}

#[test]
fn a_connection_that_was_closed_and_ends_later_takes_it_out_all_the_same() {
    let (mut story, _) = comes_from(&record_there(RunnerState::Moving), Some(elsewhere()));
    story.says(1, init(None));
    assert!(matches!(story.actions()[..], [Action::Log { .. }, Action::Close { .. }, Action::Directory { .. }]));
    story.directory(1, stored(10)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.passes_in_silence_until(MOVING).expect_state(1, 10, None);
    story.directory(1, stored(11)).expect([]).ends();
}

#[test]
fn a_clock_that_goes_an_hour_at_once_takes_what_a_runner_moved_from_out_of_its_record_once() {
    let mut story = ends_while_it_moves();
    story.passes(Duration::from_secs(3_600)).expect_state(1, 10, None);
    story.directory(1, ChangeOutcome::Unavailable).expect([tells(1, Notice::DirectoryUnavailable)]);
    story.passes(Duration::from_secs(1)).expect_state(1, 10, None);
    story.directory(1, stored(11)).expect([]).ends();
}

#[test]
fn what_a_runner_moves_from_is_left_to_whoever_has_changed_its_record_since() {
    let came_again = RunnerRecord { moving: Some(elsewhere()), ..record_there(RunnerState::Ready) };
    for outcome in [conflict(12, &came_again), ChangeOutcome::Conflict(None)] {
        let mut story = ends_while_it_moves();
        story.passes(MOVING).expect_state(1, 10, None);
        story.directory(1, outcome).expect([]).ends();
    }
}

#[test]
fn of_a_runner_with_state_the_record_stays_without_what_it_moved_from() {
    let day = Duration::from_secs(86_400);
    let mut story = relay_with(Config { refresh: day, ..Config::default() });
    story.connects(1, "a").says(1, init(None)).expect_change(1);
    story.directory(1, conflict(7, &record_there(RunnerState::Moving))).expect_change(1);
    story.directory(1, stored(8)).actions();
    story.input(Event::Disconnected { connection: 1 }).expect_change(1);
    story.directory(1, stored(9)).expect([]);
    let left = story.passes(MOVING).expect_change(1).record.expect("the record stays");
    assert_eq!((left.connection, left.moving), (None, None));
    story.directory(1, stored(10)).expect([]).ends();
}

#[test]
fn a_relay_has_not_drained_while_it_is_to_take_out_what_a_runner_moved_from() {
    let mut story = ends_while_it_moves();
    story.input(Event::Drain).expect([]);
    story.passes_in_silence_until(MOVING).expect_state(1, 10, None);
    story.directory(1, stored(11)).expect([Action::Drained]).ends();
}

#[test]
fn a_runner_that_comes_again_while_it_moves_keeps_what_it_moves_from() {
    let away = RunnerRecord { connection: None, moving: Some(elsewhere()), ..record_there(RunnerState::Ready) };
    let (mut story, _) = comes_from(&away, Some(elsewhere()));
    // The relay there has seen to it by now.
    story.input(Event::Disconnected { connection: 1 }).expect_change(1);
    story.directory(1, ChangeOutcome::Conflict(None)).expect([]).ends();
}

#[test]
fn an_old_connection_takes_itself_out_of_the_record_when_it_ends() {
    for next_has_ended in [false, true] {
        let mut story = relay();
        let before = story.machine.stats().connections;
        story.input(Event::Drain);
        let mine = story.expect_state(1, 2, Some(RunnerState::Moving)).record.expect("a record");
        story.directory(1, stored(3)).actions();
        story.input(Event::Disconnected { connection: 1 }).expect_state(1, 3, None);
        let next = (!next_has_ended).then(elsewhere);
        let there = RunnerRecord { connection: next, moving: Some(connection(1)), state: RunnerState::Ready, ..mine };
        story.directory(1, conflict(5, &there));
        let change = story.expect_change(1);
        assert_eq!(change.expected, Some(Revision(5)));
        // Of a runner without state, of which nothing is left, the record goes.
        let left = (!next_has_ended).then_some(RunnerRecord { moving: None, ..there });
        assert_eq!(change.record, left);
        story.directory(1, stored(6)).expect([Action::Drained]);
        assert_eq!(before, 1);
        story.ends();
    }
}

#[test]
fn a_runner_that_was_lost_comes_back_here_and_nothing_of_its_old_connection_counts() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    story.leaves(1);
    story.takes_in(2, "a");
    story.answers(2, of_request(0), response_start(200, None, false)).expect([]);
    assert_eq!(story.machine.stats().unrouted, 1);
    story.asks(2, of_request(0), start(None)).expect([sends_piece(2, of_request(0), start(None))]);
    story.leaves(2);
    let ends = story.machine.stats().ends;
    assert_eq!((ends.connection_ended, story.machine.stats().opened), (2, 2));
    story.ends();
}
