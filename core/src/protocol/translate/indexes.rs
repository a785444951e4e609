//! The indexes of version 3 and older: one count a direction orders all of a connection's events and commands.

use std::collections::VecDeque;

use bytestring::ByteString;
use hashbrown::HashMap;

/// What ties the counts of a connection to the checkpoints of its actors.
#[derive(Debug)]
pub(super) struct Indexes {
    next_command: i64,
    /// Commands that the runner has not acknowledged, in the order of their indexes.
    commands: VecDeque<SentCommand>,
    newest_event: i64,
    /// Actors with events that were not acknowledged.
    events: HashMap<ByteString, Unacknowledged>,
    /// The first event that found no room in `events`: no acknowledgement reaches it.
    first_untracked_event: Option<i64>,
}

#[derive(Debug)]
struct SentCommand {
    index: i64,
    actor_id: ByteString,
    actor_index: i64,
}

/// An actor's events lie between these, both included.
#[derive(Debug)]
struct Unacknowledged {
    /// The life that the newest of them tells of.
    generation: u32,
    oldest: i64,
    newest: i64,
}

impl Default for Indexes {
    fn default() -> Self {
        Indexes {
            next_command: 0,
            commands: VecDeque::new(),
            newest_event: Self::BEFORE_ANY_EVENT,
            events: HashMap::new(),
            first_untracked_event: None,
        }
    }
}

impl Indexes {
    /// What is said to have been taken where nothing was.
    pub(super) const BEFORE_ANY_EVENT: i64 = -1;
    /// How many commands may wait for their acknowledgement; of older ones, none is passed on.
    const MOST_COMMANDS: usize = 4_096;
    /// How many actors may have events that wait for theirs; the runner keeps those of others and repeats them.
    const MOST_ACTORS: usize = 65_536;

    /// The runner comes and says up to where it knows commands: the count goes on from there.
    pub(super) fn init(&mut self, last_command: Option<i64>) {
        self.next_command = last_command.map_or(0, |last| last.saturating_add(1));
    }

    /// A command goes to the runner; its index on the connection.
    pub(super) fn command(&mut self, actor_id: &ByteString, actor_index: i64) -> i64 {
        let index = self.next_command;
        self.next_command = index.saturating_add(1);
        if self.commands.len() == Self::MOST_COMMANDS {
            self.commands.pop_front();
        }
        self.commands.push_back(SentCommand { index, actor_id: actor_id.clone(), actor_index });
        index
    }

    /// The runner acknowledges commands; the last of each actor, in the order in which they were sent.
    pub(super) fn acknowledge_commands(&mut self, last: i64) -> Vec<(ByteString, i64)> {
        let mut acknowledged: Vec<(ByteString, i64)> = Vec::new();
        let mut places: HashMap<ByteString, usize> = HashMap::new();
        while let Some(command) = self.commands.pop_front_if(|command| command.index <= last) {
            let place = *places.entry(command.actor_id.clone()).or_insert(acknowledged.len());
            match acknowledged.get_mut(place) {
                Some((_, index)) => *index = command.actor_index,
                None => acknowledged.push((command.actor_id, command.actor_index)),
            }
        }
        acknowledged
    }

    /// An event came from the runner.
    pub(super) fn event(&mut self, actor_id: &ByteString, generation: u32, index: i64) {
        self.newest_event = self.newest_event.max(index);
        if let Some(events) = self.events.get_mut(actor_id) {
            events.generation = events.generation.max(generation);
            events.oldest = events.oldest.min(index);
            events.newest = events.newest.max(index);
        } else if self.events.len() < Self::MOST_ACTORS {
            self.events.insert(actor_id.clone(), Unacknowledged { generation, oldest: index, newest: index });
        } else {
            let first = self.first_untracked_event.map_or(index, |first| first.min(index));
            self.first_untracked_event = Some(first);
        }
    }

