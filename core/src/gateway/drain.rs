//! Going away: nothing new is taken, WebSockets are closed one after another, the rest goes on to its end.

use std::collections::VecDeque;

use super::request::Request;
use super::{Action, Gateway};
use crate::failure::FailureCode;
use crate::machine::RequestKey;
use crate::time::Time;

/// Whether a gateway drains.
#[derive(Debug)]
pub(super) enum Draining {
    No,
    Yes(Drain),
    Done,
}

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    began: Time,
    /// The WebSockets that were open then, and are to be closed.
    sockets: VecDeque<RequestKey>,
    /// How many they were.
    in_all: u32,
    /// When what is still open fails.
    limit: Option<Time>,
}

const GOING_AWAY: &str = "this gateway is going away";

impl Gateway {
    pub(super) fn drain(&mut self, now: Time) {
        match self.draining {
            Draining::No => {}
            Draining::Yes(_) | Draining::Done => return,
        }
        let sockets: VecDeque<RequestKey> = self.requests.keys().filter(|key| self.is_to_be_closed(*key)).collect();
        let in_all = sockets.len() as u32;
        let limit = self.config.drain_limit.map(|limit| now + limit);
        self.draining = Draining::Yes(Drain { began: now, sockets, in_all, limit });
        let asleep: Vec<RequestKey> = self.requests.keys().filter(|key| self.requests.asleep(*key).is_some()).collect();
        for key in asleep {
            self.let_go_if_draining(key);
        }
        self.note_drained();
    }

    /// Whether it is a WebSocket, and one that its client has not closed: that goes on to its end, which has a
    /// deadline.
    fn is_to_be_closed(&self, key: RequestKey) -> bool {
        let awake = self.requests.get(key);
        !self.is_closing(key) && (awake.is_some_and(Request::is_websocket) || self.requests.asleep(key).is_some())
    }

    /// When the next WebSocket is closed, or the limit is there: the first at once, the others spread evenly.
    pub(super) fn drain_due(&self) -> Option<Time> {
        let Draining::Yes(Drain { began, sockets, in_all, limit }) = &self.draining else { return None };
        let next = (!sockets.is_empty()).then(|| {
            let closed = *in_all - sockets.len() as u32;
            *began + self.config.drain_window * closed / *in_all
        });
        next.into_iter().chain(*limit).min()
    }

    /// Closes what is to be closed by now.
    pub(super) fn go_on_draining(&mut self, now: Time) {
        while self.drain_due().is_some_and(|due| due <= now) {
            let Draining::Yes(drain) = &mut self.draining else { return };
            if drain.limit.is_some_and(|limit| limit <= now) {
                drain.limit = None;
                drain.sockets.clear();
                self.counted.timeouts.drain_limit += 1;
                let open: Vec<RequestKey> = self.requests.keys().collect();
                for key in open {
                    self.fail(key, FailureCode::Draining, GOING_AWAY);
                }
            } else if let Some(key) = drain.sockets.pop_front()
                && self.is_to_be_closed(key)
            {
                self.fail(key, FailureCode::Draining, GOING_AWAY);
            }
        }
    }

    pub(super) fn note_drained(&mut self) {
        match self.draining {
            Draining::Yes(_) if self.requests.len() + self.endings.len() == 0 => {
                self.draining = Draining::Done;
                self.actions.push_back(Action::Drained);
            }
            Draining::No | Draining::Yes(_) | Draining::Done => {}
        }
    }
}
