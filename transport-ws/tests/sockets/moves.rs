//! A runner that moves between relays, over real sockets. The relays are the stories' own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use underpass_core::protocol::to_client::{Init, Ping, ProtocolMetadata};
use underpass_core::protocol::tunnel::ToClientTunnelMessage;
use underpass_core::protocol::tunnel::to_client::{Kind, RequestStart};
use underpass_core::protocol::tunnel::to_server::Kind as Answer;
use underpass_core::protocol::{Dialect, GatewayId, Map, MessageId, RequestId, ToClient, ToServer};
use underpass_core::{Frame, runner};
use underpass_transport_ws::runner::{Config, NoWebSockets, Runner, StopReason};

use crate::tunnel::{eventually, within};

/// A relay's end of a runner's connection.
struct Relay(WebSocketStream<TcpStream>);

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

impl Relay {
    /// A runner dials, and is taken in.
    async fn takes_in(listener: &TcpListener) -> Relay {
        #[expect(clippy::result_large_err, reason = "the WebSocket library's signature")]
        fn choose(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
            response.headers_mut().insert("sec-websocket-protocol", "underpass.1".parse().unwrap());
            Ok(response)
        }
        let (socket, _) = within(listener.accept()).await.unwrap();
        let mut relay = Relay(within(accept_hdr_async(socket, choose)).await.unwrap());
        assert!(matches!(relay.hears().await, ToServer::Init(_)));
        let metadata = ProtocolMetadata {
            runner_lost_threshold: 15_000,
            actor_stop_threshold: 1_800_000,
            serverless_drain_grace_period: None,
        };
        relay.says(ToClient::Init(Init { runner_id: "runner".into(), metadata })).await;
        for ts in 0..2 {
            relay.says(ToClient::Ping(Ping { ts })).await;
            assert!(matches!(relay.hears().await, ToServer::Pong(pong) if pong.ts == ts));
        }
        relay
    }

    async fn says(&mut self, message: ToClient) {
        within(self.0.send(Message::Binary(message.encode().into_bytes()))).await.unwrap();
    }

    async fn hears(&mut self) -> ToServer {
        match within(self.0.next()).await.unwrap().unwrap() {
            Message::Binary(bytes) => ToServer::decode(&Frame::from(bytes), Dialect::Underpass).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn reads_the_close(mut self) -> CloseFrame {
        let close = match within(self.0.next()).await.unwrap().unwrap() {
            Message::Close(close) => close.unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(within(self.0.next()).await.is_none());
        close
    }

    async fn asks(&mut self, request: u8, path: &'static str) {
        let start = RequestStart {
            actor_id: "someone".into(),
            method: "GET".into(),
            path: path.into(),
            headers: Map(Vec::new()),
            body: None,
            stream: false,
        };
        let (gateway_id, request_id) = (GatewayId(*b"gate"), RequestId([request; 4]));
        let message_id = MessageId { gateway_id, request_id, message_index: 0 };
        let message_kind = Kind::RequestStart(start);
        self.says(ToClient::TunnelMessage(ToClientTunnelMessage { message_id, message_kind })).await;
    }

    async fn is_answered(&mut self, request: u8) {
        match self.hears().await {
            ToServer::TunnelMessage(message) => {
                assert_eq!(message.message_id.request_id, RequestId([request; 4]));
                assert!(matches!(message.message_kind, Answer::ResponseStart(start) if start.status == 200));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_drains_is_left_for_the_next_one_when_its_requests_are_answered() {
    let go_on = Arc::new(Notify::new());
    let slow = go_on.clone();
    let router =
        Router::new().route("/quick", get(|| async {})).route("/slow", get(|| async move { slow.notified().await }));
    let (first_listener, first) = listen().await;
    let (second_listener, second) = listen().await;
    let config = Config { relay_urls: vec![first, second], ..Default::default() };
    let runner = Runner::start(config, router, NoWebSockets).unwrap();
    let mut old = Relay::takes_in(&first_listener).await;
    within(runner.ready()).await.unwrap();
    old.asks(1, "/slow").await;
    eventually("the request is open", || runner.stats().open == 1).await;

    old.says(ToClient::Draining).await;
    let mut new = Relay::takes_in(&second_listener).await;
    new.asks(1, "/quick").await;
    new.is_answered(1).await;
    assert_eq!(runner.stats().connections, 2);
    go_on.notify_one();
    old.is_answered(1).await;
    let close = old.reads_the_close().await;
    assert_eq!((u16::from(close.code), &*close.reason), (1000, "runner.moved"));

    eventually("one connection is left", || runner.stats().connections == 1).await;
    within(runner.ready()).await.unwrap();
    new.asks(2, "/quick").await;
    new.is_answered(2).await;
    let draining = tokio::spawn(async move { runner.drain().await });
    assert!(matches!(new.hears().await, ToServer::Stopping));
    assert_eq!(&*new.reads_the_close().await.reason, "pegboard.runner_shutdown");
    assert_eq!(within(draining).await.unwrap(), StopReason::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_does_not_answer_is_given_up_for_the_next_one() {
    let (silent_listener, silent) = listen().await;
    let (listener, url) = listen().await;
    let machine = runner::Config { dial: Duration::from_millis(100), ..Default::default() };
    let config = Config { runner: machine, relay_urls: vec![silent, url], ..Default::default() };
    let runner = Runner::start(config, Router::new(), NoWebSockets).unwrap();
    let (_socket, _) = within(silent_listener.accept()).await.unwrap();
    let relay = Relay::takes_in(&listener).await;
    within(runner.ready()).await.unwrap();
    let stats = runner.stats();
    assert_eq!((stats.dials, stats.timeouts.dial, stats.connections), (2, 1, 1));
    drop(runner);
    drop(relay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_goes_away_is_left_for_the_next_one() {
    let (first_listener, first) = listen().await;
    let (second_listener, second) = listen().await;
    let config = Config { relay_urls: vec![first, second], ..Default::default() };
    let runner = Runner::start(config, Router::new(), NoWebSockets).unwrap();
    for listener in [&first_listener, &second_listener, &first_listener] {
        let relay = Relay::takes_in(listener).await;
        eventually("it is ready", || runner.stats().ready).await;
        drop(relay);
    }
    eventually("it is not any more", || !runner.stats().ready).await;
    assert_eq!(within(runner.drain()).await, StopReason::Drained);
}
