//! WebSockets: in order and reliable until they are closed, cut, or silently gone.

use core::time::Duration;
use std::collections::VecDeque;

use underpass_core::http::Close;
use underpass_core::{Frame, Time};

use super::path::Way;
use super::{Happening, Network, Node, Path, Pending};

/// A WebSocket. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// What sockets are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// Each way between the two ends.
    pub path: Path,
    /// What a sender's outbox holds, bytes; what has not been handed to the other end counts.
    pub outbox: usize,
    /// What must fit into an outbox for it not to be blocked, bytes.
    pub largest_message: usize,
    /// How long an end that closes waits for the other, and how long dialling may take.
    pub patience: Duration,
}

impl Default for SocketConfig {
    /// What a socket within one country is like.
    fn default() -> Self {
        SocketConfig {
            path: Path { latency: Duration::from_millis(5), jitter: Duration::from_millis(1), bandwidth: None },
            outbox: 34 * 1024 * 1024,
            largest_message: 33 * 1024 * 1024,
            patience: Duration::from_secs(5),
        }
    }
}

/// Whether a sender's outbox has room for another message of any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It has.
    Free,
    /// It has none any more; [`Happening::Writable`] says when it has again.
    Blocked,
}

/// A socket and what travels on it. The dialler's end is 0, the listener's 1.
#[derive(Debug)]
pub(super) struct Socket {
    ends: [End; 2],
    /// The dialler was told that its call was taken.
    is_connected: bool,
    /// What was sent before a cut is lost with it.
    cuts: u32,
    /// Whatever is sent vanishes, and neither end is told.
    is_half_open: bool,
    /// Nothing arrives before this.
    stalled_until: Time,
}

#[derive(Debug)]
struct End {
    node: Node,
    way: Way,
    /// Messages that arrived while the socket was stalled.
    held: VecDeque<Travelling>,
    /// Bytes that the other end has not been handed.
    outbox: usize,
    is_blocked: bool,
    /// It has said its close.
    has_closed: bool,
    /// It was told that the socket has ended.
    is_over: bool,
}

/// What travels to an end.
#[derive(Debug)]
pub(super) enum Travelling {
    /// The other end dials.
    Dial,
    /// The other end has taken the call.
    Taken,
    Message(Frame),
    /// It is to be answered.
    Ping,
    /// The other end has answered.
    Pong,
    Close(Option<Close>),
    /// The other end is no more.
    Reset,
}

impl End {
    fn new(node: Node) -> Self {
        End {
            node,
            way: Way::default(),
            held: VecDeque::new(),
            outbox: 0,
            is_blocked: false,
            has_closed: false,
            is_over: false,
        }
    }
}

impl Socket {
    fn end_of(&self, node: Node) -> Option<usize> {
        self.ends.iter().position(|end| end.node == node)
    }

    fn is_open(&self) -> bool {
        self.ends.iter().all(|end| !end.is_over)
    }
}

impl<Own> Network<Own> {
    /// A process dials another: it is told [`Happening::Connected`] or [`Happening::DialFailed`], the other
    /// [`Happening::Accepted`].
    pub fn dial(&mut self, from: Node, to: Node) -> SocketId {
        let id = SocketId(u32::try_from(self.sockets.len()).expect("fewer than 2³² sockets"));
        self.sockets.push(Socket {
            ends: [End::new(from), End::new(to)],
            is_connected: false,
            cuts: 0,
            is_half_open: false,
            stalled_until: Time::ZERO,
        });
        self.travel(id, 1, Travelling::Dial, 0);
        let at = self.now + self.socket_config.patience;
        self.timeline.push(at, Pending::OutOfPatience { socket: id, end: 0, dialling: true });
        id
    }

    /// One end sends a message. Whether it may send more.
    pub fn send(&mut self, socket: SocketId, from: Node, frame: Frame) -> Room {
        let bytes = frame.len();
        let Some(from) = self.sender(socket, from) else { return Room::Free };
        let config = &self.socket_config;
        let end = &mut self.sockets[socket.0 as usize].ends[from];
        end.outbox += bytes;
        if end.outbox + config.largest_message > config.outbox {
            end.is_blocked = true;
        }
        let room = if end.is_blocked { Room::Blocked } else { Room::Free };
        self.travel(socket, 1 - from, Travelling::Message(frame), bytes);
        room
    }

