//! A relay whose runners' actors have state, in noise.

use std::time::Duration;

use crate::given::hosting::{Hosting, hosting_with, init};
use crate::given::relay::{start, websocket_open};
use crate::given::restoring::{close, from_client, from_handler, of_socket};
use crate::given::supervisor::{alarm, event, running, sleeps, stopped, stops};
use crate::wire::{message_id, response_start};
use underpass_core::Machine;
use underpass_core::bus::{Publication, PublishError, Rejected};
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::kv::{KvRequest, KvRequestData, KvResponseData};
use underpass_core::protocol::to_server::{AckCommands, Event as OfActor, StopCode};
use underpass_core::protocol::tunnel::ToServerTunnelMessage;
use underpass_core::protocol::{MessageId, RequestId, ToServer, Version};
use underpass_core::relay::{self, Action, Config, Event};

use super::Noise;

const ACTORS: [&str; 3] = ["default", "other", "third"];
const KEYS: [&str; 3] = ["a", "b", "c"];

/// Runners of one relay, and what is open there.
#[derive(Debug)]
pub struct Runners {
    hosting: Hosting,
    /// What decides.
    pub noise: Noise,
    last: u64,
    open: Vec<u64>,
    calls: Vec<(u64, u64)>,
    alarm: i64,
    index: i64,
    /// The last publication.
    published: Vec<Publication>,
}

impl Runners {
    /// With noise of any source.
    pub fn new(noise: Noise) -> Self {
        let config = Config {
            max_kv_calls: 2,
            max_kv_waiting: 100,
            ping_interval: Duration::from_secs(3),
            ..crate::given::relay::calm()
        };
        let (hosting, open, calls) = (hosting_with(config), Vec::new(), Vec::new());
        Runners { hosting, noise, last: 0, open, calls, alarm: 1_700_000_000_000, index: 0, published: Vec::new() }
    }

    /// Something about sockets that can hibernate: what the registry says of them, and what is said on them.
    fn hibernates(&mut self, number: u64) {
        let actor = self.noise.pick(&ACTORS);
        let id = of_socket(self.noise.below(4) as u8, self.noise.below(3) as u16);
        match self.noise.below(8) {
            0 | 1 => {
                let sockets: Vec<u8> = (0..self.noise.below(4)).map(|_| self.noise.below(4) as u8).collect();
                self.hosting.sleep_at_gateways(actor, &sockets);
            }
            2 => {
                let away = self.noise.once_in(2);
                self.hosting.registry_is_away(away);
            }
            3 => {
                let Some(publication) = self.published.pop() else { return };
                let reason = self.noise.pick(&[PublishError::Full, PublishError::NoResponders]);
                self.hosting.input(Event::PublishFailed(Rejected { publication, reason }));
            }
            _ if number == 0 => {}
            4 => drop(self.hosting.gateway_pings(number, id, 1)),
            5 => drop(self.hosting.asks(number, id, from_client(b"x"))),
            6 => drop(self.hosting.answers(number, id, close(1000, "", self.noise.once_in(2)))),
            _ => {
                let said = ToServerTunnelMessage { message_id: id, message_kind: from_handler(b"x") };
                self.hosting.tries_to_say(number, ToServer::TunnelMessage(said));
            }
        }
    }

    fn id(&mut self) -> MessageId {
        message_id(RequestId([self.noise.below(250) as u8; 4]), 0)
    }

    fn of_actor(&mut self) -> OfActor {
        self.alarm += 1_000;
        let codes = [StopCode::Ok, StopCode::Error];
        match self.noise.below(24) {
            0 => stopped(self.noise.pick(&codes)),
            1 => sleeps(),
            2 => stops(),
            3 => alarm(Some(self.alarm)),
            _ => running(),
        }
    }

