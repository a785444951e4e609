//! A supervisor in noise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::given::supervisor::{
    NOON, Records, actor, actor_record, alarm, event, greeted, greeted_hibernating, runner_id, running, shows_runner,
    sleeps, stopped, stops, took,
};
use crate::wire::{GATEWAY, relay_id, runner_key};
use underpass_core::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, ActorState, DirectoryUnavailable, RunnerId, RunnerSeen, RunnerState,
};
use underpass_core::protocol::RequestId;
use underpass_core::protocol::to_client::{Command, HibernatingRequest};
use underpass_core::protocol::to_server::{self, StopCode};
use underpass_core::supervisor::{Action, Config, Event};
use underpass_core::{Machine, Supervisor, Time, supervisor};

use super::{Noise, holds_nothing, passes};

const ACTORS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A supervisor, its relay, and a directory that others change, too.
#[derive(Debug)]
pub struct World {
    supervisor: Supervisor,
    now: Time,
    /// What decides.
    pub noise: Noise,
    last: u64,
    /// The runner of each connection.
    open: BTreeMap<u64, u64>,
    records: Records,
    changes: Vec<ActorChange>,
    seen: Vec<ActorSeen>,
    routes: Vec<Event>,
    /// The starts that were sent: a life is started once on a connection.
    started: BTreeSet<(u64, String, u32)>,
    /// The questions that the registry has not answered.
    asked: Vec<ActorKey>,
}

impl World {
    /// With noise of any source.
    pub fn new(noise: Noise) -> Self {
        let config = Config {
            max_actors: 5,
            max_runners: 4,
            max_actors_per_runner: 2,
            max_held_events: 6,
            max_restored: 3,
            actor_start: Duration::from_secs(2),
            unstarted_stop: Duration::from_secs(2),
            actor_stop_threshold: Duration::from_secs(2),
            finish: Some(Duration::from_millis(400)),
            ..Config::default()
        };
        World {
            supervisor: Supervisor::new(config, relay_id(), Time::ZERO).expect("a configuration"),
            now: Time::ZERO,
            noise,
            last: 0,
            open: BTreeMap::new(),
            records: Records::default(),
            changes: Vec::new(),
            seen: Vec::new(),
            routes: Vec::new(),
            started: BTreeSet::new(),
            asked: Vec::new(),
        }
    }

    fn connection(&mut self) -> u64 {
        let open: Vec<_> = self.open.keys().copied().collect();
        if open.is_empty() || self.noise.once_in(50) { self.last + 1 } else { self.noise.pick(&open) }
    }

    /// A generation, mostly the one that the directory knows.
    fn generation(&mut self, actor_id: &str) -> u32 {
        let known = self.records.of(&actor(actor_id)).map_or(0, |record| record.generation);
        if self.noise.once_in(10) { self.noise.below(4) as u32 } else { known }
    }

    fn says(&mut self) -> to_server::EventWrapper {
        let actor_id = self.noise.pick(&ACTORS);
        let generation = self.generation(actor_id);
        let index = self.noise.below(40) as i64;
        let inner = match self.noise.below(10) {
            0 => sleeps(),
            1 => stops(),
            2 => stopped(self.noise.pick(&[StopCode::Ok, StopCode::Error])),
            3 => {
                let soon = self.now.as_micros() as i64 / 1_000 + self.noise.below(20_000) as i64;
                alarm(self.noise.pick(&[None, Some(NOON + soon), Some(i64::MIN), Some(i64::MAX)]))
            }
            _ => running(),
        };
        event(actor_id, generation, index, inner)
    }

    /// What others make of a record.
    fn others(&mut self) -> ActorSeen {
        let actor_id = self.noise.pick(&ACTORS);
        let key = actor(actor_id);
        let before = self.records.of(&key).cloned().unwrap_or_else(|| actor_record(0, ActorState::Sleeping));
        let state = match self.noise.below(8) {
            0 => ActorState::Sleeping,
            1 => ActorState::Starting(self.runner()),
            2 => ActorState::Running(self.runner()),
            3 => ActorState::Stopping(self.runner()),
            _ => ActorState::Wanted,
        };
        let rings = (self.now.as_micros() / 1_000) as i64 + NOON + self.noise.below(2_000) as i64;
        let alarm = self.noise.once_in(3).then_some(rings);
        // Whoever has a life started begins a new one.
        let begins = matches!(state, ActorState::Starting(_)) || self.noise.once_in(3);
        let generation = before.generation + u32::from(begins);
        let record = ActorRecord { state, generation, alarm, crashes: self.noise.below(3) as u32, ..before };
        self.records.says(key, record)
    }

