//! A published runner's process: not a machine of ours, but a model of how `@rivetkit/engine-runner` behaves.
//!
//! | file | concern |
//! | --- | --- |
//! | `speech` | its version of the protocol |
//! | here | its connection: dialling, greeting, losing and finding it again, shutting down |
//! | `actors` | the actors that it hosts, and what they keep |
//! | `exchanges` | requests, and the handlers that have them |
//! | `sockets` | WebSockets that can hibernate |

mod actors;
mod exchanges;
mod sockets;
mod speech;

use core::time::Duration;
use std::collections::BTreeMap;

use bytestring::ByteString;
use hashbrown::HashMap;
use underpass_core::failure::RequestName;
use underpass_core::handshake::Hello;
use underpass_core::http::Close;
use underpass_core::protocol::to_client;
use underpass_core::protocol::to_server::{Init, Pong};
use underpass_core::protocol::{Dialect, ToClient, ToServer, Version};
use underpass_core::runner::SocketId as Socket;
use underpass_transport_mem::sim::{Happening, Node, Random, SocketId};

use self::actors::{Call, Hosted};
use self::exchanges::Exchange;
use self::sockets::Kept;
use self::speech::Speech;
use super::Slot;
use crate::sim::bytes::pool;
use crate::sim::faults::Host;
use crate::sim::handler;
use crate::sim::hibernation::keeper;
use crate::sim::lives::Orders;
use crate::sim::stateful::PublishedPlan;
use crate::sim::trace::About;
use crate::sim::world::{Own, World};

/// What a published runner does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Step {
    /// It dials.
    Dial,
    /// It has been away, since so many connections had ended, for so long that its actors stop.
    Lost(u32),
    /// It finds out that its socket is no more.
    FindOut(SocketId),
    /// The start handler of a life has finished.
    Started(u32),
    /// A life that was told to stop has.
    Stopped(u32),
    /// It says which commands it took.
    AcknowledgeCommands,
    /// It shuts down, and has waited long enough for its actors to be stopped.
    StopWaiting,
    /// It is looked whether a life has done nothing for long.
    Nap(u32),
    /// A handler does something.
    Handler(RequestName, handler::Step),
    /// The handler of a socket that can hibernate does something.
    Keeper(Socket, keeper::Step),
}

/// A published runner that runs.
pub(in crate::sim) struct PublishedProcess {
    speech: Speech,
    key: ByteString,
    /// As its relay said first.
    pub(in crate::sim) runner_id: Option<ByteString>,
    pub(in crate::sim) link: Link,
    /// How often it has dialled in vain.
    attempts: u32,
    /// How many connections have ended, or begun.
    turns: u32,
    /// Away for longer, it stops its actors.
    lost_after: Option<Duration>,
    is_stopping: bool,
    orders: Orders,
    pub(in crate::sim) actors: BTreeMap<ByteString, Hosted>,
    /// How many lives there were.
    lives: u32,
    /// Never looked through where order could show.
    exchanges: HashMap<RequestName, Exchange>,
    /// The WebSockets that can hibernate.
    pub(in crate::sim) sockets: BTreeMap<Socket, Kept>,
    /// What was said to open WebSockets while it was away.
    buffered: Vec<ToServer>,
    calls: BTreeMap<u32, Call>,
    called: u32,
}

/// Its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Link {
    Away,
    Dialling(SocketId),
    /// It has said who it is.
    Open(SocketId),
    /// It was greeted.
    Greeted(SocketId),
}

impl Link {
    /// The socket on which it may speak.
    pub(in crate::sim) fn open(self) -> Option<SocketId> {
        match self {
            Link::Open(socket) | Link::Greeted(socket) => Some(socket),
            Link::Away | Link::Dialling(_) => None,
        }
    }

    fn socket(self) -> Option<SocketId> {
        match self {
            Link::Dialling(socket) | Link::Open(socket) | Link::Greeted(socket) => Some(socket),
            Link::Away => None,
        }
    }
}

impl PublishedProcess {
    /// What it speaks.
    pub(in crate::sim) fn version(&self) -> Version {
        self.speech.version
    }

