//! Actors: what the directory tells of them, and what the gateway wants their records to say.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use underpass_core::bus::Bus;
use underpass_core::directory::{ActorChange, Directory, Watch};
use underpass_core::gateway::Event;

use super::outlets::Outlets;
use crate::bus::AGAIN_AFTER;
use crate::driver::Driver;
use crate::queue::Receiver;

/// Makes changes side by side, and tells the gateway what became of them. It has one for each actor under way.
pub(super) async fn change<B: Bus, D: Directory>(
    driver: Arc<Driver<Outlets<B>>>,
    directory: D,
    mut changes: Receiver<ActorChange>,
) {
    let mut under_way = FuturesUnordered::new();
    let make = |change: ActorChange| {
        let directory = &directory;
        async move { (change.key.clone(), directory.change_actor(change).await) }
    };
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(change) => under_way.push(make(change)),
                None => return,
            },
            Some((actor, outcome)) = under_way.next() => driver.drive(Event::ActorChanged { actor, outcome }),
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
