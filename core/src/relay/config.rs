//! What a relay can be told.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::{kv, supervisor};

/// Limits and deadlines of a relay. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Connections open at once; more are closed 1013. So is who comes while twice as many records, of these and of
    /// connections that have ended, are still in the directory's hands.
    pub max_connections: usize,
    /// Requests open at once on one connection; more are answered `overloaded`.
    pub max_routes_per_connection: usize,
    /// The largest frame, to and from a runner.
    pub max_frame: usize,
    /// What a runner's namespace, its name and its key may have each; one that says more is not let in. They stand
    /// together in what its record is called, which a directory may write three times as long.
    pub max_name: usize,
    /// What an adapter's outbox of one connection may hold. It says that it is blocked while another frame of any
    /// size would not fit.
    pub outbox: usize,
    /// Bytes held for one request while its runner's outbox is blocked; past them the request fails.
    pub max_buffered: usize,
    /// Bytes held for one connection while its outbox is blocked; past them the request that brings more fails.
    pub max_backlog: usize,
    /// The largest frame that the bus carries.
    pub bus_largest_message: usize,
    /// From a connection's opening to its Init.
    pub init: Duration,
    /// Between two pings to a runner.
    pub ping_interval: Duration,
    /// A runner that said nothing for so long is dropped.
    pub pong: Duration,
    /// How long after the directory was away it is asked again.
    pub directory_retry: Duration,
    /// Between two writings of a runner's record, by which gateways see that its relay lives.
    pub refresh: Duration,
    /// A runner whose connection ended here while its record says that it moves from another: for how long that is
    /// left to the other's relay, or to the runner's next one. The other may have died.
    pub moving: Duration,
    /// A runner's record that no relay has written anew for so long is removed, once no actor's record names the
    /// runner: it is away, or its relay has died. Longer than the supervisor takes to hold such a runner for lost.
    pub runner_forgotten: Duration,
    /// A gateway that has routes on a connection and sent neither a ping nor an opening there for so long is taken for
    /// gone.
    pub gateway_silent: Duration,
    /// Between two attempts to tell a gateway of an end that the bus refused to tell.
    pub abort_again: Duration,
    /// For how long that is tried.
    pub abort_give_up: Duration,
    /// How many such ends are kept; those beyond are given up at once.
    pub max_ending: usize,
    /// From the beginning of a drain, how long a connection stays on which nothing is open, so that its runner can
    /// come again elsewhere first.
    pub drain_idle: Duration,
    /// From the beginning of a drain, how long what is open with published runners may take: they do not come again
    /// before their connection ends.
    pub drain_published: Duration,
    /// From the beginning of a drain, how long what is open may take; none: as long as it takes.
    pub drain_limit: Option<Duration>,
    /// How long a closed route is remembered, to tell late frames from unrouted ones.
    pub tombstone: Duration,
    /// How many closed routes are remembered.
    pub max_tombstones: usize,
    /// Of actors with state. What runners are told is in it.
    pub supervisor: supervisor::Config,
    /// Of actors' stores. An answer is besides no larger than a frame.
    pub kv: kv::Limits,
    /// Calls on stores that the runner of a connection may have open at once; more wait.
    pub max_kv_calls: usize,
    /// Bytes of such calls that wait for one connection; more are refused.
    pub max_kv_waiting: usize,
    /// How long a store has for an answer. Then its call is an error for the runner, and counts among the open ones no
    /// more, even if the store is still at it.
    pub kv_answer: Duration,
    /// Whether a connection is closed over a frame that has no route.
    pub close_over_unrouted: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_connections: 10_000,
            max_routes_per_connection: 20_000,
            max_frame: 33 * 1024 * 1024,
            max_name: 256,
            outbox: 34 * 1024 * 1024,
            max_buffered: 33 * 1024 * 1024,
            max_backlog: 128 * 1024 * 1024,
            bus_largest_message: 34 * 1024 * 1024,
            init: Duration::from_secs(5),
            ping_interval: Duration::from_secs(3),
            pong: Duration::from_secs(15),
            directory_retry: Duration::from_secs(1),
            refresh: Duration::from_secs(5),
            moving: Duration::from_secs(20),
            runner_forgotten: Duration::from_secs(60),
            gateway_silent: Duration::from_secs(30),
            abort_again: Duration::from_millis(250),
            abort_give_up: Duration::from_secs(10),
            max_ending: 65_536,
            drain_idle: Duration::from_secs(1),
            drain_published: Duration::from_secs(8),
            drain_limit: None,
            tombstone: Duration::from_secs(60),
            max_tombstones: 16_384,
            supervisor: supervisor::Config::default(),
            kv: kv::Limits::default(),
            max_kv_calls: 64,
            max_kv_waiting: 64 * 1024 * 1024,
            kv_answer: Duration::from_secs(10),
            close_over_unrouted: false,
        }
    }
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("max_connections", self.max_connections),
            ("max_routes_per_connection", self.max_routes_per_connection),
            ("max_frame", self.max_frame),
            ("max_name", self.max_name),
            ("max_kv_calls", self.max_kv_calls),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        for (bound, bound_bytes) in [
            ("outbox", self.outbox),
            ("max_buffered", self.max_buffered),
            ("max_backlog", self.max_backlog),
            ("bus_largest_message", self.bus_largest_message),
        ] {
            // On the bus, a frame has two bytes of version more than on a runner's WebSocket.
            let needed = self.max_frame.saturating_add(if bound == "bus_largest_message" { 2 } else { 0 });
            if bound_bytes < needed {
                return Err(ConfigError::BoundBelowLargest { bound, bound_bytes, largest: "max_frame", needed });
            }
        }
        for (name, wait) in [
            ("ping_interval", self.ping_interval),
            ("refresh", self.refresh),
            ("gateway_silent", self.gateway_silent),
            ("abort_again", self.abort_again),
            ("directory_retry", self.directory_retry),
            ("kv_answer", self.kv_answer),
        ] {
            // What is less than the clock's tick would be due for ever.
            if wait.as_micros() == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        let supervisor::Config { runner_lost_threshold, runner_lost_margin, runner_unseen, .. } = self.supervisor;
        let lost = runner_lost_threshold + runner_lost_margin;
        for (smaller, less, larger, more) in [
            ("runner_lost_threshold", lost, "runner_forgotten", self.runner_forgotten),
            ("runner_unseen", runner_unseen, "runner_forgotten", self.runner_forgotten),
            ("ping_interval", self.ping_interval, "pong", self.pong),
            ("abort_again", self.abort_again, "abort_give_up", self.abort_give_up),
        ] {
            if less >= more {
                return Err(ConfigError::Order { smaller, larger });
            }
        }
        self.kv.validate()
    }
}