    fn runner(&mut self) -> RunnerId {
        runner_id(1 + self.noise.below(5) as u64)
    }

    /// Time passes, and something happens.
    pub fn step(&mut self) {
        self.now += passes(&mut self.noise);
        let event = self.event();
        self.handle(event);
    }

    fn event(&mut self) -> Event {
        match self.noise.below(40) {
            0 if self.open.len() < 4 => {
                self.last += 1;
                let number = 1 + self.noise.below(3) as u64;
                self.open.insert(self.last, number);
                if self.noise.once_in(3) { greeted(self.last, number) } else { greeted_hibernating(self.last, number) }
            }
            1 if self.noise.once_in(6) => {
                let connection = self.connection();
                self.open.remove(&connection);
                Event::Disconnected { connection }
            }
            2..6 => Event::Answered { connection: self.connection() },
            6 if self.noise.once_in(6) => Event::Stopping { connection: self.connection() },
            6 if self.noise.once_in(20) => Event::Draining { connection: self.connection() },
            7 => Event::Actor(self.others()),
            10..12 => {
                let number = 1 + self.noise.below(5) as u64;
                let at = self.noise.pick(&[None, Some(1), Some(1)]);
                let state = self.noise.pick(&[RunnerState::Ready, RunnerState::Full, RunnerState::Draining]);
                self.last += 1;
                if self.noise.once_in(20) {
                    return Event::Runner(RunnerSeen { key: runner_key(&format!("r{number}")), record: None });
                }
                // Mostly not of those that are here.
                let number = if self.noise.once_in(6) { number } else { number.max(4) };
                shows_runner(number, self.last, at, state)
            }
            12 if self.noise.once_in(20) => Event::DirectoryAway,
            12..14 => Event::DirectoryBack,
            14 => Event::WallClock { unix_ms: NOON + self.now.as_micros() as i64 / 1_000 },
            15 if self.noise.once_in(4) => {
                let actor_id = self.noise.pick(&ACTORS);
                let (connection, generation) = (self.connection(), self.generation(actor_id));
                Event::LeftBehind { connection, actor_id: actor_id.into(), generation }
            }
            15 => {
                let actor_id = self.noise.pick(&ACTORS);
                let (connection, generation) = (self.connection(), self.generation(actor_id));
                took(connection, actor_id, generation, self.noise.below(2) as i64)
            }
            16..19 if !self.routes.is_empty() => self.routes.remove(0),
            19..21 if !self.asked.is_empty() => self.answer(),
            21..28 if !self.changes.is_empty() => self.outcome(),
            28..32 if !self.seen.is_empty() => {
                let seen = self.seen.remove(0);
                Event::Actor(if self.noise.once_in(50) { ActorSeen { record: None, ..seen } } else { seen })
            }
            _ => {
                let events = (0..self.noise.below(4)).map(|_| self.says()).collect();
                Event::Events { connection: self.connection(), events }
            }
        }
    }

    /// The registry answers one of the questions.
    fn answer(&mut self) -> Event {
        let actor = self.asked.remove(self.noise.below(self.asked.len()));
        let socket = |number| HibernatingRequest { gateway_id: GATEWAY, request_id: RequestId([number as u8; 4]) };
        let sockets = match self.noise.below(4) {
            0 => Err(DirectoryUnavailable),
            _ => Ok((0..self.noise.below(5)).map(socket).collect()),
        };
        Event::Registered { actor, sockets }
    }

    fn outcome(&mut self) -> Event {
        use underpass_core::directory::ChangeOutcome;
        let change = self.changes.remove(0);
        let actor = change.key.clone();
        if self.noise.once_in(20) {
            return Event::Changed { actor, outcome: ChangeOutcome::Unavailable };
        }
        let outcome = self.records.change(change);
        if let (ChangeOutcome::Stored(_), Some(record)) = (&outcome, self.records.all().find(|(key, _)| **key == actor))
        {
            self.seen.push(ActorSeen { key: actor.clone(), record: Some(record.1.clone()) });
        }
        // That it was made is sometimes not heard.
        let outcome = if self.noise.once_in(20) { ChangeOutcome::Unavailable } else { outcome };
        Event::Changed { actor, outcome }
    }

