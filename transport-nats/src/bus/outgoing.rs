//! What is published: straight to the client while it takes it, else in the order in which it came.

use core::pin::Pin;
use std::collections::{BTreeSet, VecDeque};
use std::task::{Context, Poll, Waker};

use async_nats::message::OutboundMessage;
use async_nats::{Client, Subject as Name};
use bytes::{Bytes, BytesMut};
use futures_util::Sink;
use tokio::time::Instant;
use underpass_core::bus::{Publication, PublishError, Rejected, Subject};

use super::label::{self, Kind, Label, Receipt, Word};
use super::lanes::{LaneKey, Lanes, Transfer, Way, copy};
use super::names::Names;
use crate::config::BusConfig;

/// What a message takes in the client besides what it carries, bytes.
const MESSAGE_OVERHEAD: usize = 256;
/// How many messages are handed over before others may have the lock.
const BATCH: usize = 64;

/// What waits to be published, and what is known of it afterwards.
#[derive(Debug)]
pub(crate) struct Outgoing {
    config: BusConfig,
    client: Client,
    connected: bool,
    /// The server has just come back, and until then others may not have.
    settling: Option<Instant>,
    lanes: Lanes,
    ready: VecDeque<(Instant, Out)>,
    /// The lanes that have a large frame under way.
    large: BTreeSet<LaneKey>,
    /// Those whose large frame may go on.
    sendable: VecDeque<LaneKey>,
    /// What has yet to be published, or to arrive if it is large.
    bytes: usize,
    messages: usize,
    /// What the client was given since it was asked last to send all that it has, bytes.
    unsent: usize,
    /// What it was given before that and has perhaps not sent yet.
    sending: usize,
    /// Somebody must look when to come back.
    changed: bool,
    pump: Option<Waker>,
    pub(crate) counted: Counted,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) published: u64,
    pub(crate) large: u64,
    pub(crate) rejected: u64,
}

/// What waits for the client.
#[derive(Debug)]
enum Out {
    Frame(Publication),
    /// A large frame of this lane is to come.
    Announce(LaneKey, u64),
    Ask(Way),
    Receipt(Name, Receipt),
}

/// What came of a publication in the end.
pub(crate) type Returned = Vec<Rejected>;

impl Outgoing {
    pub(crate) fn new(config: BusConfig, client: Client, names: Names, first_id: u64) -> Self {
        let lanes = Lanes::new(names, first_id, config.remembered, config.ask_again);
        Outgoing {
            config,
            client,
            connected: true,
            settling: None,
            lanes,
            ready: VecDeque::new(),
            large: BTreeSet::new(),
            sendable: VecDeque::new(),
            bytes: 0,
            messages: 0,
            unsent: 0,
            sending: 0,
            changed: false,
            pump: None,
            counted: Counted::default(),
        }
    }

