//! When people want the program to end.

use crate::error::Error;
use crate::{Ended, tell};

/// Waits for Ctrl-C, and for what service managers send (SIGTERM).
#[derive(Debug)]
pub(crate) struct Shutdown {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Shutdown {
    /// Lets what is open finish, until somebody wants the end at once.
    pub(crate) async fn finish(&mut self, open: impl Future<Output = Ended>) -> Ended {
        tell("finishing what is open; Ctrl-C ends at once");
        tokio::select! {
            ended = open => ended,
            () = self.wanted() => Ended::AtOnce,
        }
    }
}

#[cfg(unix)]
impl Shutdown {
    /// From here on the program ends only when it says so.
    ///
    /// # Errors
    /// The system does not let it.
    pub(crate) fn new() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let signal = |kind| signal(kind).map_err(Error::Signals);
        Ok(Shutdown { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next wish.
    pub(crate) async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Shutdown {
    /// From here on the program ends only when it says so.
    ///
    /// # Errors
    /// None here.
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Shutdown {})
    }

    /// Waits for the next wish.
    pub(crate) async fn wanted(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
