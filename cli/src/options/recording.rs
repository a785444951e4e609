//! What is written down of a process's machines, to be replayed.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

/// What is written down.
#[derive(Debug, Args)]
pub(crate) struct Recording {
    /// Write all that happens to the machines of this process to this file, for `underpass replay`
    #[arg(long, env = "UNDERPASS_RECORD", value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// How large that file may become, in bytes; then nothing more is written
    #[arg(long, env = "UNDERPASS_RECORD_LIMIT", value_name = "BYTES", default_value_t = 64 * 1024 * 1024)]
    pub(crate) record_limit: u64,
    /// Write down bodies, messages, stored values, cookies and tokens as well, which are zeros and asterisks otherwise
    #[arg(long, env = "UNDERPASS_RECORD_BODIES", value_parser = FalseyValueParser::new())]
    pub(crate) record_bodies: bool,
}
