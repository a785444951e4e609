//! The actors of a runner with state: started, announced, stopped, and announced again.

use std::time::Duration;

use underpass_core::http::{Body, Close};
use underpass_core::protocol::to_client::{Init, ProtocolMetadata};
use underpass_core::protocol::to_server::ActorIntent;
use underpass_core::protocol::tunnel::to_server::Kind as Answer;
use underpass_core::protocol::{Dialect, ToClient, ToServer};
use underpass_core::runner::{Action, ActorLife, Config, Event, StopReason};
use underpass_core::{ApiMisuse, Machine, Runner};
use underpass_tests::given::hosted::{
    alarm, has_stopped, hosting, life, life_of, runs, start_command, starts, stop_command, stops, takes_command,
    takes_events, tells, wishes, with_state,
};
use underpass_tests::given::relay::{start, websocket_open};
use underpass_tests::given::runner::{
    RUNNER_ID, answers, dials, greeting, hangs_up, hangs_up_on, of, ping, ready_with, runner, says, says_on,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{response_start, status};

const LOST: Duration = Duration::from_secs(15);
const FORGET: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(125);
const AWAY: &str = "its runner was away for too long";

/// The connection is lost, and another is dialled and greeted.
fn comes_back(story: &mut Story<Runner>) -> u64 {
    is_away(story);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting());
    story.connection()
}

fn is_away(story: &mut Story<Runner>) {
    story.is_lost().expect([]);
    let next = story.connection() + 1;
    story.passes(FIRST_WAIT).expect([dials(next)]);
}

fn greeting_as(runner_id: &'static str, runner_lost_threshold: i64) -> ToClient {
    let metadata =
        ProtocolMetadata { runner_lost_threshold, actor_stop_threshold: 1, serverless_drain_grace_period: None };
    ToClient::Init(Init { runner_id: runner_id.into(), metadata })
}

fn crashes(story: &mut Story<Runner>, actor: &ActorLife, error: &'static str) {
    story.input(Event::ActorStopped { actor: actor.clone(), error: Some(error.into()) });
}

