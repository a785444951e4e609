//! A runner's process, and its handlers.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use underpass_core::handshake::Hello;
use underpass_core::protocol::{Dialect, ToServer};
use underpass_core::runner::{Action, Event};
use underpass_core::{Frame, RequestKey, Runner, runner};
use underpass_transport_mem::sim::{Happening, Node, Room, SocketId};

use super::hosting::Hosting;
use crate::sim::bytes;
use crate::sim::client::Client;
use crate::sim::faults::{Host, Kind};
use crate::sim::handler::{Handler, Step};
use crate::sim::hibernation::Keeper;
use crate::sim::stateful::ACTORS;
use crate::sim::trace::About;
use crate::sim::workload::Wish;
use crate::sim::world::{Own, World};
use crate::watched::Watched;

/// A runner that runs.
pub(in crate::sim) struct RunnerProcess {
    pub(in crate::sim) machine: Watched<Runner>,
    /// Never looked through where order could show.
    pub(in crate::sim) handlers: HashMap<RequestKey, Handler>,
    /// Its sockets, by the numbers that it gave them: at most two, while it moves.
    pub(in crate::sim) sockets: BTreeMap<u64, SocketId>,
    /// Whether it says that it can do little, and has yet to.
    is_elder: bool,
    /// The actors that it hosts, if it does.
    pub(in crate::sim) hosting: Hosting,
}

impl RunnerProcess {
    fn connection(&self, socket: SocketId) -> Option<u64> {
        self.sockets.iter().find(|(_, one)| **one == socket).map(|(connection, _)| *connection)
    }
}

