//! Which of several runners an actor belongs to: rendezvous hashing.
//!
//! All relays must come to the same choice, in all versions of Underpass, so the weight of a runner for an actor is
//! written down here: the 64-bit FNV-1a hash of the namespace, a byte 0xff, the pool's name, 0xff, the actor's id,
//! 0xff, and the 16 bytes of the runner's id; then mixed as SplitMix64 mixes (two rounds of shift, xor and multiply,
//! then shift and xor), since FNV alone hardly lets the last bytes touch the highest bits. (0xff is in no UTF-8.) The
//! runner with the greatest weight has the actor; of two with the same, the one with the greater id. A runner that
//! comes or goes moves only the actors that it wins or had.

use crate::directory::{ActorKey, RunnerId};

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The runner that an actor belongs to.
pub fn choose(actor: &ActorKey, runners: impl Iterator<Item = RunnerId>) -> Option<RunnerId> {
    Ballot::of(actor).choose(runners)
}

/// An actor's part of the weight.
#[derive(Clone, Copy, Debug)]
struct Ballot(u64);

impl Ballot {
    fn of(actor: &ActorKey) -> Self {
        let words = [&actor.pool.namespace, &actor.pool.name, &actor.actor_id];
        Ballot(words.into_iter().fold(OFFSET, |hash, word| fnv(fnv(hash, word.as_bytes()), &[0xff])))
    }

    /// How much the actor belongs to a runner.
    fn weight(self, runner: RunnerId) -> u64 {
        mix(fnv(self.0, runner.0.as_bytes()))
    }

    fn choose(self, runners: impl Iterator<Item = RunnerId>) -> Option<RunnerId> {
        runners.max_by_key(|runner| (self.weight(*runner), *runner))
    }
}

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::directory::Pool;

    fn actor(actor_id: String) -> ActorKey {
        let pool = Pool { namespace: "default".into(), name: "chat".into() };
        ActorKey { pool, actor_id: actor_id.into() }
    }

    fn runners(count: u128) -> impl Iterator<Item = RunnerId> {
        (1..=count).map(|number| RunnerId(Uuid::from_u128(number)))
    }

    #[test]
    fn the_weight_is_what_it_always_was() {
        let weight = Ballot::of(&actor("room-1".into())).weight(RunnerId(Uuid::from_u128(1)));
        assert_eq!(weight, 9_805_919_761_074_386_720);
    }

    #[test]
    fn actors_spread_over_runners_evenly() {
        let mut hosted = [0_u32; 8];
        for number in 0..8_000 {
            let chosen = choose(&actor(number.to_string()), runners(8)).unwrap();
            hosted[chosen.0.as_u128() as usize - 1] += 1;
        }
        assert!(hosted.iter().all(|count| (850..1_150).contains(count)), "{hosted:?}");
    }

    #[test]
    fn a_runner_that_comes_moves_only_the_actors_that_it_wins() {
        let newcomer = RunnerId(Uuid::from_u128(9));
        let moved = (0..9_000).filter(|number: &u32| {
            let actor = actor(number.to_string());
            let (before, after) = (choose(&actor, runners(8)), choose(&actor, runners(9)));
            assert!(before == after || after == Some(newcomer));
            before != after
        });
        assert!((850..1_150).contains(&moved.count()));
    }

    #[test]
    fn of_none_none_is_chosen() {
        assert_eq!(choose(&actor("a".into()), runners(0)), None);
    }
}
