//! The clients: each sends one request behind the other on a connection that it keeps.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::Failure;
use crate::plan::Plan;
use crate::target::{PIECES, piece};

/// How long an answer may take, which should never be long.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// After what time a client that leaves early does.
const PATIENCE: Duration = Duration::from_millis(2);

/// How requests ended: how many each way, those apart that client or handler were to break off.
pub(crate) type Ends = BTreeMap<(bool, String), u64>;

/// What is sent.
pub(crate) struct Load {
    pub(crate) gateway: SocketAddr,
    pub(crate) seed: u64,
    /// How many were begun.
    pub(crate) begun: AtomicU64,
}

impl Load {
    /// Sends until so many have been begun, with so many clients, and waits for all of them.
    pub(crate) async fn send(self: &Arc<Self>, until: u64, clients: usize) -> Result<Ends, Failure> {
        let mut working = JoinSet::new();
        for _ in 0..clients {
            let load = self.clone();
            working.spawn(async move { load.client(until).await });
        }
        let mut ends = Ends::new();
        while let Some(ended) = working.join_next().await {
            for (end, count) in ended?? {
                *ends.entry(end).or_default() += count;
            }
        }
        Ok(ends)
    }

    async fn client(&self, until: u64) -> Result<Ends, Failure> {
        let mut ends = Ends::new();
        let mut kept: Option<Connection> = None;
        loop {
            let next = |begun: u64| (begun < until).then_some(begun + 1);
            let Ok(number) = self.begun.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) else { break };
            let plan = Plan::of(self.seed, number);
            let mut connection = match kept.take() {
                Some(connection) if !connection.sender.is_closed() => connection,
                Some(_) | None => Connection::open(self.gateway).await?,
            };
            let end = timeout(ANSWERED_WITHIN, connection.request(plan, number));
            let end = end.await.map_err(|_| format!("request {number} ({plan:?}) has no end"))??;
            *ends.entry((plan.breaks_off(), end.to_string())).or_default() += 1;
            if end.keeps_the_connection() {
                kept = Some(connection);
            }
        }
        Ok(ends)
    }
}

/// How a request ended for its client.
enum End {
    Answered,
    GivenUp,
    BrokenOff,
    Failed(String),
}

impl End {
    fn keeps_the_connection(&self) -> bool {
        match self {
            End::Answered | End::Failed(_) => true,
            End::GivenUp | End::BrokenOff => false,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Answered => f.write_str("answered"),
            End::GivenUp => f.write_str("given up by the client"),
            End::BrokenOff => f.write_str("broken off"),
            End::Failed(code) => write!(f, "failed: {code}"),
        }
    }
}

/// A connection to the gateway; dropping it cuts it.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    async fn open(gateway: SocketAddr) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(gateway).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // How it ends is seen at its requests.
        let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Connection { sender, task })
    }

    async fn request(&mut self, plan: Plan, number: u64) -> Result<End, Failure> {
        let (method, body) = match plan {
            Plan::Post => ("POST", number.to_string().into()),
            _ => ("GET", Bytes::new()),
        };
        let path = format!("/{}/{number}", plan.path());
        let request = Request::builder().method(method).uri(path).header("host", "soak").body(Full::new(body))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request);
        let patience = if plan == Plan::ClientLeavesEarly { PATIENCE } else { ANSWERED_WITHIN };
        let mut answer = match timeout(patience, answer).await {
            Ok(Ok(answer)) => answer,
            // What breaks off at once may leave no time for a head.
            Ok(Err(error)) if error.is_incomplete_message() => return Ok(End::BrokenOff),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) if plan == Plan::ClientLeavesEarly => return Ok(End::GivenUp),
            Err(_) => return Err(format!("request {number} ({plan:?}) has no answer").into()),
        };
        if answer.headers().contains_key("x-underpass-error") {
            let end = failed(&answer)?;
            answer.into_body().collect().await?;
            return Ok(end);
        }
        if plan == Plan::ClientLeavesLate {
            return Ok(match answer.frame().await {
                Some(Ok(_)) => End::GivenUp,
                Some(Err(_)) | None => End::BrokenOff,
            });
        }
        let Ok(body) = answer.into_body().collect().await else { return Ok(End::BrokenOff) };
        let number = number.to_string();
        let right = match plan {
            Plan::Large => (0..PIECES).flat_map(|place| piece(&number, place)).collect(),
            _ => number.clone().into_bytes(),
        };
        if body.to_bytes() != right {
            return Err(format!("the answer of request {number} ({plan:?}) is not its own").into());
        }
        Ok(End::Answered)
    }
}

fn failed(answer: &Response<Incoming>) -> Result<End, Failure> {
    let code = answer.headers().get("x-underpass-error").ok_or("an answer where none should be")?;
    Ok(End::Failed(code.to_str()?.to_owned()))
}
