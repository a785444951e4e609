//! What happens to processes.

use underpass_core::Frame;
use underpass_core::bus::{Address, Subject};
use underpass_core::directory::{
    ActorKey, ActorRecord, ActorSeen, ChangeOutcome, DirectoryUnavailable, RegistryChange, RunnerSeen,
};
use underpass_core::http::Close;
use underpass_core::protocol::to_client::HibernatingRequest;

use super::{Node, SocketId};

/// What happens to a process, and what it must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening<Own> {
    /// The bus delivers a frame.
    Delivered {
        /// Whom.
        node: Node,
        /// Who published it.
        from: Node,
        /// To what it was published.
        to: Subject,
        /// Who was to hear if nobody had listened.
        reply_to: Option<Subject>,
        /// What.
        frame: Frame,
    },
    /// The bus found nobody where this process published to.
    NoResponders {
        /// Whom.
        node: Node,
        /// Where nobody listens.
        to: Subject,
    },
    /// The bus lost frames for this process, and which is not known. It stands in front of the frame by which the bus knew.
    Lost {
        /// Whom.
        node: Node,
        /// Whose they were; none: anybody's, and what this process published may be lost as well.
        from: Option<Address>,
    },
    /// Another process has dialled this one.
    Accepted {
        /// Whom.
        node: Node,
        /// The new socket.
        socket: SocketId,
        /// Who dialled.
        from: Node,
    },
    /// The socket that this process dialled is open.
    Connected {
        /// Whom.
        node: Node,
        /// Which.
        socket: SocketId,
    },
    /// Dialling came to nothing.
    DialFailed {
        /// Whom.
        node: Node,
        /// Which.
        socket: SocketId,
    },
    /// A socket brings a message.
    Message {
        /// Whom.
        node: Node,
        /// On which socket.
        socket: SocketId,
        /// What.
        frame: Frame,
    },
    /// A socket has ended; nothing more is said of it.
    Ended {
        /// Whom.
        node: Node,
        /// Which.
        socket: SocketId,
        /// The other end's close, if it said one.
        close: Option<Close>,
    },
    /// The other end of a socket has answered a [ping](super::Network::ping).
    Ponged {
        /// Whom.
        node: Node,
        /// Which.
        socket: SocketId,
    },
    /// A socket's outbox has room again.
    Writable {
        /// Whom.
        node: Node,
        /// Which.
        socket: SocketId,
    },
    /// What became of a change of a runner's record.
    Changed {
        /// Whom.
        node: Node,
        /// As the asker named it.
        tag: u64,
        /// What became of it.
        outcome: Box<ChangeOutcome>,
    },
    /// What became of a change of an actor's record.
    ActorChanged {
        /// Whom.
        node: Node,
        /// Whose record.
        actor: ActorKey,
        /// What became of it.
        outcome: Box<ChangeOutcome<ActorRecord>>,
    },
    /// What became of a change of the registry.
    RegistryChanged {
        /// Whom.
        node: Node,
        /// What was to be changed.
        change: RegistryChange,
        /// Whether it is known to be.
        outcome: Result<(), DirectoryUnavailable>,
    },
    /// What the registry has of an actor.
    Registered {
        /// Whom.
        node: Node,
        /// Which.
        actor: ActorKey,
        /// Its WebSockets.
        sockets: Result<Vec<HibernatingRequest>, DirectoryUnavailable>,
    },
    /// The directory shows a runner.
    Seen {
        /// Whom.
        node: Node,
        /// What.
        seen: Box<RunnerSeen>,
    },
    /// The directory shows an actor.
    ActorSeen {
        /// Whom.
        node: Node,
        /// What.
        seen: Box<ActorSeen>,
    },
    /// The directory shows all actors: there are no others.
    Actors {
        /// Whom.
        node: Node,
        /// What.
        all: Vec<ActorSeen>,
    },
    /// The directory shows all that there is, to a process that watches all.
    All {
        /// Whom.
        node: Node,
        /// The runners.
        runners: Vec<RunnerSeen>,
        /// The actors.
        actors: Vec<ActorSeen>,
    },
    /// The directory is out of a watcher's reach.
    DirectoryAway {
        /// Whom.
        node: Node,
    },
    /// It is in reach again; what the watcher missed follows.
    DirectoryBack {
        /// Whom.
        node: Node,
    },
    /// It is the time that the process asked to be told.
    Wake {
        /// Whom.
        node: Node,
    },
    /// Something of the embedder's.
    Own {
        /// Whom it concerns.
        node: Node,
        /// What.
        own: Own,
    },
}

impl<Own> Happening<Own> {
    /// To whom it happens.
    pub fn node(&self) -> Node {
        match self {
            Happening::Delivered { node, .. }
            | Happening::NoResponders { node, .. }
            | Happening::Lost { node, .. }
            | Happening::Accepted { node, .. }
            | Happening::Connected { node, .. }
            | Happening::DialFailed { node, .. }
            | Happening::Message { node, .. }
            | Happening::Ended { node, .. }
            | Happening::Ponged { node, .. }
            | Happening::Writable { node, .. }
            | Happening::Changed { node, .. }
            | Happening::ActorChanged { node, .. }
            | Happening::RegistryChanged { node, .. }
            | Happening::Registered { node, .. }
            | Happening::Seen { node, .. }
            | Happening::ActorSeen { node, .. }
            | Happening::Actors { node, .. }
            | Happening::All { node, .. }
            | Happening::DirectoryAway { node }
            | Happening::DirectoryBack { node }
            | Happening::Wake { node }
            | Happening::Own { node, .. } => *node,
        }
    }
}
