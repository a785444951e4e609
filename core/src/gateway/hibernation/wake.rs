//! How a WebSocket wakes: a relay says that it has a route again.

use std::collections::{BTreeMap, BTreeSet};

use super::sleep::Because;
use super::sleeper::Kept;
use super::{Hibernation, Slot};
use crate::bus::ConnectionId;
use crate::gateway::Gateway;
use crate::gateway::request::{Deadline, Request, State};
use crate::gateway::runners::LinkKey;
use crate::machine::RequestKey;
use crate::machine::flow::{Inflow, Outflow};
use crate::observe::News;
use crate::protocol::Dialect;
use crate::protocol::to_gateway::{Restored, RouteOpen};
use crate::protocol::tunnel::to_client::{self, Credit};
use crate::time::Time;

/// What a relay said: a life of the actor runs on this connection, and the WebSocket has a route there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct Word {
    pub(in crate::gateway) connection: ConnectionId,
    pub(in crate::gateway) generation: u32,
}

/// Relays' words that are not followed yet: the directory has not shown the connection, or the WebSocket is still awake
/// on another. Each WebSocket has one at most.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Words(BTreeMap<ConnectionId, BTreeSet<RequestKey>>);

impl Words {
    fn insert(&mut self, connection: ConnectionId, key: RequestKey) {
        self.0.entry(connection).or_default().insert(key);
    }

    pub(super) fn remove(&mut self, connection: ConnectionId, key: RequestKey) {
        let Some(keys) = self.0.get_mut(&connection) else { return };
        keys.remove(&key);
        if keys.is_empty() {
            self.0.remove(&connection);
        }
    }

    /// How many there are.
    pub(in crate::gateway) fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }
}

/// How a relay's word stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Of a life that is over.
    Old,
    /// Of the life that it is awake in, where it is.
    Here,
    /// Of the life that it is awake in, on another connection: where it goes on when this one is lost.
    Elsewhere,
    /// Of another life than the one that it is awake in, or of a connection with which that goes on.
    Newer,
    /// It sleeps.
    Wakes,
}

impl Gateway {
    /// A relay opened a route for a WebSocket that it found in the registry.
    pub(in crate::gateway) fn restored(&mut self, restored: Restored, now: Time) {
        let Restored { gateway_id, request_id, connection, generation } = restored;
        let word = Word { connection: connection.into(), generation };
        let key = self.by_id.get(&request_id).copied().filter(|_| gateway_id == self.id);
        let Some((key, standing)) = key.and_then(|key| Some((key, self.standing(key, word)?))) else {
            return self.route_open(RouteOpen { gateway_id, request_id, connection });
        };
        match standing {
            Standing::Old => self.route_open(RouteOpen { gateway_id, request_id, connection }),
            // It says so until it has heard of this gateway.
            Standing::Here if !self.was_not_heard(key, now) => {}
            Standing::Elsewhere => self.remember(key, word),
            Standing::Here | Standing::Newer => {
                self.remember(key, word);
                self.fall_asleep(key, Because::WayIsLost, now);
            }
            Standing::Wakes => {
                self.remember(key, word);
                self.wake_if_told(key, now);
            }
        }
    }

    /// None if it is no WebSocket that can hibernate.
    fn standing(&self, key: RequestKey, word: Word) -> Option<Standing> {
        if let Some(sleeper) = self.requests.asleep(key) {
            let newest = sleeper.word().map_or(sleeper.generation, |word| word.generation);
            return Some(if word.generation < newest { Standing::Old } else { Standing::Wakes });
        }
        let request = self.requests.get(key)?;
        let hibernation = request.hibernation.as_ref()?;
        let is_here = self.connection_of(key) == Some(word.connection);
        // A runner of the published protocol has one connection, and that is the one that it came with last.
        let has_left = !is_here && request.dialect == Dialect::Published;
        Some(if word.generation < hibernation.newest() {
            Standing::Old
        } else if word.generation > hibernation.generation || has_left {
            Standing::Newer
        } else if is_here {
            Standing::Here
        } else {
            Standing::Elsewhere
        })
    }

    fn kept_mut(&mut self, key: RequestKey) -> Option<&mut Kept> {
        if self.requests.asleep(key).is_some() {
            return self.requests.asleep_mut(key).map(|sleeper| sleeper.kept_mut());
        }
        Some(&mut self.requests.get_mut(key)?.hibernation.as_mut()?.kept)
    }

    /// Keeps a relay's word in the place of an earlier one.
    fn remember(&mut self, key: RequestKey, word: Word) {
        let Some(kept) = self.kept_mut(key) else { return };
        let before = kept.word.replace(Box::new(word));
        if before.as_ref().is_some_and(|before| **before != word) {
            kept.take_early();
        }
        if let Some(before) = before {
            self.words.remove(before.connection, key);
        }
        self.words.insert(word.connection, key);
    }

