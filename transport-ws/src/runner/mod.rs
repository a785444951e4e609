//! The runner's end: dials a relay, and hands requests to a service and WebSockets to a handler.

mod body;
mod websocket;

use bytes::Bytes;
use bytestring::ByteString;
use thiserror::Error;
use tower_service::Service;
use underpass_core::ConfigError;
use underpass_core::runner;

pub use body::{Body, BodyError};
pub use underpass_core::runner::StopReason;
pub use websocket::{
    Closed, Incoming, NoWebSockets, Pending, WebSocket, WebSocketHandler, WebSocketReceiver, WebSocketSender,
};

/// What a runner is told.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Who it is and what it can do; its machine's limits and deadlines.
    pub runner: runner::Config,
    /// Where the relay listens: `ws://host:port`; a path is ignored.
    pub relay_url: String,
    /// By what it is known when it comes again; none: a random UUID.
    pub key: Option<String>,
    /// What the relay wants to see.
    pub token: Option<String>,
}

/// Why a runner could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// The configuration could not work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The relay's URL is none.
    #[error("{url:?} is not a relay's URL: {problem}; ws://HOST:PORT is one")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The relay's URL asks for TLS.
    #[error("{url:?} needs TLS, which is not built in: use ws://, or a TLS proxy beside the runner")]
    Tls {
        /// What was given.
        url: String,
    },
    /// The token cannot be sent.
    #[error("the token has a character that does not fit into a WebSocket sub-protocol")]
    Token,
}

/// The actor that a request or a WebSocket is for: found among the extensions of its `http::Request`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor(pub ByteString);

/// A running runner. Clones are handles of the same one; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Runner {}

impl Runner {
    /// Starts a runner: it dials its relay until it is taken in, again whenever the connection breaks, and until it is
    /// drained, dropped or refused for good.
    ///
    /// An axum `Router` is such a service. Of a failing service, or one that panics, the client sees a 502, or a broken
    /// body if the answer had begun.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn start<S, B, W>(config: Config, service: S, websockets: W) -> Result<Self, StartError>
    where
        S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
        S::Error: std::fmt::Display,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
        W: WebSocketHandler,
    {
        unimplemented!()
    }

    /// Waits until the relay has taken the runner in.
    ///
    /// # Errors
    /// Why the runner stopped instead.
    pub async fn ready(&self) -> Result<(), StopReason> {
        unimplemented!()
    }

    /// Waits until the runner has stopped for good.
    pub async fn stopped(&self) -> StopReason {
        unimplemented!()
    }

    /// Finishes what is open, takes nothing new, and goes.
    pub async fn drain(&self) -> StopReason {
        unimplemented!()
    }

    /// The runner's counters and gauges.
    pub fn stats(&self) -> runner::Stats {
        unimplemented!()
    }
}
