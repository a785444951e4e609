//! TLS of what listens.

use std::path::PathBuf;

use clap::Args;

/// The certificate of a listener. Without one, nothing is encrypted.
#[derive(Debug, Args)]
pub(crate) struct Tls {
    /// The certificate to show, with those behind it, in PEM form: then TLS is spoken. The files are read again when
    /// they change, and on SIGHUP
    #[arg(long, env = "UNDERPASS_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of that certificate
    #[arg(long, env = "UNDERPASS_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
}
