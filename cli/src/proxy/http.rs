//! Requests, passed on as they stream.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client, connect::HttpConnector};
use thiserror::Error;
use tower_service::Service;

use super::{client, end_to_end, name_actor};
use crate::url::Target;

/// Passes each request on to the target, and its answer back. Neither body is gathered: a piece goes on when the other
/// side takes it. Dropping an answer, or the wait for it, breaks the request off at the target.
pub(crate) struct HttpProxy<B> {
    target: Arc<Target>,
    client: Client<HttpConnector, B>,
}

impl<B> Clone for HttpProxy<B> {
    fn clone(&self) -> Self {
        HttpProxy { target: self.target.clone(), client: self.client.clone() }
    }
}

/// The target did not answer.
#[derive(Debug, Error)]
pub(crate) enum ProxyError {
    #[error("the path does not fit behind the target's")]
    Path(#[source] http::Error),
    #[error("{target}: {}", innermost(.source))]
    Target { target: Arc<Target>, source: legacy::Error },
}

/// What is at the bottom of an error: `Connection refused`, say.
fn innermost(error: &dyn StdError) -> &dyn StdError {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

impl<B> HttpProxy<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    pub(crate) fn new(target: Arc<Target>) -> Self {
        HttpProxy { target, client: client() }
    }
}

impl<B> Service<Request<B>> for HttpProxy<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<Incoming>;
    type Error = ProxyError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, ProxyError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let target = self.target.clone();
        let request = match onward(&target, request) {
            Ok(request) => request,
            Err(error) => return Box::pin(async { Err(ProxyError::Path(error)) }),
        };
        let answer = self.client.request(request);
        Box::pin(async move {
            let mut answer = answer.await.map_err(|source| ProxyError::Target { target, source })?;
            *answer.headers_mut() = end_to_end(std::mem::take(answer.headers_mut()));
            Ok(answer)
        })
    }
}

/// The request as the target gets it. Its `host` is the target's own; the client's is in `x-forwarded-host`, and the
/// actor that it is for in `x-underpass-actor`.
fn onward<B>(target: &Target, request: Request<B>) -> Result<Request<B>, http::Error> {
    let (head, body) = request.into_parts();
    let uri = target.uri(head.uri.path_and_query().map_or("/", |path| path.as_str()))?;
    let mut headers = end_to_end(head.headers);
    headers.remove(header::HOST);
    name_actor(&mut headers, &head.extensions);
    let mut onward = Request::new(body);
    *onward.method_mut() = head.method;
    *onward.uri_mut() = uri;
    *onward.version_mut() = Version::HTTP_11;
    *onward.headers_mut() = headers;
    Ok(onward)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;
    use std::time::Duration;

    use axum::Router;
    use axum::extract::Request as Received;
    use axum::response::{AppendHeaders, IntoResponse};
    use axum::routing::{any, get};
    use bytes::Bytes;
    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, Empty, StreamBody};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    /// Longer than anything here should take.
    const SOON: Duration = Duration::from_secs(5);

    async fn target(router: Router) -> Arc<Target> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Arc::new(format!("http://{address}/base").parse().unwrap())
    }

    async fn answer<B>(target: &Arc<Target>, request: Request<B>) -> Result<Response<Incoming>, ProxyError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        timeout(SOON, HttpProxy::new(target.clone()).call(request)).await.expect("an answer")
    }

    fn get_request(path: &str) -> Request<Empty<Bytes>> {
        Request::get(path).body(Empty::new()).unwrap()
    }

    #[tokio::test]
    async fn the_target_sees_the_request_less_what_concerns_one_hop() {
        async fn describe(request: Received) -> String {
            let mut lines = vec![format!("{} {}", request.method(), request.uri())];
            lines.extend(request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
            lines.sort();
            lines.join("\n")
        }
        let target = target(Router::new().route("/base/{*rest}", any(describe))).await;
        let request = Request::builder()
            .method("PURGE")
            .uri("/a%20b/c?d=e")
            .header("host", "client.example")
            .header("x-forwarded-host", "client.example")
            .header("connection", "x-secret")
            .header("x-secret", "1")
            .header("te", "trailers")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let body = answer(&target, request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let host = target.uri("/").unwrap().authority().unwrap().clone();
        let expected = format!("PURGE /base/a%20b/c?d=e\nhost: {host}\nx-forwarded-host: client.example");
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn the_answer_comes_less_what_concerns_one_hop() {
        async fn reply() -> impl IntoResponse {
            let fields = [("set-cookie", "a=1"), ("connection", "x-secret"), ("x-secret", "1"), ("set-cookie", "b=2")];
            (AppendHeaders(fields), "reply")
        }
        let target = target(Router::new().route("/base/", get(reply))).await;
        let answer = answer(&target, get_request("/")).await.unwrap();
        let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert!(!answer.headers().contains_key("connection") && !answer.headers().contains_key("x-secret"));
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "reply");
    }

    #[tokio::test]
    async fn bodies_stream_both_ways_piece_by_piece() {
        let echo = any(async |request: Received| request.into_body());
        let target = target(Router::new().route("/base/echo", echo)).await;
        let (pieces, body) = mpsc::channel::<Bytes>(1);
        let body = Box::pin(stream::unfold(body, async |mut body| body.recv().await.map(|piece| (piece, body))));
        let body = StreamBody::new(body.map(|piece| Ok::<_, Infallible>(http_body::Frame::data(piece))));
        let mut answer = answer(&target, Request::post("/echo").body(body).unwrap()).await.unwrap();
        for piece in ["one", "two", "three"] {
            pieces.send(piece.into()).await.unwrap();
            let frame = timeout(SOON, answer.frame()).await.expect("before the next is sent").unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
        }
        drop(pieces);
        assert!(answer.frame().await.is_none());
    }

    #[tokio::test]
    async fn dropping_an_answer_breaks_the_request_off_at_the_target() {
        let (alive, mut dropped) = mpsc::channel::<()>(1);
        let alive = Arc::new(Mutex::new(Some(alive)));
        let endless = async move || {
            let piece = async |alive| Some((Ok::<_, Infallible>(Bytes::from(vec![0; 1024])), alive));
            axum::body::Body::from_stream(stream::unfold(alive.lock().unwrap().take(), piece))
        };
        let target = target(Router::new().route("/base/", get(endless))).await;
        let mut answer = answer(&target, get_request("/")).await.unwrap();
        assert!(answer.frame().await.unwrap().is_ok());
        assert!(timeout(Duration::from_millis(50), dropped.recv()).await.is_err());
        drop(answer);
        assert_eq!(timeout(SOON, dropped.recv()).await.expect("the body is dropped"), None);
    }

    #[tokio::test]
    async fn a_target_that_is_away_is_an_error_that_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = answer(&Arc::new(url.parse().unwrap()), get_request("/")).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{url}: Connection refused")), "{error}");
    }
}