impl World<'_> {
    pub(in crate::sim) fn start_runner(&mut self, index: usize, node: Node) {
        let fleet = &self.schedule.fleet;
        let of = index % fleet.hosts.runners;
        let pool = fleet.pool_of_runner(of);
        let stateless = !fleet.is_stateful(pool);
        let (name, total_slots) = (bytes::pool(pool).name, if stateless { 1 } else { ACTORS });
        let config = runner::Config { name, total_slots, stateless, ..fleet.runner.clone() };
        let (seed, now) = (self.random.any(), self.network.local(node));
        let origin = runner::Origin { config, key: format!("runner{of}").into(), seed };
        let machine = Watched::made_of(origin, now, self.tapes.as_mut()).expect("a runner's configuration");
        let is_elder = fleet.elders[of];
        let slot = &mut self.runners[index];
        slot.node = Some(node);
        let (handlers, sockets, hosting) = (HashMap::new(), BTreeMap::new(), Hosting::default());
        slot.process = Some(RunnerProcess { machine, handlers, sockets, is_elder, hosting });
        self.runner_wants(index);
    }

    /// Who dials.
    pub(in crate::sim) fn hello_of(&self, node: Node) -> Option<Hello> {
        let index = match self.hosts[node.0 as usize]? {
            Host::Runner(index) => index,
            Host::Published(index) => return self.hello_of_published(index, node),
            Host::Gateway(_) | Host::Relay(_) => return None,
        };
        let slot = &self.runners[index];
        slot.process.as_ref().filter(|_| slot.node == Some(node)).map(|process| process.machine.hello())
    }

    /// The network brings something.
    pub(in crate::sim) fn runner_happens(&mut self, index: usize, happening: Happening<Own>) {
        let connection = |socket| self.runners[index].process.as_ref()?.connection(socket);
        let event = match happening {
            Happening::Connected { socket, .. } => {
                connection(socket).map(|connection| Event::Connected { connection, dialect: Dialect::Underpass })
            }
            Happening::Message { socket, frame, .. } => {
                connection(socket).map(|connection| Event::Received { connection, frame })
            }
            Happening::DialFailed { socket, .. } => {
                connection(socket).map(|connection| Event::Disconnected { connection, close: None })
            }
            Happening::Ended { socket, close, .. } => {
                connection(socket).map(|connection| Event::Disconnected { connection, close })
            }
            Happening::Writable { socket, .. } => {
                connection(socket).map(|connection| Event::PeerWritable { connection })
            }
            Happening::Wake { .. } => Some(Event::Tick),
            // It knows of no bus and no directory.
            _ => None,
        };
        let Some(event) = event else { return };
        if let Event::Disconnected { connection, .. } = &event
            && let Some(process) = self.runners[index].process.as_mut()
        {
            process.sockets.remove(connection);
        }
        self.tell_runner(index, About::Nobody, event);
    }

    /// A handler does what it meant to.
    pub(in crate::sim) fn handler_steps(&mut self, index: usize, key: RequestKey, step: Step) {
        let Some(process) = self.runners[index].process.as_mut() else { return };
        let Some(handler) = process.handlers.get_mut(&key) else { return };
        let Some(client) = &self.clients[handler.client as usize] else { return };
        handler.step(step, &client.plan, &mut self.handler_turn);
        let number = handler.client;
        self.carry_out_handler(index, key, number);
        self.runner_wants(index);
    }

    /// Tells a runner something, and does what it wants.
    pub(in crate::sim) fn tell_runner(&mut self, index: usize, about: About, event: Event) {
        self.hand_to_runner(index, about, event);
        self.runner_wants(index);
    }

    pub(super) fn hand_to_runner(&mut self, index: usize, about: About, event: Event) {
        let slot = &mut self.runners[index];
        let (Some(node), Some(process)) = (slot.running(), slot.process.as_mut()) else { return };
        let now = self.network.local(node);
        self.trace.inputs += 1;
        let shown = self.trace.keeps_lines().then(|| format!("← {event:?}"));
        let outcome = process.machine.handle(event, now);
        self.note(Some(Host::Runner(index)), about, 1, || shown.unwrap_or_default());
        if let Err(misuse) = outcome {
            self.wrong(about, || format!("misuse of runner {index}: {misuse}"));
        }
    }

    pub(super) fn runner_wants(&mut self, index: usize) {
        while let Some(action) = self.runners[index].process.as_mut().and_then(|process| process.machine.poll_action())
        {
            self.trace.actions += 1;
            self.runner_acts(index, action);
        }
        let slot = &self.runners[index];
        if let (Some(node), Some(process)) = (slot.running(), &slot.process) {
            Self::set_alarm(&mut self.network, node, &*process.machine);
        }
    }

    fn runner_acts(&mut self, index: usize, action: Action) {
        let host = Some(Host::Runner(index));
        let shown = self.trace.keeps_lines().then(|| format!("→ {action:?}"));
        let note = |world: &mut Self, about| world.note(host, about, 5, || shown.unwrap_or_default());
        let Some(node) = self.runners[index].running() else { return };
        let Some(process) = self.runners[index].process.as_mut() else { return };
        let key = match &action {
            Action::Dial { .. }
            | Action::Send { .. }
            | Action::Disconnect { .. }
            | Action::Ready { .. }
            | Action::StartActor { .. }
            | Action::StopActor { .. }
            | Action::KvAnswered { .. }
            | Action::Stopped(_) => None,
            Action::Request { key, .. }
            | Action::RequestChunk { key, .. }
            | Action::Aborted { key }
            | Action::WebSocketOpen { key, .. }
            | Action::WebSocketMessage { key, .. }
            | Action::WebSocketAsleep { key }
            | Action::WebSocketClose { key, .. }
            | Action::PauseSource { key }
            | Action::ResumeSource { key } => Some(*key),
        };
        let known = key.and_then(|key| process.handlers.get(&key)).map(|handler| handler.client);
        match (action, known, key) {
            (Action::Dial { connection, .. }, ..) => {
                note(self, About::Nobody);
                let Some(relay) = self.some_relay() else {
                    let event = Event::Disconnected { connection, close: None };
                    return self.hand_to_runner(index, About::Nobody, event);
                };
                let socket = self.network.dial(node, relay);
                if let Some(process) = self.runners[index].process.as_mut() {
                    process.sockets.insert(connection, socket);
                }
            }
            (Action::Send { connection, frame }, ..) => {
                let frame = if process.is_elder { as_elder(frame) } else { frame };
                let socket = process.sockets.get(&connection).copied();
                note(self, About::Nobody);
                self.runner_acknowledges(&frame);
                if let Some(socket) = socket
                    && self.network.send(socket, node, frame) == Room::Blocked
                {
                    self.hand_to_runner(index, About::Nobody, Event::PeerBlocked { connection });
                }
            }
            (Action::Disconnect { connection, close }, ..) => {
                let socket = process.sockets.get(&connection).copied();
                note(self, About::Nobody);
                if let Some(socket) = socket {
                    self.network.close(socket, node, Some(close));
                }
            }
            (Action::Ready { runner_id }, ..) => {
                process.hosting.runner_id = Some(runner_id);
                note(self, About::Nobody);
            }
            (Action::StartActor { actor, config, sockets }, ..) => {
                note(self, About::Nobody);
                self.guest_begins(index, actor, &config, sockets);
            }
            (Action::StopActor { actor }, ..) => {
                note(self, About::Nobody);
                self.guest_is_to_stop(index, &actor);
            }
            (Action::KvAnswered { number, answer }, ..) => {
                note(self, About::Nobody);
                self.guest_is_answered(index, number, answer);
            }
            (Action::Stopped(_), ..) => {
                note(self, About::Nobody);
                self.has_stopped(index);
            }
            (action, _, Some(key)) if process.hosting.keepers.contains_key(&key) => {
                let client = process.hosting.keepers.get(&key).map(|keeper| keeper.place.client);
                note(self, client.map_or(About::Nobody, About::Client));
                self.keeper_sees(index, key, action);
            }
            (action @ (Action::Request { .. } | Action::WebSocketOpen { .. }), None, Some(key)) => {
                self.handler_begins(index, key, action);
            }
            // Nobody restored it.
            (_, None, Some(key)) if process.hosting.slept.contains(&key) => note(self, About::Nobody),
            (action, Some(number), Some(key)) => {
                note(self, About::Client(number));
                let Some(process) = self.runners[index].process.as_mut() else { return };
                let Some(handler) = process.handlers.get_mut(&key) else { return };
                let Some(client) = &self.clients[number as usize] else { return };
                handler.sees(action, &client.plan, &mut self.handler_turn);
                self.carry_out_handler(index, key, number);
            }
            (action, None, _) | (action, _, None) => {
                self.wrong(About::Nobody, || format!("runner {index} speaks of a request that is none: {action:?}"));
            }
        }
    }

    /// The handler of a socket that can hibernate sees something.
    fn keeper_sees(&mut self, index: usize, key: RequestKey, action: Action) {
        match action {
            // It has closed, or crashed, before its machine knew.
            Action::WebSocketMessage { .. } | Action::WebSocketClose { .. } | Action::WebSocketAsleep { .. }
                if self.keeper_has_ended(index, key) => {}
            Action::WebSocketMessage { number, message, .. } => self.keeper_message(index, key, number, &message),
            Action::WebSocketAsleep { .. } => self.keeper_is_asleep(index, key),
            Action::WebSocketClose { close, .. } => self.keeper_is_over(index, key, Some(&close)),
            Action::Aborted { .. } => self.keeper_is_over(index, key, None),
            Action::PauseSource { .. } => self.keeper_is_paced(index, key, true),
            Action::ResumeSource { .. } => self.keeper_is_paced(index, key, false),
            action => self.wrong(About::Nobody, || format!("the same socket again: {action:?}")),
        }
    }

    /// A request is handed to its handler: to one only, unless its method is idempotent.
    fn handler_begins(&mut self, index: usize, key: RequestKey, action: Action) {
        let (Action::Request { head, .. } | Action::WebSocketOpen { head, .. }) = &action else { return };
        let number = head.path.strip_prefix('/').and_then(|number| number.parse().ok());
        let Some(client) = number.and_then(|number: u32| self.clients.get_mut(number as usize)?.as_mut()) else {
            return self.wrong(About::Nobody, || format!("a handler has a request of nobody: {action:?}"));
        };
        let number = client.plan.number;
        let too_often = delivered_too_often(client, &self.seen, self.schedule.fleet.manner.is_some());
        if let (Wish::Hibernating(plan), Action::WebSocketOpen { actor_id, socket, .. }) = (&client.plan.wish, &action)
        {
            let plan = plan.clone();
            if let Some(place) = self.place_at(index, actor_id, *socket, number) {
                let keeper = Keeper::asked(place, &plan, &mut self.keeper_turn);
                self.guest_is_touched(index, actor_id);
                self.keeper_begins(index, key, keeper);
            }
            return;
        }
        let (handler, actor) = match action {
            Action::Request { actor_id, head, body, .. } => {
                (Handler::request(key, client, &actor_id, &head, body, &mut self.handler_turn), actor_id)
            }
            Action::WebSocketOpen { actor_id, .. } => {
                (Handler::websocket(key, client, &mut self.handler_turn), actor_id)
            }
            _ => return,
        };
        self.guest_is_touched(index, &actor);
        self.guest_counts(index, &actor);
        if let Some(process) = self.runners[index].process.as_mut() {
            process.handlers.insert(key, handler);
        }
        let host = Some(Host::Runner(index));
        self.note(host, About::Client(number), 6, || format!("→ client {number} is handed to a handler as {key:?}"));
        if too_often {
            self.wrong(About::Client(number), || format!("the request of client {number} was delivered again"));
        }
        self.carry_out_handler(index, key, number);
    }

    /// A runner has stopped: drained, or another has taken its place.
    fn has_stopped(&mut self, index: usize) {
        let host = Host::Runner(index);
        if self.runners[index].returns_after.is_some() {
            self.has_finished(host);
        } else {
            self.ends(host);
        }
    }

    /// Does what a handler wants done; its runner's actions are still to be taken out.
    fn carry_out_handler(&mut self, index: usize, key: RequestKey, number: u32) {
        let about = About::Client(number);
        if let Some(wrong) = self.handler_turn.wrong.take() {
            self.wrong(about, || wrong);
        }
        let mut later = core::mem::take(&mut self.handler_turn.later);
        if let Some(node) = self.runners[index].running() {
            for (after, step) in later.drain(..) {
                self.network.own(node, after, Own::Handler(key, step));
            }
        }
        self.handler_turn.later = later;
        let mut events = core::mem::take(&mut self.handler_turn.events);
        for event in events.drain(..) {
            self.hand_to_runner(index, about, event);
        }
        self.handler_turn.events = events;
        let fleet = &self.schedule.fleet;
        let most = fleet.runner.credit as usize + fleet.gateway.max_message.max(fleet.gateway.max_chunk);
        let process = self.runners[index].process.as_ref();
        let unread = process.and_then(|process| process.handlers.get(&key)).map_or(0, Handler::unread);
        if unread > most {
            self.wrong(about, || format!("{unread} bytes wait for a handler that may be sent {most}"));
        }
    }
}

