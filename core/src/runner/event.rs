//! What can happen to a runner, and what it can want done.

use bytes::Bytes;
use bytestring::ByteString;

use crate::frame::Frame;
use crate::http::{Body, Close, Message, RequestHead, ResponseHead};
use crate::machine::RequestKey;
use crate::protocol::Dialect;

/// What can happen to a runner.
///
/// What is said of a request or a connection that has ended is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Finish what is open, take nothing new, go.
    Drain,
}

/// What a runner can want done.
///
/// Of each request that it hands to the handler, at most one [`Aborted`](Action::Aborted) or
/// [`WebSocketClose`](Action::WebSocketClose) follows, and then nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    },
    /// A WebSocket message for the handler.
    WebSocketMessage {
        /// Whose.
        key: RequestKey,
        /// What.
        message: Message,
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
    /// This runner is done and will not dial again.
    Stopped(StopReason),
}

/// Why a runner stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
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
