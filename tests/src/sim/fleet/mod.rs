//! The fleet: each machine in its process, and what joins it to the simulated world. One file a machine, as thin as
//! its adapter over real sockets.

mod gateway;
pub(super) mod hosting;
mod keepers;
pub(super) mod published;
mod relay;
pub(super) mod runner;
mod whims;

use core::time::Duration;

use underpass_core::bus::Address;
use underpass_transport_mem::sim::Node;

pub(super) use gateway::GatewayProcess;
pub(super) use published::PublishedProcess;
pub(super) use relay::RelayProcess;
pub(super) use runner::RunnerProcess;

use super::client::End;
use super::faults::Host;
use super::trace::About;
use super::world::{Own, World};

/// Where a process runs, and runs again.
#[derive(Debug)]
pub(super) struct Slot<P> {
    pub(super) process: Option<P>,
    /// Its node, or that of the last that ran here.
    pub(super) node: Option<Node>,
    /// Whether it was asked to finish.
    pub(super) is_draining: bool,
    /// How long it stays away when it has finished; none for good.
    pub(super) returns_after: Option<Duration>,
}

impl<P> Default for Slot<P> {
    fn default() -> Self {
        Slot { process: None, node: None, is_draining: false, returns_after: None }
    }
}

impl<P> Slot<P> {
    /// Its node, if it runs.
    pub(super) fn running(&self) -> Option<Node> {
        self.node.filter(|_| self.process.is_some())
    }
}

impl World<'_> {
    /// The node of a process that runs.
    pub(super) fn node(&self, host: Host) -> Option<Node> {
        match host {
            Host::Gateway(index) => self.gateways[index].running(),
            Host::Relay(index) => self.relays[index].running(),
            Host::Runner(index) => self.runners[index].running(),
            Host::Published(index) => self.published[index].running(),
        }
    }

    /// A process starts, unless one runs there.
    pub(super) fn start(&mut self, host: Host) {
        if self.node(host).is_some() {
            return;
        }
        let node = self.network.start(self.schedule.fleet.skew(host));
        debug_assert_eq!(node.0 as usize, self.hosts.len());
        self.hosts.push(Some(host));
        self.note(Some(host), About::Nobody, 0x57, || format!("starts as {node:?}"));
        match host {
            Host::Gateway(index) => self.start_gateway(index, node),
            Host::Relay(index) => self.start_relay(index, node),
            Host::Runner(index) => self.start_runner(index, node),
            Host::Published(index) => self.start_published(index, node),
        }
    }

    /// A process is killed, or has finished.
    pub(super) fn ends(&mut self, host: Host) {
        let Some(node) = self.node(host) else { return };
        self.note(Some(host), About::Nobody, 0xe2d, || "is no more".into());
        self.network.crash(node);
        match host {
            Host::Gateway(index) => {
                let Some(process) = self.gateways[index].process.take() else { return };
                self.gateways[index].is_draining = false;
                self.gateways[index].returns_after = None;
                self.network.detach(Address::Gateway(process.machine.id()));
                let after = self.random.up_to(Duration::from_secs(20));
                self.remind(after, Own::Unclaim(process.machine.id()));
                let mut cut_short: Vec<u32> = process.clients.into_values().collect();
                cut_short.sort_unstable();
                for number in cut_short {
                    if let Some(client) = self.clients[number as usize].as_mut().filter(|client| client.is_open()) {
                        client.ended(End::GatewayDied);
                        self.check_end(number);
                    }
                }
            }
            Host::Relay(index) => {
                let Some(process) = self.relays[index].process.take() else { return };
                self.relays[index].is_draining = false;
                self.relays[index].returns_after = None;
                self.network.detach(Address::Relay(process.machine.id()));
                for connection in process.connections {
                    self.wire.connection_ends(connection);
                }
            }
            Host::Runner(index) => {
                self.runners[index].process = None;
                self.lives.process_ends(node);
                self.runners[index].is_draining = false;
                self.runners[index].returns_after = None;
            }
            Host::Published(index) => {
                self.published[index] = Slot { node: Some(node), ..Slot::default() };
                self.lives.process_ends(node);
            }
        }
    }

    /// A process that was asked to finish has: it ends, and comes back if it is meant to.
    pub(super) fn has_finished(&mut self, host: Host) {
        let returns_after = match host {
            Host::Gateway(index) => self.gateways[index].returns_after.take(),
            Host::Relay(index) => self.relays[index].returns_after.take(),
            Host::Runner(index) => self.runners[index].returns_after.take(),
            Host::Published(index) => self.published[index].returns_after.take(),
        };
        if let Some(after) = returns_after {
            self.ends(host);
            self.remind(after, Own::Start(host));
        }
    }

    /// A process is asked to finish, and comes back so much later, or not at all.
    pub(super) fn drain(&mut self, host: Host, returns_after: Option<Duration>) {
        if self.node(host).is_none() {
            return;
        }
        match host {
            Host::Gateway(index) => {
                self.gateways[index].is_draining = true;
                self.gateways[index].returns_after = returns_after;
                self.tell_gateway(index, About::Nobody, underpass_core::gateway::Event::Drain);
            }
            Host::Relay(index) => {
                self.relays[index].is_draining = true;
                self.relays[index].returns_after = returns_after;
                self.tell_relay(index, About::Nobody, underpass_core::relay::Event::Drain);
            }
            Host::Runner(index) => {
                self.runners[index].is_draining = true;
                self.runners[index].returns_after = returns_after;
                self.tell_runner(index, About::Nobody, underpass_core::runner::Event::Drain);
            }
            Host::Published(index) => {
                self.published[index].is_draining = true;
                self.published[index].returns_after = returns_after;
                self.published_shuts_down(index);
            }
        }
    }
}
