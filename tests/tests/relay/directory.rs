//! A runner's record: entered, taken over, contested, removed.

use std::time::Duration;

use underpass_core::bus::{ConnectionId, Publication, PublishError, Rejected, RelayId, Subject};
use underpass_core::directory::{
    ChangeOutcome, Revision, RunnerChange, RunnerId, RunnerRecord, RunnerState, Versioned,
};
use underpass_core::protocol::{ToRunner, ToServer};
use underpass_core::relay::{Action, Config, Event, Notice};
use underpass_core::{Machine, Relay};
use underpass_tests::given::relay::{
    closes, greeting, of_request, pings, pong, relay, relay_with, sends, start, tells, tells_of_end,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{abilities, connection, record, response_start, runner_key};

const TAKEN_OVER: &str = "ws.eviction#taken_over";

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

fn record_at(connection: Option<ConnectionId>) -> RunnerRecord {
    RunnerRecord { connection, ..record(1, abilities(1_000), RunnerState::Ready) }
}

fn told_to_close(connection: ConnectionId) -> Action {
    let frame = ToRunner::Close.encode_framed();
    Action::Publish(Publication { to: Subject::Connection(connection), reply_to: None, frame })
}

/// Connection 2 is greeted as the runner that it takes over, with that one's id.
#[track_caller]
fn taken_over_from(story: &mut Story<Relay>, old: &RunnerRecord, revision: u64) {
    story.registers(2, "a");
    story.directory(2, conflict(revision, old));
    let mine = story.expect_state(2, revision, Some(RunnerState::Full)).record.expect("a record");
    assert_eq!(mine.id, old.id, "the runner keeps its id");
    story.directory(2, stored(revision + 1));
    let displaced = old.connection.map(told_to_close);
    story.expect(displaced.into_iter().chain([sends(2, greeting(&mine)), pings(2, 0)]));
}

#[track_caller]
fn ends_with_2(story: &mut Story<Relay>, revision: u64) {
    story.input(Event::Disconnected { connection: 2 }).expect_state(2, revision, None);
    story.directory(2, stored(revision + 1)).expect([]).ends();
}

#[test]
fn a_runner_that_connects_again_here_takes_over_and_its_old_connection_is_evicted() {
    let mut story = relay_with(Config::default());
    let old = story.takes_in(1, "a");
    story.opens_route(of_request(0), start(None));
    story.registers(2, "a");
    story.directory(2, conflict(2, &old));
    let mine = story.expect_state(2, 2, Some(RunnerState::Full)).record.expect("a record");
    story.directory(2, stored(3));
    let mut actions = story.actions();
    let change = actions.remove(3);
    assert!(matches!(change, Action::Directory { connection: 1, change } if change.record.is_none()));
    let evicted = [tells(1, Notice::TakenOver), closes(1, 1000, TAKEN_OVER), tells_of_end(1, of_request(0))];
    assert_eq!(actions, evicted.into_iter().chain([sends(2, greeting(&mine)), pings(2, 0)]).collect::<Vec<_>>());
    // Nothing that the old connection still says reaches anybody, on its own route or on one of the new connection.
    story.answers(1, of_request(0), response_start(200, None, false)).expect([]);
    story.says(1, ToServer::Stopping).expect([]);
    story.says(1, pong()).expect([]);
    // It is told by the bus, too, if another relay did not know: that is nothing new.
    story.bus_brings(1, ToRunner::Close).expect([]);
    // The record is the new connection's: it stays.
    story.directory(1, conflict(3, &record_at(Some(connection(2))))).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    ends_with_2(&mut story, 3);
}

#[test]
fn a_runner_that_connects_again_elsewhere_is_told_of_there() {
    let mut story = relay_with(Config::default());
    taken_over_from(&mut story, &record_at(Some(elsewhere())), 9);
    // Nobody is there any more: that is as good.
    let frame = ToRunner::Close.encode_framed();
    let publication = Publication { to: Subject::Connection(elsewhere()), reply_to: None, frame };
    story.input(Event::PublishFailed(Rejected { publication, reason: PublishError::NoResponders })).expect([]);
    ends_with_2(&mut story, 10);
}

#[test]
fn a_runner_that_was_away_comes_back_with_its_id_and_nobody_is_told() {
    let mut story = relay_with(Config::default());
    taken_over_from(&mut story, &record_at(None), 5);
    ends_with_2(&mut story, 6);
}

#[test]
fn a_connection_whose_record_another_has_taken_is_evicted_when_it_finds_out() {
    let mut story = relay_with(Config::default());
    story.greets(1, "a");
    story.says(1, ToServer::Stopping).expect_state(1, 1, Some(RunnerState::Draining));
    story.directory(1, conflict(2, &record_at(Some(elsewhere()))));
    story.expect([tells(1, Notice::TakenOver), closes(1, 1000, TAKEN_OVER)]);
    story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
}

#[test]
fn an_older_connection_that_comes_late_to_the_directory_does_not_displace_a_newer_one() {
    let mut story = relay_with(Config::default());
    story.registers(1, "a");
    story.directory(1, conflict(4, &record_at(Some(connection(2)))));
    story.expect([tells(1, Notice::TakenOver), closes(1, 1000, TAKEN_OVER)]);
    story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
}

#[test]
fn a_relay_that_is_told_to_close_a_connection_evicts_it_in_any_state() {
    let mut story = relay_with(Config::default());
    story.connects(1, "a").expect([]);
    story.bus_brings(1, ToRunner::Close).expect([tells(1, Notice::TakenOver), closes(1, 1000, TAKEN_OVER)]);
    story.input(Event::Disconnected { connection: 1 }).expect([]).ends();
}

#[test]
fn a_conflict_with_its_own_record_is_tried_again_with_its_revision() {
    let mut story = relay_with(Config::default());
    let mine = story.greets(1, "a");
    story.says(1, ToServer::Stopping).expect_state(1, 1, Some(RunnerState::Draining));
    story.directory(1, conflict(5, &mine)).expect_state(1, 5, Some(RunnerState::Draining));
    story.directory(1, stored(2)).expect([]);
    story.leaves_and_ends();
}

#[test]
fn a_record_that_somebody_removed_is_entered_again() {
    let mut story = relay_with(Config::default());
    story.registers(1, "a");
    story.directory(1, ChangeOutcome::Conflict(None)).expect_state(1, 0, Some(RunnerState::Full));
    story.directory(1, stored(1)).actions();
    story.says(1, ToServer::Stopping).expect_state(1, 1, Some(RunnerState::Draining));
    story.directory(1, ChangeOutcome::Conflict(None)).expect_state(1, 0, Some(RunnerState::Draining));
    story.directory(1, stored(2)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 2, None);
    story.directory(1, ChangeOutcome::Conflict(None)).expect([]).ends();
}

#[test]
fn a_record_that_somebody_set_away_is_entered_again() {
    let mut story = relay_with(Config::default());
    story.greets(1, "a");
    story.says(1, ToServer::Stopping).expect_state(1, 1, Some(RunnerState::Draining));
    story.directory(1, conflict(8, &record_at(None))).expect_state(1, 8, Some(RunnerState::Draining));
    story.directory(1, stored(9)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 9, None);
    // Away already: that is as good as gone.
    story.directory(1, conflict(10, &record_at(None))).expect([]).ends();
}

#[test]
fn changes_go_one_at_a_time_and_only_the_last_wish_is_made() {
    let mut story = relay_with(Config::default());
    story.greets(1, "a");
    story.says(1, underpass_tests::given::relay::pong());
    assert_eq!(story.actions().len(), 2, "a notice, and a change to ready");
    story.says(1, ToServer::Stopping).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.directory(1, stored(2)).expect_state(1, 2, None);
    story.directory(1, stored(3)).expect([]).ends();
}

#[test]
fn a_directory_that_is_away_is_asked_again_until_it_answers() {
    let mut story = relay_with(Config::default());
    let record = story.registers(1, "a");
    for _ in 0..3 {
        story.directory(1, ChangeOutcome::Unavailable).expect([tells(1, Notice::DirectoryUnavailable)]);
        story.passes_in_silence_until(Duration::from_secs(1));
        let change = RunnerChange { key: runner_key("a"), expected: None, record: Some(record.clone()) };
        story.expect([Action::Directory { connection: 1, change }]);
    }
    // Its connection ends meanwhile: that, too, is told when it can be.
    story.directory(1, stored(1)).expect([sends(1, greeting(&record)), pings(1, 3_000)]);
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 1, None);
    story.directory(1, ChangeOutcome::Unavailable).expect([tells(1, Notice::DirectoryUnavailable)]);
    story.passes_in_silence_until(Duration::from_secs(1)).expect_state(1, 1, None);
    story.directory(1, stored(2)).expect([]).ends();
}

