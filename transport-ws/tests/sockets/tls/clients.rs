//! Clients with `https://` and `wss://`.

use std::io::ErrorKind;
use std::time::Duration;

use ::http::{Request, StatusCode};
use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as WireMessage};
use underpass_transport_ws::clients;
use underpass_transport_ws::runner::{self, Incoming, NoWebSockets, Pending, Runner, WebSocketHandler};
use underpass_transport_ws::runners;
use underpass_transport_ws::tls::{ClientTls, ServerFiles, ServerTls};

use super::given::{Authority, Log, connect};
use crate::tunnel::{Tunnel, empty, eventually, full, within};

/// A tunnel of which both ends are within TLS.
async fn tunnel(
    authority: &Authority,
    gateway: clients::Config,
    router: Router,
    sockets: impl WebSocketHandler,
) -> Tunnel {
    let tls = ServerTls::load(authority.server()).unwrap();
    let begin = |relay_urls| {
        let config = runner::Config { relay_urls, tls: authority.believed(), ..Default::default() };
        Runner::start(config, router, sockets).unwrap()
    };
    Tunnel::over(Some(tls), gateway, runners::Config::default(), begin).await
}

fn echo() -> Router {
    let scheme = |request: Request<AxumBody>| async move { request.headers()["x-forwarded-proto"].as_bytes().to_vec() };
    let echo = |body: AxumBody| async { Response::new(body) };
    let router = Router::new().route("/scheme", get(scheme)).route("/echo", post(echo));
    router.layer(DefaultBodyLimit::disable())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_go_both_ways_by_http_1_and_2_and_handlers_see_https() {
    let authority = Authority::new();
    let tunnel = tunnel(&authority, Default::default(), echo(), NoWebSockets).await;
    let sent: Bytes = (0..5 * 1024 * 1024_u32).map(|i| (i ^ (i >> 11)) as u8).collect();
    for version in [&TLS13, &TLS12] {
        for (offered, spoken) in
            [(&["h2", "http/1.1"][..], Some(&b"h2"[..])), (&["http/1.1"], Some(&b"http/1.1"[..])), (&[], None)]
        {
            let stream = connect(tunnel.gateway_address, authority.client(offered, &[version])).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), spoken);
            for (path, body) in [("/scheme", None), ("/echo", Some(sent.clone()))] {
                let stream = connect(tunnel.gateway_address, authority.client(offered, &[version])).await.unwrap();
                let uri = format!("https://{}{path}", tunnel.gateway_address);
                let builder = if body.is_some() { Request::post(uri) } else { Request::get(uri) };
                let builder = builder.header("host", "x");
                let expected = body.clone().unwrap_or(Bytes::from_static(b"https"));
                let request = builder.body(body.map_or_else(empty, full)).unwrap();
                let response = if spoken == Some(b"h2") {
                    let executor = TokioExecutor::new();
                    let opened = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await;
                    let (mut sender, connection) = opened.unwrap();
                    tokio::spawn(connection);
                    within(sender.send_request(request)).await.unwrap()
                } else {
                    let opened = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
                    let (mut sender, connection) = opened.unwrap();
                    tokio::spawn(connection);
                    within(sender.send_request(request)).await.unwrap()
                };
                assert_eq!(response.status(), StatusCode::OK);
                let back = within(response.into_body().collect()).await.unwrap().to_bytes();
                assert!(back == expected, "{} bytes came back", back.len());
            }
        }
    }
    tunnel.end().await;
}

/// Says what it hears, and closes as it is closed.
#[derive(Clone)]
struct Echo;

