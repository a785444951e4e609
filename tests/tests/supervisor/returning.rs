//! A runner goes and comes back: what it announced goes on, the rest is over; or it stays away, and is lost.

use std::time::Duration;

use underpass_core::directory::{ActorRecord, ActorState, RunnerState};
use underpass_core::protocol::to_server::StopCode;
use underpass_core::supervisor::{Action, Config, Event, Notice};
use underpass_core::{Machine, Supervisor};
use underpass_tests::given::supervisor::{
    actor, actor_record, alarm, change, end_routes, event, finish_routes, greeted, runner_id, running, shows,
    shows_runner, sleeps, start, stop, stopped, supervisor, supervisor_with, with_actor,
};
use underpass_tests::story::Story;

const LOST: Duration = Duration::from_secs(20);

fn runs() -> ActorRecord {
    actor_record(1, ActorState::Running(runner_id(1)))
}

fn stopping() -> ActorRecord {
    actor_record(1, ActorState::Stopping(runner_id(1)))
}

fn wanted() -> ActorRecord {
    actor_record(1, ActorState::Wanted)
}

/// The actor `a` ran on `r1`, whose connection broke.
fn away() -> Story<Supervisor> {
    let mut story = with_actor();
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story
}

/// It was to stop, and had not been told when the connection broke.
fn away_finishing() -> Story<Supervisor> {
    let mut story = with_actor();
    story.says("a", 1, 1, sleeps());
    story.expect([finish_routes(1, "a", 1), change("a", 3, &stopping())]).stores("a", 4).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story
}

