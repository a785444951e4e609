//! The bus: one bounded queue for each address that somebody holds.

use core::fmt;
use core::future::poll_fn;
use core::mem;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::{Context, Poll, Waker};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use underpass_core::ConfigError;
use underpass_core::bus::{Address, AttachError, Bus, Delivery, Inbox, Publication, PublishError, Rejected};

use crate::{lock, wait};

/// Bounds of a bus. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the frames that wait in one inbox may have together; a frame that does not fit goes back to its
    /// publisher.
    pub inbox_bytes: usize,
    /// How many frames may wait in one inbox; likewise.
    pub inbox_messages: usize,
    /// The largest frame that is carried.
    pub largest_message: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { inbox_bytes: 64 * 1024 * 1024, inbox_messages: 65_536, largest_message: 34 * 1024 * 1024 }
    }
}

impl Config {
    fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [("inbox_messages", self.inbox_messages), ("largest_message", self.largest_message)] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        if self.inbox_bytes < self.largest_message {
            return Err(ConfigError::BoundBelowLargest {
                bound: "inbox_bytes",
                bound_bytes: self.inbox_bytes,
                largest: "largest_message",
                needed: self.largest_message,
            });
        }
        Ok(())
    }
}

/// What a bus holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Addresses that somebody holds.
    pub inboxes: usize,
    /// Frames that wait in them.
    pub messages: usize,
    /// The bytes of those frames.
    pub bytes: usize,
}

/// A message bus within the process. Clones are the same bus.
///
/// Nothing is copied: the frame that was published comes out of the inbox. Nothing is lost either: a frame that was
/// taken is delivered, unless its inbox is dropped, and one that is not taken goes back to its publisher at once —
/// [`Full`](PublishError::Full) when the inbox is at one of its bounds, [`NoResponders`](PublishError::NoResponders)
/// when nobody holds the address, [`TooLarge`](PublishError::TooLarge) when no inbox would take it. So
/// inboxes yield [`Delivery::Frame`] only.
#[derive(Clone)]
pub struct MemBus {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    inboxes: RwLock<HashMap<Address, Arc<Mutex<Queue>>>>,
}

/// What waits in one inbox. It is emptied as a whole, so a vector serves, and it changes places with the reader's: in
/// the long run nothing is allocated.
#[derive(Default)]
struct Queue {
    deliveries: Vec<Delivery>,
    bytes: usize,
    waiting: Option<Waker>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<Address, Arc<Mutex<Queue>>>> {
        self.inboxes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Address, Arc<Mutex<Queue>>>> {
        self.inboxes.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame into its inbox. Whom to wake then, outside of the locks.
    #[allow(clippy::result_large_err)]
    fn put(&self, publication: Publication) -> Result<Option<Waker>, Rejected> {
        let size = publication.frame.len();
        if size > self.config.largest_message {
            return Err(Rejected { publication, reason: PublishError::TooLarge });
        }
        let inboxes = self.read();
        let Some(queue) = inboxes.get(&publication.to.address()) else {
            return Err(Rejected { publication, reason: PublishError::NoResponders });
        };
        let mut queue = lock(queue);
        let room = self.config.inbox_bytes - queue.bytes;
        if size > room || queue.deliveries.len() >= self.config.inbox_messages {
            return Err(Rejected { publication, reason: PublishError::Full });
        }
        queue.bytes += size;
        let Publication { to, reply_to, frame } = publication;
        queue.deliveries.push(Delivery::Frame { to, reply_to, frame });
        Ok(queue.waiting.take())
    }
}

impl Queue {
    fn poll(&mut self, deliveries: &mut Vec<Delivery>, context: &Context<'_>) -> Poll<()> {
        if self.deliveries.is_empty() {
            wait(&mut self.waiting, context);
            return Poll::Pending;
        }
        if deliveries.is_empty() {
            mem::swap(deliveries, &mut self.deliveries);
        } else {
            deliveries.append(&mut self.deliveries);
        }
        self.bytes = 0;
        Poll::Ready(())
    }
}

impl MemBus {
    /// A bus of its own.
    ///
    /// # Errors
    /// A bound is zero, or an inbox could not hold the largest message.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(MemBus { shared: Arc::new(Shared { config, inboxes: RwLock::default() }) })
    }

    /// What it holds now.
    pub fn stats(&self) -> Stats {
        let inboxes = self.shared.read();
        let mut stats = Stats { inboxes: inboxes.len(), ..Stats::default() };
        for queue in inboxes.values() {
            let queue = lock(queue);
            stats.messages += queue.deliveries.len();
            stats.bytes += queue.bytes;
        }
        stats
    }

    /// Whether no frame waits in any inbox.
    pub fn is_idle(&self) -> bool {
        self.stats().messages == 0
    }
}

impl fmt::Debug for MemBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemBus").field("config", &self.shared.config).field("stats", &self.stats()).finish()
    }
}

