//! What the directory says of runners, and what it does not say.

use std::time::Duration;

use underpass_core::bus::ConnectionId;
use underpass_core::directory::{RunnerRecord, RunnerState};
use underpass_core::gateway::{Config, Event};
use underpass_core::http::Body;
use underpass_core::protocol::ToGateway;
use underpass_core::{FailureCode, Gateway, Machine};
use underpass_tests::given::gateway::{
    Asked, config, finds_nobody_ready, gateway, gateway_with, lonely_gateway, publishes_to, request_start_with,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{abilities, connection, gone, open, pool, record, response_start, seen};

const UNSEEN: Duration = Duration::from_secs(20);

fn ready(number: u64) -> Event {
    Event::Directory(seen("a", record(number, abilities(1 << 20), RunnerState::Ready)))
}

/// The usual time until a runner counts as unseen.
fn ageing() -> Story<Gateway> {
    let mut story = lonely_gateway(Config { runner_unseen: UNSEEN, ..config() });
    story.input(ready(1)).expect([]);
    story
}

fn asks(story: &mut Story<Gateway>) -> Asked {
    let asked = story.opens(open("GET", "/", Body::None));
    assert_eq!(story.actions().len(), 1);
    asked
}

fn answer(story: &mut Story<Gateway>, asked: Asked) {
    story.hears(asked, 0, response_start(200, None, false));
    assert_eq!(story.actions().len(), 1);
}

fn almost(wait: Duration) -> Duration {
    wait - Duration::from_micros(1)
}

#[test]
fn a_runner_of_which_nothing_is_heard_gets_nothing_new_and_keeps_what_it_has() {
    let mut story = ageing();
    let early = asks(&mut story);
    story.passes(almost(UNSEEN)).expect([]);
    let late = asks(&mut story);
    story.passes(Duration::from_micros(1)).expect([]);
    finds_nobody_ready(&mut story);
    answer(&mut story, early);
    answer(&mut story, late);
    // A word of it is enough.
    story.input(ready(1)).expect([]);
    let asked = asks(&mut story);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn each_word_of_a_runner_gives_it_as_long_again() {
    let mut story = ageing();
    for _ in 0..5 {
        story.passes(almost(UNSEEN)).expect([]);
        story.input(ready(1)).expect([]);
    }
    story.passes(almost(UNSEEN)).expect([]);
    let asked = asks(&mut story);
    answer(&mut story, asked);
    story.passes(Duration::from_micros(1)).expect([]);
    finds_nobody_ready(&mut story);
    story.ends();
}

#[test]
fn nobody_ages_while_the_directory_is_away_and_all_have_their_time_anew_when_it_is_back() {
    let mut story = ageing();
    story.passes(almost(UNSEEN)).expect([]);
    story.input(Event::DirectoryAway).expect([]);
    story.long_after();
    let asked = asks(&mut story);
    answer(&mut story, asked);
    story.input(Event::DirectoryBack).expect([]);
    story.passes(almost(UNSEEN)).expect([]);
    let asked = asks(&mut story);
    answer(&mut story, asked);
    story.passes(Duration::from_micros(1)).expect([]);
    finds_nobody_ready(&mut story);
    story.ends();
}

#[test]
fn a_request_goes_past_those_that_nothing_is_heard_of_to_one_that_there_is() {
    let mut story = ageing();
    story.passes(UNSEEN / 2).expect([]);
    story.input(Event::Directory(seen("b", record(2, abilities(1 << 20), RunnerState::Ready)))).expect([]);
    story.passes(UNSEEN / 2).expect([]);
    let asked = story.opens(open("GET", "/", Body::None));
    story.expect([publishes_to(2, asked, 0, request_start_with("GET", None, false))]);
    assert_eq!(story.machine.ready_runners(&pool()), 1);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn a_connection_that_ended_gets_nothing_new_until_the_directory_tells_of_it() {
    let ended = Event::Received { from: None, frame: ToGateway::ConnectionEnded(connection(1).into()).encode_framed() };
    for lost in [ended, Event::NoResponders { to: connection(1) }] {
        let mut story = gateway();
        let asked = asks(&mut story);
        story.input(lost).expect_failed(asked, FailureCode::RunnerLost, []);
        finds_nobody_ready(&mut story);
        story.input(ready(1)).expect([]);
        let asked = asks(&mut story);
        answer(&mut story, asked);
        story.ends();
    }
}

#[test]
fn the_end_of_a_connection_that_nobody_knows_is_no_news() {
    let mut story = gateway();
    let asked = asks(&mut story);
    story
        .input(Event::Received { from: None, frame: ToGateway::ConnectionEnded(connection(7).into()).encode_framed() })
        .expect([]);
    answer(&mut story, asked);
    story.ends();
}

/// A runner that has come again at another relay, and finishes what it has where it was.
fn moved(moving: Option<ConnectionId>) -> RunnerRecord {
    RunnerRecord { moving, ..record(2, abilities(1 << 20), RunnerState::Ready) }
}

#[test]
fn a_runner_that_moves_keeps_its_requests_where_they_are_and_gets_new_ones_where_it_goes() {
    let mut story = gateway();
    let old = asks(&mut story);
    story.input(Event::Directory(seen("a", record(1, abilities(1 << 20), RunnerState::Moving)))).expect([]);
    finds_nobody_ready(&mut story);
    story.input(Event::Directory(seen("a", moved(Some(connection(1)))))).expect([]);
    let new = story.opens(open("GET", "/", Body::None));
    story.expect([publishes_to(2, new, 0, request_start_with("GET", None, false))]);
    answer(&mut story, old);
    // Said again, and then that it has moved.
    story.input(Event::Directory(seen("a", moved(Some(connection(1)))))).expect([]);
    story.input(Event::Directory(seen("a", moved(None)))).expect([]);
    answer(&mut story, new);
    story.ends();
}

#[test]
fn what_is_open_where_a_runner_was_is_lost_when_its_record_names_that_no_more() {
    for change in [seen("a", moved(None)), gone("a")] {
        let mut story = gateway();
        let old = asks(&mut story);
        story.input(Event::Directory(seen("a", moved(Some(connection(1)))))).expect([]);
        story.input(Event::Directory(change)).expect_failed(old, FailureCode::RunnerLost, []);
        story.input(Event::Directory(gone("a"))).expect([]);
        assert_eq!(story.refuses(open("GET", "/", Body::None)).code, FailureCode::NoRunner);
        story.ends();
    }
}

#[test]
fn a_connection_that_is_left_can_end_without_the_new_one() {
    let mut story = gateway();
    let old = asks(&mut story);
    story.input(Event::Directory(seen("a", moved(Some(connection(1)))))).expect([]);
    let new = asks(&mut story);
    let ended = ToGateway::ConnectionEnded(connection(1).into()).encode_framed();
    story.input(Event::Received { from: None, frame: ended }).expect_failed(old, FailureCode::RunnerLost, []);
    answer(&mut story, new);
    story.ends();
}

#[test]
fn a_connection_that_a_record_says_it_was_at_need_not_be_known() {
    let mut story = lonely_gateway(config());
    story.input(Event::Directory(seen("a", moved(Some(connection(1)))))).expect([]);
    let asked = asks(&mut story);
    answer(&mut story, asked);
    story.input(Event::Directory(gone("a"))).expect([]).ends();
}

#[test]
fn a_connection_is_of_one_runner_only() {
    let mut story = gateway_with(config(), abilities(1 << 20));
    let asked = asks(&mut story);
    story.input(Event::Directory(seen("b", record(1, abilities(1 << 20), RunnerState::Ready)))).expect([]);
    assert_eq!(story.machine.stats().runners, 1);
    story.input(Event::Directory(gone("b"))).expect([]);
    answer(&mut story, asked);
    story.ends();
}
