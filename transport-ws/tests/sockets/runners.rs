//! Runners that come, go and are refused, over real sockets.

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use underpass_transport_mem::{MemBus, MemDirectory};
use underpass_transport_ws::runner::{Config, NoWebSockets, Runner, StopReason};
use underpass_transport_ws::runners::{self, Runners};

use crate::tunnel::{Tunnel, text, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_on_one_side_only_is_refused_for_good() {
    for (wanted, brought) in [(Some("secret"), None), (Some("secret"), Some("other")), (None, Some("secret"))] {
        let bus = MemBus::new(Default::default()).unwrap();
        let config = runners::Config { token: wanted.map(str::to_owned), ..Default::default() };
        let relay = Runners::start(config, bus, MemDirectory::new()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay_url = format!("ws://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn({
            let relay = relay.clone();
            async move { relay.serve(listener).await }
        });
        let config = Config { relay_url, token: brought.map(str::to_owned), ..Default::default() };
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
        let relay_url = format!("ws://{}", tunnel.relay_address);
        let next = Runner::start(Config { relay_url, ..Default::default() }, router.clone(), NoWebSockets).unwrap();
        within(next.ready()).await.unwrap();
        crate::tunnel::eventually("the gateway knows both", || tunnel.clients.stats().runners == 2).await;
        // Dropping the handle cuts the connection.
        tunnel.runner = next;
        crate::tunnel::eventually("the gateway knows the new one alone", || tunnel.clients.stats().runners == 1).await;
        assert_eq!(text(tunnel.get("/hello").await).await, "hello");
    }
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_not_there_yet_is_dialled_until_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let relay_url = format!("ws://{address}");
    let runner = Runner::start(Config { relay_url, ..Default::default() }, Router::new(), NoWebSockets).unwrap();
    crate::tunnel::eventually("it dials again", || runner.stats().dials > 1).await;
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
