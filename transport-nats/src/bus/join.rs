//! Large frames, joined from their pieces: one at a time, so that an inbox's share of the server's memory is bounded.

use core::mem;
use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use hashbrown::HashMap;
use tokio::time::{Duration, Instant};
use underpass_core::bus::Subject;

use super::label::{Receipt, Word};

/// Bounds of a joiner. Sizes are in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The largest frame.
    pub(crate) largest: usize,
    /// How much of a frame may be on its way.
    pub(crate) window: usize,
    /// How long a piece may take.
    pub(crate) piece: Duration,
    /// How many large frames may wait for others.
    pub(crate) waiting: usize,
    /// How many publishers are remembered of which a large frame was joined.
    pub(crate) remembered: usize,
}

/// Joins large frames. `Back` is where their publishers hear of them.
#[derive(Debug)]
pub(crate) struct Joiner<Back> {
    limits: Limits,
    joining: Option<Joining<Back>>,
    waiting: VecDeque<Announced<Back>>,
    joined: LastJoined,
}

/// The last large frame that was joined of each publisher, so that none is delivered twice: a publisher has one under
/// way at a time. Those not heard of for long make room for others.
#[derive(Debug)]
struct LastJoined {
    /// At most half of those that are known at most.
    recent: HashMap<Box<str>, u64>,
    /// Those that were recent before.
    before: HashMap<Box<str>, u64>,
    most: usize,
}

impl LastJoined {
    fn has(&self, back: &str, id: u64) -> bool {
        self.recent.get(back).or_else(|| self.before.get(back)) == Some(&id)
    }

    fn remember(&mut self, back: &str, id: u64) {
        if self.recent.len() >= self.most.div_ceil(2) && !self.recent.contains_key(back) {
            self.before = mem::take(&mut self.recent);
        }
        self.before.remove(back);
        self.recent.insert(back.into(), id);
    }

    /// How many are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.recent.len() + self.before.len()
    }
}

/// A large frame that was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announced<Back> {
    pub(crate) id: u64,
    pub(crate) length: usize,
    pub(crate) back: Back,
    pub(crate) from: Option<Subject>,
    pub(crate) to: Subject,
}

/// A large frame that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) from: Option<Subject>,
    pub(crate) to: Subject,
    pub(crate) bytes: Bytes,
}

#[derive(Debug)]
struct Joining<Back> {
    announced: Announced<Back>,
    bytes: BytesMut,
    granted: usize,
    /// When the next piece must have come.
    due: Instant,
}

/// To whom which receipt goes.
pub(crate) type Receipts<Back> = Vec<(Back, Receipt)>;

impl<Back: Clone + AsRef<str>> Joiner<Back> {
    pub(crate) fn new(limits: Limits) -> Self {
        let joined = LastJoined { recent: HashMap::new(), before: HashMap::new(), most: limits.remembered };
        Joiner { limits, joining: None, waiting: VecDeque::new(), joined }
    }

    /// A large frame is to come. A publisher that says so again, because it heard nothing, begins again.
    pub(crate) fn announce(&mut self, announced: Announced<Back>, now: Instant, receipts: &mut Receipts<Back>) {
        let Announced { id, length, .. } = announced;
        let receipt = |word| (announced.back.clone(), Receipt { id, word });
        if self.joined.has(announced.back.as_ref(), id) {
            return receipts.push(receipt(Word::Joined));
        }
        if length > self.limits.largest {
            return receipts.push(receipt(Word::TooLarge));
        }
        if self.joining.as_ref().is_some_and(|joining| joining.announced.id == id) {
            self.joining = None;
        }
        self.waiting.retain(|waiting| waiting.id != id);
        if self.joining.is_none() {
            return self.begin(announced, now, receipts);
        }
        if self.waiting.len() >= self.limits.waiting {
            return receipts.push(receipt(Word::Full));
        }
        receipts.push(receipt(Word::Granted(0)));
        self.waiting.push_back(announced);
    }

    /// A piece came. The frame, if it is whole.
    pub(crate) fn piece(
        &mut self,
        id: u64,
        offset: usize,
        piece: &[u8],
        now: Instant,
        receipts: &mut Receipts<Back>,
    ) -> Option<Joined> {
        let joining = self.joining.as_mut().filter(|joining| joining.announced.id == id)?;
        let Announced { length, .. } = joining.announced;
        // One that came already does no harm. It can't be another's: they are asked for one frame at a time.
        if offset + piece.len() <= joining.bytes.len() {
            return None;
        }
        if offset != joining.bytes.len() || offset + piece.len() > length {
            self.end(Word::Missing, now, receipts);
            return None;
        }
        joining.bytes.put_slice(piece);
        joining.due = now + self.limits.piece;
        if joining.bytes.len() < length {
            joining.grant(self.limits.window, receipts);
            return None;
        }
        let Joining { announced: Announced { back, from, to, .. }, bytes, .. } =
            self.end(Word::Joined, now, receipts)?;
        self.joined.remember(back.as_ref(), id);
        Some(Joined { from, to, bytes: bytes.freeze() })
    }

