//! Changes of records: a runner's in order for each connection, an actor's as they come, which is one at a time; side
//! by side for different ones.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use underpass_core::bus::Bus;
use underpass_core::directory::{ActorChange, Directory, RunnerChange};
use underpass_core::relay::Event;

use super::outlets::{Change, Outlets};
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
                }
            }
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
