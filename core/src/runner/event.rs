//! What can happen to a runner, and what it can want done.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::names::{ActorLife, Sleeping, SocketId};
use crate::frame::Frame;
use crate::http::{Body, Close, Message, RequestHead, ResponseHead};
use crate::machine::RequestKey;
use crate::protocol::kv::{KvRequestData, KvResponseData};
use crate::protocol::to_client::ActorConfig;
use crate::protocol::{Dialect, MessageIndex};

/// What can happen to a runner.
///
/// What is said of a request, a connection or an actor's life that has ended is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The WebSocket that [`Action::Dial`] asked for is open.
    Connected {
        /// Which.
        connection: u64,
        /// Which words follow from the sub-protocol that the relay chose.
        dialect: Dialect,
    },
    /// The relay sent a binary message.
    Received {
        /// On which connection.
        connection: u64,
        /// The message.
        frame: Frame,
    },
    /// The relay answered the opening of the WebSocket with an HTTP status instead; that ends the dialling.
    DialRefused {
        /// Which.
        connection: u64,
        /// The status.
        status: u16,
        /// What it said, for people.
        message: ByteString,
    },
    /// Dialling failed, or the WebSocket ended, in whatever way. Also after [`Action::Disconnect`]. It is said once of
    /// each connection, and nothing follows.
    Disconnected {
        /// Which.
        connection: u64,
        /// The relay's close frame, if it sent one.
        close: Option<Close>,
    },
    /// A connection's outbox has no room for another frame of any size.
    PeerBlocked {
        /// Which.
        connection: u64,
    },
    /// It has room again.
    PeerWritable {
        /// Which.
        connection: u64,
    },
    /// The handler answers.
    ResponseStart {
        /// Whose.
        key: RequestKey,
        /// Status and fields.
        head: ResponseHead,
        /// The body, or that it follows in chunks.
        body: Body,
    },
    /// The handler's answer goes on.
    ResponseChunk {
        /// Whose.
        key: RequestKey,
        /// The next bytes; any number.
        bytes: Bytes,
        /// Whether they are the last.
        finish: bool,
    },
    /// The handler failed: its answer breaks off, its WebSocket is refused or closed 1011.
    HandlerFailed {
        /// Whose.
        key: RequestKey,
    },
    /// The handler takes a WebSocket.
    WebSocketAccept {
        /// Whose.
        key: RequestKey,
        /// Whether it goes on when its actor sleeps, moves, or its runner's connection ends. Of each of its messages
        /// [`Handled`](Event::Handled) must be said then. It counts where the runner has state and its relay speaks
        /// `underpass.1`; elsewhere the WebSocket is one that ends with its connection.
        can_hibernate: bool,
    },
    /// The handler goes on with a WebSocket that slept: one of [`Action::StartActor`]. To be said before
    /// [`ActorRunning`](Event::ActorRunning); what is not restored by then is closed 1011 `ws.not_restored`.
    WebSocketRestore {
        /// Whose.
        key: RequestKey,
        /// The number of the last message that was handled, as the handler saved it; 0 if there was none.
        last: MessageIndex,
    },
    /// The handler has handled all messages of a WebSocket that can hibernate up to this one, and has saved that it
    /// did: they are acknowledged, a little later and together, and do not come again.
    Handled {
        /// Whose.
        key: RequestKey,
        /// The last one's, as [`Action::WebSocketMessage`] said.
        number: MessageIndex,
    },
    /// The handler sends a WebSocket message.
    WebSocketMessage {
        /// Whose.
        key: RequestKey,
        /// What.
        message: Message,
    },
    /// The handler closes its WebSocket, behind what it sent before.
    WebSocketClose {
        /// Whose.
        key: RequestKey,
        /// How.
        close: Close,
    },
    /// The handler took so many bytes of a request's chunks or of messages: their client may send more. To be
    /// said of empty messages, too; nothing need be said of a body that came whole.
    Consumed {
        /// Whose.
        key: RequestKey,
        /// How many.
        bytes: usize,
    },
    /// The actor has started: its requests may come.
    ActorRunning {
        /// Which.
        actor: ActorLife,
    },
    /// The actor is no more, whether it was told to stop or not: nothing of it may go on. Its requests must not be
    /// answered behind this.
    ActorStopped {
        /// Which.
        actor: ActorLife,
        /// What went wrong, for people: then it has crashed, and is started again after a while if it was not to stop.
        error: Option<ByteString>,
    },
    /// The actor would like to sleep until it is needed: it is told to stop when its HTTP exchanges have ended.
    ActorSleep {
        /// Which.
        actor: ActorLife,
    },
    /// The actor would like to stop for good: as [`ActorSleep`](Event::ActorSleep), and its alarm is forgotten.
    ActorDestroy {
        /// Which.
        actor: ActorLife,
    },
    /// The actor wants to be woken then.
    ActorAlarm {
        /// Which.
        actor: ActorLife,
        /// Milliseconds since the Unix epoch; none clears it.
        at: Option<i64>,
    },
    /// The actor calls its key-value store, from its start until it has stopped. Each call is answered once, with
    /// [`Action::KvAnswered`].
    Kv {
        /// Whose store.
        actor: ActorLife,
        /// Repeated in the answer.
        number: u64,
        /// What to do. It may be done more than once, if a connection ends before it was answered.
        call: KvRequestData,
    },
    /// Finish what is open, take nothing new, go.
    Drain,
}