/// A request is handed to a handler, perhaps again, perhaps as its actor naps. Whether that is once too often.
pub(super) fn delivered_too_often(client: &mut Client, seen: &BTreeSet<Kind>, naps: bool) -> bool {
    client.deliveries += 1;
    // What loses nobody gives no reason to send anything again.
    let lossless = [Kind::Repeat, Kind::Forge, Kind::Acknowledge];
    let is_lossless = !naps && seen.iter().all(|kind| lossless.contains(kind));
    client.deliveries > if is_lossless { 1 } else { most_deliveries(client) }
}

/// Promise 7: only what can be done twice without harm is given to another.
fn most_deliveries(client: &Client) -> u32 {
    match &client.plan.wish {
        Wish::Http(http) if http.method == "POST" => 1,
        Wish::Http(_) | Wish::WebSocket(_) | Wish::Hibernating(_) => 3,
    }
}

/// A greeting that announces little: no streamed bodies, no numbers.
fn as_elder(frame: Frame) -> Frame {
    match ToServer::decode(&frame, Dialect::Underpass) {
        Ok(ToServer::Init(mut init)) => {
            let metadata = init.metadata.as_deref().unwrap_or_default();
            let metadata = metadata.replace(r#""streams":true"#, r#""streams":false"#);
            init.metadata = Some(metadata.replace(r#""numbers":true"#, r#""numbers":false"#).into());
            ToServer::Init(init).encode()
        }
        Ok(_) | Err(_) => frame,
    }
}
