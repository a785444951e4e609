//! Whether a runner's connection lives: one ping for all requests that this gateway has there.

use super::again::{Heard, Setback};
use super::request::Place;
use super::runners::{Link, LinkKey};
use super::{Action, Gateway};
use crate::bus::{ConnectionId, Publication, Subject};
use crate::failure::FailureCode;
use crate::machine::RequestKey;
use crate::machine::deadline::Armed;
use crate::protocol::to_gateway::Pong;
use crate::protocol::to_runner::Ping;
use crate::protocol::tunnel::to_client::{self, Credit};
use crate::protocol::{RequestId, ToRunner};
use crate::time::Time;

/// The pings of a connection that has requests.
#[derive(Debug)]
pub(super) struct Pinging {
    /// Until the next is sent.
    interval: Armed,
    /// Whose turn it is to be named.
    turn: usize,
    /// The one without an answer: it is sent again until it has one.
    outstanding: Option<Outstanding>,
    /// The request that the last one with an answer named.
    answered: Option<RequestId>,
}

#[derive(Debug)]
struct Outstanding {
    ping: Ping,
    pong: Armed,
    /// Whether it was sent more than once.
    is_repeated: bool,
}

impl Pinging {
    pub(super) fn turn(&self) -> usize {
        self.turn
    }

    /// Whether the connection, or the way to it, lets more than an interval pass without an answer.
    pub(super) fn is_silent(&self) -> bool {
        self.outstanding.as_ref().is_some_and(|outstanding| outstanding.is_repeated)
    }
}

/// The named deadlines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    Pong,
    PingInterval,
}

/// A connection ended, and nothing can be said to its runner.
const ENDED: Setback =
    Setback { code: FailureCode::RunnerLost, message: "the runner's connection ended", heard: Heard::Perhaps };

/// The bus found nobody who holds a connection.
const NOBODY: Setback =
    Setback { code: FailureCode::RunnerLost, message: "nobody holds the runner's connection", heard: Heard::Perhaps };

const SILENT: Setback =
    Setback { code: FailureCode::PingTimeout, message: "the runner's connection is silent", heard: Heard::Still };

impl Gateway {
    /// Puts a request on a link.
    pub(super) fn attach(&mut self, link: LinkKey, key: RequestKey, now: Time) -> Place {
        let index = self.runners.attach(link, key);
        let attached = self.runners.get_mut(link);
        if attached.pinging.is_none() {
            let interval = self.link_deadlines.arm(Deadline::PingInterval, link, now);
            attached.pinging = Some(Pinging { interval, turn: 0, outstanding: None, answered: None });
        }
        Place { connection: attached.connection, link, index }
    }

    /// Takes a request off its link, unless the link is gone.
    pub(super) fn detach(&mut self, Place { connection, link, index }: Place) {
        if !self.runners.names(link, connection) {
            return;
        }
        if let Some(moved) = self.runners.detach(link, index)
            && let Some(place) = self.requests.get_mut(moved).and_then(|request| request.place.as_mut())
        {
            place.index = index;
        }
        let left = self.runners.get_mut(link);
        if left.requests().is_empty() {
            let pinging = left.pinging.take();
            left.probing = None;
            self.stop_pings(pinging);
        }
    }

    fn stop_pings(&mut self, pinging: Option<Pinging>) {
        let Some(Pinging { interval, outstanding, .. }) = pinging else { return };
        self.link_deadlines.cancel(interval);
        if let Some(Outstanding { ping, pong, .. }) = outstanding {
            self.pings.remove(&ping.request_id);
            self.link_deadlines.cancel(pong);
        }
    }

    pub(super) fn link_due(&mut self, deadline: Deadline, link: LinkKey, now: Time) {
        match deadline {
            Deadline::PingInterval => {
                if let Some(pinging) = self.runners.get_mut(link).pinging.as_mut() {
                    pinging.interval = self.link_deadlines.arm(Deadline::PingInterval, link, now);
                }
                self.ping(link, now);
                self.probe_again(link);
            }
            Deadline::Pong => self.no_pong(link, now),
        }
    }

