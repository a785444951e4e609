//! Files that cannot be used are told in one line.

use std::path::PathBuf;

use underpass_transport_ws::runner::{self, NoWebSockets, Runner, StartError};
use underpass_transport_ws::tls::{Authorities, CertificateFiles, ClientTls, ServerFiles, ServerTls, TlsError};

use super::given::Authority;

/// What is wrong with these, in one line.
fn wrong(files: ServerFiles) -> String {
    let error = ServerTls::load(files).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn a_listener_whose_files_cannot_be_used_does_not_start() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let right = authority.gives("127.0.0.1");
    let other = authority.gives("elsewhere");
    let (certificate, key) = (std::fs::read_to_string(&right.chain).unwrap(), right.key.clone());
    let (chain, nowhere) = (right.chain.clone(), PathBuf::from("/nowhere"));
    let broken = certificate.replace("-----END CERTIFICATE-----", "");
    let ill = certificate.replacen("M", "!", 1);
    let with = |chain: &PathBuf, key: &PathBuf| wrong(ServerFiles::new(chain, key));

    assert!(with(&nowhere, &key).starts_with("cannot read /nowhere: "));
    assert!(with(&chain, &nowhere).starts_with("cannot read /nowhere: "));
    assert!(with(&key, &key).ends_with(".key.pem is of no use: it has no certificate"), "{}", with(&key, &key));
    assert!(with(&chain, &chain).ends_with(".certificate.pem is of no use: it has no private key"));
    assert!(with(&file("broken", &broken), &key).contains("broken is of no use: it is not in PEM form: "));
    assert!(with(&file("ill", &ill), &key).contains("ill is of no use: "));
    assert!(with(&file("empty", ""), &key).ends_with("empty is of no use: it has no certificate"));
    let noise = file("noise", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(with(&noise, &key).contains("noise is of no use: "), "{}", with(&noise, &key));
    let noise_key = file("noise-key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert!(with(&chain, &noise_key).contains("noise-key is of no use: "), "{}", with(&chain, &noise_key));
    let mixed = with(&chain, &other.key);
    assert!(mixed.starts_with("the key in ") && mixed.contains(" is not that of the certificate in "), "{mixed}");

    let asking = |path: PathBuf| ServerFiles { client_authorities: Some(path), ..ServerFiles::new(&chain, &key) };
    assert!(wrong(asking(nowhere)).starts_with("cannot read /nowhere: "));
    assert!(wrong(asking(file("nobody", "nobody"))).ends_with("nobody is of no use: it has no certificate"));
}

#[tokio::test]
async fn a_runner_whose_files_cannot_be_used_does_not_start_if_a_relay_needs_them() {
    let authority = Authority::new();
    let start = |url: &str, tls: ClientTls| {
        let config = runner::Config { relay_urls: vec![url.to_owned()], tls, ..Default::default() };
        Runner::start(config, axum::Router::new(), NoWebSockets).map(drop)
    };
    let nowhere = PathBuf::from("/nowhere");
    let authorities = ClientTls { authorities: Authorities::File(nowhere.clone()), certificate: None };
    let CertificateFiles { chain, .. } = authority.gives("runner");
    let certificate = CertificateFiles { chain, key: nowhere };
    let certificate = ClientTls { certificate: Some(certificate), ..authority.believed() };
    for tls in [authorities, certificate] {
        assert_eq!(start("ws://127.0.0.1:1", tls.clone()), Ok(()));
        let refused = start("wss://127.0.0.1:1", tls).unwrap_err();
        assert!(matches!(refused, StartError::Tls(TlsError::Read { .. })), "{refused:?}");
    }
}
