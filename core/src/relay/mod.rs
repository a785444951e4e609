//! The relay: holds runners' connections, carries frames, and decides who may answer.

mod abilities;
mod carry;
mod config;
mod connection;
mod event;
pub mod handshake;
mod notice;
mod registration;
mod routes;
mod session;
mod stats;

use std::collections::VecDeque;

use hashbrown::HashMap;

pub(crate) use abilities::write as write_abilities;
pub use config::Config;
pub use event::{Action, Event, Hello};
pub use notice::Notice;
pub use stats::Stats;

use self::connection::{Connection, Session};
use self::registration::Registration;
use self::routes::Routes;
use crate::bus::RelayId;
use crate::error::{ApiMisuse, ConfigError};
use crate::http::Close;
use crate::machine::Machine;
use crate::machine::deadline::Deadlines;
use crate::machine::random::Random;
use crate::time::{Time, WallClock};

/// The relay's machine.
#[derive(Debug)]
pub struct Relay {
    config: Config,
    id: RelayId,
    random: Random,
    wall: WallClock,
    connections: HashMap<u64, Connection>,
    /// Of connections that are open, and of those whose record is still to be changed.
    registrations: HashMap<u64, Registration>,
    routes: Routes,
    deadlines: Deadlines<Deadline, u64>,
    actions: VecDeque<Action>,
    draining: bool,
    drained: bool,
    /// The gauges in it are filled in when it is asked for.
    counted: Stats,
}

/// The named deadlines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    /// Init must have come.
    Init,
    /// The next ping is to be sent.
    Ping,
    /// Something must have come.
    Pong,
    /// The directory, which was away, is asked again.
    Directory,
}

impl Relay {
    /// A relay with an id that it alone has, and a seed for the ids that it gives.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn new(config: Config, id: RelayId, seed: u64, now: Time) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut wall = WallClock::default();
        wall.set(now, 0);
        let deadlines = Deadlines::new([
            (Deadline::Init, config.init),
            (Deadline::Ping, config.ping_interval),
            (Deadline::Pong, config.pong),
            (Deadline::Directory, config.directory_retry),
        ]);
        let routes = Routes::new(config.tombstone, config.max_tombstones);
        Ok(Relay {
            config,
            id,
            random: Random::new(seed),
            wall,
            connections: HashMap::new(),
            registrations: HashMap::new(),
            routes,
            deadlines,
            actions: VecDeque::new(),
            draining: false,
            drained: false,
            counted: Stats::default(),
        })
    }

    /// The id that it was made with.
    pub fn id(&self) -> RelayId {
        self.id
    }

    fn tick(&mut self, now: Time) {
        self.routes.tick(now);
        while let Some((deadline, number)) = self.deadlines.pop_due(now) {
            match deadline {
                Deadline::Init => {
                    if let Some(connection) = self.connections.get_mut(&number) {
                        // The deadline that the session held has just been taken.
                        connection.session = Session::Registering;
                    }
                    self.counted.init_timeouts += 1;
                    self.give_up(number, Notice::InitTimeout, Close::new(1008, "relay.init_timeout"));
                }
                Deadline::Ping => {
                    if let Some(connection) = self.connections.get_mut(&number) {
                        connection.ping = None;
                    }
                    self.ping(number, now);
                }
                Deadline::Pong => {
                    if let Some(connection) = self.connections.get_mut(&number) {
                        connection.pong = None;
                    }
                    self.counted.pong_timeouts += 1;
                    self.give_up(number, Notice::PongTimeout, Close::new(1011, "relay.pong_timeout"));
                }
                Deadline::Directory => self.change_again(number),
            }
        }
    }

    /// Closes a connection, and tells people why.
    fn give_up(&mut self, number: u64, notice: Notice, close: Close) {
        self.actions.push_back(Action::Log { connection: number, notice });
        self.close(number, close);
    }

    fn drain(&mut self) {
        if self.draining {
            return;
        }
        self.draining = true;
        let mut numbers: Vec<u64> = self.connections.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            self.close(number, Close::new(1001, "relay.draining"));
        }
        self.note_drained();
    }
}

impl Machine for Relay {
    type Event = Event;
    type Action = Action;
    type Stats = Stats;

    fn handle(&mut self, event: Event, now: Time) -> Result<(), ApiMisuse> {
        match event {
            Event::Tick => {}
            Event::WallClock { unix_ms } => self.wall.set(now, unix_ms),
            Event::Connected { connection, hello } => self.connected(connection, hello, now)?,
            Event::FromRunner { connection, frame } => self.runner_sent(connection, frame, now),
            Event::Disconnected { connection } => self.disconnected(connection)?,
            Event::PeerBlocked { connection } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.backlog.block();
                }
            }
            Event::PeerWritable { connection } => self.writable(connection),
            Event::FromBus { connection, frame } => self.bus_brought(connection, frame, now),
            Event::PublishFailed(rejected) => self.publish_failed(&rejected, now),
            Event::Directory { connection, outcome } => self.directory(connection, outcome, now),
            Event::Drain => self.drain(),
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
        self.deadlines.next_due().into_iter().chain(self.routes.next_due()).min()
    }

    fn stats(&self) -> Stats {
        let connections = || self.connections.values();
        Stats {
            connections: self.connections.len(),
            ready: connections().filter(|connection| matches!(connection.session, Session::Ready)).count(),
            routes: self.routes.open_len(),
            tombstones: self.routes.tombstones(),
            deadlines: self.deadlines.len(),
            buffered: connections().map(|connection| connection.backlog.held()).sum(),
            ..self.counted.clone()
        }
    }
}
