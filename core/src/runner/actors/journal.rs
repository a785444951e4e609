//! What a life has said of itself, as far as its relay may have to hear it again.

use bytestring::ByteString;

use crate::protocol::control::ActorCheckpoint;
use crate::protocol::to_server::{ActorIntent, ActorState, Event, EventWrapper};

/// The events of a life. One that a later one of its kind makes void is not kept, so there are few.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// In order, each with its index.
    events: Vec<(i64, Event)>,
    next: i64,
    announced: bool,
}

/// An event makes those of its kind before it void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    State,
    Sleep,
    Destroy,
    Alarm,
}

impl Kind {
    fn of(event: &Event) -> Kind {
        match event {
            Event::ActorStateUpdate { state: ActorState::Running | ActorState::Stopped(_) } => Kind::State,
            Event::ActorIntent { intent: ActorIntent::Sleep } => Kind::Sleep,
            Event::ActorIntent { intent: ActorIntent::Stop } => Kind::Destroy,
            Event::ActorSetAlarm { .. } => Kind::Alarm,
        }
    }
}

impl Journal {
    /// The life has started. What it said before goes behind that: its relay takes the first event of a life for its
    /// start.
    pub(super) fn open(&mut self) {
        self.announced = true;
        let before = core::mem::take(&mut self.events);
        self.next = 0;
        self.add(Event::ActorStateUpdate { state: ActorState::Running });
        for (_, event) in before {
            self.add(event);
        }
    }

    /// The life said something.
    pub(super) fn add(&mut self, event: Event) {
        let kind = Kind::of(&event);
        self.events.retain(|(_, before)| Kind::of(before) != kind);
        self.events.push((self.next, event));
        self.next += 1;
    }

    /// The life has ended. If it never started, that is all there is to say of it.
    pub(super) fn close(&mut self, stopped: ActorState) {
        if !self.announced {
            self.events.clear();
            self.next = 0;
        }
        self.announced = true;
        self.add(Event::ActorStateUpdate { state: stopped });
    }

    /// Whether the relay may hear of the life.
    pub(super) fn is_announced(&self) -> bool {
        self.announced
    }

    /// The relay took all events up to one. The newest is kept: it tells a relay that the life is there.
    pub(super) fn acknowledge(&mut self, index: i64) {
        let newest = self.newest();
        self.events.retain(|(event, _)| *event > index || Some(*event) == newest);
    }

    pub(super) fn newest(&self) -> Option<i64> {
        self.events.last().map(|(index, _)| *index)
    }

    /// What is kept, as it travels.
    pub(super) fn all(&self, actor_id: &ByteString, generation: u32) -> impl Iterator<Item = EventWrapper> {
        self.events.iter().map(move |(index, event)| wrapped(actor_id, generation, *index, event.clone()))
    }

    /// The newest event, as it travels.
    pub(super) fn last(&self, actor_id: &ByteString, generation: u32) -> Option<EventWrapper> {
        self.events.last().map(|(index, event)| wrapped(actor_id, generation, *index, event.clone()))
    }
}

pub(super) fn wrapped(actor_id: &ByteString, generation: u32, index: i64, inner: Event) -> EventWrapper {
    EventWrapper { checkpoint: ActorCheckpoint { actor_id: actor_id.clone(), generation, index }, inner }
}
