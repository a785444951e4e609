//! `/echo` and `/ws`: back comes what was sent.

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use underpass_transport_ws::runner::{Incoming, Pending, WebSocketHandler};

/// Streams the request's body back, whatever the method.
pub(super) async fn echo(request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let octets = HeaderValue::from_static("application/octet-stream");
    let content_type = head.headers.get(header::CONTENT_TYPE).cloned().unwrap_or(octets);
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Sends each message of a WebSocket to `/ws` back, and its close. Refuses WebSockets to elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EchoWebSocket;

impl WebSocketHandler for EchoWebSocket {
    async fn open(&self, request: http::Request<()>, pending: Pending) {
        if request.uri().path() != "/ws" {
            return;
        }
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
