//! Whole bodies: collected for runners that take no others, and kept so that their requests can be sent again.

use super::event::{Open, OpenKind};
use super::request::{Request, State};
use super::runners::NoneReady;
use super::waits::Came;
use super::{Action, Gateway};
use crate::directory::Pool;
use crate::failure::FailureCode;
use crate::http::Body;
use crate::machine::RequestKey;
use crate::machine::flow::{Piece, Turn};
use crate::time::Time;

/// The room for whole bodies of all requests, in bytes.
#[derive(Debug)]
pub(super) struct Bodies {
    kept: usize,
    most: usize,
}

impl Bodies {
    pub(super) fn new(most: usize) -> Self {
        Bodies { kept: 0, most }
    }

    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        bytes <= self.most - self.kept
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        self.kept -= bytes;
    }
}

impl Gateway {
    /// The largest whole body that is kept until the answer begins. One for an actor may have to wait for its wake
    /// after it was sent, so it is kept whatever its size.
    pub(super) fn most_kept(&self, pool: &Pool) -> usize {
        if self.has_actors(pool) { self.config.max_whole_body } else { self.config.max_kept_body }
    }

    /// More of a request's body is kept; there is room for it.
    pub(super) fn keep_body(&mut self, key: RequestKey, bytes: usize) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.kept_body += bytes;
        self.bodies.kept += bytes;
    }

    /// Nothing of a request's body is kept any more.
    pub(super) fn keep_body_no_more(&mut self, key: RequestKey) {
        let Some(request) = self.requests.get_mut(key) else { return };
        self.bodies.give_back(core::mem::take(&mut request.kept_body));
    }

    /// Begins to collect a body for runners that take whole ones only, with what came while the request waited.
    pub(super) fn collect(&mut self, key: RequestKey, open: Box<Open>, now: Time) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.opening = Some(open);
        request.state = State::Collecting(Box::default());
        let mut came = Vec::new();
        while let Some(piece) = request.up.pop(false) {
            match piece {
                Piece::Chunk { bytes, finish } => came.push((bytes, finish)),
                Piece::Message(_) | Piece::Close(_) => {}
            }
        }
        if request.up.turn(false) == Some(Turn::Resume) {
            self.actions.push_back(Action::ResumeSource { key });
        }
        for (bytes, finish) in came {
            self.collect_more(key, &bytes, finish, now);
        }
        self.await_body(key, Came::Nothing, now);
    }

    /// More of a body that is being collected.
    pub(super) fn collect_more(&mut self, key: RequestKey, bytes: &[u8], finish: bool, now: Time) {
        let max_whole_body = self.config.max_whole_body;
        let has_room = self.bodies.has_room(bytes.len());
        let Some(Request { state: State::Collecting(body), up, opening, .. }) = self.requests.get_mut(key) else {
            return;
        };
        if body.len() + bytes.len() > max_whole_body {
            return self.fail(key, FailureCode::BodyTooLarge, "the body is larger than the runner takes");
        }
        if !has_room {
            return self.fail(key, FailureCode::Overloaded, "this gateway holds as many bytes of bodies as it may");
        }
        body.extend_from_slice(bytes);
        if finish {
            up.end();
            if let Some(open) = opening {
                open.kind = OpenKind::Http(Body::Whole(core::mem::take(&mut **body).freeze()));
            }
        }
        self.keep_body(key, bytes.len());
        if !finish {
            return self.await_body(key, Came::Some, now);
        }
        self.await_body(key, Came::Nothing, now);
        let (code, message) = match self.find_runner(key, now) {
            Ok(()) => return,
            Err(NoneReady::Absent) => (FailureCode::NoRunner, "no runner of the pool is there any more"),
            Err(NoneReady::NotReady) => (FailureCode::NoRunner, "no runner of the pool is ready any more"),
            Err(NoneReady::NotRunning) => (FailureCode::NoRunner, "the actor does not run any more"),
            Err(NoneReady::Full) => (FailureCode::Overloaded, "each runner of the pool has as many requests as it may"),
        };
        self.turned_away(key, code, message, now);
    }
}
