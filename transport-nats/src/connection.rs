//! The connection to NATS.

use core::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout_at;
use underpass_core::ConfigError;

use crate::bus::NatsBus;
use crate::config::{Config, Credentials};
use crate::lock;

/// The first pause between two attempts to connect again; each is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How long nothing more is said of frames that are lost because they were not taken.
const WARN_AGAIN: Duration = Duration::from_secs(1);

/// How it stands with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Whether NATS is there.
    pub there: bool,
    /// How often it was away.
    pub times_away: u64,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The configuration could not work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The first word of subjects is none.
    #[error("{0:?} can't stand in front of subjects: it may have letters, digits, - and _")]
    Prefix(String),
    /// Where NATS is said to be is no place.
    #[error("{0} is no URL of a NATS server")]
    Url(String),
    /// The credentials can't be read.
    #[error("cannot use the credentials in {}: {source}", .path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// NATS does not let this client in, or is not there.
    #[error("cannot connect to NATS at {servers}: {source}")]
    Refused {
        /// Where it was looked for.
        servers: String,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// NATS did not answer in time.
    #[error("NATS at {servers} did not answer in {} s", .within.as_secs_f32())]
    Timeout {
        /// Where it was looked for.
        servers: String,
        /// How long was waited.
        within: Duration,
    },
}

/// A way to NATS: one connection for the bus, and one for what is stored, so that neither waits for the other.
///
/// It connects again by itself. When the last of the bus, the directory and the store is dropped, it ends.
#[derive(Clone)]
pub struct Nats {
    pub(crate) config: Config,
    bus: NatsBus,
    pub(crate) storing_client: Client,
    pub(crate) storing_connected: watch::Receiver<Connected>,
    bus_connected: watch::Receiver<Connected>,
}

impl Nats {
    /// Connects. It is tried again until [`Config::connect`] has passed.
    ///
    /// # Errors
    /// The configuration is wrong, or NATS is not there or does not let this client in.
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        config.validate()?;
        let of_a_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        if config.prefix.is_empty() || !config.prefix.chars().all(of_a_word) {
            return Err(ConnectError::Prefix(config.prefix));
        }
        let until = tokio::time::Instant::now() + config.connect;
        let (client, bus_connected) = connect(&config, "bus", until).await?;
        let (storing_client, storing_connected) = connect(&config, "store", until).await?;
        let starting = NatsBus::start(config.bus.clone(), &config.prefix, client, bus_connected.clone());
        let bus = timeout_at(until, starting).await.map_err(|_| timed_out(&config))?;
        let bus = bus.map_err(|_| timed_out(&config))?;
        Ok(Nats { config, bus, storing_client, storing_connected, bus_connected })
    }

    /// The bus.
    pub fn bus(&self) -> NatsBus {
        self.bus.clone()
    }

    /// How it stands with the bus's connection.
    pub fn connected(&self) -> watch::Receiver<Connected> {
        self.bus_connected.clone()
    }

    /// How it stands with the connection of what is stored.
    pub fn storing(&self) -> watch::Receiver<Connected> {
        self.storing_connected.clone()
    }

    /// Whether NATS is there, for the bus and for what is stored.
    pub fn is_there(&self) -> bool {
        self.bus_connected.borrow().there && self.storing_connected.borrow().there
    }
}

impl Nats {
    /// The way to what is stored.
    pub(crate) fn jetstream(&self) -> Context {
        let answer = self.config.store.answer;
        ContextBuilder::new().timeout(answer).ack_timeout(answer).build(self.storing_client.clone())
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("is_there", &self.is_there()).finish_non_exhaustive()
    }
}

fn timed_out(config: &Config) -> ConnectError {
    ConnectError::Timeout { servers: shown(config), within: config.connect }
}

fn servers(config: &Config) -> Result<Vec<ServerAddr>, ConnectError> {
    let server = |url: &String| {
        let server: Option<ServerAddr> = url.parse().ok();
        server.filter(|server| !server.host().is_empty()).ok_or_else(|| ConnectError::Url(shown(config)))
    };
    config.servers.iter().map(server).collect()
}

/// The servers, without what only they should know.
fn shown(config: &Config) -> String {
    let without = |server: &String| match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => server.clone(),
    };
    config.servers.iter().map(without).collect::<Vec<_>>().join(", ")
}

