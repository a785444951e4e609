//! The two ends of one direction of a request: numbers, credit, and what waits.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::http::{Close, Message};
use crate::protocol::MessageIndex;

/// What a chunk or a message counts for at least, bytes: about what it takes in a queue. So credit bounds how many
/// are on their way, and the numbers of a direction, which wrap, can tell them apart.
const LEAST: usize = 64;

/// The most credit that there can be, bytes: with it, fewer messages are on their way than half the numbers.
pub(crate) const MOST_CREDIT: u32 = (1 << 15) * LEAST as u32 - LEAST as u32;

/// What so many bytes in one piece count for.
pub(crate) fn weight(bytes: usize) -> usize {
    bytes.max(LEAST)
}

/// What travels in one direction of a request behind its opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Chunk { bytes: Bytes, finish: bool },
    Message(Message),
    Close(Close),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Chunk { bytes, .. } => bytes.len(),
            Piece::Message(message) => message.len(),
            Piece::Close(_) => 0,
        }
    }

    /// Whether it needs credit: an end without bytes does not, so that a source that is done can say so.
    fn needs_credit(&self) -> bool {
        match self {
            Piece::Chunk { bytes, finish } => !finish || !bytes.is_empty(),
            Piece::Message(_) => true,
            Piece::Close(_) => false,
        }
    }
}

/// What a sender may send: so much at the start, and more as the receiver grants it. Counted in bytes, each piece for
/// at least [`LEAST`], wrapping.
#[derive(Debug)]
struct Allowance {
    initial: u32,
    sent: u32,
    granted: u32,
}

impl Allowance {
    fn is_left(&self) -> bool {
        let end = self.initial.wrapping_add(self.granted);
        end.wrapping_sub(self.sent) as i32 > 0
    }

    fn spend(&mut self, bytes: usize) {
        self.sent = self.sent.wrapping_add(weight(bytes) as u32);
    }

    fn give_back(&mut self, bytes: u32) {
        self.sent = self.sent.wrapping_sub(bytes);
    }

    /// Only what was sent can have been consumed: a total beyond it, or behind the last one, is none.
    fn grant(&mut self, total: u32) {
        let more = total.wrapping_sub(self.granted);
        if more <= self.sent.wrapping_sub(self.granted) {
            self.granted = total;
        }
    }
}

/// The sending end: what waits for credit or for its peer, behind the number that comes next.
#[derive(Debug)]
pub(crate) struct Outflow {
    next: MessageIndex,
    allowance: Option<Allowance>,
    waiting: VecDeque<Piece>,
    held: usize,
    ended: bool,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Running,
    Paused,
}

/// What a source should do after its [`Outflow`] changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Pause,
    Resume,
}

impl Outflow {
    /// With the credit that its receiver announced, if it did.
    pub(crate) fn new(credit: Option<u32>) -> Self {
        let mut outflow = Outflow {
            next: 0,
            allowance: None,
            waiting: VecDeque::new(),
            held: 0,
            ended: false,
            source: Source::Running,
        };
        outflow.begin(credit);
        outflow
    }

    /// Toward another receiver of the same source, which keeps its pace: what is sent next has this number.
    pub(crate) fn restarted(credit: Option<u32>, next: MessageIndex, is_paused: bool) -> Self {
        let source = if is_paused { Source::Paused } else { Source::Running };
        Outflow { next, source, ..Outflow::new(credit) }
    }

    /// Begins with a receiver, and the credit that it announced, if it did: what waited for that may go.
    pub(crate) fn begin(&mut self, credit: Option<u32>) {
        self.next = 0;
        self.allowance = credit.map(|initial| Allowance { initial, sent: 0, granted: 0 });
    }