impl WebSocketHandler for Echo {
    async fn open(&self, _: ::http::Request<()>, socket: Pending) {
        let mut socket = socket.accept();
        while let Some(Incoming::Message(message)) = socket.receive().await {
            socket.send(message).await.ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_goes_through_with_large_messages_and_its_close() {
    let authority = Authority::new();
    let tunnel = tunnel(&authority, Default::default(), Router::new(), Echo).await;
    let stream = connect(tunnel.gateway_address, authority.client(&["http/1.1"], &[&TLS13])).await.unwrap();
    let url = format!("wss://{}/socket", tunnel.gateway_address);
    let (mut client, _) = within(client_async(url, stream)).await.unwrap();
    let large = WireMessage::binary((0..1_000_000_u32).map(|i| i as u8).collect::<Vec<_>>());
    for message in [WireMessage::text("é"), large, WireMessage::binary(Vec::new())] {
        within(client.send(message.clone())).await.unwrap();
        assert!(within(client.next()).await.unwrap().unwrap() == message);
    }
    let close = CloseFrame { code: 4000.into(), reason: "bye".into() };
    within(client.close(Some(close))).await.unwrap();
    while let Some(Ok(_)) = within(client.next()).await {}
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_in_the_handshake_is_cut_and_holds_nobody_up() {
    let authority = Authority::new();
    let gateway = clients::Config { handshake_within: Duration::from_millis(300), ..Default::default() };
    let tunnel = tunnel(&authority, gateway, echo(), NoWebSockets).await;
    let mut silent = Vec::new();
    for said in ["", "\u{16}", "\u{16}\u{3}\u{1}"] {
        let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
        socket.write_all(said.as_bytes()).await.unwrap();
        silent.push(socket);
    }
    let mut stream = connect(tunnel.gateway_address, authority.client(&[], &[&TLS13])).await.unwrap();
    stream.write_all(b"GET /scheme HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    within(stream.read(&mut [0; 1000])).await.unwrap();
    assert_eq!(tunnel.clients.held().connections, 4, "none was cut so far");
    for mut socket in silent {
        within(socket.read_to_end(&mut Vec::new())).await.ok();
    }
    eventually("they are gone", || tunnel.clients.held().connections == 1).await;
    drop(stream);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_does_not_wait_for_a_handshake() {
    let authority = Authority::new();
    let tunnel = tunnel(&authority, Default::default(), Router::new(), NoWebSockets).await;
    let silent = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    eventually("it is there", || tunnel.clients.held().connections == 1).await;
    tokio::time::timeout(Duration::from_secs(5), tunnel.clients.drain()).await.unwrap();
    drop(silent);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_answer_that_only_its_end_delimits_never_looks_whole() {
    let authority = Authority::new();
    let broken = || async {
        let pieces = futures_util::stream::iter([Ok("a piece"), Err(std::io::Error::other("on purpose"))]);
        Response::new(AxumBody::from_stream(pieces))
    };
    let tunnel = tunnel(&authority, Default::default(), Router::new().route("/", get(broken)), NoWebSockets).await;
    let mut stream = connect(tunnel.gateway_address, authority.client(&[], &[&TLS13])).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let end = within(stream.read_to_end(&mut answer)).await.unwrap_err().kind();
    assert!(matches!(end, ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{end:?}");
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_in_the_middle_of_its_request_is_noticed_with_and_without_a_goodbye() {
    let authority = Authority::new();
    let never = || async { std::future::pending::<()>().await };
    let tunnel = tunnel(&authority, Default::default(), Router::new().route("/", get(never)), NoWebSockets).await;
    for (gone, goodbye) in [(1, true), (2, false)] {
        let mut stream = connect(tunnel.gateway_address, authority.client(&[], &[&TLS13])).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        eventually("it is open", || tunnel.runner.handlers() == 1).await;
        if goodbye {
            stream.shutdown().await.unwrap();
        }
        drop(stream);
        eventually("it is noticed", || tunnel.clients.stats().client_gone == gone).await;
        eventually("its handler has ended", || tunnel.runner.handlers() == 0).await;
    }
    tunnel.end().await;
}

#[tokio::test]
async fn a_client_must_show_a_certificate_if_that_is_asked() {
    let authority = Authority::new();
    let files = ServerFiles { client_authorities: Some(authority.file()), ..authority.server() };
    let tls = ServerTls::load(files).unwrap();
    let begin = |relay_urls| {
        let certificate = Some(authority.gives("runner"));
        let tls = ClientTls { certificate, ..authority.believed() };
        Runner::start(runner::Config { relay_urls, tls, ..Default::default() }, echo(), NoWebSockets).unwrap()
    };
    let tunnel = Tunnel::over(Some(tls), Default::default(), Default::default(), begin).await;
    let log = Log::begin();
    // The client hears of it when it reads.
    let mut stream = connect(tunnel.gateway_address, authority.client(&[], &[&TLS13])).await.unwrap();
    stream.write_all(b"GET /scheme HTTP/1.1\r\nhost: x\r\n\r\n").await.ok();
    let refused = within(stream.read(&mut [0; 1000])).await.unwrap_err();
    assert!(refused.to_string().contains("CertificateRequired"), "{refused}");
    log.told("a client's TLS handshake failed: it showed no certificate").await;
    tunnel.end().await;
}
