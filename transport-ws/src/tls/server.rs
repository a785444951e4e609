//! A listener's end.

use std::fmt;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::files::Contents;
use super::fresh::{Fresh, Source};
use super::{CertificateFiles, TlsError, provider};

/// How often files are looked at unless it is said.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a listener shows, and what it wants to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// Its certificate and key.
    pub certificate: CertificateFiles,
    /// A file of authorities in PEM form: who connects must show a certificate of one of them. None: it need not show
    /// any.
    pub client_authorities: Option<PathBuf>,
    /// How often the files are looked at, while a listener is served with them. 5 s. None: only when
    /// [asked](ServerTls::reload).
    pub look_every: Option<Duration>,
}

impl ServerFiles {
    /// Those with this certificate, of which no certificate is wanted from others.
    pub fn new(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let certificate = CertificateFiles { chain: chain.into(), key: key.into() };
        ServerFiles { certificate, client_authorities: None, look_every: Some(LOOK_EVERY) }
    }
}

/// TLS of a listener, or of several. Clones are handles of the same.
///
/// A certificate counts when somebody connects: with another one, what is connected stays so.
#[derive(Clone)]
pub struct ServerTls {
    fresh: Arc<Fresh<ServerFiles>>,
    look_every: Option<Duration>,
}

/// What is spoken over TLS, which is agreed on in its handshake (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// HTTP/2 or HTTP/1.1, as the client likes.
    Http,
    /// HTTP/1.1, which becomes a WebSocket.
    WebSocket,
}

/// A configuration for each that may be spoken.
pub(super) struct Configs {
    http: Arc<ServerConfig>,
    websocket: Arc<ServerConfig>,
}

impl ServerTls {
    /// Reads the files, which are small: it blocks for as long.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn load(files: ServerFiles) -> Result<Self, TlsError> {
        let look_every = files.look_every;
        Ok(ServerTls { fresh: Arc::new(Fresh::new(files)?), look_every })
    }

    /// Reads the files again: whether they are others than before. Those that connect from now on see what is in them.
    ///
    /// # Errors
    /// They cannot be used: what was in them before goes on being used.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.fresh.reload()
    }

    /// How to shake hands with somebody who connects now.
    pub(crate) fn config(&self, spoken: Spoken) -> Arc<ServerConfig> {
        let configs = self.fresh.made();
        match spoken {
            Spoken::Http => configs.http.clone(),
            Spoken::WebSocket => configs.websocket.clone(),
        }
    }

    /// Looks at the files again and again.
    pub(crate) async fn keep_fresh(&self) {
        let Some(every) = self.look_every else { return pending().await };
        loop {
            tokio::time::sleep(every).await;
            let fresh = self.fresh.clone();
            // A file may be far away.
            match tokio::task::spawn_blocking(move || fresh.look_again()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("the TLS certificate or its authorities have changed: they are in use"),
                Ok(Err(error)) => tracing::warn!("the TLS certificate stays what it was: {error}"),
                Err(error) => tracing::warn!("the TLS certificate was not looked at: {error}"),
            }
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

impl Source for ServerFiles {
    type Made = Configs;

    fn read(&self) -> Contents {
        Contents::read(self.certificate.paths().into_iter().chain(&self.client_authorities))
    }

    fn make(&self, contents: &Contents) -> Result<Configs, TlsError> {
        let chain = contents.certificates(&self.certificate.chain)?;
        let key = contents.key(&self.certificate.key)?;
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().expect("the provider knows these versions");
        let builder = match &self.client_authorities {
            Some(path) => builder.with_client_cert_verifier(verifier(contents, path)?),
            None => builder.with_no_client_auth(),
        };
        let mut http = builder.with_single_cert(chain, key).map_err(|wrong| self.certificate.unfit(&wrong))?;
        if self.client_authorities.is_some() {
            // Whoever comes again must show again that it may.
            http.session_storage = Arc::new(NoServerSessionStorage {});
            http.send_tls13_tickets = 0;
        }
        let mut websocket = http.clone();
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        websocket.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Configs { http: Arc::new(http), websocket: Arc::new(websocket) })
    }
}

fn verifier(contents: &Contents, path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let authorities = contents.authorities(path)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider()).build();
    verifier.map_err(|error| TlsError::Unfit { path: path.to_owned(), problem: error.to_string() })
}