    /// Whether some handler of this connection was told no end and waits for one.
    pub(in crate::sim) fn busy(&self) -> Option<u32> {
        self.exchanges.values().filter(|exchange| exchange.is_awaited()).map(Exchange::client).min()
    }
}

impl World<'_> {
    fn published_plan(&self, index: usize) -> PublishedPlan {
        let published = &self.schedule.fleet.published;
        published[index % published.len()]
    }

    /// The pool of the published runners.
    pub(in crate::sim) fn stateful_pool(&self) -> underpass_core::directory::Pool {
        pool(self.schedule.fleet.pools)
    }

    pub(in crate::sim) fn start_published(&mut self, index: usize, node: Node) {
        let plan = self.published_plan(index);
        let of = index % self.schedule.fleet.published.len();
        let key = if plan.keeps_key { format!("published{of}") } else { format!("published{of}-{}", node.0) };
        let slot = &mut self.published[index];
        slot.node = Some(node);
        slot.process = Some(PublishedProcess {
            speech: Speech::new(plan.version),
            key: key.into(),
            runner_id: None,
            link: Link::Away,
            attempts: 0,
            turns: 0,
            lost_after: None,
            is_stopping: false,
            orders: Orders::default(),
            actors: BTreeMap::new(),
            lives: 0,
            exchanges: HashMap::new(),
            sockets: BTreeMap::new(),
            buffered: Vec::new(),
            calls: BTreeMap::new(),
            called: 0,
        });
        self.published_dials(index);
    }

    /// A runner's program is started a second time.
    pub(in crate::sim) fn second_published(&mut self, of: usize) {
        let count = self.schedule.fleet.published.len();
        let is_free = |slot: Option<&Slot<PublishedProcess>>| slot.is_none_or(|slot| slot.running().is_none());
        let mut places = (1..).map(|round| of + round * count);
        let Some(place) = places.find(|place| is_free(self.published.get(*place))) else { return };
        while self.published.len() <= place {
            self.published.push(Slot::default());
        }
        self.start(Host::Published(place));
    }

    pub(in crate::sim) fn hello_of_published(&self, index: usize, node: Node) -> Option<Hello> {
        let slot = &self.published[index];
        let process = slot.process.as_ref().filter(|_| slot.node == Some(node))?;
        Some(Hello {
            protocol_version: self.published_plan(index).version.number(),
            namespace: self.stateful_pool().namespace,
            runner_key: process.key.clone(),
            dialect: Dialect::Published,
        })
    }

    pub(super) fn published_process(&mut self, index: usize) -> Option<(Node, &mut PublishedProcess)> {
        let slot = &mut self.published[index];
        Some((slot.running()?, slot.process.as_mut()?))
    }

    /// It does something after a while.
    fn published_later(&mut self, index: usize, after: Duration, step: Step) {
        if let Some(node) = self.published[index].running() {
            self.network.own(node, after, Own::Published(step));
        }
    }

    fn published_dials(&mut self, index: usize) {
        let Some(node) = self.published[index].running() else { return };
        let Some(relay) = self.some_relay() else { return self.published_dials_again(index) };
        let socket = self.network.dial(node, relay);
        if let Some((_, process)) = self.published_process(index) {
            process.link = Link::Dialling(socket);
        }
    }

    /// After a second, two, four, …, thirty, and up to a quarter more.
    fn published_dials_again(&mut self, index: usize) {
        let Some((_, process)) = self.published_process(index) else { return };
        let wait = Duration::from_secs(1 << process.attempts.min(5)).min(Duration::from_secs(30));
        process.attempts += 1;
        let more = self.random.up_to(wait / 4);
        self.published_later(index, wait + more, Step::Dial);
    }

    /// A socket goes silent. A published runner would not notice; its system does in the end.
    pub(in crate::sim) fn goes_silent(&mut self, socket: SocketId, lasts: Duration) {
        self.network.half_open(socket);
        let (dialler, _) = self.network.ends_of(socket);
        if let Some(Host::Published(_)) = self.hosts[dialler.0 as usize] {
            self.network.own(dialler, lasts, Own::Published(Step::FindOut(socket)));
        }
    }

    /// The network brings something.
    pub(in crate::sim) fn published_happens(&mut self, index: usize, happening: Happening<Own>) {
        let Some(process) = self.published[index].process.as_mut() else { return };
        let is_its = |socket| process.link.socket() == Some(socket);
        match happening {
            Happening::Connected { socket, .. } if is_its(socket) => self.published_opens(index, socket),
            Happening::Message { socket, frame, .. } if is_its(socket) => {
                self.trace.inputs += 1;
                let heard = process.speech.hear(frame);
                let text = || format!("← {heard:?}");
                self.note(Some(Host::Published(index)), About::Nobody, 1, text);
                match heard {
                    Ok(Some(message)) => self.published_hears(index, message),
                    // What its version says in another way.
                    Ok(None) => {}
                    Err(wrong) => self.wrong(About::Nobody, || format!("published runner {index} can't read: {wrong}")),
                }
            }
            Happening::DialFailed { socket, .. } if is_its(socket) => {
                process.link = Link::Away;
                self.published_dials_again(index);
            }
            Happening::Ended { socket, close, .. } if is_its(socket) => self.published_ends(index, close),
            // It waits for no room, and knows of no bus and no directory.
            _ => {}
        }
    }

    fn published_opens(&mut self, index: usize, socket: SocketId) {
        let plan = self.published_plan(index);
        let Some((_, process)) = self.published_process(index) else { return };
        process.link = Link::Open(socket);
        process.attempts = 0;
        process.turns += 1;
        process.orders = Orders::default();
        let init = Init {
            name: self.stateful_pool().name,
            version: 1,
            total_slots: plan.slots,
            prepopulate_actor_names: None,
            metadata: None,
        };
        self.published_says(index, ToServer::Init(init));
    }

    /// Its connection ended. It keeps its actors, and comes back.
    fn published_ends(&mut self, index: usize, close: Option<Close>) {
        self.note(Some(Host::Published(index)), About::Nobody, 2, || format!("← its connection ended: {close:?}"));
        let reason = close.and_then(|close| close.reason).unwrap_or_default();
        let Some((_, process)) = self.published_process(index) else { return };
        process.link = Link::Away;
        process.turns += 1;
        if reason.starts_with("ws.eviction") || process.is_stopping {
            let host = Host::Published(index);
            match self.published[index].returns_after {
                Some(_) => self.has_finished(host),
                None => self.ends(host),
            }
            return;
        }
        process.calls.clear();
        process.exchanges.values_mut().for_each(Exchange::cut_off);
        let held = process.actors.values_mut().filter_map(Hosted::held).flatten();
        held.for_each(|held| held.is_cut_off = true);
        let (turns, lost_after) = (process.turns, process.lost_after);
        self.published_dials_again(index);
        if let Some(lost_after) = lost_after {
            self.published_later(index, lost_after, Step::Lost(turns));
        }
    }

    /// It does what it meant to.
    pub(in crate::sim) fn published_steps(&mut self, index: usize, step: Step) {
        let Some((node, process)) = self.published_process(index) else { return };
        match step {
            Step::Dial => {
                if process.link == Link::Away {
                    self.published_dials(index);
                }
            }
            Step::Lost(turns) => {
                if process.turns == turns {
                    self.published_stops_all(index);
                }
            }
            Step::FindOut(socket) => self.network.find_out(socket, node),
            Step::Started(life) => self.life_has_started(index, life),
            Step::Stopped(life) => self.life_has_stopped(index, life),
            Step::AcknowledgeCommands => self.commands_are_acknowledged(index),
            Step::StopWaiting => self.published_leaves(index),
            Step::Nap(life) => self.life_may_nap(index, life),
            Step::Handler(name, step) => self.published_handler_steps(index, name, step),
            Step::Keeper(socket, step) => self.published_keeper_steps(index, socket, step),
        }
    }

    fn published_hears(&mut self, index: usize, message: ToClient) {
        let Some((_, process)) = self.published_process(index) else { return };
        let is_greeted = matches!(process.link, Link::Greeted(_));
        match message {
            ToClient::Init(init) => self.published_is_greeted(index, init),
            _ if !is_greeted => {
                self.wrong(About::Nobody, || format!("published runner {index} hears {message:?} before ToClientInit"));
            }
            ToClient::Ping(ping) => self.published_says(index, ToServer::Pong(Pong { ts: ping.ts })),
            ToClient::Commands(commands) => self.commands_come(index, commands),
            ToClient::AckEvents(acknowledged) => self.events_are_acknowledged(index, acknowledged),
            ToClient::KvResponse(response) => self.store_answers(index, response),
            ToClient::TunnelMessage(message) => self.exchange_hears(index, message),
            ToClient::Draining => {
                self.wrong(About::Nobody, || format!("published runner {index} hears a private word"));
            }
        }
    }

    /// It is greeted.
    fn published_is_greeted(&mut self, index: usize, init: to_client::Init) {
        let Some((_, process)) = self.published_process(index) else { return };
        let Link::Open(socket) = process.link else {
            return self.wrong(About::Nobody, || format!("published runner {index} is greeted again"));
        };
        process.link = Link::Greeted(socket);
        process.lost_after = u64::try_from(init.metadata.runner_lost_threshold).ok().map(Duration::from_millis);
        let (before, key) = (process.runner_id.replace(init.runner_id.clone()), process.key.clone());
        let is_another = before.as_ref().is_some_and(|before| *before != init.runner_id);
        if is_another && self.forgotten.remove(&key) {
            // A relay's clock jumped, say: whom nobody knows any more starts from nothing.
            self.published_stops_all(index);
            return self.published_is_known(index);
        }
        if is_another {
            let text = || format!("published runner {index} was {before:?}, and is {} now", init.runner_id);
            return self.wrong(About::Nobody, text);
        }
        self.published_is_known(index);
    }

    /// What nobody has acknowledged is said again.
    fn published_is_known(&mut self, index: usize) {
        let Some((_, process)) = self.published_process(index) else { return };
        let again: Vec<_> = process.actors.values().flat_map(Hosted::unacknowledged).cloned().collect();
        let buffered = core::mem::take(&mut process.buffered);
        if !again.is_empty() {
            self.published_says(index, ToServer::Events(again));
        }
        for message in buffered {
            if self.may_still_say(index, &message) {
                self.published_says(index, message);
            }
        }
        self.keepers_acknowledge_again(index);
    }

    /// It says something, if it can.
    fn published_says(&mut self, index: usize, message: ToServer) {
        let Some((node, process)) = self.published_process(index) else { return };
        let Some(socket) = process.link.open() else { return };
        match process.speech.say(&message) {
            Ok(frame) => {
                self.trace.actions += 1;
                self.note(Some(Host::Published(index)), About::Nobody, frame.len() as u64, || format!("→ {message:?}"));
                let _ = self.network.send(socket, node, frame);
            }
            Err(wrong) => self.wrong(About::Nobody, || format!("published runner {index} can't say: {wrong}")),
        }
    }

    /// It is asked to finish: it says so, and waits until its actors have been stopped.
    pub(in crate::sim) fn published_shuts_down(&mut self, index: usize) {
        let Some((_, process)) = self.published_process(index) else { return };
        if core::mem::replace(&mut process.is_stopping, true) {
            return;
        }
        if process.link.open().is_none() {
            let host = Host::Published(index);
            match self.published[index].returns_after {
                Some(_) => self.has_finished(host),
                None => self.ends(host),
            }
            return;
        }
        self.published_says(index, ToServer::Stopping);
        self.published_later(index, Duration::from_secs(120), Step::StopWaiting);
        self.published_may_leave(index);
    }

    /// It leaves when it shuts down and its last actor has stopped.
    fn published_may_leave(&mut self, index: usize) {
        if self.published_process(index).is_some_and(|(_, process)| process.is_stopping && process.actors.is_empty()) {
            self.published_leaves(index);
        }
    }

    fn published_leaves(&mut self, index: usize) {
        let Some((node, process)) = self.published_process(index) else { return };
        if let Some(socket) = process.link.open() {
            self.network.close(socket, node, Some(Close::new(1000, "pegboard.runner_shutdown")));
        }
    }

    /// What a life does by chance, whatever else happens.
    pub(in crate::sim::fleet) fn chance(&self, actor: &str, generation: u32) -> Random {
        let place = actor.bytes().fold(u64::from(generation), |place, byte| place * 257 + u64::from(byte));
        Random::stream(self.schedule.seed, place << 8 | 7)
    }
}
