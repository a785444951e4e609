//! How much the machines may hold, told beside what they hold.

use serde_json::{Value, json};
use underpass_core::observe::Observer;
use underpass_core::{Gateway, Machine, Relay, Runner, Time, gateway, relay, runner};

use super::{Metrics, lock};

/// Hears of what machines are made of.
pub(super) struct Limits(pub(super) Metrics);

impl Limits {
    fn are(&self, machine: &str, limits: Value) {
        lock(&self.0.0.limits).insert(machine.into(), limits);
    }
}

impl Observer<Gateway> for Limits {
    fn made(&mut self, gateway::Origin { config, .. }: &gateway::Origin, _now: Time) {
        let limits = json!({
            "max_requests": config.max_requests,
            "max_waiting": config.max_waiting,
            "max_buffered": config.max_buffered,
            "max_kept_bodies": config.max_kept_bodies,
            "max_actors": config.max_actors,
        });
        self.are("gateway", limits);
    }

    fn event(&mut self, _machine: &Gateway, _event: &<Gateway as Machine>::Event, _now: Time) {}

    fn action(&mut self, _machine: &Gateway, _action: &<Gateway as Machine>::Action, _now: Time) {}
}

impl Observer<Relay> for Limits {
    fn made(&mut self, relay::Origin { config, .. }: &relay::Origin, _now: Time) {
        let limits = json!({
            "max_connections": config.max_connections,
            "max_routes_per_connection": config.max_routes_per_connection,
            "max_ending": config.max_ending,
            "max_tombstones": config.max_tombstones,
            "max_backlog": config.max_backlog,
        });
        self.are("relay", limits);
        let supervisor = &config.supervisor;
        self.are("supervisor", json!({ "max_actors": supervisor.max_actors, "max_runners": supervisor.max_runners }));
    }

    fn event(&mut self, _machine: &Relay, _event: &<Relay as Machine>::Event, _now: Time) {}

    fn action(&mut self, _machine: &Relay, _action: &<Relay as Machine>::Action, _now: Time) {}
}

impl Observer<Runner> for Limits {
    fn made(&mut self, runner::Origin { config, .. }: &runner::Origin, _now: Time) {
        let limits = json!({
            "max_requests": config.max_requests,
            "max_buffered": config.max_buffered,
            "total_slots": config.total_slots,
        });
        self.are("runner", limits);
    }

    fn event(&mut self, _machine: &Runner, _event: &<Runner as Machine>::Event, _now: Time) {}

    fn action(&mut self, _machine: &Runner, _action: &<Runner as Machine>::Action, _now: Time) {}
}