/// Nothing is hosted; the story ends.
fn ends(mut story: Story<Runner>) {
    if story.machine.stats().ready {
        return story.drains_and_ends();
    }
    let connection = story.connection();
    story.input(Event::Drain).expect([says_on(connection, ToServer::Stopping), hangs_up_on(connection)]);
    story.is_lost().expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn an_actor_starts_runs_and_stops() {
    let mut story = hosting();
    let actor = life(1);
    story.hears(start_command(&actor, &[])).expect([starts(&actor)]);
    assert_eq!(story.machine.stats().actors, 1);
    story.input(Event::ActorRunning { actor: actor.clone() });
    story.expect([tells(1, [runs(&actor)]), takes_command(1, &actor, 0)]);
    story.hears(stop_command(&actor)).expect([stops(&actor), takes_command(1, &actor, 1)]);
    story.is_stopped(&actor).expect([tells(1, [has_stopped(&actor, 1, None)])]);
    let stats = story.machine.stats();
    assert_eq!((stats.actors, stats.actors_started, stats.actors_stopped), (0, 1, 1));
    ends(story);
}

#[test]
fn one_that_ends_unasked_says_how() {
    for error in [None, Some("out of luck")] {
        let mut story = hosting();
        let actor = story.runs_actor(1);
        story.input(Event::ActorStopped { actor: actor.clone(), error: error.map(Into::into) });
        story.expect([tells(1, [has_stopped(&actor, 1, error)])]);
        ends(story);
    }
}

#[test]
fn one_that_does_not_come_to_run_says_only_that() {
    let mut story = hosting();
    let actor = life(1);
    story.hears(start_command(&actor, &[])).expect([starts(&actor)]);
    story.input(Event::ActorAlarm { actor: actor.clone(), at: Some(9) }).expect([]);
    crashes(&mut story, &actor, "no");
    story.expect([tells(1, [has_stopped(&actor, 0, Some("no"))])]);
    ends(story);
}

#[test]
fn what_it_wishes_while_it_starts_is_said_behind_its_start() {
    let mut story = hosting();
    let actor = life(1);
    story.hears(start_command(&actor, &[])).expect([starts(&actor)]);
    story.input(Event::ActorAlarm { actor: actor.clone(), at: Some(9) }).expect([]);
    story.input(Event::ActorSleep { actor: actor.clone() }).expect([]);
    story.input(Event::ActorRunning { actor: actor.clone() });
    let events = [runs(&actor), alarm(&actor, 1, Some(9)), wishes(&actor, 2, ActorIntent::Sleep)];
    story.expect([tells(1, events), takes_command(1, &actor, 0)]);
    story.stops_and_ends(&actor);
}

#[test]
fn its_alarms_and_wishes_are_numbered_events() {
    let mut story = hosting();
    let actor = story.runs_actor(3);
    story.input(Event::ActorAlarm { actor: actor.clone(), at: Some(9) });
    story.expect([tells(1, [alarm(&actor, 1, Some(9))])]);
    story.input(Event::ActorAlarm { actor: actor.clone(), at: None });
    story.expect([tells(1, [alarm(&actor, 2, None)])]);
    story.input(Event::ActorDestroy { actor: actor.clone() });
    story.expect([tells(1, [wishes(&actor, 3, ActorIntent::Stop)])]);
    story.stops_and_ends(&actor);
}

#[test]
fn what_is_said_of_a_life_that_is_over_is_ignored() {
    let mut story = hosting();
    let actor = story.runs_actor(2);
    for said in [
        Event::ActorRunning { actor: life(1) },
        Event::ActorSleep { actor: life(3) },
        Event::ActorAlarm { actor: life_of("nobody", 2), at: None },
        Event::ActorStopped { actor: life(1), error: None },
    ] {
        story.input(said).expect([]);
    }
    story.misuse(Event::ActorRunning { actor: actor.clone() }, ApiMisuse::OutOfTurn("an actor that runs already"));
    story.stops_and_ends(&actor);
}

#[test]
fn a_start_that_is_told_again_changes_nothing() {
    let mut story = hosting();
    let actor = life(1);
    story.hears(start_command(&actor, &[])).expect([starts(&actor)]);
    story.hears(start_command(&actor, &[])).expect([]);
    story.is_running(1);
    story.hears(start_command(&actor, &[])).expect([tells(1, [runs(&actor)]), takes_command(1, &actor, 0)]);
    assert_eq!(story.machine.stats().repeated_commands, 2);
    // One of an older life is stale.
    story.hears(start_command(&life(0), &[])).expect([]);
    assert_eq!(story.machine.stats().stale_commands, 1);
    story.stops_and_ends(&actor);
}

#[test]
fn a_start_of_a_life_that_has_ended_is_told_its_end() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    crashes(&mut story, &actor, "no");
    story.expect([tells(1, [has_stopped(&actor, 1, Some("no"))])]);
    story.hears(start_command(&actor, &[]));
    story.expect([tells(1, [has_stopped(&actor, 1, Some("no"))]), takes_command(1, &actor, 0)]);
    story.hears(start_command(&life(0), &[])).expect([]);
    ends(story);
}

#[test]
fn a_stop_that_is_told_again_stops_once_and_is_told_the_end_again() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    story.hears(stop_command(&actor)).expect([stops(&actor), takes_command(1, &actor, 1)]);
    story.hears(stop_command(&actor)).expect([takes_command(1, &actor, 1)]);
    story.is_stopped(&actor).expect([tells(1, [has_stopped(&actor, 1, None)])]);
    story.hears(stop_command(&actor));
    story.expect([tells(1, [has_stopped(&actor, 1, None)]), takes_command(1, &actor, 1)]);
    ends(story);
}