/// It was told to stop when the connection broke.
fn away_stopping() -> Story<Supervisor> {
    let mut story = with_actor();
    story.says("a", 1, 1, sleeps());
    story.expect([finish_routes(1, "a", 1), change("a", 3, &stopping())]).stores("a", 4).expect([]);
    story.routes_end("a", 1).expect([stop(1, "a", 1)]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story
}

#[test]
fn an_actor_that_announces_itself_runs_on_from_the_pong_on() {
    let mut story = away();
    assert!(!story.machine.takes_requests(1, &"a".into()));
    story.passes(LOST - Duration::from_micros(1)).expect([]);
    story.input(greeted(2, 1)).expect([]);
    story.says_on(2, vec![event("a", 1, 0, running())]).expect([]);
    assert!(!story.machine.takes_requests(2, &"a".into()));
    assert_eq!(story.machine.generation(2, &"a".into()), Some(1), "its store is its own before the pong, too");
    story.passes(LOST).expect([]);
    story.input(Event::Answered { connection: 2 }).expect([]);
    assert!(story.machine.takes_requests(2, &"a".into()));
    assert_eq!((story.machine.stats().duplicate_events, story.machine.stats().claimed), (1, 1));
}

#[test]
fn what_it_has_to_say_besides_is_heard_at_the_pong() {
    let mut story = away();
    story.input(greeted(2, 1)).expect([]);
    story.says_on(2, vec![event("a", 1, 0, running()), event("a", 1, 1, alarm(Some(7)))]).expect([]);
    story.says_on(2, vec![event("a", 1, 2, sleeps())]).expect([]);
    story.input(Event::Answered { connection: 2 });
    story.expect([change("a", 3, &ActorRecord { alarm: Some(7), ..runs() }), finish_routes(2, "a", 1)]);
}

#[test]
fn an_actor_that_does_not_announce_itself_is_gone_and_is_started_again_at_once() {
    let mut story = away();
    story.runner_comes(2, 1).expect_stored("a", 3, &wanted());
    story.expect_stored("a", 4, &actor_record(2, ActorState::Starting(runner_id(1)))).expect([start(2, "a", 2)]);
    assert_eq!((story.machine.stats().stopped, story.machine.stats().crashed), (1, 0));
}

#[test]
fn one_that_crashed_meanwhile_and_says_so_crashed() {
    let mut story = away();
    story.input(greeted(2, 1)).expect([]);
    story.says_on(2, vec![event("a", 1, 0, running()), event("a", 1, 1, stopped(StopCode::Error))]).expect([]);
    story.input(Event::Answered { connection: 2 });
    let crash = Notice::Crashed { actor: actor("a"), message: None };
    story.expect([Action::Log(crash), end_routes(2, "a", 1)]);
    story.routes_end("a", 1).expect_stored("a", 3, &ActorRecord { crashes: 1, ..wanted() }).expect([]);
}

#[test]
fn an_unheard_start_is_sent_again_only_if_its_actor_is_not_announced() {
    for announced in [false, true] {
        let mut story = supervisor();
        story.wants("a", 1).expect_stored("a", 1, &actor_record(1, ActorState::Starting(runner_id(1))));
        story.expect([start(1, "a", 1)]);
        story.passes(Duration::from_secs(29)).expect([]);
        story.input(Event::Disconnected { connection: 1 }).expect([]);
        // Its time does not run meanwhile.
        story.passes(Duration::from_secs(10)).expect([]);
        story.input(greeted(2, 1)).expect([]);
        if announced {
            story.says_on(2, vec![event("a", 1, 0, running())]).expect([]);
            story.input(Event::Answered { connection: 2 }).expect([change("a", 2, &runs())]);
        } else {
            story.input(Event::Answered { connection: 2 }).expect([start(2, "a", 1)]);
            story.passes_in_silence_until(Duration::from_secs(30));
            assert_eq!(story.actions().len(), 3);
        }
    }
}

#[test]
fn an_unheard_stop_is_sent_again_only_if_its_actor_is_announced() {
    for announced in [false, true] {
        let mut story = away_stopping();
        story.input(greeted(2, 1)).expect([]);
        if announced {
            story.says_on(2, vec![event("a", 1, 1, sleeps())]).expect([]);
            story.input(Event::Answered { connection: 2 }).expect([stop(2, "a", 1)]);
        } else {
            story.input(Event::Answered { connection: 2 });
            story.falls_asleep("a", 4, 1);
            story.leaves(2).ends();
        }
    }
}

#[test]
fn one_that_was_to_stop_when_its_requests_end_is_so_when_it_comes_back() {
    let mut story = away_finishing();
    // What the old connection's routes did does not count.
    story.routes_end("a", 1).expect([]);
    story.input(greeted(2, 1)).expect([]);
    story.says_on(2, vec![event("a", 1, 1, sleeps())]).expect([]);
    story.input(Event::Answered { connection: 2 }).expect([finish_routes(2, "a", 1)]);
    story.routes_end("a", 1).expect([stop(2, "a", 1)]);
    let mut story = away_finishing();
    story.runner_comes(2, 1).falls_asleep("a", 4, 1);
    story.leaves(2).ends();
}

#[test]
fn one_whose_routes_were_being_closed_needs_nothing_more() {
    let mut story = with_actor();
    story.says("a", 1, 1, stopped(StopCode::Ok)).expect([end_routes(1, "a", 1)]);
    story.input(Event::Disconnected { connection: 1 });
    story.falls_asleep("a", 3, 1).ends();
}

#[test]
fn a_runner_that_stays_away_is_lost_at_its_deadline_and_its_actors_are_placed_anew() {
    let mut story = away();
    story.runner_comes(2, 2).expect([]);
    story.passes_in_silence_until(LOST);
    let claim = change("a", 3, &actor_record(2, ActorState::Starting(runner_id(2))));
    story.expect([Action::Log(Notice::RunnerLost(runner_id(1))), claim]).stores("a", 4);
    story.expect([start(2, "a", 2)]);
    assert_eq!((story.machine.stats().runners_lost, story.machine.stats().runners), (1, 1));
    // It comes back after all, and still has it.
    story.input(greeted(3, 1)).expect([]);
    story.says_on(3, vec![event("a", 1, 0, running())]).expect([]);
    story.input(Event::Answered { connection: 3 }).expect([stop(3, "a", 1)]);
    assert_eq!(story.machine.stats().stale_events, 1);
}

#[test]
fn a_lost_runner_that_comes_back_before_another_took_its_actors_has_them() {
    let mut story = away();
    story.passes(LOST).expect([Action::Log(Notice::RunnerLost(runner_id(1)))]);
    assert_eq!(story.machine.stats().waiting, 1);
    story.input(greeted(2, 1)).expect([]);
    assert_eq!(story.machine.stats().waiting, 0);
    story.says_on(2, vec![event("a", 1, 0, running())]).expect([]);
    story.input(Event::Answered { connection: 2 }).expect([]);
    assert!(story.machine.takes_requests(2, &"a".into()));
}

#[test]
fn what_was_to_follow_a_stop_follows_when_its_runner_is_lost() {
    for mut story in [away_finishing(), away_stopping()] {
        story.passes_in_silence_until(LOST);
        let asleep = actor_record(1, ActorState::Sleeping);
        story.expect([Action::Log(Notice::RunnerLost(runner_id(1))), change("a", 4, &asleep)]);
        story.stores("a", 5).expect([]).ends();
    }
}

#[test]
fn after_a_goodbye_all_its_actors_count_as_stopped_at_once() {
    let mut story = with_actor();
    story.input(Event::Stopping { connection: 1 }).expect([finish_routes(1, "a", 1), change("a", 3, &stopping())]);
    story.stores("a", 4).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect_stored("a", 4, &wanted());
    story.expect([]).expect_timeout(None);
    assert_eq!((story.machine.stats().waiting, story.machine.stats().runners), (1, 0));
    story.runner_comes(2, 2).expect([change("a", 5, &actor_record(2, ActorState::Starting(runner_id(2))))]);
}

#[test]
fn a_runner_elsewhere_that_is_away_for_long_is_lost_for_everybody() {
    let mut story = supervisor();
    let theirs = actor_record(4, ActorState::Running(runner_id(2)));
    story.input(shows_runner(2, 1, Some(7), RunnerState::Ready)).expect([]);
    story.input(shows("a", 1, theirs)).expect([]);
    story.input(shows("b", 2, actor_record(4, ActorState::Stopping(runner_id(2))))).expect([]);
    story.passes(Duration::from_secs(10)).expect([]);
    story.input(shows_runner(2, 2, None, RunnerState::Ready)).expect([]);
    story.passes(Duration::from_secs(10)).expect([]);
    // That it says so again does not make its time longer.
    story.input(shows_runner(2, 3, None, RunnerState::Ready)).expect([]);
    story.passes_in_silence_until(Duration::from_secs(10));
    let claim = change("a", 1, &actor_record(5, ActorState::Starting(runner_id(1))));
    let asleep = change("b", 2, &actor_record(4, ActorState::Sleeping));
    story.expect([Action::Log(Notice::RunnerLost(runner_id(2))), claim, asleep]);
}

#[test]
fn a_runner_that_is_seen_elsewhere_again_keeps_its_actors() {
    let mut story = supervisor();
    story.input(shows_runner(2, 1, None, RunnerState::Ready)).expect([]);
    story.input(shows("a", 1, actor_record(4, ActorState::Running(runner_id(2))))).expect([]);
    story.input(shows_runner(2, 2, None, RunnerState::Ready)).expect([]);
    story.passes(LOST - Duration::from_micros(1)).expect([]);
    story.input(shows_runner(2, 3, Some(1), RunnerState::Full)).expect([]);
    story.passes(LOST - Duration::from_micros(1)).expect([]);
    assert_eq!(story.machine.stats().runners_lost, 0);
}

#[test]
fn a_runner_of_which_the_directory_says_nothing_is_lost_when_unseen() {
    let mut story = supervisor();
    story.input(shows("a", 1, actor_record(4, ActorState::Starting(runner_id(2))))).expect([]);
    story.input(shows_runner(2, 1, Some(7), RunnerState::Ready)).expect([]);
    story.passes_in_silence_until(Duration::from_secs(20));
    let claim = change("a", 1, &actor_record(5, ActorState::Starting(runner_id(1))));
    story.expect([Action::Log(Notice::RunnerLost(runner_id(2))), claim]);
}

#[test]
fn an_actor_at_a_runner_that_nobody_knows_is_placed_anew_in_time() {
    let mut story = supervisor();
    story.input(shows("a", 1, actor_record(4, ActorState::Running(runner_id(2))))).expect([]);
    story.passes_in_silence_until(LOST);
    let claim = change("a", 1, &actor_record(5, ActorState::Starting(runner_id(1))));
    story.expect([Action::Log(Notice::RunnerLost(runner_id(2))), claim]);
}

#[test]
fn a_relay_that_sees_its_runner_elsewhere_lets_go_of_its_lives() {
    for connected in [false, true] {
        let mut story = if connected { with_actor() } else { away() };
        story.input(shows_runner(1, 9, Some(7), RunnerState::Ready)).expect([]);
        assert_eq!((story.machine.stats().hosted, story.machine.stats().actors), (0, 1));
        // The other relay has them now.
        story.input(shows("a", 4, stopping())).expect([]);
        if connected {
            story.says("a", 1, 1, stopped(StopCode::Error)).expect([]);
            story.input(Event::Disconnected { connection: 1 }).expect([]);
        }
        story.input(shows("a", 5, actor_record(1, ActorState::Sleeping))).expect([]);
        story.input(shows_runner(1, 10, None, RunnerState::Ready)).expect([]).ends();
    }
}

#[test]
fn a_relay_to_which_a_runner_comes_takes_up_its_lives_from_their_records() {
    let at = |state: fn(_) -> ActorState| actor_record(1, state(runner_id(1)));
    let mut story = supervisor_with(Config::default());
    story.input(shows_runner(1, 1, Some(7), RunnerState::Ready)).expect([]);
    for (revision, (actor_id, record)) in (1..).zip([
        ("runs", at(ActorState::Running)),
        ("gone", at(ActorState::Running)),
        ("started", at(ActorState::Starting)),
        ("untold", at(ActorState::Starting)),
        ("stops", at(ActorState::Stopping)),
        ("stopped", at(ActorState::Stopping)),
    ]) {
        story.input(shows(actor_id, revision, record)).expect([]);
    }
    let greeting = underpass_core::supervisor::Greeted {
        connection: 1,
        id: runner_id(1),
        key: underpass_tests::wire::runner_key("r1"),
        slots: 10,
        hibernates: false,
        revision: underpass_core::directory::Revision(2),
    };
    story.input(Event::Greeted(greeting)).expect([]);
    let announced = ["runs", "started", "stops"].map(|actor_id| event(actor_id, 1, 3, running()));
    story.says_on(1, announced.to_vec()).expect([]);
    story.input(Event::Answered { connection: 1 });
    story.expect([
        change("started", 3, &at(ActorState::Running)),
        change("gone", 2, &wanted()),
        change("untold", 4, &at(ActorState::Starting)),
        finish_routes(1, "stops", 1),
        change("stopped", 6, &actor_record(1, ActorState::Sleeping)),
    ]);
    // The start that was not heard is sent when it is known that its record is not an old one.
    story.stores("untold", 9).expect([start(1, "untold", 1)]);
    // What is old is no news.
    story.input(shows_runner(1, 1, Some(7), RunnerState::Ready)).expect([]);
    assert!(story.machine.takes_requests(1, &"runs".into()));
}

#[test]
fn a_life_of_which_the_directory_says_that_it_is_over_is_ended_here() {
    let mut story = with_actor();
    let theirs = actor_record(2, ActorState::Running(runner_id(9)));
    story.input(shows("a", 4, theirs));
    story.expect([Action::Log(Notice::Superseded(actor("a"))), end_routes(1, "a", 1), stop(1, "a", 1)]);
    story.routes_end("a", 1).expect([]);
    story.says("a", 1, 1, stopped(StopCode::Error)).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.superseded, stats.stale_events, stats.hosted), (1, 1, 0));
}

