//! Frames that the bus lost: the relays are asked what came of the requests, and say what they have sent.
//!
//! Which frames are lost nobody knows, so all requests of a connection are asked about, some at a time. Neither a probe
//! nor its answer overtakes what its sender published before: what is missing then is lost, be it the last of a request.

use std::collections::BTreeSet;

use super::again::{Heard, Setback};
use super::runners::LinkKey;
use super::{Action, Gateway};
use crate::bus::{Address, ConnectionId, Publication, RelayId, Subject};
use crate::failure::FailureCode;
use crate::machine::RequestKey;
use crate::protocol::to_gateway::{Came, Counted, Doubted, Lost, Probed, RouteOpen};
use crate::protocol::to_runner::{Probe, Sent};
use crate::protocol::{Dialect, RequestId, ToRunner};
use crate::time::Time;

/// What is asked about the requests of a connection.
#[derive(Debug)]
pub(super) struct Probing {
    /// The probe that is to be answered.
    number: u32,
    /// Those that it names.
    asked: Vec<RequestKey>,
    /// Those that are to be asked about.
    left: Vec<RequestKey>,
    /// Whether more was lost since they were noted.
    more: bool,
}

/// Whose frames were lost of late. However fast more are lost, those concerned are asked once in a while.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// When some were asked last.
    asked: Option<Time>,
    /// Of which relays all connections are to be asked after the pause; none: of all.
    left: BTreeSet<Option<RelayId>>,
    /// When that is over, if anybody is left.
    due: Option<Time>,
}

/// A piece of a request is lost, or of its answer.
const MISSING: Setback = Setback {
    code: FailureCode::MessageLost,
    message: "a piece of the request or of its answer got lost on the way",
    heard: Heard::Still,
};

/// And its relay has no route for it.
const GONE: Setback = Setback { heard: Heard::Perhaps, ..MISSING };

impl Gateway {
    /// The bus lost frames of a relay, or of anybody.
    pub(super) fn frames_lost(&mut self, from: Option<Address>, now: Time) {
        let relay = match from {
            Some(Address::Relay(relay)) => Some(relay),
            None => None,
            // They say nothing to one another.
            Some(Address::Gateway(_)) => return,
        };
        self.counted.losses_told += 1;
        for link in self.runners.of_relay(relay) {
            self.end_unjudged(link, now);
        }
        self.ask_all(relay, now);
    }

    /// Asks about all connections of a relay, or of all, now or after the pause.
    pub(super) fn ask_all(&mut self, relay: Option<RelayId>, now: Time) {
        match self.losses.asked.map(|asked| asked + self.config.probe_pause) {
            Some(due) if now < due => {
                self.losses.left.insert(relay);
                self.losses.due = Some(due);
            }
            Some(_) | None => {
                self.losses.asked = Some(now);
                self.runners.of_relay(relay).into_iter().for_each(|link| self.doubt(link));
            }
        }
    }

    /// When those are asked who were left for after the pause; never, while nothing is open.
    pub(super) fn next_asking(&self) -> Option<Time> {
        self.losses.due.filter(|_| self.requests.len() > 0)
    }

    /// Asks those who were left for after the pause.
    pub(super) fn ask_if_due(&mut self, now: Time) {
        if self.next_asking().is_none_or(|due| due > now) {
            return;
        }
        self.losses.due = None;
        self.losses.asked = Some(now);
        let left = core::mem::take(&mut self.losses.left);
        let links: BTreeSet<LinkKey> = left.into_iter().flat_map(|relay| self.runners.of_relay(relay)).collect();
        links.into_iter().for_each(|link| self.doubt(link));
    }

    /// Of a runner whose numbers are not judged a hole would be passed on before it is found: what it has begun to answer
    /// ends.
    fn end_unjudged(&mut self, key: LinkKey, now: Time) {
        let link = self.runners.get(key);
        if link.abilities.numbers {
            return;
        }
        let has_begun = |key: &RequestKey| self.requests.get(*key).is_some_and(|request| !request.is_unanswered());
        let begun: Vec<RequestKey> = link.requests().iter().copied().filter(has_begun).collect();
        for key in begun {
            self.piece_lost(key, MISSING, now);
        }
    }

    /// A relay has lost frames of this gateway.
    pub(super) fn doubted(&mut self, Doubted { gateway_id, connection, requests }: Doubted, now: Time) {
        if gateway_id != self.id {
            self.counted.foreign += 1;
            return;
        }
        self.counted.losses_told += 1;
        for request_id in requests {
            self.route_open(RouteOpen { gateway_id, request_id, connection });
        }
        // An opening may be among what is lost, on a connection where the relay knows of nothing.
        self.ask_all(Some(ConnectionId::from(connection).relay), now);
    }

    /// Asks about all requests of a connection; once more at the end, if that is under way.
    fn doubt(&mut self, key: LinkKey) {
        if let Some(probing) = &mut self.runners.get_mut(key).probing {
            probing.more = true;
            return;
        }
        if self.requests.asleep_in_all() > 0 {
            // The word that would wake some may be among what is lost.
            self.ask(key, Vec::new());
        }
        let link = self.runners.get_mut(key);
        if !link.requests.is_empty() {
            let left = link.requests.clone();
            link.probing = Some(Probing { number: 0, asked: Vec::new(), left, more: false });
            self.probe_next(key);
        }
    }

