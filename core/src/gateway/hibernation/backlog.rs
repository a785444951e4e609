//! What a client sent and its actor has not acknowledged.

use std::collections::VecDeque;

use crate::http::Message;
use crate::machine::flow::weight;
use crate::protocol::MessageIndex;

/// A client's messages in order, under their numbers.
#[derive(Debug)]
pub(in crate::gateway) struct Backlog {
    messages: VecDeque<Message>,
    /// What they count for.
    bytes: usize,
    /// The number of the first; of the next, if there is none.
    first: MessageIndex,
    /// How many of them were sent on the connection that there is.
    sent: usize,
    /// How many of them were sent at all, and may be acknowledged.
    ever_sent: usize,
    /// How many of them were sent on a connection before. A runner that had them may drop what comes again without a
    /// word.
    sent_before: usize,
    /// How many of them were sent again to a life that then came to its end. They are sent to the next, too, but call for
    /// it only after a while: of a runner that drops them and acknowledges nothing the actor would never sleep.
    settled: usize,
    /// How many lives in a row came and went for nothing else.
    in_vain: u32,
}

/// How much a backlog may hold.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) struct Bounds {
    /// Each message counts for at least 64.
    pub(in crate::gateway) bytes: usize,
    pub(in crate::gateway) messages: usize,
}

/// What is sent next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) number: MessageIndex,
    pub(super) message: Message,
    /// Whether it was sent before, on another connection.
    pub(super) is_again: bool,
}

impl Backlog {
    /// Empty, before the message of a number.
    pub(super) fn new(first: MessageIndex) -> Self {
        Backlog {
            messages: VecDeque::new(),
            bytes: 0,
            first,
            sent: 0,
            ever_sent: 0,
            sent_before: 0,
            settled: 0,
            in_vain: 0,
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        self.bytes += weight(message.len());
        self.messages.push_back(message);
    }

    /// The first that was not sent on this connection; now it was.
    pub(super) fn pop_next(&mut self) -> Option<Next> {
        let message = self.messages.get(self.sent)?.clone();
        let number = self.next_number();
        let is_again = self.sent < self.ever_sent;
        self.sent += 1;
        self.ever_sent = self.ever_sent.max(self.sent);
        Some(Next { number, message, is_again })
    }

    /// The number of what is sent next.
    pub(super) fn next_number(&self) -> MessageIndex {
        self.first.wrapping_add(self.sent as MessageIndex)
    }

    /// The connection is lost, or the life at its end has `had` all that was sent: what was not acknowledged is sent again
    /// to the next.
    pub(super) fn rewind(&mut self, had: bool) {
        self.settled = if had { self.sent.min(self.sent_before) } else { 0 };
        if had && !self.messages.is_empty() && !self.calls() {
            self.in_vain += 1;
        }
        self.sent = 0;
        self.sent_before = self.ever_sent;
    }

    /// What was sent from this number on did not come, and is sent again. What that counts for; none if the number is not
    /// of what was sent.
    pub(super) fn send_again_from(&mut self, number: MessageIndex) -> Option<usize> {
        let came = usize::from(number.wrapping_sub(self.first));
        if came > self.sent {
            return None;
        }
        let weight = self.messages.range(came..self.sent).map(|message| weight(message.len())).sum();
        self.sent = came;
        Some(weight)
    }

    /// The actor has all up to this number. Whether it can: only what was sent can be acknowledged, and only once. As a
    /// backlog holds less than half of the numbers, the wrap makes no other of them look like one of these.
    #[must_use]
    pub(super) fn acknowledge(&mut self, index: MessageIndex) -> bool {
        let covered = usize::from(index.wrapping_sub(self.first)) + 1;
        if covered > self.ever_sent {
            return false;
        }
        self.bytes -= self.messages.drain(..covered).map(|message| weight(message.len())).sum::<usize>();
        self.first = self.first.wrapping_add(covered as MessageIndex);
        self.sent = self.sent.saturating_sub(covered);
        self.ever_sent -= covered;
        self.sent_before = self.sent_before.saturating_sub(covered);
        self.settled = self.settled.saturating_sub(covered);
        self.in_vain = 0;
        true
    }

    /// The number of the first; of the next, if there is none.
    pub(super) fn first(&self) -> MessageIndex {
        self.first
    }

    /// How many waits it takes until an actor is wanted once more for what others have left: each time twice as many.
    pub(super) fn waits(&self) -> Option<u32> {
        const MOST_DOUBLINGS: u32 = 6;
        let rests = !self.messages.is_empty() && !self.calls();
        rests.then(|| 1 << self.in_vain.saturating_sub(1).min(MOST_DOUBLINGS))
    }

    /// An actor is wanted once more for all that it holds.
    pub(super) fn call_again(&mut self) {
        self.settled = 0;
    }

    /// Whether an actor is wanted for what it holds.
    pub(super) fn calls(&self) -> bool {
        self.messages.len() > self.settled
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether some were sent on this connection and not acknowledged; of a runner that says nothing of what it had
    /// before only what was sent first.
    pub(super) fn awaits_ack(&self, repeats_acks: bool) -> bool {
        self.sent > if repeats_acks { 0 } else { self.sent_before }
    }

    /// Whether some wait to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.messages.len()
    }

    /// Whether it holds more than it may.
    pub(super) fn is_over(&self, bounds: Bounds) -> bool {
        self.bytes > bounds.bytes || self.messages.len() > bounds.messages
    }

    /// Whether its client should pause.
    pub(super) fn is_past_half(&self, bounds: Bounds) -> bool {
        self.is_over(Bounds { bytes: bounds.bytes / 2, messages: bounds.messages / 2 })
    }

    /// What its messages count for.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::Binary(bytes::Bytes::from_static(&[0; 100]))
    }