#[test]
fn a_stop_of_a_life_that_is_not_known_is_told_that_it_has_ended() {
    let mut story = hosting();
    let unknown = |actor: &ActorLife| [tells(1, [has_stopped(actor, i64::MAX, None)]), takes_command(1, actor, 1)];
    story.hears(stop_command(&life(1))).expect(unknown(&life(1)));
    let actor = story.runs_actor(2);
    for other in [life(1), life(3)] {
        story.hears(stop_command(&other)).expect(unknown(&other));
    }
    story.stops_and_ends(&actor);
}

#[test]
fn the_next_life_of_an_actor_waits_for_the_end_of_the_one_before() {
    let mut story = hosting();
    let first = story.runs_actor(1);
    story.hears(start_command(&life(2), &[])).expect([stops(&first)]);
    // An even later one is meant.
    story.hears(start_command(&life(3), &[])).expect([]);
    story.hears(start_command(&life(2), &[])).expect([]);
    story.is_stopped(&first).expect([tells(1, [has_stopped(&first, 1, None)]), starts(&life(3))]);
    story.is_running(3);
    story.stops_and_ends(&life(3));
}

#[test]
fn a_life_that_waits_for_the_one_before_and_is_stopped_never_starts() {
    let mut story = hosting();
    let first = story.runs_actor(1);
    story.hears(start_command(&life(2), &[])).expect([stops(&first)]);
    story.hears(stop_command(&life(2)));
    story.expect([tells(1, [has_stopped(&life(2), i64::MAX, None)]), takes_command(1, &life(2), 1)]);
    story.is_stopped(&first).expect([tells(1, [has_stopped(&first, 1, None)])]);
    ends(story);
}

#[test]
fn a_life_that_follows_one_that_has_ended_makes_it_forgotten() {
    let mut story = hosting();
    let first = story.runs_actor(1);
    story.is_stopped(&first).expect([tells(1, [has_stopped(&first, 1, None)])]);
    story.runs_actor(2);
    assert_eq!(story.machine.stats().ended_actors, 0);
    story.stops_and_ends(&life(2));
}

#[test]
fn more_actors_than_there_is_room_for_crash() {
    let mut story = ready_with(Config { max_actors: 1, ..with_state() }, Dialect::Underpass);
    let actor = story.runs_actor(1);
    let other = life_of("other", 7);
    let why = "the runner has as many actors as it may";
    story.hears(start_command(&other, &[])).expect([tells(1, [has_stopped(&other, 0, Some(why))])]);
    assert_eq!(story.machine.stats().refused_actors, 1);
    story.stops_and_ends(&actor);
}

#[test]
fn a_runner_without_state_takes_no_commands() {
    let mut story = runner();
    story.hears(start_command(&life(1), &[])).expect([]);
    story.hears(stop_command(&life(1))).expect([]);
    story.drains_and_ends();
}

#[test]
fn requests_are_taken_for_actors_that_run_and_for_no_others() {
    let mut story = hosting();
    let refused = |story: &mut Story<Runner>| {
        story.asks(of(1, 0), start(None));
        let actions = story.actions();
        let [Action::Send { frame, .. }] = &actions[..] else { panic!("{actions:?}") };
        let ToServer::TunnelMessage(message) = ToServer::decode(frame, Dialect::Underpass).expect("a frame") else {
            panic!("{frame:?}")
        };
        let Answer::ResponseStart(answer) = message.message_kind else { panic!("{message:?}") };
        assert_eq!(answer.status, 503);
        story.asks(of(1, 0), websocket_open());
        let actions = story.actions();
        assert!(matches!(&actions[..], [Action::Send { .. }]), "{actions:?}");
    };
    refused(&mut story);
    story.hears(start_command(&life(1), &[])).expect([starts(&life(1))]);
    refused(&mut story);
    story.is_running(1);
    let key = story.is_asked(1);
    story.input(Event::ResponseStart { key, head: status(200), body: Body::None });
    story.expect([answers(of(1, 0), response_start(200, None, false))]);
    story.hears(stop_command(&life(1))).expect([stops(&life(1)), takes_command(1, &life(1), 1)]);
    refused(&mut story);
    story.is_stopped(&life(1)).actions();
    refused(&mut story);
    assert_eq!(story.machine.stats().failures.no_runner, 8);
    ends(story);
}

