//! Frames that go from one publisher to one address at once, in one message: what a message costs NATS, on its way
//! through three processes, is far more than what a small frame does.
//!
//! Behind the [label](super::label) stand of each frame the number of the connection that it is from, 8 bytes, the
//! number of the one that it is for, 8 bytes, its length, 4 bytes, and the frame. A gateway has no number, and so 0.

use core::mem;
use std::collections::VecDeque;

use async_nats::message::OutboundMessage;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use underpass_core::Frame;
use underpass_core::bus::{Address, ConnectionId, Publication, Subject};

use super::label::{self, Count, Kind, Label};
use super::lanes::{LaneKey, Way};

/// When a message with frames is full, bytes. A larger frame has one to itself.
const FULL: usize = 16 * 1024;
/// What is allocated at once for messages, bytes.
const BLOCK: usize = 4 * FULL;
/// How many blocks are kept.
const BLOCKS: usize = 16;
/// What stands in front of a frame.
const HEAD: usize = 8 + 8 + 4;
/// What a message takes in the client besides what it carries, bytes.
const OVERHEAD: usize = 256;

/// What a message has besides a frame that it has to itself, at most.
pub(crate) const LONGEST: usize = label::LONGEST + HEAD;

/// Messages on their way to the client.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    /// Those that are being filled; one a lane.
    open: Vec<Open>,
    closed: VecDeque<OutboundMessage>,
    /// The bytes of those that are closed, and what they take besides.
    closed_bytes: usize,
    blocks: Vec<BytesMut>,
}

/// A message that is being filled.
#[derive(Debug)]
struct Open {
    key: LaneKey,
    way: Way,
    /// Whom the last frame is from, and for.
    last: (Option<Subject>, Subject),
    first: Count,
    frames: u64,
    /// When it is full.
    most: usize,
    bytes: BytesMut,
}

/// A message that was closed: how many frames of a strand it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) key: LaneKey,
    pub(crate) first: Count,
    pub(crate) frames: u64,
}

impl Packs {
    /// The ends of the last frame of the message to which a frame of a lane can be added.
    pub(crate) fn last(&self, key: LaneKey, frame: &Frame) -> Option<(Option<Subject>, Subject)> {
        let open = self.open.iter().rev().find(|open| open.key == key)?;
        (open.bytes.len() + HEAD + frame.len() <= open.most).then_some(open.last)
    }

    /// Adds a frame to the message of its lane.
    pub(crate) fn add(&mut self, key: LaneKey, publication: &Publication) {
        if let Some(open) = self.open.iter_mut().rev().find(|open| open.key == key) {
            open.add(publication);
        }
    }

    /// Begins a message of a lane, which has none, with a frame. `most` is what the server takes.
    pub(crate) fn begin(&mut self, key: LaneKey, way: Way, first: Count, publication: &Publication, most: usize) {
        let Publication { to, reply_to, frame } = publication;
        let length = LONGEST + frame.len();
        let mut bytes = if length > FULL {
            BytesMut::with_capacity(length)
        } else {
            let mut block = self.blocks.pop().unwrap_or_default();
            if block.capacity() < FULL {
                block.reserve(BLOCK);
            }
            block
        };
        Label { from: *reply_to, kind: Kind::Frames(first) }.write(&mut bytes);
        let mut open = Open { key, way, last: (*reply_to, *to), first, frames: 0, most: most.min(FULL), bytes };
        open.add(publication);
        self.open.push(open);
    }

    /// Closes the message of a lane, if there is one.
    pub(crate) fn close(&mut self, key: LaneKey) -> Option<Closed> {
        let at = self.open.iter().rposition(|open| open.key == key)?;
        let open = self.open.remove(at);
        Some(self.seal(open))
    }

    /// Closes a message.
    pub(crate) fn close_any(&mut self) -> Option<Closed> {
        let open = self.open.pop()?;
        Some(self.seal(open))
    }

    fn seal(&mut self, Open { key, way, first, frames, mut bytes, .. }: Open) -> Closed {
        let payload = if bytes.capacity() > bytes.len() {
            let payload = bytes.split().freeze();
            if self.blocks.len() < BLOCKS {
                self.blocks.push(bytes);
            }
            payload
        } else {
            bytes.freeze()
        };
        self.push(way, payload);
        Closed { key, first, frames }
    }

    /// Puts a message behind those that are closed.
    pub(crate) fn push(&mut self, Way { name, back }: Way, payload: Bytes) {
        self.closed_bytes += payload.len() + OVERHEAD;
        self.closed.push_back(OutboundMessage { subject: name, reply: back, payload, headers: None });
    }