    /// When to come back.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.joining.as_ref().map(|joining| joining.due)
    }

    /// Gives up what has waited too long for a piece.
    pub(crate) fn expire(&mut self, now: Instant, receipts: &mut Receipts<Back>) {
        if self.due().is_some_and(|due| due <= now) {
            self.end(Word::Missing, now, receipts);
        }
    }

    /// Ends the one that is being joined, and begins the next. Those that wait hear that there is progress.
    fn end(&mut self, word: Word, now: Instant, receipts: &mut Receipts<Back>) -> Option<Joining<Back>> {
        let ended = self.joining.take()?;
        let Announced { id, back, .. } = &ended.announced;
        receipts.push((back.clone(), Receipt { id: *id, word }));
        if let Some(next) = self.waiting.pop_front() {
            self.begin(next, now, receipts);
        }
        for Announced { id, back, .. } in &self.waiting {
            receipts.push((back.clone(), Receipt { id: *id, word: Word::Granted(0) }));
        }
        Some(ended)
    }

    fn begin(&mut self, announced: Announced<Back>, now: Instant, receipts: &mut Receipts<Back>) {
        let bytes = BytesMut::with_capacity(announced.length);
        let joining = Joining { announced, bytes, granted: 0, due: now + self.limits.piece };
        self.joining.insert(joining).grant(self.limits.window, receipts);
    }
}

