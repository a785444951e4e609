//! What a gateway can be told.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::ending::{self, EndingKey};
use super::hibernation::{self, Bounds, GroupKey, RegistryDeadline, RegistryDeadlineOf};
use super::runners::LinkKey;
use super::{pings, request};
use crate::directory::REGISTRY_EXPIRY;
use crate::error::ConfigError;
use crate::frame::FRAME_OVERHEAD;
use crate::machine::RequestKey;
use crate::machine::deadline::Deadlines;

/// The deadlines of requests, of connections, and of ends that are not out.
type AllDeadlines = (
    Deadlines<request::Deadline, RequestKey>,
    Deadlines<pings::Deadline, LinkKey>,
    Deadlines<ending::Deadline, EndingKey>,
);

/// The most messages without acknowledgement of which each number means one alone.
const MOST_PENDING: usize = (1 << 15) - 1;

/// Limits and deadlines of a gateway. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Requests open at once, with those whose end the bus has not taken; more are refused as `overloaded`.
    pub max_requests: usize,
    /// Requests open at once to one runner; more go to others, or are refused as `overloaded`.
    pub max_requests_per_runner: usize,
    /// The largest body that travels whole, in either direction.
    pub max_whole_body: usize,
    /// The largest streamed request body; none for any.
    pub max_streamed_body: Option<u64>,
    /// The largest piece of a streamed body; larger ones are cut.
    pub max_chunk: usize,
    /// The largest WebSocket message, in either direction.
    pub max_message: usize,
    /// The most bytes that the names and values of an answer's header fields may have.
    pub max_header_bytes: usize,
    /// Bytes of an actor's id. A request for a longer one fails as `bad_target`.
    pub max_actor_id: usize,
    /// Bytes held for one request and direction; past them the request fails.
    pub max_buffered: usize,
    /// Bytes held of a client's messages that the actor of a WebSocket which can hibernate has not acknowledged, each
    /// message counted for at least 64; past them the WebSocket fails as `overloaded`, and past half of them its client
    /// is told to pause.
    pub max_pending_bytes: usize,
    /// The same, counted in messages; at most 32,767, so that their numbers can be told apart.
    pub max_pending_messages: usize,
    /// The largest whole body of a request that is kept until the answer begins, so that the request can be sent again.
    /// One for an actor with state is kept up to `max_whole_body`.
    pub max_kept_body: usize,
    /// Bytes of whole bodies that are collected and kept at once, for all requests. Past them a request is refused, or
    /// fails, as `overloaded`.
    pub max_kept_bodies: usize,
    /// Requests that wait for a runner at once; more fail without waiting. At most so many changes of actors' records
    /// are under way.
    pub max_waiting: usize,
    /// Records of running actors kept at once. A request for an actor that has none here first asks the directory.
    pub max_actors: usize,
    /// To how many runners a request is sent, one after another, at most. What the relay of an actor's runner would not
    /// take is not counted while the request waits for that actor.
    pub max_tries: u32,
    /// The largest frame that the bus carries.
    pub bus_largest_message: usize,
    /// From a request's opening to the beginning of its answer, then `response_start_timeout`.
    pub response_start: Duration,
    /// From a WebSocket's opening to its being taken, then `websocket_open_timeout`.
    pub websocket_open: Duration,
    /// How long messages that a client sent before its close may wait for the handler; then the close overtakes them.
    pub websocket_close: Duration,
    /// How long messages to an actor may be without a new acknowledgement, while their WebSocket is one that can hibernate
    /// and is awake; then `websocket_ack_timeout`.
    pub websocket_ack: Duration,
    /// How often the directory's registry hears that this gateway lives, while it has entered WebSockets there.
    pub keep_alive: Duration,
    /// How long after the directory did not take a word of the registry it is said again.
    pub registry_again: Duration,
    /// How long more of a streamed request body may be awaited of its client, then `idle_timeout`; none for ever.
    pub idle_request_body: Option<Duration>,
    /// How long more of a streamed answer may be awaited of the runner, once the client has taken all that came, then
    /// `idle_timeout`; none for ever.
    pub idle_response_body: Option<Duration>,
    /// What is sent to an actor's next life for the second time and not acknowledged calls for another so long after that
    /// one; then after twice as long, and so on to 64 times as long.
    pub wake_again: Duration,
    /// How long a request waits until its actor runs, then `actor_start_timeout`.
    pub actor_start: Duration,
    /// How long a request that may be sent again waits for another runner; then its first failure stands.
    pub grace: Duration,
    /// How often requests that wait look for a runner, besides when the directory tells of one.
    pub try_again: Duration,
    /// Between two pings to a runner's connection that has requests of this gateway.
    pub ping_interval: Duration,
    /// How many requests one probe names, when the bus has lost frames. Each connection has one probe under way.
    pub max_probed: usize,
    /// For how long connections are not asked again after a loss, whatever is lost meanwhile.
    pub probe_pause: Duration,
    /// From the first ping without an answer to `ping_timeout` for all requests of its connection.
    pub pong: Duration,
    /// How long after the directory's last word of a runner it gets no new requests.
    pub runner_unseen: Duration,
    /// Between two attempts to publish the end of a request that the bus did not take.
    pub abort_again: Duration,
    /// From the first of these attempts to the last.
    pub abort_give_up: Duration,
    /// Over which time open WebSockets are closed when the gateway drains.
    pub drain_window: Duration,
    /// How long after the drain's beginning what is open fails as `draining`; none for never.
    pub drain_limit: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_requests: 100_000,
            max_requests_per_runner: 20_000,
            max_whole_body: 20 * 1024 * 1024,
            max_streamed_body: None,
            max_chunk: 64 * 1024,
            max_message: 32 * 1024 * 1024,
            max_header_bytes: 64 * 1024,
            max_actor_id: 512,
            max_buffered: 33 * 1024 * 1024,
            max_pending_bytes: 33 * 1024 * 1024,
            max_pending_messages: 16_384,
            max_kept_body: 1024 * 1024,
            max_kept_bodies: 256 * 1024 * 1024,
            max_waiting: 10_000,
            max_actors: 1_000_000,
            max_tries: 3,
            bus_largest_message: 33 * 1024 * 1024,
            response_start: Duration::from_secs(300),
            websocket_open: Duration::from_secs(15),
            websocket_close: Duration::from_secs(10),
            websocket_ack: Duration::from_secs(30),
            keep_alive: Duration::from_secs(45),
            registry_again: Duration::from_secs(1),
            idle_request_body: None,
            idle_response_body: None,
            wake_again: Duration::from_secs(10),
            actor_start: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            try_again: Duration::from_millis(250),
            ping_interval: Duration::from_secs(3),
            max_probed: 1_000,
            probe_pause: Duration::from_millis(250),
            pong: Duration::from_secs(30),
            runner_unseen: Duration::from_secs(20),
            abort_again: Duration::from_millis(250),
            abort_give_up: Duration::from_secs(10),
            drain_window: Duration::from_secs(5),
            drain_limit: None,
        }
    }
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("max_requests", self.max_requests),
            ("max_requests_per_runner", self.max_requests_per_runner),
            ("max_chunk", self.max_chunk),
            ("max_actor_id", self.max_actor_id),
            ("max_probed", self.max_probed),
            ("max_tries", self.max_tries as usize),
            ("max_pending_messages", self.max_pending_messages),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        if self.max_pending_messages > MOST_PENDING {
            return Err(ConfigError::TooLarge { setting: "max_pending_messages", most: MOST_PENDING as u64 });
        }
        self.validate_waits()?;
        let framed = |payload: usize| payload.saturating_add(self.max_header_bytes).saturating_add(FRAME_OVERHEAD);
        for (bound, bound_bytes) in
            [("max_buffered", self.max_buffered), ("bus_largest_message", self.bus_largest_message)]
        {
            for (largest, needed) in [
                ("max_whole_body", framed(self.max_whole_body)),
                ("max_message", framed(self.max_message)),
                ("max_chunk", framed(self.max_chunk)),
            ] {
                if bound_bytes < needed {
                    return Err(ConfigError::BoundBelowLargest { bound, bound_bytes, largest, needed });
                }
            }
        }
        if self.max_pending_bytes < framed(self.max_message) {
            return Err(ConfigError::BoundBelowLargest {
                bound: "max_pending_bytes",
                bound_bytes: self.max_pending_bytes,
                largest: "max_message",
                needed: framed(self.max_message),
            });
        }
        if self.max_kept_bodies < self.max_whole_body {
            return Err(ConfigError::BoundBelowLargest {
                bound: "max_kept_bodies",
                bound_bytes: self.max_kept_bodies,
                largest: "max_whole_body",
                needed: self.max_whole_body,
            });
        }
        Ok(())
    }

    pub(super) fn deadlines(&self) -> AllDeadlines {
        use request::Deadline;
        let optional = [
            (Deadline::IdleRequestBody, self.idle_request_body),
            (Deadline::IdleResponseBody, self.idle_response_body),
        ];
        let of_requests = [
            (Deadline::ResponseStart, self.response_start),
            (Deadline::WebSocketOpen, self.websocket_open),
            (Deadline::WebSocketClose, self.websocket_close),
            (Deadline::WebSocketAck, self.websocket_ack),
            (Deadline::ActorStart, self.actor_start),
            (Deadline::WakeAgain, self.wake_again),
            (Deadline::Grace, self.grace),
        ]
        .into_iter()
        .chain(optional.into_iter().filter_map(|(deadline, wait)| Some((deadline, wait?))));
        // Of those that are due at the same instant, the one that ends something comes first.
        let of_links = [(pings::Deadline::Pong, self.pong), (pings::Deadline::PingInterval, self.ping_interval)];
        let of_endings = [(ending::Deadline::GiveUp, self.abort_give_up), (ending::Deadline::Again, self.abort_again)];
        (Deadlines::new(of_requests), Deadlines::new(of_links), Deadlines::new(of_endings))
    }

    /// The deadlines of actors that are wanted for WebSockets which sleep.
    pub(super) fn group_deadlines(&self) -> Deadlines<hibernation::Deadline, GroupKey> {
        Deadlines::new([(hibernation::Deadline::TryAgain, self.try_again)])
    }

    pub(super) fn registry_deadlines(&self) -> Deadlines<RegistryDeadline, RegistryDeadlineOf> {
        let waits =
            [(RegistryDeadline::KeepAlive, self.keep_alive), (RegistryDeadline::RegistryAgain, self.registry_again)];
        Deadlines::new(waits)
    }

    /// How much is held of what an actor has not acknowledged.
    pub(super) fn pending(&self) -> Bounds {
        Bounds { bytes: self.max_pending_bytes, messages: self.max_pending_messages }
    }

    fn validate_waits(&self) -> Result<(), ConfigError> {
        for (name, wait) in [
            ("response_start", Some(self.response_start)),
            ("websocket_open", Some(self.websocket_open)),
            ("websocket_close", Some(self.websocket_close)),
            ("websocket_ack", Some(self.websocket_ack)),
            ("keep_alive", Some(self.keep_alive)),
            ("registry_again", Some(self.registry_again)),
            ("idle_request_body", self.idle_request_body),
            ("idle_response_body", self.idle_response_body),
            ("wake_again", Some(self.wake_again)),
            ("actor_start", Some(self.actor_start)),
            ("grace", Some(self.grace)),
            ("try_again", Some(self.try_again)),
            ("ping_interval", Some(self.ping_interval)),
            ("probe_pause", Some(self.probe_pause)),
            ("pong", Some(self.pong)),
            ("runner_unseen", Some(self.runner_unseen)),
            ("abort_again", Some(self.abort_again)),
            ("abort_give_up", Some(self.abort_give_up)),
        ] {
            // What is less than the clock's tick would be due for ever.
            if wait.is_some_and(|wait| wait.as_micros() == 0) {
                return Err(ConfigError::Zero(name));
            }
        }
        for (smaller, larger) in [
            (("ping_interval", self.ping_interval), ("pong", self.pong)),
            (("abort_again", self.abort_again), ("abort_give_up", self.abort_give_up)),
            (("registry_again", self.registry_again), ("keep_alive", self.keep_alive)),
            (("keep_alive", self.keep_alive), ("the registry's expiry", REGISTRY_EXPIRY)),
        ] {
            if smaller.1 >= larger.1 {
                return Err(ConfigError::Order { smaller: smaller.0, larger: larger.0 });
            }
        }
        Ok(())
    }
}
