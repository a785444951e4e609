//! A client's WebSocket, as its handler sees it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thiserror::Error;
use underpass_core::http::{Close, Message};
use underpass_core::runner::{Event, SocketId};

use super::handler::Delivery;
use super::hibernating::{HibernatingReceiver, HibernatingWebSocket};
use super::request::{self, Arrival};
use super::socket::Socket;
use crate::queue::Receiver;

/// The runner hears of so many bytes together that a handler took, bytes; of fewer when the handler waits for more.
const CONSUMED: usize = 16 * 1024;

/// Takes WebSockets.
pub trait WebSocketHandler: Clone + Send + Sync + 'static {
    /// A client opens a WebSocket: path and header fields in `request`, the [`Actor`](super::Actor) among its
    /// extensions. The client is answered once the socket is [accepted](Pending::accept), or refused. The future is
    /// a task of its own; the socket may outlive it. If the client goes before the socket is accepted, the future is
    /// dropped.
    fn open(&self, request: http::Request<()>, socket: Pending) -> impl Future<Output = ()> + Send;
}

/// Refuses all WebSockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWebSockets;

impl WebSocketHandler for NoWebSockets {
    async fn open(&self, _request: http::Request<()>, _socket: Pending) {}
}

/// A WebSocket that is neither accepted nor refused yet. Dropping it refuses it: the client gets a 502.
pub struct Pending {
    socket: Arc<Socket>,
    id: SocketId,
    messages: Receiver<Delivery>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("socket", &self.socket).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Pending {
    pub(super) fn new(socket: Socket, id: SocketId, messages: Receiver<Delivery>) -> Self {
        Pending { socket: Arc::new(socket), id, messages }
    }

    /// Has it taken or refused, unless nobody waits for that any more.
    pub(super) async fn be_opened<F>(self, arrival: Arrival, open: impl FnOnce(http::Request<()>, Pending) -> F)
    where
        F: Future<Output = ()>,
    {
        let request = match request::request(arrival, ()) {
            Ok(request) => request,
            Err(problem) => return tracing::warn!("a WebSocket was not handed on: {problem}"),
        };
        let handler = self.socket.handler.clone();
        tokio::select! {
            biased;
            () = handler.stop.pass() => {}
            () = open(request, self) => {}
        }
    }

    /// Which socket it is, if it is one that [can hibernate](Pending::accept_hibernating).
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// Takes the WebSocket: its client is answered 101, with the sub-protocol that
    /// [`select_subprotocol`](underpass_core::http::select_subprotocol) chooses.
    pub fn accept(self) -> WebSocket {
        let (socket, _, messages) = self.taken(false);
        WebSocket {
            sender: WebSocketSender { socket: socket.clone() },
            receiver: WebSocketReceiver::new(socket, messages),
        }
    }

    /// Takes the WebSocket, as [`accept`](Pending::accept) does: one that goes on when its actor sleeps, and when its
    /// runner's connection ends.
    ///
    /// Where nothing can hibernate it ends with its connection instead, and everything else is the same: at runners
    /// whose actors keep nothing, and at relays that speak the published protocol only.
    pub fn accept_hibernating(self) -> HibernatingWebSocket {
        let (socket, id, messages) = self.taken(true);
        let sender = WebSocketSender { socket: socket.clone() };
        HibernatingWebSocket::new(id, sender, HibernatingReceiver::new(socket, messages))
    }

    fn taken(self, can_hibernate: bool) -> (Arc<Socket>, SocketId, Receiver<Delivery>) {
        let Pending { socket, id, messages } = self;
        socket.handler.accepted.store(true, Ordering::Release);
        socket.driver.drive(Event::WebSocketAccept { key: socket.key, can_hibernate });
        (socket, id, messages)
    }
}

/// What comes from a client's WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// The client closed it, or the way to the client broke. Nothing follows.
    Close(Close),
}

/// The WebSocket has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the WebSocket has ended")]
pub struct Closed;

/// A client's WebSocket. Dropping it closes it with the code 1000, or 1011 if that is because of a panic.
#[derive(Debug)]
pub struct WebSocket {
    sender: WebSocketSender,
    receiver: WebSocketReceiver,
}

impl WebSocket {
    /// What comes next; none once the socket has ended. Cancelling it loses nothing.
    pub async fn receive(&mut self) -> Option<Incoming> {
        self.receiver.receive().await
    }

    /// Sends a message; waits while its client reads too slowly.
    ///
    /// # Errors
    /// The socket has ended; the message is lost.
    pub async fn send(&mut self, message: Message) -> Result<(), Closed> {
        self.sender.send(message).await
    }

    /// Closes the socket, behind what was sent before.
    pub async fn close(self, close: Close) {
        self.sender.close(close).await;
    }

    /// Takes the two directions apart. The socket closes when both are dropped.
    pub fn split(self) -> (WebSocketSender, WebSocketReceiver) {
        (self.sender, self.receiver)
    }
}

/// The direction to the client.
#[derive(Debug)]
pub struct WebSocketSender {
    pub(super) socket: Arc<Socket>,
}

impl WebSocketSender {
    /// Sends a message; waits while its client reads too slowly.
    ///
    /// # Errors
    /// The socket has ended; the message is lost.
    pub async fn send(&mut self, message: Message) -> Result<(), Closed> {
        let socket = &*self.socket;
        socket.handler.gate.pass().await;
        if socket.closed() {
            return Err(Closed);
        }
        socket.driver.drive(Event::WebSocketMessage { key: socket.key, message });
        Ok(())
    }

    /// Closes the socket, behind what was sent before.
    pub async fn close(self, close: Close) {
        self.socket.close(close);
    }
}

/// The direction from the client. What it leaves when it is dropped is thrown away.
pub struct WebSocketReceiver {
    socket: Arc<Socket>,
    messages: Receiver<Delivery>,
    /// So many bytes were handed out, and the runner has not heard of it.
    consumed: usize,
    ended: bool,
}

impl WebSocketReceiver {
    fn new(socket: Arc<Socket>, messages: Receiver<Delivery>) -> Self {
        WebSocketReceiver { socket, messages, consumed: 0, ended: false }
    }

    /// What comes next; none once the socket has ended. Cancelling it loses nothing.
    pub async fn receive(&mut self) -> Option<Incoming> {
        if self.ended {
            return None;
        }
        let delivery = poll_fn(|context| {
            let next = self.messages.poll_next(context);
            // At the latest when there is nothing to hand out: then the client may be waiting for it.
            if next.is_pending() || self.consumed >= CONSUMED {
                self.socket.consumed(std::mem::take(&mut self.consumed));
            }
            next
        });
        match delivery.await {
            Some(Delivery::Message { message, .. }) => {
                self.consumed += message.len();
                Some(Incoming::Message(message))
            }
            Some(Delivery::Close(close)) => {
                self.ended = true;
                Some(Incoming::Close(close))
            }
            // Nothing else comes of a WebSocket but its early end.
            Some(Delivery::Chunk { .. } | Delivery::Asleep) | None => {
                self.ended = true;
                None
            }
        }
    }
}

impl Drop for WebSocketReceiver {
    fn drop(&mut self) {
        // What comes from now on is consumed where it would be put in.
        let left = self.messages.close();
        self.socket.consumed(self.consumed + left.iter().map(Delivery::len).sum::<usize>());
    }
}

impl fmt::Debug for WebSocketReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketReceiver").field("socket", &self.socket).field("ended", &self.ended).finish()
    }
}