    fn sent(first: MessageIndex, count: usize) -> Backlog {
        let mut backlog = Backlog::new(first);
        for _ in 0..count {
            backlog.push(message());
            assert!(backlog.pop_next().is_some());
        }
        backlog
    }

    #[test]
    fn an_ack_covers_what_was_sent_and_no_other_number_does() {
        for first in [0, 1, 40_000, u16::MAX - 2, u16::MAX] {
            for number in 0..=u16::MAX {
                let mut backlog = Backlog::new(first);
                backlog.messages = VecDeque::from(vec![message(); 6]);
                (backlog.bytes, backlog.sent, backlog.ever_sent) = (600, 3, 4);
                let ahead = number.wrapping_sub(first);
                assert_eq!(backlog.acknowledge(number), ahead < 4, "{number} of {first}");
                let left = if ahead < 4 { 5 - usize::from(ahead) } else { 6 };
                assert_eq!((backlog.messages.len(), backlog.bytes), (left, left * 100));
            }
        }
    }

    #[test]
    fn what_is_sent_again_bears_its_first_number_and_may_be_acknowledged_before() {
        let mut backlog = sent(u16::MAX - 1, 3);
        backlog.rewind(false);
        backlog.push(message());
        assert!(backlog.acknowledge(u16::MAX), "of the connection before");
        let next: Vec<_> =
            core::iter::from_fn(|| backlog.pop_next()).map(|next| (next.number, next.is_again)).collect();
        assert_eq!(next, [(0, true), (1, false)]);
        assert!(!backlog.acknowledge(2) && backlog.acknowledge(1) && backlog.is_empty());
        assert_eq!((backlog.first(), backlog.next_number(), backlog.bytes()), (2, 2, 0));
    }

    #[test]
    fn what_was_sent_twice_to_lives_that_ended_in_peace_calls_for_no_third() {
        let mut backlog = sent(1, 2);
        backlog.rewind(true);
        assert!(backlog.calls(), "the end of the life may have come between");
        for in_peace in [false, true] {
            assert!(backlog.pop_next().is_some() && backlog.pop_next().is_some());
            backlog.rewind(in_peace);
            assert_eq!(backlog.calls(), !in_peace);
        }
        backlog.push(message());
        assert!(backlog.calls());
        assert!(core::iter::from_fn(|| backlog.pop_next()).count() == 3 && backlog.acknowledge(2));
        backlog.rewind(true);
        assert!(backlog.calls(), "the third was sent once");
    }

    #[test]
    fn what_got_lost_is_sent_again_under_its_numbers_and_no_other_number_is() {
        for first in [0, 1, 40_000, u16::MAX - 2, u16::MAX] {
            for number in 0..=u16::MAX {
                let mut backlog = sent(first, 3);
                let ahead = usize::from(number.wrapping_sub(first));
                let expected = (ahead <= 3).then(|| (3 - ahead) * 100);
                assert_eq!(backlog.send_again_from(number), expected, "{number} of {first}");
                let next: Vec<_> = core::iter::from_fn(|| backlog.pop_next()).map(|next| next.number).collect();
                let again: Vec<_> = (ahead..3).map(|ahead| first.wrapping_add(ahead as u16)).collect();
                assert_eq!(next, again);
                assert_eq!(backlog.next_number(), first.wrapping_add(3));
            }
        }
    }

    #[test]
    fn small_messages_count_for_more_than_their_bytes() {
        let mut backlog = Backlog::new(0);
        let bounds = Bounds { bytes: 64, messages: 3 };
        backlog.push(Message::Text("".into()));
        assert_eq!((backlog.is_over(bounds), backlog.is_past_half(bounds)), (false, true));
        backlog.push(Message::Text("".into()));
        assert!(backlog.is_over(bounds));
        assert!(
            !backlog.is_over(Bounds { bytes: 128, messages: 2 }) && backlog.is_over(Bounds { bytes: 128, messages: 1 })
        );
    }
}
