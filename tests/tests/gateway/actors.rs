//! Actors with state: where they run, how they are started, and who waits for them.

use std::time::Duration;

use underpass_core::bus::PublishError;
use underpass_core::directory::{
    Abilities, ActorChange, ActorKey, ActorRecord, ActorSeen, ActorState, ChangeOutcome, Revision, RunnerRecord,
    RunnerState, Versioned,
};
use underpass_core::gateway::{Action, Config, Event, Open};
use underpass_core::http::{Body, Close};
use underpass_core::protocol::ToGateway;
use underpass_core::protocol::to_gateway::{self as control, RefusedReason};
use underpass_core::protocol::tunnel::to_server;
use underpass_core::{FailureCode, Gateway, Machine, Time};
use underpass_tests::given::gateway::{
    Asked, aborts, chunk, config, give_back, lonely_gateway, published_abilities, publishes_to, request_start_with,
    small_config, zeros,
};
use underpass_tests::given::supervisor::{actor, runner_id};
use underpass_tests::story::Story;
use underpass_tests::wire::{
    GATEWAY, abilities, connection, gone, open, open_websocket, pool, record, response_start, seen, status,
};

const ACTOR_START: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(250);

fn almost(wait: Duration) -> Duration {
    wait - Duration::from_micros(1)
}

/// The runner of a number, whose actors have state, on the connection of that number.
fn runner(number: u64, state: RunnerState) -> RunnerRecord {
    let abilities = Abilities { stateless: false, ..abilities(1 << 20) };
    RunnerRecord { id: runner_id(number), ..record(number, abilities, state) }
}

/// The directory shows it.
fn shows_runner(number: u64, record: RunnerRecord) -> Event {
    Event::Directory(seen(&format!("r{number}"), record))
}

/// A gateway that sends again, and knows the runners 1 and 2.
fn given_with(config: Config) -> Story<Gateway> {
    let mut story = lonely_gateway(config);
    for number in [1, 2] {
        story.input(shows_runner(number, runner(number, RunnerState::Ready))).expect([]);
    }
    story
}

fn given() -> Story<Gateway> {
    given_with(Config { max_tries: 3, ..config() })
}

/// What the directory says of the actor that all requests are for.
fn says(revision: u64, state: ActorState) -> Versioned<ActorRecord> {
    let record = ActorRecord { created_at: 5, generation: 3, crashes: 2, alarm: Some(9), state };
    Versioned { revision: Revision(revision), record }
}

/// The directory shows that.
fn shows(revision: u64, state: ActorState) -> Event {
    Event::Actor(ActorSeen { key: actor("default"), record: Some(says(revision, state)) })
}

fn running(number: u64) -> ActorState {
    ActorState::Running(runner_id(number))
}

fn changed(outcome: ChangeOutcome<ActorRecord>) -> Event {
    Event::ActorChanged { actor: actor("default"), outcome }
}

fn stored(revision: u64) -> Event {
    changed(ChangeOutcome::Stored(Revision(revision)))
}

fn conflict(record: Option<Versioned<ActorRecord>>) -> Event {
    changed(ChangeOutcome::Conflict(record))
}

fn asks_for(key: ActorKey, expected: Option<u64>, record: ActorRecord) -> Action {
    Action::Actor(ActorChange { key, expected: expected.map(Revision), record: Some(record) })
}

/// The actor is wanted, in the first record that it has.
fn wants_first(created_at: i64) -> Action {
    let record = ActorRecord { created_at, generation: 0, crashes: 0, alarm: None, state: ActorState::Wanted };
    asks_for(actor("default"), None, record)
}

/// The actor, which sleeps, is wanted.
fn wants(revision: u64) -> Action {
    asks_for(actor("default"), Some(revision), says(revision, ActorState::Wanted).record)
}

fn get() -> Open {
    open("GET", "/", Body::None)
}

/// What a request is called now.
fn now_called(story: &Story<Gateway>, asked: Asked) -> Asked {
    let id = story.machine.request_name(asked.key).expect("the request is open").request_id;
    Asked { id, ..asked }
}

/// A GET goes to the runner of a number.
fn get_to(number: u64, asked: Asked) -> Action {
    publishes_to(number, asked, 0, request_start_with("GET", None, false))
}

#[track_caller]
fn answer(story: &mut Story<Gateway>, asked: Asked) {
    let asked = now_called(story, asked);
    story.hears(asked, 0, response_start(200, None, false));
    story.expect([Action::ResponseStart { key: asked.key, head: status(200), body: Body::None }]);
}

fn refused(asked: Asked, reason: RefusedReason) -> Event {
    let refused = control::Refused { gateway_id: GATEWAY, request_id: asked.id, reason };
    Event::Received { frame: ToGateway::Refused(refused).encode_framed() }
}

fn ended(number: u64) -> Event {
    Event::Received { frame: ToGateway::ConnectionEnded(connection(number).into()).encode_framed() }
}