#[test]
fn what_is_open_of_an_actor_that_stops_ends_before_it() {
    for asked in [true, false] {
        let mut story = hosting();
        let actor = story.runs_actor(1);
        let exchange = story.is_asked(1);
        let socket = story.opens_websocket(2);
        let pending = story.is_asked_for_websocket(3);
        let close = || Close::new(1001, "actor.stopped");
        if asked {
            story.hears(stop_command(&actor));
        } else {
            story.is_stopped(&actor);
        }
        story.expect(
            [
                answers(of(1, 0), Answer::ResponseAbort),
                Action::Aborted { key: exchange },
                Action::WebSocketClose { key: socket, close: close() },
                Action::WebSocketClose { key: pending, close: close() },
            ]
            .into_iter()
            .chain(if asked {
                vec![stops(&actor), takes_command(1, &actor, 1)]
            } else {
                vec![tells(1, [has_stopped(&actor, 1, None)])]
            }),
        );
        if asked {
            story.is_stopped(&actor).expect([tells(1, [has_stopped(&actor, 1, None)])]);
        }
        assert_eq!(story.machine.stats().aborted, 3);
        ends(story);
    }
}

#[test]
fn an_actor_that_does_not_stop_in_time_counts_as_crashed() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    story.hears(stop_command(&actor)).actions();
    let stop = Duration::from_secs(1_800);
    for passed in 1..180 {
        let _ = passed;
        story.passes(Duration::from_secs(10)).expect([]);
        story.hears(ping(1)).actions();
    }
    story.passes_in_silence_until(stop - Duration::from_secs(1_790));
    story.expect([tells(1, [has_stopped(&actor, 1, Some("the actor did not stop in time"))])]);
    story.is_stopped(&actor).expect([]);
    assert_eq!(story.machine.stats().timeouts.actor_stop, 1);
    ends(story);
}

#[test]
fn after_its_return_it_announces_what_it_has_and_what_has_ended() {
    let mut story = hosting();
    let [one, two, three] = [life_of("one", 1), life_of("two", 5), life_of("three", 9)];
    for actor in [&one, &two, &three] {
        story.runs_life(actor);
    }
    let starting = life_of("four", 1);
    story.hears(start_command(&starting, &[])).expect([starts(&starting)]);
    story.input(Event::ActorAlarm { actor: one.clone(), at: Some(9) }).actions();
    story.input(Event::ActorAlarm { actor: one.clone(), at: Some(12) }).actions();
    crashes(&mut story, &two, "no");
    story.actions();
    is_away(&mut story);
    // What happens meanwhile is told then.
    story.input(Event::ActorSleep { actor: three.clone() }).expect([]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting());
    let events = [
        runs(&one),
        alarm(&one, 2, Some(12)),
        runs(&three),
        wishes(&three, 1, ActorIntent::Sleep),
        has_stopped(&two, 1, Some("no")),
    ];
    story.expect([tells(2, events)]);
    // The relay tells it again to start what has not started.
    story.hears(start_command(&starting, &[])).expect([]);
    story.input(Event::ActorRunning { actor: starting.clone() });
    story.expect([tells(2, [runs(&starting)]), takes_command(2, &starting, 0)]);
    for actor in [&one, &three, &starting] {
        crashes(&mut story, actor, "over");
        story.actions();
    }
    ends(story);
}

