//! An actor at a supervisor, and a runner's connection.

use std::time::Duration;

use underpass_core::Supervisor;
use underpass_core::directory::{
    ActorRecord, ActorSeen, ActorState, ChangeOutcome, DirectoryUnavailable, Revision, RunnerState, Versioned,
};
use underpass_core::protocol::to_server::{self, StopCode};
use underpass_core::supervisor::{Config, Event};
use underpass_tests::given::supervisor::{
    NOON, actor, actor_record, alarm, event, greeted, greeted_hibernating, registered, runner_id, running, shows,
    shows_runner, sleeps, stopped, stops, supervisor, supervisor_with, took, with_actor,
};
use underpass_tests::short;
use underpass_tests::snapshot::Table;
use underpass_tests::story::Story;

/// A state, and how the actor `a` comes to be in it. Its generation is 1, the last event was 5, the last revision 10.
type State = (&'static str, fn() -> Story<Supervisor>);

const STATES: [State; 23] = [
    ("not known", supervisor),
    ("asleep, its alarm is set", || shown(ActorRecord { alarm: Some(NOON + 60_000), ..of(ActorState::Sleeping) })),
    ("backing off", || shown(ActorRecord { crashes: 1, ..of(ActorState::Wanted) })),
    ("waiting for a runner", waiting),
    ("elsewhere", || shown(actor_record(1, ActorState::Running(runner_id(2))))),
    ("being claimed", || shown(of(ActorState::Wanted))),
    ("being claimed, the directory is away", claiming_again),
    ("starting, the registry is asked", asking),
    ("starting, the registry is away", || without_registry(asking())),
    ("starting", starting),
    ("starting, its runner is away", || away(starting())),
    ("starting, its runner has not answered", || back(starting())),
    ("running", runs),
    ("running, the registry is asked", going_on),
    ("running, its record is being changed", changing),
    ("running, its runner is away", || away(runs())),
    ("running, its runner has not answered", || back(runs())),
    ("finishing", finishing),
    ("finishing, its runner has not answered", || back(finishing())),
    ("stopping", stopping),
    ("stopping, its runner has not answered", || back(stopping())),
    ("ending", ending),
    ("being released", releasing),
];

fn of(state: ActorState) -> ActorRecord {
    actor_record(1, state)
}

fn shown(record: ActorRecord) -> Story<Supervisor> {
    let mut story = supervisor();
    story.input(shows("a", 10, record)).actions();
    story
}

fn waiting() -> Story<Supervisor> {
    let mut story = supervisor_with(Config::default());
    story.input(greeted(1, 1)).expect([]);
    story.input(shows("a", 10, of(ActorState::Wanted))).expect([]);
    story
}

fn claiming_again() -> Story<Supervisor> {
    let mut story = shown(of(ActorState::Wanted));
    story.outcome("a", ChangeOutcome::Unavailable).actions();
    story
}

/// Its runner's WebSockets can hibernate.
fn asking() -> Story<Supervisor> {
    let mut story = supervisor_with(Config::default());
    story.input(greeted_hibernating(1, 1)).expect([]);
    story.input(Event::Answered { connection: 1 }).expect([]);
    story.wants("a", 9).actions();
    story.stores("a", 10).actions();
    story
}

fn without_registry(mut story: Story<Supervisor>) -> Story<Supervisor> {
    story.input(unavailable()).actions();
    story
}

/// Its runner has come back and announced it.
fn going_on() -> Story<Supervisor> {
    let mut story = away(runs());
    story.input(greeted_hibernating(1, 1)).expect([]);
    story.says("a", 1, 5, running()).expect([]);
    story.input(Event::Answered { connection: 1 }).actions();
    story
}

fn unavailable() -> Event {
    Event::Registered { actor: actor("a"), sockets: Err(DirectoryUnavailable) }
}

fn starting() -> Story<Supervisor> {
    let mut story = supervisor();
    story.wants("a", 9).actions();
    story.stores("a", 10).actions();
    story
}

fn runs() -> Story<Supervisor> {
    let mut story = with_actor();
    story.says("a", 1, 5, alarm(Some(1))).actions();
    story.stores("a", 10).expect([]);
    story
}

fn changing() -> Story<Supervisor> {
    let mut story = runs();
    story.says("a", 1, 6, alarm(None)).actions();
    story
}

fn finishing() -> Story<Supervisor> {
    let mut story = runs();
    story.says("a", 1, 6, sleeps()).actions();
    story.stores("a", 11).expect([]);
    story
}

fn stopping() -> Story<Supervisor> {
    let mut story = finishing();
    story.routes_end("a", 1).actions();
    story
}

fn ending() -> Story<Supervisor> {
    let mut story = runs();
    story.says("a", 1, 6, stopped(StopCode::Error)).actions();
    story
}

fn releasing() -> Story<Supervisor> {
    let mut story = ending();
    story.routes_end("a", 1).actions();
    story
}

fn away(mut story: Story<Supervisor>) -> Story<Supervisor> {
    story.input(Event::Disconnected { connection: 1 }).actions();
    story
}

/// Its runner has come back on the same number, to keep the events the same.
fn back(story: Story<Supervisor>) -> Story<Supervisor> {
    let mut story = away(story);
    story.input(greeted(1, 1)).expect([]);
    story
}

fn events() -> Vec<(&'static str, Event)> {
    let says = |generation, inner: to_server::Event| Event::Events {
        connection: 1,
        events: vec![event("a", generation, 20, inner)],
    };
    let again = Event::Events { connection: 1, events: vec![event("a", 1, 0, running())] };
    let left_behind = |generation| Event::LeftBehind { connection: 1, actor_id: "a".into(), generation };
    let changed = |outcome| Event::Changed { actor: actor("a"), outcome };
    let conflict = |record| changed(ChangeOutcome::Conflict(Some(Versioned { revision: Revision(20), record })));
    let at = |number| of(ActorState::Running(runner_id(number)));
    vec![
        ("runner: Running", says(1, running())),
        ("runner: Stopped OK", says(1, stopped(StopCode::Ok))),
        ("runner: Stopped ERROR", says(1, stopped(StopCode::Error))),
        ("runner: intent Sleep", says(1, sleeps())),
        ("runner: intent Stop", says(1, stops())),
        ("runner: SetAlarm", says(1, alarm(Some(NOON + 5_000)))),
        ("runner: an event again", again),
        ("runner: an event of an older life", says(0, running())),
        ("runner: the end of an older life", says(0, stopped(StopCode::Ok))),
        ("runner: an event of a life to come", says(7, running())),
        ("runner: AckCommands, the start", took(1, "a", 1, 0)),
        ("runner: AckCommands, the stop", took(1, "a", 1, 1)),
        ("connection: greeted", greeted(2, 1)),
        ("connection: answered", Event::Answered { connection: 1 }),
        ("connection: stopping", Event::Stopping { connection: 1 }),
        ("connection: draining", Event::Draining { connection: 1 }),
        ("connection: disconnected", Event::Disconnected { connection: 1 }),
        ("gateway: a WebSocket was left behind", left_behind(1)),
        ("gateway: a WebSocket was left behind by an older life", left_behind(0)),
        ("relay: routes ended", Event::RoutesEnded { actor: actor("a"), generation: 1 }),
        ("relay: drain", Event::Drain),
        ("directory: stored", changed(ChangeOutcome::Stored(Revision(20)))),
        ("directory: the record is gone", changed(ChangeOutcome::Conflict(None))),
        ("directory: the record says here", conflict(at(1))),
        ("directory: the record says elsewhere", conflict(at(2))),
        ("directory: the record says Wanted", conflict(of(ActorState::Wanted))),
        ("directory: the record says Sleeping", conflict(of(ActorState::Sleeping))),
        ("directory: unavailable", changed(ChangeOutcome::Unavailable)),
        ("directory shows Wanted", shows("a", 20, of(ActorState::Wanted))),
        ("directory shows Sleeping", shows("a", 20, of(ActorState::Sleeping))),
        ("directory shows here", shows("a", 20, at(1))),
        ("directory shows elsewhere", shows("a", 20, at(2))),
        ("directory shows a later life elsewhere", shows("a", 20, actor_record(2, ActorState::Running(runner_id(2))))),
        ("directory shows what is old", shows("a", 1, of(ActorState::Sleeping))),
        ("directory shows no record", Event::Actor(ActorSeen { key: actor("a"), record: None })),
        ("directory shows the runner elsewhere", shows_runner(1, 30, Some(7), RunnerState::Ready)),
        ("directory shows the runner away", shows_runner(1, 30, None, RunnerState::Ready)),
        ("registry: no sockets", registered("a", &[])),
        ("registry: two sockets", registered("a", &[1, 2])),
        ("registry: unavailable", unavailable()),
        ("directory away", Event::DirectoryAway),
        ("directory back", Event::DirectoryBack),
        ("tick", Event::Tick),
    ]
}

#[test]
fn an_actor_at_its_supervisor_does_as_its_table_says() {
    let mut table = Table::new("An actor at its supervisor: what happens, and what the supervisor does about it.");
    for (state, story) in STATES {
        table.state(state);
        for (name, event) in events() {
            table.event(name, story(), |story| story.try_input(event), short::supervisor);
        }
        for (name, seconds) in [("1 second", 1), ("20 seconds", 20), ("30 seconds", 30), ("30 minutes", 1_800)] {
            let passes = |story: &mut Story<Supervisor>| {
                story.passes(Duration::from_secs(seconds));
                Ok(())
            };
            table.event(name, story(), passes, short::supervisor);
        }
    }
    table.is_as_in("supervisor.txt");
}
