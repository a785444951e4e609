//! HTTP with bodies that both ends look at.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use tokio::time::sleep;
use underpass_fleet::pattern::{Check, Pattern, scramble};
use underpass_fleet::{LENGTH, POOL, REQUEST, THINK, WORK};

use super::connection::{Answer, Body, Connection, code};
use super::{Client, Trouble, World};
use crate::ledger::Kind;

/// A piece of a body that is streamed, bytes, and what lies between two of them.
const PIECE: u64 = 16 * 1024;
const PIECE_EVERY: Duration = Duration::from_millis(5);

/// What a request is to be, by its number.
#[derive(Clone, Debug)]
struct Plan {
    number: u64,
    method: Method,
    path: &'static str,
    length: u64,
    think: u64,
}

impl Plan {
    fn request(&self, body: Body) -> Request<Body> {
        let Plan { number, method, path, length, think } = self;
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = http::Uri::from_static(path);
        let fields = request.headers_mut();
        fields.insert("host", http::HeaderValue::from_static("fleet"));
        fields.insert(POOL, http::HeaderValue::from_static(WORK));
        for (name, value) in [(REQUEST, number), (LENGTH, length), (THINK, think)] {
            fields.insert(name, (*value).into());
        }
        request
    }

    fn sends(&self) -> bool {
        self.method != Method::GET
    }

    /// Reads the answer to its end.
    async fn read(&self, mut answer: Answer) -> Result<Connection, Trouble> {
        if let Some(code) = code(answer.response.headers()) {
            return Err(answer.failed(code).into());
        }
        if !answer.response.status().is_success() {
            return Err(Trouble::Wrong(format!("{} from nobody", answer.response.status())));
        }
        let mut check = Check::of(Pattern::answered(self.number));
        while let Some(frame) = answer.response.frame().await {
            let frame = frame.map_err(|_| answer.failed("broken off"))?;
            check.next(frame.data_ref().map_or(&[], |piece| &piece[..])).map_err(Trouble::Wrong)?;
        }
        check.end(self.length).map_err(Trouble::Wrong)?;
        Ok(answer.connection)
    }
}

fn empty() -> Body {
    Empty::new().boxed_unsync()
}

/// Bodies that travel whole.
pub(super) struct Whole {
    world: Arc<World>,
    kept: Option<Connection>,
}

impl Whole {
    pub(super) fn new(world: Arc<World>) -> Self {
        Whole { world, kept: None }
    }

    fn plan(&self, number: u64) -> Plan {
        let random = scramble(number);
        let methods = [Method::GET, Method::POST, Method::PUT];
        let largest = self.world.traffic.whole as u64;
        let most = if random.is_multiple_of(8) { largest } else { largest / 64 };
        Plan {
            number,
            method: methods[(random >> 8) as usize % methods.len()].clone(),
            path: "/whole",
            length: (random >> 16) % most + 1,
            think: if (random >> 4).is_multiple_of(10) { 400 } else { 5 },
        }
    }
}

impl Client for Whole {
    const KIND: Kind = Kind::Whole;
    const PACE: Duration = Duration::from_millis(50);

    async fn act(&mut self, number: u64) -> Result<(), Trouble> {
        let plan = self.plan(number);
        let body = Pattern::asked(number).piece(0, if plan.sends() { plan.length as usize } else { 0 });
        let request = || match plan.sends() {
            true => plan.request(Full::new(body.clone()).boxed_unsync()),
            false => plan.request(empty()),
        };
        let answer = self.world.send(&mut self.kept, request).await?;
        self.kept = Some(plan.read(answer).await?);
        Ok(())
    }
}

/// Bodies that are streamed: each piece is answered when it has come.
pub(super) struct Streamed {
    world: Arc<World>,
}

impl Streamed {
    pub(super) fn new(world: Arc<World>) -> Self {
        Streamed { world }
    }

    fn plan(&self, number: u64) -> Plan {
        let random = scramble(number);
        Plan {
            number,
            method: if random.is_multiple_of(4) { Method::GET } else { Method::POST },
            path: "/stream",
            length: (random >> 16) % self.world.traffic.streamed + 1,
            think: 0,
        }
    }
}

impl Client for Streamed {
    const KIND: Kind = Kind::Streamed;
    const PACE: Duration = Duration::from_millis(100);

    async fn act(&mut self, number: u64) -> Result<(), Trouble> {
        let plan = self.plan(number);
        let request = || plan.request(if plan.sends() { pieces(number, plan.length) } else { empty() });
        let answer = self.world.send(&mut None, request).await?;
        plan.read(answer).await?;
        Ok(())
    }
}

fn pieces(number: u64, length: u64) -> Body {
    let pieces = stream::unfold(0, move |from| async move {
        let piece = PIECE.min(length - from);
        sleep(PIECE_EVERY).await;
        let next = || Ok::<_, Infallible>(Frame::<Bytes>::data(Pattern::asked(number).piece(from, piece as usize)));
        (piece > 0).then(|| (next(), from + piece))
    });
    StreamBody::new(pieces).boxed_unsync()
}