#[test]
fn what_was_acknowledged_is_not_said_again_but_for_the_newest() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    story.hears(takes_events(&actor, 0)).expect([]);
    assert_eq!(comes_back(&mut story), 2);
    story.expect([tells(2, [runs(&actor)])]);
    story.input(Event::ActorAlarm { actor: actor.clone(), at: Some(1) }).actions();
    story.input(Event::ActorSleep { actor: actor.clone() }).actions();
    story.hears(takes_events(&actor, 1)).expect([]);
    // Of another life, or of nobody.
    story.hears(takes_events(&life(2), 9)).expect([]);
    story.hears(takes_events(&life_of("nobody", 2), 9)).expect([]);
    assert_eq!(comes_back(&mut story), 3);
    story.expect([tells(3, [wishes(&actor, 2, ActorIntent::Sleep)])]);
    story.is_told_ready();
    story.stops_and_ends(&actor);
}

#[test]
fn an_end_is_forgotten_when_it_is_acknowledged_or_a_while_after_it_was_told() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    story.is_stopped(&actor).actions();
    story.hears(takes_events(&actor, 0)).expect([]);
    assert_eq!(story.machine.stats().ended_actors, 1);
    story.hears(takes_events(&actor, 1)).expect([]);
    assert_eq!(story.machine.stats().ended_actors, 0);

    let actor = story.runs_actor(2);
    story.is_stopped(&actor).actions();
    let step = FORGET / 6;
    for _ in 0..5 {
        story.passes(step).expect([]);
        story.hears(ping(1)).actions();
    }
    story.passes(step - Duration::from_micros(1)).expect([]);
    assert_eq!(story.machine.stats().ended_actors, 1);
    story.passes(Duration::from_micros(1)).expect([]);
    assert_eq!(story.machine.stats().ended_actors, 0);
    ends(story);
}

#[test]
fn an_end_that_was_told_on_a_connection_that_ended_is_told_on_the_next() {
    let config = Config { forget: Duration::from_millis(50), ..with_state() };
    let mut story = ready_with(config, Dialect::Underpass);
    let actor = story.runs_actor(1);
    story.is_stopped(&actor).actions();
    // Its time is over while nobody is there.
    assert_eq!(comes_back(&mut story), 2);
    story.expect([tells(2, [has_stopped(&actor, 1, None)])]);
    story.passes_in_silence_until(Duration::from_millis(50));
    assert_eq!(story.machine.stats().ended_actors, 0);
    ends(story);
}

#[test]
fn away_for_less_than_the_threshold_its_actors_live_on() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    is_away(&mut story);
    story.is_connected(Dialect::Underpass).actions();
    story.passes(Duration::from_secs(4)).expect([]);
    story.hears(greeting()).expect([tells(2, [runs(&actor)])]);
    story.passes(LOST - Duration::from_micros(1)).expect([]);
    story.hears(ping(1)).actions();
    story.hears(ping(1)).actions();
    story.stops_and_ends(&actor);
}

/// Away until just before, or just at the threshold, while nobody answers.
fn is_away_until(story: &mut Story<Runner>, until: Duration) {
    let begin = story.now();
    story.is_lost();
    while story.now().since(begin) < until {
        story.nothing_left();
        let due = story.machine.poll_timeout().map_or(until, |due| due.since(begin)).min(until);
        story.passes(due - story.now().since(begin));
        let connection = story.connection();
        match &story.actions()[..] {
            [Action::Dial { .. }] => _ = story.input(Event::Disconnected { connection, close: None }),
            [] => {}
            other => panic!("{other:?} at {}", story.now()),
        }
    }
}

