//! WebSockets, passed on message by message.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as Framed, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};
use underpass_core::http::{Close, Message, select_subprotocol};
use underpass_transport_ws::runner::{Closed, Incoming, Pending, WebSocketHandler, WebSocketReceiver, WebSocketSender};

use super::{client, end_to_end, name_actor};
use crate::url::Target;

/// The largest message, either way.
const MAX_MESSAGE: usize = 32 * 1024 * 1024;

/// How long the target may take to answer a close.
const CLOSING: Duration = Duration::from_secs(10);

/// Opens a WebSocket at the target for each that a client opens, with the sub-protocol that the client is given, and
/// takes the client's when the target has taken its own.
#[derive(Clone)]
pub(crate) struct WebSocketProxy {
    target: Arc<Target>,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// The target did not take a WebSocket.
#[derive(Debug, Error)]
enum DialError {
    #[error("the path or the sub-protocol cannot be passed on")]
    Request(#[source] http::Error),
    #[error(transparent)]
    Client(#[from] hyper_util::client::legacy::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer breaks RFC 6455: {0}")]
    Answer(&'static str),
    #[error(transparent)]
    Upgrade(#[from] hyper::Error),
}

impl WebSocketProxy {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        WebSocketProxy { target, client: client() }
    }

    async fn dial(&self, request: &Request<()>) -> Result<WebSocketStream<TokioIo<Upgraded>>, DialError> {
        let key = generate_key();
        let subprotocol = subprotocol(request.headers()).map_err(DialError::Request)?;
        let onward = onward(&self.target, request, &key, subprotocol.as_ref()).map_err(DialError::Request)?;
        let answer = self.client.request(onward).await?;
        verify(answer.status(), answer.headers(), &key, subprotocol.as_ref())?;
        let socket = TokioIo::new(hyper::upgrade::on(answer).await?);
        let buffered = 16 * 1024;
        let config = WebSocketConfig::default()
            .read_buffer_size(buffered)
            .write_buffer_size(buffered)
            .max_write_buffer_size(MAX_MESSAGE + 2 * buffered)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        Ok(WebSocketStream::from_raw_socket(socket, Role::Client, Some(config)).await)
    }
}

impl WebSocketHandler for WebSocketProxy {
    async fn open(&self, request: Request<()>, pending: Pending) {
        match self.dial(&request).await {
            Ok(server) => {
                let (sender, receiver) = pending.accept().split();
                pump(sender, receiver, server).await;
            }
            Err(error) => tracing::warn!(target = %self.target, %error, "a WebSocket was not taken"),
        }
    }
}

/// The one sub-protocol that the client is given.
fn subprotocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, http::Error> {
    let offers: Vec<_> = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().flat_map(HeaderValue::to_str).collect();
    Ok(select_subprotocol(&offers.join(",")).map(HeaderValue::from_str).transpose()?)
}

/// The opening as the target gets it.
fn onward(
    target: &Target,
    request: &Request<()>,
    key: &str,
    subprotocol: Option<&HeaderValue>,
) -> Result<Request<Empty<Bytes>>, http::Error> {
    let mut headers = end_to_end(request.headers().clone());
    for made_anew in [
        header::HOST,
        header::SEC_WEBSOCKET_EXTENSIONS,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_VERSION,
    ] {
        headers.remove(made_anew);
    }
    name_actor(&mut headers, request.extensions());
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_str(key)?);
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol.clone());
    }
    let mut onward = Request::new(Empty::new());
    *onward.uri_mut() = target.uri(request.uri().path_and_query().map_or("/", |path| path.as_str()))?;
    *onward.headers_mut() = headers;
    Ok(onward)
}

/// Whether the target took the WebSocket (RFC 6455, 4.1). A server that knows nothing of sub-protocols may choose
/// none.
fn verify(
    status: StatusCode,
    headers: &HeaderMap,
    key: &str,
    subprotocol: Option<&HeaderValue>,
) -> Result<(), DialError> {
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(DialError::Status(status));
    }
    if headers.get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes)
        != Some(derive_accept_key(key.as_bytes()).as_bytes())
    {
        return Err(DialError::Answer("the key is not accepted"));
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err(DialError::Answer("an extension was chosen that was not offered"));
    }
    let chosen = headers.get(header::SEC_WEBSOCKET_PROTOCOL);
    if chosen.is_some() && chosen != subprotocol {
        return Err(DialError::Answer("a sub-protocol was chosen that was not offered"));
    }
    Ok(())
}

/// How one direction ended.
enum Ended {
    /// The client closed.
    Client(Close),
    /// The target closed.
    Server(Option<CloseFrame>),
    /// One of them broke off, or its end cannot be told.
    Broken,
}

