//! The server behind the tunnel: it answers as it is asked, or breaks off.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The pieces of a large answer.
pub(crate) const PIECES: usize = 8;

/// What each of them has behind the request's number, bytes.
pub(crate) const PIECE: usize = 8 * 1024;

/// Between the pieces of an answer without an end, and before the end of one that breaks off.
const PAUSE: Duration = Duration::from_millis(2);

type Body = BoxBody<Bytes, io::Error>;

/// A listening server; it ends when this is dropped.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    posts: Posts,
    _serving: JoinSet<()>,
}

/// How often each POST came, by its number.
type Posts = Arc<Mutex<HashMap<String, u32>>>;

impl Target {
    pub(crate) async fn listen() -> io::Result<Target> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let posts = Posts::default();
        let seen = posts.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // An option of a connection that has ended already.
                let _ = stream.set_nodelay(true);
                let seen = seen.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| answer(request, &seen));
                    // Handlers that fail end their connection so.
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Target { address, posts, _serving: serving })
    }

    /// How many POSTs came more than once.
    pub(crate) fn posts_given_twice(&self) -> usize {
        lock(&self.posts).values().filter(|count| **count > 1).count()
    }
}

/// The piece number `place` of a large answer.
pub(crate) fn piece(number: &str, place: usize) -> Bytes {
    let mut piece = format!("{number}.{place}.").into_bytes();
    piece.resize(piece.len() + PIECE, b'x');
    piece.into()
}

fn lock(posts: &Mutex<HashMap<String, u32>>) -> MutexGuard<'_, HashMap<String, u32>> {
    posts.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(request: Request<Incoming>, posts: &Mutex<HashMap<String, u32>>) -> io::Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    let (kind, number) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    if request.method() == Method::POST {
        *lock(posts).entry(number.to_owned()).or_default() += 1;
    }
    let sent = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let number = number.to_owned();
    let pieces = {
        let number = number.clone();
        stream::iter(0..).map(move |place| Ok(piece(&number, place)))
    };
    let body = match kind {
        "short" => whole(if sent.is_empty() { number.into() } else { sent }),
        "large" => streamed(pieces.take(PIECES)),
        "never" => std::future::pending().await,
        "endless" => streamed(pieces.then(|piece| async {
            tokio::time::sleep(PAUSE).await;
            piece
        })),
        "half" => {
            // Behind a pause, so that the pieces have left before.
            let end = stream::once(tokio::time::sleep(PAUSE)).map(|()| Err(broken()));
            streamed(pieces.take(PIECES / 2).chain(end))
        }
        _ => return Err(broken()),
    };
    Ok(Response::new(body))
}

fn broken() -> io::Error {
    io::Error::other("as it was planned")
}

fn whole(bytes: Bytes) -> Body {
    http_body_util::Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn streamed(pieces: impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))))
}
