//! A client's WebSocket, as its handler sees it.

use std::future::Future;

use thiserror::Error;
use underpass_core::http::{Close, Message};

/// Takes WebSockets.
pub trait WebSocketHandler: Clone + Send + Sync + 'static {
    /// A client opens a WebSocket: path and header fields in `request`, the [`Actor`](super::Actor) among its
    /// extensions. The client is answered once the socket is [accepted](Pending::accept), or refused. The future is
    /// a task of its own; the socket may outlive it.
    fn open(&self, request: http::Request<()>, socket: Pending) -> impl Future<Output = ()> + Send;
}

/// Refuses all WebSockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWebSockets;

impl WebSocketHandler for NoWebSockets {
    async fn open(&self, _request: http::Request<()>, _socket: Pending) {}
}

/// A WebSocket that is neither accepted nor refused yet. Dropping it refuses it: the client gets a 502.
#[derive(Debug)]
pub struct Pending {}

impl Pending {
    /// Takes the WebSocket: its client is answered 101, with the sub-protocol that
    /// [`select_subprotocol`](underpass_core::http::select_subprotocol) chooses.
    pub fn accept(self) -> WebSocket {
        unimplemented!()
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
pub struct WebSocketSender {}

impl WebSocketSender {
    /// Sends a message; waits while its client reads too slowly.
    ///
    /// # Errors
    /// The socket has ended; the message is lost.
    pub async fn send(&mut self, message: Message) -> Result<(), Closed> {
        unimplemented!()
    }

    /// Closes the socket, behind what was sent before.
    pub async fn close(self, close: Close) {
        unimplemented!()
    }
}

/// The direction from the client.
#[derive(Debug)]
pub struct WebSocketReceiver {}

impl WebSocketReceiver {
    /// What comes next; none once the socket has ended. Cancelling it loses nothing.
    pub async fn receive(&mut self) -> Option<Incoming> {
        unimplemented!()
    }
}
