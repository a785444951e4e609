//! What is known of a WebSocket that is asleep: little, as there can be many.

use super::actors::GroupKey;
use super::backlog::Backlog;
use super::registry::Registration;
use super::wake::Word;
use crate::http::Close;
use crate::machine::flow::Inflow;
use crate::protocol::{MessageIndex, RequestId};

/// A WebSocket that is asleep.
#[derive(Debug)]
pub(in crate::gateway) struct Sleeper {
    pub(in crate::gateway) id: RequestId,
    /// Its actor.
    pub(in crate::gateway) group: GroupKey,
    /// The life of its actor in which it was awake last.
    pub(super) generation: u32,
    /// The number of its client's next message, if nothing is kept.
    pub(super) first: MessageIndex,
    pub(super) registration: Registration,
    /// Whether its client was told to pause.
    pub(super) is_paused: bool,
    /// What only some have.
    pub(super) kept: Option<Box<Kept>>,
}

/// What is kept for the next life of a WebSocket's actor.
#[derive(Debug)]
pub(in crate::gateway) struct Kept {
    /// What its client sent and its actor has not acknowledged.
    pub(super) backlog: Backlog,
    /// How its client closed: the actor hears of it behind the messages.
    pub(super) close: Option<Close>,
    /// Where its actor runs, as a relay said, while it can't be there yet.
    pub(super) word: Option<Word>,
    /// What its client has not consumed. Only asleep.
    pub(super) unread: Option<Inflow>,
}

impl Kept {
    /// Nothing, before the message of a number.
    pub(super) fn nothing(first: MessageIndex) -> Self {
        Kept { backlog: Backlog::new(first), close: None, word: None, unread: None }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.backlog.is_empty() && self.close.is_none() && self.word.is_none() && self.unread.is_none()
    }
}

impl Sleeper {
    /// What is kept, to be added to.
    pub(super) fn kept_mut(&mut self) -> &mut Kept {
        self.kept.get_or_insert_with(|| Box::new(Kept::nothing(self.first)))
    }

    /// Gives the room back of what is no longer kept.
    pub(super) fn tidy(&mut self) {
        if let Some(kept) = self.kept.take_if(|kept| kept.is_nothing()) {
            self.first = kept.backlog.first();
        }
    }

    /// Takes what is kept.
    pub(super) fn take_kept(&mut self) -> Kept {
        self.kept.take().map_or_else(|| Kept::nothing(self.first), |kept| *kept)
    }

    /// Whether its client has closed.
    pub(in crate::gateway) fn is_closing(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.close.is_some())
    }

    /// Whether its actor is wanted for it.
    pub(super) fn has_to_deliver(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.close.is_some() || !kept.backlog.is_empty())
    }

    /// What a relay said last.
    pub(super) fn word(&self) -> Option<Word> {
        self.kept.as_ref()?.word
    }

    pub(super) fn held(&self) -> usize {
        let Some(kept) = &self.kept else { return 0 };
        kept.backlog.bytes() + kept.unread.as_ref().map_or(0, Inflow::held)
    }
}
