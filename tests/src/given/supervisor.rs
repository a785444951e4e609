//! A supervisor, its relay, the runners there and elsewhere, and the directory that it watches.

use std::collections::BTreeMap;

use underpass_core::bus::{ConnectionId, RelayId};
use underpass_core::directory::{
    Abilities, ActorKey, ActorRecord, ActorSeen, ActorState, ChangeOutcome, Revision, RunnerId, RunnerRecord,
    RunnerSeen, RunnerState, Versioned,
};
use underpass_core::protocol::RequestId;
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::to_client::{
    AckEvents, ActorConfig, Command, CommandWrapper, HibernatingRequest, StartActor,
};
use underpass_core::protocol::to_server::{self, AckCommands, ActorIntent, EventWrapper, StopCode, Stopped};
use underpass_core::supervisor::{Action, Config, Event, Greeted};
use underpass_core::{Supervisor, Time};

use crate::story::Story;
use crate::wire::{GATEWAY, pool, relay_id, runner_key};

/// The Unix time at which most stories begin, milliseconds.
pub const NOON: i64 = 1_700_000_000_000;

/// The id of a runner.
pub fn runner_id(number: u64) -> RunnerId {
    RunnerId(uuid::Uuid::from_u128(u128::from(number)))
}

/// An actor of the pool of most stories.
pub fn actor(actor_id: &str) -> ActorKey {
    ActorKey { pool: pool(), actor_id: actor_id.into() }
}

/// What the directory says of an actor.
pub fn actor_record(generation: u32, state: ActorState) -> ActorRecord {
    ActorRecord { created_at: NOON, generation, crashes: 0, alarm: None, state }
}

/// What the directory says of the runner `r1`, `r2`, …: somewhere else, or away.
pub fn runner_record(number: u64, connection: Option<u64>, state: RunnerState) -> RunnerRecord {
    let relay = RelayId(uuid::Uuid::from_u128(0xef));
    RunnerRecord {
        id: runner_id(number),
        slots: 2,
        protocol_version: 7,
        abilities: Abilities::default(),
        connection: connection.map(|number| ConnectionId { relay, number }),
        moving: None,
        entered: None,
        state,
    }
}

/// The directory shows that runner.
pub fn shows_runner(number: u64, revision: u64, connection: Option<u64>, state: RunnerState) -> Event {
    let record = runner_record(number, connection, state);
    let record = Some(Versioned { revision: Revision(revision), record });
    Event::Runner(RunnerSeen { key: runner_key(&format!("r{number}")), record })
}

/// The directory shows an actor.
pub fn shows(actor_id: &str, revision: u64, record: ActorRecord) -> Event {
    let record = Some(Versioned { revision: Revision(revision), record });
    Event::Actor(ActorSeen { key: actor(actor_id), record })
}

fn checkpoint(actor_id: &str, generation: u32, index: i64) -> ActorCheckpoint {
    ActorCheckpoint { actor_id: actor_id.into(), generation, index }
}

/// An event of an actor.
pub fn event(actor_id: &str, generation: u32, index: i64, inner: to_server::Event) -> EventWrapper {
    EventWrapper { checkpoint: checkpoint(actor_id, generation, index), inner }
}

/// It runs.
pub fn running() -> to_server::Event {
    to_server::Event::ActorStateUpdate { state: to_server::ActorState::Running }
}

/// It has ended.
pub fn stopped(code: StopCode) -> to_server::Event {
    let stopped = Stopped { code, message: None };
    to_server::Event::ActorStateUpdate { state: to_server::ActorState::Stopped(stopped) }
}

/// It would like to sleep.
pub fn sleeps() -> to_server::Event {
    to_server::Event::ActorIntent { intent: ActorIntent::Sleep }
}

/// It would like to stop.
pub fn stops() -> to_server::Event {
    to_server::Event::ActorIntent { intent: ActorIntent::Stop }
}

/// It sets its alarm.
pub fn alarm(alarm_ts: Option<i64>) -> to_server::Event {
    to_server::Event::ActorSetAlarm { alarm_ts }
}

/// A runner's connection says that it took commands.
pub fn took(connection: u64, actor_id: &str, generation: u32, index: i64) -> Event {
    let last_command_checkpoints = vec![checkpoint(actor_id, generation, index)];
    Event::AckCommands { connection, acknowledged: AckCommands { last_command_checkpoints } }
}

fn start_command(actor_id: &str, generation: u32, hibernating_requests: Vec<HibernatingRequest>) -> CommandWrapper {
    let config = ActorConfig { name: "default".into(), key: Some(actor_id.into()), create_ts: NOON, input: None };
    CommandWrapper {
        checkpoint: checkpoint(actor_id, generation, 0),
        inner: Command::StartActor(Box::new(StartActor { config, hibernating_requests })),
    }
}

/// It is to be started.
pub fn start(connection: u64, actor_id: &str, generation: u32) -> Action {
    start_with(connection, actor_id, generation, &[])
}

