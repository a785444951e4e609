//! The bus on core NATS.

mod inbox;
mod join;
mod label;
mod lanes;
mod mailbox;
mod names;
mod outgoing;
mod pack;
mod pump;
mod strands;

use core::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_nats::Client;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use underpass_core::bus::{Address, AttachError, Bus, Delivery, Publication, Rejected};

use crate::config::BusConfig;
use crate::connection::Connected;
use crate::task::Task;
use crate::{lock, random};

use self::mailbox::Mailbox;
use self::names::Names;
use self::outgoing::Outgoing;

pub use inbox::NatsInbox;

/// The message bus on NATS. Clones are the same bus.
///
/// Frames that one publisher has for one address at once go in one message.
///
/// A frame that was taken may be lost. Whose frames were lost an inbox hears by [`Delivery::Lost`]: when the number of
/// a later frame shows it, when the inbox had no room, and of anybody's when the server was away. A frame larger than
/// the server takes is cut, and joined by the inbox; one that does not arrive comes back as [`Delivery::Rejected`], as
/// does one that could not be published in time. Meanwhile frames of other requests pass it.
///
/// A frame with a `reply_to` has its publisher hear by [`Delivery::NoResponders`] if nobody holds the address, at most
/// [`ask_again`](BusConfig::ask_again) later.
#[derive(Clone)]
pub struct NatsBus {
    shared: Arc<Shared>,
    _pump: Arc<Task>,
}

/// What a bus has done, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Frames that were not cut.
    pub published: u64,
    /// Frames that arrived in pieces.
    pub large: u64,
    /// Frames that went back to their publishers.
    pub rejected: u64,
    /// Frames that came.
    pub delivered: u64,
    /// Frames that came and found no room.
    pub dropped: u64,
    /// Gaps in the numbers of frames that came.
    pub gaps: u64,
    /// Frames that came behind those that were published after them, and were dropped.
    pub late: u64,
    /// Messages that were none of Underpass.
    pub malformed: u64,
    /// How often NATS was away.
    pub away: u64,
    /// Addresses that are held.
    pub inboxes: usize,
    /// Frames that wait to be published, or are large and have not arrived.
    pub outgoing: usize,
    /// The bytes of those frames.
    pub outgoing_bytes: usize,
}

#[derive(Debug, Default)]
struct Counters {
    delivered: AtomicU64,
    dropped: AtomicU64,
    gaps: AtomicU64,
    late: AtomicU64,
    malformed: AtomicU64,
}

struct Shared {
    config: BusConfig,
    client: Client,
    names: Names,
    connected: watch::Receiver<Connected>,
    outgoing: Mutex<Outgoing>,
    mailboxes: Mutex<HashMap<Address, Arc<Mailbox>>>,
    counters: Counters,
    /// Something that waited was published, or came back.
    moved: Notify,
}

impl Shared {
    /// Does something with what is published, then tells whom it concerns, and wakes the pump.
    fn outgoing<T>(&self, work: impl FnOnce(&mut Outgoing, Instant, &mut outgoing::Returned) -> T) -> T {
        let mut returned = Vec::new();
        let (result, waker) = {
            let mut outgoing = lock(&self.outgoing);
            (work(&mut outgoing, Instant::now(), &mut returned), outgoing.waker())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        for rejected in returned {
            if let Some(from) = rejected.publication.reply_to {
                self.tell(from.address(), Delivery::Rejected(rejected));
            }
        }
        result
    }

    /// Tells whoever holds an address.
    fn tell(&self, address: Address, delivery: Delivery) {
        let mailbox = lock(&self.mailboxes).get(&address).cloned();
        if let Some(mailbox) = mailbox {
            mailbox.put([delivery]);
        }
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl NatsBus {
    pub(crate) async fn start(
        config: BusConfig,
        prefix: &str,
        client: Client,
        connected: watch::Receiver<Connected>,
    ) -> Result<Self, AttachError> {
        let (bus, first_id) = (random::number(), random::number());
        let names = Names::new(prefix, bus);
        let back = client.subscribe(names.all_back()).await.map_err(|_| AttachError::Disconnected)?;
        let outgoing = Mutex::new(Outgoing::new(config.clone(), client.clone(), names.clone(), first_id));
        let (mailboxes, counters, moved) = (Mutex::default(), Counters::default(), Notify::new());
        let shared = Arc::new(Shared { config, client, names, connected, outgoing, mailboxes, counters, moved });
        let pump = Arc::new(Task::spawn(pump::run(shared.clone(), back)));
        Ok(NatsBus { shared, _pump: pump })
    }

    /// Waits until all that was published is on its way, or has come back. Dropping the bus before that loses it.
    pub async fn flush(&self) {
        loop {
            let moved = self.shared.moved.notified();
            if lock(&self.shared.outgoing).flushes() {
                break;
            }
            moved.await;
        }
        // It fails when the client has ended, and then nothing is to be waited for.
        let _ = self.shared.client.flush().await;
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        let Shared { connected, outgoing, mailboxes, counters, .. } = &*self.shared;
        let Counters { delivered, dropped, gaps, late, malformed } = counters;
        let (counted, (outgoing, outgoing_bytes)) = {
            let outgoing = lock(outgoing);
            (outgoing.counted, outgoing.waiting())
        };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            published: counted.published,
            large: counted.large,
            rejected: counted.rejected,
            delivered: read(delivered),
            dropped: read(dropped),
            gaps: read(gaps),
            late: read(late),
            malformed: read(malformed),
            away: connected.borrow().times_away,
            inboxes: lock(mailboxes).len(),
            outgoing,
            outgoing_bytes,
        }
    }
}

impl Bus for NatsBus {
    type Inbox = NatsInbox;

    fn largest_message(&self) -> usize {
        self.shared.config.largest_message
    }

    fn publish(&self, publication: Publication) -> Result<(), Rejected> {
        let waker = lock(&self.shared.outgoing).publish(publication, Instant::now())?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// That another process holds the address is not found out: relays' ids are their own, gateways' are claimed in the
    /// directory.
    async fn attach(&self, address: Address) -> Result<NatsInbox, AttachError> {
        let mailbox = match lock(&self.shared.mailboxes).entry(address) {
            Entry::Occupied(_) => return Err(AttachError::Taken),
            Entry::Vacant(free) => {
                let limits = mailbox::Limits {
                    bytes: self.shared.config.inbox_bytes,
                    messages: self.shared.config.inbox_messages,
                };
                free.insert(Arc::new(Mailbox::new(limits))).clone()
            }
        };
        NatsInbox::attach(self.clone(), address, mailbox).await
    }
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus").field("config", &self.shared.config).field("stats", &self.stats()).finish()
    }
}
