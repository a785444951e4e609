//! The generations of actors, which version 4 leaves out of its acknowledgements.

use std::collections::VecDeque;

use bytestring::ByteString;
use hashbrown::HashMap;

/// The newest generation of each actor that was spoken of on a connection.
#[derive(Debug, Default)]
pub(super) struct Generations {
    newest: HashMap<ByteString, u32>,
    /// Those that stopped, the first to be forgotten in front: acknowledgements may come long after.
    stopped: VecDeque<(ByteString, u32)>,
}

impl Generations {
    /// How many stopped actors are remembered.
    const STOPPED: usize = 1_024;
    /// How many actors are remembered at all. One connection never hosts as many; a runner may invent them.
    const MOST: usize = 65_536;

    /// A message to or from an actor bore this generation.
    pub(super) fn saw(&mut self, actor_id: &ByteString, generation: u32) {
        if let Some(newest) = self.newest.get_mut(actor_id) {
            *newest = generation.max(*newest);
        } else if self.newest.len() < Self::MOST {
            self.newest.insert(actor_id.clone(), generation);
        }
    }

    /// The actor said that this generation has stopped.
    pub(super) fn stopped(&mut self, actor_id: &ByteString, generation: u32) {
        self.stopped.push_back((actor_id.clone(), generation));
        if self.stopped.len() > Self::STOPPED
            && let Some((actor_id, generation)) = self.stopped.pop_front()
            && self.newest.get(&actor_id) == Some(&generation)
        {
            self.newest.remove(&actor_id);
        }
    }

    /// The newest, or 0 if the actor was never spoken of.
    pub(super) fn of(&self, actor_id: &str) -> u32 {
        self.newest.get(actor_id).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_generation_is_found_until_long_after_its_stop() {
        let mut generations = Generations::default();
        let actor = ByteString::from("actor");
        assert_eq!(generations.of("actor"), 0);
        generations.saw(&actor, 3);
        generations.saw(&actor, 2);
        assert_eq!(generations.of("actor"), 3);
        generations.stopped(&actor, 3);
        assert_eq!(generations.of("actor"), 3);
    }

    #[test]
    fn stopped_actors_are_forgotten_in_the_end_but_not_if_they_started_again() {
        let mut generations = Generations::default();
        generations.saw(&"again".into(), 1);
        generations.stopped(&"again".into(), 1);
        generations.saw(&"again".into(), 2);
        for number in 0..10_000 {
            let actor = ByteString::from(number.to_string());
            generations.saw(&actor, 7);
            generations.stopped(&actor, 7);
        }
        assert_eq!(generations.newest.len(), Generations::STOPPED + 1);
        assert_eq!((generations.of("again"), generations.of("9999"), generations.of("0")), (2, 7, 0));
    }

    #[test]
    fn a_runner_cannot_invent_actors_without_end() {
        let mut generations = Generations::default();
        for number in 0..2 * Generations::MOST {
            generations.saw(&number.to_string().into(), 1);
        }
        assert_eq!(generations.newest.len(), Generations::MOST);
    }
}
