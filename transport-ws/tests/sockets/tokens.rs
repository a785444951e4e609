//! Tokens that are rotated while the relay runs.

use axum::Router;
use axum::routing::get;
use underpass_transport_ws::runner::{self, NoWebSockets, Runner, StopReason};
use underpass_transport_ws::runners::{self, Tokens};

use crate::tunnel::{Tunnel, eventually, text, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_rotated_and_who_is_connected_stays() {
    let tokens = Tokens::new(["old"]).unwrap();
    let relay = runners::Config { tokens: tokens.clone(), ..Default::default() };
    let begin = |relay_urls: Vec<String>, token: &str| {
        let config = runner::Config { relay_urls, token: Some(token.to_owned()), ..Default::default() };
        Runner::start(config, Router::new().route("/", get(|| async { "hello" })), NoWebSockets).unwrap()
    };
    let tunnel = Tunnel::around(Default::default(), relay, |relay_urls| begin(relay_urls, "old")).await;
    let urls = || vec![format!("ws://{}", tunnel.relay_address)];

    let early = begin(urls(), "new");
    assert!(matches!(within(early.ready()).await, Err(StopReason::Refused { code: 401, .. })));
    tokens.replace(["old", "new"]).unwrap();
    let second = begin(urls(), "new");
    within(second.ready()).await.unwrap();
    let third = begin(urls(), "old");
    within(third.ready()).await.unwrap();
    assert_eq!(within(third.drain()).await, StopReason::Drained);

    tokens.replace(["new"]).unwrap();
    let late = begin(urls(), "old");
    match within(late.ready()).await {
        Err(StopReason::Refused { code: 401, message }) => assert!(message.contains("token"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(within(second.drain()).await, StopReason::Drained);
    eventually("the gateway knows the first one alone", || tunnel.clients.stats().runners == 1).await;
    assert_eq!(text(tunnel.get("/").await).await, "hello");
    assert_eq!(tunnel.runner.stats().dials, 1, "it stayed all the time");
    tunnel.end().await;
}
