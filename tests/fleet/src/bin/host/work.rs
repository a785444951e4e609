//! What keeps nothing: it answers a request with the bytes that belong to it, and looks at those that came.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tower_service::Service;
use underpass_core::http::Message;
use underpass_fleet::note::{Note, Notebook};
use underpass_fleet::pattern::{Check, Pattern};
use underpass_fleet::{LENGTH, REQUEST, THINK};
use underpass_transport_ws::runner::{Body, BodyError, Incoming, Pending, WebSocketHandler};

/// The largest piece of an answer that is streamed.
const PIECE: u64 = 16 * 1024;

type Answer = Response<UnsyncBoxBody<Bytes, BodyError>>;

/// What a request says of itself.
pub(crate) fn field<T: FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Answers `/whole` when all has come, and `/stream` byte for byte as it comes.
#[derive(Clone)]
pub(crate) struct Work(pub(crate) Arc<Notebook>);

impl Service<Request<Body>> for Work {
    type Response = Answer;
    type Error = BodyError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BodyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let notebook = self.0.clone();
        Box::pin(async move {
            let headers = request.headers();
            let (number, length) = (field(headers, REQUEST), field(headers, LENGTH));
            let (Some(number), Some(length)) = (number, length) else { return Ok(refusal()) };
            notebook.write(&Note::Began { request: number, once: request.method() == Method::POST });
            tokio::time::sleep(Duration::from_millis(field(headers, THINK).unwrap_or(0))).await;
            let streams = request.uri().path() == "/stream";
            let asked = Asked { notebook, number, length, check: Check::of(Pattern::asked(number)) };
            let body = request.into_body();
            if streams { Ok(Response::new(asked.streamed(body))) } else { asked.whole(body).await }
        })
    }
}

fn refusal() -> Answer {
    let mut response = Response::new(Full::default().map_err(|never: Infallible| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// A request's body, looked at as it comes.
struct Asked {
    notebook: Arc<Notebook>,
    number: u64,
    length: u64,
    check: Check,
}

impl Asked {
    async fn whole(mut self, body: Body) -> Result<Answer, BodyError> {
        let body = body.collect().await?.to_bytes();
        if !body.is_empty() {
            self.came(&body);
            self.ended();
        }
        let answer = Pattern::answered(self.number).piece(0, self.length as usize);
        Ok(Response::new(Full::new(answer).map_err(|never| match never {}).boxed_unsync()))
    }

    /// So much is answered as has come, or at once where nothing comes.
    fn streamed(self, body: Body) -> UnsyncBoxBody<Bytes, BodyError> {
        if hyper::body::Body::is_end_stream(&body) {
            let (pattern, length) = (Pattern::answered(self.number), self.length);
            let pieces = stream::unfold(0, move |from| async move {
                let piece = PIECE.min(length - from);
                tokio::time::sleep(Duration::from_millis(2)).await;
                (piece > 0).then(|| (Ok(Frame::data(pattern.piece(from, piece as usize))), from + piece))
            });
            return StreamBody::new(pieces).boxed_unsync();
        }
        let pieces = stream::unfold((self, body), |(mut asked, mut body)| async {
            let piece = match body.frame().await {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(broken)) => return Some((Err(broken), (asked, body))),
                None => {
                    asked.ended();
                    return None;
                }
            };
            let from = asked.check.came();
            asked.came(&piece);
            let answer = Pattern::answered(asked.number).piece(from, piece.len());
            Some((Ok(Frame::data(answer)), (asked, body)))
        });
        StreamBody::new(pieces).boxed_unsync()
    }

    fn came(&mut self, piece: &[u8]) {
        if let Err(wrong) = self.check.next(piece) {
            self.wrong(&wrong);
        }
    }

    fn ended(&self) {
        if let Err(wrong) = self.check.end(self.length) {
            self.wrong(&wrong);
        }
    }

    fn wrong(&self, wrong: &str) {
        self.notebook.write(&Note::Wrong(format!("the body of the request {}: {wrong}", self.number)));
    }
}

/// Answers each message of a WebSocket with as many bytes of the answer as it has.
#[derive(Clone)]
pub(crate) struct Echo(pub(crate) Arc<Notebook>);

impl WebSocketHandler for Echo {
    async fn open(&self, request: Request<()>, socket: Pending) {
        let Some(number) = field(request.headers(), REQUEST) else { return };
        self.0.write(&Note::Began { request: number, once: false });
        let mut socket = socket.accept();
        let mut check = Check::of(Pattern::asked(number));
        while let Some(Incoming::Message(message)) = socket.receive().await {
            let Message::Binary(bytes) = message else { return };
            let from = check.came();
            if let Err(wrong) = check.next(&bytes) {
                self.0.write(&Note::Wrong(format!("a message of the WebSocket {number}: {wrong}")));
            }
            let answer = Pattern::answered(number).piece(from, bytes.len());
            if socket.send(Message::Binary(answer)).await.is_err() {
                return;
            }
        }
    }
}