/// One connection, tried again until the time is over.
async fn connect(
    config: &Config,
    what: &str,
    until: tokio::time::Instant,
) -> Result<(Client, watch::Receiver<Connected>), ConnectError> {
    let mut pause = FIRST_PAUSE;
    let mut last = None;
    let connecting = async {
        loop {
            match attempt(config, what).await {
                Ok(connected) => return Ok(connected),
                Err(ConnectError::Refused { source, .. }) if is_final(&source) => {
                    return Err(ConnectError::Refused { servers: shown(config), source });
                }
                Err(error @ ConnectError::Refused { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(config.again);
        }
    };
    match timeout_at(until, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(last.unwrap_or_else(|| timed_out(config))),
    }
}

/// Whether trying again is no use.
fn is_final(error: &async_nats::ConnectError) -> bool {
    use async_nats::ConnectErrorKind as Kind;
    match error.kind() {
        Kind::ServerParse | Kind::Authentication | Kind::AuthorizationViolation => true,
        Kind::Dns | Kind::TimedOut | Kind::Tls | Kind::Io | Kind::MaxReconnects => false,
    }
}

async fn attempt(config: &Config, what: &str) -> Result<(Client, watch::Receiver<Connected>), ConnectError> {
    let (told, connected) = Told::new();
    let (first, again) = (FIRST_PAUSE, config.again);
    let mut options = ConnectOptions::new()
        .name(format!("{} {what}", config.name))
        .connection_timeout(config.attempt)
        .ping_interval(config.ping)
        .subscription_capacity(config.bus.subscription_messages)
        .request_timeout(Some(config.store.answer))
        .skip_subject_validation(true)
        .reconnect_delay_callback(move |attempts| {
            first.saturating_mul(1 << attempts.clamp(1, 16).saturating_sub(1)).min(again)
        })
        .require_tls(requires_tls(config))
        .event_callback(move |event| {
            told.hear(&event);
            core::future::ready(())
        });
    if config.tls.first {
        options = options.tls_first();
    }
    for authority in &config.tls.authorities {
        options = options.add_root_certificates(authority.clone());
    }
    if let Some((certificate, key)) = &config.tls.certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    let servers = servers(config)?;
    let options = match &config.credentials {
        Credentials::None => match servers.iter().find_map(|server| Some((server.username()?, server.password()))) {
            Some((user, Some(password))) => options.user_and_password(decoded(user), decoded(password)),
            Some((token, None)) => options.token(decoded(token)),
            None => options,
        },
        Credentials::File(path) => options
            .credentials_file(path)
            .await
            .map_err(|source| ConnectError::Credentials { path: path.clone(), source })?,
        Credentials::Nkey(seed) => options.nkey(seed.clone()),
        Credentials::Token(token) => options.token(token.clone()),
        Credentials::User { user, password } => options.user_and_password(user.clone(), password.clone()),
    };
    let connecting = options.connect(servers);
    let client = connecting.await.map_err(|source| ConnectError::Refused { servers: shown(config), source })?;
    Ok((client, connected))
}

/// Whether a server without TLS is refused, be it named or one that others told of: who says `tls://`, or whom to
/// believe or to be, wants no connection that somebody between has talked out of it.
fn requires_tls(config: &Config) -> bool {
    let tls = &config.tls;
    let named = config.servers.iter().any(|server| server.starts_with("tls://"));
    tls.required || named || !tls.authorities.is_empty() || tls.certificate.is_some()
}

/// What stands in a URL, where `%20` is a space.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Who is told what the client says of itself.
struct Told {
    connected: watch::Sender<Connected>,
    /// The client has said that it is connected, as it does at first.
    began: AtomicBool,
    /// When it was said last that more came than was taken.
    warned: Mutex<Option<Instant>>,
}

impl Told {
    fn new() -> (Self, watch::Receiver<Connected>) {
        let (sender, connected) = watch::channel(Connected { there: true, times_away: 0 });
        (Told { connected: sender, began: AtomicBool::new(false), warned: Mutex::default() }, connected)
    }

    /// The client says how it stands. It may be in such a hurry that it leaves out that the server was lost, so that it
    /// is there again counts as well.
    fn hear(&self, event: &Event) {
        match event {
            Event::Connected => {
                let is_first = !self.began.swap(true, Ordering::Relaxed);
                self.connected.send_modify(|connected| {
                    connected.times_away += u64::from(connected.there && !is_first);
                    connected.there = true;
                });
                tracing::info!("connected to NATS");
            }
            Event::Disconnected => {
                self.went();
                tracing::warn!("NATS is away");
            }
            // Nobody uses the connection any more.
            Event::Closed => self.went(),
            Event::SlowConsumer(_) if self.warns(Instant::now()) => {
                tracing::warn!("more came from NATS than was taken: frames are lost");
            }
            // It is said for each message.
            Event::SlowConsumer(_) => {}
            Event::LameDuckMode => tracing::info!("the NATS server is about to stop"),
            Event::ServerError(error) => tracing::warn!("NATS: {error}"),
            Event::ClientError(error) if self.connected.borrow().there => tracing::warn!("NATS: {error}"),
            // It cannot connect yet, which was told.
            Event::ClientError(error) => tracing::debug!("NATS: {error}"),
            Event::Draining => {}
        }
    }

    fn went(&self) {
        self.connected.send_modify(|connected| {
            connected.times_away += u64::from(connected.there);
            connected.there = false;
        });
    }

    /// Whether it is time to say once more that more came than was taken.
    fn warns(&self, now: Instant) -> bool {
        let mut warned = lock(&self.warned);
        let is_time = warned.is_none_or(|last| now >= last + WARN_AGAIN);
        if is_time {
            *warned = Some(now);
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_there_again_was_away_though_nobody_said_so() {
        let (told, connected) = Told::new();
        let stands = |there, times_away| assert_eq!(*connected.borrow(), Connected { there, times_away });
        told.hear(&Event::Connected);
        stands(true, 0);
        told.hear(&Event::Connected);
        stands(true, 1);
        told.hear(&Event::Disconnected);
        stands(false, 2);
        told.hear(&Event::Connected);
        stands(true, 2);
    }

    #[test]
    fn it_is_said_once_a_second_that_more_comes_than_is_taken() {
        let (told, _) = Told::new();
        let start = Instant::now();
        let said = |after: u64| told.warns(start + Duration::from_millis(after));
        assert_eq!([0, 1, 999, 1000, 1001, 2000].map(said), [true, false, false, true, false, true]);
    }
}