#[test]
fn a_connection_that_ends_while_it_is_entered_leaves_no_record() {
    let mut story = relay_with(Config::default());
    story.registers(1, "a");
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.directory(1, stored(1)).expect_state(1, 1, None);
    story.directory(1, stored(2)).expect([]).ends();
}

#[test]
fn a_runner_that_came_while_the_directory_was_away_evicts_nobody_at_another_relay() {
    let mut story = relay_with(Config::default());
    story.registers(2, "a");
    story.directory(2, ChangeOutcome::Unavailable).expect([tells(2, Notice::DirectoryUnavailable)]);
    story.passes_in_silence_until(Duration::from_secs(1));
    story.actions();
    story.directory(2, conflict(5, &record_at(Some(elsewhere()))));
    story.expect([tells(2, Notice::GaveWay), closes(2, 1013, "relay.directory_away")]);
    story.input(Event::Disconnected { connection: 2 }).expect([]).ends();
    // One that is away, or that was here before, is taken over all the same.
    for before in [None, Some(connection(1))] {
        let mut story = relay_with(Config::default());
        story.registers(2, "a");
        story.directory(2, ChangeOutcome::Unavailable).actions();
        story.passes(Duration::from_secs(1)).actions();
        story.directory(2, conflict(5, &record_at(before)));
        story.expect_state(2, 5, Some(RunnerState::Full));
        story.directory(2, stored(6));
        assert_eq!(story.machine.stats().connections, 1);
        story.actions();
    }
}

