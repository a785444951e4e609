//! A network in virtual time, from one seed: processes with their clocks, a bus, WebSockets, a directory, and all that
//! can go wrong with them.
//!
//! There is no real time and no thread. Whoever embeds a [`Network`] takes out what happens next with
//! [`next`](Network::next), lets its processes do what they do about it, which puts more into the network, and so on;
//! from the same seed the same happens, event for event. A second in which nothing happens costs nothing.
//!
//! A [`Node`] is one process, from its start to its crash. One that [pauses](Network::pause) is told, when it goes on,
//! all that came meanwhile, and its clock has gone on; one that [crashed](Network::crash) is told nothing any more, and
//! comes back as another node.
//!
//! ```
//! use underpass_core::Frame;
//! use underpass_core::bus::{Address, Publication, Subject};
//! use underpass_core::protocol::GatewayId;
//! use underpass_transport_mem::sim::{Config, Happening, Network};
//!
//! let mut network: Network<()> = Network::new(Config::default(), 1);
//! let (gateway, relay) = (network.start(0), network.start(0));
//! let id = GatewayId([0, 0, 0, 7]);
//! network.attach(gateway, Address::Gateway(id));
//! let frame = Frame::new(b"hello", "world".into(), None);
//! network.publish(relay, Publication { to: Subject::Gateway(id), reply_to: None, frame: frame.clone() })?;
//!
//! let delivered =
//!     Happening::Delivered { node: gateway, from: relay, to: Subject::Gateway(id), reply_to: None, frame };
//! assert_eq!(network.next(), Some(delivered));
//! assert_eq!(network.next(), None);
//! assert!(network.now().as_micros() >= 200, "the bus took its time");
//! # Ok::<(), underpass_core::bus::Rejected>(())
//! ```

mod bus;
mod clock;
mod directory;
mod happening;
mod path;
mod random;
mod sockets;
mod table;
mod timeline;

use core::time::Duration;
use std::collections::VecDeque;

use underpass_core::Time;

pub use bus::{BusConfig, Losses, Overflow, Reach, Silence, Told};
pub use directory::DirectoryConfig;
pub use happening::Happening;
pub use path::Path;
pub use random::Random;
pub use sockets::{Room, SocketConfig, SocketId};

use self::bus::{Bus, Inbox};
use self::clock::Clock;
use self::directory::{Answer, Asked, Directory};
use self::sockets::{Socket, Travelling};
use self::timeline::Timeline;

/// A process, from its start to its crash. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u32);

/// What a network is like while nothing goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The bus.
    pub bus: BusConfig,
    /// The sockets.
    pub sockets: SocketConfig,
    /// The directory.
    pub directory: DirectoryConfig,
}

/// What is on its way through the network.
#[derive(Debug)]
enum Pending<Own> {
    Tell(Happening<Own>),
    Travel { socket: SocketId, to: usize, cuts: u32, what: Travelling },
    OutOfPatience { socket: SocketId, end: usize, dialling: bool },
    Unstall { socket: SocketId },
    Change { node: Node, asked: Box<Asked> },
    Outcome { node: Node, answer: Box<Answer> },
    Wake { node: Node },
}

/// A process as the network sees it.
#[derive(Debug)]
struct Process<Own> {
    is_alive: bool,
    is_paused: bool,
    /// What came while it was paused.
    missed: VecDeque<Happening<Own>>,
    clock: Clock,
    inbox: Inbox,
    /// When it wants to be told the time, by the network's clock.
    due: Option<Time>,
    /// The earliest time at which the network will look at that.
    looked_at: Option<Time>,
}

/// The network.
#[derive(Debug)]
pub struct Network<Own> {
    now: Time,
    random: Random,
    timeline: Timeline<Pending<Own>>,
    processes: Vec<Process<Own>>,
    /// What processes that paused are to be told now that they go on.
    released: VecDeque<Happening<Own>>,
    bus: Bus,
    socket_config: SocketConfig,
    sockets: Vec<Socket>,
    directory: Directory,
}

