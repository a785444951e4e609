//! A whole tunnel in one process, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use underpass_core::directory::Pool;
use underpass_transport_mem::{Config as BusConfig, MemBus, MemDirectory, MemKv};
use underpass_transport_ws::clients::{self, Clients};
use underpass_transport_ws::runner::{self, Runner, WebSocketHandler};
use underpass_transport_ws::runners::{self, Runners};
use underpass_transport_ws::tls::ServerTls;

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

pub(crate) struct Tunnel {
    pub(crate) clients: Clients<MemBus, MemDirectory>,
    pub(crate) relay: Runners<MemBus, MemDirectory>,
    pub(crate) runner: Runner,
    pub(crate) directory: MemDirectory,
    pub(crate) gateway_address: SocketAddr,
    pub(crate) relay_address: SocketAddr,
    serving: JoinSet<()>,
}

pub(crate) fn pool() -> Pool {
    Pool { namespace: "default".into(), name: "default".into() }
}

impl Tunnel {
    pub(crate) async fn start(router: Router, websockets: impl WebSocketHandler) -> Tunnel {
        Tunnel::start_with(clients::Config::default(), runner::Config::default(), router, websockets).await
    }

    pub(crate) async fn start_with(
        gateway: clients::Config,
        runner: runner::Config,
        router: Router,
        websockets: impl WebSocketHandler,
    ) -> Tunnel {
        let begin = |relay_urls| Runner::start(runner::Config { relay_urls, ..runner }, router, websockets).unwrap();
        Tunnel::around(gateway, runners::Config::default(), begin).await
    }

    /// With a runner that dials the relay of these URLs.
    pub(crate) async fn around(
        gateway: clients::Config,
        relay: runners::Config,
        begin: impl FnOnce(Vec<String>) -> Runner,
    ) -> Tunnel {
        Tunnel::over(None, gateway, relay, begin).await
    }

    /// Over TLS at both listeners, if there is some.
    pub(crate) async fn over(
        tls: Option<ServerTls>,
        gateway: clients::Config,
        relay: runners::Config,
        begin: impl FnOnce(Vec<String>) -> Runner,
    ) -> Tunnel {
        let bus = MemBus::new(BusConfig::default()).unwrap();
        let directory = MemDirectory::new();
        let relay = Runners::start_with_store(relay, bus.clone(), directory.clone(), MemKv::new()).await.unwrap();
        let clients = Clients::start(gateway, bus.clone(), directory.clone()).await.unwrap();
        let for_clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let for_runners = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway_address = for_clients.local_addr().unwrap();
        let relay_address = for_runners.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn({
            let (clients, tls) = (clients.clone(), tls.clone());
            async move {
                match tls {
                    Some(tls) => clients.serve_tls(for_clients, tls).await,
                    None => clients.serve(for_clients).await,
                }
            }
        });
        serving.spawn({
            let (relay, tls) = (relay.clone(), tls.clone());
            async move {
                match tls {
                    Some(tls) => relay.serve_tls(for_runners, tls).await,
                    None => relay.serve(for_runners).await,
                }
            }
        });
        let scheme = if tls.is_some() { "wss" } else { "ws" };
        let runner = begin(vec![format!("{scheme}://{relay_address}")]);
        within(runner.ready()).await.unwrap();
        within(clients.runner_ready(&pool())).await;
        Tunnel { clients, relay, runner, directory, gateway_address, relay_address, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway_address)
    }

    pub(crate) async fn get(&self, path: &str) -> ::http::Response<hyper::body::Incoming> {
        let request = ::http::Request::get(self.url(path)).body(empty()).unwrap();
        within(client().request(request)).await.unwrap()
    }

    /// Ends everything, and looks that nothing is left.
    pub(crate) async fn end(mut self) {
        eventually("the gateway has nothing open", || self.clients.stats().open == 0).await;
        let gateway = self.clients.stats();
        assert_eq!((gateway.deadlines, gateway.buffered), (0, 0), "{gateway:?}");
        assert_eq!(gateway.malformed + gateway.foreign + gateway.gaps, 0, "{gateway:?}");
        eventually("the runner has nothing open", || self.runner.stats().open == 0).await;
        eventually("the runner has no handlers at work", || self.runner.handlers() == 0).await;
        let relay = self.relay.stats();
        assert_eq!((relay.routes, relay.buffered, relay.unrouted, relay.malformed), (0, 0, 0, 0), "{relay:?}");
        within(self.clients.drain()).await;
        assert_eq!(self.clients.held(), clients::Held::default());
        assert_eq!(within(self.runner.drain()).await, runner::StopReason::Drained);
        within(self.relay.drain()).await;
        while let Some(served) = within(self.serving.join_next()).await {
            served.unwrap();
        }
        assert!(self.directory.gateways().is_empty());
        assert!(self.directory.runners().is_empty(), "{:?}", self.directory.runners());
    }
}

/// What must not take long.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("this should not take so long")
}

pub(crate) async fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

pub(crate) fn client() -> Client<HttpConnector, Body> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)
}

pub(crate) fn http2() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new())
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub(crate) async fn text(response: ::http::Response<hyper::body::Incoming>) -> String {
    String::from_utf8(within(response.into_body().collect()).await.unwrap().to_bytes().to_vec()).unwrap()
}
