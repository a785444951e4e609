//! The supervisor: sees to it that each actor that is needed lives on one runner, and on one only.
//!
//! One is in each relay, and all watch the same directory. A gateway that needs an actor says so in the actor's
//! record ([`ActorRecord::wanted`]). Of all runners of its pool that take actors and have room,
//! one is chosen by [rendezvous hashing](rendezvous), in the same way by everyone; its relay's supervisor
//! claims the actor for it with the next generation, and compare-and-set settles ties. From then on this supervisor
//! alone changes the record, until the life is over.
//!
//! # A life
//!
//! `Starting`, until its first event; `Running`; `Finishing`, while its requests end; `Stopping`, from the stop's
//! command on; `Ending`, from its end on, while its routes are closed. Then the record says `Sleeping` or `Wanted`.
//! The two commands of a life have the indexes 0 and 1. They are kept in its stage: one that no event, no end and no
//! `ToServerAckCommands` has acknowledged is sent again when the runner comes back.
//!
//! # WebSockets that slept
//!
//! Before a start's command the registry is asked which of the actor's WebSockets are still open at gateways; the
//! command names them, and when the actor runs its relay is told to open their routes. The wait for the registry is no
//! part of the start's deadline. When a runner comes back the registry is asked for each of its lives that goes on.
//!
//! # When a runner goes and comes back
//!
//! Its lives stand still while it is away, and until the pong that follows `ToClientInit`; what it says in between is
//! held. Then those that it announced go on, and the others are over. If it stays away for the lost threshold and its
//! margin they have stopped, and whoever is chosen then may claim them; after a goodbye at once. A relay that sees the
//! runner elsewhere lets go of its lives, and the relay there takes them up from their records.

mod actors;
mod alarms;
mod changes;
mod config;
mod event;
mod events;
mod held;
mod hosts;
mod left_out;
mod life;
mod lives;
mod notice;
mod outlived;
mod placing;
mod registry;
pub mod rendezvous;
mod runners;
mod sessions;
mod stats;

use std::collections::VecDeque;

use bytestring::ByteString;

pub use config::Config;
pub use event::{Action, Event, Greeted};
pub use notice::Notice;
pub use stats::Stats;

use self::actors::{Actor, ActorSlot, Actors};
use self::alarms::Alarms;
use self::hosts::{Here, Host, Hosts};
use self::left_out::LeftOut;
use self::life::Stage;
use self::registry::Questions;
use crate::bus::RelayId;
use crate::directory::{ActorKey, RunnerId};
use crate::error::{ApiMisuse, ConfigError};
use crate::machine::Machine;
use crate::machine::deadline::{Armed, Deadlines};
use crate::time::{Time, WallClock};

#[cfg(doc)]
use crate::directory::ActorRecord;

/// The supervisor's machine.
#[derive(Debug)]
pub struct Supervisor {
    config: Config,
    relay: RelayId,
    wall: WallClock,
    actors: Actors,
    hosts: Hosts,
    alarms: Alarms,
    /// What the registry is asked.
    questions: Questions,
    deadlines: Deadlines<Deadline, Owner>,
    /// The last step of the back-off.
    last_back_off: u8,
    actions: VecDeque<Action>,
    /// Whether the directory has shown all actors.
    shown: bool,
    draining: bool,
    left_out: LeftOut,
    /// Whether people were told that there are too many.
    too_many_actors: bool,
    too_many_runners: bool,
    /// The gauges in it are filled in when it is asked for.
    counted: Stats,
}

/// The named deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    /// An actor that was started must have said something.
    Start,
    /// One that did not must have ended.
    UnstartedStop,
    /// Lives that are over and were stopped must have ended.
    OutlivedStop,
    /// Any other that was stopped must have ended.
    Stop,
    /// The requests of an actor that is to stop must have ended.
    Finish,
    /// An actor that crashed so often is started again.
    BackOff(u8),
    /// The directory, which was away, is asked again.
    Directory,
    /// Its registry, which was away, is asked again.
    Registry,
    /// A runner that is away must have come back.
    Lost,
    /// The directory must have said something of a runner.
    Unseen,
    /// The directory must have told of the actors that a runner announced.
    Stray,
    /// Events are acknowledged.
    Acknowledge,
    /// The directory is asked for actors that were left out.
    LookAgain,
}

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Actor(ActorSlot),
    Runner(RunnerId),
    /// The actors that were left out.
    LeftOut,
}