    /// Takes the first that was closed, and what it takes in the client, bytes.
    pub(crate) fn pop(&mut self) -> Option<(OutboundMessage, usize)> {
        let message = self.closed.pop_front()?;
        let size = message.payload.len() + OVERHEAD;
        self.closed_bytes -= size;
        Some((message, size))
    }

    /// How many are closed.
    pub(crate) fn len(&self) -> usize {
        self.closed.len()
    }

    /// What those that are closed will take in the client, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.closed_bytes
    }
}

impl Open {
    fn add(&mut self, Publication { to, reply_to, frame }: &Publication) {
        self.bytes.reserve(HEAD + frame.len());
        self.bytes.put_u64(reply_to.map_or(0, number));
        self.bytes.put_u64(number(*to));
        // Frames are shorter than 4 GiB: config says so.
        self.bytes.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        frame.pieces().into_iter().for_each(|piece| self.bytes.extend_from_slice(piece));
        self.last = (*reply_to, *to);
        self.frames += 1;
    }
}

fn number(subject: Subject) -> u64 {
    subject.connection().map_or(0, |connection| connection.number)
}

/// The frames of a message that came.
#[derive(Debug)]
pub(crate) struct Frames {
    from: Option<Subject>,
    address: Address,
    bytes: Bytes,
}

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    pub(crate) from: Option<Subject>,
    pub(crate) to: Subject,
    pub(crate) frame: Bytes,
}

impl Frames {
    /// What follows a label, and how many frames that is. None if it ends in the midst of one, or before the first.
    pub(crate) fn read(from: Option<Subject>, address: Address, bytes: Bytes) -> Option<(Self, u64)> {
        let (mut rest, mut frames) = (&bytes[..], 0);
        while !rest.is_empty() {
            let mut length = rest.get(HEAD - 4..HEAD)?;
            rest = rest.get(HEAD..)?.get(length.get_u32() as usize..)?;
            frames += 1;
        }
        (frames > 0).then_some((Frames { from, address, bytes }, frames))
    }
}

impl Iterator for Frames {
    type Item = Unpacked;

    fn next(&mut self) -> Option<Unpacked> {
        let from = self.bytes.try_get_u64().ok()?;
        let to = self.bytes.try_get_u64().ok()?;
        let length = self.bytes.try_get_u32().ok()? as usize;
        let frame = if length == self.bytes.len() { mem::take(&mut self.bytes) } else { self.bytes.split_to(length) };
        let from = self.from.map(|subject| numbered(subject.address(), from));
        Some(Unpacked { from, to: numbered(self.address, to), frame })
    }
}

fn numbered(address: Address, number: u64) -> Subject {
    match address {
        Address::Gateway(id) => Subject::Gateway(id),
        Address::Relay(relay) => Subject::Connection(ConnectionId { relay, number }),
    }
}

#[cfg(test)]
mod tests {
    use async_nats::Subject as Name;
    use proptest::prelude::*;
    use underpass_core::bus::RelayId;
    use underpass_core::protocol::GatewayId;
    use uuid::Uuid;

    use super::*;

    const RELAY: RelayId = RelayId(Uuid::from_u128(7));
    const GATEWAY: Subject = Subject::Gateway(GatewayId([1; 4]));
    const FIRST: Count = Count { strand: 3, number: 5 };
    const KEY: LaneKey = LaneKey { from: Some(Address::Relay(RELAY)), to: Address::Gateway(GatewayId([1; 4])) };

    fn connection(number: u64) -> Subject {
        Subject::Connection(ConnectionId { relay: RELAY, number })
    }

    fn answer(number: u64, payload: &[u8]) -> Publication {
        let frame = Frame::new(b"head ", Bytes::copy_from_slice(payload), Some(7));
        Publication { to: GATEWAY, reply_to: Some(connection(number)), frame }
    }

    fn way() -> Way {
        Way { name: Name::from_static("name"), back: None }
    }

    fn unpacked(Publication { to, reply_to, frame }: Publication) -> Unpacked {
        Unpacked { from: reply_to, to, frame: frame.into_bytes() }
    }

    /// What the first of those that are closed has, when it has come.
    fn came(packs: &mut Packs) -> (Count, Vec<Unpacked>) {
        let mut payload = packs.pop().unwrap().0.payload;
        let Some(Label { from, kind: Kind::Frames(first) }) = Label::read(&mut payload) else { panic!() };
        let (frames, many) = Frames::read(from, KEY.to, payload).unwrap();
        let frames: Vec<_> = frames.collect();
        assert_eq!(many, frames.len() as u64);
        (first, frames)
    }

