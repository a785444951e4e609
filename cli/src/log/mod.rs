//! What the program logs, to standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::error::Error;

/// Logs from here on.
///
/// # Errors
/// The filter is none.
pub(crate) fn start(filter: &str) -> Result<(), Error> {
    let wrong = |problem: String| Error::Log { filter: filter.to_owned(), problem };
    let mut env_filter = EnvFilter::try_new(filter).map_err(|error| wrong(error.to_string()))?;
    // What it says is told anyway, with what is to be done about it.
    if !filter.contains("async_nats") {
        env_filter =
            env_filter.add_directive("async_nats=off".parse().map_err(|error: ParseError| wrong(error.to_string()))?);
    }
    tracing_subscriber::fmt()
        .with_env_filter(env_filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}
