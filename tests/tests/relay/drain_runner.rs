//! One runner of a relay, whose connection drains because somebody who looks after the relay wants it.

use std::time::Duration;

use underpass_core::directory::{ActorState, ChangeOutcome, Revision, RunnerId, RunnerState};
use underpass_core::protocol::to_gateway::RefusedReason;
use underpass_core::protocol::to_server::StopCode;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::Kind as Answer;
use underpass_core::protocol::{RequestId, ToClient, ToServer, Version};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::supervisor::rendezvous::choose;
use underpass_core::{Machine, Relay};
use underpass_tests::given::hosting::{Hosting, hosting, says};
use underpass_tests::given::relay::{
    calm, closes, of_request, publishes, refuses, relay_with, sends, sends_piece, start,
};
use underpass_tests::given::supervisor::{actor, stopped};
use underpass_tests::story::Story;
use underpass_tests::wire::{connection, message_id, response_start};

const IDLE: Duration = Duration::from_secs(1);

fn patient() -> Config {
    let day = Duration::from_secs(86_400);
    Config { ping_interval: day, pong: 2 * day, gateway_silent: day, ..calm() }
}

fn stored(revision: u64) -> ChangeOutcome {
    ChangeOutcome::Stored(Revision(revision))
}

fn wanted(connection: u64) -> Event {
    Event::DrainRunner { connection }
}

/// A relay with two runners, the first of which has a request open and was told to move. Its record has revision 3.
fn one_drains(config: Config) -> Story<Relay> {
    let mut story = relay_with(config);
    story.takes_in(1, "a");
    story.takes_in(2, "b");
    story.opens_route(of_request(0), start(None));
    story.input(wanted(1)).expect_state(1, 2, Some(RunnerState::Moving));
    story.directory(1, stored(3)).expect([sends(1, ToClient::Draining)]);
    story
}

