//! WebSockets that outlive their actor's sleep.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use underpass_core::http::{Close, Message};
use underpass_core::protocol::MessageIndex;
use underpass_core::runner::{Event, SocketId};

use super::handler::Delivery;
use super::socket::Socket;
use super::websocket::{Closed, WebSocketSender};
use crate::queue::Receiver;

/// What comes from a client's WebSocket that can hibernate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HibernatingIncoming {
    /// A message.
    Message {
        /// Its number: one more than the last one's. The first has 1, and behind 65,535 comes 0. A message keeps its
        /// number, however often it comes.
        number: MessageIndex,
        /// What.
        message: Message,
    },
    /// The client closed it, or it broke for good. Nothing follows, now or later: what was saved of it can go.
    Close(Close),
    /// Its actor stops, and it sleeps. Nothing follows until the actor's next life
    /// [restores](SleepingSocket::restore) it; what was not said to be handled comes again then.
    Asleep,
}

/// A client's WebSocket that goes on when its actor sleeps or moves, and when its runner's connection ends.
///
/// While the actor lives, this is all that there is to it: when the connection to the relay breaks, what is sent waits
/// until the client's gateway is reached again, and what the client sends meanwhile comes then.
///
/// To go on after a sleep, save the number of the last message under the socket's [id](HibernatingWebSocket::id),
/// together with what the message changed and in one go, and only then say that it was
/// [handled](HibernatingWebSocket::handled). So each message has its effect once, whatever breaks in between.
///
/// ```no_run
/// use underpass_core::http::Message;
/// use underpass_transport_ws::runner::{
///     ActorContext, HibernatingIncoming, HibernatingWebSocket, KvError, SleepingSocket,
/// };
///
/// /// Keeps the last text of each WebSocket, behind its message's number.
/// async fn keep(actor: &ActorContext, mut socket: HibernatingWebSocket) -> Result<(), KvError> {
///     let key = format!("socket/{}", socket.id());
///     while let Some(incoming) = socket.receive().await {
///         match incoming {
///             HibernatingIncoming::Message { number, message: Message::Text(text) } => {
///                 actor.kv().put(&key, [&number.to_be_bytes()[..], &text.as_bytes()[..]].concat()).await?;
///                 socket.handled(number);
///             }
///             HibernatingIncoming::Message { number, message: Message::Binary(_) } => socket.handled(number),
///             HibernatingIncoming::Close(_) => actor.kv().delete(&key).await?,
///             HibernatingIncoming::Asleep => {}
///         }
///     }
///     Ok(())
/// }
///
/// /// The actor's next life begins with this, for each WebSocket that slept.
/// async fn go_on(actor: &ActorContext, socket: SleepingSocket) -> Result<Option<HibernatingWebSocket>, KvError> {
///     let kept = actor.kv().get(format!("socket/{}", socket.id())).await?;
///     let last = kept.and_then(|kept| kept.first_chunk().copied()).map(u16::from_be_bytes);
///     Ok(last.map(|last| socket.restore(last)))
/// }
/// ```
///
/// Dropping it closes it with the code 1000, or 1011 if that is because of a panic; but not when the actor stops or
/// crashes, or could not be started: then it sleeps.
#[derive(Debug)]
pub struct HibernatingWebSocket {
    id: SocketId,
    sender: WebSocketSender,
    receiver: HibernatingReceiver,
}

impl HibernatingWebSocket {
    pub(super) fn new(id: SocketId, sender: WebSocketSender, receiver: HibernatingReceiver) -> Self {
        HibernatingWebSocket { id, sender, receiver }
    }

    /// Which socket it is: the same after each sleep.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// What comes next; none behind a close or the sleep, and once the runner is gone. Cancelling it loses nothing.
    pub async fn receive(&mut self) -> Option<HibernatingIncoming> {
        self.receiver.receive().await
    }

    /// All messages up to this one, which has come, are handled, and that is saved: they do not come again.
    pub fn handled(&self, number: MessageIndex) {
        self.receiver.handled(number);
    }

