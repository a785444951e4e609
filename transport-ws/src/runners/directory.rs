//! What the directory shows of runners and actors.

use std::sync::Arc;

use futures_util::FutureExt;
use underpass_core::bus::Bus;
use underpass_core::directory::{Directory, DirectoryUnavailable, Watch};
use underpass_core::relay::Event;

use super::outlets::Outlets;
use crate::bus::AGAIN_AFTER;
use crate::driver::Driver;

/// Tells the relay, as long as it lives.
pub(super) async fn watch<B: Bus, D: Directory>(driver: Arc<Driver<Outlets<B>>>, directory: D) {
    let mut is_followed = true;
    loop {
        let Err(error) = follow(&driver, &directory, &mut is_followed).await;
        // Once for each time that it is away.
        if std::mem::take(&mut is_followed) {
            tracing::warn!("nothing is heard of runners and actors: {error}");
        }
        driver.drive(Event::DirectoryAway);
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Tells what is there, and then what changes, until the directory is away.
async fn follow<B: Bus, D: Directory>(
    driver: &Driver<Outlets<B>>,
    directory: &D,
    is_followed: &mut bool,
) -> Result<std::convert::Infallible, DirectoryUnavailable> {
    let mut runners = directory.watch_runners().await?;
    let (actors_there, mut actors) = directory.watch_actors().await?;
    let (mut runners_seen, mut actors_seen) = (Vec::new(), Vec::new());
    if let Some(seen) = runners.changed(&mut runners_seen).now_or_never() {
        seen?;
    }
    driver.enter(|inside| {
        runners_seen.drain(..).for_each(|seen| inside.handle(Event::Runner(seen)));
        actors_there.into_iter().for_each(|seen| inside.handle(Event::Actor(seen)));
        inside.handle(Event::DirectoryBack);
    });
    *is_followed = true;
    loop {
        tokio::select! {
            seen = runners.changed(&mut runners_seen) => {
                seen?;
                driver.enter(|inside| runners_seen.drain(..).for_each(|seen| inside.handle(Event::Runner(seen))));
            }
            seen = actors.changed(&mut actors_seen) => {
                seen?;
                driver.enter(|inside| actors_seen.drain(..).for_each(|seen| inside.handle(Event::Actor(seen))));
            }
        }
    }
}
