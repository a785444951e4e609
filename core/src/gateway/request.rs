//! One request at its gateway.

use bytes::BytesMut;

use super::again::Setback;
use super::event::{Open, OpenKind};
use super::hibernation::Hibernation;
use super::runners::LinkKey;
use crate::bus::ConnectionId;
use crate::http::{Body, Message};
use crate::machine::deadline::Armed;
use crate::machine::flow::{Inflow, Outflow};
use crate::protocol::{Dialect, RequestId};
use crate::time::Time;

/// A request that is open.
#[derive(Debug)]
pub(super) struct Request {
    /// What it is called on the wire, where it was sent last.
    pub(super) id: RequestId,
    pub(super) state: State,
    /// What its client wants, as long as it may yet be sent to a runner.
    pub(super) opening: Option<Box<Open>>,
    /// Where it was sent; none while no runner has it.
    pub(super) place: Option<Place>,
    /// To how many runners it was sent.
    pub(super) tries: u32,
    /// What kept it, if anything did.
    pub(super) delay: Option<Box<Delay>>,
    /// Which words that runner's connection knows.
    pub(super) dialect: Dialect,
    /// Toward the runner.
    pub(super) up: Outflow,
    /// Toward the client.
    pub(super) down: Inflow,
    /// Until the answer begins, or the WebSocket is taken, or its close overtakes what is in front of it.
    pub(super) deadline: Option<Armed>,
    /// Of one with a body in pieces.
    pub(super) pieces: Option<Box<Pieces>>,
    /// Bytes of its whole body that are collected or kept.
    pub(super) kept_body: usize,
    /// Whether the answer has a length but no body.
    pub(super) is_head: bool,
    /// Of a WebSocket that can hibernate.
    pub(super) hibernation: Option<Box<Hibernation>>,
}

/// What is counted and awaited of bodies in pieces.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Bytes of the request's body, so far.
    pub(super) bytes: u64,
    /// Until more of the request's body is there.
    pub(super) idle_up: Option<Armed>,
    /// Until more of the answer's body is there.
    pub(super) idle_down: Option<Armed>,
}

/// What kept a request from being answered at once.
#[derive(Debug, Default)]
pub(super) struct Delay {
    /// Why it fails if it goes on nowhere: mostly, why it could not go on at the first of its runners.
    pub(super) setback: Option<Setback>,
    /// Since when it has waited, if it did.
    pub(super) waits_since: Option<Time>,
    /// Where it could not go on last.
    pub(super) avoid: Option<ConnectionId>,
}

/// Where a request was sent. The link may be gone, then its requests are set back before anything else happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) link: LinkKey,
    /// Its place among the requests of its link.
    pub(super) index: u32,
}

/// How far a request has come.
#[derive(Debug)]
pub(super) enum State {
    /// No runner can take it now.
    Waiting(Waiting),
    /// Its runner will take whole bodies only, and this one's is not complete. No runner knows anything yet.
    Collecting(Box<BytesMut>),
    /// The runner has it; no answer yet. The body may still be on its way.
    AwaitingResponse,
    /// The answer has begun. How many bytes of its body are still to come, if its head says.
    Responding { left: Option<u64> },
    /// The runner was asked to take the WebSocket. Messages that it sent before it took it wait here.
    AwaitingWebSocket { early: Vec<Message> },
    /// Messages go both ways.
    OpenWebSocket,
    /// The client has closed; what it sent before waits for credit.
    ClosingWebSocket,
}

/// A request that waits for a runner.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) waits_for: WaitsFor,
    /// Its turn among those that wait.
    pub(super) turn: u64,
    /// Until when; none when that is over.
    pub(super) limit: Option<Armed>,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// Any runner of its pool.
    Pool,
    /// The runner of its actor.
    Actor,
}

/// The named deadlines of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    ResponseStart,
    WebSocketOpen,
    WebSocketClose,
    WebSocketAck,
    IdleRequestBody,
    IdleResponseBody,
    ActorStart,
    WakeAgain,
    Grace,
}

impl Request {
    /// One that no runner has.
    pub(super) fn new(id: RequestId, opening: Option<Box<Open>>, is_head: bool) -> Self {
        Request {
            id,
            state: State::AwaitingResponse,
            opening,
            place: None,
            tries: 0,
            delay: None,
            dialect: Dialect::default(),
            up: Outflow::new(None),
            down: Inflow::new(None, false),
            deadline: None,
            pieces: None,
            kept_body: 0,
            is_head,
            hibernation: None,
        }
    }