/// It is to be started, with these of its WebSockets.
pub fn start_with(connection: u64, actor_id: &str, generation: u32, sockets: &[u8]) -> Action {
    let sockets = sockets.iter().copied().map(socket).collect();
    Action::Commands { connection, commands: vec![start_command(actor_id, generation, sockets)] }
}

/// A WebSocket that can hibernate, by its number.
pub fn socket(number: u8) -> HibernatingRequest {
    HibernatingRequest { gateway_id: GATEWAY, request_id: RequestId([number; 4]) }
}

/// The registry is asked.
pub fn asks_registry(actor_id: &str) -> Action {
    Action::Registered { actor: actor(actor_id) }
}

/// The registry says which of an actor's WebSockets can hibernate.
pub fn registered(actor_id: &str, sockets: &[u8]) -> Event {
    Event::Registered { actor: actor(actor_id), sockets: Ok(sockets.iter().copied().map(socket).collect()) }
}

/// An actor's WebSockets are to be restored, in its first life.
pub fn restores(connection: u64, actor_id: &str, sockets: &[u8]) -> Action {
    restores_but(connection, actor_id, sockets, &[])
}

/// The same, but for some that there was no room to start it with.
pub fn restores_but(connection: u64, actor_id: &str, sockets: &[u8], left_out: &[u8]) -> Action {
    let [sockets, left_out] = [sockets, left_out].map(|sockets| sockets.iter().copied().map(socket).collect());
    Action::Restore { connection, actor: actor(actor_id), generation: 1, sockets, left_out }
}

/// They are to be stopped.
pub fn stop_all(connection: u64, actors: &[(&str, u32)]) -> Action {
    let stop = |(actor_id, generation): &(&str, u32)| CommandWrapper {
        checkpoint: checkpoint(actor_id, *generation, 1),
        inner: Command::StopActor,
    };
    Action::Commands { connection, commands: actors.iter().map(stop).collect() }
}

/// It is to be stopped.
pub fn stop(connection: u64, actor_id: &str, generation: u32) -> Action {
    stop_all(connection, &[(actor_id, generation)])
}

/// Events are acknowledged.
pub fn acknowledges(connection: u64, actors: &[(&str, u32, i64)]) -> Action {
    let place = |(actor_id, generation, index): &(&str, u32, i64)| checkpoint(actor_id, *generation, *index);
    Action::AckEvents {
        connection,
        acknowledged: AckEvents { last_event_checkpoints: actors.iter().map(place).collect() },
    }
}

/// Its requests end as they will.
pub fn finish_routes(connection: u64, actor_id: &str, generation: u32) -> Action {
    Action::FinishRoutes { connection, actor: actor(actor_id), generation }
}

/// Its requests end now.
pub fn end_routes(connection: u64, actor_id: &str, generation: u32) -> Action {
    Action::EndRoutes { connection, actor: actor(actor_id), generation }
}

/// The directory as a story keeps it: the revisions of actors' records.
#[derive(Debug, Default)]
pub struct Records(BTreeMap<ActorKey, Versioned<ActorRecord>>, u64);

impl Records {
    /// Makes a change.
    #[track_caller]
    pub fn change(&mut self, change: underpass_core::directory::ActorChange) -> ChangeOutcome<ActorRecord> {
        let current = self.0.get(&change.key);
        if current.map(|current| current.revision) != change.expected {
            return ChangeOutcome::Conflict(current.cloned());
        }
        self.1 += 1;
        let revision = Revision(self.1);
        match change.record {
            Some(record) => drop(self.0.insert(change.key, Versioned { revision, record })),
            None => drop(self.0.remove(&change.key)),
        }
        ChangeOutcome::Stored(revision)
    }

    /// Says something of an actor, as others would.
    pub fn says(&mut self, key: ActorKey, record: ActorRecord) -> ActorSeen {
        self.1 += 1;
        let record = Versioned { revision: Revision(self.1), record };
        self.0.insert(key.clone(), record.clone());
        ActorSeen { key, record: Some(record) }
    }

    /// What it says of an actor.
    pub fn of(&self, key: &ActorKey) -> Option<&ActorRecord> {
        self.0.get(key).map(|versioned| &versioned.record)
    }

    /// All that it says.
    pub fn all(&self) -> impl Iterator<Item = (&ActorKey, &Versioned<ActorRecord>)> {
        self.0.iter()
    }
}

/// A supervisor to which the directory has shown that there are no actors, at noon.
pub fn supervisor_with(config: Config) -> Story<Supervisor> {
    let mut story = Story::given(Supervisor::new(config, relay_id(), Time::ZERO).expect("a configuration"));
    story.input(Event::WallClock { unix_ms: NOON }).expect([]);
    story.input(Event::DirectoryBack).expect([]);
    story
}

/// A supervisor whose relay has the runner `r1` with two slots, ready on connection 1.
pub fn supervisor() -> Story<Supervisor> {
    let mut story = supervisor_with(Config::default());
    story.runner_comes(1, 1);
    story
}

/// A supervisor on whose runner the actor `a` runs, its first generation.
pub fn with_actor() -> Story<Supervisor> {
    let mut story = supervisor();
    story.actor_runs("a");
    story
}

