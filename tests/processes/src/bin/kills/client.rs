//! The client of one request.

use std::net::SocketAddr;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::Failure;

/// What a request is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// The handler of a GET thinks.
    Get,
    /// The handler of a POST thinks.
    Post,
    /// The handler streams its answer, a piece every 20 ms.
    Stream,
    /// The WebSocket is open and quiet.
    WebSocket,
}

impl Phase {
    pub(crate) const ALL: [Phase; 4] = [Phase::Get, Phase::Post, Phase::Stream, Phase::WebSocket];
}

/// What somebody heard of the end of a request, and when.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) what: String,
}

impl Heard {
    fn now(what: impl Into<String>) -> Heard {
        Heard { at: Instant::now(), what: what.into() }
    }
}

/// Sends a request. What comes of it is heard later; a stream or a WebSocket has begun when this returns.
pub(crate) async fn open(phase: Phase, gateway: SocketAddr) -> Result<JoinHandle<Heard>, Failure> {
    let task = match phase {
        Phase::Get => tokio::spawn(ask(gateway, "GET")),
        Phase::Post => tokio::spawn(ask(gateway, "POST")),
        Phase::Stream => {
            let mut response = send(gateway, "GET", "/stream").await?;
            let _first = response.frame().await.ok_or("no piece")??;
            tokio::spawn(async move { rest(response).await })
        }
        Phase::WebSocket => {
            let (mut socket, _) = connect_async(format!("ws://{gateway}/websocket")).await?;
            socket.send(Message::text("hello")).await?;
            let _echo = socket.next().await.ok_or("no echo")??;
            tokio::spawn(until_closed(socket))
        }
    };
    Ok(task)
}

async fn ask(gateway: SocketAddr, method: &str) -> Heard {
    match send(gateway, method, "/think").await {
        Ok(response) => rest(response).await,
        Err(_) => Heard::now("cut"),
    }
}

async fn send(gateway: SocketAddr, method: &str, path: &str) -> Result<Response<Incoming>, Failure> {
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the request, which tells more.
    tokio::spawn(async move { drop(connection.await) });
    let body = Full::new(Bytes::from(if method == "POST" { "body" } else { "" }));
    let request = Request::builder().method(method).uri(path).header("host", "fleet").body(body)?;
    Ok(sender.send_request(request).await?)
}

async fn rest(response: Response<Incoming>) -> Heard {
    let status = response.status().as_u16();
    let code = response.headers().get("x-underpass-error").and_then(|code| code.to_str().ok()).map(str::to_owned);
    match response.into_body().collect().await {
        Err(_) => Heard::now("broken off"),
        Ok(body) => {
            let body = body.to_bytes();
            let told = code.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
            Heard::now(format!("{status} {told}"))
        }
    }
}

async fn until_closed(mut socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Heard {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(close)))) => {
                let code = close.reason.split('#').next().unwrap_or_default();
                return Heard::now(format!("{} {code}", u16::from(close.code)));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Heard::now("cut"),
        }
    }
}