    /// Something happens.
    pub fn step(&mut self) {
        let number = if self.open.is_empty() { 0 } else { self.noise.pick(&self.open) };
        let actor = self.noise.pick(&ACTORS);
        match self.noise.below(24) {
            0 if self.open.len() < 5 => {
                self.last += 1;
                self.open.push(self.last);
                let (key, version) = (self.noise.pick(&KEYS), self.noise.pick(&Version::ALL));
                self.hosting.connects(self.last, key, version);
                if !self.noise.once_in(10) {
                    self.hosting.says(self.last, init(self.noise.below(5) as u32));
                }
            }
            1 | 2 => drop(self.hosting.wants(actor)),
            3 if self.noise.once_in(4) => drop(self.hosting.input(Event::DirectoryAway)),
            3 | 4 => drop(self.hosting.directory_back()),
            5 => drop(self.hosting.passes(Duration::from_millis(self.noise.below(1_000) as u64))),
            6 if !self.calls.is_empty() => {
                let (connection, number) = self.calls.remove(0);
                self.hosting.input(Event::KvAnswered { connection, number, data: KvResponseData::Put });
            }
            7 if number > 0 && self.noise.once_in(5) => self.cut(number),
            8 if number > 0 && self.noise.once_in(8) => drop(self.hosting.says(number, ToServer::Stopping)),
            8 if number > 0 && self.noise.once_in(30) => {
                self.hosting.input(Event::TextFromRunner { connection: number });
            }
            8 | 9 if number > 0 => drop(self.hosting.input(Event::PeerBlocked { connection: number })),
            10 if number > 0 => drop(self.hosting.input(Event::PeerWritable { connection: number })),
            11..14 if number > 0 => drop(self.hosting.pongs(number)),
            11..14 if self.noise.once_in(2) => self.hibernates(number),
            14 if number > 0 => {
                let call = KvRequest { actor_id: actor.into(), request_id: 1, data: KvRequestData::Drop };
                self.hosting.says(number, ToServer::KvRequest(call));
            }
            15..18 if number > 0 => {
                let (id, socket) = (self.id(), self.noise.once_in(2));
                self.hosting.asks(number, id, if socket { websocket_open() } else { start(None) });
            }
            18 if number > 0 => {
                let id = self.id();
                self.hosting.answers(number, id, response_start(200, None, false));
            }
            19 if number > 0 && self.noise.once_in(3) => {
                let taken = ActorCheckpoint { actor_id: actor.into(), generation: 1, index: 0 };
                let taken = AckCommands { last_command_checkpoints: vec![taken] };
                self.hosting.tries_to_say(number, ToServer::AckCommands(taken));
            }
            19..24 if number > 0 => {
                let generation = 1 + self.noise.below(4) as u32;
                // Some come twice.
                self.index += i64::from(!self.noise.once_in(4));
                let index = self.index;
                let generation =
                    self.hosting.generation(actor).filter(|_| !self.noise.once_in(4)).unwrap_or(generation);
                let what = self.of_actor();
                self.hosting.tells(number, vec![event(actor, generation, index, what)]);
            }
            _ => {}
        }
        for action in self.hosting.saw() {
            match action {
                Action::Kv { connection, number, .. } => self.calls.push((connection, number)),
                Action::Close { connection, .. } => self.cut(connection),
                Action::Publish(publication) => self.published = vec![publication],
                _ => {}
            }
        }
        for number in self.open.clone() {
            self.hosting.heard(number);
        }
        let stats = self.hosting.story.machine.stats();
        assert!(stats.kv_open <= 2 * self.open.len() && stats.supervisor.connections <= self.open.len(), "{stats:?}");
    }

    fn cut(&mut self, number: u64) {
        self.hosting.heard(number);
        self.hosting.cuts(number);
        self.open.retain(|open| *open != number);
    }

    /// All is over, and nothing is held.
    ///
    /// # Panics
    /// If something is.
    pub fn over(mut self) -> relay::Stats {
        let stats = self.hosting.story.machine.stats();
        for number in self.open.clone() {
            self.cut(number);
        }
        self.hosting.directory_back();
        self.hosting.ends();
        stats
    }
}