    fn handle(&mut self, event: Event) {
        if self.supervisor.handle(event, self.now).is_err() {
            assert_eq!(self.supervisor.poll_action(), None, "a misuse wants nothing");
        }
        while let Some(action) = self.supervisor.poll_action() {
            self.take(action);
        }
        let stats = self.supervisor.stats();
        assert!(stats.actors <= 5 && stats.runners <= 4 + 5 && stats.held_events <= 4 * 6, "{stats:?}");
        assert_eq!(stats.asking, self.asked.len(), "{stats:?}");
        assert!(stats.waiting + stats.hosted + stats.alarms <= stats.actors, "{stats:?}");
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Commands { connection, commands } => {
                assert!(self.open.contains_key(&connection), "commands for a connection that has ended");
                for command in commands {
                    let checkpoint = command.checkpoint;
                    match command.inner {
                        Command::StartActor(start) => {
                            assert!(start.hibernating_requests.len() <= 3, "more than it may name");
                            let life = (connection, checkpoint.actor_id.to_string(), checkpoint.generation);
                            assert!(self.started.insert(life), "started twice: {checkpoint:?}");
                        }
                        Command::StopActor => {}
                    }
                }
            }
            Action::AckEvents { connection, acknowledged } => {
                assert!(self.open.contains_key(&connection), "acknowledged on a connection that has ended");
                assert!(!acknowledged.last_event_checkpoints.is_empty());
            }
            Action::Change(change) => {
                assert!(self.changes.iter().all(|other| other.key != change.key), "two changes at a time");
                self.changes.push(change);
            }
            Action::FinishRoutes { actor, generation, .. } | Action::EndRoutes { actor, generation, .. } => {
                self.routes.push(Event::RoutesEnded { actor, generation });
            }
            Action::Registered { actor } => {
                assert!(!self.asked.contains(&actor), "two questions at a time");
                self.asked.push(actor);
            }
            Action::Restore { connection, sockets, left_out, .. } => {
                assert!(self.open.contains_key(&connection), "restored on a connection that has ended");
                assert!(!sockets.is_empty() || !left_out.is_empty());
            }
            Action::ShowActors => {
                let all = self.records.all().map(|(key, record)| (key.clone(), Some(record.clone())));
                self.seen.extend(all.map(|(key, record)| ActorSeen { key, record }));
            }
            Action::Log(_) => {}
        }
    }

    /// All is over, and nothing is held.
    ///
    /// # Panics
    /// If something is.
    pub fn over(mut self) -> supervisor::Stats {
        let stats = self.supervisor.stats();
        self.handle(Event::Drain);
        let open: Vec<_> = self.open.keys().copied().collect();
        for connection in open {
            self.open.remove(&connection);
            self.handle(Event::Disconnected { connection });
        }
        while !self.asked.is_empty() {
            let event = self.answer();
            self.handle(event);
        }
        self.handle(Event::DirectoryBack);
        for number in 1..=5 {
            self.last += 1;
            self.handle(shows_runner(number, self.last, None, RunnerState::Full));
        }
        for actor_id in ACTORS {
            while let Some(place) = self.changes.iter().position(|change| change.key == actor(actor_id)) {
                let change = self.changes.remove(place);
                let outcome = self.records.change(change);
                self.handle(Event::Changed { actor: actor(actor_id), outcome });
            }
        }
        self.now += Duration::from_secs(60);
        self.handle(Event::Tick);
        while !self.changes.is_empty() {
            let change = self.changes.remove(0);
            let key = change.key.clone();
            let outcome = self.records.change(change);
            self.handle(Event::Changed { actor: key, outcome });
        }
        for actor_id in ACTORS {
            let asleep = actor_record(99, ActorState::Sleeping);
            let seen = self.records.says(actor(actor_id), asleep);
            self.handle(Event::Actor(seen));
        }
        self.now += Duration::from_secs(60);
        self.handle(Event::Tick);
        assert_eq!(self.changes, []);
        holds_nothing(&self.supervisor);
        stats
    }
}