impl<Back: Clone> Joining<Back> {
    /// Lets another window come when half of one is here.
    fn grant(&mut self, window: usize, receipts: &mut Receipts<Back>) {
        let Announced { id, length, back, .. } = &self.announced;
        let here = self.bytes.len();
        if self.granted < *length && here + window / 2 >= self.granted {
            self.granted = (here + window).min(*length);
            // A frame is shorter than 4 GiB: its length was said in four bytes.
            let granted = u32::try_from(self.granted).unwrap_or(u32::MAX);
            receipts.push((back.clone(), Receipt { id: *id, word: Word::Granted(granted) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use underpass_core::protocol::GatewayId;

    use super::*;

    const TO: Subject = Subject::Gateway(GatewayId([1; 4]));
    const LIMITS: Limits =
        Limits { largest: 100, window: 40, piece: Duration::from_secs(2), waiting: 2, remembered: 4 };

    struct Story {
        joiner: Joiner<&'static str>,
        now: Instant,
        receipts: Receipts<&'static str>,
    }

    impl Story {
        fn new() -> Self {
            Story { joiner: Joiner::new(LIMITS), now: Instant::now(), receipts: Vec::new() }
        }

        fn announce(&mut self, id: u64, length: usize, back: &'static str) {
            let announced = Announced { id, length, back, from: None, to: TO };
            self.joiner.announce(announced, self.now, &mut self.receipts);
        }

        fn piece(&mut self, id: u64, offset: usize, length: usize) -> Option<Bytes> {
            let piece: Vec<u8> = (offset..offset + length).map(|at| at as u8).collect();
            let joined = self.joiner.piece(id, offset, &piece, self.now, &mut self.receipts);
            joined.map(|joined| joined.bytes)
        }

        fn wait(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
            self.joiner.expire(self.now, &mut self.receipts);
        }

        #[track_caller]
        fn expect(&mut self, expected: &[(&'static str, u64, Word)]) {
            let told: Vec<_> = self.receipts.drain(..).map(|(back, Receipt { id, word })| (back, id, word)).collect();
            assert_eq!(told, expected);
        }
    }

    fn whole(length: u8) -> Option<Bytes> {
        Some((0..length).collect::<Vec<_>>().into())
    }

    #[test]
    fn pieces_are_joined_with_a_receipt_each_half_window() {
        let mut story = Story::new();
        story.announce(7, 100, "a");
        story.expect(&[("a", 7, Word::Granted(40))]);
        assert_eq!(story.piece(7, 0, 10), None);
        story.expect(&[]);
        assert_eq!(story.piece(7, 10, 10), None);
        story.expect(&[("a", 7, Word::Granted(60))]);
        for offset in [20, 30, 40, 50, 60, 70, 80] {
            assert_eq!(story.piece(7, offset, 10), None);
        }
        story.expect(&[("a", 7, Word::Granted(80)), ("a", 7, Word::Granted(100))]);
        assert_eq!(story.piece(7, 90, 10), whole(100));
        story.expect(&[("a", 7, Word::Joined)]);
        assert_eq!(story.joiner.due(), None);
    }

    #[test]
    fn one_frame_is_joined_at_a_time_and_those_that_wait_hear_of_progress() {
        let mut story = Story::new();
        story.announce(1, 20, "a");
        story.announce(2, 20, "b");
        story.announce(3, 20, "c");
        story.announce(4, 20, "d");
        story.expect(&[
            ("a", 1, Word::Granted(20)),
            ("b", 2, Word::Granted(0)),
            ("c", 3, Word::Granted(0)),
            ("d", 4, Word::Full),
        ]);
        assert_eq!(story.piece(2, 0, 20), None, "it was not asked for");
        assert_eq!(story.piece(1, 0, 20), whole(20));
        story.expect(&[("a", 1, Word::Joined), ("b", 2, Word::Granted(20)), ("c", 3, Word::Granted(0))]);
        assert_eq!(story.piece(2, 0, 20), whole(20));
        story.expect(&[("b", 2, Word::Joined), ("c", 3, Word::Granted(20))]);
    }

    #[test]
    fn a_missing_piece_ends_that_frame_alone() {
        let mut story = Story::new();
        story.announce(1, 30, "a");
        story.announce(2, 30, "b");
        story.receipts.clear();
        story.piece(1, 0, 10);
        story.piece(1, 20, 10);
        story.expect(&[("a", 1, Word::Missing), ("b", 2, Word::Granted(30))]);
        assert_eq!(story.piece(1, 10, 10), None);
        assert_eq!(story.piece(2, 0, 30), whole(30));
        story.expect(&[("b", 2, Word::Joined)]);
    }

    #[test]
    fn a_piece_that_does_not_come_in_time_ends_that_frame() {
        let mut story = Story::new();
        story.announce(1, 30, "a");
        story.announce(2, 30, "b");
        story.wait(1);
        story.piece(1, 0, 10);
        story.receipts.clear();
        story.wait(1);
        story.expect(&[]);
        story.wait(1);
        story.expect(&[("a", 1, Word::Missing), ("b", 2, Word::Granted(30))]);
        story.wait(2);
        story.expect(&[("b", 2, Word::Missing)]);
        assert_eq!(story.joiner.due(), None);
    }

    #[test]
    fn a_frame_that_is_announced_again_begins_again_and_one_that_was_joined_is_not_delivered_twice() {
        let mut story = Story::new();
        story.announce(1, 30, "a");
        story.piece(1, 0, 10);
        story.receipts.clear();
        story.announce(1, 30, "a");
        story.expect(&[("a", 1, Word::Granted(30))]);
        assert_eq!(story.piece(1, 0, 30), whole(30));
        story.expect(&[("a", 1, Word::Joined)]);
        story.announce(1, 30, "a");
        story.expect(&[("a", 1, Word::Joined)]);
        assert_eq!(story.piece(1, 0, 30), None);
    }

    #[test]
    fn a_frame_that_was_joined_is_not_delivered_twice_however_many_of_others_came_between() {
        let mut story = Story::new();
        story.announce(1, 10, "a");
        assert_eq!(story.piece(1, 0, 10), whole(10));
        for id in 100..200 {
            story.announce(id, 10, "b");
            assert_eq!(story.piece(id, 0, 10), whole(10));
        }
        story.announce(1, 10, "a");
        assert_eq!(story.piece(1, 0, 10), None);
    }

    #[test]
    fn of_many_publishers_those_not_heard_of_for_long_are_forgotten() {
        let mut story = Story::new();
        for (id, back) in (0..).zip(["a", "b", "c", "d", "e", "f", "g"]) {
            story.announce(id, 10, back);
            assert_eq!(story.piece(id, 0, 10), whole(10));
            assert!(story.joiner.joined.len() <= LIMITS.remembered);
        }
        story.announce(6, 10, "g");
        assert_eq!(story.piece(6, 0, 10), None);
        story.announce(0, 10, "a");
        assert_eq!(story.piece(0, 0, 10), whole(10));
    }

    #[test]
    fn a_frame_that_is_too_large_is_refused_and_more_than_was_announced_is_none() {
        let mut story = Story::new();
        story.announce(1, 101, "a");
        story.expect(&[("a", 1, Word::TooLarge)]);
        story.announce(2, 10, "a");
        assert_eq!(story.piece(2, 0, 11), None);
        story.expect(&[("a", 2, Word::Granted(10)), ("a", 2, Word::Missing)]);
    }

    proptest! {
        /// Whatever strangers say: what is kept is bounded, a frame has the length that was announced, nobody waits
        /// for ever.
        #[test]
        fn words_of_strangers_are_borne(
            words in proptest::collection::vec((0..4_u8, 0..5_u64, 0..60_usize, 0..60_usize), 0..200),
        ) {
            let mut story = Story::new();
            for (word, id, length, offset) in words {
                match word {
                    0 => story.announce(id, 2 * length, "a"),
                    1 => story.wait(1),
                    _ => {
                        if let Some(frame) = story.piece(id, offset, length) {
                            prop_assert!(frame.len() <= LIMITS.largest);
                        }
                    }
                }
                let Joiner { joining, waiting, joined, .. } = &story.joiner;
                prop_assert!(waiting.len() <= LIMITS.waiting && joined.len() <= LIMITS.remembered);
                prop_assert!(joining.is_some() || waiting.is_empty());
                if let Some(joining) = joining {
                    prop_assert!(joining.bytes.len() <= joining.announced.length);
                    prop_assert!(joining.announced.length <= LIMITS.largest);
                }
                prop_assert!(story.receipts.len() <= 2 + LIMITS.waiting);
                story.receipts.clear();
            }
            for _ in 0..=2 * LIMITS.waiting + 2 {
                story.wait(2);
            }
            prop_assert_eq!(story.joiner.due(), None);
        }
    }
}
