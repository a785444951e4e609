//! WebSockets through the whole tunnel, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as WireError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as WireMessage};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use underpass_core::http::{Close, Message};
use underpass_transport_ws::runner::{Actor, Incoming, NoWebSockets, Pending, WebSocketHandler};

use crate::tunnel::{Tunnel, eventually, within};

/// Echoes; closes when it is told `close`; notes how it was closed.
#[derive(Clone, Default)]
struct Echo {
    closed: Arc<Mutex<Vec<Close>>>,
}

impl WebSocketHandler for Echo {
    async fn open(&self, request: ::http::Request<()>, socket: Pending) {
        assert_eq!(request.extensions().get::<Actor>().unwrap().0, "default");
        let mut socket = socket.accept();
        while let Some(incoming) = socket.receive().await {
            match incoming {
                Incoming::Message(Message::Text(text)) if text == "close" => {
                    return socket.close(Close::new(4001, "as told")).await;
                }
                Incoming::Message(Message::Text(text)) if text == "panic" => panic!("on purpose"),
                Incoming::Message(message) => socket.send(message).await.unwrap(),
                Incoming::Close(close) => self.closed.lock().unwrap().push(close),
            }
        }
    }
}

type Client = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn open(tunnel: &Tunnel) -> Client {
    let mut request = format!("ws://{}/ws", tunnel.gateway_address).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat, rivet".parse().unwrap());
    let (client, response) = within(connect_async(request)).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "rivet");
    client
}

async fn next(client: &mut Client) -> WireMessage {
    within(client.next()).await.unwrap().unwrap()
}

