//! Between the machine and the handler of one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use underpass_core::http::{Close, Message};
use underpass_core::protocol::MessageIndex;

use crate::gate::Gate;
use crate::queue::Sender;

/// What a handler is to be told.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The request's body goes on; `finish` says whether these bytes are its last.
    Chunk { bytes: Bytes, finish: bool },
    /// A message came.
    Message { number: MessageIndex, message: Message },
    /// The client closed the WebSocket.
    Close(Close),
    /// The WebSocket sleeps, as its actor stops.
    Asleep,
}

impl Delivery {
    /// How much it takes of its client's credit, bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Delivery::Chunk { bytes, .. } => bytes.len(),
            Delivery::Message { message, .. } => message.len(),
            Delivery::Close(_) | Delivery::Asleep => 0,
        }
    }
}

/// Between the machine and one request's handler.
#[derive(Debug)]
pub(super) struct Handler {
    /// In front of what it sends.
    pub(super) gate: Gate,
    /// Opens when the handler is to stop.
    pub(super) stop: Gate,
    /// Whether its WebSocket was closed, by either side, or sleeps.
    pub(super) closed: AtomicBool,
    /// Whether it has taken its WebSocket.
    pub(super) accepted: AtomicBool,
    /// Whether its WebSocket sleeps: what was not handled comes again.
    pub(super) asleep: AtomicBool,
}

/// Toward one request's handler. What waits in its queue is bounded by the credit that the runner gave the gateway.
/// Dropping it stops the handler.
pub(super) struct Outlet {
    pub(super) deliveries: Sender<Delivery>,
    pub(super) handler: Arc<Handler>,
    let_go: bool,
}

impl Outlet {
    pub(super) fn new(deliveries: Sender<Delivery>) -> (Self, Arc<Handler>) {
        let handler = Arc::new(Handler {
            gate: Gate::default(),
            stop: Gate::default(),
            closed: AtomicBool::new(false),
            accepted: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
        });
        handler.stop.shut();
        (Outlet { deliveries, handler: handler.clone(), let_go: false }, handler)
    }

    /// The handler has let go of its WebSocket, and may go on without.
    pub(super) fn let_go(mut self) {
        self.let_go = true;
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let Handler { gate, stop, closed, .. } = &*self.handler;
        closed.store(true, Ordering::Release);
        let stop = if self.let_go { None } else { stop.open() };
        [stop, gate.open()].into_iter().flatten().for_each(|waker| waker.wake());
    }
}
