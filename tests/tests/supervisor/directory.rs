//! The directory: shown late, away, contested.

use std::time::Duration;

use underpass_core::directory::{ActorRecord, ActorSeen, ActorState, ChangeOutcome, Revision, RunnerState, Versioned};
use underpass_core::supervisor::{Action, Config, Event, Notice};
use underpass_core::{Machine, Supervisor, Time};
use underpass_tests::given::supervisor::{
    NOON, actor, actor_record, alarm, change, event, greeted, runner_id, running, shows, shows_runner, start,
    supervisor, with_actor,
};
use underpass_tests::story::Story;
use underpass_tests::wire::relay_id;

fn starting(generation: u32) -> ActorRecord {
    actor_record(generation, ActorState::Starting(runner_id(1)))
}

fn conflict(revision: u64, record: ActorRecord) -> ChangeOutcome<ActorRecord> {
    ChangeOutcome::Conflict(Some(Versioned { revision: Revision(revision), record }))
}

#[test]
fn nothing_is_decided_before_the_directory_has_shown_what_is_there() {
    let supervisor = Supervisor::new(Config::default(), relay_id(), Time::ZERO).expect("a configuration");
    let mut story = Story::given(supervisor);
    story.input(Event::WallClock { unix_ms: NOON }).expect([]);
    story.runner_comes(1, 1).expect([]);
    story.says_on(1, vec![event("b", 3, 0, running())]).expect([]);
    story.wants("a", 1).expect([]);
    story.input(shows_runner(2, 1, Some(1), RunnerState::Full)).expect([]);
    story.input(shows("b", 2, actor_record(3, ActorState::Running(runner_id(1))))).expect([]);
    story.passes(Duration::from_secs(3_600)).expect([]).expect_timeout(None);
    assert!(!story.machine.takes_requests(1, &"b".into()));
    assert_eq!(story.machine.generation(1, &"b".into()), Some(3));
    story.input(Event::DirectoryBack).expect([change("a", 1, &starting(1))]);
    assert!(story.machine.takes_requests(1, &"b".into()));
    story.input(Event::DirectoryBack).expect([]);
}

#[test]
fn while_it_is_away_nobody_ages_and_then_everybodys_time_begins_anew() {
    let mut story = with_actor();
    story.input(shows_runner(2, 1, Some(1), RunnerState::Full)).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.passes(Duration::from_secs(19)).expect([]);
    story.input(Event::DirectoryAway).expect([]).expect_timeout(None);
    story.wants("b", 9).expect([]);
    story.passes(Duration::from_secs(3_600)).expect([]);
    story.input(Event::DirectoryBack).expect([]);
    story.passes_in_silence_until(Duration::from_secs(20)).expect([Action::Log(Notice::RunnerLost(runner_id(1)))]);
    assert_eq!(story.machine.stats().runners_unseen, 1);
}

#[test]
fn what_it_does_not_show_when_it_is_back_is_gone() {
    let supervisor = Supervisor::new(Config::default(), relay_id(), Time::ZERO).expect("a configuration");
    let mut story = Story::given(supervisor);
    story.input(Event::WallClock { unix_ms: NOON }).input(Event::DirectoryBack).expect([]);
    story.wants("a", 1).wants("b", 2).expect([]);
    assert_eq!((story.machine.stats().actors, story.machine.stats().waiting), (2, 2));
    story.input(Event::DirectoryAway).expect([]);
    // The wish for the one was taken back meanwhile.
    story.wants("b", 2).input(Event::DirectoryBack).expect([]);
    assert_eq!((story.machine.stats().actors, story.machine.stats().waiting), (1, 1));
}

#[test]
fn lives_go_on_while_it_is_away() {
    let mut story = with_actor();
    story.input(Event::DirectoryAway).expect([]);
    let runs = ActorRecord { alarm: Some(1), ..actor_record(1, ActorState::Running(runner_id(1))) };
    story.says("a", 1, 1, alarm(Some(1))).expect([change("a", 3, &runs)]);
    for _ in 0..3 {
        story.outcome("a", ChangeOutcome::Unavailable).expect([Action::Log(Notice::DirectoryUnavailable(actor("a")))]);
        story.passes_in_silence_until(Duration::from_secs(1));
        let actions = story.actions();
        assert!(actions.contains(&change("a", 3, &runs)), "{actions:?}");
    }
    story.stores("a", 4).expect([]);
    assert_eq!(story.machine.stats().unavailable, 3);
}

