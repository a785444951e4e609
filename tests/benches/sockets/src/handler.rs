//! What answers, the same by hyper as behind Underpass: `/` says hello, `/count` says how many bytes came, `/echo` sends
//! them back.

use std::convert::Infallible;
use std::fmt::Debug;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower_service::Service;

/// What `/` answers.
pub(crate) const HELLO: &str = "Hello, World!";

/// The handler as a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler;

impl<B> Service<Request<B>> for Handler
where
    B: Body<Data = Bytes, Error: Debug> + Send + Unpin + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(async { Ok(answer(request).await) })
    }
}

/// Answers one request.
pub(crate) async fn answer<B>(request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes, Error: Debug> + Unpin,
{
    let (head, mut body) = request.into_parts();
    let said = match head.uri.path() {
        "/" => Bytes::from_static(HELLO.as_bytes()),
        "/count" => {
            let mut count = 0;
            while let Some(Ok(frame)) = body.frame().await {
                count += frame.data_ref().map_or(0, Bytes::len);
            }
            count.to_string().into()
        }
        "/echo" => body.collect().await.expect("the body comes whole").to_bytes(),
        _ => {
            let mut nothing = Response::new(Full::default());
            *nothing.status_mut() = StatusCode::NOT_FOUND;
            return nothing;
        }
    };
    Response::new(Full::new(said))
}