/// The first connection was closed behind these actions, and its record goes with it; the other stays.
#[track_caller]
fn closed(mut story: Story<Relay>, before: &[Action]) {
    let mut actions = story.actions();
    assert!(matches!(actions.pop(), Some(Action::Directory { connection: 1, .. })));
    assert_eq!(actions.pop(), Some(closes(1, 1001, "relay.draining")));
    assert_eq!(actions, before);
    story.directory(1, stored(4)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    assert_eq!(story.machine.stats().ready, 1);
    story.leaves(2);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn it_takes_nothing_new_and_is_closed_once_nothing_is_open() {
    let mut story = one_drains(patient());
    let another = message_id(RequestId([9; 4]), 0);
    story.asks(1, another, start(None)).expect([refuses(1, another, RefusedReason::Draining)]);
    story.passes(Duration::from_secs(3_600)).expect([]);
    let answer = response_start(200, None, false);
    story.answers(1, of_request(0), answer.clone()).expect([publishes(1, of_request(0), answer)]);
    story.passes_in_silence_until(IDLE);
    closed(story, &[]);
}

#[test]
fn what_is_open_ends_at_the_limit_if_there_is_one() {
    let limit = Duration::from_secs(20);
    let mut story = one_drains(Config { drain_limit: Some(limit), ..patient() });
    story.passes(limit - Duration::from_micros(1)).expect([]);
    story.passes(Duration::from_micros(1));
    assert_eq!(story.machine.stats().timeouts.drain_limit, 1);
    let aborted = sends_piece(1, of_request(1), Piece::RequestAbort);
    closed(story, &[aborted, publishes(1, of_request(0), Answer::ResponseAbort)]);
}

#[test]
fn a_clock_that_goes_an_hour_at_once_closes_it_once() {
    let mut story = one_drains(Config { drain_limit: Some(Duration::from_secs(20)), ..patient() });
    story.passes(Duration::from_secs(3_600));
    let aborted = sends_piece(1, of_request(1), Piece::RequestAbort);
    closed(story, &[aborted, publishes(1, of_request(0), Answer::ResponseAbort)]);
}

#[test]
fn to_want_it_twice_or_of_none_changes_nothing() {
    let mut story = one_drains(patient());
    story.input(wanted(1)).input(wanted(7)).expect([]);
    story.answers(1, of_request(0), Answer::ResponseAbort);
    story.expect([publishes(1, of_request(0), Answer::ResponseAbort)]);
    story.passes(IDLE);
    closed(story, &[]);
}

#[test]
fn one_that_goes_by_itself_meanwhile_leaves_nothing_behind() {
    let mut story = one_drains(patient());
    story.input(Event::Disconnected { connection: 1 });
    assert_eq!(story.actions().len(), 2, "a word to the gateway, and a change");
    story.directory(1, stored(4)).expect([]);
    story.leaves(2);
    story.passes(Duration::from_secs(60)).ends();
}

#[test]
fn a_relay_that_drains_later_finishes_it_like_the_others() {
    let mut story = one_drains(patient());
    story.input(Event::Drain).expect_state(2, 2, Some(RunnerState::Moving));
    story.directory(2, stored(3)).expect([sends(2, ToClient::Draining)]);
    story.answers(1, of_request(0), Answer::ResponseAbort);
    story.expect([publishes(1, of_request(0), Answer::ResponseAbort)]);
    story.passes(IDLE);
    let closes = story.actions().into_iter().filter(|action| matches!(action, Action::Close { .. })).count();
    assert_eq!(closes, 2);
    for number in [1, 2] {
        story.directory(number, stored(4)).expect([]);
    }
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(Event::Disconnected { connection: 2 }).expect([Action::Drained]);
    story.passes(Duration::from_secs(60)).ends();
}

/// Two published runners with state.
fn two_with_state() -> Hosting {
    let mut hosting = hosting();
    hosting.takes_in(1, "a", Version::V7).takes_in(2, "b", Version::V7);
    hosting
}

/// The runner of a connection.
fn runner_of(hosting: &Hosting, number: u64) -> RunnerId {
    let is_there = Some(connection(number));
    hosting.runners().find(|record| record.connection == is_there).expect("it is connected").id
}

/// An actor that belongs to the runner of the first connection while that takes any.
fn of_the_first(hosting: &Hosting) -> &'static str {
    let runners = [1, 2].map(|number| runner_of(hosting, number));
    let belongs = |actor_id: &&str| choose(&actor(actor_id), runners.into_iter()) == Some(runners[0]);
    ["c", "d", "e", "f", "g", "h", "i", "j", "k", "l"].into_iter().find(belongs).expect("one of many")
}

#[test]
fn the_actors_of_one_that_said_goodbye_have_the_time_to_stop_and_have_one_life() {
    let mut hosting = two_with_state();
    let (actor_id, second) = (of_the_first(&hosting), runner_of(&hosting, 2));
    hosting.runs(1, actor_id);
    hosting.saw();
    hosting.input(wanted(1)).says(1, ToServer::Stopping).passes(Duration::from_secs(8));
    assert_eq!(hosting.saw(), []);
    assert!(matches!(hosting.actor(actor_id), (ActorState::Stopping(_), 1)));
    hosting.tells(1, says(actor_id, 1, stopped(StopCode::Ok)));
    assert_eq!(hosting.actor(actor_id), (ActorState::Starting(second), 2));
    hosting.passes(IDLE);
    assert_eq!(hosting.saw(), [closes(1, 1001, "relay.draining")]);
    assert_eq!(hosting.story.machine.stats().timeouts.drain_published, 0);
    hosting.cuts(1);
    hosting.ends();
}

#[test]
fn an_actor_that_is_wanted_meanwhile_is_started_on_another() {
    let mut hosting = two_with_state();
    let (actor_id, second) = (of_the_first(&hosting), runner_of(&hosting, 2));
    hosting.input(wanted(1)).wants(actor_id);
    assert_eq!(hosting.actor(actor_id), (ActorState::Starting(second), 1));
    assert_eq!(hosting.heard(1), []);
    assert_eq!(hosting.heard(2).len(), 1, "a start");
    hosting.ends();
}
