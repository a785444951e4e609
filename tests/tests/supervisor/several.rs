//! Several relays, one directory, and runners that behave as they are told: no actor lives twice at a time, and in the
//! end each that is needed lives.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use underpass_core::bus::{ConnectionId, RelayId};
use underpass_core::directory::{
    ActorKey, ActorRecord, ActorSeen, ActorState, Revision, RunnerRecord, RunnerSeen, RunnerState, Versioned,
};
use underpass_core::protocol::to_client::{Command, CommandWrapper};
use underpass_core::protocol::to_server::{EventWrapper, StopCode};
use underpass_core::supervisor::{Action, Config, Event, Greeted};
use underpass_core::{Machine, Supervisor, Time};
use underpass_tests::given::supervisor::{
    NOON, Records, actor, event, runner_id, runner_record, running, sleeps, stopped,
};
use underpass_tests::noise::Noise;
use underpass_tests::wire::runner_key;

const RELAYS: usize = 3;
const RUNNERS: u64 = 4;
const ACTORS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A runner's process: what it hosts, and what it has yet to hear acknowledged.
#[derive(Default)]
struct Process {
    /// The relay and number of its connection, or since when it has none.
    connection: Option<(usize, u64)>,
    away_since: Time,
    /// Of each actor its generation, the next index, and the events that are not acknowledged.
    actors: BTreeMap<String, Hosted>,
}

struct Hosted {
    generation: u32,
    next: i64,
    unacknowledged: VecDeque<EventWrapper>,
}

struct World {
    now: Time,
    noise: Noise,
    relays: Vec<Supervisor>,
    /// What is on its way to each relay, in order: from the directory, and from each runner.
    watched: Vec<VecDeque<Event>>,
    events: Vec<VecDeque<Event>>,
    records: Records,
    runners: Vec<Process>,
    revision: u64,
    last: u64,
    starts: usize,
}

fn relay(number: usize) -> RelayId {
    RelayId(uuid::Uuid::from_u128(100 + number as u128))
}

impl World {
    fn new(seed: u64) -> Self {
        let supervisor = |number| Supervisor::new(Config::default(), relay(number), Time::ZERO).expect("a config");
        let mut world = World {
            now: Time::ZERO,
            noise: Noise::new(seed),
            relays: (0..RELAYS).map(supervisor).collect(),
            watched: vec![VecDeque::new(); RELAYS],
            events: vec![VecDeque::new(); RELAYS],
            records: Records::default(),
            runners: (0..RUNNERS).map(|_| Process::default()).collect(),
            revision: 0,
            last: 0,
            starts: 0,
        };
        for relay in 0..RELAYS {
            world.handle(relay, Event::WallClock { unix_ms: NOON });
            world.handle(relay, Event::DirectoryBack);
        }
        world
    }

    /// The directory says something of a runner, and each relay will see it.
    fn tell_runner(&mut self, number: u64, connection: Option<ConnectionId>, state: RunnerState) -> Revision {
        self.revision += 1;
        let revision = Revision(self.revision);
        let record = RunnerRecord { connection, slots: 3, ..runner_record(number, None, state) };
        let record = Some(Versioned { revision, record });
        for watched in &mut self.watched {
            let key = runner_key(&format!("r{number}"));
            watched.push_back(Event::Runner(RunnerSeen { key, record: record.clone() }));
        }
        revision
    }

    fn tell_actor(&mut self, seen: &ActorSeen) {
        for watched in &mut self.watched {
            watched.push_back(Event::Actor(seen.clone()));
        }
    }

    /// A gateway needs an actor.
    fn need(&mut self, key: ActorKey) {
        if let Some(record) = ActorRecord::wanted(self.records.of(&key), NOON) {
            let seen = self.records.says(key, record);
            self.tell_actor(&seen);
        }
    }

