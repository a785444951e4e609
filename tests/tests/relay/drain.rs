//! A relay that drains.

use std::time::Duration;

use underpass_core::directory::{ChangeOutcome, Revision, RunnerRecord, RunnerState, Versioned};
use underpass_core::protocol::to_gateway::RefusedReason;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::Kind as Answer;
use underpass_core::protocol::{MessageId, RequestId, ToClient, ToServer};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::{Machine, Relay};
use underpass_tests::given::relay::{
    calm, closes, of_request, pong, publishes, refuses, relay, relay_with, sends, sends_piece, start,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{connection, message_id, response_start};

const IDLE: Duration = Duration::from_secs(1);

fn patient() -> Config {
    let day = Duration::from_secs(86_400);
    Config { ping_interval: day, pong: 2 * day, gateway_silent: day, ..calm() }
}

fn patient_relay() -> Story<Relay> {
    let mut story = relay_with(patient());
    story.takes_in(1, "a");
    story
}

fn stored(revision: u64) -> ChangeOutcome {
    ChangeOutcome::Stored(Revision(revision))
}

fn draining(number: u64) -> Action {
    closes(number, 1001, "relay.draining")
}

/// A relay that drains, and whose runner on connection 1 has been told to move. Its record has revision 3.
fn told_to_move(mut story: Story<Relay>) -> (Story<Relay>, RunnerRecord) {
    story.input(Event::Drain);
    let record = story.expect_state(1, 2, Some(RunnerState::Moving)).record.expect("a record");
    story.directory(1, stored(3)).expect([sends(1, ToClient::Draining)]);
    (story, record)
}

/// The connection was closed, and with it its record goes.
#[track_caller]
fn closed_and_drained(story: &mut Story<Relay>, revision: u64) {
    let mut actions = story.actions();
    let change = actions.pop();
    assert!(
        matches!(&change, Some(Action::Directory { connection: 1, change }) if change.expected == Some(Revision(revision))
        && change.record.as_ref().is_none_or(|record| record.connection.is_none())),
        "{change:?}"
    );
    assert_eq!(actions, [draining(1)]);
    story.directory(1, stored(revision + 1)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([Action::Drained]);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn a_relay_without_connections_is_drained_at_once() {
    let mut story = relay_with(Config::default());
    story.input(Event::Drain).expect([Action::Drained]);
    story.input(Event::Drain).expect([]).ends();
}

#[test]
fn who_has_not_been_taken_in_is_closed_and_so_is_who_comes() {
    let mut story = relay_with(patient());
    story.connects(1, "a").expect([]);
    story.registers(2, "b");
    story.greets(3, "c");
    story.input(Event::Drain);
    let mut actions = story.actions();
    assert!(matches!(actions.pop(), Some(Action::Directory { connection: 3, .. })));
    assert_eq!(actions, [1, 2, 3].map(draining));
    story.connects(4, "d").expect([draining(4)]);
    story.directory(2, stored(1)).expect_state(2, 1, None);
    story.directory(2, stored(2)).expect([]);
    story.directory(3, stored(2)).expect([]);
    for number in 1..=3 {
        story.input(Event::Disconnected { connection: number }).expect([]);
    }
    story.input(Event::Disconnected { connection: 4 }).expect([Action::Drained]);
    story.connects(5, "e").expect([draining(5)]);
    story.input(Event::Disconnected { connection: 5 }).expect([]).ends();
}

#[test]
fn a_runner_is_told_to_move_when_its_record_says_that_it_does() {
    let mut story = patient_relay();
    story.opens_route(of_request(0), start(None));
    story.input(Event::Drain);
    let record = story.expect_state(1, 2, Some(RunnerState::Moving)).record.expect("a record");
    assert_eq!((record.connection, record.moving), (Some(connection(1)), None));
    // The directory is away: the runner would come to another relay as one that takes over.
    story.directory(1, ChangeOutcome::Unavailable).actions();
    story.passes(Duration::from_secs(1)).expect_state(1, 2, Some(RunnerState::Moving));
    story.directory(1, stored(3)).expect([sends(1, ToClient::Draining)]);
    story.input(Event::Drain).expect([]);
    assert_eq!((story.machine.stats().ready, story.machine.stats().routes), (0, 1));
    let answer = response_start(200, None, false);
    story.answers(1, of_request(0), answer.clone());
    let mut actions = story.actions();
    assert_eq!(actions.remove(0), publishes(1, of_request(0), answer));
    assert_eq!(actions.remove(0), draining(1));
    story.directory(1, stored(4)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([Action::Drained]);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn a_runner_on_which_nothing_is_open_may_stay_a_second_and_is_then_closed() {
    let (mut story, _) = told_to_move(patient_relay());
    story.passes_in_silence_until(IDLE);
    closed_and_drained(&mut story, 3);
}

#[test]
fn what_is_open_goes_on_and_with_its_end_the_connection_is_closed() {
    let mut story = patient_relay();
    let ids = [1, 2].map(|request: u8| message_id(RequestId([request; 4]), 0));
    for id in ids {
        story.opens_route(id, start(None));
    }
    let (mut story, _) = told_to_move(story);
    story.asks(1, of_request(0), start(None)).expect([refuses(1, of_request(0), RefusedReason::Draining)]);
    story.passes(Duration::from_secs(3_600)).expect([]);
    let more = MessageId { message_index: 1, ..ids[0] };
    let chunk = underpass_tests::wire::request_chunk(b"more", true);
    story.asks(1, more, chunk.clone()).expect([sends_piece(1, more, chunk)]);
    let answer = response_start(200, None, false);
    story.answers(1, ids[0], answer.clone()).expect([publishes(1, ids[0], answer)]);
    // The last of them is ended by its client: the runner hears that before the close.
    let last = MessageId { message_index: 1, ..ids[1] };
    story.asks(1, last, Piece::RequestAbort);
    let mut actions = story.actions();
    assert_eq!(actions.remove(0), sends_piece(1, last, Piece::RequestAbort));
    assert_eq!(actions.remove(0), draining(1));
    story.directory(1, stored(4)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([Action::Drained]);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn what_ends_within_the_second_does_not_close_the_connection_before_its_runner_could_move() {
    let mut story = patient_relay();
    story.opens_route(of_request(0), start(None));
    let (mut story, _) = told_to_move(story);
    let answer = response_start(200, None, false);
    story.passes(IDLE - Duration::from_micros(1)).expect([]);
    story.answers(1, of_request(0), answer.clone()).expect([publishes(1, of_request(0), answer)]);
    story.passes(Duration::from_micros(1));
    closed_and_drained(&mut story, 3);
}

#[test]
fn a_runner_that_is_known_to_have_moved_is_closed_at_once_when_nothing_is_open() {
    let config = Config { refresh: Duration::from_secs(5), drain_idle: Duration::from_secs(60), ..patient() };
    let mut story = relay_with(config);
    story.takes_in(1, "a");
    story.opens_route(of_request(0), start(None));
    let (mut story, record) = told_to_move(story);
    story.passes_in_silence_until(Duration::from_secs(5));
    story.expect_state(1, 3, Some(RunnerState::Moving));
    // It is at another relay now, which names this connection as the one that it moves from.
    let elsewhere = underpass_core::bus::ConnectionId {
        relay: underpass_core::bus::RelayId(uuid::Uuid::from_u128(0xef)),
        number: 1,
    };
    let there =
        RunnerRecord { connection: Some(elsewhere), moving: Some(connection(1)), state: RunnerState::Ready, ..record };
    let conflict = ChangeOutcome::Conflict(Some(Versioned { revision: Revision(7), record: there.clone() }));
    story.directory(1, conflict).expect([]);
    // To refresh the record is the other's turn.
    story.passes(Duration::from_secs(5)).expect([]);
    story.answers(1, of_request(0), Answer::ResponseAbort);
    let mut actions = story.actions();
    let change = actions.pop();
    let left = RunnerRecord { moving: None, ..there };
    assert!(
        matches!(&change, Some(Action::Directory { change, .. }) if change.expected == Some(Revision(7))
            && change.record.as_ref() == Some(&left)),
        "{change:?}"
    );
    assert_eq!(actions, [publishes(1, of_request(0), Answer::ResponseAbort), draining(1)]);
    story.directory(1, stored(8)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([Action::Drained]);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn a_runner_that_leaves_by_itself_ends_the_drain() {
    let mut story = patient_relay();
    story.opens_route(of_request(0), start(None));
    let (mut story, _) = told_to_move(story);
    story.says(1, ToServer::Stopping).expect([]);
    story.input(Event::Disconnected { connection: 1 });
    assert_eq!(story.actions().len(), 2, "a word to the gateway, and a change");
    story.directory(1, stored(4)).expect([Action::Drained]).ends();
}

/// It has said its Init to another relay, and then it is to go itself. That relay must read that it moves: else it takes
/// it over from here, with all that is open.
#[test]
fn a_runner_that_goes_while_it_moves_still_moves_as_its_record_says() {
    let mut story = patient_relay();
    story.opens_route(of_request(0), start(None));
    let (mut story, _) = told_to_move(story);
    story.says(1, ToServer::Stopping).expect([]);
    story.passes(Duration::from_secs(60)).expect([]);
    let answer = response_start(200, None, false);
    story.answers(1, of_request(0), answer.clone());
    let actions = story.actions();
    assert_eq!(actions[0], publishes(1, of_request(0), answer), "what is open is finished");
}

#[test]
fn a_runner_that_said_goodbye_before_the_drain_is_not_told_to_move_and_may_finish() {
    let mut story = patient_relay();
    story.opens_route(of_request(0), start(None));
    story.says(1, ToServer::Stopping).expect_state(1, 2, Some(RunnerState::Draining));
    story.directory(1, stored(3)).expect([]);
    story.input(Event::Drain).expect([]);
    story.passes(Duration::from_secs(60)).expect([]);
    let answer = response_start(200, None, false);
    story.answers(1, of_request(0), answer.clone());
    let mut actions = story.actions();
    assert_eq!(actions.remove(0), publishes(1, of_request(0), answer));
    assert_eq!(actions.remove(0), draining(1));
    story.directory(1, stored(4)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([Action::Drained]);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn a_limit_that_was_set_ends_what_is_left_and_none_does_not() {
    let limit = Duration::from_secs(20);
    let mut story = relay_with(Config { drain_limit: Some(limit), ..patient() });
    story.takes_in(1, "a");
    story.opens_route(of_request(0), start(None));
    let (mut story, _) = told_to_move(story);
    story.passes_in_silence_until(limit);
    let mut actions = story.actions();
    assert!(matches!(actions.pop(), Some(Action::Directory { .. })));
    let aborted = sends_piece(1, of_request(1), Piece::RequestAbort);
    assert_eq!(actions, [aborted, publishes(1, of_request(0), Answer::ResponseAbort), draining(1)]);
    assert_eq!((story.machine.stats().timeouts.drain_limit, story.machine.stats().ends.draining), (1, 1));
    story.directory(1, stored(4)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([Action::Drained]);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn a_clock_that_goes_an_hour_at_once_ends_each_once() {
    let mut story = relay_with(Config { drain_limit: Some(Duration::from_secs(20)), ..patient() });
    story.takes_in(1, "a");
    story.opens_route(of_request(0), start(None));
    let (mut story, _) = told_to_move(story);
    story.passes(Duration::from_secs(3_600));
    let actions = story.actions();
    assert_eq!(actions.iter().filter(|action| **action == draining(1)).count(), 1, "{actions:?}");
    story.directory(1, stored(4)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([Action::Drained]);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn a_drain_is_not_over_before_the_last_end_is_told() {
    let mut story = relay();
    story.opens_route(of_request(0), start(None));
    let abort = || publishes(1, of_request(0), Answer::ResponseAbort);
    story.answers(1, of_request(0), Answer::ResponseAbort).expect([abort()]);
    story.bus_refuses(abort(), underpass_core::bus::PublishError::Full).expect([]);
    story.leaves(1);
    story.input(Event::Drain).expect([]);
    story.passes(Duration::from_millis(250)).expect([abort()]);
    story.passes(Duration::from_millis(250)).expect([Action::Drained]);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn a_drain_that_begins_while_a_record_is_on_its_way_says_the_last_word() {
    let mut story = relay_with(patient());
    story.greets(1, "a");
    story.says(1, pong());
    assert_eq!(story.actions().len(), 2, "a notice, and a change to ready");
    story.input(Event::Drain).expect([]);
    story.directory(1, stored(2)).expect_state(1, 2, Some(RunnerState::Moving));
    story.directory(1, stored(3)).expect([sends(1, ToClient::Draining)]);
    story.passes(IDLE);
    closed_and_drained(&mut story, 3);
}
