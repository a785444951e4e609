//! Runners that come, go and are refused, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Error as WireError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message as WireMessage;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use underpass_core::Frame;
use underpass_core::bus::{Address, Bus, ConnectionId, Delivery, Inbox, Publication, Subject};
use underpass_core::directory::RunnerState;
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use underpass_core::protocol::{
    Dialect, GatewayId, Map, MessageId, RequestId, ToClient, ToGateway, ToRunner, ToServer, to_server as words,
};
use underpass_transport_mem::{MemBus, MemDirectory};
use underpass_transport_ws::runner::{Config, NoWebSockets, Runner, StopReason};
use underpass_transport_ws::runners::{self, Runners, Tokens};

use crate::tunnel::{Tunnel, eventually, text, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_on_one_side_only_is_refused_for_good() {
    for (wanted, brought) in [(Some("secret"), None), (Some("secret"), Some("other")), (None, Some("secret"))] {
        let bus = MemBus::new(Default::default()).unwrap();
        let tokens = wanted.map_or(Tokens::none(), |token| Tokens::new([token]).unwrap());
        let config = runners::Config { tokens, ..Default::default() };
        let relay = Runners::start(config, bus, MemDirectory::new()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay_urls = vec![format!("ws://{}", listener.local_addr().unwrap())];
        let serving = tokio::spawn({
            let relay = relay.clone();
            async move { relay.serve(listener).await }
        });
        let config = Config { relay_urls, token: brought.map(str::to_owned), ..Default::default() };
        let runner = Runner::start(config, Router::new(), NoWebSockets).unwrap();
        match within(runner.ready()).await {
            Err(StopReason::Refused { code: 401, message }) => assert!(message.contains("token"), "{message}"),
            other => panic!("{other:?}"),
        }
        within(relay.drain()).await;
        within(serving).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_comes_again_is_found() {
    let router = Router::new().route("/hello", get(|| async { "hello" }));
    let mut tunnel = Tunnel::start(router.clone(), NoWebSockets).await;
    for _ in 0..3 {
        let relay_urls = vec![format!("ws://{}", tunnel.relay_address)];
        let next = Runner::start(Config { relay_urls, ..Default::default() }, router.clone(), NoWebSockets).unwrap();
        within(next.ready()).await.unwrap();
        eventually("the gateway knows both", || tunnel.clients.stats().runners == 2).await;
        // Dropping the handle cuts the connection.
        tunnel.runner = next;
        eventually("the gateway knows the new one alone", || tunnel.clients.stats().runners == 1).await;
        assert_eq!(text(tunnel.get("/hello").await).await, "hello");
    }
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_not_there_yet_is_dialled_until_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let relay_urls = vec![format!("ws://{address}")];
    let runner = Runner::start(Config { relay_urls, ..Default::default() }, Router::new(), NoWebSockets).unwrap();
    eventually("it dials again", || runner.stats().dials > 1).await;
    let relay = Runners::start(Default::default(), MemBus::new(Default::default()).unwrap(), MemDirectory::new()).await;
    let relay = relay.unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let serving = tokio::spawn({
        let relay = relay.clone();
        async move { relay.serve(listener).await }
    });
    within(runner.ready()).await.unwrap();
    assert_eq!(within(runner.drain()).await, StopReason::Drained);
    within(relay.drain()).await;
    within(serving).await.unwrap();
}

type Dialled = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Dials a tunnel's relay as a runner of this version, which offers these sub-protocols.
async fn dial(tunnel: &Tunnel, version: u16, offered: Option<&str>) -> (Dialled, Option<String>) {
    dial_at(tunnel.relay_address, version, offered).await
}

async fn dial_at(relay: SocketAddr, version: u16, offered: Option<&str>) -> (Dialled, Option<String>) {
    let query = format!("protocol_version={version}&namespace=default&runner_key=other");
    let url = format!("ws://{relay}/runners/connect?{query}");
    let mut request = url.into_client_request().unwrap();
    if let Some(offered) = offered {
        request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
    }
    let (socket, response) = within(connect_async(request)).await.unwrap();
    let chosen = response.headers().get("sec-websocket-protocol").map(|chosen| chosen.to_str().unwrap().to_owned());
    (socket, chosen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_is_told_the_sub_protocol_that_was_chosen() {
    let tunnel = Tunnel::start(Router::new(), NoWebSockets).await;
    for (offered, wanted) in [
        (Some("underpass.1"), Some("underpass.1")),
        (Some("underpass.1, rivet"), Some("underpass.1")),
        (Some("rivet, underpass.1"), Some("underpass.1")),
        (Some("rivet"), Some("rivet")),
        (None, None),
    ] {
        let (socket, chosen) = dial(&tunnel, 7, offered).await;
        assert_eq!(chosen.as_deref(), wanted, "{offered:?}");
        drop(socket);
    }
    eventually("they are gone", || tunnel.relay.stats().connections == 1).await;
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_of_another_version_is_closed_1008_and_told_both_versions() {
    let tunnel = Tunnel::start(Router::new(), NoWebSockets).await;
    for version in [0, 8, 4321] {
        let (mut socket, _) = dial(&tunnel, version, Some("rivet")).await;
        let WireMessage::Close(Some(close)) = within(socket.next()).await.unwrap().unwrap() else { panic!("no close") };
        assert_eq!(u16::from(close.code), 1008);
        let named = |version: u16| {
            let digits = |byte: char| !byte.is_ascii_digit();
            close.reason.split(digits).any(|number| number == version.to_string())
        };
        assert!(named(version) && named(7), "{}", close.reason);
        assert!(within(socket.next()).await.is_none());
    }
    eventually("they are gone", || tunnel.relay.stats().connections == 1).await;
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_with_a_name_that_is_too_long_is_answered_400() {
    let tunnel = Tunnel::start(Router::new(), NoWebSockets).await;
    let long = "k".repeat(257);
    for query in [format!("runner_key={long}"), format!("runner_key=k&namespace={long}")] {
        let url = format!("ws://{}/runners/connect?protocol_version=7&{query}", tunnel.relay_address);
        let refused = within(connect_async(url)).await.expect_err("it is refused");
        let WireError::Http(answer) = refused else { panic!("{refused}") };
        assert_eq!(answer.status(), 400);
    }
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opening_that_takes_too_long_is_cut() {
    let open_within = Duration::from_millis(100);
    let config = runners::Config { open_within, ..Default::default() };
    let bus = MemBus::new(Default::default()).unwrap();
    let relay = Runners::start(config, bus, MemDirectory::new()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let relay = relay.clone();
        async move { relay.serve(listener).await }
    });
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /runners/connect HTTP/1.1\r\n").await.unwrap();
    within(socket.read_to_end(&mut Vec::new())).await.ok();
    within(relay.drain()).await;
    within(serving).await.unwrap();
}

async fn says(socket: &mut Dialled, message: &ToServer) {
    within(socket.send(WireMessage::Binary(message.encode().into_bytes()))).await.unwrap();
}

/// What the relay says next, its pings aside.
async fn hears(socket: &mut Dialled) -> ToClient {
    loop {
        let WireMessage::Binary(bytes) = within(socket.next()).await.unwrap().unwrap() else { panic!("no message") };
        let message = ToClient::decode(&Frame::from(bytes), Dialect::Underpass).unwrap();
        if !matches!(message, ToClient::Ping(_)) {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_drains_sends_its_runner_elsewhere_and_finishes_what_is_open() {
    let (bus, directory) = (MemBus::new(Default::default()).unwrap(), MemDirectory::new());
    let relay = Runners::start(Default::default(), bus.clone(), directory.clone()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let relay = relay.clone();
        async move { relay.serve(listener).await }
    });
    let (mut socket, _) = dial_at(address, 7, Some("underpass.1")).await;
    let metadata = Some(r#"{"underpass":{"streams":true,"numbers":true,"stateless":true}}"#.into());
    let (name, version, total_slots, prepopulate_actor_names) = ("default".into(), 1, 1, None);
    let init = words::Init { name, version, total_slots, prepopulate_actor_names, metadata };
    says(&mut socket, &ToServer::Init(init)).await;
    assert!(matches!(hears(&mut socket).await, ToClient::Init(_)));
    says(&mut socket, &ToServer::Pong(words::Pong { ts: 0 })).await;
    eventually("it is ready", || relay.stats().ready == 1).await;

    let gateway_id = GatewayId([7; 4]);
    let mut inbox = bus.attach(Address::Gateway(gateway_id)).await.unwrap();
    let message_id = MessageId { gateway_id, request_id: RequestId([1; 4]), message_index: 0 };
    let start = to_client::RequestStart {
        actor_id: "default".into(),
        method: "GET".into(),
        path: "/".into(),
        headers: Map::default(),
        body: None,
        stream: false,
    };
    let start = ToClientTunnelMessage { message_id, message_kind: to_client::Kind::RequestStart(start) };
    let frame = ToRunner::TunnelMessage(start.clone()).encode_framed();
    let connection = ConnectionId { relay: relay.id(), number: 1 };
    bus.publish(Publication { to: Subject::Connection(connection), reply_to: None, frame }).unwrap();
    assert_eq!(hears(&mut socket).await, ToClient::TunnelMessage(start));

    let drained = tokio::spawn({
        let relay = relay.clone();
        async move { relay.drain().await }
    });
    assert_eq!(hears(&mut socket).await, ToClient::Draining);
    let states: Vec<_> = directory.runners().into_iter().map(|(_, versioned)| versioned.record.state).collect();
    assert_eq!(states, [RunnerState::Moving]);
    // Longer than a connection stays on which nothing is open.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(!drained.is_finished());

    let abort = ToServerTunnelMessage { message_id, message_kind: to_server::Kind::ResponseAbort };
    says(&mut socket, &ToServer::TunnelMessage(abort.clone())).await;
    let mut deliveries = Vec::new();
    within(inbox.receive(&mut deliveries)).await.unwrap();
    let [Delivery::Frame { frame, .. }] = &deliveries[..] else { panic!("{deliveries:?}") };
    assert_eq!(ToGateway::decode_framed(frame, Dialect::Underpass), Ok(ToGateway::TunnelMessage(abort)));
    let WireMessage::Close(Some(close)) = within(socket.next()).await.unwrap().unwrap() else { panic!("no close") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1001, "relay.draining"));
    assert!(within(socket.next()).await.is_none());
    within(drained).await.unwrap();
    within(serving).await.unwrap();
    assert!(directory.runners().is_empty());
}
