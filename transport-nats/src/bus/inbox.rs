//! What comes to an address.

use core::fmt;
use std::sync::Arc;

use async_nats::{Client, Message, Subject as Name, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout};
use underpass_core::Frame;
use underpass_core::bus::{Address, AttachError, Delivery, Inbox};

use super::join::{self, Announced, Joined, Joiner, Receipts};
use super::label::{Kind, Label};
use super::mailbox::Mailbox;
use super::pack::{Frames, Unpacked};
use super::pump::until;
use super::strands::{Judged, Strands};
use super::{NatsBus, Shared, count};
use crate::lock;
use crate::task::Task;

/// How many messages are taken in at once.
const BATCH: usize = 1024;

/// An inbox of a [`NatsBus`]. Dropping it gives the address back and drops what it held.
pub struct NatsInbox {
    bus: NatsBus,
    address: Address,
    mailbox: Arc<Mailbox>,
    /// None until the server has confirmed that the address is held.
    task: Option<Task>,
}

impl NatsInbox {
    pub(super) async fn attach(bus: NatsBus, address: Address, mailbox: Arc<Mailbox>) -> Result<Self, AttachError> {
        // Dropping it from here on gives the address back.
        let mut inbox = NatsInbox { bus, address, mailbox, task: None };
        let shared = &inbox.bus.shared;
        let subscribed = timeout(shared.config.attach, subscribe(shared, address)).await;
        let (subscriber, early) = subscribed.map_err(|_| AttachError::Disconnected)??;
        let intake = Intake::new(shared.clone(), address, inbox.mailbox.clone());
        inbox.task = Some(Task::spawn(intake.run(subscriber, early)));
        Ok(inbox)
    }
}

/// Subscribes, and waits until what is published arrives. That, and what came before it.
async fn subscribe(shared: &Shared, address: Address) -> Result<(Subscriber, Vec<Message>), AttachError> {
    let client: &Client = &shared.client;
    let away = |_| AttachError::Disconnected;
    let mut subscriber = client.subscribe(shared.names.address(address)).await.map_err(away)?;
    let token = lock(&shared.outgoing).token();
    let mut itself = Vec::new();
    Label { from: None, kind: Kind::Attached(token) }.write(&mut itself);
    let itself = bytes::Bytes::from(itself);
    client.publish(shared.names.itself(address), itself.clone()).await.map_err(|_| AttachError::Disconnected)?;
    let mut early = Vec::new();
    loop {
        let message = subscriber.next().await.ok_or(AttachError::Disconnected)?;
        if message.payload == itself {
            return Ok((subscriber, early));
        }
        early.push(message);
    }
}

impl Inbox for NatsInbox {
    /// When `deliveries` is empty it changes places with the inbox's own vector: hand the same one in again, cleared.
    async fn receive(&mut self, deliveries: &mut Vec<Delivery>) -> Result<(), AttachError> {
        self.mailbox.take(deliveries).await
    }
}

impl Drop for NatsInbox {
    fn drop(&mut self) {
        lock(&self.bus.shared.mailboxes).remove(&self.address);
    }
}

impl fmt::Debug for NatsInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsInbox").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Takes in what a subscription brings. When it ends, in whatever way, the inbox does.
struct Intake {
    shared: Arc<Shared>,
    address: Address,
    mailbox: Arc<Mailbox>,
    strands: Strands,
    joiner: Joiner<Name>,
    deliveries: Vec<Delivery>,
    receipts: Receipts<Name>,
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.mailbox.end();
    }
}

impl Intake {
    fn new(shared: Arc<Shared>, address: Address, mailbox: Arc<Mailbox>) -> Self {
        let config = &shared.config;
        let limits = join::Limits {
            largest: config.largest_message,
            window: config.window,
            piece: config.piece,
            waiting: config.waiting,
            remembered: config.remembered,
        };
        let (strands, joiner) = (Strands::new(config.remembered), Joiner::new(limits));
        Intake { shared, address, mailbox, strands, joiner, deliveries: Vec::new(), receipts: Vec::new() }
    }

    async fn run(mut self, mut subscriber: Subscriber, early: Vec<Message>) {
        let mut connected = self.shared.connected.clone();
        let mut times_away = connected.borrow_and_update().times_away;
        for message in early {
            self.take(message, Instant::now());
        }
        loop {
            self.pass_on();
            tokio::select! {
                message = subscriber.next() => {
                    let Some(message) = message else { break };
                    let now = Instant::now();
                    self.take(message, now);
                    for _ in 1..BATCH {
                        match subscriber.next().now_or_never() {
                            Some(Some(message)) => self.take(message, now),
                            Some(None) | None => break,
                        }
                    }
                }
                changed = connected.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let now = *connected.borrow_and_update();
                    if now.there && now.times_away != times_away {
                        times_away = now.times_away;
                        self.deliveries.push(Delivery::Lost { from: None });
                    }
                }
                () = until(self.joiner.due()) => self.joiner.expire(Instant::now(), &mut self.receipts),
            }
        }
    }

    /// Tells whoever holds the address what came, and publishers of large frames how they stand.
    fn pass_on(&mut self) {
        if !self.receipts.is_empty() {
            let receipts = self.receipts.drain(..);
            self.shared.outgoing(|outgoing, now, _| {
                receipts.for_each(|(back, receipt)| outgoing.receipt(back, receipt, now));
            });
        }
        if !self.deliveries.is_empty() {
            let dropped = self.mailbox.put(self.deliveries.drain(..));
            count(&self.shared.counters.dropped, dropped);
        }
    }

    fn take(&mut self, message: Message, now: Instant) {
        let counters = &self.shared.counters;
        let Message { subject, reply, mut payload, .. } = message;
        let Some(Label { from, kind }) = Label::read(&mut payload) else { return count(&counters.malformed, 1) };
        match kind {
            Kind::Frames(first) => {
                let Some((frames, many)) = Frames::read(from, self.address, payload) else {
                    return count(&counters.malformed, 1);
                };
                // Of a publisher without a name nobody could say anything.
                if let Some(publisher) = from {
                    match self.strands.judge(first, many) {
                        Judged::Next => {}
                        Judged::Gap => {
                            count(&counters.gaps, 1);
                            self.deliveries.push(Delivery::Lost { from: Some(publisher.address()) });
                        }
                        Judged::Late => return count(&counters.late, many),
                    }
                }
                count(&counters.delivered, many);
                self.deliveries.extend(frames.map(|Unpacked { from, to, frame }| {
                    let frame = Frame::from(frame);
                    Delivery::Frame { to, reply_to: from, frame }
                }));
            }
            Kind::Large { id, length } => {
                let (Some(to), Some(back)) = (self.shared.names.to(&subject, self.address), reply) else {
                    return count(&counters.malformed, 1);
                };
                let announced = Announced { id, length: length as usize, back, from, to };
                self.joiner.announce(announced, now, &mut self.receipts);
            }
            Kind::Piece { id, offset } => {
                let joined = self.joiner.piece(id, offset as usize, &payload, now, &mut self.receipts);
                if let Some(Joined { from, to, bytes }) = joined {
                    count(&counters.delivered, 1);
                    self.deliveries.push(Delivery::Frame { to, reply_to: from, frame: Frame::from(bytes) });
                }
            }
            Kind::Ask | Kind::Attached(_) => {}
        }
    }
}