    /// One end closes, behind what it has sent. It is told [`Happening::Ended`], when the other has closed too.
    pub fn close(&mut self, socket: SocketId, from: Node, close: Option<Close>) {
        let Some(from) = self.sender(socket, from) else { return };
        self.sockets[socket.0 as usize].ends[from].has_closed = true;
        self.travel(socket, 1 - from, Travelling::Close(close), 0);
        let at = self.now + self.socket_config.patience;
        self.timeline.push(at, Pending::OutOfPatience { socket, end: from, dialling: false });
    }

    /// One end pings the other, behind what it has sent. It is told [`Happening::Ponged`] when the other process,
    /// unless it stands still, has answered by itself.
    pub fn ping(&mut self, socket: SocketId, from: Node) {
        if let Some(from) = self.sender(socket, from) {
            self.travel(socket, 1 - from, Travelling::Ping, 0);
        }
    }

    /// A process finds out that its socket is no more, be it half-open.
    pub fn find_out(&mut self, socket: SocketId, node: Node) {
        if let Some(end) = self.sockets[socket.0 as usize].end_of(node)
            && let Some(happening) = self.over(socket, end)
        {
            self.tell(self.now, happening);
        }
    }

    /// The socket breaks, what is on its way is lost, and both ends are told.
    pub fn cut(&mut self, socket: SocketId) {
        self.sockets[socket.0 as usize].cuts += 1;
        for to in 0..2 {
            self.travel(socket, to, Travelling::Reset, 0);
        }
    }

    /// Whatever travels on the socket from now on is lost, and neither end is told.
    pub fn half_open(&mut self, socket: SocketId) {
        self.sockets[socket.0 as usize].is_half_open = true;
    }

    /// Nothing arrives for so long; then all does.
    pub fn stall(&mut self, socket: SocketId, duration: Duration) {
        let until = self.now + duration;
        let stalled = &mut self.sockets[socket.0 as usize].stalled_until;
        if *stalled < until {
            *stalled = until;
            self.timeline.push(until, Pending::Unstall { socket });
        }
    }

    /// The sockets that are open at both ends, the oldest first.
    pub fn open_sockets(&self) -> impl Iterator<Item = SocketId> {
        let sockets = self.sockets.iter().enumerate();
        sockets.filter(|(_, socket)| socket.is_open()).map(|(place, _)| SocketId(place as u32))
    }

    /// Who dialled, and who was dialled.
    pub fn ends_of(&self, socket: SocketId) -> (Node, Node) {
        let [dialler, listener] = &self.sockets[socket.0 as usize].ends;
        (dialler.node, listener.node)
    }

    /// The end at which a process may still say something.
    fn sender(&self, socket: SocketId, node: Node) -> Option<usize> {
        let socket = &self.sockets[socket.0 as usize];
        socket.end_of(node).filter(|end| !socket.ends[*end].has_closed && !socket.ends[*end].is_over)
    }

    fn travel(&mut self, socket: SocketId, to: usize, what: Travelling, bytes: usize) {
        let Network { sockets, socket_config, random, now, timeline, .. } = self;
        let link = &mut sockets[socket.0 as usize];
        let at = link.ends[1 - to].way.carry(*now, bytes, &socket_config.path, random);
        timeline.push(at, Pending::Travel { socket, to, cuts: link.cuts, what });
    }

    /// Something arrives at an end.
    pub(super) fn arrive(&mut self, id: SocketId, to: usize, cuts: u32, what: Travelling) -> Option<Happening<Own>> {
        let socket = &mut self.sockets[id.0 as usize];
        if socket.is_half_open || cuts != socket.cuts || socket.ends[to].is_over {
            return None;
        }
        if self.now < socket.stalled_until || !socket.ends[to].held.is_empty() {
            socket.ends[to].held.push_back(what);
            return None;
        }
        self.take(id, to, what)
    }

