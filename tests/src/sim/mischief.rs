//! Faults begin and end.

use core::time::Duration;

use underpass_core::bus::ConnectionId;
use underpass_core::failure::RequestName;
use underpass_core::protocol::tunnel::ToServerTunnelMessage;
use underpass_core::protocol::tunnel::to_server::{Kind as Word, ResponseStart, WebSocketMessageAck};
use underpass_core::protocol::{Map, MessageId, ToServer, Version};
use underpass_transport_mem::sim::{Losses, Node, Reach, SocketId};

use super::faults::{Fault, Host, What};
use super::fleet::Slot;
use super::trace::About;
use super::workload::Wish;
use super::world::{Own, World};

/// Between two of a fault that comes again and again.
const AGAIN: Duration = Duration::from_millis(90);

impl Fault {
    /// How often it comes again.
    pub(super) fn repeats(&self) -> u32 {
        match self.what {
            What::Forge { .. } | What::Acknowledge { .. } => 30,
            What::Lose(_)
            | What::Repeat { .. }
            | What::Bus { .. }
            | What::Cut { .. }
            | What::HalfOpen { .. }
            | What::Stall { .. }
            | What::Crash(_)
            | What::Pause(_)
            | What::Jump(_)
            | What::DirectoryAway
            | What::DirectoryCutOff(_)
            | What::Drain(_)
            | What::SecondRunner(_)
            | What::Misacknowledge
            | What::CrashActor { .. }
            | What::LullActor { .. }
            | What::SetAlarm { .. } => 0,
        }
    }
}

