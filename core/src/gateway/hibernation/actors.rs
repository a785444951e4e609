//! The actors of WebSockets that can hibernate, each and each pool kept once.

use core::hash::BuildHasher;

use bytestring::ByteString;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use slab::Slab;

use super::awaited::Awaited;
use crate::directory::{ActorKey, Pool};
use crate::http::Target;

/// The place of an actor among those that have WebSockets which can hibernate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct GroupKey(u32);

/// The place of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PoolKey(u32);

/// The WebSockets that can hibernate, by their actors.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Groups {
    groups: Slab<Group>,
    by_actor: HashTable<GroupKey>,
    hasher: DefaultHashBuilder,
    pools: Slab<KnownPool>,
    by_pool: HashMap<Pool, PoolKey>,
    awaited: usize,
}

/// An actor's.
#[derive(Debug)]
struct Group {
    pool: PoolKey,
    actor_id: Box<str>,
    /// How many they are.
    sockets: u32,
    /// While the actor is wanted for some that sleep.
    awaited: Option<Box<Awaited>>,
}

#[derive(Debug)]
struct KnownPool {
    pool: Pool,
    groups: u32,
}

impl Groups {
    /// How many actors there are.
    pub(in crate::gateway) fn len(&self) -> usize {
        self.groups.len()
    }

    /// One more WebSocket of an actor.
    pub(super) fn enter(&mut self, Target { pool, actor_id }: &Target) -> GroupKey {
        let pool = self.enter_pool(pool);
        if let Some(key) = self.find_in(pool, actor_id) {
            self.groups[key.0 as usize].sockets += 1;
            return key;
        }
        self.pools[pool.0 as usize].groups += 1;
        let actor_id: Box<str> = (**actor_id).into();
        let group = Group { pool, actor_id, sockets: 1, awaited: None };
        let key = GroupKey(u32::try_from(self.groups.insert(group)).expect("fewer than 2³² actors"));
        let (groups, hasher) = (&self.groups, &self.hasher);
        let hash = |key: &GroupKey| {
            let Group { pool, actor_id, .. } = &groups[key.0 as usize];
            hasher.hash_one((pool, &**actor_id))
        };
        self.by_actor.insert_unique(hash(&key), key, hash);
        key
    }

    fn enter_pool(&mut self, pool: &Pool) -> PoolKey {
        if let Some(key) = self.by_pool.get(pool) {
            return *key;
        }
        let known = KnownPool { pool: pool.clone(), groups: 0 };
        let key = PoolKey(u32::try_from(self.pools.insert(known)).expect("fewer than 2³² pools"));
        self.by_pool.insert(pool.clone(), key);
        key
    }

    fn find_in(&self, pool: PoolKey, actor_id: &str) -> Option<GroupKey> {
        let is_it = |key: &GroupKey| {
            let group = &self.groups[key.0 as usize];
            group.pool == pool && *group.actor_id == *actor_id
        };
        self.by_actor.find(self.hasher.hash_one((pool, actor_id)), is_it).copied()
    }

    /// A WebSocket of an actor is no more.
    pub(super) fn leave(&mut self, key: GroupKey) {
        let group = &mut self.groups[key.0 as usize];
        group.sockets -= 1;
        if group.sockets > 0 {
            return;
        }
        let hash = self.hasher.hash_one((group.pool, &*group.actor_id));
        if let Ok(found) = self.by_actor.find_entry(hash, |found| *found == key) {
            found.remove();
        }
        let pool = self.groups.remove(key.0 as usize).pool;
        self.pools[pool.0 as usize].groups -= 1;
        if self.pools[pool.0 as usize].groups == 0 {
            let KnownPool { pool, .. } = self.pools.remove(pool.0 as usize);
            self.by_pool.remove(&pool);
        }
    }

    /// What the directory calls an actor.
    pub(super) fn actor(&self, key: GroupKey) -> ActorKey {
        let Group { pool, actor_id, .. } = &self.groups[key.0 as usize];
        let pool = self.pools[pool.0 as usize].pool.clone();
        ActorKey { pool, actor_id: ByteString::from(&**actor_id) }
    }

    /// Whether an actor is wanted for WebSockets that sleep.
    pub(in crate::gateway) fn is_awaited(&self, actor: &ActorKey) -> bool {
        let group = self.by_pool.get(&actor.pool).and_then(|pool| self.find_in(*pool, &actor.actor_id));
        group.is_some_and(|key| self.groups[key.0 as usize].awaited.is_some())
    }

    /// The actors that are wanted for WebSockets that sleep.
    pub(in crate::gateway) fn awaited_actors(&self) -> Vec<ActorKey> {
        if self.awaited == 0 {
            return Vec::new();
        }
        let awaited = self.groups.iter().filter(|(_, group)| group.awaited.is_some());
        awaited.map(|(key, _)| self.actor(GroupKey(key as u32))).collect()
    }

    pub(super) fn awaited(&mut self, key: GroupKey) -> Option<&mut Awaited> {
        self.groups[key.0 as usize].awaited.as_deref_mut()
    }

    pub(super) fn begin_to_await(&mut self, key: GroupKey, awaited: Awaited) {
        self.awaited += 1;
        self.groups[key.0 as usize].awaited = Some(Box::new(awaited));
    }

    pub(super) fn await_no_more(&mut self, key: GroupKey) -> Option<Box<Awaited>> {
        let awaited = self.groups[key.0 as usize].awaited.take();
        self.awaited -= usize::from(awaited.is_some());
        awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(pool: &'static str, actor_id: &'static str) -> Target {
        Target { pool: Pool { namespace: "n".into(), name: pool.into() }, actor_id: actor_id.into() }
    }

    #[test]
    fn an_actor_and_its_pool_are_kept_once_and_until_the_last_of_their_sockets_left() {
        let mut groups = Groups::default();
        let [first, again] = [(); 2].map(|()| groups.enter(&target("p", "a")));
        let [other, elsewhere] = [("p", "b"), ("q", "a")].map(|(pool, actor)| groups.enter(&target(pool, actor)));
        assert!(first == again && first != other && first != elsewhere && other != elsewhere);
        assert_eq!((groups.len(), groups.pools.len()), (3, 2));
        assert_eq!((&*groups.actor(other).actor_id, &*groups.actor(elsewhere).pool.name), ("b", "q"));
        for (group, left) in [(first, 3), (other, 2), (elsewhere, 1), (again, 0)] {
            groups.leave(group);
            assert_eq!((groups.len(), groups.by_actor.len()), (left, left));
        }
        assert_eq!((groups.pools.len(), groups.by_pool.len()), (0, 0));
    }
}
