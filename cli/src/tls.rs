//! What the files of TLS become.

use std::path::PathBuf;

use underpass_transport_ws::tls::{Authorities, CertificateFiles, ClientTls, ServerFiles, ServerTls, TlsError};

use crate::options;

/// TLS of a listener, if it is wanted. Who connects must show a certificate if there are authorities for that.
///
/// # Errors
/// The files cannot be used.
pub(crate) fn of_listener(tls: &options::Tls, client_ca: Option<PathBuf>) -> Result<Option<ServerTls>, TlsError> {
    let Some((chain, key)) = tls.tls_cert.as_ref().zip(tls.tls_key.as_ref()) else { return Ok(None) };
    let files = ServerFiles { client_authorities: client_ca, ..ServerFiles::new(chain, key) };
    ServerTls::load(files).map(Some)
}

/// TLS toward relays: whom to believe, and what to show.
pub(crate) fn of_runner(ca: Option<PathBuf>, certificate: Option<(PathBuf, PathBuf)>) -> ClientTls {
    ClientTls {
        authorities: ca.map_or(Authorities::System, Authorities::File),
        certificate: certificate.map(|(chain, key)| CertificateFiles { chain, key }),
    }
}
