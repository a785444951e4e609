//! Routes: which request was issued to which connection, and so who may answer it.

use core::time::Duration;

use bytestring::ByteString;
use hashbrown::HashMap;
use slab::Slab;

use super::actors::{Actors, Finished};
use super::ending::Word;
use super::ring::{self, Links, LinksOf};
use super::strands::{self, Doubt, Strands};
use super::tombstones::Tombstones;
use crate::failure::RequestName;
use crate::machine::flow::Order;
use crate::protocol::{GatewayId, MessageId, MessageIndex, RequestId};
use crate::time::Time;

/// What a gateway has open on a connection.
#[derive(Debug)]
pub(super) struct StrandRoutes {
    pub(super) connection: u64,
    pub(super) gateway_id: GatewayId,
    pub(super) routes: Vec<RouteId>,
}

/// A request on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RouteId {
    pub(super) connection: u64,
    pub(super) gateway_id: GatewayId,
    pub(super) request_id: RequestId,
}

impl From<RouteId> for RequestName {
    fn from(RouteId { gateway_id, request_id, .. }: RouteId) -> Self {
        RequestName { gateway_id, request_id }
    }
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

/// The place of an open route, as long as nothing is closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

/// A gateway's piece of a request whose route is open.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    /// It is to be carried.
    Due(Place),
    /// One before it did not come.
    BehindGap,
    /// Its gateway said it before it knew that the socket had slept.
    Early,
}

/// All routes of a relay, and for a while those that were closed.
#[derive(Debug)]
pub(super) struct Routes {
    routes: Slab<Route>,
    places: HashMap<RouteId, usize>,
    strands: Strands,
    actors: Actors,
    tombstones: Tombstones,
}

#[derive(Debug)]
struct Route {
    id: RouteId,
    kind: RouteKind,
    /// What its gateway has open on its connection.
    strand: usize,
    /// What is open for its actor on its connection, if the actor has state.
    actor: Option<usize>,
    /// Bytes of it that wait for its connection's outbox.
    held: usize,
    /// Whether it is a WebSocket that can hibernate.
    hibernates: bool,
    /// The life with which it was restored, until its gateway has spoken over it.
    restored: Option<u32>,
    /// The number behind that of the last message that was carried to the runner; none: it was restored, and its gateway
    /// has not spoken.
    next: Option<MessageIndex>,
    /// Whether a message with a later number came, which waits to be sent again.
    missed: bool,
    /// The number behind that of the last message that was carried to the gateway.
    next_answer: MessageIndex,
    /// How many numbered messages were carried to the gateway, wrapping.
    answers: u32,
    /// The credit that the runner granted last, in all.
    granted: u32,
    /// In the ring of its strand.
    links: Links,
    /// In the ring of its actor, while it is open and if its actor has state.
    of_actor: Links,
}

impl Route {
    fn new(id: RouteId, kind: RouteKind, strand: usize, actor: Option<usize>) -> Self {
        Route {
            id,
            kind,
            strand,
            actor,
            held: 0,
            hibernates: false,
            restored: None,
            next: Some(0),
            missed: false,
            next_answer: 0,
            answers: 0,
            granted: 0,
            links: Links::default(),
            of_actor: Links::default(),
        }
    }
}

const OF_STRAND: LinksOf<Route> = |route| &mut route.links;
const OF_ACTOR: LinksOf<Route> = |route| &mut route.of_actor;

/// What is open on one connection.
#[derive(Debug, Default)]
pub(super) struct Open {
    routes: usize,
    /// Where the ring of its strands begins.
    strands: Option<usize>,
}

impl Open {
    /// How many routes.
    pub(super) fn len(&self) -> usize {
        self.routes
    }
}

impl Routes {
    pub(super) fn new(tombstone: Duration, max_tombstones: usize, gateway_silent: Duration) -> Self {
        Routes {
            routes: Slab::new(),
            places: HashMap::new(),
            strands: Strands::new(gateway_silent),
            actors: Actors::default(),
            tombstones: Tombstones::new(tombstone, max_tombstones),
        }
    }

    pub(super) fn standing(&self, id: RouteId) -> Standing {
        if self.places.contains_key(&id) {
            Standing::Open
        } else if self.tombstones.contains(id) {
            Standing::Closed
        } else {
            Standing::Unknown
        }
    }

    /// Opens a route that is unknown, for an actor if its actors have state.
    pub(super) fn open(
        &mut self,
        id: RouteId,
        kind: RouteKind,
        actor_id: Option<&ByteString>,
        open: &mut Open,
        now: Time,
    ) -> Place {
        let strand = self.strands.find_or_insert(id.connection, id.gateway_id, &mut open.strands);
        self.strands.heard(strand, now);
        let actor = actor_id.map(|actor_id| self.actors.join(id.connection, actor_id, kind));
        self.insert(Route::new(id, kind, strand, actor), open)
    }

