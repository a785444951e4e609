//! Frames that the bus lost: what came of what a gateway has open, and what was sent for it.
//!
//! Which frames are lost nobody knows. So a gateway that has lost some asks its relays, connection by connection, and one
//! whose frames are lost is told to ask. It says how far it is with each of its requests; the relay compares that with
//! what came, and says how far it is itself. As neither overtakes what its sender published before, what is missing then
//! is lost, be it the last of its request.

use super::Relay;
use super::connection::Session;
use super::end::Cause;
use super::ending::Word;
use super::routes::{Piece, RouteId, Standing, StrandRoutes};
use super::strands::Doubt;
use crate::bus::{Address, ConnectionId};
use crate::frame::Frame;
use crate::protocol::to_gateway::{Came, Counted, Doubted, Probed};
use crate::protocol::to_runner::{Probe, Sent};
use crate::protocol::{GatewayId, MessageIndex, ToGateway};
use crate::time::Time;

/// No connection has this number.
const NO_CONNECTION: u64 = 0;
/// How many requests one frame names.
const MOST_NAMED: usize = 1_000;

impl Relay {
    /// The bus lost frames of a gateway, or of anybody.
    pub(super) fn frames_lost(&mut self, from: Option<Address>) {
        let strands = match from {
            Some(Address::Gateway(gateway_id)) => self.routes.of_gateway(gateway_id),
            // What relays say to one another, the directory says, too.
            Some(Address::Relay(_)) => return,
            None => self.routes.of_all_gateways(),
        };
        self.counted.losses_told += 1;
        if let (Some(Address::Gateway(gateway_id)), []) = (from, &strands[..]) {
            // An opening may be what is lost. Whichever connection is named, the gateway asks about all of this relay's.
            let routes = Vec::new();
            self.tell_doubted(StrandRoutes { connection: NO_CONNECTION, gateway_id, routes });
        }
        for strand in strands {
            self.doubt(strand);
        }
    }

    /// Has a gateway ask what came of what it has open on a connection; once more when it has, if it is to already.
    fn doubt(&mut self, strand: StrandRoutes) {
        let StrandRoutes { connection, gateway_id, .. } = strand;
        let Some(doubt) = self.routes.doubt_mut(connection, gateway_id) else { return };
        match doubt {
            Doubt::No => {
                *doubt = Doubt::Told;
                self.tell_doubted(strand);
            }
            Doubt::Told | Doubt::More => *doubt = Doubt::More,
        }
    }

    /// Names the routes of a gateway: it may have ended some of them, and that is lost.
    fn tell_doubted(&mut self, StrandRoutes { connection: number, gateway_id, routes }: StrandRoutes) {
        let (restored, known): (Vec<RouteId>, _) =
            routes.into_iter().partition(|route| self.routes.restored(*route).is_some());
        for route in restored {
            self.tell_of_route(route);
        }
        let connection = ConnectionId { relay: self.id, number }.into();
        let mut known = known.into_iter().map(|route| route.request_id).peekable();
        loop {
            let requests = known.by_ref().take(MOST_NAMED).collect();
            let doubted = Doubted { gateway_id, connection, requests };
            self.tell_gateway(number, gateway_id, &ToGateway::Doubted(doubted));
            if known.peek().is_none() {
                return;
            }
        }
    }

    /// A gateway that was told to ask may not have heard so.
    pub(super) fn doubt_again(&mut self, number: u64, gateway_id: GatewayId) {
        match self.routes.doubt_mut(number, gateway_id) {
            Some(Doubt::Told | Doubt::More) => {
                if let Some(strand) = self.routes.on_strand(number, gateway_id) {
                    self.tell_doubted(strand);
                }
            }
            Some(Doubt::No) | None => {}
        }
    }