    /// Drops what waits: it will be offered again, to another receiver.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.held = 0;
    }

    /// The number of the message that is being sent.
    pub(crate) fn number(&mut self) -> MessageIndex {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    /// Takes a body's next bytes, in pieces of at most `max_chunk`.
    pub(crate) fn offer_chunk(&mut self, mut bytes: Bytes, finish: bool, max_chunk: usize) {
        while bytes.len() > max_chunk {
            let chunk = bytes.split_to(max_chunk);
            self.offer(Piece::Chunk { bytes: chunk, finish: false });
        }
        if finish || !bytes.is_empty() {
            self.offer(Piece::Chunk { bytes, finish });
        }
    }

    /// Takes a piece.
    pub(crate) fn offer(&mut self, piece: Piece) {
        self.ended = match &piece {
            Piece::Chunk { finish, .. } => *finish,
            Piece::Message(_) => false,
            Piece::Close(_) => true,
        };
        self.held += piece.len();
        self.waiting.push_back(piece);
    }

    /// The next piece that may be sent now.
    pub(crate) fn pop(&mut self, peer_blocked: bool) -> Option<Piece> {
        let first = self.waiting.front()?;
        if peer_blocked || (first.needs_credit() && !self.has_credit()) {
            return None;
        }
        let piece = self.waiting.pop_front()?;
        self.held -= piece.len();
        if piece.needs_credit() {
            self.spend(piece.len());
        }
        Some(piece)
    }

    /// Something of so many bytes is sent that its owner keeps elsewhere.
    pub(crate) fn spend(&mut self, bytes: usize) {
        if let Some(allowance) = &mut self.allowance {
            allowance.spend(bytes);
        }
    }

    /// Pieces that count for so many bytes did not come, and will be sent again.
    pub(crate) fn give_back(&mut self, weight: usize) {
        if let Some(allowance) = &mut self.allowance {
            allowance.give_back(weight as u32);
        }
    }

    /// The number of what is sent next.
    pub(crate) fn next_number(&self) -> MessageIndex {
        self.next
    }

    /// What is sent next has this number.
    pub(crate) fn go_on_at(&mut self, next: MessageIndex) {
        self.next = next;
    }

    /// The receiver granted so much in all.
    pub(crate) fn grant(&mut self, total: u32) {
        if let Some(allowance) = &mut self.allowance {
            allowance.grant(total);
        }
    }

    /// Whether the source must change its pace, now that what may be sent has been sent.
    pub(crate) fn turn(&mut self, peer_blocked: bool) -> Option<Turn> {
        if self.ended {
            return None;
        }
        let may_send = self.waiting.is_empty() && !peer_blocked && self.has_credit();
        match (self.source, may_send) {
            (Source::Running, false) => {
                self.source = Source::Paused;
                Some(Turn::Pause)
            }
            (Source::Paused, true) => {
                self.source = Source::Running;
                Some(Turn::Resume)
            }
            (Source::Running, true) | (Source::Paused, false) => None,
        }
    }

    /// Nothing follows from the source: what it had went with the opening.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether something is awaited of the receiver or of the way to it, not of the source: the source has said its
    /// last, or was told to pause.
    pub(crate) fn awaits_receiver(&self) -> bool {
        self.ended || self.source == Source::Paused
    }

    /// Whether the source has said its last.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the last was sent.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    /// Bytes that wait.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Whether the source was told to pause.
    pub(crate) fn is_paused(&self) -> bool {
        self.source == Source::Paused
    }

    /// Whether the receiver takes more.
    pub(crate) fn has_credit(&self) -> bool {
        self.allowance.as_ref().is_none_or(Allowance::is_left)
    }
}

/// The receiving end: what number is expected, what its reader has not consumed yet, what was granted.
#[derive(Debug)]
pub(crate) struct Inflow {
    expected: MessageIndex,
    numbered: bool,
    /// How many messages came since the sender began, wrapping; of one that is judged by its numbers, in order.
    came: u32,
    /// What was handed to the reader and not consumed: of each piece the bytes, and how many of them are left.
    unread: VecDeque<Unread>,
    /// How many of these came from a sender that is gone: it is granted nothing, and neither is the next for them.
    old: usize,
    held: usize,
    grants: Option<Grants>,
    ended: bool,
}

#[derive(Debug)]
struct Unread {
    bytes: usize,
    left: usize,
}

#[derive(Debug)]
struct Grants {
    consumed: u32,
    told: u32,
    /// A grant is told when there is so much more to tell: a quarter of the credit, so that a sender that is read
    /// from never runs dry, and few messages say so.
    step: u32,
}

fn grants(credit: Option<u32>) -> Option<Grants> {
    credit.map(|initial| Grants { consumed: 0, told: 0, step: (initial / 4).max(1) })
}

/// Where a message's number stands among those of its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// It is the next.
    Next,
    /// It was there before.
    Repeat,
    /// Something before it is missing.
    Gap,
}

impl Inflow {
    /// With the credit that this end announced, if it did; and whether the sender numbers without gaps.
    pub(crate) fn new(credit: Option<u32>, numbered: bool) -> Self {
        Inflow {
            expected: 0,
            numbered,
            came: 0,
            unread: VecDeque::new(),
            old: 0,
            held: 0,
            grants: grants(credit),
            ended: false,
        }
    }