impl Bus for MemBus {
    type Inbox = MemInbox;

    fn largest_message(&self) -> usize {
        self.shared.config.largest_message
    }

    fn publish(&self, publication: Publication) -> Result<(), Rejected> {
        if let Some(waker) = self.shared.put(publication)? {
            waker.wake();
        }
        Ok(())
    }

    async fn attach(&self, address: Address) -> Result<MemInbox, AttachError> {
        match self.shared.write().entry(address) {
            Entry::Occupied(_) => Err(AttachError::Taken),
            Entry::Vacant(free) => {
                let queue = free.insert(Arc::default()).clone();
                Ok(MemInbox { shared: self.shared.clone(), address, queue })
            }
        }
    }
}

/// An inbox of a [`MemBus`]. Dropping it gives the address back and drops what it held.
pub struct MemInbox {
    shared: Arc<Shared>,
    address: Address,
    queue: Arc<Mutex<Queue>>,
}

impl Inbox for MemInbox {
    /// Never fails. When `deliveries` is empty it changes places with the inbox's own vector; so hand the same one in
    /// again, cleared.
    async fn receive(&mut self, deliveries: &mut Vec<Delivery>) -> Result<(), AttachError> {
        poll_fn(|context| lock(&self.queue).poll(deliveries, context)).await;
        Ok(())
    }
}

impl Drop for MemInbox {
    fn drop(&mut self) {
        // Publishers reach the queue through the table only, under its lock: from here on nothing comes.
        self.shared.write().remove(&self.address);
    }
}