    #[test]
    fn frames_of_one_message_come_out_as_they_went_in() {
        let mut packs = Packs::default();
        let sent = [answer(1, b"one"), answer(2, b""), answer(u64::MAX, &[9; 1000])];
        packs.begin(KEY, way(), FIRST, &sent[0], usize::MAX);
        for (before, next) in sent.iter().zip(&sent[1..]) {
            assert_eq!(packs.last(KEY, &next.frame), Some((before.reply_to, before.to)));
            packs.add(KEY, next);
        }
        assert_eq!(packs.close(KEY), Some(Closed { key: KEY, first: FIRST, frames: 3 }));
        assert_eq!(packs.close(KEY), None);
        assert!(packs.bytes() > 1000);
        assert_eq!(came(&mut packs), (FIRST, sent.map(unpacked).into()));
        assert_eq!((packs.len(), packs.bytes()), (0, 0));
    }

    #[test]
    fn a_message_that_is_full_takes_no_more_and_a_large_frame_has_one_to_itself() {
        let mut packs = Packs::default();
        let (small, large) = (answer(1, &[1; 100]), answer(1, &[2; 10 * FULL]));
        packs.begin(KEY, way(), FIRST, &small, usize::MAX);
        assert_eq!(packs.last(KEY, &large.frame), None);
        let mut frames = 1;
        while packs.last(KEY, &small.frame).is_some() {
            packs.add(KEY, &small);
            frames += 1;
        }
        assert_eq!(packs.close_any(), Some(Closed { key: KEY, first: FIRST, frames }));
        assert!(packs.closed[0].payload.len() <= FULL && packs.closed[0].payload.len() + 200 > FULL);
        packs.begin(KEY, way(), FIRST, &large, usize::MAX);
        assert_eq!(packs.last(KEY, &answer(1, b"").frame), None);
        assert_eq!(packs.close_any().map(|closed| closed.frames), Some(1));
        assert_eq!(came(&mut packs).1.len() as u64, frames);
        assert_eq!(came(&mut packs).1, [unpacked(large)]);
    }

    #[test]
    fn no_message_is_larger_than_the_server_takes() {
        let mut packs = Packs::default();
        let frame = answer(1, &[1; 300]);
        packs.begin(KEY, way(), FIRST, &frame, 1000);
        packs.add(KEY, &frame);
        assert_eq!(packs.last(KEY, &frame.frame), None);
    }

    #[test]
    fn a_block_is_used_again_when_what_it_held_is_gone() {
        let mut packs = Packs::default();
        let frame = answer(1, &[1; 1000]);
        let mut places = hashbrown::HashSet::new();
        for _ in 0..10_000 {
            packs.begin(KEY, way(), FIRST, &frame, usize::MAX);
            packs.close(KEY);
            let (message, _) = packs.pop().unwrap();
            places.insert(message.payload.as_ptr());
        }
        assert!(packs.blocks.len() == 1 && places.len() < 100, "{} places", places.len());
    }

    proptest! {
        #[test]
        fn bytes_of_a_stranger_are_all_frames_or_none(bytes in proptest::collection::vec(0..4_u8, 0..200)) {
            let bytes = Bytes::from(bytes);
            if let Some((frames, many)) = Frames::read(None, KEY.to, bytes.clone()) {
                let lengths: Vec<_> = frames.map(|unpacked| unpacked.frame.len() + HEAD).collect();
                prop_assert_eq!(lengths.len() as u64, many);
                prop_assert_eq!(lengths.iter().sum::<usize>(), bytes.len());
            }
        }

        #[test]
        fn a_message_that_is_cut_is_none(payloads in proptest::collection::vec(0..50_usize, 1..5), cut in 1..20_usize) {
            let mut packs = Packs::default();
            let frames: Vec<_> = payloads.iter().map(|length| answer(1, &vec![1; *length])).collect();
            packs.begin(KEY, way(), FIRST, &frames[0], usize::MAX);
            frames[1..].iter().for_each(|frame| packs.add(KEY, frame));
            packs.close(KEY);
            let mut payload = packs.pop().unwrap().0.payload;
            let label = Label::read(&mut payload).unwrap();
            payload.truncate(payload.len() - cut.min(payload.len()));
            if let Some((_, many)) = Frames::read(label.from, KEY.to, payload) {
                prop_assert!((many as usize) < frames.len());
            }
        }
    }
}
