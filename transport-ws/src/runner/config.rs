//! What a runner's end is told, and why it may not start.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use underpass_core::{ConfigError, runner};

use crate::observers::Observers;
use crate::socket;
use crate::tls::{ClientTls, TlsError};

/// What a runner is told.
#[derive(Clone)]
pub struct Config {
    /// Who it is and what it can do; its machine's limits and deadlines.
    pub runner: runner::Config,
    /// Where relays listen, at least one: `ws://host:port`, or `wss://host:port` over TLS; a path is ignored. They are dialled in turn: the next one
    /// when a connection failed or broke, and when the relay drains.
    pub relay_urls: Vec<String>,
    /// By what it is known when it comes again; none: a random UUID.
    pub key: Option<String>,
    /// What the relay wants to see.
    pub token: Option<String>,
    /// Whom it believes and what it shows, to relays with `wss://`.
    pub tls: ClientTls,
    /// How long a closing WebSocket may make no progress, until it is cut: from when its close is to be sent, or came,
    /// or more could be written. 30 s.
    pub close_within: Duration,
    /// How long a WebSocket whose peer broke a rule is still read, so that the peer can see the close. 2 s.
    pub linger: Duration,
    /// Who looks on at its machine.
    pub observers: Observers<runner::Runner>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            runner: runner::Config::default(),
            relay_urls: Vec::new(),
            key: None,
            token: None,
            tls: ClientTls::default(),
            close_within: socket::CLOSE_WITHIN,
            linger: socket::LINGER,
            observers: Observers::default(),
        }
    }
}

/// The token is not shown.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { runner, relay_urls, key, token, tls, close_within, linger, observers } = self;
        let token = token.as_ref().map(|_| "…");
        let mut shown = f.debug_struct("Config");
        shown.field("runner", runner).field("relay_urls", relay_urls).field("key", key).field("token", &token);
        shown
            .field("tls", tls)
            .field("close_within", close_within)
            .field("linger", linger)
            .field("observers", observers)
            .finish()
    }
}

/// Why a runner could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// The configuration could not work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No relay is named.
    #[error("no relay is named: ws://HOST:PORT is one, or wss://HOST:PORT")]
    NoRelay,
    /// A relay's URL is none.
    #[error("{url:?} is not a relay's URL: {problem}; ws://HOST:PORT is one, or wss://HOST:PORT")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A relay's URL asks for TLS, which cannot be spoken as it is configured.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token cannot be sent.
    #[error("the token has a character that does not fit into a WebSocket sub-protocol")]
    Token,
}
