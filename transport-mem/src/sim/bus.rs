//! A bus as real ones are: in order per publisher, at most once; and if it is told to, one that brings frames again.

use core::time::Duration;

use hashbrown::HashMap;
use underpass_core::bus::{Address, Publication, PublishError, Rejected};
use underpass_core::{Frame, Time};

use super::path::Way;
use super::{Happening, Network, Node, Path, Pending};

/// A bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusConfig {
    /// From a publisher to a subscriber.
    pub path: Path,
    /// How many frames may be on their way to one subscriber, or wait there.
    pub inbox_messages: usize,
    /// And how many bytes.
    pub inbox_bytes: usize,
    /// What becomes of a frame that finds no room.
    pub overflow: Overflow,
    /// What becomes of a frame that nobody listens for.
    pub silence: Silence,
    /// The largest frame that it carries, bytes.
    pub largest_message: usize,
    /// How much later a frame that comes twice comes again, at most.
    pub late: Duration,
}

/// What a bus does for a subscriber that is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The frame goes back to its publisher.
    Reject,
    /// It is lost, and nobody hears of it.
    Drop,
}

/// What a bus does where nobody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The frame goes back to its publisher.
    Reject,
    /// The publisher hears later that nobody listens there, if it said who wants to hear.
    TellLater,
    /// The frame is lost, and nobody hears of it.
    Drop,
}

/// How well a process reaches the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Well.
    #[default]
    Whole,
    /// Not at all, and it knows: what it publishes goes back to it. What is for it is lost.
    Away,
    /// Not at all, and nobody knows: what it publishes and what is for it is lost.
    CutOff,
}

/// Of a million frames, how many the bus loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Of those to gateways.
    pub to_gateways: u32,
    /// Of those to relays.
    pub to_relays: u32,
}

impl Losses {
    fn of(self, address: Address) -> u32 {
        match address {
            Address::Gateway(_) => self.to_gateways,
            Address::Relay(_) => self.to_relays,
        }
    }
}

/// The bus and its traffic.
#[derive(Debug)]
pub(super) struct Bus {
    config: BusConfig,
    subscribers: HashMap<Address, Node>,
    ways: HashMap<(Node, Node), Way>,
    losses: Losses,
    /// What was lost between two processes, and is told with the next frame.
    untold: HashMap<(Node, Node), Address>,
    told: Told,
    /// Of a million frames, how many come again.
    twice: u32,
}

/// Whether a bus tells of what it has lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// It counts its frames, and tells when the next one shows that some are missing; and when a process reaches it again.
    #[default]
    Always,
    /// Nobody hears of it.
    Never,
}

/// A process as the bus sees it.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    messages: usize,
    bytes: usize,
    pub(super) reach: Reach,
}

impl Inbox {
    /// A frame is on its way to its subscriber.
    fn take(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    /// A frame was handed to its subscriber.
    pub(super) fn handed(&mut self, frame: &Frame) {
        self.messages -= 1;
        self.bytes -= frame.len();
    }
}

impl Bus {
    pub(super) fn new(config: BusConfig) -> Self {
        Bus {
            config,
            subscribers: HashMap::new(),
            ways: HashMap::new(),
            losses: Losses::default(),
            untold: HashMap::new(),
            told: Told::default(),
            twice: 0,
        }
    }
}

impl<Own> Network<Own> {
    /// A process takes an address. Whoever had it before has it no longer.
    pub fn attach(&mut self, node: Node, address: Address) {
        self.bus.subscribers.insert(address, node);
    }

    /// Nobody listens at an address any more.
    pub fn detach(&mut self, address: Address) {
        self.bus.subscribers.remove(&address);
    }

    /// The bus loses so much from now on.
    pub fn lose(&mut self, losses: Losses) {
        self.bus.losses = losses;
    }

    /// Whether the bus tells of what it loses from now on.
    pub fn tell_losses(&mut self, told: Told) {
        self.bus.told = told;
    }

    /// Of a million frames, so many arrive twice from now on.
    pub fn repeat(&mut self, per_million: u32) {
        self.bus.twice = per_million;
    }