impl fmt::Debug for MemInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemInbox").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use bytes::Bytes;
    use underpass_core::Frame;
    use underpass_core::bus::{ConnectionId, RelayId, Subject};
    use underpass_core::protocol::GatewayId;
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Woken, block_on, poll_once};

    const RELAY: RelayId = RelayId(Uuid::from_u128(1));

    fn bus() -> MemBus {
        MemBus::new(Config { inbox_bytes: 10, inbox_messages: 3, largest_message: 8 }).unwrap()
    }

    fn attach(bus: &MemBus, address: Address) -> MemInbox {
        block_on(bus.attach(address)).unwrap()
    }

    fn connection(number: u64) -> Subject {
        Subject::Connection(ConnectionId { relay: RELAY, number })
    }

    fn to_gateway(payload: impl Into<Bytes>) -> Publication {
        publication(Subject::Gateway(GatewayId([1; 4])), payload)
    }

    fn gateway() -> Address {
        to_gateway("").to.address()
    }

    fn publication(to: Subject, payload: impl Into<Bytes>) -> Publication {
        Publication { to, reply_to: None, frame: Frame::from(payload.into()) }
    }

    fn reason(result: Result<(), Rejected>) -> PublishError {
        result.unwrap_err().reason
    }

    fn received(inbox: &mut MemInbox) -> Vec<(Subject, Bytes)> {
        let mut deliveries = Vec::new();
        block_on(inbox.receive(&mut deliveries)).unwrap();
        let frames = deliveries.into_iter().map(|delivery| match delivery {
            Delivery::Frame { to, frame, .. } => (to, frame.into_bytes()),
            other @ (Delivery::Rejected(_) | Delivery::NoResponders { .. } | Delivery::Lost { .. }) => {
                panic!("{other:?}")
            }
        });
        frames.collect()
    }

    #[test]
    fn frames_arrive_in_the_order_of_their_publishing() {
        let bus = bus();
        let mut inbox = attach(&bus, gateway());
        for payload in ["a", "b", "c"] {
            bus.publish(to_gateway(payload)).unwrap();
        }
        let payloads: Vec<_> = received(&mut inbox).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(payloads, ["a", "b", "c"]);
    }

    #[test]
    fn a_relay_receives_what_goes_to_any_of_its_connections() {
        let bus = bus();
        let mut inbox = attach(&bus, Address::Relay(RELAY));
        bus.publish(publication(connection(7), "a")).unwrap();
        bus.publish(publication(connection(9), "b")).unwrap();
        assert_eq!(received(&mut inbox), [(connection(7), "a".into()), (connection(9), "b".into())]);
        let stranger = Subject::Connection(ConnectionId { relay: RelayId(Uuid::from_u128(2)), number: 7 });
        assert_eq!(reason(bus.publish(publication(stranger, "c"))), PublishError::NoResponders);
    }

    #[test]
    fn the_published_frame_itself_is_delivered() {
        let bus = bus();
        let mut inbox = attach(&bus, gateway());
        let payload = Bytes::from(b"payload".to_vec());
        bus.publish(to_gateway(payload.clone())).unwrap();
        assert_eq!(received(&mut inbox)[0].1.as_ptr(), payload.as_ptr());
    }

    #[test]
    fn an_inbox_full_of_bytes_gives_frames_back_and_takes_them_when_read() {
        let bus = bus();
        let mut inbox = attach(&bus, gateway());
        bus.publish(to_gateway("12345678")).unwrap();
        let rejected = bus.publish(to_gateway("abc")).unwrap_err();
        assert_eq!(rejected, Rejected { publication: to_gateway("abc"), reason: PublishError::Full });
        bus.publish(to_gateway("ab")).unwrap();
        assert_eq!(bus.stats(), Stats { inboxes: 1, messages: 2, bytes: 10 });
        assert_eq!(received(&mut inbox).len(), 2);
        assert!(bus.is_idle());
        bus.publish(rejected.publication).unwrap();
        assert_eq!(received(&mut inbox)[0].1, "abc");
    }

    #[test]
    fn an_inbox_full_of_frames_gives_even_empty_ones_back() {
        let bus = bus();
        let _inbox = attach(&bus, gateway());
        for _ in 0..3 {
            bus.publish(to_gateway("")).unwrap();
        }
        assert_eq!(reason(bus.publish(to_gateway(""))), PublishError::Full);
    }

    #[test]
    fn a_full_inbox_is_nobody_elses_trouble() {
        let bus = bus();
        let _full = attach(&bus, gateway());
        let mut other = attach(&bus, Address::Relay(RELAY));
        bus.publish(to_gateway("12345678")).unwrap();
        assert_eq!(reason(bus.publish(to_gateway("12345678"))), PublishError::Full);
        bus.publish(publication(connection(1), "12345678")).unwrap();
        assert_eq!(received(&mut other).len(), 1);
    }

    #[test]
    fn a_frame_beyond_the_largest_goes_back_even_where_nobody_listens() {
        let bus = bus();
        assert_eq!(reason(bus.publish(to_gateway("123456789"))), PublishError::TooLarge);
        let _inbox = attach(&bus, gateway());
        assert_eq!(reason(bus.publish(to_gateway("123456789"))), PublishError::TooLarge);
        bus.publish(to_gateway("12345678")).unwrap();
    }

    #[test]
    fn an_address_has_one_holder_until_it_is_dropped() {
        let bus = bus();
        let inbox = attach(&bus, gateway());
        assert_eq!(block_on(bus.clone().attach(gateway())).unwrap_err(), AttachError::Taken);
        drop(inbox);
        assert_eq!(reason(bus.publish(to_gateway("a"))), PublishError::NoResponders);
        let _inbox = attach(&bus, gateway());
    }

    #[test]
    fn dropping_an_inbox_drops_what_it_held() {
        let bus = bus();
        let payload = Bytes::from(b"payload".to_vec());
        let inbox = attach(&bus, gateway());
        bus.publish(to_gateway(payload.clone())).unwrap();
        assert!(!payload.is_unique());
        drop(inbox);
        assert!(payload.is_unique());
        assert_eq!(bus.stats(), Stats::default());
        let mut next = attach(&bus, gateway());
        assert!(poll_once(next.receive(&mut Vec::new()), &Arc::default()).is_pending());
    }

    #[test]
    fn a_waiting_reader_is_woken_once_for_many_frames() {
        let bus = bus();
        let mut inbox = attach(&bus, gateway());
        let woken = Arc::new(Woken::default());
        let mut deliveries = Vec::new();
        assert!(poll_once(inbox.receive(&mut deliveries), &woken).is_pending());
        bus.publish(to_gateway("a")).unwrap();
        bus.publish(to_gateway("b")).unwrap();
        assert_eq!(woken.times(), 1);
        assert!(poll_once(inbox.receive(&mut deliveries), &woken).is_ready());
        assert_eq!(deliveries.len(), 2);
    }

    #[test]
    fn cancelling_a_wait_loses_nothing() {
        let bus = bus();
        let mut inbox = attach(&bus, gateway());
        assert!(poll_once(inbox.receive(&mut Vec::new()), &Arc::default()).is_pending());
        bus.publish(to_gateway("a")).unwrap();
        assert_eq!(received(&mut inbox)[0].1, "a");
    }

    #[test]
    fn a_reader_that_has_something_left_gets_the_rest_behind_it() {
        let bus = bus();
        let mut inbox = attach(&bus, gateway());
        let mut deliveries = Vec::new();
        for payload in ["a", "b"] {
            bus.publish(to_gateway(payload)).unwrap();
            block_on(inbox.receive(&mut deliveries)).unwrap();
        }
        let frame = |payload: &'static str| {
            let Publication { to, reply_to, frame } = to_gateway(payload);
            Delivery::Frame { to, reply_to, frame }
        };
        assert_eq!(deliveries, [frame("a"), frame("b")]);
        assert!(bus.is_idle());
    }

    #[test]
    fn the_vectors_of_inbox_and_reader_are_used_again() {
        let bus = bus();
        let mut inbox = attach(&bus, gateway());
        let mut deliveries = Vec::new();
        let mut buffers = Vec::new();
        for _ in 0..6 {
            bus.publish(to_gateway("a")).unwrap();
            deliveries.clear();
            block_on(inbox.receive(&mut deliveries)).unwrap();
            buffers.push(deliveries.as_ptr());
        }
        assert_eq!(buffers[..2], buffers[2..4]);
        assert_eq!(buffers[..2], buffers[4..]);
    }

    #[test]
    fn frames_cross_threads() {
        let bus = MemBus::new(Config::default()).unwrap();
        let mut inbox = attach(&bus, gateway());
        let publisher = thread::spawn(move || {
            for number in 0..10_000_u32 {
                bus.publish(to_gateway(number.to_be_bytes().to_vec())).unwrap();
            }
        });
        let mut next = 0;
        while next < 10_000_u32 {
            for (_, payload) in received(&mut inbox) {
                assert_eq!(*payload, next.to_be_bytes());
                next += 1;
            }
        }
        publisher.join().unwrap();
    }

    #[test]
    fn an_inbox_below_the_largest_message_is_refused() {
        let error = MemBus::new(Config { inbox_bytes: 7, inbox_messages: 1, largest_message: 8 }).unwrap_err();
        let expected = ConfigError::BoundBelowLargest {
            bound: "inbox_bytes",
            bound_bytes: 7,
            largest: "largest_message",
            needed: 8,
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_bound_of_zero_is_refused() {
        let no_messages = Config { inbox_messages: 0, ..Config::default() };
        assert_eq!(MemBus::new(no_messages).unwrap_err(), ConfigError::Zero("inbox_messages"));
        let no_bytes = Config { largest_message: 0, ..Config::default() };
        assert_eq!(MemBus::new(no_bytes).unwrap_err(), ConfigError::Zero("largest_message"));
    }
}
