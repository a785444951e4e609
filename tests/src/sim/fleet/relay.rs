//! A relay's process.

use std::collections::BTreeSet;

use underpass_core::bus::{Address, ConnectionId, RelayId, Subject};
use underpass_core::protocol::{Dialect, ToGateway, ToRunner};
use underpass_core::relay::{Action, Event, Origin};
use underpass_core::{Frame, Relay};
use underpass_transport_mem::sim::{Happening, Node, Room, SocketId};

use crate::sim::faults::Host;
use crate::sim::trace::About;
use crate::sim::world::{Own, World};
use crate::watched::Watched;

/// The tag of changes by which a relay has a runner forgotten: it awaits no outcome.
const FORGOTTEN: u64 = u64::MAX;

/// A relay that runs.
pub(in crate::sim) struct RelayProcess {
    pub(in crate::sim) machine: Watched<Relay>,
    /// All that it ever had.
    pub(in crate::sim) connections: BTreeSet<ConnectionId>,
    pub(in crate::sim) has_drained: bool,
}

impl World<'_> {
    pub(in crate::sim) fn start_relay(&mut self, index: usize, node: Node) {
        let id = RelayId(uuid::Uuid::from_u128(u128::from(node.0) << 64 | 0xabcd));
        let (seed, now) = (self.random.any(), self.network.local(node));
        let config = self.schedule.fleet.relay.clone();
        if self.schedule.fleet.has_actors() {
            self.network.watch_all(node);
        }
        let origin = Origin { config, id, seed };
        let machine = Watched::made_of(origin, now, self.tapes.as_mut()).expect("a relay's configuration");
        self.network.attach(node, Address::Relay(id));
        let slot = &mut self.relays[index];
        slot.node = Some(node);
        slot.process = Some(RelayProcess { machine, connections: BTreeSet::new(), has_drained: false });
        self.tell_relay(index, About::Nobody, Event::WallClock { unix_ms: self.unix_ms() });
    }

    /// A relay that a runner may dial: any that runs, best one that does not drain, else one that ran.
    pub(in crate::sim) fn some_relay(&mut self) -> Option<Node> {
        let running = |drains| {
            let slots = self.relays.iter().filter(move |slot| slot.is_draining == drains);
            slots.filter_map(|slot| slot.running()).collect::<Vec<Node>>()
        };
        let running = Some(running(false)).filter(|nodes| !nodes.is_empty()).unwrap_or_else(|| running(true));
        if running.is_empty() {
            return self.relays.iter().find_map(|slot| slot.node);
        }
        Some(self.random.pick(&running))
    }

    /// The network brings something. A connection has the number of its socket.
    pub(in crate::sim) fn relay_happens(&mut self, index: usize, happening: Happening<Own>) {
        if let Happening::All { runners, actors, .. } = happening {
            runners.into_iter().for_each(|seen| self.tell_relay(index, About::Nobody, Event::Runner(seen)));
            actors.into_iter().for_each(|seen| self.tell_relay(index, About::Nobody, Event::Actor(seen)));
            return self.tell_relay(index, About::Nobody, Event::DirectoryBack);
        }
        let number = |socket: SocketId| u64::from(socket.0);
        let Some(process) = self.relays[index].process.as_mut() else { return };
        let id = process.machine.id();
        let (about, event) = match happening {
            Happening::Delivered { to: Subject::Connection(to), frame, .. } => {
                let (about, comes_late) = self.wire.relay_is_brought(to, &frame);
                if comes_late {
                    self.close_has_crossed(about);
                }
                (about, Event::FromBus { connection: to.number, frame })
            }
            Happening::Lost { from, .. } => (About::Nobody, Event::Lost { from }),
            Happening::Accepted { socket, from, .. } => {
                // One that is no more by now never says who it is.
                let Some(hello) = self.hello_of(from) else { return };
                let Some(process) = self.relays[index].process.as_mut() else { return };
                process.connections.insert(ConnectionId { relay: id, number: number(socket) });
                (About::Nobody, Event::Connected { connection: number(socket), hello })
            }
            Happening::Message { socket, frame, .. } => {
                (About::Nobody, Event::FromRunner { connection: number(socket), frame: frame.into_bytes() })
            }
            Happening::Ended { socket, .. } => {
                let connection = ConnectionId { relay: id, number: number(socket) };
                if !process.connections.contains(&connection) {
                    return;
                }
                self.wire.connection_ends(connection);
                (About::Nobody, Event::Disconnected { connection: number(socket) })
            }
            Happening::Writable { socket, .. } => (About::Nobody, Event::PeerWritable { connection: number(socket) }),
            Happening::Ponged { socket, .. } => (About::Nobody, Event::Ponged { connection: number(socket) }),
            // What became of it the directory shows.
            Happening::Changed { tag: FORGOTTEN, .. } => return,
            Happening::Changed { tag, outcome, .. } => {
                (About::Nobody, Event::Directory { connection: tag, outcome: *outcome })
            }
            Happening::ActorChanged { actor, outcome, .. } => {
                (About::Nobody, Event::ActorChanged { actor, outcome: *outcome })
            }
            Happening::Registered { actor, sockets, .. } => (About::Nobody, Event::Registered { actor, sockets }),
            Happening::Seen { seen, .. } => (About::Nobody, Event::Runner(*seen)),
            Happening::ActorSeen { seen, .. } => (About::Nobody, Event::Actor(*seen)),
            Happening::DirectoryAway { .. } => (About::Nobody, Event::DirectoryAway),
            Happening::NoResponders { to: Subject::Gateway(gateway), .. } => {
                (About::Nobody, Event::NoResponders { gateway })
            }
            Happening::Wake { .. } => (About::Nobody, Event::Tick),
            // It does not ask for the others.
            _ => return,
        };
        self.tell_relay(index, about, event);
    }

    /// Tells a relay something, and does what it wants.
    pub(in crate::sim) fn tell_relay(&mut self, index: usize, about: About, event: Event) {
        self.hand_to_relay(index, about, event);
        while let Some(action) = self.relays[index].process.as_mut().and_then(|process| process.machine.poll_action()) {
            self.trace.actions += 1;
            self.relay_acts(index, action);
        }
        let slot = &self.relays[index];
        if let (Some(node), Some(process)) = (slot.running(), &slot.process) {
            Self::set_alarm(&mut self.network, node, &*process.machine);
        }
    }

    fn hand_to_relay(&mut self, index: usize, about: About, event: Event) {
        let slot = &mut self.relays[index];
        let (Some(node), Some(process)) = (slot.running(), slot.process.as_mut()) else { return };
        let now = self.network.local(node);
        self.trace.inputs += 1;
        let shown = self.trace.keeps_lines().then(|| format!("← {event:?}"));
        let outcome = process.machine.handle(event, now);
        self.note(Some(Host::Relay(index)), about, 1, || shown.unwrap_or_default());
        if let Err(misuse) = outcome {
            self.wrong(about, || format!("misuse of relay {index}: {misuse}"));
        }
    }

    fn relay_acts(&mut self, index: usize, action: Action) {
        let host = Some(Host::Relay(index));
        let Some(node) = self.relays[index].running() else { return };
        match action {
            Action::Send { connection, frame } => {
                self.note(host, About::Nobody, frame.len() as u64, || format!("→ {connection}: {frame:?}"));
                if self.network.send(SocketId(connection as u32), node, frame) == Room::Blocked {
                    self.hand_to_relay(index, About::Nobody, Event::PeerBlocked { connection });
                }
            }
            Action::Close { connection, close } => {
                self.note(host, About::Nobody, connection, || format!("→ {connection}: {close:?}"));
                self.network.close(SocketId(connection as u32), node, Some(close));
            }
            Action::Publish(publication) => {
                let (about, outcome) = match (publication.to, publication.reply_to) {
                    (Subject::Gateway(_), Some(Subject::Connection(of))) => {
                        self.wire.relay_publishes(of, &publication.frame)
                    }
                    (Subject::Gateway(_) | Subject::Connection(_), _) => (About::Nobody, Ok(())),
                };
                let to = publication.to;
                let text = || format!("→ {to}: {:?}", ToGateway::decode_framed(&publication.frame, Dialect::Underpass));
                self.note(host, about, publication.frame.len() as u64, text);
                if let Err(wrong) = outcome {
                    self.wrong(about, || wrong);
                }
                if let Err(rejected) = self.network.publish(node, publication) {
                    self.hand_to_relay(index, about, Event::PublishFailed(rejected));
                }
            }
            Action::Directory { connection, change } => {
                self.note(host, About::Nobody, connection, || format!("→ directory, {connection}: {change:?}"));
                self.network.change_runner(node, connection, change);
            }
            Action::Ping { connection } => {
                self.note(host, About::Nobody, connection, || format!("→ {connection}: a ping of its socket"));
                self.network.ping(SocketId(connection as u32), node);
            }
            Action::Forget(change) => {
                self.note(host, About::Nobody, 8, || format!("→ directory: {change:?}"));
                self.forgotten.insert(change.key.key.clone());
                self.network.change_runner(node, FORGOTTEN, change);
            }
            Action::Actor(change) => {
                self.note(host, About::Nobody, 6, || format!("→ directory: {change:?}"));
                self.network.change_actor(node, change);
            }
            Action::Registered { actor } => {
                self.note(host, About::Nobody, 10, || format!("→ directory: what is registered for {actor:?}"));
                self.network.ask_registered(node, actor);
            }
            Action::ShowActors => {
                self.note(host, About::Nobody, 9, || "→ directory: all actors once more".into());
                self.network.show_actors(node);
            }
            Action::Kv { connection, number, call, owner } => {
                self.note(host, About::Nobody, 7, || format!("→ store of {owner:?}: {call:?}"));
                let mut answer = std::pin::pin!(call.carry_out(&self.store, owner));
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                if let std::task::Poll::Ready(data) = answer.as_mut().poll(&mut context) {
                    self.hand_to_relay(index, About::Nobody, Event::KvAnswered { connection, number, data });
                }
            }
            Action::LogActors(notice) => self.note(host, About::Nobody, 5, || format!("→ {notice}")),
            Action::Log { connection, notice } => {
                self.note(host, About::Nobody, 4, || format!("→ {connection}: {notice}"));
            }
            Action::Drained => {
                self.note(host, About::Nobody, 2, || "→ Drained".into());
                if let Some(process) = self.relays[index].process.as_mut() {
                    process.has_drained = true;
                }
                self.has_finished(Host::Relay(index));
            }
        }
    }
}

/// A frame toward a runner, for people.
pub(super) fn shown_to_runner(frame: &Frame) -> impl core::fmt::Debug {
    ToRunner::decode_framed(frame, Dialect::Underpass)
}
