//! Taking a request in, and sending it to a runner.

use super::event::{Open, OpenKind};
use super::request::{Deadline, Request, State};
use super::runners::{LinkKey, NoneReady};
use super::{Draining, Gateway, Refused};
use crate::failure::{Failure, FailureCode, RequestName};
use crate::http::{Body, RequestHead};
use crate::machine::RequestKey;
use crate::machine::flow::Inflow;
use crate::observe::News;
use crate::protocol::tunnel::to_client::{self, RequestStart, WebSocketOpen};
use crate::time::Time;

/// The methods that carry no body, not even an empty one, unless the client sent one.
fn is_bodiless(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

impl Gateway {
    /// Takes a request in.
    ///
    /// # Errors
    /// It was refused; the failure is ready to be told to the client.
    pub fn open(&mut self, open: Open, now: Time) -> Result<RequestKey, Refused> {
        self.news.begin();
        let id = self.next_request_id();
        let refuse = |gateway: &mut Self, code, message: &'static str| {
            gateway.counted.refused += 1;
            gateway.counted.failures.count(code);
            Err(Refused(Failure { code, message: message.into(), request: Some(gateway.name(id)) }))
        };
        match self.draining {
            Draining::No => {}
            Draining::Yes(_) | Draining::Done => {
                return refuse(self, FailureCode::Draining, "this gateway is going away");
            }
        }
        if open.target.actor_id.len() > self.config.max_actor_id {
            return refuse(self, FailureCode::BadTarget, "the actor's id is longer than this gateway takes");
        }
        if self.requests.len() + self.endings.len() + self.registry.leaving() >= self.config.max_requests {
            return refuse(self, FailureCode::Overloaded, "this gateway has as many requests open as it may");
        }
        if let OpenKind::Http(Body::Whole(body)) = &open.kind
            && body.len() > self.config.max_whole_body
        {
            return refuse(self, FailureCode::BodyTooLarge, "the body is larger than this gateway takes");
        }
        let kept_body = open.kind.whole_body();
        if !self.bodies.has_room(kept_body) {
            return refuse(self, FailureCode::Overloaded, "this gateway holds as many bytes of bodies as it may");
        }
        let has_room = self.waiting.len() < self.config.max_waiting;
        let link = match self.destination(&open.target, None, now) {
            Ok(link) => Ok(link),
            Err(NoneReady::NotRunning) if has_room => Err(Deadline::ActorStart),
            // A runner whose relay drains, or died, comes to another one in a moment.
            Err(NoneReady::NotReady) if has_room => Err(Deadline::Grace),
            Err(NoneReady::NotRunning | NoneReady::NotReady) => {
                return refuse(self, FailureCode::Overloaded, "as many requests wait as may");
            }
            Err(NoneReady::Absent) => return refuse(self, FailureCode::NoRunner, "no runner of the pool is there"),
            Err(NoneReady::Full) => {
                return refuse(self, FailureCode::Overloaded, "the runner has as many requests as it may");
            }
        };
        let is_head = open.head.method == "HEAD";
        let key = self.requests.insert(Request::new(id, Some(Box::new(open)), is_head));
        self.keep_body(key, kept_body);
        self.counted.opened += 1;
        self.news.push(News::Opened { request: self.name(id) });
        match link {
            Ok(link) => self.go(key, link, now),
            Err(limit) => self.wait(key, limit, now),
        }
        Ok(key)
    }

    /// Sends a request to a runner, once all of it is here that this runner needs.
    pub(super) fn go(&mut self, key: RequestKey, link: LinkKey, now: Time) {
        let abilities = self.runners.get(link).abilities;
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(open) = request.opening.take() else { return };
        if let State::Waiting(waiting) = core::mem::replace(&mut request.state, State::AwaitingResponse) {
            self.stop_waiting(&open.target, waiting);
        }
        if open.kind == OpenKind::Http(Body::Stream) && !abilities.streams {
            self.collect(key, open, now);
        } else {
            self.send_opening(key, open, link, now);
        }
    }

    /// Says so if a request is to be called otherwise from here on.
    fn tell_another_name(&mut self, key: RequestKey, again: RequestName) {
        if let Some(request) = self.request_name(key).filter(|request| *request != again) {
            self.news.push(News::SentAgain { request, again });
        }
    }

    fn send_opening(&mut self, key: RequestKey, open: Box<Open>, link: LinkKey, now: Time) {
        let id = match self.requests.get(key) {
            Some(request) if request.tries == 0 && !self.by_id.contains_key(&request.id) => request.id,
            // Late frames of where it was before must not be taken for those of where it is now.
            Some(_) => self.next_request_id(),
            None => return,
        };
        let place = self.attach(link, key, now);
        let abilities = self.runners.get(link).abilities;
        let is_kept = open.kind.is_whole_within(self.most_kept(&open.target.pool));
        if !is_kept {
            self.keep_body_no_more(key);
        }
        let name = self.name(id);
        self.tell_another_name(key, name);
        let Some(request) = self.requests.get_mut(key) else { return };
        request.id = id;
        request.place = Some(place);
        request.tries += 1;
        request.dialect = abilities.dialect;
        request.up.begin(abilities.credit);
        request.down = Inflow::new(abilities.credit, abilities.numbers);
        self.by_id.insert(id, key);
        let actor_id = open.target.actor_id.clone();
        let RequestHead { method, path, headers } = open.head.clone();
        match &open.kind {
            OpenKind::WebSocket => {
                request.opening = Some(open);
                request.state = State::AwaitingWebSocket { early: Vec::new() };
                if request.deadline.is_none() {
                    request.deadline = Some(self.deadlines.arm(Deadline::WebSocketOpen, key, now));
                }
                self.send(key, to_client::Kind::WebSocketOpen(WebSocketOpen { actor_id, path, headers }));
            }
            OpenKind::Http(body) => {
                let max_chunk = self.config.max_chunk;
                let (body, stream) = match body {
                    Body::None => (None, false),
                    Body::Whole(body) if body.is_empty() && is_bodiless(&method) => (None, false),
                    // A runner that streams gets a large body in pieces, so that credit holds for it.
                    Body::Whole(body) if body.len() > max_chunk && abilities.streams => {
                        request.up.offer_chunk(body.clone(), true, max_chunk);
                        (None, true)
                    }
                    Body::Whole(body) => (Some(body.clone()), false),
                    Body::Stream => (None, true),
                };
                if !stream {
                    request.up.end();
                }
                request.opening = is_kept.then_some(open);
                let start = RequestStart { actor_id, method, path, headers, body, stream };
                self.send(key, to_client::Kind::RequestStart(start));
                self.flush(key, now);
            }
        }
    }
}