/// What a runner can want done.
///
/// Of each request that it hands to the handler, at most one [`Aborted`](Action::Aborted),
/// [`WebSocketClose`](Action::WebSocketClose) or [`WebSocketAsleep`](Action::WebSocketAsleep) follows, and then nothing
/// more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Open a WebSocket to a relay, and say [`Event::Connected`], [`Event::DialRefused`] or [`Event::Disconnected`].
    /// There can be another connection beside it, to a relay that drains or that is being left: then, and after a
    /// failure, another relay is to be dialled if several are known.
    Dial {
        /// By what the connection is known from here on: a number that grows with each.
        connection: u64,
    },
    /// Send a binary message to the relay.
    Send {
        /// On which connection.
        connection: u64,
        /// The message.
        frame: Frame,
    },
    /// Close the WebSocket, behind what was sent before, or give up dialling; and say [`Event::Disconnected`].
    Disconnect {
        /// Which connection.
        connection: u64,
        /// How.
        close: Close,
    },
    /// A relay took this runner in and has told the gateways: from here on, requests come.
    Ready {
        /// The id that it has there.
        runner_id: ByteString,
    },
    /// A request for the handler.
    Request {
        /// Names it from here on.
        key: RequestKey,
        /// The actor that it is for.
        actor_id: ByteString,
        /// Method, path and fields.
        head: RequestHead,
        /// The body, or that it follows in chunks.
        body: Body,
    },
    /// A streamed request body goes on.
    RequestChunk {
        /// Whose.
        key: RequestKey,
        /// The next bytes.
        bytes: Bytes,
        /// Whether they are the last.
        finish: bool,
    },
    /// Nothing more comes of this request, and no more of its answer is wanted: its client went away, the way to it
    /// broke, or it was answered before its body had come.
    Aborted {
        /// Whose.
        key: RequestKey,
    },
    /// A WebSocket for the handler to take or to refuse.
    WebSocketOpen {
        /// Names it from here on.
        key: RequestKey,
        /// The actor that it is for.
        actor_id: ByteString,
        /// Path and fields of the opening; the method is GET.
        head: RequestHead,
        /// By what it is known when it has slept: to be saved, with whatever else the handler needs then.
        socket: SocketId,
    },
    /// A WebSocket message for the handler.
    WebSocketMessage {
        /// Whose.
        key: RequestKey,
        /// Its number: one more than that of the message before, and the first has 1. It wraps.
        number: MessageIndex,
        /// What.
        message: Message,
    },
    /// The actor of a WebSocket that can hibernate stops: its client's socket sleeps, and is handed to the actor's next
    /// life, perhaps elsewhere. Messages that were not said to be handled come again then.
    WebSocketAsleep {
        /// Whose.
        key: RequestKey,
    },
    /// The client closed its WebSocket, or the way to it broke.
    WebSocketClose {
        /// Whose.
        key: RequestKey,
        /// How.
        close: Close,
    },
    /// Take no more from this handler until [`ResumeSource`](Action::ResumeSource). What was taken already may be
    /// handed in.
    PauseSource {
        /// Whose.
        key: RequestKey,
    },
    /// Go on.
    ResumeSource {
        /// Whose.
        key: RequestKey,
    },
    /// Start an actor, and say [`Event::ActorRunning`], or [`Event::ActorStopped`] if it can't be. Another life of the
    /// same actor has ended before.
    StartActor {
        /// Which.
        actor: ActorLife,
        /// What it is.
        config: ActorConfig,
        /// Its WebSockets that slept. Those that are to go on are to be restored.
        sockets: Vec<Sleeping>,
    },
    /// Stop an actor, and say [`Event::ActorStopped`]. Its WebSockets have been told already.
    StopActor {
        /// Which.
        actor: ActorLife,
    },
    /// An actor's key-value store answered; or a call can't be answered: an error says why.
    KvAnswered {
        /// The call's.
        number: u64,
        /// What it answered.
        answer: KvResponseData,
    },
    /// This runner is done and will not dial again.
    Stopped(StopReason),
}

/// Why a runner stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// It was drained.
    Drained,
    /// Another took its place: the relay's close, whose reason starts with `ws.eviction`.
    Evicted(Close),
    /// The relay refused it for good, by a close 1008 or an HTTP status, before it was ever taken in.
    Refused {
        /// The HTTP status or the close code.
        code: u16,
        /// What the relay said, for people.
        message: ByteString,
    },
}
