//! What goes out of a WebSocket and what comes out of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use underpass_core::Frame;
use underpass_core::http::{Close, Message};

use crate::gate::Gate;
use crate::queue::{self, queue};

/// What `close_within` is unless it is configured.
pub(crate) const CLOSE_WITHIN: Duration = Duration::from_secs(30);

/// What `linger` is unless it is configured.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// How long a peer is waited for when its socket is to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From when a close is to be sent, or came, or anything could be written after that, until the socket is cut.
    pub(crate) close_within: Duration,
    /// How long a socket whose peer broke a rule is still read, so that it can see the close.
    pub(crate) linger: Duration,
}

/// What goes out of a socket.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A frame between runner and relay.
    Frame(Frame),
    /// A message for a client.
    Message(Message),
    /// A ping, to which the peer's socket answers by itself.
    Ping,
    /// The end.
    Close(Close),
}

impl Outgoing {
    /// Its length, bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Outgoing::Frame(frame) => frame.len(),
            Outgoing::Message(message) => message.len(),
            Outgoing::Ping | Outgoing::Close(_) => 0,
        }
    }
}

/// Makes the queue of what goes out of a socket.
pub(crate) fn outgoing() -> (OutgoingSender, OutgoingReceiver) {
    let (sender, receiver) = queue();
    let closing = Arc::new(Gate::default());
    closing.shut();
    (OutgoingSender { queue: sender, closing: closing.clone() }, OutgoingReceiver { queue: receiver, closing })
}

/// Where it is put. Dropping it without a close cuts the socket.
pub(crate) struct OutgoingSender {
    queue: queue::Sender<Outgoing>,
    closing: Arc<Gate>,
}

/// Where it comes out.
pub(crate) struct OutgoingReceiver {
    pub(crate) queue: queue::Receiver<Outgoing>,
    /// Opens when the socket is to close.
    pub(crate) closing: Arc<Gate>,
}

impl OutgoingSender {
    /// Sends: who is to be woken. None takes it if the socket has ended.
    pub(crate) fn send(&self, outgoing: Outgoing) -> Option<Waker> {
        self.queue.push(outgoing).ok().flatten()
    }

    /// Closes the socket behind what was sent before: who is to be woken.
    pub(crate) fn close(&self, close: Close) -> [Option<Waker>; 2] {
        [self.send(Outgoing::Close(close)), self.closing.open()]
    }
}

#[cfg(test)]
impl OutgoingReceiver {
    /// What is there now.
    pub(crate) fn try_next(&mut self) -> Option<Outgoing> {
        self.queue.try_next()
    }
}

/// What came out of a socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A text message.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// The answer to a ping.
    Pong,
    /// The peer closed it, or broke a rule over which it is closed. It comes last.
    Close(Close),
}

/// Who is behind a socket.
pub(crate) trait Link {
    /// Takes what came, in order, and as much of it as may be read.
    ///
    /// # Errors
    /// It must not come: the socket is to be closed so.
    fn received(&self, arrived: &mut VecDeque<Received>) -> Result<(), Close>;

    /// So many bytes were written into the socket.
    fn written(&self, bytes: usize);

    /// Whether more may be read.
    fn poll_may_read(&self, context: &mut Context<'_>) -> Poll<()>;
}
