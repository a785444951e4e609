//! What a relay keeps of a connection.

use std::collections::VecDeque;

use super::hibernation::Held;
use super::kv::Calls;
use super::routes::{Open, RouteId};
use crate::frame::Frame;
use crate::handshake::Hello;
use crate::machine::deadline::Armed;
use crate::protocol::carry::FromRunner;
use crate::protocol::{Edge, Version};

/// A runner's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) hello: Hello,
    /// What stands between its session and its runner's version.
    pub(super) edge: Edge,
    pub(super) session: Session,
    pub(super) hosting: Hosting,
    /// What it said that must wait until it is greeted.
    pub(super) early: Early,
    /// What it said on WebSockets that may be restored.
    pub(super) held: Held,
    /// Whether it takes bodies in pieces.
    pub(super) streams: bool,
    /// Whether people were told that acknowledgements of its are ignored.
    pub(super) acknowledged: bool,
    /// When it is pinged next.
    pub(super) ping: Option<Armed>,
    /// When it is given up.
    pub(super) pong: Option<Armed>,
    /// When its record is written anew.
    pub(super) refresh: Option<Armed>,
    /// If it drains alone: when it is looked at next, and when it is waited for no longer.
    pub(super) drain: [Option<Armed>; 2],
    pub(super) routes: Open,
    pub(super) backlog: Backlog,
    pub(super) calls: Calls,
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Session {
    /// It is open, and has said nothing.
    AwaitingInit { deadline: Armed },
    /// It said who it is; the directory is asked to take it.
    Registering,
    /// It was greeted and pinged; its pong makes it ready.
    Settling,
    /// Requests go to it.
    Ready,
    /// It drains, or all of this relay does: what is open ends, nothing new goes to it, and its runner may come again elsewhere.
    Draining,
    /// It said goodbye: what is open ends, nothing new goes to it.
    Stopping,
    /// It was told to go.
    Closing,
}

/// Whether the actors of a connection's runner have state, and how much the supervisor knows of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hosting {
    /// They have none, or it was not greeted yet, or it was closed: the supervisor hears nothing of it.
    Nothing,
    /// It was greeted, and its pong is to come.
    Greeted,
    /// Its pong came.
    Answered,
}

/// What a runner says between its Init and the relay's: it may not have noticed that it was away. In order, with the
/// bytes that it came in.
#[derive(Debug, Default)]
pub(super) struct Early {
    messages: Vec<(FromRunner, usize)>,
    held: usize,
}

impl Early {
    /// What a message takes besides its bytes.
    pub(super) const WEIGHT: usize = 128;

    /// Bytes that wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn push(&mut self, message: FromRunner, bytes: usize) {
        self.held += bytes;
        self.messages.push((message, bytes));
    }

    pub(super) fn take(&mut self) -> Vec<(FromRunner, usize)> {
        self.held = 0;
        core::mem::take(&mut self.messages)
    }
}

impl Connection {
    /// One that is to say who it is, and may have so many requests open.
    pub(super) fn new(mut hello: Hello, init: Armed, max_requests: usize) -> Self {
        // One that speaks no version is closed before it is heard.
        let version = Version::try_from(hello.protocol_version).unwrap_or(Version::V7);
        let edge = Edge::new(version, hello.dialect, max_requests);
        hello.dialect = edge.dialect();
        Connection {
            hello,
            edge,
            session: Session::AwaitingInit { deadline: init },
            hosting: Hosting::Nothing,
            early: Early::default(),
            held: Held::default(),
            streams: false,
            acknowledged: false,
            ping: None,
            pong: None,
            refresh: None,
            drain: [None, None],
            routes: Open::default(),
            backlog: Backlog::default(),
            calls: Calls::default(),
        }
    }

    /// Whether the supervisor knows of it.
    pub(super) fn hosts(&self) -> bool {
        match self.hosting {
            Hosting::Greeted | Hosting::Answered => true,
            Hosting::Nothing => false,
        }
    }
}

/// What waits for an outbox's room.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A frame, and the request whose bytes it counts by.
    Frame(Frame, Option<RouteId>),
    /// A ping of the WebSocket's own.
    Ping,
}

impl Waiting {
    fn len(&self) -> usize {
        match self {
            Waiting::Frame(frame, _) => frame.len(),
            Waiting::Ping => 0,
        }
    }
}

/// What waits while a connection's outbox has no room.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    blocked: bool,
    waiting: VecDeque<Waiting>,
    held: usize,
}

impl Backlog {
    pub(super) fn must_wait(&self) -> bool {
        self.blocked || !self.waiting.is_empty()
    }

    pub(super) fn block(&mut self) {
        self.blocked = true;
    }

    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.held += waiting.len();
        self.waiting.push_back(waiting);
    }

    /// What is next, if the outbox has room.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        if self.blocked {
            return None;
        }
        let waiting = self.waiting.pop_front()?;
        self.held -= waiting.len();
        Some(waiting)
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.held = 0;
    }

    /// Bytes that wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}