/// A request that waits for an actor that was set wanted, at revision 1.
fn waits(story: &mut Story<Gateway>, wanted: Open) -> Asked {
    let asked = story.opens(wanted);
    let paused = (story.machine.stats().asking, story.machine.stats().waiting);
    assert_eq!(paused, (1, 1));
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

/// The actor goes to sleep.
fn hibernate() -> to_server::Kind {
    to_server::Kind::WebSocketClose(to_server::WebSocketClose { code: None, reason: None, hibernate: true })
}

#[test]
fn a_websocket_whose_actor_slept_before_it_took_it_goes_to_its_next_life() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open_websocket("/"));
    let first = story.actions();
    story.input(shows(2, ActorState::Stopping(runner_id(1)))).expect([]);
    story.hears(asked, 0, hibernate()).expect([wants_first(0)]);
    story.input(conflict(Some(says(3, ActorState::Sleeping)))).expect([wants(3)]);
    story.input(stored(4)).expect([]);
    story.input(shows(5, running(1)));
    let second = now_called(&story, asked);
    assert_eq!((story.actions().len(), first.len()), (1, 1));
    let taken = to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false });
    story.hears(second, 0, taken).expect([Action::WebSocketOpened { key: asked.key }]);
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}

#[test]
fn an_open_websocket_whose_actor_goes_to_sleep_is_sent_away() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens_websocket();
    let close = Close { code: Some(1001), reason: None };
    story.hears(asked, 1, hibernate()).expect([Action::WebSocketClose { key: asked.key, close }]).ends();
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
    let mut story = given_with(Config { runner_unseen: Duration::from_secs(20), ..config() });
    story.input(shows(1, running(1))).expect([]);
    story.passes(Duration::from_secs(20)).expect([]);
    let asked = story.opens(get());
    story.expect([]);
    story.input(shows_runner(1, runner(1, RunnerState::Ready))).expect([get_to(1, asked)]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn what_the_relay_of_an_actor_does_not_take_waits_until_it_does() {
    for reason in [RefusedReason::Draining, RefusedReason::ConnectionEnded] {
        let mut story = given();
        story.input(shows(1, running(1))).expect([]);
        let first = story.opens(open("POST", "/", Body::Whole(zeros(5))));
        let sent = |asked| publishes_to(1, asked, 0, request_start_with("POST", Some(zeros(5)), false));
        story.expect([sent(first)]);
        story.input(refused(first, reason)).expect([]);
        assert_eq!(story.machine.stats().waiting, 1);
        if reason == RefusedReason::ConnectionEnded {
            // What the directory says of that connection now counts again.
            story.input(shows_runner(1, runner(1, RunnerState::Full))).expect([]);
            story.input(shows_runner(1, runner(1, RunnerState::Ready)));
        } else {
            story.passes_in_silence_until(TRY_AGAIN);
        }
        let second = now_called(&story, first);
        assert_ne!(first.id, second.id);
        story.expect([sent(second)]);
        answer(&mut story, second);
        assert_eq!(story.machine.stats().sent_again, 1);
        story.ends();
    }
}

#[test]
fn what_is_not_taken_waits_as_often_as_need_be_but_no_longer_than_for_a_start() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let mut asked = story.opens(open("POST", "/", Body::None));
    let mut openings = 0;
    while story.machine.stats().failed == 0 {
        story.actions();
        openings += 1;
        asked = now_called(&story, asked);
        story.input(refused(asked, RefusedReason::Draining));
        if story.machine.stats().failed == 0 {
            story.passes_in_silence_until(TRY_AGAIN);
        }
    }
    story.expect_failed(asked, FailureCode::ActorStartTimeout, []);
    assert_eq!((openings, story.now()), (121, Time::ZERO + ACTOR_START));
    story.ends();
}

#[test]
fn what_is_refused_for_lack_of_room_fails_after_the_grace() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(get());
    story.expect([get_to(1, asked)]);
    story.input(refused(asked, RefusedReason::Full)).expect([]);
    story.passes_in_silence_until(GRACE).expect_failed(asked, FailureCode::Overloaded, []).ends();
}

#[test]
fn an_opening_to_a_connection_that_nobody_holds_waits_for_the_actor() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open("POST", "/", Body::None));
    let mut sent = story.actions();
    story.input(give_back(sent.remove(0), PublishError::NoResponders)).expect([]);
    story.passes(2 * GRACE).expect([]);
    story.input(shows(2, running(2)));
    let second = now_called(&story, asked);
    story.expect([publishes_to(2, second, 0, request_start_with("POST", None, false))]);
    answer(&mut story, second);
    story.ends();
}

#[test]
fn a_streamed_body_that_was_not_taken_fails() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.input(refused(asked, RefusedReason::Draining)).expect_failed(asked, FailureCode::Draining, []).ends();
}

#[test]
fn what_a_lost_runner_may_have_goes_again_if_it_does_no_harm_and_the_actor_runs_within_the_grace() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let get = story.opens(get());
    story.actions();
    let post = story.opens(open("POST", "/", Body::None));
    story.actions();
    story.input(ended(1)).expect_failed(post, FailureCode::RunnerLost, []);
    story.input(shows(2, ActorState::Sleeping)).expect([wants(2)]);
    story.input(stored(3)).expect([]);
    story.input(shows(4, ActorState::Starting(runner_id(2)))).expect([]);
    story.passes(almost(GRACE)).expect([]);
    story.input(shows(5, running(2)));
    let second = now_called(&story, get);
    story.expect([get_to(2, second)]);
    answer(&mut story, second);
    story.ends();
}

