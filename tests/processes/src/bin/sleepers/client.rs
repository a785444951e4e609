//! The clients of counting actors.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::{Failure, SOON};

/// By what a client says which pool it means, and the one of the actors.
const POOL: (&str, &str) = ("x-underpass-pool", "counters");

/// A client's WebSocket.
pub(crate) struct Client {
    actor: usize,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    /// Opens a WebSocket to an actor.
    pub(crate) async fn open(gateway: SocketAddr, actor: usize) -> Result<Client, Failure> {
        let mut request = format!("ws://{gateway}/gateway/{actor}/").into_client_request()?;
        let (pool, name) = POOL;
        request.headers_mut().insert(pool, HeaderValue::from_static(name));
        let (socket, _) = timeout(SOON, connect_async(request)).await??;
        Ok(Client { actor, socket })
    }

    /// Sends so many messages at once, which must be counted from there on.
    pub(crate) async fn counts(&mut self, from: u64, messages: u64) -> Result<(), Failure> {
        for _ in 0..messages {
            self.socket.feed(Message::text("one more")).await?;
        }
        self.socket.flush().await?;
        for count in from..from + messages {
            let answer = timeout(SOON, self.socket.next()).await.map_err(|_| self.wrong(count, "nothing"))?;
            match answer {
                Some(Ok(Message::Text(text))) if text == count.to_string() => {}
                other => return Err(self.wrong(count, &format!("{other:?}"))),
            }
        }
        Ok(())
    }

    fn wrong(&self, count: u64, answer: &str) -> Failure {
        format!("a message to the actor {} was answered {answer} instead of {count}", self.actor).into()
    }

    /// Closes it.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        self.socket.close(None).await?;
        while timeout(SOON, self.socket.next()).await?.transpose()?.is_some() {}
        Ok(())
    }
}

/// What the pool of the actors answers.
pub(crate) async fn ask(gateway: SocketAddr, method: &str, path: &str) -> Result<String, Failure> {
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the request, which tells more.
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::builder().method(method).uri(path).header("host", "up").header(POOL.0, POOL.1);
    let response = timeout(SOON, sender.send_request(request.body(Empty::<Bytes>::new())?)).await??;
    Ok(String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned())
}
