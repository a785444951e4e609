//! How a process is looked after.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::{Recording, seconds};

/// What whoever runs it wants of a process.
#[derive(Debug, Args)]
pub(crate) struct Process {
    /// Where /healthz, /readyz, /metrics and the inspector are, which is a page at /: PORT of this host alone, or
    /// ADDRESS:PORT
    #[arg(long, env = "UNDERPASS_ADMIN", value_name = "ADDRESS", value_parser = admin)]
    pub(crate) admin: Option<String>,
    /// Have the inspector also at an ADDRESS that others reach, who can then end requests and drain runners
    #[arg(long, env = "UNDERPASS_ADMIN_OPEN", value_parser = FalseyValueParser::new())]
    pub(crate) admin_open: bool,
    /// Have the inspector of a gateway show what requests carry: the first 4 KiB of each direction
    #[arg(long, env = "UNDERPASS_INSPECT_BODIES", value_parser = FalseyValueParser::new())]
    pub(crate) inspect_bodies: bool,
    /// How many threads do its work, at least 1 [default: one for every two cores]
    #[arg(long, env = "UNDERPASS_THREADS", value_name = "NUMBER")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// How long what is open may take when the program shall end, in seconds; without it, as long as it takes
    #[arg(long, env = "UNDERPASS_DRAIN_LIMIT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) drain_limit: Option<Duration>,
    #[command(flatten)]
    pub(crate) recording: Recording,
}

/// An address. A port alone is one of this host: nobody else can ask, unless that is wanted.
fn admin(text: &str) -> Result<String, Infallible> {
    Ok(if text.parse::<u16>().is_ok() { format!("127.0.0.1:{text}") } else { text.to_owned() })
}