#[test]
fn no_life_is_started_where_the_one_before_has_not_ended() {
    let starting = actor_record(2, ActorState::Starting(runner_id(1)));
    for ends in [false, true] {
        let mut story = with_actor();
        // Others took its runner for lost.
        story.input(shows("a", 4, wanted()));
        story.expect([
            Action::Log(Notice::Superseded(actor("a"))),
            end_routes(1, "a", 1),
            stop(1, "a", 1),
            change("a", 4, &starting),
        ]);
        story.stores("a", 5).expect([]);
        if ends {
            story.says("a", 1, 1, stopped(StopCode::Error)).expect([start(1, "a", 2)]);
        } else {
            story.passes_in_silence_until(Duration::from_secs(30)).expect([start(1, "a", 2)]);
            assert_eq!(story.machine.stats().stop_timeouts, 1);
        }
        // Its time runs from the start on.
        story.passes(Duration::from_micros(29_999_999)).expect([]);
        story.says("a", 2, 0, running()).expect([change("a", 5, &actor_record(2, ActorState::Running(runner_id(1))))]);
    }
}

#[test]
fn one_that_is_announced_while_it_is_over_is_stopped_before_the_next_is_started() {
    let mut story = away();
    story.passes(LOST).expect([Action::Log(Notice::RunnerLost(runner_id(1)))]);
    story.input(shows("a", 4, actor_record(2, ActorState::Wanted))).expect([]);
    story.input(greeted(2, 1)).expect([]);
    story.says_on(2, vec![event("a", 1, 0, running())]).expect([]);
    story.input(Event::Answered { connection: 2 });
    story.expect([stop(2, "a", 1), change("a", 4, &actor_record(3, ActorState::Starting(runner_id(1))))]);
    story.stores("a", 5).expect([]);
    story.says_on(2, vec![event("a", 1, 1, stopped(StopCode::Error))]).expect([start(2, "a", 3)]);
}