    fn connect(&mut self, number: u64, at: usize) {
        self.last += 1;
        let connection = self.last;
        let address = ConnectionId { relay: relay(at), number: connection };
        let revision = self.tell_runner(number, Some(address), RunnerState::Ready);
        let (id, key) = (runner_id(number), runner_key(&format!("r{number}")));
        let process = &mut self.runners[number as usize - 1];
        process.connection = Some((at, connection));
        let resent = process.actors.values().flat_map(|hosted| hosted.unacknowledged.iter().cloned()).collect();
        self.handle(at, Event::Greeted(Greeted { connection, id, key, slots: 3, hibernates: true, revision }));
        self.handle(at, Event::Events { connection, events: resent });
        self.handle(at, Event::Answered { connection });
    }

    fn disconnect(&mut self, number: u64) {
        let now = self.now;
        let process = &mut self.runners[number as usize - 1];
        let Some((at, connection)) = process.connection.take() else { return };
        process.away_since = now;
        // What was on its way is lost.
        self.events[at].retain(|event| !matches!(event, Event::Events { connection: of, .. } if *of == connection));
        self.tell_runner(number, None, RunnerState::Ready);
        self.handle(at, Event::Disconnected { connection });
    }

    fn says(&mut self, number: u64, actor_id: &str, what: underpass_core::protocol::to_server::Event, ends: bool) {
        let process = &mut self.runners[number as usize - 1];
        let Some(hosted) = process.actors.get_mut(actor_id) else { return };
        let said = event(actor_id, hosted.generation, hosted.next, what);
        hosted.next += 1;
        hosted.unacknowledged.push_back(said.clone());
        if ends {
            process.actors.remove(actor_id);
        }
        if let Some((at, connection)) = process.connection {
            self.events[at].push_back(Event::Events { connection, events: vec![said] });
        }
    }

    fn commanded(&mut self, connection: u64, command: CommandWrapper) {
        let Some(number) = (1..=RUNNERS)
            .find(|number| self.runners[*number as usize - 1].connection.is_some_and(|(_, of)| of == connection))
        else {
            return;
        };
        let (actor_id, generation) = (command.checkpoint.actor_id.to_string(), command.checkpoint.generation);
        match command.inner {
            Command::StartActor(_) => {
                for (other, process) in (1..).zip(&self.runners) {
                    assert!(
                        !process.actors.contains_key(&actor_id),
                        "{actor_id}:{generation} is started on r{number} while it lives on r{other}"
                    );
                }
                self.starts += 1;
                let hosted = Hosted { generation, next: 0, unacknowledged: VecDeque::new() };
                self.runners[number as usize - 1].actors.insert(actor_id.clone(), hosted);
                self.says(number, &actor_id, running(), false);
            }
            Command::StopActor => {
                let hosted = self.runners[number as usize - 1].actors.get(&actor_id);
                if hosted.is_some_and(|hosted| hosted.generation == generation) {
                    self.says(number, &actor_id, stopped(StopCode::Error), true);
                }
            }
        }
    }

    fn handle(&mut self, at: usize, event: Event) {
        self.relays[at].handle(event, self.now).expect("no misuse");
        while let Some(action) = self.relays[at].poll_action() {
            match action {
                Action::Commands { connection, commands } => {
                    commands.into_iter().for_each(|command| self.commanded(connection, command));
                }
                Action::AckEvents { connection, acknowledged } => {
                    let mut processes = self.runners.iter_mut();
                    let of = |process: &&mut Process| process.connection.is_some_and(|(_, of)| of == connection);
                    if let Some(process) = processes.find(of) {
                        for checkpoint in acknowledged.last_event_checkpoints {
                            if let Some(hosted) = process.actors.get_mut(checkpoint.actor_id.to_string().as_str()) {
                                hosted.unacknowledged.retain(|event| event.checkpoint.index > checkpoint.index);
                                assert!(!hosted.unacknowledged.is_empty(), "its newest event was acknowledged");
                            }
                        }
                    }
                }
                Action::Change(change) => {
                    let actor = change.key.clone();
                    let outcome = self.records.change(change);
                    let record = self.records.all().find(|(key, _)| **key == actor).map(|(_, record)| record.clone());
                    self.tell_actor(&ActorSeen { key: actor.clone(), record });
                    self.events[at].push_back(Event::Changed { actor, outcome });
                }
                Action::FinishRoutes { actor, generation, .. } | Action::EndRoutes { actor, generation, .. } => {
                    self.events[at].push_back(Event::RoutesEnded { actor, generation });
                }
                Action::Registered { actor } => {
                    self.events[at].push_back(Event::Registered { actor, sockets: Ok(Vec::new()) });
                }
                Action::Restore { actor, .. } => panic!("{actor:?} has no sockets"),
                Action::ShowActors => panic!("there was room for all"),
                Action::Log(_) => {}
            }
        }
    }

