//! The handler without a tunnel: HTTP by hyper at one port, and at another WebSockets by tokio-tungstenite.

use std::convert::Infallible;
use std::io;

use futures_util::{FutureExt, SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::handler::answer;

/// Serves until it is killed.
pub(crate) async fn run() -> io::Result<()> {
    let (http, websocket) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    println!("ready http={} websocket={}", http.local_addr()?, websocket.local_addr()?);
    loop {
        tokio::select! {
            taken = http.accept() => {
                let (stream, _) = taken?;
                stream.set_nodelay(true)?;
                tokio::spawn(async {
                    let service = service_fn(async |request| Ok::<_, Infallible>(answer(request).await));
                    // The load generator just goes away.
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
            taken = websocket.accept() => {
                let (stream, _) = taken?;
                stream.set_nodelay(true)?;
                tokio::spawn(echo(stream));
            }
        }
    }
}

/// Sends back what comes, and writes once for all that had come.
async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    let mut came = socket.next().await;
    while let Some(message) = came.transpose()? {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            socket.feed(message).await?;
        }
        came = match socket.next().now_or_never() {
            Some(more) => more,
            None => {
                socket.flush().await?;
                socket.next().await
            }
        };
    }
    Ok(())
}