impl Supervisor {
    /// The supervisor of this relay.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn new(config: Config, relay: RelayId, now: Time) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut wall = WallClock::default();
        wall.set(now, 0);
        let back_offs: Vec<_> =
            (0..=u8::MAX).zip(config.back_offs()).map(|(step, wait)| (Deadline::BackOff(step), wait)).collect();
        let last_back_off = u8::try_from(back_offs.len() - 1).unwrap_or(u8::MAX);
        let waits = [
            (Deadline::Start, config.actor_start),
            (Deadline::UnstartedStop, config.unstarted_stop),
            (Deadline::OutlivedStop, config.unstarted_stop),
            (Deadline::Stop, config.actor_stop_threshold),
            (Deadline::Finish, config.finish.unwrap_or_default()),
            (Deadline::Directory, config.directory_retry),
            (Deadline::Registry, config.directory_retry),
            (Deadline::Lost, config.runner_lost_threshold.saturating_add(config.runner_lost_margin)),
            (Deadline::Unseen, config.runner_unseen),
            (Deadline::Stray, config.stray),
            (Deadline::Acknowledge, config.acknowledge),
            (Deadline::LookAgain, config.look_again),
        ];
        Ok(Supervisor {
            deadlines: Deadlines::new(waits.into_iter().chain(back_offs)),
            config,
            relay,
            wall,
            actors: Actors::default(),
            hosts: Hosts::default(),
            alarms: Alarms::default(),
            questions: Questions::default(),
            last_back_off,
            actions: VecDeque::new(),
            shown: false,
            draining: false,
            left_out: LeftOut::Nobody,
            too_many_actors: false,
            too_many_runners: false,
            counted: Stats::default(),
        })
    }

    /// The life that the runner of a connection hosts of an actor, until its end came: who its store may be served
    /// to.
    pub fn generation(&self, connection: u64, actor_id: &ByteString) -> Option<u32> {
        let (here, actor) = self.hosted(connection, actor_id)?;
        let Some(life) = actor.life() else {
            // Its runner was greeted and has not answered: the record is all that is known.
            let record = &actor.known.as_ref()?.record;
            return (actor.is_elsewhere() && !here.is_settled()).then_some(record.generation);
        };
        match life.stage {
            Stage::Starting | Stage::Running | Stage::Finishing(_) | Stage::Stopping(_) => Some(life.generation),
            Stage::Ending(_) => None,
        }
    }

    /// Whether an actor takes requests on a connection. One that does not may do so soon, here or elsewhere.
    pub fn takes_requests(&self, connection: u64, actor_id: &ByteString) -> bool {
        let hosted = self.hosted(connection, actor_id).filter(|(here, _)| here.is_settled());
        match hosted.and_then(|(_, actor)| actor.life()).map(|life| life.stage) {
            Some(Stage::Running) => true,
            Some(Stage::Starting | Stage::Finishing(_) | Stage::Stopping(_) | Stage::Ending(_)) | None => false,
        }
    }

    /// Whether the runner of a connection has actors.
    pub fn has_actors(&self, connection: u64) -> bool {
        let host = self.hosts.of_connection(connection).and_then(|id| self.hosts.get(id));
        let is_here = |host: &&Host| host.here.as_ref().is_some_and(|here| here.connection == connection);
        host.filter(is_here).is_some_and(|host| !host.actors.is_empty())
    }

    /// Whether actors' records may name a runner as the one that has them. While the directory has not shown all that
    /// there are, they may.
    pub fn may_have_actors(&self, runner: RunnerId) -> bool {
        let has_some = |host: &Host| !host.actors.is_empty();
        !self.shown || self.left_out.is_somebody() || self.hosts.get(runner).is_some_and(has_some)
    }

    /// An actor at the runner of a connection.
    fn hosted(&self, connection: u64, actor_id: &ByteString) -> Option<(&Here, &Actor)> {
        let id = self.hosts.of_connection(connection)?;
        let host = self.hosts.get(id)?;
        let here = host.here.as_ref().filter(|here| here.connection == connection)?;
        let key = ActorKey { pool: host.key.as_ref()?.pool.clone(), actor_id: actor_id.clone() };
        let actor = self.actors.get(self.actors.slot(&key)?)?;
        (actor.at == Some(id)).then_some((here, actor))
    }

    fn tick(&mut self, now: Time) {
        while let Some((deadline, owner)) = self.deadlines.pop_due(now) {
            match (deadline, owner) {
                (Deadline::Start, Owner::Actor(slot)) => self.start_timed_out(slot, now),
                (Deadline::UnstartedStop | Deadline::Stop, Owner::Actor(slot)) => self.stop_timed_out(slot, now),
                (Deadline::Finish, Owner::Actor(slot)) => self.finish_timed_out(slot),
                (Deadline::BackOff(_), Owner::Actor(slot)) => self.wait(slot, now),
                (Deadline::Directory, Owner::Actor(slot)) => self.change_again(slot, now),
                (Deadline::Registry, Owner::Actor(slot)) => self.ask_registry_again(slot, now),
                (Deadline::Lost, Owner::Runner(id)) => self.lost(id, now),
                (Deadline::Unseen, Owner::Runner(id)) => {
                    self.counted.runners_unseen += 1;
                    self.lost(id, now);
                }
                (Deadline::Stray, Owner::Runner(id)) => self.stop_strays(id, now),
                (Deadline::OutlivedStop, Owner::Runner(id)) => self.outlived_timed_out(id, now),
                (Deadline::Acknowledge, Owner::Runner(id)) => self.acknowledge(id, now),
                (Deadline::LookAgain, Owner::LeftOut) => self.look_again(),
                (
                    Deadline::Start
                    | Deadline::UnstartedStop
                    | Deadline::Stop
                    | Deadline::Finish
                    | Deadline::BackOff(_)
                    | Deadline::Directory
                    | Deadline::Registry,
                    Owner::Runner(_) | Owner::LeftOut,
                )
                | (
                    Deadline::Lost
                    | Deadline::Unseen
                    | Deadline::Stray
                    | Deadline::OutlivedStop
                    | Deadline::Acknowledge,
                    Owner::Actor(_) | Owner::LeftOut,
                )
                | (Deadline::LookAgain, Owner::Actor(_) | Owner::Runner(_)) => {
                    unreachable!("{deadline:?} is not armed for {owner:?}")
                }
            }
        }
        let unix_ms = self.wall.unix_ms(now);
        while let Some(slot) = self.alarms.ring(unix_ms) {
            self.counted.woken += 1;
            self.wait(slot, now);
        }
    }

    fn cancel(&mut self, armed: Option<Armed>) {
        if let Some(armed) = armed {
            self.deadlines.cancel(armed);
        }
    }

    fn log(&mut self, notice: Notice) {
        self.actions.push_back(Action::Log(notice));
    }
}