/// That greeting. Its WebSockets cannot hibernate: nobody is asked for them.
pub fn greeted(connection: u64, number: u64) -> Event {
    greeting(connection, number, false)
}

/// The greeting of a runner whose WebSockets can hibernate.
pub fn greeted_hibernating(connection: u64, number: u64) -> Event {
    greeting(connection, number, true)
}

fn greeting(connection: u64, number: u64, hibernates: bool) -> Event {
    Event::Greeted(Greeted {
        connection,
        id: runner_id(number),
        key: runner_key(&format!("r{number}")),
        slots: 2,
        hibernates,
        revision: Revision(connection),
    })
}

impl Story<Supervisor> {
    /// A runner connects, and has nothing to announce.
    #[track_caller]
    pub fn runner_comes(&mut self, connection: u64, number: u64) -> &mut Self {
        self.input(greeted(connection, number)).expect([]);
        self.input(Event::Answered { connection })
    }

    /// Something is needed that never was.
    #[track_caller]
    pub fn wants(&mut self, actor_id: &str, revision: u64) -> &mut Self {
        self.input(shows(actor_id, revision, actor_record(0, ActorState::Wanted)))
    }

    /// An actor's record is to say something, and does.
    #[track_caller]
    pub fn expect_stored(&mut self, actor_id: &str, expected: u64, record: &ActorRecord) -> &mut Self {
        self.expect([change(actor_id, expected, record)]);
        self.stores(actor_id, expected + 1)
    }

    /// A change was made.
    #[track_caller]
    pub fn stores(&mut self, actor_id: &str, revision: u64) -> &mut Self {
        self.outcome(actor_id, ChangeOutcome::Stored(Revision(revision)))
    }

    /// What became of a change.
    #[track_caller]
    pub fn outcome(&mut self, actor_id: &str, outcome: ChangeOutcome<ActorRecord>) -> &mut Self {
        self.input(Event::Changed { actor: actor(actor_id), outcome })
    }

    /// An event on connection 1.
    #[track_caller]
    pub fn says(&mut self, actor_id: &str, generation: u32, index: i64, inner: to_server::Event) -> &mut Self {
        self.says_on(1, vec![event(actor_id, generation, index, inner)])
    }

    /// Events on a connection.
    #[track_caller]
    pub fn says_on(&mut self, connection: u64, events: Vec<EventWrapper>) -> &mut Self {
        self.input(Event::Events { connection, events })
    }

    /// An actor's routes are closed.
    #[track_caller]
    pub fn routes_end(&mut self, actor_id: &str, generation: u32) -> &mut Self {
        self.input(Event::RoutesEnded { actor: actor(actor_id), generation })
    }

    /// An actor is needed, claimed for `r1` on connection 1, and starts: revision 3 says so, and event 0 came.
    #[track_caller]
    pub fn actor_runs(&mut self, actor_id: &str) -> &mut Self {
        let r1 = runner_id(1);
        self.wants(actor_id, 1);
        self.expect_stored(actor_id, 1, &actor_record(1, ActorState::Starting(r1))).expect([start(1, actor_id, 1)]);
        self.says(actor_id, 1, 0, running()).expect_stored(actor_id, 2, &actor_record(1, ActorState::Running(r1)));
        self.expect([])
    }

    /// An actor's record is to say this, and does; then it is forgotten.
    #[track_caller]
    pub fn falls_asleep(&mut self, actor_id: &str, expected: u64, generation: u32) -> &mut Self {
        self.expect_stored(actor_id, expected, &actor_record(generation, ActorState::Sleeping)).expect([])
    }

    /// Connection 1's runner says goodbye and goes. It had nothing.
    #[track_caller]
    pub fn leaves(&mut self, connection: u64) -> &mut Self {
        self.input(Event::Stopping { connection }).expect([]);
        self.input(Event::Disconnected { connection }).expect([])
    }

    /// The actor `a`, whose record has this revision, sleeps, its runner goes, and nothing is left.
    #[track_caller]
    pub fn sleeps_and_ends(&mut self, revision: u64, index: i64) {
        let r1 = runner_id(1);
        self.says("a", 1, index, sleeps());
        let record = actor_record(1, ActorState::Stopping(r1));
        self.expect([finish_routes(1, "a", 1), change("a", revision, &record)]).stores("a", revision + 1).expect([]);
        self.routes_end("a", 1).expect([stop(1, "a", 1)]);
        self.says("a", 1, index + 1, stopped(StopCode::Error)).expect([end_routes(1, "a", 1)]);
        self.routes_end("a", 1).falls_asleep("a", revision + 1, 1);
        self.leaves(1).ends();
    }
}

/// An actor's record is to say something.
pub fn change(actor_id: &str, expected: u64, record: &ActorRecord) -> Action {
    Action::Change(underpass_core::directory::ActorChange {
        key: actor(actor_id),
        expected: (expected > 0).then_some(Revision(expected)),
        record: Some(record.clone()),
    })
}
