//! How a process is looked after.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;

use super::seconds;

/// What whoever runs it wants of a process.
#[derive(Debug, Args)]
pub(crate) struct Process {
    /// Where /healthz, /readyz and /metrics are answered: PORT of this host alone, or ADDRESS:PORT
    #[arg(long, env = "UNDERPASS_ADMIN", value_name = "ADDRESS", value_parser = admin)]
    pub(crate) admin: Option<String>,
    /// How many threads do its work, at least 1 [default: one for every two cores]
    #[arg(long, env = "UNDERPASS_THREADS", value_name = "NUMBER")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// How long what is open may take when the program shall end, in seconds; without it, as long as it takes
    #[arg(long, env = "UNDERPASS_DRAIN_LIMIT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) drain_limit: Option<Duration>,
}

/// An address. A port alone is one of this host: nobody else can ask, unless that is wanted.
fn admin(text: &str) -> Result<String, Infallible> {
    Ok(if text.parse::<u16>().is_ok() { format!("127.0.0.1:{text}") } else { text.to_owned() })
}