    /// Opens a route for a WebSocket that slept, with a life of its actor. Its gateway has yet to speak.
    pub(super) fn restore(&mut self, id: RouteId, actor_id: &ByteString, generation: u32, open: &mut Open, now: Time) {
        let strand = self.strands.find_or_insert(id.connection, id.gateway_id, &mut open.strands);
        self.strands.awaits(strand, now);
        let actor = Some(self.actors.join(id.connection, actor_id, RouteKind::WebSocket));
        let route = Route::new(id, RouteKind::WebSocket, strand, actor);
        self.insert(Route { hibernates: true, restored: Some(generation), next: None, ..route }, open);
    }

    fn insert(&mut self, route: Route, open: &mut Open) -> Place {
        let Route { id, strand, actor, .. } = route;
        let route = self.routes.insert(route);
        if let Some(actor) = actor {
            ring::join(&mut self.routes, OF_ACTOR, &mut self.actors.get_mut(actor).routes, route);
        }
        ring::join(&mut self.routes, OF_STRAND, &mut self.strands.get_mut(strand).turn, route);
        self.places.insert(id, route);
        open.routes += 1;
        Place(route)
    }

    /// Closes a route, and leaves a tombstone. Whether it was open.
    pub(super) fn close(&mut self, id: RouteId, open: &mut Open, now: Time) -> bool {
        let Some(route) = self.places.get(&id).copied() else { return false };
        let &Route { kind, strand, actor, .. } = &self.routes[route];
        if let Some(actor) = actor {
            ring::leave(&mut self.routes, OF_ACTOR, &mut self.actors.get_mut(actor).routes, route);
            self.actors.leave(actor, kind);
        }
        let turn = &mut self.strands.get_mut(strand).turn;
        ring::leave(&mut self.routes, OF_STRAND, turn, route);
        if turn.is_none() {
            self.strands.remove(strand, &mut open.strands);
        }
        open.routes -= 1;
        self.remove(route);
        self.tombstones.lay(id, now);
        true
    }

    /// Leaves a tombstone for what is not to be opened: if the bus brings its opening once more, it is late.
    pub(super) fn refuse(&mut self, id: RouteId, now: Time) {
        self.tombstones.lay(id, now);
    }

    /// The requests of a connection that ended: its routes are forgotten without a tombstone, since nothing more can
    /// come on it. Answers with the gateways that had some.
    pub(super) fn forget_all(&mut self, open: &mut Open) -> Vec<GatewayId> {
        let mut gateways = Vec::new();
        for strand in self.strands.of_connection(open.strands) {
            gateways.push(self.strands.get_mut(strand).gateway_id);
            for route in ring::all(&mut self.routes, OF_STRAND, self.strands.get_mut(strand).turn) {
                if let Some(actor) = self.remove(route).actor {
                    self.actors.forget(actor);
                }
            }
            self.strands.remove(strand, &mut open.strands);
        }
        open.routes = 0;
        gateways
    }

    /// A gateway said something about a connection: it lives.
    pub(super) fn heard(&mut self, connection: u64, gateway_id: GatewayId, now: Time) {
        if let Some(strand) = self.strands.find(connection, gateway_id) {
            self.strands.heard(strand, now);
        }
    }

    /// One of the requests that a gateway has open on a connection: each in turn.
    pub(super) fn name(&mut self, connection: u64, gateway_id: GatewayId) -> Option<RequestId> {
        let strand = self.strands.find(connection, gateway_id)?;
        let turn = &mut self.strands.get_mut(strand).turn;
        let named = (*turn)?;
        *turn = Some(ring::after(&mut self.routes, OF_STRAND, named));
        Some(self.routes[named].id.request_id)
    }

    /// The next gateway that has been silent for too long, and what it has open there.
    pub(super) fn pop_silent(&mut self, now: Time) -> Option<StrandRoutes> {
        let strand = self.strands.pop_silent(now)?;
        Some(self.strand(strand))
    }

    /// What a gateway has open, by connection.
    pub(super) fn of_gateway(&mut self, gateway_id: GatewayId) -> Vec<StrandRoutes> {
        self.strands.of_gateway(gateway_id).into_iter().map(|strand| self.strand(strand)).collect()
    }

    /// What all gateways have open, by connection.
    pub(super) fn of_all_gateways(&mut self) -> Vec<StrandRoutes> {
        self.strands.all().into_iter().map(|strand| self.strand(strand)).collect()
    }

