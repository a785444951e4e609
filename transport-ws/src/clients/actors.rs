//! Actors: what the directory tells of them, and what the gateway wants it to say of them and of their WebSockets.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use underpass_core::bus::Bus;
use underpass_core::directory::{ActorChange, Directory, RegistryChange, Watch};
use underpass_core::gateway::Event;

use super::outlets::{Change, Outlets};
use crate::bus::AGAIN_AFTER;
use crate::driver::Driver;
use crate::queue::Receiver;

/// Makes changes side by side, and tells the gateway what became of them. It has one for each actor
/// and each WebSocket under way.
pub(super) async fn change<B: Bus, D: Directory>(
    driver: Arc<Driver<Outlets<B>>>,
    directory: D,
    mut changes: Receiver<Change>,
) {
    let mut of_actors = FuturesUnordered::new();
    let mut of_registry = FuturesUnordered::new();
    let change_actor = |change: ActorChange| {
        let directory = &directory;
        async move { (change.key.clone(), directory.change_actor(change).await) }
    };
    let change_registry = |change: RegistryChange| {
        let directory = &directory;
        async move { (change.clone(), directory.change_registry(change).await) }
    };
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(Change::Actor(change)) => of_actors.push(change_actor(change)),
                Some(Change::Registry(change)) => of_registry.push(change_registry(change)),
                None => return,
            },
            Some((actor, outcome)) = of_actors.next() => driver.drive(Event::ActorChanged { actor, outcome }),
            Some((change, outcome)) = of_registry.next() => driver.drive(Event::RegistryChanged { change, outcome }),
        }
    }
}

/// Hands in what the directory tells of actors, after the first that it told.
pub(super) async fn watch<B: Bus, D: Directory>(
    driver: Arc<Driver<Outlets<B>>>,
    directory: D,
    mut watch: D::ActorWatch,
) {
    let mut seen = Vec::new();
    loop {
        if watch.changed(&mut seen).await.is_ok() {
            driver.enter(|inside| seen.drain(..).for_each(|seen| inside.handle(Event::Actor(seen))));
            continue;
        }
        tracing::warn!("nothing is heard of actors: the directory is away");
        watch = loop {
            tokio::time::sleep(AGAIN_AFTER).await;
            if let Ok((all, watch)) = directory.watch_actors().await {
                driver.drive(Event::Actors(all));
                break watch;
            }
        };
    }
}
