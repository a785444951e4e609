//! What is around a relay: the bus, the directory, and an outbox for each runner's connection.

use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use underpass_core::Relay;
use underpass_core::bus::{Bus, Delivery, Subject};
use underpass_core::directory::{ActorChange, ActorKey, RunnerChange};
use underpass_core::relay::{Action, Event, Notice};
use underpass_core::supervisor;

use super::store::Store;
use crate::driver::{self, Driver, Effects};
use crate::listen::Progress;
use crate::outbox::Outbox;
use crate::queue::Sender;

/// What is wanted of the directory: a change of a record, as a rule.
pub(super) enum Change {
    /// Of a runner's, and the connection that it is about.
    Runner {
        /// Which.
        connection: u64,
        /// The change.
        change: RunnerChange,
    },
    /// Of an actor's.
    Actor(ActorChange),
    /// Of a runner's that nobody writes any more.
    Forget(RunnerChange),
    /// None: an actor's WebSockets that can hibernate are to be told.
    Registered(ActorKey),
    /// None: all actors are to be shown once more.
    ShowActors,
}

/// What is around a relay.
pub(super) struct Outlets<B: Bus> {
    /// The driver that this is in: the store answers it.
    pub(super) driver: Weak<Driver<Outlets<B>>>,
    pub(super) bus: B,
    pub(super) store: Store,
    /// A connection is in here until its socket has ended.
    pub(super) connections: HashMap<u64, Outbox>,
    /// To the directory. The relay has one change per connection and per actor under way, and removes a record of
    /// nobody's only now and then.
    pub(super) changes: Sender<Change>,
    pub(super) progress: Arc<Progress>,
}

impl<B: Bus> driver::Outlets for Outlets<B> {
    type Machine = Relay;

    fn carry_out(&mut self, action: Action, effects: &mut Effects<Event>) {
        match action {
            Action::Send { connection, frame } => {
                if let Some(outbox) = self.connections.get_mut(&connection) {
                    let (waker, blocks) = outbox.send(frame);
                    effects.wake(waker);
                    if blocks {
                        effects.feed_back(Event::PeerBlocked { connection });
                    }
                }
            }
            Action::Close { connection, close } => {
                if let Some(outbox) = self.connections.get(&connection) {
                    outbox.close(close).into_iter().for_each(|waker| effects.wake(waker));
                }
            }
            Action::Publish(publication) => {
                if let Err(rejected) = self.bus.publish(publication) {
                    effects.feed_back(Event::PublishFailed(rejected));
                }
            }
            Action::Ping { connection } => {
                if let Some(outbox) = self.connections.get(&connection) {
                    effects.wake(outbox.ping());
                }
            }
            Action::Directory { connection, change } => self.change(Change::Runner { connection, change }, effects),
            Action::Actor(change) => self.change(Change::Actor(change), effects),
            Action::Forget(change) => self.change(Change::Forget(change), effects),
            Action::Registered { actor } => self.change(Change::Registered(actor), effects),
            Action::ShowActors => self.change(Change::ShowActors, effects),
            Action::Kv { connection, number, call, owner } => {
                // It is asked here, in order, and answers when it likes.
                let answer = self.store.ask(call, owner);
                let driver = self.driver.clone();
                effects.spawn(Box::pin(async move {
                    let data = answer.await;
                    if let Some(driver) = driver.upgrade() {
                        driver.drive(Event::KvAnswered { connection, number, data });
                    }
                }));
            }
            Action::LogActors(notice) => log_actors(&notice),
            Action::Log { connection, notice } => log(connection, &notice),
            Action::Drained => self.progress.machine_drained(),
        }
    }

    fn tick() -> Event {
        Event::Tick
    }

    fn wall_clock(unix_ms: i64) -> Option<Event> {
        Some(Event::WallClock { unix_ms })
    }
}

impl<B: Bus> Outlets<B> {
    fn change(&self, change: Change, effects: &mut Effects<Event>) {
        if let Ok(waker) = self.changes.push(change) {
            effects.wake(waker);
        }
    }
}

fn log_actors(notice: &supervisor::Notice) {
    tracing::warn!("{notice}");
}

fn log(connection: u64, notice: &Notice) {
    match notice {
        Notice::Ready(key) => {
            let (namespace, pool) = (&*key.pool.namespace, &*key.pool.name);
            tracing::info!(connection, namespace, pool, key = &*key.key, "a runner is ready");
        }
        Notice::TakenOver | Notice::GaveWay | Notice::AcknowledgementIgnored => tracing::info!(connection, "{notice}"),
        Notice::UnsupportedVersion { .. }
        | Notice::InitTimeout
        | Notice::PongTimeout
        | Notice::Malformed(_)
        | Notice::FrameTooLarge { .. }
        | Notice::Text
        | Notice::NameTooLong { .. }
        | Notice::OtherKind { .. }
        | Notice::OutOfTurn(_)
        | Notice::Unrouted(_)
        | Notice::GatewayLost(_) => tracing::warn!(connection, "{notice}"),
        // Who follows the directory says so, once for all connections.
        Notice::DirectoryUnavailable => tracing::debug!(connection, "{notice}"),
    }
}

/// What the relay is to hear of what the bus delivers.
pub(super) fn from_bus(delivery: Delivery) -> Option<Event> {
    match delivery {
        Delivery::Frame { to: Subject::Connection(to), frame, .. } => {
            Some(Event::FromBus { connection: to.number, frame })
        }
        Delivery::Rejected(rejected) => Some(Event::PublishFailed(rejected)),
        Delivery::NoResponders { to: Subject::Gateway(gateway) } => Some(Event::NoResponders { gateway }),
        // Neither comes to a relay: its inbox is for connections, and it asks for no word of other relays.
        Delivery::Frame { to: Subject::Gateway(_), .. } | Delivery::NoResponders { to: Subject::Connection(_) } => None,
        Delivery::Lost { from } => Some(Event::Lost { from }),
    }
}

#[cfg(test)]
mod tests {
    use underpass_core::Frame;
    use underpass_core::bus::{ConnectionId, Publication, PublishError, Rejected, RelayId};
    use underpass_core::protocol::GatewayId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_relay_hears_of_its_connections_of_what_came_back_and_of_deaf_gateways() {
        let (gateway, frame) = (GatewayId([1; 4]), Frame::new(b"frame", "".into(), None));
        let connection = Subject::Connection(ConnectionId { relay: RelayId(Uuid::nil()), number: 3 });
        let publication =
            Publication { to: Subject::Gateway(gateway), reply_to: Some(connection), frame: frame.clone() };
        let rejected = Rejected { publication, reason: PublishError::Full };
        for (delivery, event) in [
            (
                Delivery::Frame { to: connection, reply_to: None, frame: frame.clone() },
                Some(Event::FromBus { connection: 3, frame: frame.clone() }),
            ),
            (Delivery::Rejected(rejected.clone()), Some(Event::PublishFailed(rejected))),
            (Delivery::NoResponders { to: Subject::Gateway(gateway) }, Some(Event::NoResponders { gateway })),
            (Delivery::Lost { from: None }, Some(Event::Lost { from: None })),
            (Delivery::NoResponders { to: connection }, None),
            (Delivery::Frame { to: Subject::Gateway(gateway), reply_to: None, frame }, None),
        ] {
            assert_eq!(from_bus(delivery), event);
        }
    }
}
