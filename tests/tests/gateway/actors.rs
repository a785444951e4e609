//! Actors with state: where they run, how they are started, and who waits for them.

use std::time::Duration;

use underpass_core::directory::{
    ActorChange, ActorRecord, ActorSeen, ActorState, ChangeOutcome, Revision, RunnerRecord, RunnerState, Versioned,
};
use underpass_core::gateway::{Action, Config, Event, Open};
use underpass_core::http::Body;
use underpass_core::protocol::tunnel::to_server;
use underpass_core::{FailureCode, Gateway, Machine};
use underpass_tests::given::actors::{
    answer, asks_for, changed, conflict, gateway_of_actors, get, get_to, given, now_called, runner, running, says,
    shows, shows_runner, stored, takes_back, wants, wants_first,
};
use underpass_tests::given::gateway::{Asked, config, finds_nobody_ready, lonely_gateway, zeros};
use underpass_tests::given::supervisor::{actor, runner_id};
use underpass_tests::story::Story;
use underpass_tests::wire::{abilities, gone, open, open_websocket, pool, record, response_start, seen, status};

const ACTOR_START: Duration = Duration::from_secs(30);
const TRY_AGAIN: Duration = Duration::from_millis(250);

fn almost(wait: Duration) -> Duration {
    wait - Duration::from_micros(1)
}

/// A request that waits for an actor that was set wanted, at revision 1.
fn waits(story: &mut Story<Gateway>, wanted: Open) -> Asked {
    let asked = story.opens(wanted);
    let counted = (story.machine.stats().asking, story.machine.stats().waiting);
    assert_eq!(counted, (1, 1));
    story.actions();
    story.input(stored(1)).expect([]);
    asked
}

#[test]
fn a_request_for_an_actor_that_runs_goes_to_its_runner() {
    let mut story = given();
    for (revision, number) in [(1, 2), (2, 1), (3, 2)] {
        story.input(shows(revision, running(number))).expect([]);
        let asked = story.opens(get());
        story.expect([get_to(number, asked)]);
        answer(&mut story, asked);
    }
    story.ends();
}

#[test]
fn an_actor_that_nothing_is_known_of_is_wanted_and_its_requests_go_when_it_runs_in_their_order() {
    let mut story = given();
    story.input(Event::WallClock { unix_ms: 1_000 }).expect([]);
    let first = story.opens(get());
    story.expect([wants_first(1_000)]);
    // One change is enough for all.
    let second = story.opens(get());
    story.expect([]);
    story.input(stored(1)).expect([]);
    let third = story.opens(get());
    story.expect([]);
    story.input(shows(1, ActorState::Wanted)).expect([]);
    story.input(shows(2, ActorState::Starting(runner_id(2)))).expect([]);
    assert_eq!((story.machine.stats().waiting, story.machine.stats().actors_wanted), (3, 1));
    story.input(shows(3, running(2))).expect([get_to(2, first), get_to(2, second), get_to(2, third)]);
    for asked in [first, second, third] {
        answer(&mut story, asked);
    }
    assert_eq!(story.machine.stats().sent_again, 0);
    story.ends();
}