    fn take(&mut self, id: SocketId, to: usize, what: Travelling) -> Option<Happening<Own>> {
        let socket = &mut self.sockets[id.0 as usize];
        let (node, peer) = (socket.ends[to].node, socket.ends[1 - to].node);
        match what {
            Travelling::Dial if self.processes[node.0 as usize].is_alive => {
                self.travel(id, 1 - to, Travelling::Taken, 0);
                Some(Happening::Accepted { node, socket: id, from: peer })
            }
            Travelling::Dial => {
                self.sockets[id.0 as usize].ends[to].is_over = true;
                self.travel(id, 1 - to, Travelling::Reset, 0);
                None
            }
            Travelling::Taken => {
                socket.is_connected = true;
                Some(Happening::Connected { node, socket: id })
            }
            Travelling::Message(frame) => Some(Happening::Message { node, socket: id, frame }),
            Travelling::Ping => {
                if !socket.ends[to].has_closed && !self.processes[node.0 as usize].is_paused {
                    self.travel(id, 1 - to, Travelling::Pong, 0);
                }
                None
            }
            Travelling::Pong => Some(Happening::Ponged { node, socket: id }),
            Travelling::Close(close) => {
                let end = &mut socket.ends[to];
                end.is_over = true;
                if !core::mem::replace(&mut end.has_closed, true) {
                    self.travel(id, 1 - to, Travelling::Close(close.clone()), 0);
                }
                Some(Happening::Ended { node, socket: id, close })
            }
            Travelling::Reset => self.over(id, to),
        }
    }

    /// An end is told that the socket is no more.
    fn over(&mut self, id: SocketId, to: usize) -> Option<Happening<Own>> {
        let socket = &mut self.sockets[id.0 as usize];
        let is_dialling = to == 0 && !socket.is_connected;
        let end = &mut socket.ends[to];
        let node = end.node;
        if core::mem::replace(&mut end.is_over, true) {
            return None;
        }
        Some(if is_dialling {
            Happening::DialFailed { node, socket: id }
        } else {
            Happening::Ended { node, socket: id, close: None }
        })
    }

    /// An end has waited long enough for its call to be taken, or its close to be answered.
    pub(super) fn out_of_patience(&mut self, id: SocketId, end: usize, dialling: bool) -> Option<Happening<Own>> {
        let is_waiting = !dialling || !self.sockets[id.0 as usize].is_connected;
        if is_waiting { self.over(id, end) } else { None }
    }

    /// A socket is stalled no longer: what was held arrives.
    pub(super) fn unstall(&mut self, id: SocketId) {
        let socket = &mut self.sockets[id.0 as usize];
        if self.now < socket.stalled_until {
            return;
        }
        let cuts = socket.cuts;
        for to in 0..2 {
            let held = core::mem::take(&mut self.sockets[id.0 as usize].ends[to].held);
            for what in held {
                self.timeline.push(self.now, Pending::Travel { socket: id, to, cuts, what });
            }
        }
    }

    /// A message was handed to its receiver: its sender has more room.
    pub(super) fn drained(&mut self, id: SocketId, receiver: Node, bytes: usize) {
        let config = &self.socket_config;
        let socket = &mut self.sockets[id.0 as usize];
        let Some(to) = socket.end_of(receiver) else { return };
        let end = &mut socket.ends[1 - to];
        end.outbox -= bytes;
        if end.is_blocked && end.outbox + config.largest_message <= config.outbox && !end.is_over {
            end.is_blocked = false;
            let node = end.node;
            self.tell(self.now, Happening::Writable { node, socket: id });
        }
    }

    /// A process is no more: its sockets' other ends are told, behind what it had sent.
    pub(super) fn reset_all(&mut self, node: Node) {
        for place in 0..self.sockets.len() {
            let id = SocketId(place as u32);
            if let Some(end) = self.sockets[place].end_of(node)
                && !self.sockets[place].ends[end].is_over
            {
                self.sockets[place].ends[end].is_over = true;
                self.travel(id, 1 - end, Travelling::Reset, 0);
            }
        }
    }
}
