//! What a relay keeps of a connection.

use std::collections::VecDeque;

use super::routes::{Open, RouteId};
use crate::frame::Frame;
use crate::handshake::Hello;
use crate::machine::deadline::Armed;

/// A runner's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) hello: Hello,
    pub(super) session: Session,
    /// When it is pinged next.
    pub(super) ping: Option<Armed>,
    /// When it is given up.
    pub(super) pong: Option<Armed>,
    /// When its record is written anew.
    pub(super) refresh: Option<Armed>,
    pub(super) routes: Open,
    pub(super) backlog: Backlog,
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
    /// This relay drains: what is open ends, nothing new goes to it, and its runner may come again elsewhere.
    Draining,
    /// It said goodbye: what is open ends, nothing new goes to it.
    Stopping,
    /// It was told to go.
    Closing,
}

impl Connection {
    pub(super) fn new(hello: Hello, init: Armed) -> Self {
        Connection {
            hello,
            session: Session::AwaitingInit { deadline: init },
            ping: None,
            pong: None,
            refresh: None,
            routes: Open::default(),
            backlog: Backlog::default(),
        }
    }
}

/// What waits while a connection's outbox has no room.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    blocked: bool,
    waiting: VecDeque<(Frame, Option<RouteId>)>,
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

    pub(super) fn push(&mut self, frame: Frame, route: Option<RouteId>) {
        self.held += frame.len();
        self.waiting.push_back((frame, route));
    }

    /// The next frame, if the outbox has room.
    pub(super) fn pop(&mut self) -> Option<(Frame, Option<RouteId>)> {
        if self.blocked {
            return None;
        }
        let (frame, route) = self.waiting.pop_front()?;
        self.held -= frame.len();
        Some((frame, route))
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
