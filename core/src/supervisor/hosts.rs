//! The runners that a supervisor keeps in mind: its relay's, those that take actors elsewhere, and those that have any.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use hashbrown::HashMap;

use super::actors::ActorSlot;
use super::held::Held;
use crate::directory::{Pool, Revision, RunnerId, RunnerKey};
use crate::machine::deadline::Armed;
use crate::protocol::to_server::EventWrapper;

/// A runner of a pool with state.
#[derive(Debug)]
pub(super) struct Host {
    /// Its place in the directory; none while only actors' records tell of it.
    pub(super) key: Option<RunnerKey>,
    /// Of what is known of it.
    pub(super) revision: Option<Revision>,
    pub(super) slots: u32,
    pub(super) presence: Presence,
    /// Its connection to this relay.
    pub(super) here: Option<Here>,
    /// The actors that it has, or is to have.
    pub(super) actors: BTreeSet<ActorSlot>,
}

/// Whether a runner is there.
#[derive(Debug)]
pub(super) enum Presence {
    /// It is connected: here, or at another relay that the directory must tell of again in time.
    There { ready: bool, unseen: Option<Armed> },
    /// It is connected nowhere, and may come back. Its time does not run while the directory is away.
    Away { lost: Option<Armed> },
    /// It stayed away for so long that its actors have stopped.
    Lost,
}

impl Presence {
    pub(super) fn take_armed(&mut self) -> Option<Armed> {
        match self {
            Presence::There { unseen, .. } => unseen.take(),
            Presence::Away { lost } => lost.take(),
            Presence::Lost => None,
        }
    }
}

/// A runner's connection to this relay.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) connection: u64,
    pub(super) session: Session,
    /// Whether its WebSockets can hibernate.
    pub(super) hibernates: bool,
    /// Whether it said goodbye.
    pub(super) stopping: bool,
    /// Whether this connection drains.
    pub(super) draining: bool,
    /// The actors whose WebSockets are still to be restored, though their runner may say something on them.
    pub(super) restoring: BTreeSet<ActorSlot>,
    /// The actors that it announced and that the directory does not give it, with their generations; and when they
    /// are stopped.
    pub(super) strays: BTreeMap<ByteString, u32>,
    pub(super) stray: Option<Armed>,
    /// The actors of which an older life was told to stop here, and its generation: until it has, or its time is over,
    /// no other is started.
    pub(super) outlived: BTreeMap<ByteString, u32>,
    pub(super) outlived_stop: Option<Armed>,
    /// The actors whose events are to be acknowledged, and when.
    pub(super) unacknowledged: Vec<ActorSlot>,
    pub(super) acknowledge: Option<Armed>,
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Session {
    /// Its first pong has not come. What it says is held.
    Greeted { held: Held },
    /// Its pong came, but the directory has not shown the actors.
    Answered { held: Held },
    /// It is known what it has.
    Settled,
}

impl Here {
    pub(super) fn new(connection: u64, hibernates: bool) -> Self {
        Here {
            connection,
            session: Session::Greeted { held: Held::default() },
            hibernates,
            stopping: false,
            draining: false,
            restoring: BTreeSet::new(),
            strays: BTreeMap::new(),
            stray: None,
            outlived: BTreeMap::new(),
            outlived_stop: None,
            unacknowledged: Vec::new(),
            acknowledge: None,
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        match self.session {
            Session::Settled => true,
            Session::Greeted { .. } | Session::Answered { .. } => false,
        }
    }

    /// Whether it takes actors.
    pub(super) fn is_ready(&self) -> bool {
        self.is_settled() && !self.stopping && !self.draining
    }

    /// Whether its pong came, and nothing was made of it yet.
    pub(super) fn has_answered(&self) -> bool {
        match self.session {
            Session::Answered { .. } => true,
            Session::Greeted { .. } | Session::Settled => false,
        }
    }

    /// It is known what it has. What it said until then.
    pub(super) fn settle(&mut self) -> Vec<EventWrapper> {
        match core::mem::replace(&mut self.session, Session::Settled) {
            Session::Greeted { held } | Session::Answered { held } => held.into_events(),
            Session::Settled => Vec::new(),
        }
    }

    /// An actor that it announced is none that nobody knows. Whether it was one.
    pub(super) fn forget(&mut self, actor_id: &ByteString) -> bool {
        self.strays.remove(actor_id).is_some()
    }

    fn held(&self) -> Option<&Held> {
        match &self.session {
            Session::Greeted { held } | Session::Answered { held } => Some(held),
            Session::Settled => None,
        }
    }
}

impl Host {
    pub(super) fn new(presence: Presence) -> Self {
        Host { key: None, revision: None, slots: 0, presence, here: None, actors: BTreeSet::new() }
    }