    /// Another sender begins, as [`new`](Self::new) does. What the reader has not consumed stays held.
    pub(crate) fn restart(&mut self, credit: Option<u32>, numbered: bool) {
        self.expected = 0;
        self.numbered = numbered;
        self.came = 0;
        self.old = self.unread.len();
        self.grants = grants(credit);
    }

    /// Counts a message. Numbers wrap: what is less than half the range ahead is a gap, the rest was there before.
    pub(crate) fn order(&mut self, number: MessageIndex) -> Order {
        if !self.numbered {
            self.came = self.came.wrapping_add(1);
            return Order::Next;
        }
        match number.wrapping_sub(self.expected) as i16 {
            0 => {
                self.expected = self.expected.wrapping_add(1);
                self.came = self.came.wrapping_add(1);
                Order::Next
            }
            1.. => Order::Gap,
            ..0 => Order::Repeat,
        }
    }

    /// Whether so many messages were sent since the sender began, and not all of them came.
    pub(crate) fn lacks(&self, sent: u32) -> bool {
        sent.wrapping_sub(self.came) as i32 > 0
    }

    /// The sender has all its credit again. Numbers go on, and what the reader has not consumed yet is granted to
    /// nobody.
    pub(crate) fn begin(&mut self) {
        self.old = self.unread.len();
        if let Some(grants) = &mut self.grants {
            (grants.consumed, grants.told) = (0, 0);
        }
    }

    /// The next message has this number.
    pub(crate) fn expect(&mut self, number: MessageIndex) {
        self.expected = number;
    }

    /// The number of the last message that came in order.
    pub(crate) fn last(&self) -> MessageIndex {
        self.expected.wrapping_sub(1)
    }

    /// Whether a message of a sender that is judged by its numbers came since it began.
    pub(crate) fn has_begun(&self) -> bool {
        self.numbered && self.expected > 0
    }

    /// Whether a message of a sender that is not judged by its numbers had another number than the next.
    pub(crate) fn jumped(&mut self, number: MessageIndex) -> bool {
        !self.numbered && core::mem::replace(&mut self.expected, number.wrapping_add(1)) != number
    }

    /// A piece of so many bytes was handed to the reader. Whether more are held now than `max`.
    #[must_use]
    pub(crate) fn take(&mut self, bytes: usize, max: usize) -> bool {
        self.held += weight(bytes);
        self.unread.push_back(Unread { bytes, left: bytes });
        self.held > max
    }

    /// Nothing follows: no more need be granted.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The reader consumed so many bytes, or an empty message. The total to grant, if it is time to tell.
    pub(crate) fn consumed(&mut self, bytes: usize) -> Option<u32> {
        let consumed = self.read(bytes);
        self.allow(consumed)
    }

    /// A piece of so many bytes came that the reader has had already: it is consumed at once. The total to grant, if it
    /// is time to tell.
    pub(crate) fn skip(&mut self, bytes: usize) -> Option<u32> {
        self.allow(weight(bytes))
    }

    /// So much more may be sent.
    fn allow(&mut self, more: usize) -> Option<u32> {
        let grants = self.grants.as_mut()?;
        grants.consumed = grants.consumed.wrapping_add(more as u32);
        if self.ended || grants.consumed.wrapping_sub(grants.told) < grants.step {
            return None;
        }
        grants.told = grants.consumed;
        Some(grants.told)
    }

    /// Takes so many bytes, or an empty message, off what is unread: what the pieces that this ends count for to their
    /// sender.
    fn read(&mut self, mut bytes: usize) -> usize {
        let mut consumed = 0;
        while let Some(first) = self.unread.front_mut() {
            let read = first.left.min(bytes);
            first.left -= read;
            bytes -= read;
            if first.left > 0 {
                break;
            }
            let ended = weight(first.bytes);
            self.held -= ended;
            match self.old.checked_sub(1) {
                Some(old) => self.old = old,
                None => consumed += ended,
            }
            self.unread.pop_front();
            if bytes == 0 {
                break;
            }
        }
        consumed
    }

    /// The total that was told last, to be told again, since a grant can get lost.
    pub(crate) fn told(&self) -> Option<u32> {
        self.grants.as_ref().map(|grants| grants.told).filter(|told| *told > 0 && !self.ended)
    }

    /// Bytes that the reader has not consumed, each piece counted for at least 64.
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests;