    /// How well a process reaches the bus from now on.
    pub fn reaches_bus(&mut self, node: Node, reach: Reach) {
        let before = core::mem::replace(&mut self.process_mut(node).inbox.reach, reach);
        if before != Reach::Whole && reach == Reach::Whole && self.bus.told == Told::Always {
            self.tell(self.now, Happening::Lost { node, from: None });
        }
    }

    /// A process publishes.
    ///
    /// # Errors
    /// The bus would not take it.
    #[allow(clippy::result_large_err)]
    pub fn publish(&mut self, from: Node, publication: Publication) -> Result<(), Rejected> {
        match self.process(from).inbox.reach {
            Reach::Whole => {}
            Reach::Away => return Err(Rejected { publication, reason: PublishError::Disconnected }),
            Reach::CutOff => {
                if let Some(to) = self.bus.subscribers.get(&publication.to.address()).copied() {
                    self.lost(from, to, &publication);
                }
                return Ok(());
            }
        }
        let bytes = publication.frame.len();
        if bytes > self.bus.config.largest_message {
            return Err(Rejected { publication, reason: PublishError::TooLarge });
        }
        let address = publication.to.address();
        let Some(to) = self.bus.subscribers.get(&address).copied() else {
            return self.nobody_listens(from, publication);
        };
        let config = &self.bus.config;
        let inbox = &mut self.processes[to.0 as usize].inbox;
        if inbox.reach != Reach::Whole || self.random.per_million(self.bus.losses.of(address)) {
            self.lost(from, to, &publication);
            return Ok(());
        }
        if inbox.messages >= config.inbox_messages || inbox.bytes + bytes > config.inbox_bytes {
            return match config.overflow {
                Overflow::Reject => Err(Rejected { publication, reason: PublishError::Full }),
                Overflow::Drop => {
                    self.lost(from, to, &publication);
                    Ok(())
                }
            };
        }
        let way = self.bus.ways.entry((from, to)).or_default();
        let at = way.carry(self.now, bytes, &config.path, &mut self.random);
        inbox.take(bytes);
        if let Some(lost) = self.bus.untold.remove(&(from, to)) {
            self.tell(at, Happening::Lost { node: to, from: Some(lost) });
        }
        let Publication { to: subject, reply_to, frame } = publication;
        if self.random.per_million(self.bus.twice) {
            self.processes[to.0 as usize].inbox.take(bytes);
            // It is brought again when nobody acknowledged it in time: behind what came later.
            let again = at + Duration::from_micros(self.random.spread(1, self.bus.config.late.as_micros() as u64));
            self.tell(again, Happening::Delivered { node: to, from, to: subject, reply_to, frame: frame.clone() });
        }
        self.tell(at, Happening::Delivered { node: to, from, to: subject, reply_to, frame });
        Ok(())
    }

    #[allow(clippy::result_large_err)]
    fn nobody_listens(&mut self, from: Node, publication: Publication) -> Result<(), Rejected> {
        match self.bus.config.silence {
            Silence::Reject => return Err(Rejected { publication, reason: PublishError::NoResponders }),
            Silence::TellLater if publication.reply_to.is_some() => {
                let at = self.now + self.bus.config.path.latency * 2;
                self.tell(at, Happening::NoResponders { node: from, to: publication.to });
            }
            Silence::TellLater | Silence::Drop => {}
        }
        Ok(())
    }

    /// A frame is lost. Its subscriber hears so with the next one, if the bus tells, and its publisher said who it is.
    fn lost(&mut self, from: Node, to: Node, publication: &Publication) {
        if let (Told::Always, Some(publisher)) = (self.bus.told, publication.reply_to) {
            self.bus.untold.insert((from, to), publisher.address());
        }
    }

    pub(super) fn tell(&mut self, at: Time, happening: Happening<Own>) {
        self.timeline.push(at, Pending::Tell(happening));
    }
}

/// What a bus within one data centre is like, without a fault.
impl Default for BusConfig {
    fn default() -> Self {
        BusConfig {
            path: Path { latency: Duration::from_micros(200), jitter: Duration::from_micros(100), bandwidth: None },
            inbox_messages: 65_536,
            inbox_bytes: 64 * 1024 * 1024,
            overflow: Overflow::Reject,
            silence: Silence::TellLater,
            largest_message: 34 * 1024 * 1024,
            late: Duration::from_secs(8),
        }
    }
}
