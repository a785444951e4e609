//! What the handlers of actors have saved of their sockets. It outlives every process. As with an actor's store, only
//! the newest life writes.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use underpass_core::failure::RequestName;
use underpass_core::runner::SocketId;

/// The socket of a name on the wire.
pub fn socket(name: RequestName) -> SocketId {
    SocketId { gateway_id: name.gateway_id, request_id: name.request_id }
}

/// The name of a socket on the wire.
pub fn name(socket: SocketId) -> RequestName {
    RequestName { gateway_id: socket.gateway_id, request_id: socket.request_id }
}

/// What a handler has saved of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Whose socket it is.
    pub client: u32,
    /// How many messages were handled.
    pub handled: u32,
}

/// What was saved.
#[derive(Debug, Default)]
pub struct Store {
    actors: BTreeMap<ByteString, Shelf>,
    /// All sockets of which anything ever was saved.
    known: BTreeSet<SocketId>,
}

#[derive(Debug, Default)]
struct Shelf {
    newest: u32,
    /// How often a life began, be it the same twice.
    lives: u32,
    sockets: BTreeMap<SocketId, Saved>,
}

impl Store {
    /// A life of an actor begins: no older one writes any more.
    pub fn begins(&mut self, actor: &ByteString, generation: u32) {
        let shelf = self.actors.entry(actor.clone()).or_default();
        shelf.newest = shelf.newest.max(generation);
        shelf.lives += 1;
    }

    /// How many lives of an actor have begun.
    pub fn lives(&self, actor: &ByteString) -> u32 {
        self.actors.get(actor).map_or(0, |shelf| shelf.lives)
    }

    /// What an actor has saved, in order.
    pub fn of(&self, actor: &ByteString) -> Vec<(SocketId, Saved)> {
        let sockets = self.actors.get(actor).map(|shelf| &shelf.sockets);
        sockets.into_iter().flatten().map(|(socket, saved)| (*socket, *saved)).collect()
    }

    /// What is saved of a socket.
    pub fn get(&self, actor: &ByteString, socket: SocketId) -> Option<Saved> {
        self.actors.get(actor)?.sockets.get(&socket).copied()
    }

    /// Whether anything ever was saved of a socket.
    pub fn knew(&self, socket: SocketId) -> bool {
        self.known.contains(&socket)
    }

    /// A life saves what it has of a socket, or that it has it no more. Whether it may.
    pub fn save(&mut self, actor: &ByteString, generation: u32, socket: SocketId, saved: Option<Saved>) -> bool {
        let shelf = self.actors.entry(actor.clone()).or_default();
        if generation < shelf.newest {
            return false;
        }
        match saved {
            Some(saved) => {
                self.known.insert(socket);
                shelf.sockets.insert(socket, saved);
            }
            None => drop(shelf.sockets.remove(&socket)),
        }
        true
    }
}