/// Carries messages both ways until one side closes, and its close to the other. The next message is read when the
/// last was taken.
async fn pump<S>(mut sender: WebSocketSender, mut receiver: WebSocketReceiver, server: S)
where
    S: Stream<Item = Result<Framed, tungstenite::Error>> + Sink<Framed, Error = tungstenite::Error> + Send + Unpin,
{
    let (mut to_server, mut from_server) = server.split();
    let ended = tokio::select! {
        ended = up(&mut receiver, &mut to_server) => ended,
        ended = down(&mut from_server, &mut sender) => ended,
    };
    match ended {
        Ended::Client(close) => {
            let frame =
                close.on_the_socket().map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() });
            let answered = async {
                to_server.send(Framed::Close(frame)).await?;
                while from_server.next().await.transpose()?.is_some() {}
                Ok::<_, tungstenite::Error>(())
            };
            // However the target takes it: its connection ends here.
            let _ = timeout(CLOSING, pin!(answered)).await;
        }
        Ended::Server(frame) => {
            let close = frame.map(|frame| Close::new(frame.code.into(), ByteString::from(frame.reason.as_str())));
            sender.close(close.unwrap_or_default()).await;
            // The answer to the target's close frame is still to be written.
            let _ = timeout(CLOSING, to_server.flush()).await;
        }
        Ended::Broken => sender.close(Close::new(1011, "the way to the server broke")).await,
    }
}

async fn up(
    receiver: &mut WebSocketReceiver,
    to_server: &mut (impl Sink<Framed, Error = tungstenite::Error> + Unpin),
) -> Ended {
    while let Some(incoming) = receiver.receive().await {
        let framed = match incoming {
            Incoming::Message(Message::Binary(data)) => Framed::Binary(data),
            Incoming::Message(Message::Text(text)) => match Utf8Bytes::try_from(text.into_bytes()) {
                Ok(text) => Framed::Text(text),
                Err(_) => return Ended::Broken,
            },
            Incoming::Close(Close { code: Some(1006), .. }) => return Ended::Broken,
            Incoming::Close(close) => return Ended::Client(close),
        };
        if to_server.send(framed).await.is_err() {
            // What the target had to say may still be read.
            std::future::pending::<()>().await;
        }
    }
    Ended::Broken
}

async fn down(
    from_server: &mut (impl Stream<Item = Result<Framed, tungstenite::Error>> + Unpin),
    sender: &mut WebSocketSender,
) -> Ended {
    while let Some(Ok(framed)) = from_server.next().await {
        let message = match framed {
            Framed::Binary(data) => Message::Binary(data),
            Framed::Text(text) => match ByteString::try_from(Bytes::from(text)) {
                Ok(text) => Message::Text(text),
                Err(_) => return Ended::Broken,
            },
            Framed::Close(frame) => return Ended::Server(frame),
            Framed::Ping(_) | Framed::Pong(_) | Framed::Frame(_) => continue,
        };
        if let Err(Closed) = sender.send(message).await {
            // How it ended comes out of the other direction.
            std::future::pending::<()>().await;
        }
    }
    Ended::Broken
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;
    use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Opening, Response};

    use super::*;

    /// A target that chooses this sub-protocol, if any, and sends all messages of one WebSocket back; and what it was
    /// asked.
    async fn target(chosen: Option<&'static str>) -> (WebSocketProxy, oneshot::Receiver<Request<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let (asked, asking) = oneshot::channel();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            #[allow(clippy::result_large_err)]
            let answer = move |opening: &Opening, mut response: Response| {
                asked.send(opening.clone()).unwrap();
                if let Some(chosen) = chosen {
                    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
                }
                Ok::<_, ErrorResponse>(response)
            };
            let mut socket = tokio_tungstenite::accept_hdr_async(stream, answer).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() || message.is_binary() {
                    socket.send(message).await.unwrap();
                }
            }
        });
        (WebSocketProxy::new(Arc::new(url.parse().unwrap())), asking)
    }

    fn opening() -> Request<()> {
        Request::get("/chat?room=1")
            .header("host", "client.example")
            .header("cookie", "a=1")
            .header("connection", "x-secret")
            .header("x-secret", "1")
            .header("sec-websocket-protocol", "chat, rivet")
            .body(())
            .unwrap()
    }

    #[tokio::test]
    async fn the_target_is_asked_for_the_subprotocol_that_the_client_is_given() {
        let (proxy, asking) = target(Some("rivet")).await;
        proxy.dial(&opening()).await.unwrap();
        let asked = asking.await.unwrap();
        assert_eq!(asked.uri(), "/base/chat?room=1");
        assert_eq!(asked.headers()["sec-websocket-protocol"], "rivet");
        assert_eq!(asked.headers()["cookie"], "a=1");
        assert_eq!(asked.headers()["host"], proxy.target.uri("/").unwrap().authority().unwrap().as_str());
        assert!(!asked.headers().contains_key("x-secret"));
    }

    #[tokio::test]
    async fn messages_pass_in_both_directions() {
        let (proxy, _asking) = target(None).await;
        let mut socket = proxy.dial(&opening()).await.unwrap();
        for message in [Framed::text("text"), Framed::binary(vec![7; 1024 * 1024]), Framed::text("")] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
    }

    #[tokio::test]
    async fn a_target_that_chooses_what_was_not_offered_is_not_believed() {
        let (proxy, _asking) = target(Some("chat")).await;
        assert!(matches!(proxy.dial(&opening()).await, Err(DialError::Answer(_))));
    }

    #[tokio::test]
    async fn a_target_that_takes_no_websockets_says_its_status() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, axum::Router::new()).await });
        let error = WebSocketProxy::new(Arc::new(url.parse().unwrap())).dial(&opening()).await.unwrap_err();
        assert_eq!(error.to_string(), "it answered 404 Not Found");
    }
}