    /// What a gateway has open on a connection.
    pub(super) fn on_strand(&mut self, connection: u64, gateway_id: GatewayId) -> Option<StrandRoutes> {
        let strand = self.strands.find(connection, gateway_id)?;
        Some(self.strand(strand))
    }

    /// Whether it is in doubt what came of what a gateway has open on a connection.
    pub(super) fn doubt_mut(&mut self, connection: u64, gateway_id: GatewayId) -> Option<&mut Doubt> {
        let strand = self.strands.find(connection, gateway_id)?;
        Some(&mut self.strands.get_mut(strand).doubt)
    }

    /// All routes of a connection.
    pub(super) fn of_connection(&mut self, open: &Open) -> Vec<RouteId> {
        let strands = self.strands.of_connection(open.strands);
        strands.into_iter().flat_map(|strand| self.strand(strand).routes).collect()
    }

    /// What is open for an actor on a connection.
    pub(super) fn of_actor(&mut self, connection: u64, actor_id: &ByteString) -> Vec<RouteId> {
        let first = self.actors.find(connection, actor_id).and_then(|actor| self.actors.get_mut(actor).routes);
        let routes = ring::all(&mut self.routes, OF_ACTOR, first);
        routes.into_iter().map(|route| self.routes[route].id).collect()
    }

    /// A life is to end when its exchanges have. Whether they have; if not, it is said when they do.
    pub(super) fn finish(&mut self, connection: u64, actor_id: &ByteString, generation: u32) -> bool {
        self.actors.finish(connection, actor_id, generation)
    }

    /// Nobody waits for an actor's exchanges any more.
    pub(super) fn finish_no_more(&mut self, connection: u64, actor_id: &ByteString) {
        self.actors.finish_no_more(connection, actor_id);
    }

    /// An actor whose exchanges have ended since that was asked for.
    pub(super) fn pop_finished(&mut self) -> Option<Finished> {
        self.actors.pop_finished()
    }

    fn strand(&mut self, strand: usize) -> StrandRoutes {
        let &mut strands::Strand { connection, gateway_id, turn, .. } = self.strands.get_mut(strand);
        let routes = ring::all(&mut self.routes, OF_STRAND, turn);
        let routes = routes.into_iter().map(|route| self.routes[route].id).collect();
        StrandRoutes { connection, gateway_id, routes }
    }

    /// A gateway speaks over a route: from now on it knows of it.
    pub(super) fn spoken_to(&mut self, id: RouteId) -> Standing {
        match self.places.get(&id) {
            Some(place) => self.routes[*place].restored = None,
            None => return self.standing(id),
        }
        Standing::Open
    }

    /// The life with which an open route was restored, if its gateway has not spoken over it since.
    pub(super) fn restored(&self, id: RouteId) -> Option<u32> {
        self.routes[*self.places.get(&id)?].restored
    }

    /// A gateway says that its next message over a route that was restored bears this number.
    pub(super) fn begin_at(&mut self, id: RouteId, next: MessageIndex) {
        if let Some(place) = self.places.get(&id) {
            let route = &mut self.routes[*place];
            (route.next, route.missed) = (Some(next), false);
        }
    }

    /// The runner took a WebSocket that can hibernate.
    pub(super) fn can_hibernate(&mut self, id: RouteId) {
        if let Some(place) = self.places.get(&id) {
            self.routes[*place].hibernates = true;
        }
    }

    /// Whether an open route is of a WebSocket that can hibernate.
    pub(super) fn hibernates(&self, id: RouteId) -> bool {
        self.places.get(&id).is_some_and(|place| self.routes[*place].hibernates)
    }

    /// What an open route is for, and the number that the next message to the runner has.
    pub(super) fn next(&self, id: RouteId) -> Option<(RouteKind, MessageIndex)> {
        let Route { kind, next, .. } = &self.routes[*self.places.get(&id)?];
        Some((*kind, next.unwrap_or_default()))
    }

    /// Where an open route is.
    pub(super) fn find(&self, id: RouteId) -> Option<Place> {
        self.places.get(&id).copied().map(Place)
    }

    /// A gateway's piece of a request, if its route is open.
    pub(super) fn piece(&self, id: RouteId, number: MessageIndex) -> Option<Piece> {
        let place = self.find(id)?;
        let Route { restored, next, .. } = &self.routes[place.0];
        Some(match (restored, next.map(|next| order(number, next))) {
            (Some(_), _) => Piece::Early,
            (None, Some(Order::Gap)) => Piece::BehindGap,
            (None, Some(Order::Next | Order::Repeat) | None) => Piece::Due(place),
        })
    }

