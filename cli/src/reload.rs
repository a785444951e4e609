//! What is read again while the program runs.

use std::time::Duration;

use underpass_transport_ws::tls::ServerTls;

use crate::error::Error;
use crate::listen::Door;
use crate::tokens::Source;

/// How often the file with tokens is looked at. Certificates are looked at by who serves with them.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Has files read again when they change, and all of them when somebody asks (SIGHUP). Who asks that of a process
/// without files does not end it.
///
/// # Errors
/// The system does not let it.
pub(crate) fn keep_fresh<'a>(tokens: Source, doors: impl IntoIterator<Item = &'a Door>) -> Result<(), Error> {
    let tls: Vec<ServerTls> = doors.into_iter().filter_map(|door| door.tls().cloned()).collect();
    let mut asked = Asked::new()?;
    // If it changed since it was read, that is seen when it changes again, or somebody asks.
    let mut seen = tokens.contents();
    tokio::spawn(async move {
        loop {
            let (tokens, tls) = (tokens.clone(), tls.clone());
            let was = seen.take();
            let looking = tokio::select! {
                () = asked.again() => tokio::task::spawn_blocking(move || {
                    read_certificates(&tls);
                    read_tokens(&tokens)
                }),
                () = tokio::time::sleep(LOOK_EVERY) => tokio::task::spawn_blocking(move || {
                    let is = tokens.contents();
                    if is == was { is } else { read_tokens(&tokens) }
                }),
            };
            // What panicked is looked at again.
            seen = looking.await.unwrap_or_default();
        }
    });
    Ok(())
}

/// Reads tokens, and says what their file holds.
fn read_tokens(tokens: &Source) -> Option<Vec<u8>> {
    if !tokens.can_change() {
        return None;
    }
    let contents = tokens.contents();
    match tokens.read_again() {
        Ok(()) => tracing::info!("tokens were read again"),
        Err(error) => tracing::warn!("tokens stay what they were: {error}"),
    }
    contents
}

fn read_certificates(tls: &[ServerTls]) {
    for tls in tls {
        match tls.reload() {
            Ok(_) => tracing::info!("certificates were read again"),
            Err(error) => tracing::warn!("certificates stay what they were: {error}"),
        }
    }
}

/// Waits for SIGHUP.
struct Asked {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Asked {
    fn new() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Asked { signal: signal(SignalKind::hangup()).map_err(Error::Signals)? })
    }

    async fn again(&mut self) {
        if self.signal.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
impl Asked {
    fn new() -> Result<Self, Error> {
        Ok(Asked {})
    }

    async fn again(&mut self) {
        std::future::pending().await
    }
}