    pub(super) fn is_websocket(&self) -> bool {
        match self.state {
            State::Waiting(_) => self.opening.as_ref().is_some_and(|open| open.kind == OpenKind::WebSocket),
            State::Collecting(_) | State::AwaitingResponse | State::Responding { .. } => false,
            State::AwaitingWebSocket { .. } | State::OpenWebSocket | State::ClosingWebSocket => true,
        }
    }

    /// Why it fails if it goes on nowhere.
    pub(super) fn setback(&self) -> Option<Setback> {
        self.delay.as_ref()?.setback
    }

    /// Where it could not go on last.
    pub(super) fn avoid(&self) -> Option<ConnectionId> {
        self.delay.as_ref()?.avoid
    }

    /// Since when it has waited, if it did.
    pub(super) fn waits_since(&self) -> Option<Time> {
        self.delay.as_ref()?.waits_since
    }

    /// It may go anywhere.
    pub(super) fn avoid_nothing(&mut self) {
        if let Some(delay) = &mut self.delay {
            delay.avoid = None;
        }
    }

    pub(super) fn pieces_mut(&mut self) -> &mut Pieces {
        self.pieces.get_or_insert_default()
    }

    /// Something keeps it.
    pub(super) fn delay_mut(&mut self) -> &mut Delay {
        self.delay.get_or_insert_default()
    }

    /// It has waited as long as it may: the deadline that said so is no more.
    pub(super) fn waited(&mut self) {
        match &mut self.state {
            State::Waiting(waiting) => waiting.limit = None,
            State::Collecting(_)
            | State::AwaitingResponse
            | State::Responding { .. }
            | State::AwaitingWebSocket { .. }
            | State::OpenWebSocket
            | State::ClosingWebSocket => {}
        }
    }

    /// Whether nothing of the answer has come yet.
    pub(super) fn is_unanswered(&self) -> bool {
        match &self.state {
            State::Waiting(_) | State::Collecting(_) | State::AwaitingResponse => true,
            State::AwaitingWebSocket { early } => early.is_empty(),
            State::Responding { .. } | State::OpenWebSocket | State::ClosingWebSocket => false,
        }
    }

    /// Whether more of its body is awaited of its client now.
    pub(super) fn awaits_body(&self) -> bool {
        match self.state {
            State::Collecting(_) | State::AwaitingResponse | State::Responding { .. } => !self.up.awaits_receiver(),
            State::Waiting(_) | State::AwaitingWebSocket { .. } | State::OpenWebSocket | State::ClosingWebSocket => {
                false
            }
        }
    }

    /// Whether more of its answer is awaited of the runner alone.
    pub(super) fn awaits_answer(&self) -> bool {
        match self.state {
            State::Responding { .. } => self.down.held() == 0,
            State::Waiting(_)
            | State::Collecting(_)
            | State::AwaitingResponse
            | State::AwaitingWebSocket { .. }
            | State::OpenWebSocket
            | State::ClosingWebSocket => false,
        }
    }

    /// Bytes held for it.
    pub(super) fn held(&self) -> usize {
        let kept = self.hibernation.as_ref().map_or(0, |hibernation| hibernation.held());
        self.kept_body + self.up.held() + self.down.held() + kept
    }
}

impl OpenKind {
    /// How many bytes of a whole body are here.
    pub(super) fn whole_body(&self) -> usize {
        match self {
            OpenKind::Http(Body::Whole(body)) => body.len(),
            OpenKind::Http(Body::None | Body::Stream) | OpenKind::WebSocket => 0,
        }
    }

    /// Whether all of it is here, and no more of a body than `max_body` bytes.
    pub(super) fn is_whole_within(&self, max_body: usize) -> bool {
        match self {
            OpenKind::Http(Body::None) | OpenKind::WebSocket => true,
            OpenKind::Http(Body::Whole(body)) => body.len() <= max_body,
            OpenKind::Http(Body::Stream) => false,
        }
    }
}

impl Open {
    /// Whether it makes no difference if a runner hears of it and then another, too (RFC 9110, 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        match self.kind {
            OpenKind::WebSocket => true,
            OpenKind::Http(_) => {
                matches!(&*self.head.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
            }
        }
    }
}
