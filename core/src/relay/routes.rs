//! Routes: which request was issued to which connection, and so who may answer it.

use core::time::Duration;

use hashbrown::HashMap;
use slab::Slab;

use crate::machine::deadline::{Armed, Deadlines};
use crate::protocol::{GatewayId, MessageId, MessageIndex, RequestId};
use crate::time::Time;

/// A request on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RouteId {
    pub(super) connection: u64,
    pub(super) gateway_id: GatewayId,
    pub(super) request_id: RequestId,
}

impl RouteId {
    pub(super) fn new(connection: u64, message_id: MessageId) -> Self {
        RouteId { connection, gateway_id: message_id.gateway_id, request_id: message_id.request_id }
    }
}

/// What kind of request a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteKind {
    Http,
    WebSocket,
}

/// What a relay knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was issued on this connection and may be answered there.
    Open,
    /// It was, and has ended.
    Closed,
    /// It never was.
    Unknown,
}

/// All routes of a relay, and for a while those that were closed.
#[derive(Debug)]
pub(super) struct Routes {
    routes: Slab<Route>,
    places: HashMap<RouteId, usize>,
    tombstones: Deadlines<Tombstone, usize>,
    max_tombstones: usize,
}

#[derive(Debug)]
struct Route {
    id: RouteId,
    state: State,
}

#[derive(Debug)]
enum State {
    Open {
        kind: RouteKind,
        /// Its place among the routes of its connection.
        place: usize,
        /// Bytes of it that wait for its connection's outbox.
        held: usize,
        /// The number behind that of the last message that was carried to the runner.
        next: MessageIndex,
    },
    /// A tombstone.
    Closed { until: Armed },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tombstone;

/// The routes open on one connection, in no order.
#[derive(Debug, Default)]
pub(super) struct Open(Vec<usize>);

impl Open {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Routes {
    pub(super) fn new(tombstone: Duration, max_tombstones: usize) -> Self {
        Routes {
            routes: Slab::new(),
            places: HashMap::new(),
            tombstones: Deadlines::new([(Tombstone, tombstone)]),
            max_tombstones,
        }
    }

    pub(super) fn standing(&self, id: RouteId) -> Standing {
        match self.places.get(&id).map(|place| &self.routes[*place].state) {
            Some(State::Open { .. }) => Standing::Open,
            Some(State::Closed { .. }) => Standing::Closed,
            None => Standing::Unknown,
        }
    }

    /// Opens a route that is not open.
    pub(super) fn open(&mut self, id: RouteId, kind: RouteKind, open: &mut Open) {
        if let Some(place) = self.places.remove(&id)
            && let State::Closed { until } = self.routes.remove(place).state
        {
            self.tombstones.cancel(until);
        }
        let route =
            self.routes.insert(Route { id, state: State::Open { kind, place: open.0.len(), held: 0, next: 0 } });
        self.places.insert(id, route);
        open.0.push(route);
    }

    /// Closes a route if it is open, and leaves a tombstone.
    pub(super) fn close(&mut self, id: RouteId, open: &mut Open, now: Time) {
        let Some(route) = self.places.get(&id).copied() else { return };
        let State::Open { place, .. } = self.routes[route].state else { return };
        open.0.swap_remove(place);
        if let Some(moved) = open.0.get(place)
            && let State::Open { place: its, .. } = &mut self.routes[*moved].state
        {
            *its = place;
        }
        if self.max_tombstones == 0 {
            self.forget(route);
            return;
        }
        if self.tombstones.len() >= self.max_tombstones
            && let Some(oldest) = self.tombstones.pop_oldest(Tombstone)
        {
            self.forget(oldest);
        }
        let until = self.tombstones.arm(Tombstone, route, now);
        self.routes[route].state = State::Closed { until };
    }

    /// The requests of a connection that ended: its routes are forgotten without a tombstone, since nothing more can
    /// come on it.
    pub(super) fn forget_all(&mut self, open: &mut Open) {
        for route in open.0.drain(..) {
            let id = self.routes.remove(route).id;
            self.places.remove(&id);
        }
    }

    /// What an open route is for, and the number that the next message to the runner has.
    pub(super) fn next(&self, id: RouteId) -> Option<(RouteKind, MessageIndex)> {
        match self.places.get(&id).map(|place| &self.routes[*place].state) {
            Some(State::Open { kind, next, .. }) => Some((*kind, *next)),
            Some(State::Closed { .. }) | None => None,
        }
    }

    /// A message of an open route was carried to the runner.
    pub(super) fn carried(&mut self, id: RouteId, number: MessageIndex) {
        if let Some(place) = self.places.get(&id)
            && let State::Open { next, .. } = &mut self.routes[*place].state
        {
            *next = number.wrapping_add(1);
        }
    }

    /// Bytes of a route that wait for its connection's outbox, to count.
    pub(super) fn held_mut(&mut self, id: RouteId) -> Option<&mut usize> {
        let place = self.places.get(&id)?;
        match &mut self.routes[*place].state {
            State::Open { held, .. } => Some(held),
            State::Closed { .. } => None,
        }
    }

    /// Forgets closed routes whose time has come.
    pub(super) fn tick(&mut self, now: Time) {
        while let Some((Tombstone, route)) = self.tombstones.pop_due(now) {
            self.forget(route);
        }
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.tombstones.next_due()
    }

    pub(super) fn open_len(&self) -> usize {
        self.routes.len() - self.tombstones.len()
    }

    pub(super) fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    fn forget(&mut self, route: usize) {
        let id = self.routes.remove(route).id;
        self.places.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(request: u8) -> RouteId {
        RouteId { connection: 1, gateway_id: GatewayId([1; 4]), request_id: RequestId([request; 4]) }
    }

    #[test]
    fn a_closed_route_is_remembered_for_a_while_and_in_bounded_number() {
        let mut routes = Routes::new(Duration::from_secs(60), 2);
        let mut open = Open::default();
        for request in 0..4 {
            routes.open(id(request), RouteKind::Http, &mut open);
        }
        for request in [0, 3, 1] {
            routes.close(id(request), &mut open, Time::ZERO);
        }
        let standings: Vec<_> = (0..5).map(|request| routes.standing(id(request))).collect();
        let (closed, unknown) = (Standing::Closed, Standing::Unknown);
        assert_eq!(standings, [unknown, closed, Standing::Open, closed, unknown]);
        routes.tick(Time::from_millis(60_000));
        assert_eq!((routes.tombstones(), routes.open_len()), (0, 1));
        routes.forget_all(&mut open);
        assert_eq!((routes.open_len(), routes.places.len(), open.len()), (0, 0, 0));
    }

    #[test]
    fn an_id_that_comes_again_gets_a_route_again() {
        let mut routes = Routes::new(Duration::from_secs(60), 2);
        let mut open = Open::default();
        routes.open(id(0), RouteKind::Http, &mut open);
        routes.close(id(0), &mut open, Time::ZERO);
        routes.open(id(0), RouteKind::WebSocket, &mut open);
        assert_eq!((routes.standing(id(0)), routes.tombstones()), (Standing::Open, 0));
    }
}