    /// Where a gateway's message stands among those of an open route that were carried.
    pub(super) fn order(&self, id: RouteId, number: MessageIndex) -> Option<Order> {
        let next = self.routes[*self.places.get(&id)?].next?;
        Some(order(number, next))
    }

    /// A message of an open route was carried to the runner.
    pub(super) fn carried(&mut self, Place(place): Place, number: MessageIndex) {
        let route = &mut self.routes[place];
        route.missed = false;
        advance(route.next.get_or_insert(number), number);
    }

    /// A message before another of an open route did not come. Whether that is news.
    pub(super) fn missed(&mut self, id: RouteId) -> bool {
        let place = self.places.get(&id);
        place.is_some_and(|place| !core::mem::replace(&mut self.routes[*place].missed, true))
    }

    /// The number that the next message to the gateway of an open route has.
    pub(super) fn next_answer(&self, id: RouteId) -> Option<MessageIndex> {
        Some(self.routes[*self.places.get(&id)?].next_answer)
    }

    /// A message of an open route was carried to the gateway.
    pub(super) fn answered(&mut self, Place(place): Place, number: MessageIndex) {
        let route = &mut self.routes[place];
        route.answers = route.answers.wrapping_add(1);
        advance(&mut route.next_answer, number);
    }

    /// The runner of an open route granted so much in all.
    pub(super) fn granted(&mut self, Place(place): Place, total: u32) {
        self.routes[place].granted = total;
    }

    /// How many numbered messages of an open route were carried to its gateway, and what its runner granted last.
    pub(super) fn answers(&self, id: RouteId) -> Option<(u32, u32)> {
        let Route { answers, granted, .. } = &self.routes[*self.places.get(&id)?];
        Some((*answers, *granted))
    }

    /// The gateway of a closed route is told how it ended.
    pub(super) fn inscribe(&mut self, id: RouteId, word: Word) {
        self.tombstones.inscribe(id, word);
    }

    /// What the gateway of a closed route was told.
    pub(super) fn last_word(&self, id: RouteId) -> Option<Word> {
        self.tombstones.word(id)
    }

    /// Bytes of a route that wait for its connection's outbox, to count.
    pub(super) fn held_mut(&mut self, id: RouteId) -> Option<&mut usize> {
        let place = self.places.get(&id)?;
        Some(&mut self.routes[*place].held)
    }

    /// Forgets closed routes whose time has come.
    pub(super) fn tick(&mut self, now: Time) {
        self.tombstones.tick(now);
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.tombstones.next_due().into_iter().chain(self.strands.next_due()).min()
    }

    /// Deadlines armed, those of tombstones aside.
    pub(super) fn deadlines(&self) -> usize {
        self.strands.deadlines()
    }

    pub(super) fn open_len(&self) -> usize {
        self.routes.len()
    }

    pub(super) fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    fn remove(&mut self, route: usize) -> Route {
        let route = self.routes.remove(route);
        self.places.remove(&route.id);
        route
    }
}

/// Where a message stands, if the next has this number.
fn order(number: MessageIndex, next: MessageIndex) -> Order {
    match number.wrapping_sub(next) as i16 {
        0 => Order::Next,
        1.. => Order::Gap,
        ..0 => Order::Repeat,
    }
}