#[test]
fn an_actor_that_does_not_run_within_the_grace_leaves_the_first_failure() {
    let mut story = given();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(get());
    story.expect([get_to(1, asked)]);
    story.input(ended(1)).expect([]);
    // Where it was lost it is not sent again.
    story.input(shows_runner(1, runner(1, RunnerState::Ready))).expect([]);
    story.passes_in_silence_until(GRACE).expect_failed(asked, FailureCode::RunnerLost, []);
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
    assert_eq!(story.refuses(get()).code, FailureCode::NoRunner);
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
    story.input(stored(7)).expect([]);
    assert_eq!((story.machine.stats().actors, story.machine.stats().asking), (0, 0));
    // An outcome that nobody waits for any more.
    story.input(stored(8)).expect([]);
    story.ends();
}

#[test]
fn of_so_many_running_actors_records_are_kept_and_for_others_the_directory_is_asked() {
    let mut story = given_with(Config { max_actors: 0, ..config() });
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
    let mut story = given_with(Config { max_waiting: 1, ..config() });
    let first = story.opens(get());
    story.expect([wants_first(0)]);
    assert_eq!(story.refuses(get()).code, FailureCode::Overloaded);
    story.input(Event::ClientGone { key: first.key }).expect([]);
    let mut other = get();
    other.target.actor_id = "other".into();
    let other = story.opens(other);
    story.expect([]);
    story.input(stored(1)).expect([]);
    story.passes_in_silence_until(TRY_AGAIN);
    let record = ActorRecord { created_at: 250, generation: 0, crashes: 0, alarm: None, state: ActorState::Wanted };
    story.expect([asks_for(actor("other"), None, record)]);
    story.input(Event::ClientGone { key: other.key }).expect([]);
    let outcome = ChangeOutcome::Stored(Revision(2));
    story.input(Event::ActorChanged { actor: actor("other"), outcome }).expect([]).ends();
}

#[test]
fn the_runner_of_an_actor_has_only_so_many_requests_open() {
    let mut story = given_with(Config { max_requests_per_runner: 1, ..config() });
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

/// A runner of the published protocol, with small limits around it, and its actor runs.
fn published() -> Story<Gateway> {
    let mut story = lonely_gateway(Config { max_tries: 3, ..small_config() });
    let abilities = Abilities { stateless: false, ..published_abilities() };
    let record = RunnerRecord { id: runner_id(1), ..record(1, abilities, RunnerState::Ready) };
    story.input(shows_runner(1, record)).expect([]);
    story
}

#[test]
fn a_published_runner_gets_whole_bodies_once_its_actor_runs() {
    let mut story = published();
    let asked = story.opens(open("POST", "/", Body::Stream));
    let key = asked.key;
    story.expect([Action::PauseSource { key }, wants_first(0)]);
    story.input(stored(1)).expect([]);
    // What was read already comes in.
    story.input(chunk(key, zeros(30), false)).expect([]);
    story.input(shows(2, running(1))).expect([Action::ResumeSource { key }]);
    story.input(chunk(key, zeros(70), false)).expect([]);
    story.input(chunk(key, zeros(0), true));
    let asked = now_called(&story, asked);
    story.expect([publishes_to(1, asked, 0, request_start_with("POST", Some(zeros(100)), false))]);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn a_published_runner_gets_no_body_over_the_limit() {
    let mut story = published();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.input(chunk(asked.key, zeros(100), false)).expect([]);
    story.input(chunk(asked.key, zeros(1), false)).expect_failed(asked, FailureCode::BodyTooLarge, []).ends();
}

#[test]
fn an_actor_that_falls_asleep_while_a_body_is_collected_is_wanted_for_it() {
    let mut story = published();
    story.input(shows(1, running(1))).expect([]);
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.input(chunk(asked.key, zeros(5), false)).expect([]);
    story.input(shows(2, ActorState::Sleeping)).expect([]);
    story.input(chunk(asked.key, zeros(5), true)).expect([wants_first(0)]);
    story.input(conflict(Some(says(2, ActorState::Sleeping)))).expect([wants(2)]);
    story.input(stored(3)).expect([]);
    story.input(shows(4, running(1)));
    let asked = now_called(&story, asked);
    story.expect([publishes_to(1, asked, 0, request_start_with("POST", Some(zeros(10)), false))]);
    story.input(Event::ClientGone { key: asked.key }).expect([aborts(asked, 1)]).ends();
}

#[test]
fn runners_with_actors_count_as_ready() {
    let mut story = given();
    assert_eq!((story.machine.ready_runners(&pool()), story.machine.stats().runners), (2, 2));
    story.input(shows_runner(1, runner(1, RunnerState::Draining))).expect([]);
    assert_eq!((story.machine.ready_runners(&pool()), story.machine.stats().runners), (1, 1));
    story.ends();
}
