//! The same handler behind Underpass: in a runner, which is a process of its own.

use std::io;

use underpass_transport_ws::runner::{Config, Incoming, Pending, Runner, WebSocketHandler};

use crate::handler::Handler;

/// The runner's pool. `underpass up` has a runner of its own, in the pool `default`.
pub(crate) const POOL: &str = "bench";

/// Runs until the relay goes.
pub(crate) async fn run(relay: String) -> io::Result<()> {
    let mut config = Config { relay_urls: vec![relay], ..Config::default() };
    config.runner.name = POOL.into();
    let runner = Runner::start(config, Handler, Echo).map_err(io::Error::other)?;
    runner.ready().await.map_err(|reason| io::Error::other(format!("{reason:?}")))?;
    println!("ready pool={POOL}");
    Err(io::Error::other(format!("{:?}", runner.stopped().await)))
}

/// Sends back what comes.
#[derive(Clone, Copy, Debug)]
struct Echo;

impl WebSocketHandler for Echo {
    async fn open(&self, _: http::Request<()>, pending: Pending) {
        let mut socket = pending.accept();
        while let Some(incoming) = socket.receive().await {
            match incoming {
                Incoming::Message(message) => {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
                Incoming::Close(close) => return socket.close(close).await,
            }
        }
    }
}