    /// Frames and their bytes that wait, or are large and have not arrived.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.messages, self.bytes)
    }

    /// Publishes a frame, now or when there is room. Whom to wake, outside of the lock.
    #[allow(clippy::result_large_err)]
    pub(crate) fn publish(&mut self, publication: Publication, now: Instant) -> Result<Option<Waker>, Rejected> {
        let size = publication.frame.len();
        if size > self.config.largest_message {
            return Err(self.reject(publication, PublishError::TooLarge));
        }
        if size > self.config.outgoing_bytes - self.bytes || self.messages >= self.config.outgoing_messages {
            return Err(self.reject(publication, PublishError::Full));
        }
        let key = LaneKey::of(&publication);
        let is_large = self.is_large(&publication);
        let held = self.large.contains(&key) && (is_large || self.lanes.lane(key).holds_back(&publication));
        if !held && !is_large && self.is_clear(&mut Context::from_waker(Waker::noop())) {
            self.send_frame(&publication, now).map_err(|reason| self.reject(publication, reason))?;
            return Ok(if self.changed || self.wants_flush() { self.pump.take() } else { None });
        }
        self.bytes += size;
        self.messages += 1;
        if held {
            self.lanes.lane(key).held.push_back(publication);
        } else if is_large {
            self.begin(key, publication, now);
        } else {
            self.ready.push_back((now, Out::Frame(publication)));
        }
        Ok(self.pump.take())
    }

    /// Tells the publisher of a large frame how it stands.
    pub(crate) fn receipt(&mut self, back: Name, receipt: Receipt, now: Instant) {
        self.ready.push_back((now, Out::Receipt(back, receipt)));
    }

    /// A number that nothing else has.
    pub(crate) fn token(&mut self) -> u64 {
        self.lanes.id()
    }

    /// Whom to wake after something was done here.
    pub(crate) fn waker(&mut self) -> Option<Waker> {
        self.pump.take()
    }

    /// Hands over what the client takes. Ready when there is something else to do than to wait.
    pub(crate) fn poll(&mut self, context: &Context<'_>, now: Instant, returned: &mut Returned) -> Poll<()> {
        self.pump = Some(context.waker().clone());
        let mut context = Context::from_waker(context.waker());
        for _ in 0..BATCH {
            if self.ready.is_empty() && self.sendable.is_empty() || !self.has_room(&mut context) {
                return if core::mem::take(&mut self.changed) || self.wants_flush() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                };
            }
            // A piece of a large frame goes between two small ones.
            if let Some((_, out)) = self.ready.pop_front() {
                self.send(out, now, returned);
            }
            if !self.sendable.is_empty() && self.has_room(&mut context) {
                self.send_piece();
            }
        }
        Poll::Ready(())
    }

    /// Whether the client has so much in its hands that it is to send it.
    pub(crate) fn wants_flush(&self) -> bool {
        self.sending == 0 && self.unsent >= self.config.unsent_bytes / 2
    }

    /// The client is asked to send all that it has.
    pub(crate) fn flush(&mut self) {
        self.sending = core::mem::take(&mut self.unsent);
    }

    /// It has.
    pub(crate) fn flushed(&mut self) {
        self.sending = 0;
    }

    /// The server is there, or not.
    pub(crate) fn connected(&mut self, connected: bool, now: Instant) {
        if connected && !self.connected {
            self.settling = Some(now + self.config.settle);
            // Pieces may be lost, and word of them. Who has joined one already says so.
            self.sendable.clear();
            for key in &self.large {
                let Some(transfer) = self.lanes.transfer(key) else { continue };
                (transfer.sent, transfer.granted) = (0, 0);
                self.ready.push_back((now, Out::Announce(*key, transfer.id)));
            }
        }
        self.connected = connected;
    }

    /// When to come back.
    pub(crate) fn due(&mut self) -> Option<Instant> {
        let ready = self.ready.front().map(|(since, _)| *since + self.config.publish);
        let large = self.large.iter().filter_map(|key| Some(self.lanes.transfer(key)?.due)).min();
        [ready, large, self.lanes.owed_at(), self.settling].into_iter().flatten().min()
    }

    /// Gives back what waited too long, and asks what is to be asked.
    pub(crate) fn expire(&mut self, now: Instant, returned: &mut Returned) {
        self.settling = self.settling.filter(|settled| *settled > now);
        while let Some((since, _)) = self.ready.front()
            && *since + self.config.publish <= now
        {
            match self.ready.pop_front() {
                Some((_, Out::Frame(publication))) => self.give_back(publication, PublishError::Disconnected, returned),
                // The large frame has a deadline of its own, as has who waits for a receipt.
                Some((_, Out::Announce(..) | Out::Ask(_) | Out::Receipt(..))) | None => {}
            }
        }
        self.fail_those(|transfer| transfer.due <= now, PublishError::Disconnected, now, returned);
        while let Some(way) = self.lanes.owed(now) {
            self.ready.push_back((now, Out::Ask(way)));
        }
    }

    /// Word of a large frame came.
    pub(crate) fn told(&mut self, key: LaneKey, receipt: Receipt, now: Instant, returned: &mut Returned) {
        let Some(transfer) = self.lanes.transfer(&key).filter(|transfer| transfer.id == receipt.id) else { return };
        match receipt.word {
            Word::Granted(granted) => {
                let had = transfer.granted;
                transfer.granted = had.max(granted as usize).min(transfer.publication.frame.len());
                transfer.due = now + self.config.receipt;
                if transfer.sent == had && transfer.granted > had && !self.sendable.contains(&key) {
                    self.sendable.push_back(key);
                }
            }
            Word::Joined => {
                if let Some(Transfer { publication, .. }) = self.lanes.lane(key).transfer.take() {
                    self.counted.large += 1;
                    self.release(&publication);
                    self.go_on(key, now);
                }
            }
            Word::Missing => self.fail(key, PublishError::Disconnected, now, returned),
            Word::Full => self.fail(key, PublishError::Full, now, returned),
            Word::TooLarge => self.fail(key, PublishError::TooLarge, now, returned),
        }
    }

    /// Nobody listens there.
    pub(crate) fn nobody(&mut self, to: Subject, now: Instant, returned: &mut Returned) {
        self.fail_those(|transfer| transfer.publication.to == to, PublishError::NoResponders, now, returned);
    }

    fn fail_those(
        &mut self,
        which: impl Fn(&Transfer) -> bool,
        reason: PublishError,
        now: Instant,
        returned: &mut Returned,
    ) {
        let of = |key: &&LaneKey| self.lanes.transfer(key).is_some_and(|transfer| which(transfer));
        let keys: Vec<_> = self.large.iter().filter(of).copied().collect();
        for key in keys {
            self.fail(key, reason, now, returned);
        }
    }

    fn is_large(&self, publication: &Publication) -> bool {
        publication.frame.len() > self.most()
    }

    /// What of a frame fits into one message.
    fn most(&self) -> usize {
        self.client.max_payload().saturating_sub(label::LONGEST).max(1)
    }

    /// Whether a frame may go straight to the client.
    fn is_clear(&mut self, context: &mut Context<'_>) -> bool {
        self.ready.is_empty() && self.sendable.is_empty() && self.has_room(context)
    }

    fn has_room(&mut self, context: &mut Context<'_>) -> bool {
        self.connected
            && self.settling.is_none()
            && self.unsent + self.sending < self.config.unsent_bytes
            && Pin::new(&mut self.client).poll_ready(context).is_ready()
    }

    fn send(&mut self, out: Out, now: Instant, returned: &mut Returned) {
        match out {
            Out::Frame(publication) => {
                // The server may have come back with less room.
                if self.is_large(&publication) {
                    let key = LaneKey::of(&publication);
                    match self.lanes.lane(key) {
                        lane if lane.transfer.is_some() => lane.held.push_back(publication),
                        _ => self.begin(key, publication, now),
                    }
                    return;
                }
                match self.send_frame(&publication, now) {
                    Ok(()) => self.release(&publication),
                    Err(reason) => self.give_back(publication, reason, returned),
                }
            }
            Out::Announce(key, id) => {
                let lane = self.lanes.lane(key);
                let Some(transfer) = lane.transfer.as_ref().filter(|transfer| transfer.id == id) else { return };
                let Publication { to, reply_to, ref frame } = transfer.publication;
                // Frames are shorter than 4 GiB: config says so.
                let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
                let way = self.lanes.way_back(key.from, to);
                self.send_label(way, Label { from: reply_to, kind: Kind::Large { id, length } });
            }
            Out::Ask(way) => self.send_label(way, Label { from: None, kind: Kind::Ask }),
            Out::Receipt(name, receipt) => {
                // One that is lost is made up for by the publisher's deadline.
                let _ = self.give(Way { name, back: None }, receipt.to_bytes());
            }
        }
    }

    fn send_label(&mut self, way: Way, label: Label) {
        let mut bytes = BytesMut::with_capacity(label::LONGEST);
        label.write(&mut bytes);
        // One that is lost is asked again, or announced again.
        let _ = self.give(way, bytes.freeze());
    }

    fn send_frame(&mut self, publication: &Publication, now: Instant) -> Result<(), PublishError> {
        let Publication { to, reply_to, frame } = publication;
        let count = self.lanes.lane(LaneKey::of(publication)).count();
        let mut bytes = BytesMut::with_capacity(label::LONGEST + frame.len());
        Label { from: *reply_to, kind: Kind::Frame(count) }.write(&mut bytes);
        frame.pieces().into_iter().for_each(|piece| bytes.extend_from_slice(piece));
        let owed = self.lanes.owed_at();
        let way = self.lanes.way(reply_to.map(|from| from.address()), *to, now);
        self.changed |= self.lanes.owed_at() != owed;
        self.give(way, bytes.freeze())?;
        self.counted.published += 1;
        Ok(())
    }

    /// Sends a piece of the large frame whose turn it is.
    fn send_piece(&mut self) {
        let most = self.most();
        let Some(key) = self.sendable.pop_front() else { return };
        let Some(transfer) = self.lanes.transfer(&key) else { return };
        let Transfer { id, publication: Publication { to, frame, .. }, sent, granted, .. } = transfer;
        let length = most.min(*granted - *sent);
        let mut bytes = BytesMut::with_capacity(label::LONGEST + length);
        // Frames are shorter than 4 GiB: config says so.
        let offset = u32::try_from(*sent).unwrap_or(u32::MAX);
        Label { from: None, kind: Kind::Piece { id: *id, offset } }.write(&mut bytes);
        copy(frame, *sent, length, &mut bytes);
        *sent += length;
        let goes_on = *sent < *granted;
        let to = *to;
        let way = self.lanes.way_back(key.from, to);
        // The joiner misses one that is lost.
        let _ = self.give(way, bytes.freeze());
        if goes_on {
            self.sendable.push_back(key);
        }
    }

    /// Gives the client a message. It has room.
    fn give(&mut self, Way { name, back }: Way, payload: Bytes) -> Result<(), PublishError> {
        self.unsent += payload.len() + MESSAGE_OVERHEAD;
        let message = OutboundMessage { subject: name, reply: back, payload, headers: None };
        Pin::new(&mut self.client).start_send(message).map_err(|error| match error.kind() {
            async_nats::PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge,
            async_nats::PublishErrorKind::Send | async_nats::PublishErrorKind::InvalidSubject => {
                PublishError::Disconnected
            }
        })
    }

    /// A large frame has its turn.
    fn begin(&mut self, key: LaneKey, publication: Publication, now: Instant) {
        let id = self.lanes.id();
        let due = now + self.config.receipt;
        self.lanes.lane(key).transfer = Some(Transfer { id, publication, sent: 0, granted: 0, due });
        self.large.insert(key);
        self.ready.push_back((now, Out::Announce(key, id)));
        self.changed = true;
    }

    /// The large frame of a lane is out of the way.
    fn go_on(&mut self, key: LaneKey, now: Instant) {
        self.large.remove(&key);
        self.sendable.retain(|sendable| *sendable != key);
        while let Some(publication) = self.lanes.get(&key).and_then(|lane| lane.held.pop_front()) {
            if self.is_large(&publication) {
                return self.begin(key, publication, now);
            }
            self.ready.push_back((now, Out::Frame(publication)));
        }
    }

    /// A large frame does not arrive, and what its request has behind it is not published either.
    fn fail(&mut self, key: LaneKey, reason: PublishError, now: Instant, returned: &mut Returned) {
        let Some(lane) = self.lanes.get(&key) else { return };
        let Some(Transfer { publication, .. }) = lane.transfer.take() else { return };
        let behind = lane.take_held(&publication);
        for publication in core::iter::once(publication).chain(behind) {
            self.give_back(publication, reason, returned);
        }
        self.go_on(key, now);
    }

    fn give_back(&mut self, publication: Publication, reason: PublishError, returned: &mut Returned) {
        self.release(&publication);
        let rejected = self.reject(publication, reason);
        returned.push(rejected);
    }

    fn release(&mut self, publication: &Publication) {
        self.bytes -= publication.frame.len();
        self.messages -= 1;
    }

    fn reject(&mut self, publication: Publication, reason: PublishError) -> Rejected {
        self.counted.rejected += 1;
        Rejected { publication, reason }
    }
}