#[test]
fn away_for_as_long_as_the_threshold_its_actors_stop() {
    let mut story = hosting();
    let [one, two] = [life_of("one", 1), life_of("two", 1)];
    story.runs_life(&one);
    story.runs_life(&two);
    is_away_until(&mut story, LOST - Duration::from_micros(1));
    story.passes(Duration::from_micros(1)).expect([stops(&one), stops(&two)]);
    assert_eq!(story.machine.stats().timeouts.runner_lost, 1);
    // The end of one is nothing to tell: it counts as over.
    story.is_stopped(&one).expect([]);
    assert_eq!((story.machine.stats().actors, story.machine.stats().ended_actors), (1, 0));
    // It comes back while the other still stops: that one is to be started again.
    let next = story.connection() + 1;
    story.passes(Duration::from_secs(7)).expect([dials(next)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(next, [runs(&two)])]);
    story.is_stopped(&two).expect([tells(next, [has_stopped(&two, 1, Some(AWAY))])]);
    ends(story);
}

#[test]
fn told_to_stop_what_stops_because_it_was_away_it_has_not_crashed() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    is_away_until(&mut story, LOST - Duration::from_micros(1));
    story.passes(Duration::from_micros(1)).expect([stops(&actor)]);
    let next = story.connection() + 1;
    story.passes(Duration::from_secs(7)).expect([dials(next)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(next, [runs(&actor)])]);
    story.hears(stop_command(&actor)).expect([takes_command(next, &actor, 1)]);
    story.is_stopped(&actor).expect([tells(next, [has_stopped(&actor, 1, None)])]);
    ends(story);
}

#[test]
fn the_threshold_is_what_the_last_relay_said() {
    for (threshold, least) in [(0, 0), (-5, 0), (200, 200)] {
        let mut story = hosting();
        let actor = story.runs_actor(1);
        is_away(&mut story);
        story.is_connected(Dialect::Underpass).actions();
        story.hears(greeting_as(RUNNER_ID, threshold)).expect([tells(2, [runs(&actor)])]);
        story.is_lost();
        if least > 0 {
            story.expect([]);
            story.passes(Duration::from_millis(150)).expect([dials(3)]);
            story.passes_in_silence_until(Duration::from_millis(least - 150));
        }
        story.expect([stops(&actor)]);
        story.is_stopped(&actor).expect([]);
        let connection = story.connection();
        story.input(Event::Drain);
        if least > 0 {
            story.expect([hangs_up_on(connection)]);
            story.is_lost();
        }
        story.expect([Action::Stopped(StopReason::Drained)]).ends();
    }
}

#[test]
fn with_another_id_at_its_return_its_actors_stop() {
    let mut story = hosting();
    let [one, two, over] = [life_of("one", 1), life_of("two", 1), life_of("over", 1)];
    for actor in [&one, &two, &over] {
        story.runs_life(actor);
    }
    story.is_stopped(&over).actions();
    is_away(&mut story);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting_as("another", 15_000));
    story.expect([stops(&one), stops(&two), tells(2, [runs(&one), runs(&two)])]);
    assert_eq!((story.machine.stats().renamed, story.machine.stats().ended_actors), (1, 0));
    story.is_stopped(&two).expect([tells(2, [has_stopped(&two, 1, Some(AWAY))])]);
    story.is_stopped(&one).expect([tells(2, [has_stopped(&one, 1, Some(AWAY))])]);
    ends(story);
}

#[test]
fn over_two_connections_its_actors_live_on_and_are_spoken_of_on_the_newer() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    story.hears(ToClient::Draining).expect([dials(2)]);
    story.is_connected(Dialect::Underpass).actions();
    story.input(Event::ActorAlarm { actor: actor.clone(), at: None });
    story.expect([tells(1, [alarm(&actor, 1, None)])]);
    story.hears(greeting()).expect([tells(2, [runs(&actor), alarm(&actor, 1, None)])]);
    story.input(Event::ActorSleep { actor: actor.clone() });
    story.expect([tells(2, [wishes(&actor, 2, ActorIntent::Sleep)])]);
    // A command of the old relay was on its way.
    story.hears_on(1, stop_command(&actor)).expect([stops(&actor), takes_command(2, &actor, 1)]);
    story.is_told_ready();
    // The newer one is lost: what is said is said on what is left, and again on the next.
    story.loses(2).expect([]);
    story.is_stopped(&actor).expect([tells(1, [has_stopped(&actor, 3, None)])]);
    story.passes(FIRST_WAIT).expect([dials(3)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting());
    let all = [alarm(&actor, 1, None), wishes(&actor, 2, ActorIntent::Sleep), has_stopped(&actor, 3, None)];
    story.expect([tells(3, all)]);
    story.is_told_ready();
    story.loses(1).expect([]);
    ends(story);
}

