//! What is published, in the order in which it came: packed in a turn of the pump, which comes at once.

mod transfers;

use core::future::{Future, poll_fn};
use core::pin::Pin;
use std::collections::{BTreeSet, VecDeque};
use std::task::{Context, Poll, Waker};

use async_nats::{Client, Subject as Name};
use futures_util::Sink;
use tokio::task::unconstrained;
use tokio::time::Instant;
use underpass_core::bus::{Publication, PublishError, Rejected};

use super::label::{self, Kind, Label, Receipt};
use super::lanes::{LaneKey, Lanes, Way};
use super::names::Names;
use super::pack::{self, Closed, Packs};
use crate::config::BusConfig;

/// How many frames are packed at once, and how often that is done and a piece of a large one sent before others may
/// have the lock.
const BATCH: usize = 64;
const ROUNDS: usize = 4;
/// With so many frames that wait, or one of so many bytes, a publisher does not wait for the pump.
const BURST: usize = 32;
const LARGE: usize = 4096;

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
    packs: Packs,
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
    /// When the pump comes back, if nobody wakes it.
    armed: Option<Instant>,
    /// Somebody waits until nothing waits here.
    flushing: bool,
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
            packs: Packs::default(),
            large: BTreeSet::new(),
            sendable: VecDeque::new(),
            bytes: 0,
            messages: 0,
            unsent: 0,
            sending: 0,
            armed: None,
            flushing: false,
            pump: None,
            counted: Counted::default(),
        }
    }

    /// Frames and their bytes that wait, or are large and have not arrived.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.messages + self.packs.len(), self.bytes + self.packs.bytes())
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
        self.bytes += size;
        self.messages += 1;
        let key = LaneKey::of(&publication);
        let is_large = self.is_large(&publication);
        if self.large.contains(&key) && (is_large || self.lanes.lane(key).holds_back(&publication)) {
            self.lanes.lane(key).held.push_back((now, publication));
        } else if is_large {
            self.begin(key, publication, now);
        } else {
            self.queue(now, Out::Frame(publication));
        }
        if self.packs.len() == 0 && (self.ready.len() >= BURST || size >= LARGE) {
            self.turn(&mut Context::from_waker(Waker::noop()), now);
            if !self.is_waiting() && !self.is_due_sooner() && !self.wants_flush() && !self.flushing {
                return Ok(None);
            }
        }
        Ok(self.pump.take())
    }

    /// Tells the publisher of a large frame how it stands.
    pub(crate) fn receipt(&mut self, back: Name, receipt: Receipt, now: Instant) {
        self.queue(now, Out::Receipt(back, receipt));
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
    pub(crate) fn poll(&mut self, context: &Context<'_>, now: Instant) -> Poll<()> {
        self.pump = Some(context.waker().clone());
        let goes_on = self.turn(&mut Context::from_waker(context.waker()), now);
        if goes_on || self.is_due_sooner() || self.wants_flush() || self.is_flushed() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Packs what waits, and gives the client what is packed. Whether more could be done at once.
    fn turn(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        for _ in 0..ROUNDS {
            if self.packs.len() == 0 {
                self.fill(now);
            }
            while self.packs.len() > 0 && self.is_there() && self.has_room(context) {
                self.give();
            }
            if self.packs.len() > 0 || !self.is_clear() || !self.is_waiting() {
                break;
            }
            // A piece of a large frame goes between small ones.
            if !self.sendable.is_empty() {
                if !self.has_room(context) {
                    break;
                }
                self.send_piece();
                self.give();
            }
        }
        self.packs.len() == 0 && self.is_waiting() && self.is_clear() && self.has_room(context)
    }

    /// Packs what waits, or a part of it.
    fn fill(&mut self, now: Instant) {
        for _ in 0..BATCH {
            if !self.is_clear() {
                break;
            }
            let Some((since, out)) = self.ready.pop_front() else { break };
            self.send(out, since, now);
        }
        while let Some(closed) = self.packs.close_any() {
            self.pass(closed);
        }
    }

    /// Whether nothing waits. If something does, the pump looks up when nothing does any more.
    pub(crate) fn flushes(&mut self) -> bool {
        self.flushing = self.waiting().0 > 0;
        !self.flushing
    }

    /// Whether nothing waits any more, for the first time since somebody wanted to know.
    fn is_flushed(&mut self) -> bool {
        let flushed = self.flushing && self.waiting().0 == 0;
        self.flushing &= !flushed;
        flushed
    }

    /// Whether something waits for the client to take it.
    fn is_waiting(&self) -> bool {
        self.packs.len() > 0 || !self.ready.is_empty() || !self.sendable.is_empty()
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
                transfer.lose_sight();
                (transfer.sent, transfer.granted) = (0, 0);
                self.ready.push_back((now, Out::Announce(*key, transfer.id)));
            }
        }
        self.connected = connected;
    }

    /// When to come back.
    pub(crate) fn arm(&mut self) -> Option<Instant> {
        self.armed = self.due();
        self.armed
    }

    /// Whether that would be too late.
    fn is_due_sooner(&mut self) -> bool {
        self.due().is_some_and(|due| self.armed.is_none_or(|armed| due < armed))
    }

    fn due(&mut self) -> Option<Instant> {
        let ready = self.ready.front().map(|(since, _)| *since + self.config.publish);
        let mut due = [ready, self.lanes.owed_at(), self.settling].into_iter().flatten().min();
        for key in &self.large {
            let Some(lane) = self.lanes.get(key) else { continue };
            let transfer = lane.transfer.as_ref().map(|transfer| transfer.due);
            // As long as the server is there, what is held waits for the large one alone.
            let held = lane.held.front().filter(|_| !self.connected).map(|(since, _)| *since + self.config.publish);
            due = [due, transfer, held].into_iter().flatten().min();
        }
        due
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
        if !self.connected {
            self.expire_held(now, returned);
        }
        self.fail_those(|transfer| transfer.due <= now, PublishError::Disconnected, now, returned);
        while let Some(way) = self.lanes.owed(now) {
            self.queue(now, Out::Ask(way));
        }
    }

    fn is_large(&self, publication: &Publication) -> bool {
        publication.frame.len() > self.most()
    }

    /// What of a frame fits into one message.
    fn most(&self) -> usize {
        self.client.max_payload().saturating_sub(pack::LONGEST).max(1)
    }

    /// Whether the server is there, and others are as well.
    fn is_there(&self) -> bool {
        self.connected && self.settling.is_none()
    }

    /// Whether the client may have more than what is packed.
    fn is_clear(&self) -> bool {
        self.is_there() && self.unsent + self.sending + self.packs.bytes() < self.config.unsent_bytes
    }

    /// Whether the client takes a message. That it takes many in a row is the sense of it, so that its task must not
    /// be asked to let others run.
    fn has_room(&mut self, context: &mut Context<'_>) -> bool {
        let mut asking = unconstrained(poll_fn(|context| Pin::new(&mut self.client).poll_ready(context)));
        Pin::new(&mut asking).poll(context).is_ready()
    }

    fn send(&mut self, out: Out, since: Instant, now: Instant) {
        match out {
            Out::Frame(publication) => {
                let key = LaneKey::of(&publication);
                if self.is_large(&publication) {
                    return self.outgrown(key, publication, since, now);
                }
                self.release(&publication);
                self.pack(key, &publication, now);
            }
            Out::Announce(key, id) => {
                if let Some(closed) = self.packs.close(key) {
                    self.pass(closed);
                }
                let lane = self.lanes.lane(key);
                let Some(transfer) = lane.transfer.as_mut().filter(|transfer| transfer.id == id) else { return };
                transfer.announced = true;
                let Publication { to, reply_to, ref frame } = transfer.publication;
                // Frames are shorter than 4 GiB: config says so.
                let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
                let way = self.lanes.way_back(key.from, to);
                self.send_label(way, Label { from: reply_to, kind: Kind::Large { id, length } });
            }
            Out::Ask(way) => self.send_label(way, Label { from: None, kind: Kind::Ask }),
            // One that is lost is made up for by the publisher's deadline.
            Out::Receipt(name, receipt) => self.packs.push(Way { name, back: None }, receipt.to_bytes()),
        }
    }

    /// One that is lost is asked again, or announced again.
    fn send_label(&mut self, way: Way, label: Label) {
        let mut bytes = Vec::with_capacity(label::LONGEST);
        label.write(&mut bytes);
        self.packs.push(way, bytes.into());
    }

    /// Adds a frame to the message of its lane, or to a new one.
    fn pack(&mut self, key: LaneKey, publication: &Publication, now: Instant) {
        self.counted.published += 1;
        let Publication { to, reply_to, frame } = publication;
        let last = self.packs.last(key, frame);
        if last == Some((*reply_to, *to)) {
            return self.packs.add(key, publication);
        }
        let way = self.lanes.way(key.from, *to, now);
        if last.is_some() && way.back.is_none() {
            return self.packs.add(key, publication);
        }
        if let Some(closed) = self.packs.close(key) {
            self.pass(closed);
        }
        let (first, most) = (self.lanes.lane(key).place(), self.client.max_payload());
        self.packs.begin(key, way, first, publication, most);
    }

    /// The frames of a message have their places.
    fn pass(&mut self, Closed { key, first, frames }: Closed) {
        let lane = self.lanes.lane(key);
        // It may have been forgotten, and begun anew.
        if lane.place() == first {
            lane.pass(frames);
        }
    }

    /// Gives the client a message. It has room.
    fn give(&mut self) {
        let Some((message, size)) = self.packs.pop() else { return };
        self.unsent += size;
        // It refuses one when the server has come back with less room, and any when it has ended. Those who miss the
        // message find out by the number of the next, as they do of one that is lost on its way.
        let _ = Pin::new(&mut self.client).start_send(message);
    }

    /// Has something wait for the client, behind what waits for as long.
    fn queue(&mut self, since: Instant, out: Out) {
        let place = match self.ready.back() {
            Some((last, _)) if *last > since => self.ready.partition_point(|(other, _)| *other <= since),
            Some(_) | None => self.ready.len(),
        };
        self.ready.insert(place, (since, out));
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
