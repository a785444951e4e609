//! What a runner says before it is known what it has.

use bytestring::ByteString;

use crate::protocol::control::ActorCheckpoint;
use crate::protocol::to_server::{ActorState, Event, EventWrapper};

/// Of the message with which an actor stopped so much is kept, bytes.
const LONGEST_MESSAGE: usize = 1_024;

/// What an event takes besides its texts, bytes.
const WEIGHT: usize = 128;

/// Events of a connection, in order. They are copied: a slice would keep the whole frame that it came in.
#[derive(Debug, Default)]
pub(super) struct Held {
    events: Vec<EventWrapper>,
    bytes: usize,
}

/// How much may be held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Held {
    /// Holds an event if there is room; else it comes back.
    pub(super) fn push(&mut self, event: EventWrapper, room: Room) -> Result<(), EventWrapper> {
        let takes = WEIGHT + event.checkpoint.actor_id.len() + message(&event.inner).len();
        if self.events.len() >= room.events || self.bytes + takes > room.bytes {
            return Err(event);
        }
        self.bytes += takes;
        self.events.push(copied(event));
        Ok(())
    }

    pub(super) fn into_events(self) -> Vec<EventWrapper> {
        self.events
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn message(event: &Event) -> &str {
    match event {
        Event::ActorStateUpdate { state: ActorState::Stopped(stopped) } => {
            let message = stopped.message.as_deref().unwrap_or_default();
            &message[..message.floor_char_boundary(LONGEST_MESSAGE)]
        }
        Event::ActorStateUpdate { state: ActorState::Running }
        | Event::ActorIntent { .. }
        | Event::ActorSetAlarm { .. } => "",
    }
}

fn copied(EventWrapper { checkpoint, mut inner }: EventWrapper) -> EventWrapper {
    let kept = message(&inner).into();
    if let Event::ActorStateUpdate { state: ActorState::Stopped(stopped) } = &mut inner {
        stopped.message = stopped.message.is_some().then_some(kept);
    }
    let actor_id = ByteString::from(&*checkpoint.actor_id);
    EventWrapper { checkpoint: ActorCheckpoint { actor_id, ..checkpoint }, inner }
}