    /// The runner said that a life has stopped. Nothing of it is acknowledged any more, and nothing of it has to be said
    /// again: the next acknowledgement may pass over its events.
    pub(super) fn stopped(&mut self, actor_id: &str, generation: u32) {
        if self.events.get(actor_id).is_some_and(|events| events.generation <= generation) {
            self.events.remove(actor_id);
        }
    }

    /// The relay has taken an actor's events up to this one.
    pub(super) fn acknowledge_event(&mut self, actor_id: &str, index: i64) {
        if let Some(events) = self.events.get_mut(actor_id) {
            if events.newest <= index {
                self.events.remove(actor_id);
            } else {
                events.oldest = events.oldest.max(index.saturating_add(1));
            }
        }
    }

    /// Up to where all events were taken.
    pub(super) fn last_event(&self) -> i64 {
        let waiting = self.events.values().map(|events| events.oldest).chain(self.first_untracked_event).min();
        waiting.map_or(self.newest_event, |oldest| oldest.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_counted_on_and_acknowledged_for_each_actor() {
        let mut indexes = Indexes::default();
        indexes.init(Some(9));
        let (one, other) = (ByteString::from("one"), ByteString::from("other"));
        assert_eq!([indexes.command(&one, 0), indexes.command(&other, 5), indexes.command(&one, 1)], [10, 11, 12]);
        assert_eq!(indexes.acknowledge_commands(9), []);
        assert_eq!(indexes.acknowledge_commands(12), [(one.clone(), 1), (other, 5)]);
        assert_eq!(indexes.acknowledge_commands(12), []);
        for index in 0..10_000 {
            indexes.command(&one, index);
        }
        assert_eq!(indexes.commands.len(), Indexes::MOST_COMMANDS);
    }

    #[test]
    fn events_are_acknowledged_up_to_the_first_that_was_not_taken() {
        let mut indexes = Indexes::default();
        assert_eq!(indexes.last_event(), -1);
        let (one, other) = (ByteString::from("one"), ByteString::from("other"));
        for (actor, index) in [(&one, 4), (&other, 5), (&one, 6), (&other, 7)] {
            indexes.event(actor, 1, index);
        }
        assert_eq!(indexes.last_event(), 3);
        indexes.acknowledge_event("one", 6);
        assert_eq!(indexes.last_event(), 4);
        indexes.acknowledge_event("other", 5);
        assert_eq!(indexes.last_event(), 5);
        indexes.acknowledge_event("other", 7);
        assert_eq!(indexes.last_event(), 7);
        assert!(indexes.events.is_empty());
    }

    #[test]
    fn events_of_a_life_that_has_stopped_hold_up_no_others() {
        let mut indexes = Indexes::default();
        let (one, other) = (ByteString::from("one"), ByteString::from("other"));
        for (actor, generation, index) in [(&one, 1, 0), (&other, 1, 1), (&one, 1, 2)] {
            indexes.event(actor, generation, index);
        }
        assert_eq!(indexes.last_event(), -1);
        indexes.stopped("one", 1);
        assert_eq!(indexes.last_event(), 0);
        indexes.stopped("other", 1);
        assert_eq!(indexes.last_event(), 2);
        assert!(indexes.events.is_empty());
    }

    #[test]
    fn an_end_that_comes_late_hides_nothing_of_the_next_life() {
        let mut indexes = Indexes::default();
        let one = ByteString::from("one");
        indexes.event(&one, 2, 0);
        indexes.event(&one, 1, 1);
        indexes.stopped("one", 1);
        assert_eq!(indexes.last_event(), -1);
        indexes.stopped("one", 2);
        assert_eq!(indexes.last_event(), 1);
    }

    #[test]
    fn events_of_more_actors_than_fit_are_never_acknowledged() {
        let mut indexes = Indexes::default();
        let most = Indexes::MOST_ACTORS as i64;
        for index in 0..most + 2 {
            indexes.event(&index.to_string().into(), 1, index);
        }
        for index in 0..most + 2 {
            indexes.acknowledge_event(&index.to_string(), index);
        }
        assert_eq!(indexes.last_event(), most - 1);
    }
}