impl<Own> Network<Own> {
    /// A network in which there is no process yet.
    pub fn new(config: Config, seed: u64) -> Self {
        Network {
            now: Time::ZERO,
            random: Random::stream(seed, 0x6e65_7477),
            timeline: Timeline::new(),
            processes: Vec::new(),
            released: VecDeque::new(),
            bus: Bus::new(config.bus),
            socket_config: config.sockets,
            sockets: Vec::new(),
            directory: Directory::new(config.directory),
        }
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What time a process believes it is.
    pub fn local(&self, node: Node) -> Time {
        self.process(node).clock.local(self.now)
    }

    /// A process starts, with a clock that begins at zero and gains so many microseconds a second.
    pub fn start(&mut self, gains_ppm: i32) -> Node {
        let node = Node(u32::try_from(self.processes.len()).expect("fewer than 2³² processes"));
        self.processes.push(Process {
            is_alive: true,
            is_paused: false,
            missed: VecDeque::new(),
            clock: Clock::new(self.now, gains_ppm),
            inbox: Inbox::default(),
            due: None,
            looked_at: None,
        });
        node
    }

    /// A process is no more. Its addresses are to be [detached](Network::detach) when the bus notices.
    pub fn crash(&mut self, node: Node) {
        let process = self.process_mut(node);
        process.is_alive = false;
        process.missed.clear();
        process.due = None;
        self.released.retain(|happening| happening.node() != node);
        self.directory.forget(node);
        self.reset_all(node);
    }

    /// Whether a process lives; a paused one does.
    pub fn is_alive(&self, node: Node) -> bool {
        self.process(node).is_alive
    }

    /// A process stands still.
    pub fn pause(&mut self, node: Node) {
        self.process_mut(node).is_paused = true;
    }

    /// It goes on, and is told what it missed.
    pub fn resume(&mut self, node: Node) {
        let process = self.process_mut(node);
        process.is_paused = false;
        let missed = core::mem::take(&mut process.missed);
        self.released.extend(missed);
    }

    /// The clock of a process jumps ahead.
    pub fn jump(&mut self, node: Node, ahead: Duration) {
        let before = self.local(node);
        let process = &mut self.processes[node.0 as usize];
        let due = process.due.map(|due| process.clock.local(due).max(before));
        process.clock.jump(ahead);
        process.due = None;
        if let Some(due) = due {
            self.wake(node, Some(due));
        }
    }

    /// When a process wants to be told the time, by its own clock; what it said before no longer counts.
    pub fn wake(&mut self, node: Node, local: Option<Time>) {
        let now = self.now;
        let process = self.process_mut(node);
        process.due = local.map(|local| process.clock.when(local).max(now));
        if let Some(due) = process.due
            && process.looked_at.is_none_or(|looked_at| due < looked_at)
        {
            process.looked_at = Some(due);
            self.timeline.push(due, Pending::Wake { node });
        }
    }

    /// Something of the embedder's happens to a process after a while, unless it is no more by then.
    pub fn own(&mut self, node: Node, after: Duration, own: Own) {
        self.tell(self.now + after, Happening::Own { node, own });
    }

    /// When something happens next, if anything does.
    pub fn next_at(&self) -> Option<Time> {
        if self.released.is_empty() { self.timeline.next_at() } else { Some(self.now) }
    }

    /// What happens next; none if nothing ever does.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Happening<Own>> {
        loop {
            let happening = match self.released.pop_front() {
                Some(happening) => Some(happening),
                None => {
                    let (at, pending) = self.timeline.pop()?;
                    self.now = at;
                    self.settle(pending)
                }
            };
            if let Some(happening) = happening.and_then(|happening| self.hand(happening)) {
                return Some(happening);
            }
        }
    }

    fn settle(&mut self, pending: Pending<Own>) -> Option<Happening<Own>> {
        match pending {
            Pending::Tell(happening) => Some(happening),
            Pending::Travel { socket, to, cuts, what } => self.arrive(socket, to, cuts, what),
            Pending::OutOfPatience { socket, end, dialling } => self.out_of_patience(socket, end, dialling),
            Pending::Unstall { socket } => {
                self.unstall(socket);
                None
            }
            Pending::Change { node, asked } => {
                self.change(node, *asked);
                None
            }
            Pending::Outcome { node, answer } => self.outcome(node, *answer),
            Pending::Wake { node } => self.look_at_clock(node),
        }
    }

    fn look_at_clock(&mut self, node: Node) -> Option<Happening<Own>> {
        let now = self.now;
        let process = self.process_mut(node);
        // A later look at an earlier wish: the one that counts is still to come.
        if process.looked_at != Some(now) {
            return None;
        }
        process.looked_at = None;
        match process.due {
            Some(due) if due > now => {
                process.looked_at = Some(due);
                self.timeline.push(due, Pending::Wake { node });
                None
            }
            Some(_) => {
                process.due = None;
                Some(Happening::Wake { node })
            }
            None => None,
        }
    }

    /// Gives something to its process, if that lives and does not stand still.
    fn hand(&mut self, happening: Happening<Own>) -> Option<Happening<Own>> {
        let node = happening.node();
        let process = self.process_mut(node);
        if !process.is_alive {
            return None;
        }
        if process.is_paused {
            process.missed.push_back(happening);
            return None;
        }
        match &happening {
            Happening::Delivered { frame, .. } => process.inbox.handed(frame),
            Happening::Message { socket, frame, .. } => self.drained(*socket, node, frame.len()),
            Happening::NoResponders { .. }
            | Happening::Lost { .. }
            | Happening::Accepted { .. }
            | Happening::Connected { .. }
            | Happening::DialFailed { .. }
            | Happening::Ended { .. }
            | Happening::Ponged { .. }
            | Happening::Writable { .. }
            | Happening::Changed { .. }
            | Happening::ActorChanged { .. }
            | Happening::RegistryChanged { .. }
            | Happening::Registered { .. }
            | Happening::Seen { .. }
            | Happening::ActorSeen { .. }
            | Happening::Actors { .. }
            | Happening::All { .. }
            | Happening::DirectoryAway { .. }
            | Happening::DirectoryBack { .. }
            | Happening::Wake { .. }
            | Happening::Own { .. } => {}
        }
        Some(happening)
    }

    fn process(&self, node: Node) -> &Process<Own> {
        &self.processes[node.0 as usize]
    }

    fn process_mut(&mut self, node: Node) -> &mut Process<Own> {
        &mut self.processes[node.0 as usize]
    }
}
