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

use super::{client, end_to_end};
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
            *answer.headers_mut() = end_to_end(answer.headers());
            Ok(answer)
        })
    }
}

/// The request as the target gets it. Its `host` is the target's own; the client's is in `x-forwarded-host`.
fn onward<B>(target: &Target, request: Request<B>) -> Result<Request<B>, http::Error> {
    let (head, body) = request.into_parts();
    let uri = target.uri(head.uri.path_and_query().map_or("/", |path| path.as_str()))?;
    let mut headers = end_to_end(&head.headers);
    headers.remove(header::HOST);
    let mut onward = Request::new(body);
    *onward.method_mut() = head.method;
    *onward.uri_mut() = uri;
    *onward.version_mut() = Version::HTTP_11;
    *onward.headers_mut() = headers;
    Ok(onward)
}
