//! From a bus into a machine.

use std::sync::Arc;
use std::time::Duration;

use underpass_core::bus::{Address, Bus, Delivery, Inbox};

use crate::driver::{Driver, EventOf, Outlets};

/// Between two attempts to have an address again, or a watch.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Hands in what the bus delivers, a wake-up's worth under one lock.
pub(crate) async fn take_in<O: Outlets, B: Bus>(
    driver: Arc<Driver<O>>,
    bus: B,
    address: Address,
    mut inbox: B::Inbox,
    event: fn(Delivery) -> Option<EventOf<O>>,
) {
    let mut deliveries = Vec::new();
    loop {
        match inbox.receive(&mut deliveries).await {
            Ok(()) => driver.enter(|inside| {
                deliveries.drain(..).filter_map(event).for_each(|event| inside.handle(event));
            }),
            Err(error) => {
                tracing::warn!(%address, "nothing comes from the bus: {error}");
                drop(inbox);
                inbox = loop {
                    tokio::time::sleep(AGAIN_AFTER).await;
                    if let Ok(inbox) = bus.attach(address).await {
                        break inbox;
                    }
                };
                tracing::info!(%address, "attached to the bus again");
            }
        }
    }
}
