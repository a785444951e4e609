//! TLS for clients and runners: what a listener shows, and what a runner believes.
//!
//! Certificates, keys and authorities are files in PEM form. A listener's are read again while it serves, whenever what
//! is in them changes, and a runner's whenever it dials; a file that cannot be used then changes nothing but a line in
//! the log. What is connected stays so.
//!
//! TLS 1.3 and 1.2 are spoken, with `ring` as the one provider of what is secret about it.

mod client;
mod error;
mod files;
mod fresh;
mod server;

pub use client::{Authorities, ClientTls};
pub use error::TlsError;
pub use files::CertificateFiles;
pub use server::{ServerFiles, ServerTls};

pub(crate) use client::Dialler;
pub(crate) use error::explain;
pub(crate) use server::Spoken;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The one that is linked anyway, for NATS.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
