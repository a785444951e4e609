//! What a connection to NATS is made of, and the bounds of what goes over it.

use std::path::PathBuf;
use std::time::Duration;

use underpass_core::ConfigError;
use underpass_core::directory::REGISTRY_EXPIRY;

/// Where NATS is and who connects to it. Times are how long something may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `nats://HOST:PORT` or `tls://HOST:PORT` of a server, or of several of one cluster. A user and a password, or a
    /// token, may stand before the host of the first.
    pub servers: Vec<String>,
    /// The first word of all subjects, and of the names of buckets with a `-`: letters, digits, `-` and `_`.
    pub prefix: String,
    /// What the servers call this client in their reports.
    pub name: String,
    /// What it shows to be let in, besides what the servers' URLs say.
    pub credentials: Credentials,
    /// How its connection is kept from others' eyes.
    pub tls: Tls,
    /// The first connection.
    pub connect: Duration,
    /// One attempt to connect.
    pub attempt: Duration,
    /// The longest pause between two attempts to connect again.
    pub again: Duration,
    /// How often a quiet server is pinged. One that leaves two pings unanswered is taken for gone.
    pub ping: Duration,
    /// Bounds of the bus.
    pub bus: BusConfig,
    /// Bounds of the directory and of the key-value store.
    pub store: StoreConfig,
}

/// What a client shows to be let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    #[default]
    None,
    /// A file with a JWT and its nkey, as `nsc` writes it.
    File(PathBuf),
    /// The seed of an nkey.
    Nkey(String),
    /// A token.
    Token(String),
    /// A user and a password.
    User {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

/// TLS. The system's roots are trusted besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Whether a server without TLS is refused. It is in any case if a URL says `tls://`, or if there are authorities
    /// or a certificate here.
    pub required: bool,
    /// Whether TLS begins before the server says anything.
    pub first: bool,
    /// Files with certificates of authorities, in PEM.
    pub authorities: Vec<PathBuf>,
    /// The client's own certificate and its key, in PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Bounds of the bus. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusConfig {
    /// The largest frame that is carried. One larger than the server takes is cut into pieces.
    pub largest_message: usize,
    /// What the frames that wait to be published may have together; one that does not fit goes back to its publisher.
    pub outgoing_bytes: usize,
    /// How many frames may wait to be published; likewise.
    pub outgoing_messages: usize,
    /// What may be in the client's hands and not yet on its socket.
    pub unsent_bytes: usize,
    /// How long a frame may wait until the client takes it. Then it goes back to its publisher.
    pub publish: Duration,
    /// How long nothing is published after NATS has come back, so that others have come back as well. What is published
    /// meanwhile waits. It should be longer than their [pause](Config::again) between two attempts.
    pub settle: Duration,
    /// After how long the server is asked again whether anybody listens at a subject that is published to.
    pub ask_again: Duration,
    /// What the frames that wait in one inbox may have together; one that does not fit is lost, and that is told.
    pub inbox_bytes: usize,
    /// How many frames may wait in one inbox; likewise.
    pub inbox_messages: usize,
    /// How many messages of a subscription may wait for the inbox, which takes them at once. What does not fit is lost,
    /// and the next frame shows that.
    pub subscription_messages: usize,
    /// How long the server may take to confirm that an address is held.
    pub attach: Duration,
    /// How much of a large frame may be on its way.
    pub window: usize,
    /// How long a piece of a large frame may take to arrive.
    pub piece: Duration,
    /// How long the publisher of a large frame goes without word of it. Then it goes back.
    pub receipt: Duration,
    /// How many large frames may wait for others at one inbox.
    pub waiting: usize,
    /// How many publishers an inbox, and how many subjects a publisher, remembers.
    pub remembered: usize,
}

/// Bounds of the directory and of the key-value store. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// How many servers of a cluster keep each record.
    pub replicas: usize,
    /// How long the server may take to answer.
    pub answer: Duration,
    /// Between two attempts to make again what a server has lost.
    pub make_again: Duration,
    /// How long the subject of a record may be. A longer one is not asked for: the server would end the connection over
    /// it. With all that stands besides it must be within the server's `max_control_line`, 4096 unless set.
    pub max_subject: usize,
    /// For how long the record of a runner stays that nobody refreshes.
    pub runner_age: Duration,
    /// For how long a gateway's claim of its id stays, and what it has entered counts, if nothing is heard of it. It is
    /// renewed at a third of it.
    pub gateway_age: Duration,
    /// For how long what a gateway has entered stays that nobody refreshes; it is refreshed at a third of it.
    pub socket_age: Duration,
    /// For how long an actor's store must be quiet until its keys are forgotten.
    pub kv_idle: Duration,
    /// What calls of stores that wait may have together, each with 256 bytes for itself; more are answered
    /// [`Busy`](underpass_core::kv::StoreError::Busy).
    pub kv_queued: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            servers: vec!["nats://127.0.0.1:4222".into()],
            prefix: "underpass".into(),
            name: "underpass".into(),
            credentials: Credentials::None,
            tls: Tls::default(),
            connect: Duration::from_secs(10),
            attempt: Duration::from_secs(2),
            again: Duration::from_secs(1),
            ping: Duration::from_secs(5),
            bus: BusConfig::default(),
            store: StoreConfig::default(),
        }
    }
}

impl Default for BusConfig {
    fn default() -> Self {
        BusConfig {
            largest_message: 34 * 1024 * 1024,
            outgoing_bytes: 64 * 1024 * 1024,
            outgoing_messages: 65_536,
            unsent_bytes: 4 * 1024 * 1024,
            publish: Duration::from_secs(10),
            settle: Duration::from_millis(1500),
            ask_again: Duration::from_millis(100),
            inbox_bytes: 64 * 1024 * 1024,
            inbox_messages: 65_536,
            subscription_messages: 65_536,
            attach: Duration::from_secs(5),
            window: 8 * 1024 * 1024,
            piece: Duration::from_secs(2),
            receipt: Duration::from_secs(10),
            waiting: 1024,
            remembered: 65_536,
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            replicas: 1,
            answer: Duration::from_secs(5),
            make_again: Duration::from_secs(1),
            max_subject: 3 * 1024,
            runner_age: Duration::from_secs(3600),
            gateway_age: REGISTRY_EXPIRY,
            socket_age: Duration::from_secs(3600),
            kv_idle: Duration::from_secs(60),
            kv_queued: 64 * 1024 * 1024,
        }
    }
}

impl Config {
    /// Whether it could work.
    ///
    /// # Errors
    /// A bound is zero, or below what it must hold.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.bus.validate()?;
        for (name, value) in [
            ("servers", self.servers.len()),
            ("replicas", self.store.replicas),
            ("max_subject", self.store.max_subject),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        Ok(())
    }
}

impl BusConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("largest_message", self.largest_message),
            ("outgoing_messages", self.outgoing_messages),
            ("unsent_bytes", self.unsent_bytes),
            ("inbox_messages", self.inbox_messages),
            ("subscription_messages", self.subscription_messages),
            ("window", self.window),
            ("waiting", self.waiting),
            ("remembered", self.remembered),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        for (bound, bound_bytes) in [("outgoing_bytes", self.outgoing_bytes), ("inbox_bytes", self.inbox_bytes)] {
            if bound_bytes < self.largest_message {
                let (largest, needed) = ("largest_message", self.largest_message);
                return Err(ConfigError::BoundBelowLargest { bound, bound_bytes, largest, needed });
            }
        }
        Ok(())
    }
}
