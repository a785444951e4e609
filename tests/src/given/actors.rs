//! A gateway of runners whose actors have state, and the one actor that all requests are for.

use underpass_core::Gateway;
use underpass_core::directory::{
    Abilities, ActorChange, ActorKey, ActorRecord, ActorSeen, ActorState, ChangeOutcome, Revision, RunnerRecord,
    RunnerState, Versioned,
};
use underpass_core::gateway::{Action, Config, Event, Open};
use underpass_core::http::Body;

use crate::given::gateway::{Asked, config, lonely_gateway, publishes_to, request_start_with};
use crate::given::supervisor::{actor, runner_id};
use crate::story::Story;
use crate::wire::{abilities, open, record, response_start, seen, status};

/// The runner of a number, whose actors have state, on the connection of that number.
pub fn runner(number: u64, state: RunnerState) -> RunnerRecord {
    let abilities = Abilities { stateless: false, ..abilities(1 << 20) };
    RunnerRecord { id: runner_id(number), ..record(number, abilities, state) }
}

/// The directory shows it.
pub fn shows_runner(number: u64, record: RunnerRecord) -> Event {
    Event::Directory(seen(&format!("r{number}"), record))
}

/// A gateway that knows the runners 1 and 2.
pub fn gateway_of_actors(config: Config) -> Story<Gateway> {
    let mut story = lonely_gateway(config);
    for number in [1, 2] {
        story.input(shows_runner(number, runner(number, RunnerState::Ready))).expect([]);
    }
    story
}

/// The usual one, that sends again.
pub fn given() -> Story<Gateway> {
    gateway_of_actors(Config { max_tries: 3, ..config() })
}

/// What the directory says of the actor that all requests are for.
pub fn says(revision: u64, state: ActorState) -> Versioned<ActorRecord> {
    let record = ActorRecord { created_at: 5, generation: 3, crashes: 2, alarm: Some(9), state };
    Versioned { revision: Revision(revision), record }
}

/// The directory shows that.
pub fn shows(revision: u64, state: ActorState) -> Event {
    Event::Actor(ActorSeen { key: actor("default"), record: Some(says(revision, state)) })
}

/// It runs on the runner of a number.
pub fn running(number: u64) -> ActorState {
    ActorState::Running(runner_id(number))
}

/// What became of a change of its record.
pub fn changed(outcome: ChangeOutcome<ActorRecord>) -> Event {
    Event::ActorChanged { actor: actor("default"), outcome }
}

/// It was made.
pub fn stored(revision: u64) -> Event {
    changed(ChangeOutcome::Stored(Revision(revision)))
}

/// The record is another.
pub fn conflict(record: Option<Versioned<ActorRecord>>) -> Event {
    changed(ChangeOutcome::Conflict(record))
}

/// A record of an actor is to be changed.
pub fn asks_for(key: ActorKey, expected: Option<u64>, record: ActorRecord) -> Action {
    Action::Actor(ActorChange { key, expected: expected.map(Revision), record: Some(record) })
}

/// The actor is wanted, in the first record that it has.
pub fn wants_first(created_at: i64) -> Action {
    let record = ActorRecord { created_at, generation: 0, crashes: 0, alarm: None, state: ActorState::Wanted };
    asks_for(actor("default"), None, record)
}

/// The actor, which sleeps, is wanted.
pub fn wants(revision: u64) -> Action {
    asks_for(actor("default"), Some(revision), says(revision, ActorState::Wanted).record)
}

/// That the actor is wanted is taken back: its record says what it said before.
pub fn takes_back(revision: u64, before: Option<ActorRecord>) -> Action {
    let (key, expected) = (actor("default"), Some(Revision(revision)));
    Action::Actor(ActorChange { key, expected, record: before })
}

/// What most clients want.
pub fn get() -> Open {
    open("GET", "/", Body::None)
}

/// What a request is called now.
pub fn now_called(story: &Story<Gateway>, asked: Asked) -> Asked {
    let id = story.machine.request_name(asked.key).expect("the request is open").request_id;
    Asked { id, ..asked }
}

/// A GET goes to the runner of a number.
pub fn get_to(number: u64, asked: Asked) -> Action {
    publishes_to(number, asked, 0, request_start_with("GET", None, false))
}

/// A request is answered.
#[track_caller]
pub fn answer(story: &mut Story<Gateway>, asked: Asked) {
    let asked = now_called(story, asked);
    story.hears(asked, 0, response_start(200, None, false));
    story.expect([Action::ResponseStart { key: asked.key, head: status(200), body: Body::None }]);
}
