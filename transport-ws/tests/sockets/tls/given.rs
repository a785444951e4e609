//! Authorities and their certificates, who connects, and what the log says.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::Level;
use tracing::subscriber::DefaultGuard;
use underpass_transport_mem::{MemBus, MemDirectory};
use underpass_transport_ws::runner::{self, NoWebSockets, Runner};
use underpass_transport_ws::runners::{self, Runners};
use underpass_transport_ws::tls::{Authorities, CertificateFiles, ClientTls, ServerFiles, ServerTls};

use crate::tunnel::within;

/// A certificate authority, and the folder with its own certificate and those that it gave out.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        Authority::named(&format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority { folder: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// The file with its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Gives out a certificate for this host.
    pub(crate) fn gives(&self, host: &str) -> CertificateFiles {
        self.gives_such(host, |_| {})
    }

    /// Gives out one that is special.
    pub(crate) fn gives_such(&self, host: &str, special: impl FnOnce(&mut CertificateParams)) -> CertificateFiles {
        let file = |name: &str| self.folder.path().join(format!("{host}.{name}.pem"));
        let files = CertificateFiles { chain: file("certificate"), key: file("key") };
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        special(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&files.chain, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// What a listener on this host needs.
    pub(crate) fn server(&self) -> ServerFiles {
        let CertificateFiles { chain, key } = self.gives("127.0.0.1");
        ServerFiles::new(chain, key)
    }

    /// A runner that believes this authority, and shows nothing.
    pub(crate) fn believed(&self) -> ClientTls {
        ClientTls { authorities: Authorities::File(self.file()), certificate: None }
    }

    /// A client that believes this authority, and speaks this.
    pub(crate) fn client(&self, alpn: &[&str], versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|spoken| spoken.as_bytes().to_vec()).collect();
        config
    }
}

/// Connects within TLS.
pub(crate) async fn connect(address: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    within(TlsConnector::from(Arc::new(config)).connect(address.ip().into(), stream)).await
}

/// The certificate that a listener showed.
pub(crate) fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A relay that listens within TLS.
pub(crate) struct Relay {
    pub(crate) runners: Runners<MemBus, MemDirectory>,
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn start(tls: &ServerTls) -> Self {
        Relay::start_with(runners::Config::default(), tls).await
    }

    pub(crate) async fn start_with(config: runners::Config, tls: &ServerTls) -> Self {
        let bus = MemBus::new(Default::default()).unwrap();
        let runners = Runners::start(config, bus, MemDirectory::new()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn({
            let (runners, tls) = (runners.clone(), tls.clone());
            async move { runners.serve_tls(listener, tls).await }
        });
        Relay { runners, address, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("wss://{}", self.address)
    }

    pub(crate) async fn end(self) {
        within(self.runners.drain()).await;
        within(self.serving).await.unwrap();
    }
}

/// A runner that dials this relay.
pub(crate) fn runner(relay_url: String, tls: ClientTls) -> Runner {
    let config = runner::Config { relay_urls: vec![relay_url], tls, ..Default::default() };
    Runner::start(config, Router::new(), NoWebSockets).unwrap()
}

/// What this thread's log says from now on, debug messages included.
pub(crate) struct Log {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn begin() -> Self {
        let written = Written::default();
        let writer = written.clone();
        let told = tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_ansi(false);
        let told = told.with_writer(move || writer.clone()).finish();
        Log { written, _guard: tracing::subscriber::set_default(told) }
    }

    /// How many lines have this in them.
    pub(crate) fn says(&self, words: &str) -> usize {
        self.text().lines().filter(|line| line.contains(words)).count()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.written.0.lock().unwrap().clone()).unwrap()
    }

    /// Waits until some line has this in it.
    pub(crate) async fn told(&self, words: &str) {
        for _ in 0..2_000 {
            if self.says(words) > 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("never told: {words}; but\n{}", self.text());
    }
}