async fn close_code(client: &mut Client) -> (u16, String) {
    let WireMessage::Close(Some(CloseFrame { code, reason })) = next(client).await else { panic!("no close") };
    // Answers it.
    while let Some(Ok(_)) = within(client.next()).await {}
    (code.into(), reason.as_str().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_all_sizes_go_both_ways_in_order() {
    let tunnel = Tunnel::start(Router::new(), Echo::default()).await;
    let mut client = open(&tunnel).await;
    let large = Bytes::from((0..3 * 1024 * 1024_u32).map(|i| (i ^ (i >> 9)) as u8).collect::<Vec<_>>());
    for message in [
        WireMessage::text("é"),
        WireMessage::text(""),
        WireMessage::binary(Bytes::new()),
        WireMessage::binary(large.clone()),
        WireMessage::text("x".repeat(1024 * 1024)),
    ] {
        client.send(message.clone()).await.unwrap();
        assert!(next(&mut client).await == message);
    }
    client.send(WireMessage::Ping(Bytes::from_static(b"?"))).await.unwrap();
    assert_eq!(next(&mut client).await, WireMessage::Pong(Bytes::from_static(b"?")));
    let (mut sink, mut source) = client.split();
    let sending = async {
        for i in 0..1_000 {
            sink.send(WireMessage::text(i.to_string())).await.unwrap();
        }
    };
    let receiving = async {
        for i in 0..1_000 {
            assert_eq!(within(source.next()).await.unwrap().unwrap(), WireMessage::text(i.to_string()));
        }
    };
    tokio::join!(sending, receiving);
    let mut client = sink.reunite(source).unwrap();
    client.close(None).await.unwrap();
    while let Some(Ok(_)) = within(client.next()).await {}
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closes_go_both_ways_with_code_and_reason() {
    let echo = Echo::default();
    let tunnel = Tunnel::start(Router::new(), echo.clone()).await;

    let mut client = open(&tunnel).await;
    client.send(WireMessage::text("close")).await.unwrap();
    assert_eq!(close_code(&mut client).await, (4001, "as told".to_owned()));

    let mut client = open(&tunnel).await;
    client.send(WireMessage::Close(Some(CloseFrame { code: 4002.into(), reason: "bye".into() }))).await.unwrap();
    assert_eq!(close_code(&mut client).await.0, 4002);
    eventually("the handler hears it", || *echo.closed.lock().unwrap() == [Close::new(4002, "bye")]).await;

    let client = open(&tunnel).await;
    drop(client);
    eventually("the handler hears that it was cut", || echo.closed.lock().unwrap().len() == 2).await;
    assert_eq!(echo.closed.lock().unwrap()[1].code, Some(1006));

    let mut client = open(&tunnel).await;
    client.send(WireMessage::text("panic")).await.unwrap();
    assert_eq!(close_code(&mut client).await.0, 1011);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_limit_closes_1009_for_both() {
    let echo = Echo::default();
    let mut config = underpass_transport_ws::clients::Config::default();
    config.gateway.max_message = 1_000;
    let tunnel = Tunnel::start_with(config, Default::default(), Router::new(), echo.clone()).await;
    let mut client = open(&tunnel).await;
    client.send(WireMessage::binary(vec![0; 100_000])).await.unwrap();
    assert_eq!(close_code(&mut client).await.0, 1009);
    eventually("the handler hears it", || echo.closed.lock().unwrap().len() == 1).await;
    assert_eq!(echo.closed.lock().unwrap()[0].code, Some(1009));
    drop(client);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_the_handler_refuses_is_an_http_answer() {
    let tunnel = Tunnel::start(Router::new(), NoWebSockets).await;
    match within(connect_async(format!("ws://{}/ws", tunnel.gateway_address))).await {
        Err(WireError::Http(response)) => {
            assert_eq!(
                (response.status().as_u16(), &response.headers()["x-underpass-error"]),
                (502, &"runner_failed".parse().unwrap())
            );
        }
        other => panic!("{other:?}"),
    }
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_drains_says_1001() {
    let tunnel = Tunnel::start(Router::new(), Echo::default()).await;
    let mut client = open(&tunnel).await;
    let clients = tunnel.clients.clone();
    let draining = tokio::spawn(async move { clients.drain().await });
    assert_eq!(close_code(&mut client).await.0, 1001);
    within(draining).await.unwrap();
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_stops_its_handler_and_loses_nothing() {
    const MESSAGES: u32 = 4_000;
    #[derive(Clone)]
    struct Floods;
    impl WebSocketHandler for Floods {
        async fn open(&self, _: ::http::Request<()>, socket: Pending) {
            let mut socket = socket.accept();
            for i in 0..MESSAGES {
                let mut message = vec![0; 16 * 1024];
                message[..4].copy_from_slice(&i.to_be_bytes());
                socket.send(Message::Binary(message.into())).await.unwrap();
            }
        }
    }
    let tunnel = Tunnel::start(Router::new(), Floods).await;
    let mut client = open(&tunnel).await;
    let mut carried = 0;
    eventually("the handler has stopped", || {
        let now = tunnel.relay.stats().to_gateways;
        now > 10 && std::mem::replace(&mut carried, now) == now
    })
    .await;
    assert!(carried < u64::from(MESSAGES) / 2, "{carried} messages were carried");
    assert!(tunnel.clients.stats().buffered <= 256 * 1024 + 16 * 1024, "{:?}", tunnel.clients.stats());
    for i in 0..MESSAGES {
        let message = next(&mut client).await.into_data();
        assert_eq!((message.len(), &message[..4]), (16 * 1024, &i.to_be_bytes()[..]));
    }
    assert_eq!(close_code(&mut client).await.0, 1000);
    tunnel.end().await;
}

/// Never takes a WebSocket; counts those that came, and those whose futures were dropped.
#[derive(Clone, Default)]
struct Hesitates {
    came: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl WebSocketHandler for Hesitates {
    async fn open(&self, _: ::http::Request<()>, _socket: Pending) {
        struct Noted(Arc<AtomicUsize>);
        impl Drop for Noted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let _noted = Noted(self.dropped.clone());
        self.came.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_while_its_socket_is_being_opened_leaves_nothing() {
    let hesitates = Hesitates::default();
    let tunnel = Tunnel::start(Router::new(), hesitates.clone()).await;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    for i in 1..=3 {
        let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
        socket.write_all(opening("13", Some(KEY)).as_bytes()).await.unwrap();
        eventually("the handler is asked", || hesitates.came.load(Ordering::SeqCst) == i).await;
        assert_eq!(tunnel.runner.handlers(), 1);
        drop(socket);
        eventually("the handler is dropped", || hesitates.dropped.load(Ordering::SeqCst) == i).await;
        eventually("no handler is at work", || tunnel.runner.handlers() == 0).await;
        eventually("nothing is held for clients", || tunnel.clients.held() == Default::default()).await;
    }
    eventually("no task is left", || alive() == before).await;
    assert_eq!(tunnel.clients.stats().client_gone, 3);
    tunnel.end().await;
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn opening(version: &str, key: Option<&str>) -> String {
    let version = if version.is_empty() { String::new() } else { format!("sec-websocket-version: {version}\r\n") };
    let key = key.map(|key| format!("sec-websocket-key: {key}\r\n")).unwrap_or_default();
    format!("GET /ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n{version}{key}\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opening_with_another_version_is_answered_426_and_one_without_a_key_400() {
    let hesitates = Hesitates::default();
    let router = Router::new().route("/ws", axum::routing::get(|| async { "not for you" }));
    let tunnel = Tunnel::start(router, hesitates.clone()).await;
    for (version, key, status) in [
        ("8", Some(KEY), "426 Upgrade Required"),
        ("", Some(KEY), "426 Upgrade Required"),
        ("13", None, "400 Bad Request"),
        ("13", Some("c2hvcnQ="), "400 Bad Request"),
        ("13", Some("????????????????????????"), "400 Bad Request"),
        ("13", Some("dGhlIHNhbXBsZSBub!!jZQ=="), "400 Bad Request"),
    ] {
        let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
        let opening = opening(version, key).replace("connection: Upgrade", "connection: close, Upgrade");
        socket.write_all(opening.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(socket.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{version} {key:?}: {answer}");
        assert_eq!(answer.contains("\r\nsec-websocket-version: 13\r\n"), status.starts_with("426"), "{answer}");
        assert_eq!(answer.contains("\r\nupgrade: websocket\r\n"), status.starts_with("426"), "{answer}");
    }
    assert_eq!(hesitates.came.load(Ordering::SeqCst), 0);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_a_client_that_answers_no_close_as_long_as_is_configured() {
    let close_within = Duration::from_millis(200);
    let config = underpass_transport_ws::clients::Config { close_within, ..Default::default() };
    let tunnel = Tunnel::start_with(config, Default::default(), Router::new(), Echo::default()).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    socket.write_all(opening("13", Some(KEY)).as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within(socket.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    let began = Instant::now();
    within(tunnel.clients.drain()).await;
    assert!((close_within..Duration::from_secs(10)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(tunnel.clients.held(), Default::default());
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_goes_on_when_it_has_let_go_of_its_socket() {
    #[derive(Clone, Default)]
    struct Tidies(Arc<AtomicUsize>);
    impl WebSocketHandler for Tidies {
        async fn open(&self, _: ::http::Request<()>, socket: Pending) {
            socket.accept().close(Close::new(4000, "enough")).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let tidies = Tidies::default();
    let tunnel = Tunnel::start(Router::new(), tidies.clone()).await;
    let mut client = open(&tunnel).await;
    assert_eq!(close_code(&mut client).await.0, 4000);
    eventually("it has tidied up", || tidies.0.load(Ordering::SeqCst) == 1).await;
    tunnel.end().await;
}
