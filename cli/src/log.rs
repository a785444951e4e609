//! What the program logs, to standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::error::Error;

/// Logs from here on.
///
/// # Errors
/// The filter is none.
pub(crate) fn start(filter: &str) -> Result<(), Error> {
    let env_filter = EnvFilter::try_new(filter)
        .map_err(|error| Error::Log { filter: filter.to_owned(), problem: error.to_string() })?;
    tracing_subscriber::fmt()
        .with_env_filter(env_filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}
