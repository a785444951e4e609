//! Runners that dial `wss://`, and what is wrong when they are not taken in.

use std::time::Duration;

use rcgen::date_time_ymd;
use rustls::version::TLS13;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use underpass_core::runner::Config as Machine;
use underpass_transport_ws::runner::{self, NoWebSockets, Runner, StopReason};
use underpass_transport_ws::runners::{self, Tokens};
use underpass_transport_ws::tls::{Authorities, CertificateFiles, ClientTls, ServerFiles, ServerTls};

use super::given::{Authority, Log, Relay, connect, runner};
use crate::tunnel::{eventually, within};

/// A runner dials a relay with such a certificate, and the log says why it will not have it.
async fn refused(certificate: CertificateFiles, tls: ClientTls, words: &str) {
    let CertificateFiles { chain, key } = certificate;
    let relay = Relay::start(&ServerTls::load(ServerFiles::new(chain, key)).unwrap()).await;
    let log = Log::begin();
    let refused = runner(relay.url(), tls);
    log.told(&format!("the relay cannot be reached: {words}")).await;
    assert_eq!(relay.runners.stats().connections, 0);
    drop(refused);
    relay.end().await;
}

#[tokio::test]
async fn a_relay_whose_authority_is_a_stranger_is_not_believed() {
    let authority = Authority::new();
    let words = "its certificate is of no authority that is trusted here";
    let (relays, stranger) = (authority.gives("127.0.0.1"), Authority::new());
    refused(relays.clone(), stranger.believed(), words).await;
    if !system_authorities_are_missing() {
        refused(relays, ClientTls::default(), words).await;
    }
}

#[tokio::test]
async fn an_authority_that_only_has_the_right_name_is_not_believed() {
    let (authority, other) = (Authority::named("authority"), Authority::named("authority"));
    let words = "its certificate is of another authority with the name of one that is trusted here";
    refused(authority.gives("127.0.0.1"), other.believed(), words).await;
}

/// Whether a runner that believes the system's authorities cannot even start here.
fn system_authorities_are_missing() -> bool {
    let config = runner::Config { relay_urls: vec!["wss://relay".to_owned()], ..Default::default() };
    Runner::start(config, axum::Router::new(), NoWebSockets).is_err()
}