    /// Asks whether a connection lives; the same as before, until it has answered.
    fn ping(&mut self, key: LinkKey, now: Time) {
        let link = self.runners.get_mut(key);
        let connection = link.connection;
        let named = link.named_in_ping().and_then(|named| self.requests.get(named)).map(|request| request.id);
        let Some(pinging) = link.pinging.as_mut() else { return };
        let ping = match (&mut pinging.outstanding, named) {
            (Some(Outstanding { ping, is_repeated, .. }), _) => {
                *is_repeated = true;
                *ping
            }
            (None, Some(request_id)) => {
                let ping = Ping { gateway_id: self.id, request_id, ts: self.wall.unix_ms(now) };
                let pong = self.link_deadlines.arm(Deadline::Pong, key, now);
                pinging.outstanding = Some(Outstanding { ping, pong, is_repeated: false });
                pinging.answered = None;
                pinging.turn = pinging.turn.wrapping_add(1);
                self.pings.insert(request_id, key);
                ping
            }
            (None, None) => return,
        };
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Connection(connection),
            reply_to: Some(Subject::Gateway(self.id)),
            frame: ToRunner::Ping(ping).encode_framed(),
        }));
        self.tell_credit_again(ping.request_id);
    }

    /// A grant that got lost would hold its sender for ever.
    pub(super) fn tell_credit_again(&mut self, id: RequestId) {
        let Some(key) = self.by_id.get(&id).copied() else { return };
        if let Some(total) = self.requests.get(key).and_then(|request| request.down.told()) {
            self.send(key, to_client::Kind::Credit(Credit { total }));
        }
    }

    /// A connection lives.
    pub(super) fn pong(&mut self, Pong { request_id, ts }: Pong) {
        let Some(link) = self.pings.get(&request_id).copied() else {
            // One that sleeps was named so that its relay says again where it can wake.
            let is_asleep = self.by_id.get(&request_id).is_some_and(|key| self.requests.asleep(*key).is_some());
            self.counted.stale += u64::from(!is_asleep);
            return;
        };
        let Some(pinging) = self.runners.get_mut(link).pinging.as_mut() else { return };
        match pinging.outstanding.take_if(|outstanding| outstanding.ping.ts == ts) {
            Some(Outstanding { pong, .. }) => {
                pinging.answered = Some(request_id);
                self.pings.remove(&request_id);
                self.link_deadlines.cancel(pong);
            }
            None => self.counted.stale += 1,
        }
    }

    /// A request was aborted. If that came behind the pong to a ping that named it, its relay had no route for it, and
    /// may have none for the others there: the next is asked for at once, not after the interval.
    pub(super) fn aborted(&mut self, Place { connection, link, .. }: Place, request_id: RequestId, now: Time) {
        if !self.runners.names(link, connection) {
            return;
        }
        let Some(pinging) = self.runners.get_mut(link).pinging.as_mut() else { return };
        if pinging.answered.take_if(|answered| *answered == request_id).is_some() {
            self.ping(link, now);
        }
    }

    fn no_pong(&mut self, link: LinkKey, now: Time) {
        self.counted.timeouts.pong += 1;
        let silent = self.runners.get_mut(link);
        let connection = silent.connection;
        if let Some(Outstanding { ping, .. }) = silent.pinging.as_mut().and_then(|pinging| pinging.outstanding.take()) {
            self.pings.remove(&ping.request_id);
        }
        self.link_lost(connection, SILENT, now);
    }

    /// A relay says that a connection of its ended.
    pub(super) fn connection_ended(&mut self, connection: ConnectionId, now: Time) {
        self.link_lost(connection, ENDED, now);
    }

    /// The bus says that nobody holds a connection.
    pub(super) fn nobody_holds(&mut self, connection: ConnectionId, now: Time) {
        self.link_lost(connection, NOBODY, now);
    }

    /// A connection that the directory names no more.
    pub(super) fn link_removed(&mut self, mut link: Link, now: Time) {
        let pinging = link.pinging.take();
        self.stop_pings(pinging);
        self.forget_words(link.connection);
        for key in link.requests() {
            self.set_back(*key, ENDED, now);
        }
    }

    /// Takes a connection for gone, until the directory tells of it.
    fn link_lost(&mut self, connection: ConnectionId, setback: Setback, now: Time) {
        self.forget_words(connection);
        for key in self.runners.lose(connection) {
            self.set_back(key, setback, now);
        }
    }
}