    /// Whether it takes actors, if it has room.
    pub(super) fn is_ready(&self) -> bool {
        match (&self.here, &self.presence) {
            (Some(here), _) => here.is_ready(),
            (None, Presence::There { ready, .. }) => *ready,
            (None, Presence::Away { .. } | Presence::Lost) => false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        (self.actors.len() as u64) < u64::from(self.slots)
    }

    pub(super) fn is_lost(&self) -> bool {
        match self.presence {
            Presence::Lost => true,
            Presence::There { .. } | Presence::Away { .. } => false,
        }
    }

    /// Whether it may come back, to what it had.
    pub(super) fn is_away(&self) -> bool {
        match self.presence {
            Presence::Away { .. } => true,
            Presence::There { .. } | Presence::Lost => false,
        }
    }

    pub(super) fn is_settled_here(&self) -> bool {
        self.here.as_ref().is_some_and(Here::is_settled)
    }

    /// Whether nothing speaks for keeping it in mind.
    fn is_over(&self) -> bool {
        match self.presence {
            Presence::There { .. } => false,
            Presence::Away { .. } | Presence::Lost => self.here.is_none() && self.actors.is_empty(),
        }
    }
}

/// What a pool's actors and runners wait for.
#[derive(Debug, Default)]
pub(super) struct PoolEntry {
    /// The runners that take actors, if they have room.
    pub(super) ready: BTreeSet<RunnerId>,
    /// The actors that wait for one.
    pub(super) waiting: BTreeSet<ActorSlot>,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) hosts: BTreeMap<RunnerId, Host>,
    keys: HashMap<RunnerKey, RunnerId>,
    connections: HashMap<u64, RunnerId>,
    pools: HashMap<Pool, PoolEntry>,
}

impl Hosts {
    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }

    pub(super) fn get(&self, id: RunnerId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: RunnerId) -> Option<&mut Host> {
        self.hosts.get_mut(&id)
    }

    pub(super) fn by_key(&self, key: &RunnerKey) -> Option<RunnerId> {
        self.keys.get(key).copied()
    }

    /// Names a runner. Answers with the one that had the key before, if it is another.
    pub(super) fn name(&mut self, id: RunnerId, key: &RunnerKey) -> Option<RunnerId> {
        let host = self.hosts.get_mut(&id)?;
        if host.key.as_ref() != Some(key) {
            host.key = Some(key.clone());
        }
        self.keys.insert(key.clone(), id).filter(|before| *before != id)
    }

    pub(super) fn connect(&mut self, connection: u64, id: RunnerId) {
        self.connections.insert(connection, id);
    }

    pub(super) fn disconnect(&mut self, connection: u64) -> Option<RunnerId> {
        self.connections.remove(&connection)
    }

    /// Whose connection it is, or was before another took its place.
    pub(super) fn of_connection(&self, connection: u64) -> Option<RunnerId> {
        self.connections.get(&connection).copied()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The runner whose connection it is.
    pub(super) fn here(&mut self, connection: u64) -> Option<(RunnerId, &mut Here)> {
        let id = *self.connections.get(&connection)?;
        let here = self.hosts.get_mut(&id)?.here.as_mut()?;
        (here.connection == connection).then_some((id, here))
    }

    /// Forgets a runner of which nothing is left. Answers with what was armed for it.
    pub(super) fn sweep(&mut self, id: RunnerId) -> Option<Armed> {
        if !self.hosts.get(&id)?.is_over() {
            return None;
        }
        let mut host = self.hosts.remove(&id)?;
        if let Some(key) = &host.key
            && self.keys.get(key) == Some(&id)
        {
            self.keys.remove(key);
        }
        host.presence.take_armed()
    }

    pub(super) fn pool(&self, pool: &Pool) -> Option<&PoolEntry> {
        self.pools.get(pool)
    }

    /// Changes what is known of a pool.
    pub(super) fn change_pool<T>(&mut self, pool: &Pool, change: impl FnOnce(&mut PoolEntry) -> T) -> T {
        if !self.pools.contains_key(pool) {
            self.pools.insert(pool.clone(), PoolEntry::default());
        }
        let entry = self.pools.get_mut(pool).expect("it is there now");
        let changed = change(entry);
        if entry.ready.is_empty() && entry.waiting.is_empty() {
            self.pools.remove(pool);
        }
        changed
    }

    /// All runners, in the order of their ids.
    pub(super) fn ids(&self) -> Vec<RunnerId> {
        self.hosts.keys().copied().collect()
    }

    /// What is held of what was said on connections whose pong has not come: how many events, and their bytes.
    pub(super) fn held(&self) -> (usize, usize) {
        let held = self.hosts.values().filter_map(|host| host.here.as_ref()).filter_map(Here::held);
        held.fold((0, 0), |(events, bytes), held| (events + held.len(), bytes + held.bytes()))
    }

    /// How many actors wait.
    pub(super) fn waiting(&self) -> usize {
        // A sum does not show the order.
        #[allow(clippy::iter_over_hash_type)]
        self.pools.values().map(|pool| pool.waiting.len()).sum()
    }
}
