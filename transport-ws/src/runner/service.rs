//! A service and a handler of WebSockets that serve all actors, as those keep nothing.

use std::fmt;
use std::future::poll_fn;

use bytes::Bytes;
use tower_service::Service;

use super::actors::{ActorContext, Work};
use super::body::Body;
use super::hibernating::SleepingSocket;
use super::outlets::Handlers;
use super::request;
use super::websocket::WebSocketHandler;
use crate::driver::Task;
use crate::queue::Receiver;

/// The user's service and the user's handler of WebSockets.
pub(super) struct Serving<S, W> {
    pub(super) service: S,
    pub(super) websockets: W,
    pub(super) max_chunk: usize,
}

impl<S, B, W> Handlers for Serving<S, W>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: fmt::Display,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
    W: WebSocketHandler,
{
    fn work(&mut self, work: Work) -> Task {
        match work {
            Work::Request { arrival, body, answering } => {
                let (service, max_chunk) = (self.service.clone(), self.max_chunk);
                Box::pin(request::answer(|request| call(service, request), arrival, body, answering, max_chunk))
            }
            Work::WebSocket { arrival, socket } => {
                let websockets = self.websockets.clone();
                Box::pin(async move {
                    socket.be_opened(arrival, |request, socket| websockets.open(request, socket)).await;
                })
            }
            Work::Task(task) => task,
            Work::Stop | Work::Crash(_) => Box::pin(async {}),
        }
    }

    fn live(&mut self, actor: ActorContext, _: Vec<SleepingSocket>, _: Receiver<Work>) -> Task {
        Box::pin(async move { actor.has_stopped(Some("this runner's actors keep nothing".to_owned())) })
    }
}

async fn call<S, B>(mut service: S, request: http::Request<Body>) -> Result<http::Response<B>, String>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    S::Error: fmt::Display,
{
    let failed = |error| format!("a service failed: {error}");
    poll_fn(|context| service.poll_ready(context)).await.map_err(failed)?;
    service.call(request).await.map_err(failed)
}
