//! How long pings are on their way and back.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use metrics::Histogram;
use underpass_core::bus::Publication;
use underpass_core::observe::Observer;
use underpass_core::protocol::{Dialect, RequestId, ToClient, ToGateway, ToRunner, ToServer};
use underpass_core::{Frame, Gateway, Relay, Time, gateway, relay};

use super::Metrics;
use super::names::Told;

/// A ping or a pong, and all that is looked into, is no longer.
const LONGEST: usize = 32;
/// So many pings are waited for at once.
const MOST: usize = 65_536;
/// After so long nobody waits for a pong any more.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// Tells how long each ping of one machine took, of which it sees the pong.
pub(super) struct Pings<Of> {
    round_trip: Histogram,
    /// What each ping bears, and when it was sent first.
    sent: HashMap<Of, (i64, Time)>,
    /// When those that nobody waits for any more were looked for last.
    swept: Time,
}

impl<Of: Eq + Hash> Pings<Of> {
    pub(super) fn new(metrics: &Metrics, told: Told) -> Self {
        Pings { round_trip: metrics.histogram(told.round_trip, &[]), sent: HashMap::new(), swept: Time::ZERO }
    }

    #[cfg(test)]
    pub(super) fn waited_for(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn pinged(&mut self, of: Of, ts: i64, now: Time) {
        if self.sent.len() >= MOST && now.since(self.swept) >= GIVEN_UP {
            self.swept = now;
            self.sent.retain(|_, (_, sent)| now.since(*sent) < GIVEN_UP);
        }
        let has_room = self.sent.len() < MOST;
        match self.sent.get_mut(&of) {
            // It was sent again.
            Some((known, _)) if *known == ts => {}
            Some(before) => *before = (ts, now),
            None if has_room => drop(self.sent.insert(of, (ts, now))),
            None => {}
        }
    }

    pub(super) fn ponged(&mut self, of: &Of, ts: i64, now: Time) {
        if let Some((known, sent)) = self.sent.get(of)
            && *known == ts
        {
            self.round_trip.record(now.since(*sent));
            self.sent.remove(of);
        }
    }
}

impl Observer<Gateway> for Pings<RequestId> {
    fn event(&mut self, _machine: &Gateway, event: &gateway::Event, now: Time) {
        if let gateway::Event::Received { frame, .. } = event
            && frame.len() <= LONGEST
            && let Ok(ToGateway::Pong(pong)) = ToGateway::decode_framed(frame, Dialect::Underpass)
        {
            self.ponged(&pong.request_id, pong.ts, now);
        }
    }

    fn action(&mut self, _machine: &Gateway, action: &gateway::Action, now: Time) {
        if let gateway::Action::Publish(Publication { frame, .. }) = action
            && frame.len() <= LONGEST
            && let Ok(ToRunner::Ping(ping)) = ToRunner::decode_framed(frame, Dialect::Underpass)
        {
            self.pinged(ping.request_id, ping.ts, now);
        }
    }
}

/// By connection. Pings of a WebSocket itself, by which runners of the oldest versions are asked, bear nothing.
impl Observer<Relay> for Pings<u64> {
    fn event(&mut self, _machine: &Relay, event: &relay::Event, now: Time) {
        if let relay::Event::FromRunner { connection, frame } = event
            && frame.len() <= LONGEST
            && let Ok(ToServer::Pong(pong)) = ToServer::decode(&Frame::from(frame.clone()), Dialect::Underpass)
        {
            self.ponged(connection, pong.ts, now);
        }
        if let relay::Event::Ponged { connection } = event {
            self.ponged(connection, 0, now);
        }
        if let relay::Event::Disconnected { connection } = event {
            self.sent.remove(connection);
        }
    }

    fn action(&mut self, _machine: &Relay, action: &relay::Action, now: Time) {
        if let relay::Action::Send { connection, frame } = action
            && frame.len() <= LONGEST
            && let Ok(ToClient::Ping(ping)) = ToClient::decode(frame, Dialect::Underpass)
        {
            self.pinged(*connection, ping.ts, now);
        }
        if let relay::Action::Ping { connection } = action {
            self.pinged(*connection, 0, now);
        }
    }
}