/// The number behind that of a message. The bus may bring one twice: that does not turn the count back.
fn advance(next: &mut MessageIndex, number: MessageIndex) {
    if number.wrapping_sub(*next) as i16 >= 0 {
        *next = number.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Duration = Duration::from_secs(30);

    fn id(request: u8) -> RouteId {
        RouteId { connection: 1, gateway_id: GatewayId([1; 4]), request_id: RequestId([request; 4]) }
    }

    fn routes() -> Routes {
        Routes::new(Duration::from_secs(60), 2, SILENT)
    }

    #[test]
    fn a_closed_route_is_remembered_for_a_while_and_in_bounded_number() {
        let mut routes = routes();
        let mut open = Open::default();
        for request in 0..4 {
            routes.open(id(request), RouteKind::Http, None, &mut open, Time::ZERO);
        }
        for request in [0, 3, 1] {
            assert!(routes.close(id(request), &mut open, Time::ZERO));
            assert!(!routes.close(id(request), &mut open, Time::ZERO));
        }
        let standings: Vec<_> = (0..5).map(|request| routes.standing(id(request))).collect();
        let (closed, unknown) = (Standing::Closed, Standing::Unknown);
        assert_eq!(standings, [unknown, closed, Standing::Open, closed, unknown]);
        routes.tick(Time::from_millis(60_000));
        assert_eq!((routes.tombstones(), routes.open_len()), (0, 1));
        assert_eq!(routes.forget_all(&mut open), [GatewayId([1; 4])]);
        assert_eq!((routes.open_len(), routes.places.len(), open.len()), (0, 0, 0));
        assert!(routes.strands.is_empty());
    }

    #[test]
    fn a_message_that_is_carried_twice_does_not_turn_the_count_back() {
        let mut routes = routes();
        routes.open(id(0), RouteKind::WebSocket, None, &mut Open::default(), Time::ZERO);
        for (number, next) in [(0, 1), (3, 4), (1, 4), (3, 4), (4, 5), (32_773, 5), (32_772, 32_773), (u16::MAX, 0)] {
            let place = routes.find(id(0)).expect("it is open");
            routes.carried(place, number);
            routes.answered(place, number);
            assert_eq!(routes.next(id(0)), Some((RouteKind::WebSocket, next)), "behind {number}");
            assert_eq!(routes.next_answer(id(0)), Some(next), "behind {number}");
        }
    }

    #[test]
    fn what_was_refused_is_remembered_as_what_was_closed_is() {
        let mut routes = routes();
        routes.refuse(id(0), Time::ZERO);
        routes.refuse(id(0), Time::ZERO);
        assert_eq!((routes.standing(id(0)), routes.tombstones()), (Standing::Closed, 1));
        routes.tick(Time::from_millis(60_000));
        assert_eq!((routes.standing(id(0)), routes.tombstones()), (Standing::Unknown, 0));
    }

    #[test]
    fn what_is_open_takes_turns_in_being_named_also_when_some_of_it_ends() {
        let mut routes = routes();
        let mut open = Open::default();
        let name = |routes: &mut Routes| routes.name(1, GatewayId([1; 4])).map(|request| request.0[0]);
        assert_eq!(name(&mut routes), None);
        for request in 0..3 {
            routes.open(id(request), RouteKind::Http, None, &mut open, Time::ZERO);
        }
        let named: Vec<_> = (0..4).map(|_| name(&mut routes)).collect();
        assert_eq!(named, [Some(0), Some(1), Some(2), Some(0)]);
        routes.close(id(1), &mut open, Time::ZERO);
        let named: Vec<_> = (0..3).map(|_| name(&mut routes)).collect();
        assert_eq!(named, [Some(2), Some(0), Some(2)]);
        for request in [0, 2] {
            routes.close(id(request), &mut open, Time::ZERO);
        }
        assert_eq!(name(&mut routes), None);
        assert!(routes.strands.is_empty());
    }

    #[test]
    fn a_gateway_is_silent_from_its_last_word_on() {
        let mut routes = routes();
        let mut open = Open::default();
        routes.open(id(0), RouteKind::Http, None, &mut open, Time::ZERO);
        routes.heard(1, GatewayId([1; 4]), Time::from_millis(10_000));
        assert!(routes.pop_silent(Time::from_millis(39_999)).is_none());
        let strand = routes.pop_silent(Time::from_millis(40_000)).expect("its time has come");
        assert_eq!((strand.connection, strand.routes), (1, vec![id(0)]));
        assert_eq!(routes.of_gateway(GatewayId([1; 4])).len(), 1);
        routes.close(id(0), &mut open, Time::ZERO);
        assert!(routes.strands.is_empty());
    }

    #[test]
    fn an_actor_has_finished_when_its_last_exchange_has_ended_whatever_sockets_it_has() {
        let mut routes = routes();
        let mut open = Open::default();
        let actor = ByteString::from_static("actor");
        assert!(routes.finish(1, &actor, 3), "it has none");
        for (request, kind) in [(0, RouteKind::Http), (1, RouteKind::WebSocket), (2, RouteKind::Http)] {
            routes.open(id(request), kind, Some(&actor), &mut open, Time::ZERO);
        }
        routes.open(id(3), RouteKind::Http, Some(&"other".into()), &mut open, Time::ZERO);
        assert!(!routes.finish(1, &actor, 3));
        routes.close(id(0), &mut open, Time::ZERO);
        routes.close(id(3), &mut open, Time::ZERO);
        assert_eq!(routes.pop_finished(), None);
        routes.close(id(2), &mut open, Time::ZERO);
        let finished = Finished { connection: 1, actor_id: actor.clone(), generation: 3 };
        assert_eq!((routes.pop_finished(), routes.pop_finished()), (Some(finished), None));
        assert_eq!(routes.of_actor(1, &actor), [id(1)]);
        routes.forget_all(&mut open);
        assert_eq!(routes.of_actor(1, &actor), []);
        assert!(routes.actors.is_empty());
    }
}
