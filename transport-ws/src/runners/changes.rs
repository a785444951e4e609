//! Changes of records: a runner's in order for each connection, an actor's as they come, which is one at a time; side
//! by side for different ones. And what else is wanted of the directory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use underpass_core::bus::Bus;
use underpass_core::directory::{ActorChange, ActorKey, ActorSeen, Directory, DirectoryUnavailable, RunnerChange};
use underpass_core::protocol::to_client::HibernatingRequest;
use underpass_core::relay::Event;

use super::outlets::{Change, Outlets};
use crate::bus::AGAIN_AFTER;
use crate::driver::Driver;
use crate::queue::Receiver;

/// Makes the changes, and tells the relay what became of them.
pub(super) async fn make<B: Bus, D: Directory>(
    driver: Arc<Driver<Outlets<B>>>,
    directory: D,
    mut changes: Receiver<Change>,
) {
    // The connections that have a change under way, and what is to follow it.
    let mut waiting: HashMap<u64, VecDeque<RunnerChange>> = HashMap::new();
    let mut under_way = FuturesUnordered::new();
    let mut of_actors = FuturesUnordered::new();
    // What came of these the directory's watch shows.
    let mut forgotten = FuturesUnordered::new();
    let mut shown = FuturesUnordered::new();
    let mut told = FuturesUnordered::new();
    let make = |connection: u64, change: RunnerChange| {
        let directory = &directory;
        async move { (connection, directory.change_runner(change).await) }
    };
    let make_actors = |change: ActorChange| {
        let directory = &directory;
        async move { (change.key.clone(), directory.change_actor(change).await) }
    };
    loop {
        tokio::select! {
            change = changes.next() => {
                let Some(change) = change else { return };
                match change {
                    Change::Runner { connection, change } => match waiting.get_mut(&connection) {
                        Some(behind) => behind.push_back(change),
                        None => {
                            waiting.insert(connection, VecDeque::new());
                            under_way.push(make(connection, change));
                        }
                    },
                    Change::Actor(change) => of_actors.push(make_actors(change)),
                    Change::Forget(change) => forgotten.push(directory.change_runner(change)),
                    Change::Registered(actor) => told.push(registered(&directory, actor)),
                    Change::ShowActors => shown.push(all_actors(&directory)),
                }
            }
            Some(_) = forgotten.next() => {}
            Some(actors) = shown.next() => {
                driver.enter(|inside| actors.into_iter().for_each(|seen| inside.handle(Event::Actor(seen))));
            }
            Some((actor, sockets)) = told.next() => driver.drive(Event::Registered { actor, sockets }),
            Some((actor, outcome)) = of_actors.next() => driver.drive(Event::ActorChanged { actor, outcome }),
            Some((connection, outcome)) = under_way.next() => {
                match waiting.get_mut(&connection).and_then(VecDeque::pop_front) {
                    Some(change) => under_way.push(make(connection, change)),
                    None => drop(waiting.remove(&connection)),
                }
                driver.drive(Event::Directory { connection, outcome });
            }
        }
    }
}

async fn registered<D: Directory>(
    directory: &D,
    actor: ActorKey,
) -> (ActorKey, Result<Vec<HibernatingRequest>, DirectoryUnavailable>) {
    (actor.clone(), directory.registered(actor).await)
}

/// All actors as they are now. The watch that goes on beside it shows what changes meanwhile.
async fn all_actors<D: Directory>(directory: &D) -> Vec<ActorSeen> {
    loop {
        match directory.watch_actors().await {
            Ok((actors, _watch)) => return actors,
            Err(DirectoryUnavailable) => tokio::time::sleep(AGAIN_AFTER).await,
        }
    }
}
