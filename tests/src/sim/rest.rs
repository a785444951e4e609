//! What must hold while all goes on, when everything should have ended, and when all is over.

use core::time::Duration;

use underpass_core::Machine;
use underpass_core::bus::ConnectionId;

use super::bytes::pool;
use super::trace::About;
use super::world::{Own, Phase, World};

impl World<'_> {
    /// Limits hold.
    pub(super) fn look(&mut self) {
        let fleet = &self.schedule.fleet;
        let mut wrong = None;
        for process in self.gateways.iter().filter_map(|slot| slot.process.as_ref()) {
            let (stats, config) = (process.machine.stats(), &fleet.gateway);
            let most = stats.open * (2 * (config.max_buffered + config.max_message) + config.max_pending_bytes);
            let has_too_many = stats.open > config.max_requests || stats.registered > stats.open;
            if has_too_many || stats.buffered > most || stats.kept_bodies > config.max_kept_bodies {
                wrong = Some(format!("a gateway is over its limits: {stats:?}"));
            }
            wrong = process.machine.wrong().map(|text| format!("of a gateway's requests: {text}")).or(wrong);
        }
        for process in self.relays.iter().filter_map(|slot| slot.process.as_ref()) {
            let (stats, config) = (process.machine.stats(), &fleet.relay);
            let carrying = stats.routes - stats.ending;
            let may_be = self.wire.open_at(process.machine.id());
            if carrying > may_be {
                wrong = Some(format!("a relay has {carrying} routes where {may_be} requests may be answered"));
            }
            if carrying > stats.connections * config.max_routes_per_connection
                || stats.ending > config.max_ending
                || stats.buffered > stats.connections * (config.max_backlog + config.max_frame)
                || stats.tombstones > config.max_tombstones
            {
                wrong = Some(format!("a relay is over its limits: {stats:?}"));
            }
            wrong = process.machine.wrong().map(|text| format!("of a relay's requests: {text}")).or(wrong);
        }
        for process in self.runners.iter().filter_map(|slot| slot.process.as_ref()) {
            let (stats, config) = (process.machine.stats(), &fleet.runner);
            let calls = stats.kv_open * config.max_message;
            let most = stats.open * 2 * (config.max_buffered + config.max_message) + calls;
            if stats.open > config.max_requests || stats.buffered > most {
                wrong = Some(format!("a runner is over its limits: {stats:?}"));
            }
            wrong = process.machine.wrong().map(|text| format!("of a runner's requests: {text}")).or(wrong);
        }
        if let Some(wrong) = wrong {
            self.wrong(About::Nobody, || wrong);
        }
        if self.phase != Some(Phase::Rest) {
            self.remind(Duration::from_millis(1_700), Own::Look);
        }
    }

    /// Every client that came has had its end, and no table holds a request.
    pub(super) fn nothing_is_open(&mut self) {
        let open = |client: &&super::client::Client| client.is_open();
        if let Some(client) = self.clients.iter().flatten().find(open) {
            let number = client.plan.number;
            return self.wrong(About::Client(number), || format!("client {number} has no end"));
        }
        let mut wrong = Vec::new();
        for (index, slot) in self.gateways.iter().enumerate() {
            let Some(process) = &slot.process else { continue };
            let stats = process.machine.stats();
            let hibernating = stats.registered + stats.leaving + stats.hibernating_actors + stats.untold;
            if (stats.open, stats.deadlines, stats.buffered, hibernating) != (0, 0, 0, 0) {
                wrong.push((About::Nobody, format!("gateway {index} still holds something: {stats:?}")));
            }
        }
        for (index, slot) in self.runners.iter().enumerate() {
            let Some(process) = &slot.process else { continue };
            if let Some(client) = process.handlers.values().filter(|handler| handler.is_busy()).map(|h| h.client).min()
            {
                wrong.push((About::Client(client), format!("the handler of client {client} was told no end")));
            }
            let stats = process.machine.stats();
            if (stats.open, stats.buffered, stats.detached_sockets) != (0, 0, 0) {
                wrong.push((About::Nobody, format!("runner {index} still holds something: {stats:?}")));
            }
        }
        for (index, slot) in self.relays.iter().enumerate() {
            let Some(process) = &slot.process else { continue };
            let stats = process.machine.stats();
            if (stats.routes, stats.buffered) != (0, 0) {
                wrong.push((About::Nobody, format!("relay {index} still holds something: {stats:?}")));
            }
        }
        if let Some((about, text)) = wrong.into_iter().next() {
            self.wrong(about, || text);
        }
    }

    /// Every gateway knows every runner again.
    pub(super) fn all_are_ready(&mut self) {
        let fleet = &self.schedule.fleet;
        for place in 0..fleet.pools {
            let expected = (0..fleet.stateless()).filter(|of| fleet.pool_of_runner(*of) == place).count();
            for index in 0..self.gateways.len() {
                let Some(process) = &self.gateways[index].process else { continue };
                let ready = process.machine.ready_runners(&pool(place));
                if ready != expected {
                    let text = format!("gateway {index} knows {ready} runners of pool {place}, there are {expected}");
                    self.wrong(About::Nobody, || text);
                }
            }
        }
        self.published_are_ready();
    }

    pub(super) fn is_of_dead_relay(&self, connection: Option<ConnectionId>) -> bool {
        let mut running = self.relays.iter().filter_map(|slot| slot.process.as_ref());
        connection.is_some_and(|connection| !running.any(|process| process.machine.id() == connection.relay))
    }

    /// Everything was drained: no table holds anything, no timer is left, nobody runs.
    pub(super) fn all_is_at_rest(&mut self) {
        let mut wrong = Vec::new();
        for (index, slot) in self.runners.iter().enumerate() {
            if let Some(process) = &slot.process {
                wrong.push(format!("runner {index} has not stopped: {:?}", process.machine.stats()));
            }
        }
        wrong.extend(self.actors_left());
        for (index, slot) in self.relays.iter().enumerate() {
            let Some(process) = &slot.process else { continue };
            let (stats, due) = (process.machine.stats(), process.machine.poll_timeout());
            if !process.has_drained || due.is_some() || (stats.tombstones, stats.deadlines) != (0, 0) {
                wrong.push(format!("relay {index} is not at rest: next due {due:?}, {stats:?}"));
            }
        }
        for (index, slot) in self.gateways.iter().enumerate() {
            let Some(process) = &slot.process else { continue };
            let (stats, due) = (process.machine.stats(), process.machine.poll_timeout());
            let forgotten = self.forgotten_runners();
            if !process.has_drained || due.is_some() || stats.runners > forgotten || stats.deadlines != 0 {
                wrong.push(format!("gateway {index} is not at rest: next due {due:?}, {stats:?}"));
            }
        }
        if let Some((key, record)) = self.network.runners().find(|(_, seen)| !self.may_come_back(&seen.record)) {
            wrong.push(format!("the directory still has {key:?}: {record:?}"));
        }
        if let Some(text) = wrong.into_iter().next() {
            self.wrong(About::Nobody, || text);
        }
    }
}
