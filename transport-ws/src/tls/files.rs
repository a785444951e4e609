//! Certificates, keys and authorities in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Error as Wrong, RootCertStore};

use super::TlsError;

/// Where a certificate and its key are, in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and behind it those of the authorities between it and one that the peer trusts.
    pub chain: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// What was in some files.
#[derive(PartialEq, Eq)]
pub(super) struct Contents(Vec<(PathBuf, Result<Vec<u8>, String>)>);

impl Contents {
    /// Reads files.
    pub(super) fn read<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let read = |path: &PathBuf| (path.clone(), std::fs::read(path).map_err(|error| error.to_string()));
        Contents(paths.into_iter().map(read).collect())
    }

    fn of(&self, path: &Path) -> Result<&[u8], TlsError> {
        let found = self.0.iter().find(|(there, _)| there == path).map(|(_, content)| content);
        match found {
            Some(Ok(content)) => Ok(content),
            Some(Err(problem)) => Err(TlsError::Read { path: path.to_owned(), problem: problem.clone() }),
            None => unreachable!("a file is used only after it was read"),
        }
    }

    /// The certificates in a file, at least one.
    pub(super) fn certificates(&self, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let unfit = |problem: String| TlsError::Unfit { path: path.to_owned(), problem };
        let certificates = CertificateDer::pem_slice_iter(self.of(path)?).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|error| unfit(not_pem(&error)))?;
        if certificates.is_empty() { Err(unfit("it has no certificate".to_owned())) } else { Ok(certificates) }
    }

    /// The first private key in a file.
    pub(super) fn key(&self, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(self.of(path)?).map_err(|error| {
            let problem = match error {
                PemError::NoItemsFound => "it has no private key".to_owned(),
                error => not_pem(&error),
            };
            TlsError::Unfit { path: path.to_owned(), problem }
        })
    }

    /// The authorities in a file.
    pub(super) fn authorities(&self, path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
        let mut store = RootCertStore::empty();
        for certificate in self.certificates(path)? {
            store.add(certificate).map_err(|error| {
                let problem = format!("it has a certificate that is of no authority: {error}");
                TlsError::Unfit { path: path.to_owned(), problem }
            })?;
        }
        Ok(Arc::new(store))
    }
}

fn not_pem(error: &PemError) -> String {
    format!("it is not in PEM form: {error}")
}

impl CertificateFiles {
    /// Where the files are.
    pub(super) fn paths(&self) -> [&PathBuf; 2] {
        [&self.chain, &self.key]
    }

    /// What the certificate or its key is wrong about.
    pub(super) fn unfit(&self, wrong: &Wrong) -> TlsError {
        let CertificateFiles { chain, key } = self.clone();
        match wrong {
            Wrong::InconsistentKeys(_) => TlsError::OtherKey { chain, key },
            Wrong::General(problem) => TlsError::Unfit { path: key, problem: problem.clone() },
            other => TlsError::Unfit { path: chain, problem: other.to_string() },
        }
    }
}
