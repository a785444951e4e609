//! Why the program failed: one clear line each.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytestring::ByteString;
use thiserror::Error;
use underpass_core::ConfigError;
use underpass_core::protocol::any::NoSuchUnion;
use underpass_core::record::{BadRecording, ReplayError};
use underpass_store_redb::OpenError;
use underpass_transport_nats::{BucketError, ConnectError};
use underpass_transport_ws::runner::StopReason;
use underpass_transport_ws::tls::TlsError;
use underpass_transport_ws::{clients, runner, runners};

/// Why the program failed.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
    #[error(
        "runners of other machines could come in at {address} without a token: see --token and --token-file, or \
         --insecure if that is meant"
    )]
    Unguarded { address: SocketAddr },
    #[error("cannot write to {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("there is no command {name}: see --help")]
    NoSuchCommand { name: String },
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", .path.display())]
    Recording { path: PathBuf, source: BadRecording },
    #[error(transparent)]
    Replay(#[from] Box<ReplayError>),
    #[error("there is no token in {}", .path.display())]
    NoTokens { path: PathBuf },
    #[error("TLS does not start: {0}")]
    Tls(#[from] TlsError),
    #[error("{filter:?} is not a log filter like info or underpass=debug: {problem}")]
    Log { filter: String, problem: String },
    #[cfg(feature = "otlp")]
    #[error("spans can't be sent to {url:?}: {problem}")]
    Otlp { url: String, problem: String },
    #[error("the token may have letters, digits and any of !#$%&'*+-.^_`|~ only, and must have some: see --token")]
    Token,
    #[error(
        "{what} are no longer taken in{}: this is a fault, start again",
        if *.panicked { " after a panic" } else { "" }
    )]
    NotServing { what: &'static str, panicked: bool },
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
    #[error("cannot write to standard output: {0}")]
    Announce(#[source] io::Error),
    #[error("cannot read standard input: {0}")]
    Input(#[source] io::Error),
    #[error(transparent)]
    Union(#[from] NoSuchUnion),
    #[error("the gateway does not start: {0}")]
    Clients(#[from] clients::StartError),
    #[error("the relay does not start: {0}")]
    Runners(#[from] runners::StartError),
    #[error("the relay does not start: {0}")]
    Tokens(#[from] runners::BadTokens),
    #[error("the runner does not start: {0}")]
    Runner(#[from] runner::StartError),
    #[error("the key-value store does not open: {0}")]
    Store(#[from] OpenError),
    #[error("the bus does not start: {0}")]
    Bus(#[from] ConfigError),
    #[error(transparent)]
    Nats(#[from] ConnectError),
    #[error("{0}; is JetStream on, and may this user use it?")]
    Bucket(#[from] BucketError),
    #[error("the relay at {relay} refused this runner: {}", refusal(*code, message))]
    Refused { relay: String, code: u16, message: ByteString },
    #[error("another runner with the key {key} took this one's place")]
    Evicted { key: String },
    #[error("the runner has stopped")]
    Stopped,
}

impl Error {
    /// The error that a runner's stop is, when nobody wanted it.
    pub(crate) fn stopped(reason: StopReason, relay: &str, key: &str) -> Self {
        match reason {
            StopReason::Drained => Error::Stopped,
            StopReason::Evicted(_) => Error::Evicted { key: key.to_owned() },
            StopReason::Refused { code, message } => Error::Refused { relay: relay.to_owned(), code, message },
        }
    }
}

fn refusal(code: u16, message: &str) -> String {
    let message = message.lines().next().unwrap_or_default().trim();
    match (code, message) {
        (401, _) => "it wants another token (401): see --token".to_owned(),
        (_, "") => code.to_string(),
        (_, message) => format!("{message} ({code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_that_says_what_to_do() {
        let refused = |code, message: &'static str| {
            let reason = StopReason::Refused { code, message: message.into() };
            Error::stopped(reason, "ws://127.0.0.1:8081", "k").to_string()
        };
        let relay = "the relay at ws://127.0.0.1:8081 refused this runner:";
        assert_eq!(refused(401, "wrong token\n"), format!("{relay} it wants another token (401): see --token"));
        assert_eq!(refused(1008, "version 9 is not spoken\nhere"), format!("{relay} version 9 is not spoken (1008)"));
        assert_eq!(refused(404, ""), format!("{relay} 404"));
    }
}
