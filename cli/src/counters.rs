//! What the machines hold and have counted, for whoever asks by SIGUSR1.

use std::io::{self, Write};

use serde_json::Value;

use crate::error::Error;

/// Waits for SIGUSR1.
#[derive(Debug)]
pub(crate) struct Asked {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Asked {
    /// From here on the signal does not end the program.
    ///
    /// # Errors
    /// The system does not let it.
    pub(crate) fn new() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Asked { signal: signal(SignalKind::user_defined1()).map_err(Error::Signals)? })
    }

    /// Tells the counters of each machine whenever somebody asks, until it is dropped.
    pub(crate) async fn tell<const MACHINES: usize>(mut self, counters: impl Fn() -> [Value; MACHINES]) {
        while self.signal.recv().await.is_some() {
            tell(&counters());
        }
    }
}

#[cfg(not(unix))]
impl Asked {
    /// Nobody can ask here.
    ///
    /// # Errors
    /// None here.
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Asked {})
    }

    /// Waits without an end.
    pub(crate) async fn tell<const MACHINES: usize>(self, _counters: impl Fn() -> [Value; MACHINES]) {
        std::future::pending().await
    }
}

/// Tells a line each on standard error, all at once, so that what is logged does not come between.
fn tell(counters: &[Value]) {
    let lines: String = counters.iter().map(|machine| format!("{machine}\n")).collect();
    // There is nobody to tell that this does not work.
    let _ = io::stderr().write_all(lines.as_bytes());
}