#[test]
fn a_claim_whose_outcome_was_not_heard_is_recognised() {
    let mut story = supervisor();
    story.wants("a", 1).expect([change("a", 1, &starting(1))]);
    story.outcome("a", ChangeOutcome::Unavailable).expect([Action::Log(Notice::DirectoryUnavailable(actor("a")))]);
    story.passes_in_silence_until(Duration::from_secs(1)).expect([change("a", 1, &starting(1))]);
    // It was made: the record says so.
    story.outcome("a", conflict(2, starting(1))).expect([start(1, "a", 1)]);
}

#[test]
fn a_claim_that_could_not_be_made_is_given_up_when_another_made_his() {
    let mut story = supervisor();
    story.wants("a", 1).expect([change("a", 1, &starting(1))]);
    story.outcome("a", ChangeOutcome::Unavailable).expect([Action::Log(Notice::DirectoryUnavailable(actor("a")))]);
    story.input(shows("a", 2, actor_record(1, ActorState::Starting(runner_id(9))))).expect([]);
    story.passes(Duration::from_secs(1)).expect([]);
    assert_eq!((story.machine.stats().hosted, story.machine.stats().waiting), (0, 0));
}

#[test]
fn what_is_shown_while_a_change_is_made_counts_if_it_is_newer() {
    // The claim was made, and then another took it.
    let mut story = supervisor();
    story.wants("a", 1).expect([change("a", 1, &starting(1))]);
    story.input(shows("a", 3, actor_record(2, ActorState::Starting(runner_id(9))))).expect([]);
    story.stores("a", 2).expect([]);
    assert_eq!(story.machine.stats().hosted, 0);
    // It is its own echo.
    let mut story = supervisor();
    story.wants("a", 1).expect([change("a", 1, &starting(1))]);
    story.input(shows("a", 2, starting(1))).expect([]);
    story.stores("a", 2).expect([start(1, "a", 1)]);
    story.input(shows("a", 2, starting(1))).expect([]);
    story.input(shows("a", 1, actor_record(0, ActorState::Wanted))).expect([]);
    assert_eq!(story.machine.stats().hosted, 1);
}

#[test]
fn a_record_of_the_same_life_that_another_changed_is_set_right() {
    let mut story = with_actor();
    let runs = actor_record(1, ActorState::Running(runner_id(1)));
    story.input(shows("a", 9, starting(1))).expect([change("a", 9, &runs)]);
    story.outcome("a", conflict(11, ActorRecord { crashes: 7, ..starting(1) })).expect([change("a", 11, &runs)]);
    story.stores("a", 12).expect([]);
}

#[test]
fn a_record_that_somebody_removed_is_entered_again() {
    let mut story = with_actor();
    story.input(Event::Actor(ActorSeen { key: actor("a"), record: None })).expect([]);
    let runs = ActorRecord { alarm: Some(5), ..actor_record(1, ActorState::Running(runner_id(1))) };
    story.says("a", 1, 1, alarm(Some(5))).expect([change("a", 3, &runs)]);
    story.outcome("a", ChangeOutcome::Conflict(None)).expect([change("a", 0, &runs)]).stores("a", 20).expect([]);
}

#[test]
fn a_life_that_is_over_for_others_already_is_over() {
    let mut story = with_actor();
    story.input(Event::Stopping { connection: 1 }).actions();
    story.stores("a", 4).expect([]);
    story.input(Event::Disconnected { connection: 1 });
    story.expect([change("a", 4, &actor_record(1, ActorState::Wanted))]);
    // Others saw the runner lost.
    story.outcome("a", conflict(6, actor_record(1, ActorState::Sleeping))).expect([]).ends();
}

#[test]
fn a_runner_that_goes_while_a_record_changes_leaves_nothing() {
    let mut story = with_actor();
    story.says("a", 1, 1, alarm(Some(NOON + 9)));
    assert_eq!(story.actions().len(), 1);
    story.input(greeted(2, 1)).expect([]);
    story.input(shows_runner(1, 9, Some(7), RunnerState::Ready)).expect([]);
    story.stores("a", 4).expect([]);
    assert_eq!(story.machine.stats().hosted, 0);
    story.input(shows("a", 5, actor_record(1, ActorState::Sleeping))).expect([]);
    for connection in [1, 2] {
        story.input(Event::Disconnected { connection }).expect([]);
    }
    story.input(shows_runner(1, 10, None, RunnerState::Ready)).expect([]).ends();
}

#[test]
fn what_the_directory_says_without_being_asked_changes_nothing() {
    let mut story = with_actor();
    for actor_id in ["a", "b"] {
        story.stores(actor_id, 99).expect([]);
        story.outcome(actor_id, ChangeOutcome::Conflict(None)).expect([]);
        story.outcome(actor_id, ChangeOutcome::Unavailable).expect([]);
    }
    story.sleeps_and_ends(3, 1);
}