    /// Wakes a WebSocket where a relay said that it has a route, if the directory has shown that connection.
    pub(super) fn wake_if_told(&mut self, key: RequestKey, now: Time) {
        let Some(word) = self.requests.asleep(key).and_then(|sleeper| sleeper.word()) else { return };
        if let Some(link) = self.runners.on(word.connection) {
            self.wake(key, link, word, now);
        }
    }

    fn wake(&mut self, key: RequestKey, link: LinkKey, word: Word, now: Time) {
        self.words.remove(word.connection, key);
        let abilities = self.runners.get(link).abilities;
        let Some(sleeper) = self.requests.asleep_mut(key) else { return };
        let (id, group, registration, is_paused) = (sleeper.id, sleeper.group, sleeper.registration, sleeper.is_paused);
        let mut kept = sleeper.take_kept();
        kept.word = None;
        let armed = [kept.start.take(), kept.again.take().map(|(armed, _)| armed)];
        let early = kept.take_early();
        let mut down = kept.unread.take().map_or_else(|| Inflow::new(None, false), |unread| *unread);
        down.restart(abilities.credit, abilities.numbers);
        let mut up = Outflow::restarted(abilities.credit, kept.backlog.first(), is_paused);
        let is_closing = kept.close.is_some();
        if is_closing {
            up.end();
        }
        let state = if is_closing { State::ClosingWebSocket } else { State::OpenWebSocket };
        let generation = word.generation;
        let hibernation = Hibernation { group, generation, registration, awake_since: Some(now), ack: None, kept };
        let place = self.attach(link, key, now);
        let deadline = is_closing.then(|| self.deadlines.arm(Deadline::WebSocketClose, key, now));
        let hibernation = Some(Box::new(hibernation));
        let woken = Request {
            state,
            place: Some(place),
            dialect: abilities.dialect,
            up,
            down,
            deadline,
            hibernation,
            ..Request::new(id, None, false)
        };
        armed.into_iter().for_each(|armed| self.cancel(armed));
        self.requests.replace(key, Slot::Awake(Box::new(woken)));
        self.counted.woken += 1;
        self.tell(key, |request| News::Woke { request });
        self.is_awake(key, group);
        self.tell_that_it_is_here(key);
        self.flush_kept(key, now);
        for message in early {
            self.tunnel_message(Some(word.connection), message, now);
        }
    }

    /// Nothing that was said over a route that was restored came to its relay: it is said anew.
    pub(in crate::gateway) fn wake_anew(&mut self, key: RequestKey, connection: ConnectionId, now: Time) {
        let hibernation = self.requests.get(key).and_then(|request| request.hibernation.as_ref());
        let Some(generation) = hibernation.map(|hibernation| hibernation.generation) else { return };
        self.remember(key, Word { connection, generation });
        self.fall_asleep(key, Because::WayIsLost, now);
    }

    /// Whether a relay that opened the route of a WebSocket has had the time to hear of it, and has not: what was said over
    /// the route is lost.
    fn was_not_heard(&self, key: RequestKey, now: Time) -> bool {
        let hibernation = self.requests.get(key).and_then(|request| request.hibernation.as_ref());
        let since = hibernation.and_then(|hibernation| hibernation.awake_since);
        // A runner that goes by numbers speaks only when the first word has come to it.
        let has_spoken = self.requests.get(key).is_some_and(|request| request.down.has_begun());
        !has_spoken && since.is_some_and(|since| now.since(since) > self.config.ping_interval)
    }

    /// The first word over a route that was restored: what its relay heard before is of an earlier life.
    fn tell_that_it_is_here(&mut self, key: RequestKey) {
        self.send(key, to_client::Kind::Credit(Credit { total: 0 }));
    }

    /// The directory shows a connection: those that sleep and were told of it wake there.
    pub(in crate::gateway) fn connection_shown(&mut self, connection: ConnectionId, now: Time) {
        for key in self.words.0.get(&connection).cloned().unwrap_or_default() {
            self.wake_if_told(key, now);
        }
    }

    /// A connection is gone: what was said of it is of no use.
    pub(in crate::gateway) fn forget_words(&mut self, connection: ConnectionId) {
        for key in self.words.0.remove(&connection).unwrap_or_default() {
            if let Some(kept) = self.kept_mut(key) {
                kept.word = None;
                kept.take_early();
            }
            if let Some(sleeper) = self.requests.asleep_mut(key) {
                sleeper.tidy();
            }
        }
    }
}
