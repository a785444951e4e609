//! What moves what is published, and what comes back of it.

use core::future::{Future, pending, poll_fn};
use core::pin::Pin;
use std::sync::Arc;

use async_nats::{Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until};
use underpass_core::bus::Delivery;

use super::Shared;
use super::label::Receipt;
use super::lanes::LaneKey;
use super::names::Back;
use crate::lock;

/// When the pump ends, in whatever way, nothing is published any more: who holds an address hears of it.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        for mailbox in lock(&self.0.mailboxes).values() {
            mailbox.end();
        }
    }
}

/// Runs as long as the bus does.
pub(crate) async fn run(shared: Arc<Shared>, mut back: Subscriber) {
    let _ends = Ends(shared.clone());
    let mut connected = shared.connected.clone();
    let mut times_away = 0;
    let mut flushing: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    loop {
        shared.moved.notify_waiters();
        if flushing.is_none() && lock(&shared.outgoing).wants_flush() {
            lock(&shared.outgoing).flush();
            let client = shared.client.clone();
            flushing = Some(Box::pin(async move {
                // It fails when the client has ended, and then there is nothing to wait for.
                let _ = client.flush().await;
            }));
        }
        let due = lock(&shared.outgoing).arm();
        tokio::select! {
            () = poll_fn(|context| lock(&shared.outgoing).poll(context, Instant::now())) => {}
            message = back.next() => match message {
                Some(message) => came_back(&shared, message),
                // The client has ended.
                None => return,
            },
            changed = connected.changed() => {
                if changed.is_err() {
                    return;
                }
                let stands = *connected.borrow_and_update();
                let was_away = stands.times_away != times_away;
                times_away = stands.times_away;
                shared.outgoing(|outgoing, now, _| {
                    // It may have been away so shortly that it is there again.
                    if was_away {
                        outgoing.connected(false, now);
                    }
                    outgoing.connected(stands.there, now);
                });
            }
            () = maybe(flushing.as_mut()) => {
                flushing = None;
                shared.outgoing(|outgoing, _, _| outgoing.flushed());
            }
            () = until(due) => shared.outgoing(|outgoing, now, returned| outgoing.expire(now, returned)),
        }
    }
}

/// Waits for it if there is one.
async fn maybe<F: Future<Output = ()> + Unpin>(future: Option<F>) {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

/// Waits until then; for ever, if there is no then.
pub(super) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// Word came back: of the server, that nobody listens, or of who joins a large frame.
fn came_back(shared: &Shared, message: Message) {
    let Some(Back { from, to }) = shared.names.came_back(&message.subject) else { return };
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        shared.outgoing(|outgoing, now, returned| outgoing.nobody(to, now, returned));
        return shared.tell(from, Delivery::NoResponders { to });
    }
    if let Some(receipt) = Receipt::read(message.payload) {
        let key = LaneKey { from: Some(from), to: to.address() };
        shared.outgoing(|outgoing, now, returned| outgoing.told(key, receipt, now, returned));
    }
}