impl World<'_> {
    pub(super) fn fault_begins(&mut self, index: usize, again: u32) {
        if self.is_calm() {
            return;
        }
        let fault = self.schedule.faults[index].clone();
        // Nothing lasts longer than until all is mended.
        let left = self.schedule.calm().saturating_sub(Duration::from_micros(self.network.now().as_micros()));
        let lasts = fault.lasts.min(left);
        self.seen.insert(fault.what.kind());
        self.note(None, About::Nobody, 0xf0 + index as u64, || format!("## {:?} for {lasts:?}", fault.what));
        if again > 0 {
            self.remind(AGAIN, Own::Begin(index, again - 1));
        }
        match fault.what {
            What::Lose(losses) => self.network.lose(losses),
            What::Repeat { per_million } => self.network.repeat(per_million),
            What::Bus { host, reach } => self.at(host, |world, node| world.network.reaches_bus(node, reach)),
            What::Cut { pick } => self.at_socket(pick, |world, socket| world.network.cut(socket)),
            What::HalfOpen { pick } => self.at_socket(pick, |world, socket| world.goes_silent(socket, lasts)),
            What::Stall { pick } => self.at_socket(pick, |world, socket| world.network.stall(socket, lasts)),
            What::Crash(host) => {
                self.ends(host);
                self.remind(lasts, Own::Start(host));
            }
            What::Pause(host) => self.at(host, |world, node| world.network.pause(node)),
            What::Jump(host) => self.at(host, |world, node| world.network.jump(node, fault.lasts)),
            What::DirectoryAway => self.network.directory_away(true),
            What::DirectoryCutOff(host) => {
                self.at(host, |world, node| world.network.cut_off_from_directory(node, true));
            }
            What::Drain(host) => self.drain(host, Some(lasts)),
            What::SecondRunner(of) if of >= self.schedule.fleet.hosts.runners => {
                self.second_published(of - self.schedule.fleet.hosts.runners);
            }
            What::SecondRunner(of) => {
                let count = self.schedule.fleet.hosts.runners;
                let place = (1..)
                    .map(|round| of + round * count)
                    .find(|place| self.runners.get(*place).is_none_or(|slot| slot.running().is_none()));
                let Some(place) = place else { return };
                while self.runners.len() <= place {
                    self.runners.push(Slot::default());
                }
                self.start(Host::Runner(place));
            }
            What::Forge { pick } => self.forge(pick),
            What::Acknowledge { pick } => self.acknowledge(pick),
            What::Misacknowledge => self.lies = true,
            What::CrashActor { pick } => self.actor_ends(pick),
            What::LullActor { pick } => self.actor_wishes(pick, None),
            What::SetAlarm { pick } => self.actor_wishes(pick, Some(lasts)),
        }
        if !lasts.is_zero() && again == 0 {
            self.remind(lasts, Own::End(index));
        }
    }

    pub(super) fn fault_ends(&mut self, index: usize) {
        if self.is_calm() {
            return;
        }
        match &self.schedule.faults[index].what {
            What::Lose(_) => self.network.lose(Losses::default()),
            What::Repeat { .. } => self.network.repeat(0),
            What::Bus { host, .. } => self.at(*host, |world, node| world.network.reaches_bus(node, Reach::Whole)),
            What::Pause(host) => self.at(*host, |world, node| world.network.resume(node)),
            What::DirectoryAway => self.network.directory_away(false),
            What::Misacknowledge => self.lies = false,
            What::DirectoryCutOff(host) => {
                self.at(*host, |world, node| world.network.cut_off_from_directory(node, false));
            }
            // Those end by themselves, or not at all.
            What::Cut { .. }
            | What::HalfOpen { .. }
            | What::Stall { .. }
            | What::Crash(_)
            | What::Jump(_)
            | What::Drain(_)
            | What::SecondRunner(_)
            | What::Forge { .. }
            | What::Acknowledge { .. }
            | What::CrashActor { .. }
            | What::LullActor { .. }
            | What::SetAlarm { .. } => {}
        }
    }

    /// All faults end, and what went comes back.
    pub(super) fn mend(&mut self) {
        self.network.lose(Losses::default());
        self.network.repeat(0);
        self.network.directory_away(false);
        self.lies = false;
        for place in 1..self.hosts.len() {
            let node = Node(place as u32);
            if self.network.is_alive(node) {
                self.network.reaches_bus(node, Reach::Whole);
                self.network.cut_off_from_directory(node, false);
                self.network.resume(node);
            }
        }
        let hosts = self.schedule.fleet.hosts;
        for index in 0..hosts.gateways {
            self.start(Host::Gateway(index));
        }
        for index in 0..hosts.relays {
            self.start(Host::Relay(index));
        }
        for of in 0..hosts.runners {
            let mut same = self.runners.iter().enumerate().filter(|(index, _)| index % hosts.runners == of);
            if !same.any(|(_, slot)| slot.running().is_some()) {
                self.start(Host::Runner(of));
            }
        }
        for of in 0..hosts.published {
            let mut same = self.published.iter().enumerate().filter(|(index, _)| index % hosts.published == of);
            if !same.any(|(_, slot)| slot.running().is_some()) {
                self.start(Host::Published(of));
            }
        }
    }

    fn at(&mut self, host: Host, what: impl FnOnce(&mut Self, Node)) {
        if let Some(node) = self.node(host) {
            what(self, node);
        }
    }

    fn at_socket(&mut self, pick: u64, what: impl FnOnce(&mut Self, SocketId)) {
        let sockets: Vec<SocketId> = self.network.open_sockets().collect();
        if !sockets.is_empty() {
            what(self, sockets[pick as usize % sockets.len()]);
        }
    }

    /// A runner that is connected: its node, its socket, and its connection there.
    fn some_connection(&self, pick: u64) -> Option<(usize, Node, SocketId, ConnectionId)> {
        let index = pick as usize % self.runners.len();
        let slot = &self.runners[index];
        let (node, socket) = (slot.running()?, *slot.process.as_ref()?.sockets.values().next_back()?);
        Some((index, node, socket, self.connection_of(socket)?))
    }

    /// A published runner that is connected, and whose version says what ours says.
    fn some_published_connection(&self, pick: u64) -> Option<(Node, SocketId, ConnectionId)> {
        let count = self.published.len();
        let slot = self.published.get(pick as usize % count.max(1))?;
        let (node, process) = (slot.running()?, slot.process.as_ref()?);
        let socket = process.link.open().filter(|_| process.version() >= Version::V4)?;
        Some((node, socket, self.connection_of(socket)?))
    }

    /// A socket as its relay knows it.
    fn connection_of(&self, socket: SocketId) -> Option<ConnectionId> {
        let (_, relay) = self.network.ends_of(socket);
        let relay = self.relays.iter().find(|slot| slot.running() == Some(relay))?;
        let relay = relay.process.as_ref()?.machine.id();
        Some(ConnectionId { relay, number: u64::from(socket.0) })
    }

    /// A runner answers what another was asked.
    fn forge(&mut self, pick: u64) {
        let published = if pick & 1 == 1 { self.some_published_connection(pick) } else { None };
        let own = || self.some_connection(pick).map(|(_, node, socket, connection)| (node, socket, connection));
        let Some((node, socket, connection)) = published.or_else(own) else { return };
        let names = self.wire.open_elsewhere(connection);
        if names.is_empty() {
            return;
        }
        let start = ResponseStart { status: 200, headers: Map::default(), body: Some("forged".into()), stream: false };
        let word = Word::ResponseStart(start);
        self.say(node, socket, names[(pick >> 32) as usize % names.len()], word);
    }

    /// A runner that says that it can do little acknowledges messages: the next one that has a WebSocket open.
    fn acknowledge(&mut self, pick: u64) {
        let fleet = &self.schedule.fleet;
        for place in 0..self.runners.len() as u64 {
            let Some((index, node, socket, connection)) = self.some_connection(pick.wrapping_add(place)) else {
                continue;
            };
            if !fleet.elders[index % fleet.hosts.runners] {
                continue;
            }
            let mut names = self.wire.open_on(connection);
            names.retain(|name| {
                let client = self.named.get(name).and_then(|number| self.clients[*number as usize].as_ref());
                client.is_some_and(|client| matches!(client.plan.wish, Wish::WebSocket(_)))
            });
            if names.is_empty() {
                continue;
            }
            for name in names {
                self.say(node, socket, name, Word::WebSocketMessageAck(WebSocketMessageAck { index: 0 }));
            }
            return;
        }
    }

    fn say(&mut self, node: Node, socket: SocketId, name: RequestName, message_kind: Word) {
        let RequestName { gateway_id, request_id } = name;
        let message_id = MessageId { gateway_id, request_id, message_index: 0 };
        let message = ToServer::TunnelMessage(ToServerTunnelMessage { message_id, message_kind });
        self.note(None, About::Wire(name), 0xf09, || format!("## {message:?}"));
        let _ = self.network.send(socket, node, message.encode());
    }
}
