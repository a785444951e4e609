//! What is known of a WebSocket that is asleep: little, as there can be many.

use super::actors::GroupKey;
use super::backlog::Backlog;
use super::registry::Registration;
use super::wake::Word;
use crate::http::Close;
use crate::machine::deadline::Armed;
use crate::machine::flow::{Inflow, weight};
use crate::protocol::tunnel::ToServerTunnelMessage;
use crate::protocol::tunnel::to_server::Kind;
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
    pub(super) close: Option<Box<Close>>,
    /// Where its actor runs, as a relay said, while it can't be there yet.
    pub(super) word: Option<Box<Word>>,
    /// What its client has not consumed. Only asleep.
    pub(super) unread: Option<Box<Inflow>>,
    /// What its runner said over the route that the word tells of, until the gateway can follow it. Only asleep.
    early: Option<Box<Early>>,
    /// Until its actor runs, as long as that is wanted for it. Only asleep.
    pub(super) start: Option<Armed>,
    /// Until its actor is wanted once more for what others have left, and how many such waits there are. Only asleep.
    pub(super) again: Option<(Armed, u32)>,
}

/// What a runner said early.
#[derive(Debug, Default)]
struct Early {
    messages: Vec<ToServerTunnelMessage>,
    /// What they count for.
    bytes: usize,
}

impl Kept {
    /// Nothing, before the message of a number.
    pub(super) fn nothing(first: MessageIndex) -> Self {
        Kept {
            backlog: Backlog::new(first),
            close: None,
            word: None,
            unread: None,
            early: None,
            start: None,
            again: None,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        let waits_for_nothing = self.word.is_none() && self.start.is_none() && self.again.is_none();
        self.backlog.is_empty() && self.close.is_none() && self.unread.is_none() && waits_for_nothing
    }

    /// Holds what the runner says early, as long as it is no more than so many bytes. What there is no room for leaves a
    /// gap.
    pub(super) fn hold(&mut self, message: ToServerTunnelMessage, most: usize) {
        let bytes = match &message.message_kind {
            Kind::WebSocketMessage(message) => message.data.len(),
            Kind::WebSocketClose(close) => close.reason.as_ref().map_or(0, |reason| reason.len()),
            Kind::WebSocketMessageAck(_) | Kind::ResponseAbort | Kind::Credit(_) => 0,
            // They are out of turn, and no more of them need be known.
            Kind::ResponseStart(_) | Kind::ResponseChunk(_) | Kind::WebSocketOpen(_) => return,
        };
        let early = self.early.get_or_insert_default();
        let bytes = early.bytes + weight(bytes);
        if bytes <= most {
            early.bytes = bytes;
            early.messages.push(message);
        }
    }

    /// Takes what was held.
    pub(super) fn take_early(&mut self) -> Vec<ToServerTunnelMessage> {
        self.early.take().map_or_else(Vec::new, |early| early.messages)
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

    /// Whether its client has closed, and its actor has all that was said before.
    pub(super) fn only_closes(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.close.is_some() && kept.backlog.is_empty())
    }

    /// Whether its actor is wanted for it.
    pub(super) fn has_to_deliver(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.close.is_some() || kept.backlog.calls())
    }

    /// What a relay said last.
    pub(super) fn word(&self) -> Option<Word> {
        self.kept.as_ref()?.word.as_deref().copied()
    }

    pub(super) fn held(&self) -> usize {
        let Some(kept) = &self.kept else { return 0 };
        let early = kept.early.as_ref().map_or(0, |early| early.bytes);
        kept.backlog.bytes() + early + kept.unread.as_ref().map_or(0, |unread| unread.held())
    }
}
