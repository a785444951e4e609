//! What can happen to a gateway, and what it can want done.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bus::{Address, ConnectionId, Publication, Rejected};
use crate::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, ChangeOutcome, DirectoryUnavailable, RegistryChange, RunnerSeen,
};
use crate::failure::Failure;
use crate::frame::Frame;
use crate::http::{Body, Close, Message, RequestHead, ResponseHead, Target};
use crate::machine::RequestKey;

/// What a client wants: an HTTP exchange or a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Whom it is for.
    pub target: Target,
    /// Its head, as the handler shall see it.
    pub head: RequestHead,
    /// What it opens.
    pub kind: OpenKind,
}

/// What a client opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenKind {
    /// An HTTP exchange, and the request's body.
    Http(Body),
    /// A WebSocket.
    WebSocket,
}

/// What can happen to a gateway.
///
/// What is said of a request that has ended is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// It is this Unix time now, milliseconds.
    WallClock {
        /// Milliseconds since the Unix epoch.
        unix_ms: i64,
    },
    /// The bus delivered a frame to this gateway.
    Received {
        /// On which connection it came to its relay, as the bus tells; none if it does not.
        from: Option<ConnectionId>,
        /// With the version in front.
        frame: Frame,
    },
    /// The bus gave a publication back.
    PublishFailed(Rejected),
    /// The bus found nobody listening for a connection.
    NoResponders {
        /// Which.
        to: ConnectionId,
    },
    /// The bus lost frames, and which is not known.
    Lost {
        /// Whose they were; none: anybody's, and frames of this gateway may be lost as well.
        from: Option<Address>,
    },
    /// The directory tells of a runner.
    Directory(RunnerSeen),
    /// The directory tells of all its actors: at the beginning, and whenever its watch began anew.
    Actors(Vec<ActorSeen>),
    /// The directory tells of an actor.
    Actor(ActorSeen),
    /// What became of an [`Action::Actor`].
    ActorChanged {
        /// Whose record.
        actor: ActorKey,
        /// What became of the change.
        outcome: ChangeOutcome<ActorRecord>,
    },
    /// What became of an [`Action::Registry`].
    RegistryChanged {
        /// What was asked for.
        change: RegistryChange,
        /// Whether it is known to be so.
        outcome: Result<(), DirectoryUnavailable>,
    },
    /// Nothing is heard of the directory: no runner is held gone for its silence.
    DirectoryAway,
    /// The directory is heard of again: it has as long as ever to tell of each runner.
    DirectoryBack,
    /// The client sent more of a body that was opened as [`Body::Stream`].
    RequestChunk {
        /// Whose.
        key: RequestKey,
        /// The next bytes; any number.
        bytes: Bytes,
        /// Whether they are the last.
        finish: bool,
    },
    /// The client sent a WebSocket message.
    WebSocketMessage {
        /// Whose.
        key: RequestKey,
        /// What.
        message: Message,
    },
    /// The client closed its WebSocket.
    WebSocketClose {
        /// Whose.
        key: RequestKey,
        /// How.
        close: Close,
    },
    /// The client took so many bytes of an answer's chunks or of messages: their owner may send more. To be said of
    /// empty messages, too; nothing need be said of a body that came whole.
    Consumed {
        /// Whose.
        key: RequestKey,
        /// How many.
        bytes: usize,
    },
    /// The client went away without a word.
    ClientGone {
        /// Whose.
        key: RequestKey,
    },
    /// Somebody who looks after the gateway wants a request to end: it fails as
    /// [`EndedByOperator`](crate::FailureCode::EndedByOperator), at both ends.
    EndRequest {
        /// Which.
        key: RequestKey,
    },
    /// Take nothing new; say [`Action::Drained`] when what is open has ended. WebSockets are closed, one after another.
    Drain,
}

/// What a gateway can want done.
///
/// Of each request exactly one action is the last: a [`ResponseStart`](Action::ResponseStart) whose body is not
/// streamed, a [`ResponseChunk`](Action::ResponseChunk) that finishes, a [`WebSocketClose`](Action::WebSocketClose) or a
/// [`Failed`](Action::Failed); none, if the client closed or went away first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Give this to the bus.
    Publish(Publication),
    /// The answer begins.
    ResponseStart {
        /// Whose.
        key: RequestKey,
        /// Status and fields; they can be split.
        head: ResponseHead,
        /// The body, or that it follows in chunks.
        body: Body,
    },
    /// The answer goes on.
    ResponseChunk {
        /// Whose.
        key: RequestKey,
        /// The next bytes of the body.
        bytes: Bytes,
        /// Whether they are the last.
        finish: bool,
    },
    /// The handler took the WebSocket: answer the client 101.
    WebSocketOpened {
        /// Whose.
        key: RequestKey,
    },
    /// A message for the client.
    WebSocketMessage {
        /// Whose.
        key: RequestKey,
        /// What.
        message: Message,
    },
    /// The handler closed the WebSocket: close the client's.
    WebSocketClose {
        /// Whose.
        key: RequestKey,
        /// How.
        close: Close,
    },
    /// The request failed. Before its answer began, or its WebSocket was opened, answer with
    /// [`Failure::http_answer`]; then break the body off, or close the socket with [`Failure::close`].
    Failed {
        /// Whose.
        key: RequestKey,
        /// Why.
        failure: Failure,
    },
    /// Read no more from this client until [`ResumeSource`](Action::ResumeSource). What was read already may be
    /// handed in.
    PauseSource {
        /// Whose.
        key: RequestKey,
    },
    /// Read on.
    ResumeSource {
        /// Whose.
        key: RequestKey,
    },
    /// Change an actor's record, and say by [`Event::ActorChanged`] what became of it. Each actor has one change at a
    /// time.
    Actor(ActorChange),
    /// Change the registry of WebSockets that can hibernate, and say by [`Event::RegistryChanged`] what became of it. Each
    /// WebSocket has one change at a time.
    Registry(RegistryChange),
    /// After [`Event::Drain`]: nothing is open any more.
    Drained,
}