    /// Asks about the next requests, if there are any.
    fn probe_next(&mut self, key: LinkKey) {
        let most = self.config.max_probed;
        let number = self.probe.wrapping_add(1);
        let Some(probing) = self.runners.get_mut(key).probing.as_mut() else { return };
        let rest = probing.left.len().saturating_sub(most);
        probing.asked = probing.left.split_off(rest);
        if !probing.asked.is_empty() {
            probing.number = number;
            self.probe = number;
            return self.probe_again(key);
        }
        let link = self.runners.get_mut(key);
        if link.probing.take().is_some_and(|probing| probing.more) {
            self.doubt(key);
        }
    }

    /// Asks the same once more, if it has not been answered.
    pub(super) fn probe_again(&mut self, key: LinkKey) {
        let link = self.runners.get(key);
        let Some(Probing { number, asked, .. }) = &link.probing else { return };
        let number = *number;
        let of_link = |request: &RequestKey| {
            let request = self.requests.get(*request)?;
            let is_there = request.place.is_some_and(|place| place.connection == link.connection);
            is_there.then(|| Sent { request_id: request.id, next: request.up.next_number() })
        };
        let requests: Vec<Sent> = asked.iter().filter_map(of_link).collect();
        if requests.is_empty() {
            // Those have ended.
            return self.probe_next(key);
        }
        self.publish_probe(key, number, requests);
    }

    /// Asks about these requests, whoever answers.
    fn ask(&mut self, key: LinkKey, requests: Vec<Sent>) {
        self.probe = self.probe.wrapping_add(1);
        self.publish_probe(key, self.probe, requests);
    }

    fn publish_probe(&mut self, key: LinkKey, number: u32, requests: Vec<Sent>) {
        self.counted.probes += 1;
        let probe = Probe { gateway_id: self.id, number, requests };
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Connection(self.runners.get(key).connection),
            reply_to: Some(Subject::Gateway(self.id)),
            frame: ToRunner::Probe(probe).encode_framed(),
        }));
    }

    /// A relay says how far it is with requests that it was asked about.
    pub(super) fn probed(&mut self, probed: Probed, now: Time) {
        let Probed { gateway_id, number, connection, requests } = probed;
        if gateway_id != self.id {
            self.counted.foreign += 1;
            return;
        }
        let connection = ConnectionId::from(connection);
        let Some(link) = self.runners.on(connection) else { return };
        // One that was asked once more is answered once more.
        let is_asked = |probing: &mut Probing| probing.number == number && !probing.asked.is_empty();
        if !self.runners.get_mut(link).probing.as_mut().is_some_and(is_asked) {
            return;
        }
        for counted in requests {
            self.compare(counted, connection, now);
        }
        if self.runners.names(link, connection) {
            self.probe_next(link);
        }
    }

    /// Compares what a relay has of a request with what is here.
    fn compare(&mut self, counted: Counted, connection: ConnectionId, now: Time) {
        let Counted { request_id, came, carried, granted } = counted;
        let Some(key) = self.on_connection(request_id, connection) else { return };
        let Some(request) = self.requests.get_mut(key) else { return };
        if request.down.lacks(carried) {
            return self.piece_lost(key, MISSING, now);
        }
        let is_whole = match came {
            Came::All => true,
            Came::Until(number) => {
                self.counted.found_lost += 1;
                self.send_kept_again(key, number, now)
            }
            Came::Nothing if self.keeps(key) => {
                self.counted.found_lost += 1;
                return self.wake_anew(key, connection, now);
            }
            Came::Nothing => false,
        };
        if !is_whole {
            return self.piece_lost(key, MISSING, now);
        }
        if let Some(request) = self.requests.get_mut(key)
            && request.abilities.dialect == Dialect::Underpass
        {
            request.up.grant(granted);
        }
        self.tell_credit_again(request_id);
        self.flush(key, now);
    }

    /// A relay has no route for a request, and something of it is lost.
    pub(super) fn request_lost(&mut self, Lost { gateway_id, request_id, connection }: Lost, now: Time) {
        if gateway_id != self.id {
            self.counted.foreign += 1;
            return;
        }
        match self.on_connection(request_id, connection.into()) {
            Some(key) => self.piece_lost(key, GONE, now),
            None => self.counted.stale += 1,
        }
    }

    /// A request that is open on a connection.
    fn on_connection(&self, request_id: RequestId, connection: ConnectionId) -> Option<RequestKey> {
        let key = self.by_id.get(&request_id).copied()?;
        (self.connection_of(key) == Some(connection)).then_some(key)
    }

    /// A piece of a request is lost. What its actor said to a client is not said again, so a WebSocket that can hibernate
    /// does not go on either.
    fn piece_lost(&mut self, key: RequestKey, setback: Setback, now: Time) {
        self.counted.found_lost += 1;
        if !self.keeps(key) {
            return self.set_back(key, setback, now);
        }
        match setback.heard {
            Heard::Still => self.fail(key, setback.code, setback.message),
            Heard::Perhaps | Heard::Never => self.lose(key, setback.code, setback.message),
        }
    }
}