    fn passes(&mut self, duration: Duration) {
        self.now += duration;
        for process in &mut self.runners {
            // It was told that it is lost after 15 s.
            if process.connection.is_none() && self.now.since(process.away_since) >= Duration::from_secs(15) {
                process.actors.clear();
            }
        }
        for number in 1..=RUNNERS {
            if let Some((at, connection)) = self.runners[number as usize - 1].connection {
                let address = ConnectionId { relay: relay(at), number: connection };
                self.tell_runner(number, Some(address), RunnerState::Ready);
            }
        }
        for at in 0..RELAYS {
            self.handle(at, Event::Tick);
        }
    }

    /// Something that is on its way arrives.
    fn deliver(&mut self) -> bool {
        // The ways from the directory, then those from runners and to what a relay asked.
        let ways: Vec<_> = (0..RELAYS * 2).filter(|way| !self.way(*way).is_empty()).collect();
        if ways.is_empty() {
            return false;
        }
        let way = self.noise.pick(&ways);
        if let Some(event) = self.way(way).pop_front() {
            self.handle(way % RELAYS, event);
        }
        true
    }

    fn way(&mut self, way: usize) -> &mut VecDeque<Event> {
        if way < RELAYS { &mut self.watched[way] } else { &mut self.events[way - RELAYS] }
    }

    fn step(&mut self) {
        let number = 1 + self.noise.below(RUNNERS as usize) as u64;
        let actor_id = self.noise.pick(&ACTORS);
        match self.noise.below(100) {
            0 if self.noise.once_in(3) => self.disconnect(number),
            1..4 if self.runners[number as usize - 1].connection.is_none() => {
                let at = self.noise.below(RELAYS);
                self.connect(number, at);
            }
            4..8 => self.need(actor(actor_id)),
            8..11 => self.says(number, actor_id, sleeps(), false),
            11 => self.says(number, actor_id, stopped(StopCode::Error), true),
            12 => {
                let wait = Duration::from_millis(self.noise.below(3_000) as u64);
                // Nothing is on its way for that long.
                while self.deliver() {}
                self.passes(wait);
            }
            _ => {
                self.deliver();
            }
        }
    }
}

#[test]
fn no_actor_lives_twice_and_in_the_end_each_that_is_needed_lives() {
    for seed in [1, 2, 3, 4, 5, 6, 7, 0xdead_beef] {
        let mut world = World::new(seed);
        for _ in 0..60_000 {
            world.step();
        }
        assert!(world.starts > 300, "too quiet: {}", world.starts);
        for number in 1..=RUNNERS {
            world.disconnect(number);
            world.connect(number, number as usize % RELAYS);
        }
        for _ in 0..200 {
            ACTORS.iter().for_each(|actor_id| world.need(actor(actor_id)));
            while world.deliver() {}
            world.passes(Duration::from_secs(1));
        }
        for actor_id in ACTORS {
            let record = world.records.of(&actor(actor_id)).expect("it was needed");
            let ActorState::Running(runner) = record.state else { panic!("{actor_id}: {record:?}") };
            let lives: Vec<_> = (1..=RUNNERS)
                .filter(|number| {
                    let hosted = world.runners[*number as usize - 1].actors.get(actor_id);
                    hosted.is_some_and(|hosted| hosted.generation == record.generation)
                })
                .map(runner_id)
                .collect();
            assert_eq!(lives, [runner], "{actor_id}: {record:?}");
        }
    }
}
