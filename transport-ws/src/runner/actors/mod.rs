//! Actors with state: what starts them, and what they do while they live.

mod context;
mod life;
mod lives;
mod store;

use std::fmt;
use std::future::Future;

use bytes::Bytes;

use super::body::Body;
use super::hibernating::SleepingSocket;
use super::websocket::Pending;

pub use context::ActorContext;
pub use store::{Kv, KvError};

pub(super) use life::{Work, live};
pub(super) use lives::{Lives, Phase};

/// Starts actors.
///
/// An actor is wanted when something comes for it, or when its [alarm](ActorContext::set_alarm) is due. Then it is
/// started on one runner of its pool, where it lives until it sleeps, crashes or must move. What it is to know in its
/// next life it keeps in its [store](ActorContext::kv).
///
/// ```no_run
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use underpass_transport_ws::runner::{
///     ActorContext, ActorHandler, Body, Config, Host, KvError, Runner, SleepingSocket,
/// };
///
/// /// Counts its visits.
/// struct Visits(ActorContext);
///
/// impl ActorHandler for Visits {
///     type Body = String;
///     type Error = KvError;
///
///     async fn request(&self, _: Request<Body>) -> Result<Response<String>, KvError> {
///         let kept = self.0.kv().get("visits").await?;
///         let visits = kept.and_then(|kept| kept[..].try_into().ok()).map_or(1, |kept| u64::from_be_bytes(kept) + 1);
///         self.0.kv().put("visits", visits.to_be_bytes()).await?;
///         Ok(Response::new(format!("{} was visited {visits} times\n", self.0.id())))
///     }
/// }
///
/// struct VisitsHost;
///
/// impl Host for VisitsHost {
///     type Actor = Visits;
///     type Error = Infallible;
///
///     async fn start(&self, actor: ActorContext, _: Vec<SleepingSocket>) -> Result<Visits, Infallible> {
///         Ok(Visits(actor))
///     }
/// }
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let mut config = Config { relay_urls: vec!["ws://127.0.0.1:8081".into()], ..Config::default() };
/// config.runner.name = "visits".into();
/// config.runner.total_slots = 1_000;
/// let runner = Runner::host(config, VisitsHost)?;
/// println!("{:?}", runner.stopped().await);
/// # Ok(())
/// # }
/// ```
pub trait Host: Send + Sync + 'static {
    /// An actor that has started.
    type Actor: ActorHandler;
    /// Why one could not be started.
    type Error: fmt::Display;

    /// Starts an actor. What comes for it comes when this has returned.
    ///
    /// `sockets` are its clients' WebSockets that slept. Those that it goes on with are to be
    /// [restored](SleepingSocket::restore) here, and served by tasks of their own ([`ActorContext::spawn`]); all others
    /// are closed.
    ///
    /// An actor that fails to start, or panics, is started again a while later if it is still wanted, and its WebSockets
    /// sleep on. If it must stop before it has started, this future is dropped.
    fn start(
        &self,
        actor: ActorContext,
        sockets: Vec<SleepingSocket>,
    ) -> impl Future<Output = Result<Self::Actor, Self::Error>> + Send;
}

/// An actor, as long as it lives.
///
/// All that it does is done by tasks of its own: one for each request and each WebSocket, and those that it
/// [spawns](ActorContext::spawn). They end with it. If one of them panics, the actor has crashed: all others are
/// dropped, its WebSockets sleep if they can, and it is started again a while later if something wants it. The client of
/// the request that the panic was in gets a 502, and a WebSocket that it was in is closed with the code 1011, so that
/// what cannot be handled does not come again and again.
pub trait ActorHandler: Send + Sync + 'static {
    /// The body of its answers.
    type Body: http_body::Body<Data = Bytes, Error: fmt::Display> + Send + 'static;
    /// Why it gave no answer: its client gets a 502.
    type Error: fmt::Display;

    /// Answers a request. When its client goes away, or the actor is told to stop, the future is dropped, or the body of
    /// the answer. A tower service, such as an axum `Router`, is called as `self.router.clone().call(request).await`.
    fn request(
        &self,
        request: http::Request<Body>,
    ) -> impl Future<Output = Result<http::Response<Self::Body>, Self::Error>> + Send;

    /// A client opens a WebSocket: path and header fields in `request`. The client is answered once the socket is
    /// [accepted](Pending::accept_hibernating), or refused; it is refused if this does nothing else. One that is accepted
    /// [without hibernating](Pending::accept) is closed with the code 1001 when the actor stops.
    fn websocket(&self, request: http::Request<()>, socket: Pending) -> impl Future<Output = ()> + Send {
        drop((request, socket));
        async {}
    }

    /// The actor is told to stop. Nothing comes for it any more; its WebSockets sleep or are closed, and have heard so.
    /// Its store can still be used. When this has returned, tasks that still run are dropped.
    fn stop(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}