#[tokio::test]
async fn a_relay_whose_certificate_has_expired_or_is_not_valid_yet_or_is_anothers_is_not_believed() {
    let authority = Authority::new();
    let expired = authority.gives_such("127.0.0.1", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    refused(expired, authority.believed(), "its certificate has expired").await;
    let early = authority.gives_such("127.0.0.1", |params| params.not_before = date_time_ymd(3000, 1, 1));
    refused(early, authority.believed(), "its certificate is not valid yet").await;
    let others = authority.gives("relay.example");
    refused(others, authority.believed(), "its certificate is not for 127.0.0.1, but for").await;
}

#[tokio::test]
async fn a_runner_must_show_a_certificate_of_the_right_authority_if_that_is_asked() {
    let (authority, runners, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let files = ServerFiles { client_authorities: Some(runners.file()), ..authority.server() };
    let relay = Relay::start(&ServerTls::load(files).unwrap()).await;
    let expired = runners.gives_such("expired", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    for (certificate, runner_says, relay_says) in [
        (None, "it wants a certificate, and was shown none", "it showed no certificate"),
        (
            Some(stranger.gives("runner")),
            "it does not trust the authority of the certificate it was shown",
            "its certificate is of no authority that is trusted here",
        ),
        (Some(expired), "the certificate it was shown has expired", "its certificate has expired"),
    ] {
        let log = Log::begin();
        let refused = runner(relay.url(), ClientTls { certificate, ..authority.believed() });
        log.told(&format!("the relay cannot be reached: {runner_says}")).await;
        log.told(&format!("a runner was not let in: {relay_says}")).await;
        drop(refused);
    }
    let shown = ClientTls { certificate: Some(runners.gives("runner")), ..authority.believed() };
    let runner = runner(relay.url(), shown);
    within(runner.ready()).await.unwrap();
    assert_eq!(within(runner.drain()).await, StopReason::Drained);
    relay.end().await;
}

#[tokio::test]
async fn a_runner_whose_token_is_wrong_hears_so_within_tls() {
    let authority = Authority::new();
    let config = runners::Config { tokens: Tokens::new(["secret"]).unwrap(), ..Default::default() };
    let relay = Relay::start_with(config, &ServerTls::load(authority.server()).unwrap()).await;
    let (relay_urls, tls) = (vec![relay.url()], authority.believed());
    let config = runner::Config { relay_urls, tls, token: Some("other".to_owned()), ..Default::default() };
    let runner = Runner::start(config, axum::Router::new(), NoWebSockets).unwrap();
    match within(runner.ready()).await {
        Err(StopReason::Refused { code: 401, message }) => assert!(message.contains("token"), "{message}"),
        other => panic!("{other:?}"),
    }
    relay.end().await;
}

#[tokio::test]
async fn a_runners_listener_speaks_http_1_only() {
    let authority = Authority::new();
    let relay = Relay::start(&ServerTls::load(authority.server()).unwrap()).await;
    let stream = connect(relay.address, authority.client(&["h2", "http/1.1"], &[&TLS13])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let refused = connect(relay.address, authority.client(&["h2"], &[&TLS13])).await.unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    drop(stream);
    relay.end().await;
}

#[tokio::test]
async fn a_runner_that_dials_a_tls_listener_without_tls_hears_what_is_wrong() {
    let authority = Authority::new();
    let relay = Relay::start(&ServerTls::load(authority.server()).unwrap()).await;
    let log = Log::begin();
    let dials = runner(relay.url().replace("wss:", "ws:"), ClientTls::default());
    log.told("the relay cannot be reached: what it speaks is not HTTP: should it be dialled as wss://?").await;
    log.told("a runner was not let in: what it speaks is not TLS").await;
    drop(dials);
    relay.end().await;
}

#[tokio::test]
async fn a_relay_that_speaks_something_else_is_told_from_one_that_is_not_there() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}", listener.local_addr().unwrap());
    let log = Log::begin();
    let dials = runner(url, authority.believed());
    let (mut socket, _) = within(listener.accept()).await.unwrap();
    within(socket.read(&mut [0; 1000])).await.unwrap();
    socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    log.told("the relay cannot be reached: what it speaks is not TLS").await;
    drop(listener);
    log.told("the relay cannot be reached: Connection refused").await;
    drop(dials);
}

#[tokio::test]
async fn a_relay_that_says_nothing_in_the_handshake_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay_urls = vec![format!("wss://{}", listener.local_addr().unwrap())];
    let machine = Machine { dial: Duration::from_millis(100), ..Default::default() };
    let authority = Authority::new();
    let config = runner::Config { runner: machine, relay_urls, tls: authority.believed(), ..Default::default() };
    let log = Log::begin();
    let runner = Runner::start(config, axum::Router::new(), NoWebSockets).unwrap();
    log.told("dialling the relay was given up").await;
    eventually("it dials again", || runner.stats().dials > 1).await;
}

#[tokio::test]
async fn a_runner_that_says_nothing_in_the_handshake_is_cut_and_holds_nobody_up() {
    let authority = Authority::new();
    let config = runners::Config { open_within: Duration::from_millis(300), ..Default::default() };
    let relay = Relay::start_with(config, &ServerTls::load(authority.server()).unwrap()).await;
    let log = Log::begin();
    let mut silent = TcpStream::connect(relay.address).await.unwrap();
    // This one says nothing behind its handshake.
    let mut dumb = connect(relay.address, authority.client(&[], &[&TLS13])).await.unwrap();
    let runner = runner(relay.url(), authority.believed());
    within(runner.ready()).await.unwrap();
    within(silent.read_to_end(&mut Vec::new())).await.ok();
    within(dumb.read_to_end(&mut Vec::new())).await.ok();
    log.told("a runner took too long to connect").await;
    assert_eq!(within(runner.drain()).await, StopReason::Drained);
    relay.end().await;
}

#[tokio::test]
async fn a_runner_reads_its_files_whenever_it_dials() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let relay = Relay::start(&ServerTls::load(authority.server()).unwrap()).await;
    let log = Log::begin();
    let believed = ClientTls { authorities: Authorities::File(stranger.file()), certificate: None };
    let runner = runner(relay.url(), believed);
    log.told("no authority that is trusted here").await;
    std::fs::write(stranger.file(), "nothing").unwrap();
    log.told("the runner's certificate and authorities stay what they were: ").await;
    std::fs::copy(authority.file(), stranger.file()).unwrap();
    within(runner.ready()).await.unwrap();
    assert_eq!(within(runner.drain()).await, StopReason::Drained);
    relay.end().await;
}