#[test]
fn who_asks_for_a_first_record_hears_which_there_is() {
    let mut story = given();
    let asked = story.opens(get());
    story.expect([wants_first(0)]);
    story.input(conflict(Some(says(7, running(2))))).expect([get_to(2, asked)]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn an_actor_that_turns_out_to_sleep_is_wanted_as_it_is() {
    let mut story = given();
    let asked = story.opens(get());
    story.expect([wants_first(0)]);
    story.input(conflict(Some(says(7, ActorState::Sleeping)))).expect([wants(7)]);
    // Somebody else was faster, and then its record was removed.
    story.input(conflict(Some(says(8, ActorState::Sleeping)))).expect([wants(8)]);
    story.input(conflict(None)).expect([wants_first(0)]);
    story.input(conflict(Some(says(9, ActorState::Starting(runner_id(1)))))).expect([]);
    story.input(shows(10, running(1))).expect([get_to(1, asked)]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn an_actor_that_stops_ends_what_it_has_and_is_wanted_when_it_sleeps() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let before = story.opens(get());
    story.expect([get_to(1, before)]);
    story.input(shows(2, ActorState::Stopping(runner_id(1)))).expect([]);
    let asked = story.opens(get());
    story.expect([wants_first(0)]);
    story.input(conflict(Some(says(2, ActorState::Stopping(runner_id(1)))))).expect([]);
    answer(&mut story, before);
    story.input(shows(3, ActorState::Sleeping)).expect([wants(3)]);
    story.input(stored(4)).expect([]);
    // It falls asleep again before anything could be sent.
    story.input(shows(6, ActorState::Sleeping)).expect([wants(6)]);
    story.input(stored(7)).expect([]);
    story.input(shows(8, running(2))).expect([get_to(2, asked)]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn what_became_of_an_actor_may_be_seen_before_the_outcome_of_its_change() {
    let mut story = given();
    let first = story.opens(get());
    story.expect([wants_first(0)]);
    story.input(shows(1, ActorState::Wanted)).expect([]);
    story.input(shows(3, running(1))).expect([get_to(1, first)]);
    let second = story.opens(get());
    story.expect([get_to(1, second)]);
    story.input(stored(1)).expect([]);
    answer(&mut story, first);
    answer(&mut story, second);
    // And it may have fallen asleep already.
    story.input(shows(4, ActorState::Sleeping)).expect([]);
    let third = story.opens(get());
    story.expect([wants_first(0)]);
    story.input(conflict(Some(says(4, ActorState::Sleeping)))).expect([wants(4)]);
    story.input(shows(8, ActorState::Sleeping)).expect([]);
    story.input(stored(5)).expect([wants(8)]);
    story.input(stored(9)).expect([]);
    story.input(shows(10, running(2))).expect([get_to(2, third)]);
    answer(&mut story, third);
    story.ends();
}

#[test]
fn an_older_record_says_nothing() {
    let mut story = given();
    story.input(shows(3, running(2))).expect([]);
    story.input(shows(2, running(1))).expect([]);
    let asked = story.opens(get());
    story.expect([get_to(2, asked)]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn a_directory_that_is_away_is_asked_again_at_intervals() {
    let mut story = given();
    let asked = story.opens(get());
    story.expect([wants_first(0)]);
    story.input(changed(ChangeOutcome::Unavailable)).expect([]);
    story.passes_in_silence_until(TRY_AGAIN).expect([wants_first(250)]);
    story.input(changed(ChangeOutcome::Unavailable)).expect([]);
    story.passes_in_silence_until(TRY_AGAIN).expect([wants_first(500)]);
    story.input(stored(1)).expect([]);
    story.passes(4 * TRY_AGAIN).expect([]);
    story.input(shows(2, running(1))).expect([get_to(1, asked)]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn a_request_waits_until_its_actor_runs_and_no_longer_than_it_may() {
    for wanted in
        [get(), open("POST", "/", Body::Whole(zeros(5))), open("POST", "/", Body::Stream), open_websocket("/")]
    {
        let mut story = given();
        let asked = waits(&mut story, wanted);
        story.input(shows(2, ActorState::Starting(runner_id(1)))).expect([]);
        story.passes(almost(ACTOR_START)).expect([]);
        story.passes(Duration::from_micros(1)).expect_failed(asked, FailureCode::ActorStartTimeout, []);
        assert_eq!(story.machine.stats().timeouts.actor_start, 1);
        story.input(shows(3, running(1))).expect([]);
        story.ends();
    }
}

#[test]
fn an_actor_that_runs_at_the_last_instant_gets_its_request() {
    let mut story = given();
    let asked = waits(&mut story, get());
    story.passes(almost(ACTOR_START)).expect([]);
    story.input(shows(2, running(1))).expect([get_to(1, asked)]);
    // From here on its answer is awaited.
    story.expect_timeout(Some(story.now() + Duration::from_secs(300)));
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn a_websocket_has_its_time_to_be_taken_from_when_it_is_sent() {
    let mut story = given();
    let asked = waits(&mut story, open_websocket("/"));
    story.passes(Duration::from_secs(29)).expect([]);
    story.input(shows(2, running(1)));
    assert_eq!(story.actions().len(), 1);
    story.passes(almost(Duration::from_secs(15))).expect([]);
    let taken = to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false });
    story.hears(asked, 0, taken).expect([Action::WebSocketOpened { key: asked.key }]);
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}

#[test]
fn nothing_is_sent_for_an_actor_whose_runner_is_away_or_not_ready() {
    let away = RunnerRecord { connection: None, ..runner(1, RunnerState::Ready) };
    for not_ready in
        [away, runner(1, RunnerState::Full), runner(1, RunnerState::Draining), runner(1, RunnerState::Moving)]
    {
        let mut story = given();
        story.input(shows(1, running(1))).expect([]);
        story.input(shows_runner(1, not_ready)).expect([]);
        // Its record says that it runs: there is nothing to be asked for.
        let asked = story.opens(get());
        story.expect([]);
        story.passes(Duration::from_secs(20)).expect([]);
        story.input(shows_runner(1, runner(1, RunnerState::Ready))).expect([get_to(1, asked)]);
        answer(&mut story, asked);
        story.ends();
    }
}

#[test]
fn a_runner_of_which_nothing_is_heard_gets_nothing_for_its_actors() {
    let mut story = gateway_of_actors(Config { runner_unseen: Duration::from_secs(20), ..config() });
    story.input(shows(1, running(1))).expect([]);
    story.passes(Duration::from_secs(20)).expect([]);
    let asked = story.opens(get());
    story.expect([]);
    story.input(shows_runner(1, runner(1, RunnerState::Ready))).expect([get_to(1, asked)]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn a_pool_without_a_runner_whose_actors_are_known_has_its_requests_wait() {
    let mut story = lonely_gateway(config());
    assert_eq!(story.refuses(get()).code, FailureCode::NoRunner);
    // Of another actor, even.
    let key = actor("somebody");
    story.input(Event::Actors(vec![ActorSeen { key, record: Some(says(1, ActorState::Sleeping)) }])).expect([]);
    let asked = waits(&mut story, get());
    story.input(shows(2, running(1))).expect([]);
    story.input(shows_runner(1, runner(1, RunnerState::Ready))).expect([get_to(1, asked)]);
    answer(&mut story, asked);
    // Its runners say what a pool is, as long as there are any.
    story.input(Event::Directory(gone("r1"))).expect([]);
    story.input(Event::Directory(seen("s", record(3, abilities(1 << 20), RunnerState::Full)))).expect([]);
    finds_nobody_ready(&mut story);
    story.ends();
}

#[test]
fn a_directory_that_tells_of_no_actors_any_more_knows_of_no_pool() {
    let mut story = lonely_gateway(config());
    story.input(shows(1, ActorState::Sleeping)).expect([]);
    story.input(Event::Actors(Vec::new())).expect([]);
    assert_eq!(story.refuses(get()).code, FailureCode::NoRunner);
    story.ends();
}

#[test]
fn a_watch_that_began_anew_says_which_actors_there_are() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    story.input(Event::Directory(gone("r1"))).expect([]);
    let asked = story.opens(get());
    story.expect([]);
    // It was removed in between.
    story.input(Event::Actors(Vec::new())).expect([wants_first(0)]);
    story.input(stored(5)).expect([]);
    let there = ActorSeen { key: actor("default"), record: Some(says(6, running(2))) };
    story.input(Event::Actors(vec![there])).expect([get_to(2, asked)]);
    answer(&mut story, asked);
    story.input(Event::Actors(Vec::new())).expect([]);
    assert_eq!(story.machine.stats().actors, 0);
    story.ends();
}

#[test]
fn records_are_kept_only_of_actors_that_run_or_are_waited_for() {
    let mut story = given();
    let states = [
        (1, ActorState::Wanted, 0),
        (2, ActorState::Starting(runner_id(1)), 0),
        (3, running(1), 1),
        (4, ActorState::Stopping(runner_id(1)), 0),
        (5, ActorState::Sleeping, 0),
    ];
    for (revision, state, kept) in states {
        story.input(shows(revision, state)).expect([]);
        assert_eq!(story.machine.stats().actors, kept, "{state:?}");
    }
    story.input(shows(6, running(1))).expect([]);
    story.input(Event::Actor(ActorSeen { key: actor("default"), record: None })).expect([]);
    assert_eq!(story.machine.stats().actors, 0);
    // Those that are waited for.
    let asked = story.opens(get());
    story.expect([wants_first(0)]);
    assert_eq!(story.machine.stats().actors, 1);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    assert_eq!((story.machine.stats().actors, story.machine.stats().asking), (1, 1));
    story.input(stored(7)).expect([takes_back(7, None)]);
    story.input(stored(8)).expect([]);
    assert_eq!((story.machine.stats().actors, story.machine.stats().asking), (0, 0));
    // An outcome that nobody waits for any more.
    story.input(stored(9)).expect([]);
    story.ends();
}

#[test]
fn of_so_many_running_actors_records_are_kept_and_for_others_the_directory_is_asked() {
    let mut story = gateway_of_actors(Config { max_actors: 0, ..config() });
    for revision in 1..4 {
        story.input(shows(revision, running(1))).expect([]);
        assert_eq!(story.machine.stats().actors, 0);
        let asked = story.opens(get());
        story.expect([wants_first(0)]);
        story.input(conflict(Some(says(revision, running(1))))).expect([get_to(1, asked)]);
        assert_eq!(story.machine.stats().actors, 0);
        answer(&mut story, asked);
    }
    story.ends();
}

#[test]
fn only_so_many_changes_are_under_way() {
    let mut story = gateway_of_actors(Config { max_waiting: 1, ..config() });
    let first = story.opens(get());
    story.expect([wants_first(0)]);
    assert_eq!(story.refuses(get()).code, FailureCode::Overloaded);
    story.input(Event::ClientGone { key: first.key }).expect([]);
    let mut other = get();
    other.target.actor_id = "other".into();
    let other = story.opens(other);
    story.expect([]);
    story.input(stored(1)).expect([takes_back(1, None)]);
    story.input(stored(2)).expect([]);
    story.passes_in_silence_until(TRY_AGAIN);
    let record = ActorRecord { created_at: 250, generation: 0, crashes: 0, alarm: None, state: ActorState::Wanted };
    story.expect([asks_for(actor("other"), None, record)]);
    story.input(Event::ClientGone { key: other.key }).expect([]);
    let outcome = ChangeOutcome::Stored(Revision(3));
    story.input(Event::ActorChanged { actor: actor("other"), outcome });
    let change = ActorChange { key: actor("other"), expected: Some(Revision(3)), record: None };
    story.expect([Action::Actor(change)]);
    let outcome = ChangeOutcome::Stored(Revision(4));
    story.input(Event::ActorChanged { actor: actor("other"), outcome }).expect([]).ends();
}

#[test]
fn an_actor_that_nobody_starts_is_no_longer_wanted_when_its_last_request_has_gone() {
    // One that had no record, and one that slept.
    for before in [None, Some(says(1, ActorState::Sleeping))] {
        let mut story = given();
        let first = story.opens(get());
        story.expect([wants_first(0)]);
        let second = story.opens(get());
        if let Some(slept) = &before {
            story.input(conflict(before.clone())).expect([wants(1)]);
            assert_eq!(slept.revision, Revision(1));
        }
        story.input(stored(2)).expect([]);
        story.input(Event::ClientGone { key: first.key }).expect([]);
        let before = before.map(|before| before.record);
        story.input(Event::ClientGone { key: second.key }).expect([takes_back(2, before.clone())]);
        // The directory shows it, too.
        let record = before.map(|record| Versioned { revision: Revision(3), record });
        story.input(Event::Actor(ActorSeen { key: actor("default"), record })).expect([]);
        story.input(stored(3)).expect([]);
        assert_eq!((story.machine.stats().actors_wanted, story.machine.stats().actors_unwanted), (1, 1));
        story.ends();
    }
}

#[test]
fn an_actor_that_is_needed_again_while_that_is_taken_back_is_wanted_again() {
    let mut story = given();
    let gone = waits(&mut story, get());
    story.input(Event::ClientGone { key: gone.key }).expect([takes_back(1, None)]);
    let asked = story.opens(get());
    story.expect([]);
    story.input(stored(2)).expect([wants_first(0)]);
    story.input(stored(3)).expect([]);
    story.input(shows(4, running(1))).expect([get_to(1, asked)]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn what_somebody_has_answered_is_not_taken_back() {
    // A relay has chosen a runner; another gateway has taken it back, and a third has set it wanted anew.
    for state in [ActorState::Starting(runner_id(1)), ActorState::Sleeping, ActorState::Wanted] {
        let mut story = given();
        let gone = waits(&mut story, get());
        story.input(shows(2, state));
        story.actions();
        story.input(conflict(Some(says(2, state))));
        story.actions();
        story.input(Event::ClientGone { key: gone.key });
        assert!(!story.actions().contains(&takes_back(1, None)), "{state:?}");
    }
    // It had been, when that was to be taken back.
    let mut story = given();
    let gone = waits(&mut story, get());
    story.input(Event::ClientGone { key: gone.key }).expect([takes_back(1, None)]);
    story.input(conflict(Some(says(2, ActorState::Starting(runner_id(1)))))).expect([]).ends();
    // Nobody knows whether it was.
    let mut story = given();
    let gone = waits(&mut story, get());
    story.input(Event::ClientGone { key: gone.key }).expect([takes_back(1, None)]);
    story.input(changed(ChangeOutcome::Unavailable)).expect([]).ends();
}

#[test]
fn the_runner_of_an_actor_has_only_so_many_requests_open() {
    let mut story = gateway_of_actors(Config { max_requests_per_runner: 1, ..config() });
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(get());
    story.expect([get_to(1, asked)]);
    assert_eq!(story.refuses(get()).code, FailureCode::Overloaded);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn those_that_wait_go_on_waiting_when_the_gateway_drains() {
    let mut story = given();
    let asked = waits(&mut story, get());
    story.input(Event::Drain).expect([]);
    story.input(shows(2, running(1))).expect([get_to(1, asked)]);
    let asked = now_called(&story, asked);
    story.hears(asked, 0, response_start(200, None, false));
    let answer = Action::ResponseStart { key: asked.key, head: status(200), body: Body::None };
    story.expect([answer, Action::Drained]).ends();
}

#[test]
fn runners_with_actors_count_as_ready() {
    let mut story = given();
    assert_eq!((story.machine.ready_runners(&pool()), story.machine.stats().runners), (2, 2));
    story.input(shows_runner(1, runner(1, RunnerState::Draining))).expect([]);
    assert_eq!((story.machine.ready_runners(&pool()), story.machine.stats().runners), (1, 1));
    story.ends();
}
