//! A gateway's process, and its clients.

use hashbrown::HashMap;
use underpass_core::bus::{Address, Subject};
use underpass_core::directory::RegistryChange;
use underpass_core::failure::RequestName;
use underpass_core::gateway::{Action, Event, Origin, Refused};
use underpass_core::protocol::tunnel::to_client::{Kind, RequestStart, WebSocketOpen};
use underpass_core::protocol::{Dialect, GatewayId, RequestId, ToRunner};
use underpass_core::{Frame, Gateway, RequestKey};
use underpass_transport_mem::sim::{Happening, Node};

use crate::sim::checks::name;
use crate::sim::client::{End, Step};
use crate::sim::faults::Host;
use crate::sim::trace::About;
use crate::sim::world::{Own, World};
use crate::watched::Watched;

/// A gateway that runs.
pub(in crate::sim) struct GatewayProcess {
    pub(in crate::sim) machine: Watched<Gateway>,
    /// Whose request is whose.
    pub(in crate::sim) clients: HashMap<RequestKey, u32>,
    pub(in crate::sim) has_drained: bool,
}

impl World<'_> {
    pub(in crate::sim) fn start_gateway(&mut self, index: usize, node: Node) {
        // Claimed in the directory, so nobody else ever has it.
        let id = GatewayId([index as u8 + 1, (node.0 >> 16) as u8, (node.0 >> 8) as u8, node.0 as u8]);
        let (seed, now) = (self.random.any(), self.network.local(node));
        let config = self.schedule.fleet.gateway.clone();
        let origin = Origin { config, id, seed };
        let machine = Watched::made_of(origin, now, self.tapes.as_mut()).expect("a gateway's configuration");
        self.network.attach(node, Address::Gateway(id));
        if self.schedule.fleet.has_actors() {
            self.network.watch_runners_and_actors(node);
        } else {
            self.network.watch_runners(node);
        }
        let slot = &mut self.gateways[index];
        slot.node = Some(node);
        slot.process = Some(GatewayProcess { machine, clients: HashMap::new(), has_drained: false });
        self.tell_gateway(index, About::Nobody, Event::WallClock { unix_ms: self.unix_ms() });
    }

    /// The network brings something.
    pub(in crate::sim) fn gateway_happens(&mut self, index: usize, happening: Happening<Own>) {
        let (about, event) = match happening {
            Happening::Delivered { reply_to, frame, .. } => {
                let from = reply_to.and_then(Subject::connection);
                (About::Nobody, Event::Received { from, frame })
            }
            Happening::NoResponders { to: Subject::Connection(to), .. } => (About::Nobody, Event::NoResponders { to }),
            Happening::Lost { from, .. } => (About::Nobody, Event::Lost { from }),
            Happening::Seen { seen, .. } => (About::Nobody, Event::Directory(*seen)),
            Happening::Actors { all, .. } => (About::Nobody, Event::Actors(all)),
            Happening::ActorSeen { seen, .. } => (About::Nobody, Event::Actor(*seen)),
            Happening::ActorChanged { actor, outcome, .. } => {
                (About::Nobody, Event::ActorChanged { actor, outcome: *outcome })
            }
            Happening::RegistryChanged { change, outcome, .. } => {
                if let (RegistryChange::Enter(entered), Ok(())) = (&change, &outcome) {
                    self.is_registered(entered.gateway_id, entered.request_id);
                }
                (About::Nobody, Event::RegistryChanged { change, outcome })
            }
            Happening::DirectoryAway { .. } => (About::Nobody, Event::DirectoryAway),
            Happening::DirectoryBack { .. } => (About::Nobody, Event::DirectoryBack),
            Happening::Wake { .. } => (About::Nobody, Event::Tick),
            // It does not ask for the others.
            _ => return,
        };
        self.tell_gateway(index, about, event);
    }

    /// The directory knows a socket, and its gateway knows that.
    fn is_registered(&mut self, gateway_id: GatewayId, request_id: RequestId) {
        let number = self.named.get(&RequestName { gateway_id, request_id });
        if let Some(client) = number.and_then(|number| self.clients[*number as usize].as_mut()) {
            client.talk.is_registered = true;
        }
    }

    /// A client does what it meant to.
    pub(in crate::sim) fn client_steps(&mut self, number: u32, step: Step) {
        let now = self.network.now();
        let Some(client) = self.clients[number as usize].as_mut() else { return };
        let gateway = client.plan.gateway;
        if step == Step::Open {
            return self.client_opens(number);
        }
        let was_open = client.is_open();
        client.step(step, now, &mut self.client_turn);
        let has_ended = was_open && !client.is_open();
        self.carry_out(gateway, number, has_ended);
        self.gateway_wants(gateway);
    }

    fn client_opens(&mut self, number: u32) {
        let Some(client) = self.clients[number as usize].as_mut() else { return };
        let (index, open, global) = (client.plan.gateway, client.open(), self.network.now());
        let slot = &mut self.gateways[index];
        let (Some(node), is_draining) = (slot.running(), slot.is_draining) else {
            client.ended(End::GatewayDied);
            return self.check_end(number);
        };
        let Some(process) = slot.process.as_mut() else { return };
        let now = self.network.local(node);
        let outcome = process.machine.open(open, now);
        self.trace.inputs += 1;
        let host = Some(Host::Gateway(index));
        match outcome {
            Ok(key) => {
                process.clients.insert(key, number);
                if let Some(name) = process.machine.request_name(key) {
                    self.named.insert(name, number);
                }
                client.opened(key, global, &mut self.client_turn);
                self.note(host, About::Client(number), u64::from(number), || format!("client {number} opens {key:?}"));
                if is_draining {
                    self.wrong(About::Client(number), || "a gateway that drains takes one more request".into());
                }
                self.carry_out(index, number, false);
            }
            Err(Refused(failure)) => {
                client.ended(End::Failed(failure.code));
                self.note(host, About::Client(number), 0x4ef, || format!("client {number} is refused: {failure}"));
                self.check_end(number);
            }
        }
        self.gateway_wants(index);
    }

    /// Tells a gateway something, and does what it wants.
    pub(in crate::sim) fn tell_gateway(&mut self, index: usize, about: About, event: Event) {
        self.hand_to_gateway(index, about, event);
        self.gateway_wants(index);
    }

    fn hand_to_gateway(&mut self, index: usize, about: About, event: Event) {
        let slot = &mut self.gateways[index];
        let (Some(node), Some(process)) = (slot.running(), slot.process.as_mut()) else { return };
        let now = self.network.local(node);
        self.trace.inputs += 1;
        let shown = self.trace.keeps_lines().then(|| format!("← {event:?}"));
        let outcome = process.machine.handle(event, now);
        self.note(Some(Host::Gateway(index)), about, 1, || shown.unwrap_or_default());
        if let Err(misuse) = outcome {
            self.wrong(about, || format!("misuse of gateway {index}: {misuse}"));
        }
    }

    fn gateway_wants(&mut self, index: usize) {
        while let Some(action) = self.gateways[index].process.as_mut().and_then(|process| process.machine.poll_action())
        {
            self.trace.actions += 1;
            self.gateway_acts(index, action);
        }
        let slot = &self.gateways[index];
        if let (Some(node), Some(process)) = (slot.running(), &slot.process) {
            Self::set_alarm(&mut self.network, node, &*process.machine);
        }
    }

    fn gateway_acts(&mut self, index: usize, action: Action) {
        let host = Some(Host::Gateway(index));
        let key = match action {
            Action::Publish(publication) => {
                let Subject::Connection(to) = publication.to else { return };
                self.name_opening(&publication.frame);
                let (about, outcome) = self.wire.gateway_publishes(to, &publication.frame);
                let bytes = publication.frame.len() as u64;
                let text = || format!("→ {to}: {:?}", super::relay::shown_to_runner(&publication.frame));
                self.note(host, about, bytes, text);
                if let Err(wrong) = outcome {
                    self.wrong(about, || wrong);
                }
                let Some(node) = self.gateways[index].running() else { return };
                if let Err(rejected) = self.network.publish(node, publication) {
                    self.hand_to_gateway(index, about, Event::PublishFailed(rejected));
                }
                return;
            }
            Action::Actor(change) => {
                self.note(host, About::Nobody, 6, || format!("→ directory: {change:?}"));
                if let Some(node) = self.gateways[index].running() {
                    self.network.change_actor(node, change);
                }
                return;
            }
            Action::Registry(change) => {
                self.note(host, About::Nobody, 10, || format!("→ directory: {change:?}"));
                if let Some(node) = self.gateways[index].running() {
                    self.network.change_registry(node, change);
                }
                return;
            }
            Action::Drained => {
                self.note(host, About::Nobody, 2, || "→ Drained".into());
                if let Some(process) = self.gateways[index].process.as_mut() {
                    process.has_drained = true;
                }
                return self.has_finished(Host::Gateway(index));
            }
            Action::ResponseStart { key, .. }
            | Action::ResponseChunk { key, .. }
            | Action::WebSocketOpened { key }
            | Action::WebSocketMessage { key, .. }
            | Action::WebSocketClose { key, .. }
            | Action::Failed { key, .. }
            | Action::PauseSource { key }
            | Action::ResumeSource { key } => key,
        };
        let Some(process) = &self.gateways[index].process else { return };
        let Some(number) = process.clients.get(&key).copied() else {
            return self.wrong(About::Nobody, || format!("gateway {index} speaks of a request that is none"));
        };
        self.note(host, About::Client(number), 3 + u64::from(number), || format!("→ {action:?}"));
        let now = self.network.now();
        let Some(client) = self.clients[number as usize].as_mut() else { return };
        client.sees(action, now, &mut self.client_turn);
        let has_ended = !client.is_open();
        self.carry_out(index, number, has_ended);
    }

    /// A request that is sent again has another name on the wire; its path says whose it is.
    fn name_opening(&mut self, frame: &Frame) {
        let Ok(ToRunner::TunnelMessage(message)) = ToRunner::decode_framed(frame, Dialect::Underpass) else { return };
        let (Kind::RequestStart(RequestStart { path, .. }) | Kind::WebSocketOpen(WebSocketOpen { path, .. })) =
            &message.message_kind
        else {
            return;
        };
        if let Some(number) = path.strip_prefix('/').and_then(|number| number.parse().ok()) {
            self.named.insert(name(message.message_id), number);
            self.latest.insert(number, name(message.message_id));
        }
    }

    /// Does what a client wants done; its gateway's actions are still to be taken out.
    fn carry_out(&mut self, index: usize, number: u32, has_ended: bool) {
        let about = About::Client(number);
        if let Some(wrong) = self.client_turn.wrong.take() {
            self.wrong(about, || wrong);
        }
        let mut later = core::mem::take(&mut self.client_turn.later);
        if let Some(node) = self.gateways[index].running() {
            for (after, step) in later.drain(..) {
                self.network.own(node, after, Own::Client(number, step));
            }
        }
        self.client_turn.later = later;
        let mut events = core::mem::take(&mut self.client_turn.events);
        for event in events.drain(..) {
            self.hand_to_gateway(index, about, event);
        }
        self.client_turn.events = events;
        self.check_window(number);
        if has_ended {
            self.check_end(number);
        }
    }

    /// A client that reads slowly is not handed more than credit allows.
    fn check_window(&mut self, number: u32) {
        let fleet = &self.schedule.fleet;
        let Some(client) = self.clients[number as usize].as_ref() else { return };
        let may_be_old = fleet.is_stateful(client.plan.pool)
            || fleet.elders.iter().enumerate().any(|(index, old)| *old && index % fleet.pools == client.plan.pool);
        let largest = fleet.gateway.max_message.max(fleet.gateway.max_chunk);
        let most = if may_be_old { fleet.gateway.max_buffered } else { fleet.runner.credit as usize } + largest;
        let unread = client.unread();
        if unread > most {
            self.wrong(About::Client(number), || format!("{unread} bytes wait for a client that may be sent {most}"));
        }
    }
}