#[test]
fn a_runner_that_drains_goes_when_its_relay_has_stopped_its_actors() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    let key = story.is_asked(1);
    let socket = story.opens_websocket(2);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    // The relay waits for the exchange, and has closed the WebSocket.
    story.input(Event::ResponseStart { key, head: status(200), body: Body::None });
    story.expect([answers(of(1, 0), response_start(200, None, false))]);
    story.passes(Duration::from_secs(5)).expect([]);
    story.hears(stop_command(&actor));
    let close = Close::new(1001, "actor.stopped");
    story.expect([Action::WebSocketClose { key: socket, close }, stops(&actor), takes_command(1, &actor, 1)]);
    story.passes(Duration::from_secs(5)).expect([]);
    story.is_stopped(&actor).expect([tells(1, [has_stopped(&actor, 1, None)]), hangs_up()]);
    story.is_lost().expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn a_runner_that_drains_and_loses_its_relay_stops_its_actors_by_itself() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    story.is_lost().expect([stops(&actor)]);
    story.is_stopped(&actor).expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn at_the_limit_of_its_drain_it_waits_for_no_actor() {
    let config = Config { drain_limit: Some(Duration::from_secs(9)), ..with_state() };
    let mut story = ready_with(config, Dialect::Underpass);
    let actor = story.runs_actor(1);
    let key = story.is_asked(1);
    story.input(Event::Drain).expect([says(ToServer::Stopping)]);
    story.passes_in_silence_until(Duration::from_secs(9));
    story.expect([answers(of(1, 0), Answer::ResponseAbort), Action::Aborted { key }, stops(&actor), hangs_up()]);
    story.is_stopped(&actor).expect([]);
    assert_eq!(story.machine.stats().timeouts.drain_limit, 1);
    story.is_lost().expect([Action::Stopped(StopReason::Drained)]).ends();
}

#[test]
fn a_runner_whose_place_was_taken_stops_its_actors_and_waits_for_them() {
    let mut story = hosting();
    let actor = story.runs_actor(1);
    story.is_closed(1000, "ws.eviction#taken_over").expect([stops(&actor)]);
    story.is_stopped(&actor);
    let evicted = Close::new(1000, "ws.eviction#taken_over");
    story.expect([Action::Stopped(StopReason::Evicted(evicted))]).ends();
}

#[test]
fn many_actors_are_announced_in_messages_of_a_thousand_events() {
    let mut story = hosting();
    for number in 0..1_500_u32 {
        let actor = ActorLife { actor_id: format!("{number:05}").into(), generation: 1 };
        story.hears(start_command(&actor, &[])).actions();
        story.input(Event::ActorRunning { actor }).actions();
    }
    comes_back(&mut story);
    let told = |action: &Action| match action {
        Action::Send { frame, .. } => match ToServer::decode(frame, Dialect::Underpass) {
            Ok(ToServer::Events(events)) => events.len(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(story.actions().iter().map(told).collect::<Vec<_>>(), [1_000, 500]);
    story.input(Event::Drain).actions();
    story.is_lost();
    assert_eq!(story.actions().len(), 1_500);
    for number in 0..1_500_u32 {
        let actor = ActorLife { actor_id: format!("{number:05}").into(), generation: 1 };
        story.is_stopped(&actor);
        let expected = (number == 1_499).then_some(Action::Stopped(StopReason::Drained));
        story.expect(expected);
    }
    story.ends();
}