    /// Carries a piece of a request to its runner, unless one before it did not come: a hole is passed on to nobody.
    pub(super) fn carry_in_order(&mut self, id: RouteId, frame: &mut Frame, number: MessageIndex, now: Time) {
        match self.routes.piece(id, number) {
            Some(Piece::Due(place)) => self.send_bounded(id, frame, Some((place, number)), now),
            Some(Piece::Early) => self.counted.late += 1,
            None => self.count_unopened(id),
            Some(Piece::BehindGap) => {
                self.counted.gaps += 1;
                if !self.routes.hibernates(id) {
                    return self.lose_route(id, now);
                }
                // Its gateway sends again from what is missing on.
                if self.routes.missed(id)
                    && let Some(strand) = self.routes.on_strand(id.connection, id.gateway_id)
                {
                    self.doubt(strand);
                }
            }
        }
    }

    /// A piece of a request is lost: it can't go on.
    fn lose_route(&mut self, id: RouteId, now: Time) {
        self.abort_at_runner(id, Cause::MessageLost, now);
        self.tell_end(id, Word::Lost);
    }

    /// A gateway asks what came of its requests.
    pub(super) fn gateway_probes(&mut self, number: u64, probe: Probe, now: Time) {
        let Probe { gateway_id, number: asked, requests } = probe;
        let Some(connection) = self.connections.get(&number) else { return };
        match connection.session {
            Session::Closing => return self.tell_connection_ended(number, gateway_id),
            Session::AwaitingInit { .. }
            | Session::Registering
            | Session::Settling
            | Session::Ready
            | Session::Draining
            | Session::Stopping => {}
        }
        self.routes.heard(number, gateway_id, now);
        if requests.is_empty() {
            self.tell_all_restored(number, gateway_id);
        }
        let mut counted = Vec::with_capacity(requests.len());
        for Sent { request_id, next } in requests {
            let id = RouteId { connection: number, gateway_id, request_id };
            counted.extend(self.count(id, next, now));
        }
        let connection = ConnectionId { relay: self.id, number }.into();
        let probed = Probed { gateway_id, number: asked, connection, requests: counted };
        self.tell_gateway(number, gateway_id, &ToGateway::Probed(probed));
        self.has_asked(number, gateway_id);
    }

    /// How far a request is whose gateway is at this number. If it has no route, or none any more, that is told.
    fn count(&mut self, id: RouteId, next: MessageIndex, now: Time) -> Option<Counted> {
        match self.routes.standing(id) {
            Standing::Open => {}
            Standing::Closed | Standing::Unknown => {
                let word = self.endings.word(id).or(self.routes.last_word(id)).unwrap_or(Word::Lost);
                self.tell_end(id, word);
                return None;
            }
        }
        let (_, here) = self.routes.next(id)?;
        let came = if self.routes.restored(id).is_some() {
            Came::Nothing
        } else if (next.wrapping_sub(here) as i16) <= 0 {
            Came::All
        } else if self.routes.hibernates(id) {
            Came::Until(here)
        } else {
            self.counted.gaps += 1;
            self.lose_route(id, now);
            return None;
        };
        let (carried, granted) = self.routes.answers(id)?;
        Some(Counted { request_id: id.request_id, came, carried, granted })
    }

    fn tell_all_restored(&mut self, number: u64, gateway_id: GatewayId) {
        let strand = self.routes.on_strand(number, gateway_id);
        for id in strand.into_iter().flat_map(|strand| strand.routes) {
            if let Some(generation) = self.routes.restored(id) {
                self.tell_restored(id, generation);
            }
        }
    }

    /// A gateway has asked: what was lost before that is known.
    fn has_asked(&mut self, number: u64, gateway_id: GatewayId) {
        let Some(doubt) = self.routes.doubt_mut(number, gateway_id) else { return };
        match core::mem::take(doubt) {
            Doubt::No | Doubt::Told => {}
            Doubt::More => {
                if let Some(strand) = self.routes.on_strand(number, gateway_id) {
                    self.doubt(strand);
                }
            }
        }
    }
}
