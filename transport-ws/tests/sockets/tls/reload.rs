//! Certificates that change while a listener is served.

use std::time::Duration;

use rustls::version::TLS13;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underpass_transport_ws::runner::StopReason;
use underpass_transport_ws::tls::{ClientTls, ServerFiles, ServerTls, TlsError};

use super::given::{Authority, Log, Relay, connect, runner, shown};
use crate::tunnel::{eventually, within};

#[tokio::test]
async fn who_connects_sees_the_new_certificate_and_who_is_connected_stays() {
    let authority = Authority::new();
    let tls = ServerTls::load(ServerFiles { look_every: None, ..authority.server() }).unwrap();
    let relay = Relay::start(&tls).await;
    let runner = runner(relay.url(), authority.believed());
    within(runner.ready()).await.unwrap();
    let client = || authority.client(&[], &[&TLS13]);
    let mut before = connect(relay.address, client()).await.unwrap();
    let old = shown(&before);
    assert_eq!(tls.reload(), Ok(false), "nothing has changed");

    authority.gives("127.0.0.1");
    assert_eq!(shown(&connect(relay.address, client()).await.unwrap()), old, "nobody has looked so far");
    assert_eq!(tls.reload(), Ok(true));
    let new = shown(&connect(relay.address, client()).await.unwrap());
    assert_ne!(new, old);
    let asks = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    before.write_all(asks.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within(before.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404", "the first one can still ask");

    // A key without its certificate, and then with it.
    let files = authority.gives("127.0.0.1");
    let whole = std::fs::read(&files.chain).unwrap();
    for content in [&whole[..100], b""] {
        std::fs::write(&files.chain, content).unwrap();
        for _ in 0..2 {
            let refused = tls.reload().unwrap_err();
            assert!(matches!(refused, TlsError::Unfit { .. }), "{refused:?}");
        }
        assert_eq!(shown(&connect(relay.address, client()).await.unwrap()), new, "the last that could be used");
    }
    std::fs::write(&files.chain, whole).unwrap();
    assert_eq!(tls.reload(), Ok(true));
    assert_ne!(shown(&connect(relay.address, client()).await.unwrap()), new);

    assert_eq!(runner.stats().dials, 1, "it stayed all the time");
    assert_eq!(within(runner.drain()).await, StopReason::Drained);
    relay.end().await;
}

#[tokio::test]
async fn files_are_looked_at_again_and_again_and_what_is_wrong_is_told_once() {
    let authority = Authority::new();
    let log = Log::begin();
    let look_every = Some(Duration::from_millis(20));
    let relay = Relay::start(&ServerTls::load(ServerFiles { look_every, ..authority.server() }).unwrap()).await;
    let client = || authority.client(&[], &[&TLS13]);
    let old = shown(&connect(relay.address, client()).await.unwrap());
    let files = authority.gives_such("127.0.0.1", |_| {});
    log.told("they are in use").await;
    let new = shown(&connect(relay.address, client()).await.unwrap());
    assert_ne!(new, old);

    std::fs::remove_file(&files.key).unwrap();
    log.told("the TLS certificate stays what it was: cannot read ").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(log.says("the TLS certificate stays what it was: cannot read "), 1, "{}", log.text());
    assert_eq!(shown(&connect(relay.address, client()).await.unwrap()), new);
    authority.gives("127.0.0.1");
    let now = || async { shown(&connect(relay.address, client()).await.unwrap()) };
    for _ in 0..500 {
        if now().await != new {
            return relay.end().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the mended certificate is not shown");
}

#[tokio::test]
async fn an_authority_that_is_withdrawn_lets_nobody_in_any_more_but_who_is_connected_stays() {
    let (authority, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let asked = old.file();
    let files = ServerFiles { client_authorities: Some(asked.clone()), look_every: None, ..authority.server() };
    let tls = ServerTls::load(files).unwrap();
    let relay = Relay::start(&tls).await;
    let with = |of: &Authority| ClientTls { certificate: Some(of.gives("runner")), ..authority.believed() };
    let connected = runner(relay.url(), with(&old));
    within(connected.ready()).await.unwrap();

    std::fs::copy(new.file(), &asked).unwrap();
    assert_eq!(tls.reload(), Ok(true));
    let log = Log::begin();
    let late = runner(relay.url(), with(&old));
    log.told("it does not trust the authority of the certificate it was shown").await;
    let taken_in = runner(relay.url(), with(&new));
    within(taken_in.ready()).await.unwrap();
    eventually("both are there", || relay.runners.stats().ready == 2).await;
    assert_eq!(connected.stats().dials, 1);
    drop(late);
    assert_eq!(within(connected.drain()).await, StopReason::Drained);
    assert_eq!(within(taken_in.drain()).await, StopReason::Drained);
    relay.end().await;
}
