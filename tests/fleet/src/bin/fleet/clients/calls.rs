//! HTTP to an actor that counts its calls.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Empty};
use underpass_fleet::pattern::scramble;
use underpass_fleet::{COUNTERS, POOL, REQUEST};

use super::connection::{Connection, code};
use super::{Client, Trouble, World};
use crate::clients::sleeper::actor_of;
use crate::ledger::Kind;

/// The only client of its actor.
pub(super) struct Calls {
    world: Arc<World>,
    place: usize,
    kept: Option<Connection>,
    /// How often the actor was called, as far as it said.
    known: u64,
    /// How many calls failed since, which it may have counted.
    unknown: u64,
}

impl Calls {
    pub(super) fn new(world: Arc<World>, place: usize) -> Self {
        Calls { world, place, kept: None, known: 0, unknown: 0 }
    }

    async fn ask(&mut self, number: u64, method: &Method, path: &str) -> Result<String, Trouble> {
        let request = || {
            let mut request = Request::new(Empty::new().boxed_unsync());
            *request.method_mut() = method.clone();
            *request.uri_mut() = path.parse().unwrap_or_default();
            let fields = request.headers_mut();
            fields.insert("host", HeaderValue::from_static("fleet"));
            fields.insert(POOL, HeaderValue::from_static(COUNTERS));
            fields.insert(REQUEST, number.into());
            request
        };
        let mut answer = self.world.send(&mut self.kept, request).await?;
        if let Some(code) = code(answer.response.headers()) {
            return Err(answer.failed(code).into());
        }
        let body = answer.response.body_mut().collect().await.map_err(|_| answer.failed("broken off"))?;
        self.kept = Some(answer.connection);
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }

    /// What the actor says, which must be within what it can be.
    fn count(&mut self, said: &str, calls: u64) -> Result<(), Trouble> {
        let (least, most) = (self.known + calls, self.known + calls + self.unknown);
        match said.parse() {
            Ok(count) if (least..=most).contains(&count) => {
                self.unknown -= count - least;
                self.known = count;
                Ok(())
            }
            _ => Err(Trouble::Wrong(format!("the actor counts {said:?}, which should be from {least} to {most}"))),
        }
    }
}

impl Client for Calls {
    const KIND: Kind = Kind::Calls;
    const PACE: Duration = Duration::from_millis(100);

    async fn act(&mut self, number: u64) -> Result<(), Trouble> {
        let path = format!("/gateway/calls-{}/", self.place);
        let random = scramble(number);
        if random.is_multiple_of(32) {
            // Whoever has a WebSocket there does not notice.
            let asleep = format!("/gateway/{}/sleep", actor_of((random >> 8) as usize));
            self.ask(number, &Method::POST, &asleep).await?;
        } else if random.is_multiple_of(4) {
            let said = self.ask(number, &Method::GET, &path).await?;
            self.count(&said, 0)?;
        } else {
            match self.ask(number, &Method::POST, &path).await {
                Ok(said) => self.count(&said, 1)?,
                Err(trouble) => {
                    self.unknown += 1;
                    return Err(trouble);
                }
            }
        }
        Ok(())
    }
}
