//! What is wrong with TLS, in one line.

use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError, Error as Wrong};
use thiserror::Error;

/// Why TLS cannot be spoken with what was given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {problem}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A file is not what it should be.
    #[error("{} is of no use: {problem}", .path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A key is that of another certificate.
    #[error("the key in {} is not that of the certificate in {}", .key.display(), .chain.display())]
    OtherKey {
        /// The certificate's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The system trusts nobody, as far as can be found out.
    #[error("no certificate authorities of this system were found: name a file with some{problem}")]
    NoSystemAuthorities {
        /// Why, if that is known.
        problem: String,
    },
}

/// What went wrong with a peer, seen from the runner's end where sides differ.
pub(crate) fn explain(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Wrong>()) {
        Some(wrong) => what_is_wrong(wrong),
        None => error.to_string(),
    }
}

fn what_is_wrong(wrong: &Wrong) -> String {
    match wrong {
        Wrong::InvalidCertificate(certificate) => what_is_wrong_with_it(certificate),
        Wrong::NoCertificatesPresented => "it showed no certificate".to_owned(),
        Wrong::InvalidMessage(_) => "what it speaks is not TLS".to_owned(),
        Wrong::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => "it wants a certificate, and was shown none".to_owned(),
            AlertDescription::UnknownCA => "it does not trust the authority of the certificate it was shown".to_owned(),
            AlertDescription::CertificateExpired => "the certificate it was shown has expired".to_owned(),
            AlertDescription::BadCertificate | AlertDescription::DecryptError => {
                "it does not accept the certificate it was shown, or what came with it".to_owned()
            }
            _ => format!("it broke off the TLS handshake: {alert:?}"),
        },
        other => format!("TLS failed: {other}"),
    }
}

fn what_is_wrong_with_it(certificate: &CertificateError) -> String {
    match certificate {
        CertificateError::UnknownIssuer => "its certificate is of no authority that is trusted here".to_owned(),
        CertificateError::BadSignature => {
            "its certificate is of another authority with the name of one that is trusted here".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName => "its certificate is for another host".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("its certificate is not for {}, but for {}", expected.to_str(), presented.join(", "))
        }
        other => format!("its certificate is wrong: {other}"),
    }
}
