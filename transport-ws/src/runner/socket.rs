//! What both kinds of WebSockets share: the way to the machine, and the end when nobody holds them any more.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use underpass_core::RequestKey;
use underpass_core::http::Close;
use underpass_core::runner::{ActorLife, Event};

use super::actors::Phase;
use super::handler::Handler;
use super::outlets::Outlets;
use crate::driver::Driver;

/// A socket, as long as a handler holds an end of it. Dropping it refuses or closes it.
pub(super) struct Socket {
    pub(super) key: RequestKey,
    pub(super) driver: Arc<Driver<Outlets>>,
    pub(super) handler: Arc<Handler>,
    /// Whose it is, if its actor has state.
    pub(super) life: Option<ActorLife>,
}

impl Socket {
    pub(super) fn closed(&self) -> bool {
        self.handler.closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self, close: Close) {
        if !self.handler.closed.swap(true, Ordering::AcqRel) {
            self.driver.drive(Event::WebSocketClose { key: self.key, close });
        }
    }

    pub(super) fn consumed(&self, bytes: usize) {
        if bytes > 0 {
            self.driver.drive(Event::Consumed { key: self.key, bytes });
        }
    }

    /// Whether a handler has taken it.
    fn accepted(&self) -> bool {
        self.handler.accepted.load(Ordering::Acquire)
    }

    /// What is to be said when it is dropped open.
    fn parting(&self) -> Event {
        let key = self.key;
        if !self.accepted() || std::thread::panicking() {
            Event::HandlerFailed { key }
        } else {
            Event::WebSocketClose { key, close: Close { code: Some(1000), reason: None } }
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("key", &self.key).field("handler", &self.handler).finish_non_exhaustive()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let outlet = self.driver.enter(|inside| {
            if !self.handler.closed.swap(true, Ordering::AcqRel) {
                match self.life.as_ref().map(|life| inside.outlets.lives.phase(life)) {
                    None | Some(Some(Phase::Running)) => inside.handle(self.parting()),
                    // If the start fails, it sleeps on.
                    Some(Some(Phase::Starting { dropped })) if self.accepted() => dropped.push(self.key),
                    // It was not restored, and is closed when the actor runs.
                    Some(Some(Phase::Starting { .. })) => {}
                    // It is not its handler's wish that it goes: it sleeps, if it can.
                    Some(Some(Phase::Ending) | None) => {}
                }
            }
            inside.outlets.requests.remove(&self.key)
        });
        if let Some(outlet) = outlet {
            outlet.let_go();
        }
    }
}
