//! Actors for which there is no room: they are taken up when there is room again.

use std::time::Duration;

use underpass_core::directory::{ActorSeen, ActorState};
use underpass_core::supervisor::{Action, Config, Event, Notice};
use underpass_core::{Machine, Supervisor};
use underpass_tests::given::supervisor::{
    actor, actor_record, change, greeted, runner_id, shows, start, supervisor_with,
};
use underpass_tests::story::Story;

const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// There is room for one actor. `a` is kept in mind, `b` is left out.
fn left_out() -> Story<Supervisor> {
    let mut story = supervisor_with(Config { max_actors: 1, ..Config::default() });
    story.wants("a", 1).expect([]);
    story.wants("b", 2).expect([Action::Log(Notice::TooManyActors)]);
    story
}

fn sleeps(story: &mut Story<Supervisor>, revision: u64) {
    story.input(shows("a", revision, actor_record(1, ActorState::Sleeping))).expect([]);
}

#[test]
fn an_actor_that_was_left_out_is_taken_up_when_there_is_room() {
    let mut story = left_out();
    story.passes(4 * LOOK_AGAIN).expect([]);
    sleeps(&mut story, 3);
    story.passes_in_silence_until(LOOK_AGAIN).expect([Action::ShowActors]);
    sleeps(&mut story, 3);
    story.wants("b", 2).expect([]);
    story.input(greeted(1, 1)).expect([]);
    story.input(Event::Answered { connection: 1 });
    let starting = actor_record(1, ActorState::Starting(runner_id(1)));
    story.expect([change("b", 2, &starting)]).stores("b", 3).expect([start(1, "b", 1)]);
    assert_eq!((story.machine.stats().untracked, story.machine.stats().looked_again), (1, 1));
}

#[test]
fn as_long_as_some_are_left_out_the_directory_is_asked_each_time_that_there_is_room() {
    let mut story = left_out();
    sleeps(&mut story, 3);
    // Somebody else needed the room meanwhile.
    story.wants("c", 4).expect([]);
    story.passes(4 * LOOK_AGAIN).expect([]);
    let gone = |actor_id| Event::Actor(ActorSeen { key: actor(actor_id), record: None });
    story.input(gone("c")).expect([]);
    story.passes_in_silence_until(LOOK_AGAIN).expect([Action::ShowActors]);
    story.wants("b", 2).expect([]);
    story.wants("d", 5).expect([]);
    story.input(gone("b")).expect([]);
    story.passes_in_silence_until(LOOK_AGAIN).expect([Action::ShowActors]);
    // There is nobody any more.
    story.passes(4 * LOOK_AGAIN).expect([]).ends();
}

#[test]
fn a_directory_that_was_away_shows_them_by_itself() {
    let mut story = left_out();
    sleeps(&mut story, 3);
    story.input(Event::DirectoryAway).expect([]);
    story.passes(4 * LOOK_AGAIN).expect([]);
    story.input(Event::DirectoryBack).expect([]).ends();
}

#[test]
fn of_a_runner_it_is_not_known_whether_it_has_actors_while_some_are_left_out() {
    let mut story = left_out();
    assert!(story.machine.may_have_actors(runner_id(1)));
    sleeps(&mut story, 3);
    assert!(story.machine.may_have_actors(runner_id(1)));
    story.passes_in_silence_until(LOOK_AGAIN).expect([Action::ShowActors]);
    assert!(!story.machine.may_have_actors(runner_id(1)));
    story.ends();
}

#[test]
fn an_actor_with_too_long_an_id_is_started_for_nobody() {
    let mut story = supervisor_with(Config { max_actor_id: 3, ..Config::default() });
    story.wants("abcd", 1).expect([]);
    assert_eq!((story.machine.stats().actors, story.machine.stats().untracked), (0, 1));
    story.ends();
}
