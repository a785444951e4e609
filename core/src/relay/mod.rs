//! The relay: holds runners' connections, carries frames, and decides who may answer.

mod actors;
mod ageing;
mod carry;
mod config;
mod connection;
mod drain;
mod end;
mod ending;
mod event;
mod gateways;
mod hibernation;
mod kv;
mod notice;
mod pings;
mod pools;
mod probes;
mod registration;
mod ring;
mod routes;
mod session;
mod stats;
mod strands;
mod supervise;
mod tombstones;

use std::collections::{BTreeSet, VecDeque};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

pub use config::Config;
pub use event::{Action, Event};
pub use notice::Notice;
pub use pools::PoolKind;
pub use stats::{Ends, Stats, Timeouts};

use self::ageing::Ageing;
use self::connection::{Connection, Session};
use self::drain::Drain;
use self::ending::Endings;
use self::hibernation::Untold;
use self::kv::Stores;
use self::pools::Pools;
use self::registration::Registration;
use self::routes::Routes;
use crate::bus::RelayId;
use crate::error::{ApiMisuse, ConfigError};
use crate::http::Close;
use crate::machine::Machine;
use crate::machine::deadline::Deadlines;
use crate::machine::random::Random;
use crate::observe::{Latest, News};
use crate::supervisor::{self, Supervisor};
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
    endings: Endings,
    /// Restored routes whose gateways are told again.
    untold: Untold,
    /// Connections of which something is held that was said on WebSockets which may be restored.
    holding: BTreeSet<u64>,
    stores: Stores,
    deadlines: Deadlines<Deadline, u64>,
    actions: VecDeque<Action>,
    news: Latest,
    drain: Drain,
    supervisor: Supervisor,
    /// How many changes of actors' records are under way.
    actor_changes: usize,
    /// Connections that were closed or have ended, and that the supervisor still counts on.
    left: Vec<u64>,
    pools: Pools,
    ageing: Ageing,
    /// The gauges in it are filled in when it is asked for.
    counted: Stats,
}

/// How many WebSockets a start's command can name: what else it says is short, and no version has more bytes for one.
fn most_restored(config: &Config) -> usize {
    const REST: usize = 4_096;
    const SOCKET: usize = 40;
    config.max_frame.saturating_sub(REST.saturating_add(config.supervisor.max_actor_id.saturating_mul(4))) / SOCKET
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
    /// The runner's record is written anew.
    Refresh,
    /// Nobody took the connection that a runner moved from out of its record.
    Moving,
    /// The directory, which was away, is asked again.
    Directory,
    /// It drains alone: whether anything is open on it is looked at.
    DrainIdle,
    /// It drains alone, and its published runner is waited for no longer.
    DrainPublished,
    /// It drains alone, and nothing is waited for any longer.
    DrainLimit,
}

impl Relay {
    /// A relay with an id that it alone has, and a seed for the ids that it gives.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn new(mut config: Config, id: RelayId, seed: u64, now: Time) -> Result<Self, ConfigError> {
        /// What a response has besides what its entries count.
        const RESPONSE_OVERHEAD: usize = 64;
        config.validate()?;
        config.kv.max_answer = config.kv.max_answer.min(config.max_frame.saturating_sub(RESPONSE_OVERHEAD));
        config.supervisor.max_restored = config.supervisor.max_restored.min(most_restored(&config));
        let supervisor = Supervisor::new(config.supervisor.clone(), id, now)?;
        let mut wall = WallClock::default();
        wall.set(now, 0);
        let waits = [
            (Deadline::Init, config.init),
            (Deadline::Ping, config.ping_interval),
            (Deadline::Pong, config.pong),
            (Deadline::Refresh, config.refresh),
            (Deadline::Moving, config.moving),
            (Deadline::Directory, config.directory_retry),
            (Deadline::DrainIdle, config.drain_idle),
            (Deadline::DrainPublished, config.drain_published),
        ];
        let drain_limit = config.drain_limit.map(|limit| (Deadline::DrainLimit, limit));
        let deadlines = Deadlines::new(waits.into_iter().chain(drain_limit));
        let routes = Routes::new(config.tombstone, config.max_tombstones, config.gateway_silent);
        let endings = Endings::new(config.abort_again, config.abort_give_up, config.max_ending);
        let untold = Untold::new(config.abort_again);
        Ok(Relay {
            supervisor,
            actor_changes: 0,
            left: Vec::new(),
            stores: Stores::new(config.kv_answer),
            pools: Pools::new(config.supervisor.max_runners),
            ageing: Ageing::new(config.runner_forgotten, config.supervisor.max_runners),
            config,
            id,
            random: Random::new(seed),
            wall,
            connections: HashMap::new(),
            registrations: HashMap::new(),
            routes,
            endings,
            untold,
            holding: BTreeSet::new(),
            deadlines,
            actions: VecDeque::new(),
            news: Latest::default(),
            drain: Drain::Serving,
            counted: Stats::default(),
        })
    }

    /// The id that it was made with.
    pub fn id(&self) -> RelayId {
        self.id
    }

    fn tick(&mut self, now: Time) {
        self.routes.tick(now);
        self.lose_silent_gateways(now);
        self.tell_again(now);
        self.tell_restored_again(now);
        self.give_up_stores(now);
        self.forget_runners(now);
        while let Some((deadline, number)) = self.deadlines.pop_due(now) {
            match deadline {
                Deadline::Init => {
                    if let Some(connection) = self.connections.get_mut(&number) {
                        // The deadline that the session held has just been taken.
                        connection.session = Session::Registering;
                    }
                    self.counted.timeouts.init += 1;
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
                    self.counted.timeouts.pong += 1;
                    self.give_up(number, Notice::PongTimeout, Close::new(1011, "relay.pong_timeout"));
                }
                Deadline::Refresh => {
                    if let Some(connection) = self.connections.get_mut(&number) {
                        connection.refresh = None;
                    }
                    self.refresh(number, now);
                }
                Deadline::Moving => self.take_moving_out(number),
                Deadline::Directory => self.change_again(number),
                Deadline::DrainIdle => self.drain_idle_due(number, now),
                Deadline::DrainPublished => {
                    let closed = self.drain_over(number, now);
                    self.counted.timeouts.drain_published += u64::from(closed);
                }
                Deadline::DrainLimit => {
                    let closed = self.drain_over(number, now);
                    self.counted.timeouts.drain_limit += u64::from(closed);
                }
            }
        }
        if self.supervisor.poll_timeout().is_some_and(|due| due <= now) {
            self.tell_supervisor(supervisor::Event::Tick, now);
        }
        self.supervise(now);
        if self.drain.has_begun() {
            self.go_on_draining(now);
            // What a drain ended is the end of actors' routes, too.
            self.supervise(now);
        }
        self.judge_held(now);
    }

    /// Closes a connection, and tells people why.
    fn give_up(&mut self, number: u64, notice: Notice, close: Close) {
        let Some(connection) = self.connections.get(&number) else { return };
        if matches!(connection.session, Session::Closing) {
            return;
        }
        self.actions.push_back(Action::Log { connection: number, notice });
        self.close(number, close);
    }
}

