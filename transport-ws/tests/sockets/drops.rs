//! What ends when its handle is dropped, without a drain.

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use underpass_transport_ws::runner::NoWebSockets;

use crate::tunnel::{Tunnel, eventually, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_handles_ends_every_task_in_the_middle_of_requests() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let came = Arc::new(Semaphore::new(0));
    let router = Router::new().fallback(any({
        let came = came.clone();
        || async move {
            came.add_permits(1);
            std::future::pending::<()>().await;
        }
    }));
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
        socket.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nabc").await.unwrap();
        sockets.push(socket);
    }
    within(came.acquire_many(3)).await.unwrap().forget();
    assert_eq!(tunnel.clients.stats().open, 3);
    drop(tunnel);
    eventually("all tasks have ended", || alive() == before).await;
}