    /// Sends a message; waits while its client reads too slowly, or cannot be reached. A message that is on its way when
    /// the connection to the relay breaks may be lost.
    ///
    /// # Errors
    /// The socket has ended or sleeps; the message is lost.
    pub async fn send(&mut self, message: Message) -> Result<(), Closed> {
        self.sender.send(message).await
    }

    /// Closes the socket for good, behind what was sent before.
    pub async fn close(self, close: Close) {
        self.sender.close(close).await;
    }

    /// Takes the two directions apart. The socket closes when both are dropped.
    pub fn split(self) -> (WebSocketSender, HibernatingReceiver) {
        (self.sender, self.receiver)
    }
}

/// The direction from the client of a [`HibernatingWebSocket`]. What it leaves when it is dropped is thrown away, and
/// not handled.
pub struct HibernatingReceiver {
    socket: Arc<Socket>,
    messages: Receiver<Delivery>,
    ended: bool,
}

impl HibernatingReceiver {
    pub(super) fn new(socket: Arc<Socket>, messages: Receiver<Delivery>) -> Self {
        HibernatingReceiver { socket, messages, ended: false }
    }

    /// What comes next; none behind a close or the sleep, and once the runner is gone. Cancelling it loses nothing.
    pub async fn receive(&mut self) -> Option<HibernatingIncoming> {
        while !self.ended {
            let incoming = match self.messages.next().await {
                Some(Delivery::Message { number, message }) => {
                    self.socket.consumed(message.len());
                    if self.socket.handler.asleep.load(Ordering::Acquire) {
                        // It comes again.
                        continue;
                    }
                    return Some(HibernatingIncoming::Message { number, message });
                }
                Some(Delivery::Close(close)) => Some(HibernatingIncoming::Close(close)),
                Some(Delivery::Asleep) => Some(HibernatingIncoming::Asleep),
                Some(Delivery::Chunk { .. }) | None => None,
            };
            self.ended = true;
            return incoming;
        }
        None
    }

    /// All messages up to this one, which has come, are handled, and that is saved: they do not come again.
    pub fn handled(&self, number: MessageIndex) {
        self.socket.driver.drive(Event::Handled { key: self.socket.key, number });
    }
}

impl Drop for HibernatingReceiver {
    fn drop(&mut self) {
        // What comes from now on is consumed where it would be put in.
        let left = self.messages.close();
        self.socket.consumed(left.iter().map(Delivery::len).sum());
    }
}

impl fmt::Debug for HibernatingReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HibernatingReceiver").field("socket", &self.socket).field("ended", &self.ended).finish()
    }
}

/// A client's WebSocket that slept, for an actor that starts. What is not [restored](SleepingSocket::restore) by when
/// the actor has started is closed, with the code 1011.
pub struct SleepingSocket {
    id: SocketId,
    socket: Socket,
    messages: Receiver<Delivery>,
}

impl SleepingSocket {
    pub(super) fn new(id: SocketId, socket: Socket, messages: Receiver<Delivery>) -> Self {
        SleepingSocket { id, socket, messages }
    }

    /// Which socket it is: the same as when it was accepted.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// Goes on with it behind a message: the last one that was handled, as it was saved; 0 if there was none. Those
    /// behind it come again, or for the first time. A handler may speak first.
    pub fn restore(self, last: MessageIndex) -> HibernatingWebSocket {
        let SleepingSocket { id, socket, messages } = self;
        let Socket { key, driver, handler, life } = &socket;
        // Too late, it has been closed.
        let closed = driver.enter(|inside| {
            if life.as_ref().is_some_and(|life| inside.outlets.lives.is_starting(life)) {
                handler.accepted.store(true, Ordering::Release);
                inside.handle(Event::WebSocketRestore { key: *key, last });
                None
            } else {
                inside.outlets.requests.remove(key)
            }
        });
        drop(closed);
        let socket = Arc::new(socket);
        let sender = WebSocketSender { socket: socket.clone() };
        HibernatingWebSocket::new(id, sender, HibernatingReceiver::new(socket, messages))
    }
}

impl fmt::Debug for SleepingSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SleepingSocket").field("id", &self.id).finish_non_exhaustive()
    }
}