/// What a relay is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its limits and deadlines.
    pub config: Config,
    /// Its id.
    pub id: RelayId,
    /// From which its random numbers come.
    pub seed: u64,
}

impl Machine for Relay {
    type Origin = Origin;
    type Event = Event;
    type Action = Action;
    type Stats = Stats;

    fn made_of(Origin { config, id, seed }: Origin, now: Time) -> Result<Self, ConfigError> {
        Relay::new(config, id, seed, now)
    }

    fn handle(&mut self, event: Event, now: Time) -> Result<(), ApiMisuse> {
        self.news.begin();
        match event {
            Event::Tick => {}
            Event::WallClock { unix_ms } => {
                self.wall.set(now, unix_ms);
                self.tell_supervisor(supervisor::Event::WallClock { unix_ms }, now);
            }
            Event::Connected { connection, hello } => self.connected(connection, hello, now)?,
            Event::FromRunner { connection, frame } => self.runner_sent(connection, frame, now),
            Event::TextFromRunner { connection } => self.runner_sent_text(connection),
            Event::Ponged { connection } => self.ponged(connection, now),
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
            Event::NoResponders { gateway } => self.nobody_listens(gateway, now),
            Event::Lost { from } => self.frames_lost(from),
            Event::Runner(seen) => {
                for clash in self.pools.seen(&seen) {
                    self.other_kind(clash);
                }
                self.ageing.seen(&seen, self.id, now);
                self.tell_supervisor(supervisor::Event::Runner(seen), now);
            }
            Event::Actor(seen) => self.tell_supervisor(supervisor::Event::Actor(seen), now),
            Event::ActorChanged { actor, outcome } => {
                self.actor_changes = self.actor_changes.saturating_sub(1);
                self.tell_supervisor(supervisor::Event::Changed { actor, outcome }, now);
            }
            Event::Registered { actor, sockets } => {
                self.tell_supervisor(supervisor::Event::Registered { actor, sockets }, now);
            }
            Event::DirectoryBack => self.tell_supervisor(supervisor::Event::DirectoryBack, now),
            Event::DirectoryAway => {
                self.pools.begin_anew();
                self.ageing.begin_anew();
                self.tell_supervisor(supervisor::Event::DirectoryAway, now);
            }
            Event::KvAnswered { connection, number, data } => {
                self.kv_answered(connection, number, data, now);
            }
            Event::DrainRunner { connection } => self.drain_runner(connection, now),
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
        let dues = [
            self.deadlines.next_due(),
            self.routes.next_due(),
            self.endings.next_due(),
            self.untold.next_due(),
            self.stores.next_due(),
            self.ageing.next_due(),
            self.drain.next_due(),
            self.supervisor.poll_timeout(),
        ];
        dues.into_iter().flatten().min()
    }

    fn news(&self) -> &[News] {
        self.news.as_slice()
    }

    fn stats(&self) -> Stats {
        let connections = || self.connections.values();
        Stats {
            connections: self.connections.len(),
            ready: connections().filter(|connection| matches!(connection.session, Session::Ready)).count(),
            registrations: self.registrations.len(),
            routes: self.routes.open_len() + self.endings.len(),
            ending: self.endings.len(),
            ageing: self.ageing.len(),
            tombstones: self.routes.tombstones(),
            deadlines: self.deadlines.len()
                + self.routes.deadlines()
                + self.endings.deadlines()
                + self.untold.len()
                + self.stores.len()
                + self.ageing.deadlines()
                + self.drain.deadlines(),
            buffered: connections().map(|it| it.backlog.held() + it.early.held() + it.held.held()).sum(),
            kv_open: connections().map(|connection| connection.calls.open()).sum(),
            kv_waiting: connections().map(|connection| connection.calls.held()).sum(),
            supervisor: self.supervisor.stats(),
            ..self.counted.clone()
        }
    }
}