/// What a supervisor is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its limits and deadlines.
    pub config: Config,
    /// Its relay's id.
    pub relay: RelayId,
}

impl Machine for Supervisor {
    type Origin = Origin;
    type Event = Event;
    type Action = Action;
    type Stats = Stats;

    fn made_of(Origin { config, relay }: Origin, now: Time) -> Result<Self, ConfigError> {
        Supervisor::new(config, relay, now)
    }

    fn handle(&mut self, event: Event, now: Time) -> Result<(), ApiMisuse> {
        match event {
            Event::Tick => {}
            Event::WallClock { unix_ms } => self.wall.set(now, unix_ms),
            Event::Greeted(greeted) => self.greeted(greeted, now)?,
            Event::Answered { connection } => self.answered(connection, now)?,
            Event::Stopping { connection } => self.stopping(connection, now)?,
            Event::Draining { connection } => self.connection_drains(connection, now)?,
            Event::Disconnected { connection } => self.disconnected(connection, now)?,
            Event::Events { connection, events } => self.said(connection, events, now)?,
            Event::LeftBehind { connection, actor_id, generation } => {
                self.left_behind(connection, actor_id, generation, now)?;
            }
            Event::AckCommands { connection, acknowledged } => self.commands_taken(connection, acknowledged)?,
            Event::RoutesEnded { actor, generation } => self.routes_ended(&actor, generation, now),
            Event::Runner(seen) => self.runner_seen(seen, now),
            Event::Actor(seen) => self.actor_seen(seen, now),
            Event::Changed { actor, outcome } => self.changed(&actor, outcome, now),
            Event::Registered { actor, sockets } => self.registered(actor, sockets, now),
            Event::DirectoryBack => self.directory_back(now),
            Event::DirectoryAway => self.directory_away(),
            Event::Drain => self.drain(now),
        }
        self.tick(now);
        Ok(())
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        if !self.actions.is_empty() {
            return Some(Time::ZERO);
        }
        let alarm = self.alarms.next().map(|unix_ms| self.wall.when(unix_ms));
        self.deadlines.next_due().into_iter().chain(alarm).min()
    }

    fn stats(&self) -> Stats {
        let (held_events, held_bytes) = self.hosts.held();
        Stats {
            actors: self.actors.len(),
            runners: self.hosts.len(),
            connections: self.hosts.connections(),
            hosted: self.actors.hosted(),
            waiting: self.hosts.waiting(),
            alarms: self.alarms.len(),
            asking: self.questions.len(),
            held_events,
            held_bytes,
            deadlines: self.deadlines.len(),
            ..self.counted.clone()
        }
    }
}
