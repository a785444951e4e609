//! A runner's end.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};

use super::files::Contents;
use super::fresh::{Fresh, Source};
use super::{CertificateFiles, TlsError, provider};

/// Which relays a runner believes, and what it shows them. It counts for relays with `wss://`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Who says which relay is which.
    pub authorities: Authorities,
    /// What is shown to a relay that wants to know who dials.
    pub certificate: Option<CertificateFiles>,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorities {
    /// Those that the system believes, found out once. The environment's `SSL_CERT_FILE` and `SSL_CERT_DIR` may name
    /// others.
    #[default]
    System,
    /// Those in a file in PEM form, and no others.
    File(PathBuf),
}

/// Shakes hands with relays.
#[derive(Clone)]
pub(crate) struct Dialler(Arc<Fresh<Believed>>);

/// What is believed and shown, with what was found out once.
struct Believed {
    tls: ClientTls,
    system: Arc<RootCertStore>,
}

impl Dialler {
    /// Reads the files, which are small: it blocks for as long.
    ///
    /// # Errors
    /// They cannot be used.
    pub(crate) fn new(tls: &ClientTls) -> Result<Self, TlsError> {
        let system = match tls.authorities {
            Authorities::System => systems()?,
            Authorities::File(_) => Arc::new(RootCertStore::empty()),
        };
        Ok(Dialler(Arc::new(Fresh::new(Believed { tls: tls.clone(), system })?)))
    }

    /// How to shake hands now.
    pub(crate) async fn config(&self) -> Arc<ClientConfig> {
        let fresh = self.0.clone();
        // A file may be far away.
        match tokio::task::spawn_blocking(move || fresh.look_again()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!("the runner's certificate and authorities stay what they were: {error}"),
            Err(error) => tracing::warn!("the runner's certificate and authorities were not looked at: {error}"),
        }
        self.0.made()
    }
}

impl Source for Believed {
    type Made = ClientConfig;

    fn read(&self) -> Contents {
        let authorities = match &self.tls.authorities {
            Authorities::System => None,
            Authorities::File(path) => Some(path),
        };
        let certificate = self.tls.certificate.iter().flat_map(CertificateFiles::paths);
        Contents::read(authorities.into_iter().chain(certificate))
    }

    fn make(&self, contents: &Contents) -> Result<ClientConfig, TlsError> {
        let authorities = match &self.tls.authorities {
            Authorities::System => self.system.clone(),
            Authorities::File(path) => contents.authorities(path)?,
        };
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().expect("the provider knows these versions");
        let builder = builder.with_root_certificates(authorities);
        let mut config = match &self.tls.certificate {
            Some(files) => {
                let (chain, key) = (contents.certificates(&files.chain)?, contents.key(&files.key)?);
                builder.with_client_auth_cert(chain, key).map_err(|wrong| files.unfit(&wrong))?
            }
            None => builder.with_no_client_auth(),
        };
        // A relay that is dialled again must show again who it is.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The authorities that the system believes. One that cannot be read is left out.
fn systems() -> Result<Arc<RootCertStore>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let problem = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(TlsError::NoSystemAuthorities { problem });
    }
    Ok(Arc::new(store))
}