#[test]
fn a_connection_that_ends_while_it_takes_over_still_tells_the_one_that_it_displaced() {
    let mut story = relay_with(Config::default());
    story.registers(2, "a");
    story.directory(2, conflict(4, &record_at(Some(elsewhere())))).expect_state(2, 4, Some(RunnerState::Full));
    story.input(Event::Disconnected { connection: 2 }).expect([]);
    story.directory(2, stored(5));
    let actions = story.actions();
    assert!(
        matches!(&actions[..], [told, Action::Directory { change, .. }]
        if *told == told_to_close(elsewhere()) && change.record.is_none()),
        "{actions:?}"
    );
    story.directory(2, stored(6)).expect([]).ends();
}

#[test]
fn a_connection_that_ends_before_its_conflict_is_known_gives_up() {
    let mut story = relay_with(Config::default());
    story.greets(1, "a");
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 1, None);
    story.directory(1, conflict(2, &record_at(Some(elsewhere())))).expect([]).ends();
}

#[test]
fn a_connection_that_ended_before_it_was_entered_leaves_the_record_of_another_alone() {
    let mut story = relay_with(Config::default());
    let other = story.takes_in(1, "a");
    story.registers(2, "a");
    story.input(Event::Disconnected { connection: 2 }).expect([]);
    story.directory(2, conflict(2, &other)).expect([]);
    story.leaves_and_ends();
}

#[test]
fn what_the_directory_says_without_being_asked_changes_nothing() {
    let mut story = relay();
    story.directory(1, stored(9)).expect([]);
    story.directory(1, ChangeOutcome::Conflict(None)).expect([]);
    story.leaves_and_ends();
}

#[test]
fn each_runner_gets_an_id_of_its_own_from_the_seed() {
    let ids = || {
        let mut story = relay_with(Config::default());
        let [a, b] = [story.registers(1, "a").id, story.registers(2, "b").id];
        assert_ne!(a, b);
        [a, b]
    };
    let first: [RunnerId; 2] = ids();
    assert_eq!(first, ids());
}
