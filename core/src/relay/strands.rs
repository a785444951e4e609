//! Strands: what one gateway has open on one connection.

use core::time::Duration;

use hashbrown::HashMap;
use slab::Slab;

use super::ring::{self, Links, LinksOf};
use crate::machine::deadline::{Armed, Deadlines};
use crate::protocol::GatewayId;
use crate::time::Time;

/// What a gateway has open on a connection. It is there as long as something is.
#[derive(Debug)]
pub(super) struct Strand {
    pub(super) connection: u64,
    pub(super) gateway_id: GatewayId,
    /// Of the ring of its routes, the one whose turn it is to be named.
    pub(super) turn: Option<usize>,
    /// When its gateway is taken for gone.
    silent: Option<Armed>,
    pub(super) doubt: Doubt,
    of_connection: Links,
    of_gateway: Links,
}

/// Whether frames of a gateway are lost, and whether it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Not that it is known.
    #[default]
    No,
    /// It was told, and has not asked yet.
    Told,
    /// And more were lost since.
    More,
}

const OF_CONNECTION: LinksOf<Strand> = |strand| &mut strand.of_connection;
const OF_GATEWAY: LinksOf<Strand> = |strand| &mut strand.of_gateway;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Silent;

/// All strands of a relay.
#[derive(Debug)]
pub(super) struct Strands {
    strands: Slab<Strand>,
    places: HashMap<(u64, GatewayId), usize>,
    /// Where the ring of a gateway's strands begins.
    gateways: HashMap<GatewayId, Option<usize>>,
    silent: Deadlines<Silent, usize>,
}

impl Strands {
    pub(super) fn new(silent: Duration) -> Self {
        Strands {
            strands: Slab::new(),
            places: HashMap::new(),
            gateways: HashMap::new(),
            silent: Deadlines::new([(Silent, silent)]),
        }
    }

    pub(super) fn find(&self, connection: u64, gateway_id: GatewayId) -> Option<usize> {
        self.places.get(&(connection, gateway_id)).copied()
    }

    pub(super) fn get_mut(&mut self, strand: usize) -> &mut Strand {
        &mut self.strands[strand]
    }

    /// The strand of a gateway on a connection, whose ring of strands begins at `first`.
    pub(super) fn find_or_insert(
        &mut self,
        connection: u64,
        gateway_id: GatewayId,
        first: &mut Option<usize>,
    ) -> usize {
        if let Some(strand) = self.find(connection, gateway_id) {
            return strand;
        }
        let strand = self.strands.insert(Strand {
            connection,
            gateway_id,
            turn: None,
            silent: None,
            doubt: Doubt::No,
            of_connection: Links::default(),
            of_gateway: Links::default(),
        });
        self.places.insert((connection, gateway_id), strand);
        ring::join(&mut self.strands, OF_CONNECTION, first, strand);
        ring::join(&mut self.strands, OF_GATEWAY, self.gateways.entry(gateway_id).or_default(), strand);
        strand
    }

    /// Removes a strand on which nothing is open any more.
    pub(super) fn remove(&mut self, strand: usize, first: &mut Option<usize>) {
        ring::leave(&mut self.strands, OF_CONNECTION, first, strand);
        let gateway_id = self.strands[strand].gateway_id;
        if let Some(others) = self.gateways.get_mut(&gateway_id) {
            ring::leave(&mut self.strands, OF_GATEWAY, others, strand);
            if others.is_none() {
                self.gateways.remove(&gateway_id);
            }
        }
        let removed = self.strands.remove(strand);
        self.places.remove(&(removed.connection, gateway_id));
        if let Some(armed) = removed.silent {
            self.silent.cancel(armed);
        }
    }

    /// The gateway of a strand said something: it lives.
    pub(super) fn heard(&mut self, strand: usize, now: Time) {
        match &self.strands[strand].silent {
            Some(armed) => self.silent.begin_anew(armed, now),
            None => self.strands[strand].silent = Some(self.silent.arm(Silent, strand, now)),
        }
    }

    /// The gateway of a strand is to say something, if it is not to already.
    pub(super) fn awaits(&mut self, strand: usize, now: Time) {
        if self.strands[strand].silent.is_none() {
            self.strands[strand].silent = Some(self.silent.arm(Silent, strand, now));
        }
    }

    /// The next strand whose gateway has been silent for too long.
    pub(super) fn pop_silent(&mut self, now: Time) -> Option<usize> {
        let (Silent, strand) = self.silent.pop_due(now)?;
        self.strands[strand].silent = None;
        Some(strand)
    }

    /// The strands of a connection, whose ring begins at `first`.
    pub(super) fn of_connection(&mut self, first: Option<usize>) -> Vec<usize> {
        ring::all(&mut self.strands, OF_CONNECTION, first)
    }

    /// All of them, by connection and gateway.
    pub(super) fn all(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.strands.iter().map(|(strand, _)| strand).collect();
        all.sort_unstable_by_key(|strand| (self.strands[*strand].connection, self.strands[*strand].gateway_id));
        all
    }

    /// The strands of a gateway.
    pub(super) fn of_gateway(&mut self, gateway_id: GatewayId) -> Vec<usize> {
        let first = self.gateways.get(&gateway_id).copied().flatten();
        ring::all(&mut self.strands, OF_GATEWAY, first)
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.silent.next_due()
    }

    pub(super) fn deadlines(&self) -> usize {
        self.silent.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.strands.is_empty() && self.places.is_empty() && self.gateways.is_empty() && self.silent.len() == 0
    }
}