#[test]
fn a_runner_that_comes_with_another_id_has_nothing_of_what_it_had() {
    let mut story = away();
    let greeting = underpass_core::supervisor::Greeted {
        connection: 2,
        id: runner_id(5),
        key: underpass_tests::wire::runner_key("r1"),
        slots: 2,
        hibernates: false,
        revision: underpass_core::directory::Revision(1),
    };
    story.input(Event::Greeted(greeting)).expect([]);
    story.says_on(2, vec![event("a", 1, 0, running())]).expect([]);
    // The life that it announces is another's.
    story.input(Event::Answered { connection: 2 }).expect([stop(2, "a", 1)]);
    story.passes_in_silence_until(LOST);
    let claim = change("a", 3, &actor_record(2, ActorState::Starting(runner_id(5))));
    story.expect([Action::Log(Notice::RunnerLost(runner_id(1))), claim]);
}

#[test]
fn an_actor_that_has_run_for_long_since_its_runner_came_back_crashes_for_the_first_time() {
    let mut story = supervisor_with(Config::default());
    let ran = ActorRecord { crashes: 5, ..actor_record(1, ActorState::Running(runner_id(1))) };
    story.input(shows("a", 3, ran)).expect([]);
    story.input(greeted(1, 1)).expect([]);
    story.says_on(1, vec![event("a", 1, 0, running())]).expect([]);
    story.input(Event::Answered { connection: 1 }).expect([]);
    story.passes(Duration::from_secs(3_600)).expect([]);
    story.says_on(1, vec![event("a", 1, 1, stopped(StopCode::Error))]);
    story.actions();
    story.routes_end("a", 1);
    story.expect([change("a", 3, &ActorRecord { crashes: 1, ..actor_record(1, ActorState::Wanted) })]);
}
