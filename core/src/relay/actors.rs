//! What is open for each actor with state, on the connection of the runner that hosts it.

use bytestring::ByteString;
use hashbrown::HashMap;
use slab::Slab;

use super::routes::RouteKind;

/// What is open for an actor on a connection. It is there as long as something is.
#[derive(Debug)]
pub(super) struct ActorRoutes {
    connection: u64,
    actor_id: ByteString,
    /// Where the ring of its routes begins.
    pub(super) routes: Option<usize>,
    /// How many of them are exchanges of HTTP.
    exchanges: usize,
    /// The life that ends when they have.
    finishes: Option<u32>,
}

/// The exchanges of an actor that was to finish them have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) connection: u64,
    pub(super) actor_id: ByteString,
    pub(super) generation: u32,
}

/// All actors that have routes.
#[derive(Debug, Default)]
pub(super) struct Actors {
    actors: Slab<ActorRoutes>,
    places: HashMap<(u64, ByteString), usize>,
    finished: Vec<Finished>,
}

impl Actors {
    pub(super) fn find(&self, connection: u64, actor_id: &ByteString) -> Option<usize> {
        self.places.get(&(connection, actor_id.clone())).copied()
    }

    pub(super) fn get_mut(&mut self, actor: usize) -> &mut ActorRoutes {
        &mut self.actors[actor]
    }

    /// A route is opened for an actor.
    pub(super) fn join(&mut self, connection: u64, actor_id: &ByteString, kind: RouteKind) -> usize {
        let actor = self.find(connection, actor_id).unwrap_or_else(|| {
            // Copied: a slice would keep the whole frame that it came in.
            let actor_id = ByteString::from(&**actor_id);
            let routes =
                ActorRoutes { connection, actor_id: actor_id.clone(), routes: None, exchanges: 0, finishes: None };
            let actor = self.actors.insert(routes);
            self.places.insert((connection, actor_id), actor);
            actor
        });
        match kind {
            RouteKind::Http => self.actors[actor].exchanges += 1,
            RouteKind::WebSocket => {}
        }
        actor
    }

    /// A route of an actor was closed, and is in its ring no more.
    pub(super) fn leave(&mut self, actor: usize, kind: RouteKind) {
        let it = &mut self.actors[actor];
        match kind {
            RouteKind::Http => it.exchanges -= 1,
            RouteKind::WebSocket => {}
        }
        if it.exchanges == 0
            && let Some(generation) = it.finishes.take()
        {
            let finished = Finished { connection: it.connection, actor_id: it.actor_id.clone(), generation };
            self.finished.push(finished);
        }
        if it.routes.is_none() {
            self.forget(actor);
        }
    }

    /// A life is to end when its exchanges have. Whether they have.
    pub(super) fn finish(&mut self, connection: u64, actor_id: &ByteString, generation: u32) -> bool {
        match self.find(connection, actor_id).map(|actor| &mut self.actors[actor]) {
            Some(actor) if actor.exchanges > 0 => {
                actor.finishes = Some(generation);
                false
            }
            Some(_) | None => true,
        }
    }

    /// Nobody waits for an actor's exchanges any more.
    pub(super) fn finish_no_more(&mut self, connection: u64, actor_id: &ByteString) {
        if let Some(actor) = self.find(connection, actor_id) {
            self.actors[actor].finishes = None;
        }
    }

    pub(super) fn pop_finished(&mut self) -> Option<Finished> {
        self.finished.pop()
    }

    /// Forgets an actor whose routes are forgotten.
    pub(super) fn forget(&mut self, actor: usize) {
        if let Some(forgotten) = self.actors.try_remove(actor) {
            self.places.remove(&(forgotten.connection, forgotten.actor_id));
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.actors.is_empty() && self.places.is_empty() && self.finished.is_empty()
    }
}
